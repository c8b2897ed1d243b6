"""The whole of a run may be told by the environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stratus.cli.main import main


def test_a_run_told_by_the_environment_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"EMBEDDED": "hotel-reservation", "FAULT": "scaled-to-zero", "MODE": "auto", "REPORT_DIR": "out",
                        "STATE_DIR": "state"}.items():  # fmt: skip
        monkeypatch.setenv(f"STRATUS_{name}", value)
    assert main(["respond", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["state"], report["mode"]) == ("resolved", "auto")
    assert report["root_cause"]["class"] == "scaled_to_zero"
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"report.json", "report.md", "report.html"}
    assert (tmp_path / "state" / "journal.sqlite").is_file()


def test_a_kubeconfig_on_the_command_line_wins_over_an_embedded_cluster_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STRATUS_EMBEDDED", "hotel-reservation")
    assert main(["respond", "--kubeconfig", "/no/such/file"]) == 2
    assert "/no/such/file" in capsys.readouterr().err
