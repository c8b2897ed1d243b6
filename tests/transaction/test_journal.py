"""The journal: durable before it returns, append-only, chained; damage, full disks and rivals have names."""

from __future__ import annotations

import multiprocessing
import sqlite3
import stat

import pytest
from txn_fake import deployment, planned, set_image
from txn_kit import MemoryJournal, engine_on, fresh

from stratus.errors import JournalError, LeaseLost
from stratus.transaction.journal import GENESIS, tell
from stratus.transaction.sqlite import SqliteJournal


@pytest.fixture(params=["sqlite", "memory"])
def any_journal(request, tmp_path):
    found = SqliteJournal(tmp_path / "j.db") if request.param == "sqlite" else MemoryJournal()
    yield found
    found.close()


def begin(journal, txn="t1"):
    return journal.append(txn, 0, 1.0, "begun", index=1, body={"incident": "i", "scope": "shop", "writes": []})


def test_conformance(any_journal):
    first = begin(any_journal)
    assert (first.seq, first.n, first.prev) == (1, 0, GENESIS)
    begin(any_journal, "t2")
    third = any_journal.append("t1", 1, 2.5, "measured", body={"health": [], "text": "ä\n"})
    assert third.seq == 3
    assert any_journal.entries("t1") == (first, third)
    assert any_journal.entries("nope") == ()
    assert any_journal.list() == ("t1", "t2")
    assert any_journal.open_transactions() == ("t1", "t2")
    any_journal.append("t1", 2, 3.0, "ended", result="undone", body={})
    assert any_journal.open_transactions() == ("t2",)
    any_journal.append("t1", 3, 3.0, "reopened", body={})
    assert any_journal.open_transactions() == ("t1", "t2")
    with pytest.raises(LeaseLost, match="another process"):
        any_journal.append("t1", 3, 4.0, "measured", body={})
    assert any_journal.verify() == 5


def test_survives_closing(tmp_path):
    with SqliteJournal(tmp_path / "deep" / "j.db") as journal:
        first = begin(journal)
    with SqliteJournal(tmp_path / "deep" / "j.db") as journal:
        assert journal.entries("t1") == (first,)
        assert journal.append("t2", 0, 1.0, "begun", body={}).prev == first.hash
    assert stat.S_IMODE((tmp_path / "deep" / "j.db").stat().st_mode) == 0o600
    with pytest.raises(JournalError, match="is closed"):
        journal.list()


def test_pragmas(journal):
    assert journal._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert journal._db.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_rows_cannot_be_changed(journal):
    begin(journal)
    for statement in ("DELETE FROM event", "UPDATE event SET result = 'x'"):
        with pytest.raises(sqlite3.Error, match="never"):
            journal._db.execute(statement)


@pytest.mark.parametrize(
    ("damage", "row", "what"),
    [
        ("UPDATE event SET body = '{}' WHERE seq = 2", 2, "not what was written"),
        ("UPDATE event SET result = 'undone' WHERE seq = 3", 3, "not what was written"),
        ("DELETE FROM event WHERE seq = 2", 2, "missing"),
        ("DELETE FROM event WHERE seq = 3", 4 - 1, "gone"),
        ("UPDATE event SET prev = hash WHERE seq = 2", 2, "not what was written"),
        ("UPDATE event SET seq = 9 WHERE seq = 3", 9, "not what was written"),
    ],
)
def test_damage_names_the_row(damage, row, what, journal):
    begin(journal)
    begin(journal, "t2")
    begin(journal, "t3")
    journal._db.execute("DROP TRIGGER event_kept")
    journal._db.execute("DROP TRIGGER event_fixed")
    journal._db.execute(damage)
    with pytest.raises(JournalError, match=f"at row {row}.*{what}"):
        journal.verify()


def test_a_forged_row_does_not_follow(journal):
    begin(journal)
    begin(journal, "t2")
    from stratus.transaction.journal import digest

    forged = digest("f" * 64, 2, "t2", 0, 1.0, "begun", 1, "", "{}")
    journal._db.execute("DROP TRIGGER event_fixed")
    journal._db.execute("UPDATE event SET body='{}', prev=?, hash=? WHERE seq=2", ("f" * 64, forged))
    journal._db.execute("UPDATE head SET hash=?", (forged,))
    with pytest.raises(JournalError, match="row 2: it does not follow"):
        journal.verify()


