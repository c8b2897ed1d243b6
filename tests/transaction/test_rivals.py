"""Two engines on one cluster: never two writers in one scope, and nothing is lost."""

from __future__ import annotations

import os

import pytest
from rivals import Contest

from stratus.kit.clock import VirtualClock
from stratus.transaction.postgres import PostgresJournal
from stratus.transaction.sqlite import SqliteJournal

LONG = bool(os.environ.get("STRATUS_LONG"))


@pytest.mark.parametrize("deaths", [False, True], ids=["alive", "killed now and then"])
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@pytest.mark.parametrize(
    "count",
    [
        40,
        pytest.param(1000, marks=pytest.mark.skipif(not LONG, reason="minutes; set STRATUS_LONG=1 (`make rivals`)")),
    ],
)
def test_two_engines(count, kind, deaths, tmp_path, request):
    if kind == "sqlite":
        place = tmp_path / "journal.db"

        def opened():
            return SqliteJournal(place)
    else:
        place = request.getfixturevalue("database")

        def opened():
            return PostgresJournal(place)

    contest = Contest(VirtualClock(1_767_600_000.0), opened, count=count, seed=count, deaths=deaths)
    contest.run()
    with opened() as journal:
        contest.verify(journal)
    assert contest.lost > 0, "they never met: the contest shows nothing"
    assert (contest.died > 0) is deaths
    assert contest.stuck > 0
    assert len(contest.kept) > count // 3


def test_the_contest_sees_two_writers(tmp_path, monkeypatch):
    """A lock that everybody gets is found out."""
    from stratus.transaction.lock import LockSet

    monkeypatch.setattr(LockSet, "acquire", lambda self, wait=0.0: None)
    monkeypatch.setattr(LockSet, "check", lambda self: None)
    monkeypatch.setattr(LockSet, "held", property(lambda self: True))
    contest = Contest(
        VirtualClock(1_767_600_000.0), lambda: SqliteJournal(tmp_path / "j.db"), count=10, seed=1, deaths=False
    )
    contest.run()
    assert contest.wrong
