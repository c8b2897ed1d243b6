"""Killed with `kill -9` anywhere and started again, an incident ends committed and verified or undone and verified.

By default one step; with STRATUS_LONG=1 twenty, all that matter most, and every node. A walk kills the
demo once or more: either the console script, at the n-th line of its progress, or the same command inside `dying.py`,
exactly before or after a durable step. What is asserted holds for every moment, so that nothing here depends on how
fast the machine is.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from stratus.model.reports import IncidentState, Report
from stratus.settings import Settings

SCRIPT = Path(sys.executable).with_name("stratus")
DYING = Path(__file__).with_name("dying.py")
LONG = bool(os.environ.get("STRATUS_LONG"))
WALKS = 20 if LONG else 0
#: A write sent and not noted, an undo intended and not sent, an incident ended and not closed.
STEPS = ["write:0:after", "undo:0:before", "register:before"] if LONG else ["write:0:after"]
SEED = int(os.environ.get("STRATUS_KILL_SEED", "20260105"))
PATIENCE = 120
"""Seconds after which a process counts as hanging."""
LINES = 60
"""Lines of progress that every whole demo shows at least."""


def demo(state: Path) -> list[str]:
    return ["demo", "--state-dir", str(state), "--json"]


def stratus(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the console script to its end."""
    return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False)


