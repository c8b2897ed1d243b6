"""The journal: durable before it returns, append-only, chained; damage, full disks and rivals have names."""

from __future__ import annotations

import gzip
import multiprocessing
import sqlite3
import stat

import pytest
from txn_fake import FakeCluster, deployment, planned, set_image
from txn_kit import Died, MemoryJournal, engine_on, fresh, plain

from stratus.errors import JournalError, LeaseLost, UsageError
from stratus.kit.clock import VirtualClock
from stratus.settings import Settings
from stratus.transaction.journal import GENESIS, tell
from stratus.transaction.postgres import PostgresJournal
from stratus.transaction.sqlite import SqliteJournal
from stratus.transaction.sqljournal import COLUMNS, verify_archive
from stratus.wiring.journals import open_journal, read_journal, told


@pytest.fixture(params=["sqlite", "postgres", "memory"])
def any_journal(request, tmp_path):
    makers = {
        "sqlite": lambda: SqliteJournal(tmp_path / "j.db"),
        "postgres": lambda: PostgresJournal(request.getfixturevalue("database")),
        "memory": MemoryJournal,
    }
    found = makers[request.param]()
    yield found
    found.close()


@pytest.fixture(params=["sqlite", "postgres"])
def opener(request, tmp_path):
    """Open one and the same durable journal, as often as asked."""
    if request.param == "sqlite":
        return lambda: SqliteJournal(tmp_path / "deep" / "j.db")
    address = request.getfixturevalue("database")
    return lambda: PostgresJournal(address)


def unguard(journal, statement):
    """Do to the rows what the guards forbid."""
    with journal._guard("damage"), journal._unguarded():
        if isinstance(journal, SqliteJournal):
            journal._ask("DROP TRIGGER IF EXISTS event_fixed")
        for part in statement if isinstance(statement, tuple) else (statement,):
            journal._ask(part.replace("{p}", journal.prefix))


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


def test_survives_closing(opener):
    with opener() as journal:
        first = begin(journal)
    with opener() as journal:
        assert journal.entries("t1") == (first,)
        assert journal.append("t2", 0, 1.0, "begun", body={}).prev == first.hash
    with pytest.raises(JournalError, match="is closed"):
        journal.list()


def test_only_the_owner_reads_the_file(tmp_path):
    SqliteJournal(tmp_path / "deep" / "j.db").close()
    assert stat.S_IMODE((tmp_path / "deep" / "j.db").stat().st_mode) == 0o600


def test_pragmas(journal):
    assert journal._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert journal._db.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_rows_cannot_be_changed(opener):
    with opener() as journal:
        begin(journal)
        for statement in ("DELETE FROM {p}event", "UPDATE {p}event SET result = 'x'"):
            with pytest.raises(JournalError, match="never"), journal._guard("change"):
                journal._ask(journal._sql(statement))
        assert journal.verify() == 1


@pytest.mark.parametrize(
    ("damage", "row", "what"),
    [
        ("UPDATE {p}event SET body = '{}' WHERE seq = 2", 2, "not what was written"),
        ("UPDATE {p}event SET result = 'undone' WHERE seq = 3", 3, "not what was written"),
        ("DELETE FROM {p}event WHERE seq = 2", 2, "missing"),
        ("DELETE FROM {p}event WHERE seq = 3", 4 - 1, "gone"),
        ("UPDATE {p}event SET prev = hash WHERE seq = 2", 2, "not what was written"),
        ("UPDATE {p}event SET seq = 9 WHERE seq = 3", 9, "not what was written"),
        ("UPDATE {p}txn SET last = 'ended' WHERE id = 't2'", 3, "does not say what the rows say of t2"),
        ("DELETE FROM {p}txn WHERE id = 't2'", 3, "does not say what the rows say of t2"),
        ("UPDATE {p}anchor SET seq = 1", 2, "does not follow"),
    ],
)
def test_damage_names_the_row(damage, row, what, opener):
    with opener() as journal:
        begin(journal)
        begin(journal, "t2")
        begin(journal, "t3")
        unguard(journal, damage)
        with pytest.raises(JournalError, match=f"at row {row}.*{what}"):
            journal.verify()


def test_a_changed_row_is_seen_on_reading(opener):
    with opener() as journal:
        begin(journal)
        unguard(journal, "UPDATE {p}event SET result = 'x' WHERE seq = 1")
        with pytest.raises(JournalError, match="row 1: its content is not what was written"):
            journal.entries("t1")


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


def test_another_version(opener):
    with opener() as journal:
        journal._ask(journal._sql("UPDATE {p}schema SET version = 99"))
    with pytest.raises(JournalError, match="schema version 99"):
        opener()


