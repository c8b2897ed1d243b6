"""A dropped database user, from the alert to the verified repair inside a container, and back again weeks later."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from stratus import Settings, respond
from stratus.cli.main import main

pytestmark = pytest.mark.skipif(not os.environ.get("STRATUS_LONG"), reason="long; set STRATUS_LONG=1")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("inside") / "state"
    report = respond(
        embedded="hotel-reservation", fault="drop-mongo-user", mode="auto", settings=Settings(state_dir=folder)
    )
    assert report.state.value == "resolved"
    assert report.root_cause is not None
    assert report.root_cause.object == "hotel-reservation/Deployment/mongodb-rate"
    (attempt,) = report.attempts
    assert "db.createUser" in attempt.commands[0]
    assert "${{ Secret/mongodb-credentials#password | js }}" in attempt.commands[0]
    assert 'pwd: "admin"' not in report.model_dump_json()
    return folder, attempt.transaction


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    code = main(list(argv))
    return code, capsys.readouterr().out


def test_shown_taken_back_and_done_again(state: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    folder, name = state
    here = ("--state-dir", str(folder))
    _, shown = run(capsys, "txn", "show", name, *here)
    flat = " ".join(shown.split())
    assert "runbook mongodb-user, container hotel-reserv-rate-mongo" in flat
    assert 'compensation: db.dropUser("admin")' in flat

    _, told = run(capsys, "txn", "diff", name, "--json", *here)
    ((place, lines),) = json.loads(told).items()
    assert "container hotel-reserv-rate-mongo" in place
    assert {"- users: 0", "+ users: 1", "+ role: readWrite@rate-db"} <= set(lines)

    _, cost = run(capsys, "txn", "undo", name, "--dry-run", "--json", *here)
    assert "runs the compensation in container hotel-reserv-rate-mongo of a pod of" in json.loads(cost)["text"]

    code, ended = run(capsys, "txn", "undo", name, *here)
    assert code == 0, ended
    assert "proved, 1 object(s) read back" in ended
    code, again = run(capsys, "txn", "redo", name, "--json", *here)
    assert code == 0, again
    assert json.loads(again)["state"] == "committed"
    assert run(capsys, "txn", "verify", *here)[0] == 0
