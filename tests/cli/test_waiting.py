"""What a machine is told when a plan waits for approval."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stratus.cli.main import main
from stratus.model.reports import IncidentState, IncidentSummary, Report
from stratus.wiring import respond as wiring

PENDING = {"summary": "scale web up", "commands": ["kubectl scale deployment/web --replicas=1"], "diff": [], "undo": ""}


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    incident = IncidentSummary(id="inc-a", started_at=1.0, ended_at=2.0)
    report = Report(state=IncidentState.NEEDS_HUMAN, mode="approve", incident=incident, pending=PENDING)

    def raises(*_: Any, **__: Any) -> Report:
        raise wiring.ApprovalPending("inc-a", PENDING, Path(".stratus"), report)

    monkeypatch.setattr(wiring, "respond", raises)
    monkeypatch.setattr(wiring, "resume", raises)


@pytest.mark.parametrize("words", [["respond", "--mode", "approve"], ["resume", "inc-a"], ["approve", "inc-a"]])
def test_json_shows_the_plan_that_waits(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--json"]) == 4
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["pending"] == PENDING
    assert (told["state"], told["incident"]["id"]) == ("needs_human", "inc-a")
    assert "stratus approve inc-a" in err
    assert Report.model_validate_json(out).pending == PENDING


def test_people_are_told_how_to_decide(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["respond", "--mode", "approve"]) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert "waits for approval" in err