VERSION_1 = """
CREATE TABLE schema (version INTEGER NOT NULL); INSERT INTO schema VALUES (1);
CREATE TABLE event (
    seq INTEGER PRIMARY KEY, txn TEXT NOT NULL, n INTEGER NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL,
    idx INTEGER NOT NULL, result TEXT NOT NULL, body TEXT NOT NULL, prev TEXT NOT NULL, hash TEXT NOT NULL,
    UNIQUE (txn, n)
);
CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL);
"""


def test_a_journal_of_the_first_version_is_carried_over(tmp_path):
    """Its rows are as they were, byte for byte; what the new version keeps besides is worked out from them."""
    with SqliteJournal(tmp_path / "new.db") as model:
        begin(model)
        begin(model, "t2")
        model.append("t1", 1, 2.0, "ended", result="undone", body={})
        rows, head = model._ask(f"SELECT {COLUMNS} FROM event"), model._ask("SELECT one, seq, hash FROM head")
    old = sqlite3.connect(tmp_path / "j.db")
    old.executescript(VERSION_1)
    old.executemany("INSERT INTO event VALUES (?,?,?,?,?,?,?,?,?,?)", rows)
    old.executemany("INSERT INTO head VALUES (?,?,?)", head)
    old.commit()
    old.close()
    for _ in range(2):  # and the second opening finds it done
        with SqliteJournal(tmp_path / "j.db") as journal:
            assert journal.verify() == 3
            assert (journal.list(), journal.open_transactions()) == (("t1", "t2"), ("t2",))
            assert journal._ask(f"SELECT {COLUMNS} FROM event") == rows
    with SqliteJournal(tmp_path / "j.db") as journal:
        assert journal.append("t2", 1, 3.0, "ended", result="undone", body={}).prev == rows[-1][-1]


def ended(journal, name, begun, last):
    journal.append(name, 0, begun, "begun", index=1, body={"incident": "i", "scope": "s", "writes": []})
    journal.append(name, 1, last, "ended", result="undone", body={})


def test_old_transactions_are_archived_and_the_rest_stays_verifiable(opener, tmp_path):
    with opener() as journal:
        ended(journal, "old", 1.0, 2.0)
        ended(journal, "older", 3.0, 4.0)
        begin(journal, "open")
        ended(journal, "fresh", 50.0, 60.0)
        whole = journal.verify()
        last = journal.entries("fresh")[-1]
        assert journal.prune(10.0, tmp_path / "a" / "1.gz") == 4
        assert journal.list() == ("open", "fresh")
        assert journal.entries("old") == ()
        assert journal.verify() == whole - 4
        assert journal.append("open", 1, 70.0, "measured", body={}).prev == last.hash
        count, first, top = verify_archive(tmp_path / "a" / "1.gz")
        assert (count, first, top) == (4, GENESIS, journal.entries("open")[0].prev)
        assert stat.S_IMODE((tmp_path / "a" / "1.gz").stat().st_mode) == 0o600
        assert journal.prune(1000.0, tmp_path / "2.gz") == 0  # an open one stands in front
        assert not (tmp_path / "2.gz").exists()
        journal.append("open", 2, 80.0, "ended", result="undone", body={})
        assert journal.prune(1000.0, tmp_path / "2.gz") == 5
        assert verify_archive(tmp_path / "2.gz")[1] == top  # the archives are one chain
        assert (journal.list(), journal.verify()) == ((), 0)
        ended(journal, "next", 2000.0, 2001.0)
        assert journal.verify() == 2
    with opener() as journal:
        assert journal.verify() == 2


def test_overlapping_transactions_are_cut_only_between_them(opener, tmp_path):
    with opener() as journal:
        ended(journal, "first", 1.0, 1.0)
        begin(journal, "a")  # rows 3, 5: around b
        ended(journal, "b", 2.0, 2.0)
        journal.append("a", 1, 99.0, "ended", result="undone", body={})
        assert journal.prune(50.0, tmp_path / "1.gz") == 2
        assert journal.list() == ("a", "b")
        assert journal.prune(100.0, tmp_path / "2.gz") == 4


def test_an_old_transaction_that_reaches_behind_the_cut_stays(opener, tmp_path):
    with opener() as journal:
        begin(journal, "old")
        begin(journal, "open")
        journal.append("old", 1, 2.0, "ended", result="undone", body={})
        assert journal.prune(50.0, tmp_path / "1.gz") == 0
        assert journal.list() == ("old", "open")
        assert journal.verify() == 3


def test_an_archive_is_never_overwritten_and_a_damaged_journal_not_pruned(opener, tmp_path):
    with opener() as journal:
        ended(journal, "old", 1.0, 2.0)
        (tmp_path / "x.gz").write_text("mine")
        with pytest.raises(UsageError, match="exists already"):
            journal.prune(10.0, tmp_path / "x.gz")
        assert (tmp_path / "x.gz").read_text() == "mine"
        assert journal.list() == ("old",)
        with pytest.raises(JournalError, match="never"), journal._guard("change"):
            journal._ask(journal._sql("DELETE FROM {p}event"))  # the guard is back
        unguard(journal, "UPDATE {p}event SET body = '{}' WHERE seq = 1")
        with pytest.raises(JournalError, match="damaged at row 1"):
            journal.prune(10.0, tmp_path / "y.gz")