def killed_at_line(state: Path, number: int) -> bool:
    """Run the demo until it has shown `number` lines, then kill it; whether that happened before its end."""
    command = [str(SCRIPT), *demo(state)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for seen, _line in enumerate(process.stderr, start=1):
            if seen == number:
                process.send_signal(signal.SIGKILL)
                break
        process.stderr.close()
        return process.wait(PATIENCE) == -signal.SIGKILL


def killed_at_moment(state: Path, number: int, count: Path) -> bool:
    """Run the demo until its n-th durable step; whether it died there."""
    ended = subprocess.run(
        [sys.executable, str(DYING), str(number), str(count), *demo(state)],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return ended.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def moments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names of all durable steps of a demo that nobody kills, in order."""
    folder = tmp_path_factory.mktemp("whole")
    assert not killed_at_moment(folder / "state", 0, folder / "moments")
    assert_sound(folder / "state", 0)
    names = (folder / "moments").read_text(encoding="utf-8").splitlines()
    assert {"write:0:before", "write:0:after", "undo:0:before", "checkpoint:after", "input:before"} <= set(names)
    return names


def a_moment(dice: random.Random, names: list[str]) -> int:
    """Choose a durable step: any of them, or first a kind, so that the rare ones (writes, undos) come up as well."""
    if dice.random() < 0.4:
        return dice.randint(1, len(names))
    kind = dice.choice(sorted(set(names)))
    return dice.choice([n for n, name in enumerate(names, start=1) if name == kind])


@pytest.mark.slow
@pytest.mark.parametrize("walk", range(WALKS))
def test_killed_anywhere_the_demo_ends_verified(walk: int, tmp_path: Path, moments: list[str]) -> None:
    dice = random.Random(f"{SEED}/{walk}")
    state = tmp_path / "state"
    trail: list[str] = []
    for attempt in range(3):
        if walk % 2:
            number = dice.randint(1, LINES)
            trail.append(f"line {number}")
            died = killed_at_line(state, number)
        else:
            number = a_moment(dice, moments)
            trail.append(f"moment {number}: {moments[number - 1]}" if attempt == 0 else f"moment {number}")
            died = killed_at_moment(state, number, tmp_path / "count")
        assert died or attempt or walk % 2, f"{trail}: the first kill has to happen"
        if not died or dice.random() < 0.6:
            break
    print(f"walk {walk}: killed at {trail}")
    ended = stratus(*demo(state))
    report = Report.model_validate_json(ended.stdout) if ended.stdout else None
    assert report is not None, f"{trail}: {ended.stderr[-2000:]}"
    assert "Traceback" not in ended.stderr
    assert report.state in (IncidentState.RESOLVED, IncidentState.UNRESOLVED, IncidentState.NEEDS_HUMAN)
    assert ended.returncode == report.exit_code
    assert_sound(state, ended.returncode)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_killed_where_it_matters_most(step: str, tmp_path: Path, moments: list[str]) -> None:
    """In the middle of what must not happen twice."""
    last = len(moments) - moments[::-1].index(step)
    assert killed_at_moment(tmp_path / "state", last, tmp_path / "count")
    ended = stratus(*demo(tmp_path / "state"))
    assert ended.returncode == 0, ended.stderr[-2000:]
    report = Report.model_validate_json(ended.stdout)
    assert report.attempts[-1].verdict == "RESOLVED"
    assert len(report.timeline) == len({(e.at, e.stage, e.text) for e in report.timeline}), "something is told twice"
    assert len(list((tmp_path / "state" / "incidents").glob("*.json"))) == 1
    assert_sound(tmp_path / "state", 0)


def assert_sound(state: Path, code: int) -> None:
    """Assert that a state directory tells of finished, verified work only, and that each write was sent once."""
    verified = stratus("txn", "verify", "--state-dir", str(state))
    assert verified.returncode == 0, verified.stderr
    transactions = json.loads(stratus("txn", "list", "--json", "--state-dir", str(state)).stdout)
    assert transactions
    for t in transactions:
        if t["state"] == "committed":
            assert t["verdict"]["verdict"] in ("RESOLVED", "IMPROVED"), t["id"]
            assert {w["state"] for w in t["writes"]} == {"done"}, t["id"]
        else:
            assert t["state"] == "undone", f"{t['id']} was left {t['state']}: {t['reason']}"
            # a transaction that was stopped before it sent anything has nothing to prove
            sent = [w for w in t["writes"] if w["state"] == "undone"]
            assert not sent or t["undo_proof"]["proved"], t["id"]
    if code == 0:
        assert transactions[0]["state"] == "committed", "resolved by nothing?"
    else:
        assert code in (3, 4)
        assert all(t["state"] == "undone" for t in transactions)
    wanted = Counter[str]()
    for t in transactions:
        for w in t["writes"]:
            if w["state"] in ("done", "undone"):
                wanted[w["write"]["field_manager"]] += 1
            # an undo may have been intended by several engines, all but the last killed before they sent it
            wanted.update({undo["field_manager"] for undo in w["undo_writes"]})
    assert writes_received(state) == wanted


def writes_received(state: Path) -> Counter[str]:
    """Return how often the embedded clusters of a state directory were sent each write, by its field manager."""
    received = Counter[str]()
    for path in sorted((state / "clusters").glob("*.sqlite")):
        database = sqlite3.connect(path)
        try:
            for (data,) in database.execute("SELECT data FROM inputs WHERE kind = 'request'"):
                asked = parse_qs(urlsplit(json.loads(data)["target"]).query)
                manager = asked.get("fieldManager", [""])[0]
                if manager != "stratus-lock" and "dryRun" not in asked:
                    received[manager] += 1
        finally:
            database.close()
    return received


class Crash(BaseException):
    """The process ends here; nothing in the product may catch it."""


@contextmanager
def a_run(folder: Path, wrap: Callable[[str, Any], Any] | None = None) -> Iterator[Any]:
    """Open the run of one incident as a fresh process would: new cluster object, journal, checkpoints and graph."""
    from stratus.flow import graph as graphs
    from stratus.wiring.incidents import EmbeddedSource, IncidentEntry, Incidents
    from stratus.wiring.respond import open_run
    from stratus.wiring.sources import open_embedded

    settings = Settings(mode="auto", state_dir=folder, identity=f"run-{len(list(folder.glob('*.mark')))}")
    (folder / f"{settings.identity}.mark").touch()
    file = folder / "clusters" / "one.sqlite"
    embedded = EmbeddedSource(app="hotel-reservation", seed=0, fault="misleading-rollout", state_file=str(file))
    entry = IncidentEntry(id="inc-one", settings=settings, embedded=embedded)
    patch = pytest.MonkeyPatch()
    with patch.context() as patched, open_embedded(embedded.app, seed=0, state_file=file) as source:
        if wrap is not None:
            add = graphs.StateGraph.add_node
            patched.setattr(graphs.StateGraph, "add_node", lambda g, name, node: add(g, name, wrap(name, node)))
        with open_run(entry, source, Incidents(folder)) as run:
            yield run


@pytest.mark.slow
@pytest.mark.skipif(not LONG, reason="half a minute: set STRATUS_LONG=1 (`make kill-walk`)")
def test_crashed_before_and_after_every_node_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """Each node crashes the first time before its work and the second time after it, before the checkpoint."""
    crashed: set[tuple[str, str]] = set()

    def fragile(name: str, node: Any) -> Any:
        if not callable(node):  # a stage: its own nodes crash
            return node

        def first(where: str) -> None:
            if (name, where) not in crashed:
                crashed.add((name, where))
                raise Crash

        def run(state: Any) -> Any:
            first("before")
            news = node(state)
            first("after")
            return news

        return run

    report = None
    while report is None:
        before = len(crashed)
        with a_run(tmp_path, fragile) as run:
            try:
                report = run.go()
            except Crash:
                assert len(crashed) == before + 1
    nodes = {name for name, _where in crashed}
    assert {"Intake", "AlertMonitor", "ActionPlanning", "Linting", "Execution", "Validation", "Undo", "Commit",
            "Report"} <= nodes  # fmt: skip
    assert len(crashed) == 2 * len(nodes)
    assert report.state is IncidentState.RESOLVED
    # The locks of the dead have to run out first, so time passes and the second look may find other evidence.
    assert report.attempts[0].verdict == "REGRESSED"
    assert [a.verdict for a in report.attempts if a.executed and not a.undone] == ["RESOLVED"]
    assert all(a.undo_proof.proved for a in report.attempts if a.undone)
    assert_sound(tmp_path, 0)
