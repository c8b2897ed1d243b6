"""`stratus txn`: what was done is looked at, taken back, done again and archived, later and without a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stratus import Settings, respond
from stratus.cli.main import main


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A state directory in which one incident was resolved, and its last transaction."""
    folder = tmp_path_factory.mktemp("txn") / "state"
    report = respond(
        embedded="hotel-reservation", fault="scaled-to-zero", mode="auto", settings=Settings(state_dir=folder)
    )
    assert report.state.value == "resolved"
    return folder, report.attempts[-1].transaction


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    code = main(list(argv))
    return code, capsys.readouterr().out


def test_diff_undo_redo_and_their_cost(state: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    folder, name = state
    here = ("--state-dir", str(folder))
    code, out = run(capsys, "txn", "diff", name, "--json", *here)
    assert code == 0
    (lines,) = json.loads(out).values()
    assert any(line.startswith("spec.replicas: 0 -> ") for line in lines)
    assert run(capsys, "txn", "diff", name, "--live", "--json", *here)[1] == out  # nobody has touched it since

    code, out = run(capsys, "txn", "undo", name, "--dry-run", "--json", *here)
    told = json.loads(out)
    assert code == 0
    assert told["conflicts"] == []
    assert told["cost"]["patches"] == 1
    assert told["text"] == "1 patch, loses nothing"

    assert run(capsys, "txn", "undo", name, *here)[0] == 0
    assert json.loads(run(capsys, "txn", "diff", name, "--live", "--json", *here)[1]) == {
        k: [] for k in [_object(out, folder, name, capsys)]
    }

    code, out = run(capsys, "txn", "redo", name, "--json", *here)
    again: dict[str, Any] = json.loads(out)
    assert (code, again["state"], again["verdict"]["verdict"]) == (0, "committed", again["verdict"]["verdict"])
    assert again["verdict"]["verdict"] in ("IMPROVED", "RESOLVED")
    assert again["id"].startswith(name)
    assert run(capsys, "txn", "verify", *here)[0] == 0


def _object(_: str, folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> str:
    return next(iter(json.loads(run(capsys, "txn", "diff", name, "--json", "--state-dir", str(folder))[1])))


def test_redo_of_what_was_not_undone_says_so(state: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = state
    listed = json.loads(run(capsys, "txn", "list", "--json", "--state-dir", str(folder))[1])
    kept = next(t["id"] for t in listed if t["state"] == "committed")
    assert main(["txn", "redo", kept, "--state-dir", str(folder)]) != 0
    assert "only an undone one is done again" in capsys.readouterr().err


def test_prune_and_its_archive(state: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = state
    here = ("--state-dir", str(folder))
    archive = tmp_path / "old.gz"
    assert run(capsys, "txn", "prune", "--before", "2020-01-01", "--archive", str(archive), *here)[0] == 0
    assert not archive.exists()  # nothing is that old
    assert main(["txn", "prune", "--before", "soon", "--archive", str(archive), *here]) == 2
    assert "neither an age" in capsys.readouterr().err
    assert run(capsys, "txn", "prune", "--before", "2100-01-01", "--archive", str(archive), *here)[0] == 0
    assert json.loads(run(capsys, "txn", "list", "--json", *here)[1]) == []
    code, _ = run(capsys, "txn", "verify", "--archive", str(archive))
    assert code == 0
    assert main(["txn", "prune", "--before", "2100-01-01", "--archive", str(archive), *here]) in (0, 2)