@pytest.mark.parametrize("damage", ["bytes", "row", "order"])
def test_a_damaged_archive_is_told(damage, tmp_path):
    path = tmp_path / "a.gz"
    with SqliteJournal(tmp_path / "j.db") as journal:
        ended(journal, "old", 1.0, 2.0)
        ended(journal, "old2", 1.0, 2.0)
        journal.prune(10.0, path)
    rows = gzip.decompress(path.read_bytes()).decode().splitlines()
    if damage == "bytes":
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(UsageError, match="cannot read the archive"):
            verify_archive(path)
        return
    rows = rows[::-1] if damage == "order" else [rows[0].replace('"begun"', '"sealed"'), *rows[1:]]
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    with pytest.raises(JournalError, match="damaged at row"):
        verify_archive(path)


def test_postgres_says_what_is_wrong_and_no_password(database):
    with pytest.raises(UsageError, match="cannot read the address"):
        PostgresJournal("postgresql://%zz")
    with pytest.raises(JournalError, match=r"cannot open the journal postgresql .*is the server up") as error:
        PostgresJournal("postgresql://me:secret@/nowhere?host=/no/such/folder")
    assert "secret" not in str(error.value)


def test_the_settings_choose_the_journal(database, tmp_path):
    """And what reads it needs no file of its own."""
    shared = Settings(state_dir=tmp_path / "state", journal=database)
    with open_journal(shared) as journal:
        assert isinstance(journal, PostgresJournal)
        begin(journal)
    with read_journal(shared) as journal:
        assert told(journal, "t1").state == "prepared"
    assert not (tmp_path / "state").exists()
    with open_journal(Settings(state_dir=tmp_path / "own")) as journal:
        assert isinstance(journal, SqliteJournal)
        assert journal.list() == ()


def test_a_server_that_dies_keeps_what_it_called_written(database, postgres):
    """Killed like by a power cut and started again: the chain is whole, and the same object goes on with it."""
    with PostgresJournal(database) as journal:
        first = begin(journal)
        postgres.stop()
        with pytest.raises(JournalError, match="cannot write to the journal"):
            begin(journal, "t2")
        postgres.start()
        assert journal.entries("t1") == (first,)
        assert begin(journal, "t2").prev == first.hash
        assert journal.verify() == 2
        level = journal._ask("SHOW synchronous_commit")
        assert level[0][0] == "on"


def test_a_whole_transaction_on_postgres(database):
    with PostgresJournal(database) as journal:
        clock = VirtualClock(1_767_600_000.0)
        cluster = FakeCluster(clock)
        cluster.put(deployment("web"))
        engine = engine_on(cluster, journal)
        engine.begin("i", "t1", (planned(set_image("web", "x")),), "shop")
        assert engine.undo("t1", "enough").state == "undone"
        assert engine_on(cluster, journal, identity="two").show("t1").undo_proof.proved


def test_recovery_on_postgres_after_a_death(database):
    with PostgresJournal(database) as journal, PostgresJournal(database) as other:
        clock = VirtualClock(1_767_600_000.0)
        cluster = FakeCluster(clock)
        cluster.put(deployment("web"))
        before = plain(cluster)
        with pytest.raises(Died):
            engine_on(cluster, journal, tripwire=dying("write:0:after")).begin(
                "i", "t1", (planned(set_image("web", "x")),), "shop"
            )
        (done,) = engine_on(cluster, other, identity="two").recover()
        assert done.state == "undone"
        assert plain(cluster) == before


def dying(name):
    def trip(step):
        if step == name:
            raise Died(step)

    return trip


def _many(kind: str, path: str, name: str, count: int) -> None:
    with SqliteJournal(path) if kind == "sqlite" else PostgresJournal(path) as journal:
        for n in range(count):
            journal.append(name, n, 1.0, "begun" if n == 0 else "measured", body={"n": n})


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_several_processes_share_one_chain(kind, tmp_path, request):
    path = str(tmp_path / "j.db") if kind == "sqlite" else request.getfixturevalue("database")
    (SqliteJournal(path) if kind == "sqlite" else PostgresJournal(path)).close()
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_many, args=(kind, path, f"t{i}", 20)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    with SqliteJournal(path) if kind == "sqlite" else PostgresJournal(path) as journal:
        assert journal.verify() == 60
        assert [len(journal.entries(f"t{i}")) for i in range(3)] == [20, 20, 20]


def test_story_of_nothing():
    assert tell(()) is None
