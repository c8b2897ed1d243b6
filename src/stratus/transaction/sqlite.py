"""The journal in SQLite: write-ahead log, full sync, a file that only its owner can read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stratus.errors import JournalError
from stratus.transaction.sqljournal import Row, SqlJournal

_TABLES = """
CREATE TABLE IF NOT EXISTS schema (version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS event (
    seq INTEGER PRIMARY KEY, txn TEXT NOT NULL, n INTEGER NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL,
    idx INTEGER NOT NULL, result TEXT NOT NULL, body TEXT NOT NULL, prev TEXT NOT NULL, hash TEXT NOT NULL,
    UNIQUE (txn, n)
);
CREATE TABLE IF NOT EXISTS head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS anchor (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS txn (
    id TEXT PRIMARY KEY, first INTEGER NOT NULL, count INTEGER NOT NULL, last TEXT NOT NULL, at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS txn_open ON txn (first) WHERE last NOT IN ('committed', 'ended');
CREATE INDEX IF NOT EXISTS txn_first ON txn (first);
"""
_GUARDS = """
CREATE TRIGGER IF NOT EXISTS event_kept BEFORE DELETE ON event
    BEGIN SELECT RAISE(ABORT, 'journal rows are never deleted'); END;
CREATE TRIGGER IF NOT EXISTS event_fixed BEFORE UPDATE ON event
    BEGIN SELECT RAISE(ABORT, 'journal rows are never changed'); END;
"""


class SqliteJournal(SqlJournal):
    """A `Journal` in one file, readable by its owner only: pre-images of Secrets are in it.

    Args:
        path: the database file; its folder is made when absent.
        busy_seconds: how long to wait for another process that is writing.

    Raises:
        JournalError: the file cannot be opened or is not a journal of a version this program can write.
    """

    def __init__(self, path: Path | str, *, busy_seconds: float = 10.0) -> None:
        super().__init__()
        self.path = Path(path)
        self._db: sqlite3.Connection | None = None
        try:
            with self._guard("open"):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.touch(mode=0o600, exist_ok=True)
                self._db = sqlite3.connect(
                    self.path, timeout=busy_seconds, isolation_level=None, check_same_thread=False
                )
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._prepare()
        except BaseException:
            self.close()
            raise

    @property
    def place(self) -> str:
        """The file."""
        return str(self.path)

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

    def _ask(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        return self._open.execute(statement, tuple(values)).fetchall()

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
    def _writing(self) -> Iterator[None]:
        db = self._open
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    @contextmanager
    def _reading(self) -> Iterator[None]:
        self._open.execute("BEGIN")
        try:
            yield
        finally:
            self._open.execute("COMMIT")

    @contextmanager
    def _unguarded(self) -> Iterator[None]:
        self._ask("DROP TRIGGER IF EXISTS event_kept")
        yield
        for statement in _statements(_GUARDS):
            self._ask(statement)

    def _version(self) -> int:
        if not self._ask("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema'"):
            return 0
        rows = self._ask("SELECT version FROM schema")
        return int(rows[0][0]) if rows else 0

    def _create(self) -> None:
        for statement in _statements(_TABLES + _GUARDS):
            self._ask(statement)


def _statements(script: str) -> list[str]:
    found, text = [], ""
    for line in script.splitlines():
        text += line + "\n"
        if sqlite3.complete_statement(text):
            found.append(text)
            text = ""
    return found