def test_a_hole_in_a_transaction_is_seen_on_reading(journal):
    begin(journal)
    journal.append("t1", 1, 1.0, "measured", body={})
    journal.append("t1", 2, 1.0, "sealed", body={})
    journal._db.execute("DROP TRIGGER event_kept")
    journal._db.execute("DELETE FROM event WHERE n = 1")
    with pytest.raises(JournalError, match="is missing"):
        journal.entries("t1")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE event SET body = REPLACE(body, 'web:1', 'web:7') WHERE kind = 'intended'",
        "DELETE FROM event WHERE kind = 'sealed'",  # cut off at the end: what is left reads well by itself
    ],
)
def test_damage_stops_recovery_before_anything_is_undone(damage, tmp_path):
    _, cluster, journal = fresh(tmp_path)
    with journal:
        cluster.put(deployment("web"))
        engine_on(cluster, journal).begin("i", "t1", (planned(set_image("web", "x")),), "shop")
        journal._db.execute("DROP TRIGGER event_fixed")
        journal._db.execute("DROP TRIGGER event_kept")
        journal._db.execute(damage)
        seen = len(cluster.applied)
        with pytest.raises(JournalError, match="do not undo from it"):
            engine_on(cluster, journal, identity="two").recover()
        assert len(cluster.applied) == seen


def test_disk_full(tmp_path):
    """The pages are limited as a full disk would: nothing is written to the cluster, and space brings it back."""
    _, cluster, journal = fresh(tmp_path)
    with journal:
        cluster.put(deployment("web"))
        pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
        journal._db.execute(f"PRAGMA max_page_count = {pages}")
        engine = engine_on(cluster, journal)
        with pytest.raises(JournalError, match="full"):
            engine.begin("i", "t1", tuple(planned(set_image("web", "x" * 4000)) for _ in range(4)), "shop")
        assert cluster.applied == []
        journal._db.execute("PRAGMA max_page_count = 1000000")
        assert engine.begin("i", "t1", (planned(set_image("web", "x")),), "shop").state == "applied"


def test_disk_full_after_the_write(tmp_path):
    """Only the outcome cannot be written down: in doubt, and resolved by reading when there is space again."""
    _, cluster, journal = fresh(tmp_path)
    with journal:
        cluster.put(deployment("web"))

        def trip(name):
            if name == "write:0:after":
                journal._db.execute("PRAGMA query_only=ON")

        with pytest.raises(JournalError):
            engine_on(cluster, journal, tripwire=trip).begin("i", "t1", (planned(set_image("web", "x")),), "shop")
        journal._db.execute("PRAGMA query_only=OFF")
        (txn,) = engine_on(cluster, journal, identity="two").recover()
        assert txn.state == "undone"
        assert [m for m, _, _ in cluster.applied if not m.endswith("undo")] == [cluster.applied[0][0]]


def test_not_a_journal(tmp_path):
    (tmp_path / "j.db").write_text("this is no database" * 100)
    with pytest.raises(JournalError, match="cannot open"):
        SqliteJournal(tmp_path / "j.db")
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot open"):
        SqliteJournal(tmp_path / "file" / "j.db")


def test_another_version(tmp_path):
    with SqliteJournal(tmp_path / "j.db") as journal:
        journal._db.execute("UPDATE schema SET version = 99")
    with pytest.raises(JournalError, match="schema version 99"):
        SqliteJournal(tmp_path / "j.db")


def _many(path: str, name: str, count: int) -> None:
    with SqliteJournal(path) as journal:
        for n in range(count):
            journal.append(name, n, 1.0, "begun" if n == 0 else "measured", body={"n": n})


def test_several_processes_share_one_chain(tmp_path):
    path = str(tmp_path / "j.db")
    SqliteJournal(path).close()
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_many, args=(path, f"t{i}", 20)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    with SqliteJournal(path) as journal:
        assert journal.verify() == 60
        assert [len(journal.entries(f"t{i}")) for i in range(3)] == [20, 20, 20]


def test_story_of_nothing():
    assert tell(()) is None
