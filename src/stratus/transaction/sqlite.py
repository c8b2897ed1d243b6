"""The journal in SQLite: write-ahead log, full sync, one chain of rows that is never rewritten."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, cast

from stratus.errors import JournalError, LeaseLost
from stratus.model.base import Json
from stratus.transaction.journal import GENESIS, Entry, digest
from stratus.transaction.protocol import EventKind

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS schema (version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS event (
    seq INTEGER PRIMARY KEY, txn TEXT NOT NULL, n INTEGER NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL,
    idx INTEGER NOT NULL, result TEXT NOT NULL, body TEXT NOT NULL, prev TEXT NOT NULL, hash TEXT NOT NULL,
    UNIQUE (txn, n)
);
CREATE TABLE IF NOT EXISTS head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL);
CREATE TRIGGER IF NOT EXISTS event_kept BEFORE DELETE ON event
    BEGIN SELECT RAISE(ABORT, 'journal rows are never deleted'); END;
CREATE TRIGGER IF NOT EXISTS event_fixed BEFORE UPDATE ON event
    BEGIN SELECT RAISE(ABORT, 'journal rows are never changed'); END;
"""
_COLUMNS = "seq, txn, n, at, kind, idx, result, body, prev, hash"


class SqliteJournal:
    """A `Journal` in one file, readable by its owner only: pre-images of Secrets are in it.

    Args:
        path: the database file; its folder is made when absent.
        busy_seconds: how long to wait for another process that is writing.

    Raises:
        JournalError: the file cannot be opened or is not a journal of a version this program can write.
    """

    def __init__(self, path: Path | str, *, busy_seconds: float = 10.0) -> None:
        self.path = Path(path)
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        with self._guard("open"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=0o600, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._prepare()

    def __enter__(self) -> Self:
        """Return the journal; leaving the block closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the journal."""
        self.close()

    def append(
        self, txn: str, n: int, at: float, kind: EventKind, *, index: int = 0, result: str = "", body: Json
    ) -> Entry:
        """Write one event and return when it is safely on disk. See `Journal.append`."""
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
        with self._guard("write to"), self._writing() as db:
            seen = db.execute("SELECT COUNT(*) FROM event WHERE txn = ?", (txn,)).fetchone()[0]
            if seen != n:
                raise LeaseLost(
                    f"another process has gone on with transaction {txn} ({seen} events, {n} were known); "
                    "leave it to that process, or try again when it has ended"
                )
            last, prev = self._head(db)
            seq = last + 1
            own = digest(prev, seq, txn, n, at, kind, index, result, text)
            db.execute(
                f"INSERT INTO event ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)",  # noqa: S608 - a constant
                (seq, txn, n, at, kind, index, result, text, prev, own),
            )
            db.execute(
                "INSERT INTO head (one, seq, hash) VALUES (1, ?, ?) "
                "ON CONFLICT (one) DO UPDATE SET seq = excluded.seq, hash = excluded.hash",
                (seq, own),
            )
        return Entry(
            seq=seq, txn=txn, n=n, at=at, kind=kind, index=index, result=result, body=body, prev=prev, hash=own
        )

    def entries(self, txn: str) -> tuple[Entry, ...]:
        """Return one transaction's events in order; each row is checked against its own hash."""
        with self._guard("read"):
            rows = self._open.execute(
                f"SELECT {_COLUMNS} FROM event WHERE txn = ? ORDER BY n",  # noqa: S608 - a constant
                (txn,),
            ).fetchall()
        found = tuple(_entry(row) for row in rows)
        for place, entry in enumerate(found):
            if entry.n != place:
                raise JournalError(_damaged(entry.seq, f"event {place} of transaction {txn} is missing"))
        return found

    def list(self) -> tuple[str, ...]:
        """Return the ids of all transactions, oldest first."""
        with self._guard("read"):
            rows = self._open.execute("SELECT txn FROM event WHERE n = 0 ORDER BY seq").fetchall()
        return tuple(str(row[0]) for row in rows)

    def open_transactions(self) -> tuple[str, ...]:
        """Return the ids of those whose last word is not an end, oldest first."""
        with self._guard("read"):
            rows = self._open.execute(
                "SELECT event.txn, kind FROM event JOIN (SELECT txn, MAX(n) AS n, MIN(seq) AS first FROM event "
                "GROUP BY txn) AS last ON event.txn = last.txn AND event.n = last.n ORDER BY last.first"
            ).fetchall()
        return tuple(str(txn) for txn, kind in rows if kind not in ("committed", "ended"))

    def verify(self) -> int:
        """Recompute the whole chain and return the number of rows. See `Journal.verify`."""
        with self._guard("read"):
            rows = self._open.execute(f"SELECT {_COLUMNS} FROM event ORDER BY seq").fetchall()  # noqa: S608
            last, top = self._head(self._open)
        prev = GENESIS
        for place, row in enumerate(rows, start=1):
            entry = _entry(row)
            if entry.seq != place:
                raise JournalError(_damaged(place, "it is missing"))
            if entry.prev != prev:
                raise JournalError(_damaged(place, "it does not follow the row before it"))
            prev = entry.hash
        if (last, top) != (len(rows), prev):
            raise JournalError(_damaged(len(rows) + 1, f"rows up to {last} were written and are gone"))
        return len(rows)

    def close(self) -> None:
        """Close the file; harmless when closed already."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    @property
    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            raise JournalError(f"the journal {self.path} is closed; open it again")
        return self._db

    @contextmanager
    def _guard(self, doing: str) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except (sqlite3.Error, OSError) as error:
                raise JournalError(
                    f"cannot {doing} the journal {self.path}: {error}; nothing more is written to the cluster until "
                    "it can be (free space, permissions, damage)"
                ) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        db = self._open
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    @staticmethod
    def _head(db: sqlite3.Connection) -> tuple[int, str]:
        row = db.execute("SELECT seq, hash FROM head").fetchone()
        return (int(row[0]), str(row[1])) if row else (0, GENESIS)

    def _prepare(self) -> None:
        with self._writing() as db:
            for statement in _statements():
                db.execute(statement)
            row = db.execute("SELECT version FROM schema").fetchone()
            if row is None:
                db.execute("INSERT INTO schema (version) VALUES (?)", (SCHEMA_VERSION,))
            elif row[0] != SCHEMA_VERSION:
                raise JournalError(
                    f"the journal {self.path} has schema version {row[0]}, this program writes {SCHEMA_VERSION}; "
                    "use the program that wrote it, or another state directory"
                )


def _statements() -> list[str]:
    found, text = [], ""
    for line in _SCHEMA.splitlines():
        text += line + "\n"
        if sqlite3.complete_statement(text):
            found.append(text)
            text = ""
    return found


def _entry(row: tuple[Any, ...]) -> Entry:
    seq, txn, n, at, kind, index, result, body, prev, own = row
    if digest(prev, seq, txn, n, at, kind, index, result, body) != own:
        raise JournalError(_damaged(seq, "its content is not what was written"))
    return Entry(
        seq=seq, txn=txn, n=n, at=at, kind=cast(EventKind, kind), index=index, result=result,
        body=json.loads(body), prev=prev, hash=own,
    )  # fmt: skip


def _damaged(row: int, what: str) -> str:
    return f"the journal is damaged at row {row}: {what}; restore the file from a copy, do not undo from it"
