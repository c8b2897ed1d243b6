"""The journal in PostgreSQL: for several engines on several machines that share one memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stratus.errors import JournalError, UsageError
from stratus.transaction.sqljournal import Row, SqlJournal

if TYPE_CHECKING:
    import psycopg

_TABLES = """
CREATE TABLE IF NOT EXISTS stratus_schema (version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS stratus_event (
    seq BIGINT PRIMARY KEY, txn TEXT NOT NULL, n INTEGER NOT NULL, at DOUBLE PRECISION NOT NULL, kind TEXT NOT NULL,
    idx INTEGER NOT NULL, result TEXT NOT NULL, body TEXT NOT NULL, prev TEXT NOT NULL, hash TEXT NOT NULL,
    UNIQUE (txn, n)
);
CREATE TABLE IF NOT EXISTS stratus_head (
    one INTEGER PRIMARY KEY CHECK (one = 1), seq BIGINT NOT NULL, hash TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS stratus_anchor (
    one INTEGER PRIMARY KEY CHECK (one = 1), seq BIGINT NOT NULL, hash TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS stratus_txn (
    id TEXT PRIMARY KEY, first BIGINT NOT NULL, count INTEGER NOT NULL, last TEXT NOT NULL, at DOUBLE PRECISION NOT NULL
);
CREATE INDEX IF NOT EXISTS stratus_txn_open ON stratus_txn (first) WHERE last NOT IN ('committed', 'ended');
CREATE INDEX IF NOT EXISTS stratus_txn_first ON stratus_txn (first);
CREATE OR REPLACE FUNCTION stratus_event_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'journal rows are never changed or deleted'; END $$;
DROP TRIGGER IF EXISTS stratus_event_kept ON stratus_event;
CREATE TRIGGER stratus_event_kept BEFORE DELETE OR UPDATE ON stratus_event
    FOR EACH ROW EXECUTE FUNCTION stratus_event_kept();
"""
_LOCK = 0x57A705
"""Advisory lock under which the tables are made or migrated."""


class PostgresJournal(SqlJournal):
    """A `Journal` in tables named `stratus_*` of a PostgreSQL database.

    Appending takes a row lock on the head, so engines on several machines write one chain; a commit is waited for
    until it is on the server's disk, whatever the database's default. A lost connection is opened again at the next
    call; an append that got no answer may have happened, which the next one finds out by counting.

    Args:
        url: `postgresql://user:password@host:port/database`, or any connection string that libpq takes.
        busy_seconds: how long to wait for another writer, and for a connection.

    Raises:
        UsageError: the driver is not installed, or the address cannot be read.
        JournalError: the server does not answer, or holds a journal of another version.
    """

    mark = "%s"
    prefix = "stratus_"
    for_update = " FOR UPDATE"

    def __init__(self, url: str, *, busy_seconds: float = 10.0) -> None:
        super().__init__()
        self._url, self._busy = url, busy_seconds
        self._closed = False
        self._connection: psycopg.Connection[Any] | None = None
        try:
            import psycopg.conninfo

            known = psycopg.conninfo.conninfo_to_dict(url)
        except ImportError as error:
            raise UsageError(
                "the journal in PostgreSQL needs the driver: pip install 'stratus-sre[postgres]'"
            ) from error
        except psycopg.ProgrammingError as error:
            raise UsageError(f"cannot read the address of the journal: {error}") from error
        known.pop("password", None)
        self._place = "postgresql " + " ".join(f"{k}={v}" for k, v in sorted(known.items()))
        try:
            with self._guard("open"):
                self._prepare()
        except BaseException:
            self.close()
            raise

    @property
    def place(self) -> str:
        """Host and database."""
        return self._place

    def close(self) -> None:
        """Close the connection; harmless when closed already."""
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @property
    def _open(self) -> psycopg.Connection[Any]:
        import psycopg

        if self._closed:
            raise JournalError(f"the journal {self.place} is closed; open it again")
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._url, autocommit=True, connect_timeout=max(2, round(self._busy)), application_name="stratus"
            )
            self._connection.execute("SET synchronous_commit TO on")
            self._connection.execute(f"SET lock_timeout TO {round(self._busy * 1000)}")
        return self._connection

    def _ask(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        cursor = self._open.execute(statement, tuple(values) or None)
        return cursor.fetchall() if cursor.description is not None else []

    @contextmanager
    def _guard(self, doing: str) -> Iterator[None]:
        import psycopg

        with self._lock:
            try:
                yield
            except psycopg.Error as error:
                if self._connection is not None and self._connection.broken:
                    self._connection.close()
                    self._connection = None
                raise JournalError(
                    f"cannot {doing} the journal {self.place}: {' '.join(str(error).split())}; nothing more is written "
                    "to the cluster until it can be (is the server up, is there space?)"
                ) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._open.transaction():
            yield

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._open.transaction():
            self._ask("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield

    @contextmanager
    def _unguarded(self) -> Iterator[None]:
        self._ask("ALTER TABLE stratus_event DISABLE TRIGGER stratus_event_kept")
        yield
        self._ask("ALTER TABLE stratus_event ENABLE TRIGGER stratus_event_kept")

    def _version(self) -> int:
        self._ask(f"SELECT pg_advisory_xact_lock({_LOCK})")
        if self._ask("SELECT to_regclass('stratus_schema')")[0][0] is None:
            return 0
        rows = self._ask("SELECT version FROM stratus_schema")
        return int(rows[0][0]) if rows else 0

    def _create(self) -> None:
        # Whoever may not own the tables finds them made; making them again would ask for rights they need not have.
        if self._ask("SELECT to_regclass('stratus_txn')")[0][0] is None:
            self._ask(_TABLES)
