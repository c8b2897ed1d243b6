"""The journal in SQL, whatever the database: one chain of rows that is never rewritten, only cut off at its old end."""

from __future__ import annotations

import gzip
import json
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self, cast

from stratus.errors import JournalError, LeaseLost, UsageError
from stratus.model.base import Json
from stratus.transaction.journal import GENESIS, Entry, digest
from stratus.transaction.protocol import EventKind

SCHEMA_VERSION = 2
ENDS = ("committed", "ended")
"""Kinds of events that end a transaction."""
COLUMNS = "seq, txn, n, at, kind, idx, result, body, prev, hash"
LAST = 2**62
CHUNK = 5_000
"""Rows held in memory while the chain is walked."""
Row = tuple[Any, ...]


class SqlJournal(ABC):
    """What SQLite and PostgreSQL have in common.

    Tables (with `prefix`): `event`, the rows; `head`, the last of them; `txn`, for each transaction its first row, how
    many it has and the kind of the last, so that listing reads no events; `anchor`, the row before the first one kept;
    `schema`, the version. `verify` compares `head` and `txn` with the rows, so none of them can lie unseen.
    """

    mark = "?"
    """How the dialect writes a parameter."""
    prefix = ""
    for_update = ""
    """What makes a read of the head wait for other writers."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    # -- what a dialect supplies -------------------------------------------------------------------------------

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the journal is, for messages; no password in it."""

    @abstractmethod
    def _guard(self, doing: str) -> AbstractContextManager[None]:
        """Turn the database's errors into `JournalError`."""

    @abstractmethod
    def _writing(self) -> AbstractContextManager[None]:
        """A database transaction that no other writer can overtake; durable when it is left."""

    @abstractmethod
    def _reading(self) -> AbstractContextManager[None]:
        """A snapshot: what others append meanwhile is not seen."""

    @abstractmethod
    def _ask(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Run one statement and return its rows, if it has any."""

    @abstractmethod
    def _create(self) -> None:
        """Make the tables of the present schema where they are missing, and the guards of their rows."""

    @abstractmethod
    def _unguarded(self) -> AbstractContextManager[None]:
        """Let rows be deleted, inside of a database transaction."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the storage; harmless when done already."""

    # -- the port ----------------------------------------------------------------------------------------------

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
        with self._guard("write to"), self._writing():
            last, prev = self._head(self.for_update)
            found = self._ask(self._sql("SELECT count FROM {p}txn WHERE id = ?"), (txn,))
            seen = int(found[0][0]) if found else 0
            if seen != n:
                raise LeaseLost(
                    f"another process has gone on with transaction {txn} ({seen} events, {n} were known); "
                    "leave it to that process, or try again when it has ended"
                )
            seq = last + 1
            own = digest(prev, seq, txn, n, at, kind, index, result, text)
            self._ask(
                self._sql("INSERT INTO {p}event ({c}) VALUES (?,?,?,?,?,?,?,?,?,?)"),
                (seq, txn, n, at, kind, index, result, text, prev, own),
            )
            self._ask(self._sql("UPDATE {p}head SET seq = ?, hash = ? WHERE one = 1"), (seq, own))
            self._ask(
                self._sql(
                    "INSERT INTO {p}txn (id, first, count, last, at) VALUES (?,?,1,?,?) ON CONFLICT (id) DO UPDATE "
                    "SET count = {p}txn.count + 1, last = excluded.last, at = excluded.at"
                ),
                (txn, seq, kind, at),
            )
        return Entry(
            seq=seq, txn=txn, n=n, at=at, kind=kind, index=index, result=result, body=body, prev=prev, hash=own
        )

    def entries(self, txn: str) -> tuple[Entry, ...]:
        """Return one transaction's events in order; each row is checked against its own hash."""
        with self._guard("read"):
            rows = self._ask(self._sql("SELECT {c} FROM {p}event WHERE txn = ? ORDER BY n"), (txn,))
        found = tuple(entry_of(row) for row in rows)
        for position, entry in enumerate(found):
            if entry.n != position:
                raise JournalError(damaged(entry.seq, f"event {position} of transaction {txn} is missing"))
        return found

    def list(self) -> tuple[str, ...]:
        """Return the ids of all transactions, oldest first."""
        with self._guard("read"):
            rows = self._ask(self._sql("SELECT id FROM {p}txn ORDER BY first"))
        return tuple(str(row[0]) for row in rows)

    def open_transactions(self) -> tuple[str, ...]:
        """Return the ids of those whose last word is not an end, oldest first."""
        with self._guard("read"):
            rows = self._ask(self._sql("SELECT id FROM {p}txn WHERE last NOT IN (?,?) ORDER BY first"), ENDS)
        return tuple(str(row[0]) for row in rows)

    def verify(self) -> int:
        """Recompute the whole chain and return the number of rows. See `Journal.verify`."""
        with self._guard("read"), self._reading():
            last, top = self._head("")
            seq, prev = self._anchor()
            first = seq
            told: dict[str, tuple[int, str]] = {}
            for row in self._rows(seq):
                seq += 1
                prev = _follows(row, seq, prev)
                txn, kind = row[1], row[4]
                told[txn] = (told.get(txn, (0, ""))[0] + 1, kind)
            if (last, top) != (seq, prev):
                raise JournalError(damaged(seq + 1, f"rows up to {last} were written and are gone"))
            listed = {
                row[0]: (int(row[1]), row[2]) for row in self._ask(self._sql("SELECT id, count, last FROM {p}txn"))
            }
            if listed != told:
                wrong = sorted({*listed.items()} ^ {*told.items()})[0][0]
                raise JournalError(damaged(seq, f"the list of transactions does not say what the rows say of {wrong}"))
        return seq - first

    # -- age ---------------------------------------------------------------------------------------------------

    def prune(self, before: float, archive: Path) -> int:
        """Move the oldest rows into an archive file, and return how many.

        Only whole transactions go, only ended ones, and only those whose last event is older than `before` (epoch
        seconds); the rest of the chain stays verifiable from there on. The archive (gzipped JSON lines) is complete
        and on disk before anything is deleted; `verify_archive` checks it.

        Raises:
            UsageError: the archive exists already or cannot be written.
            JournalError: the journal is damaged; nothing is moved.
        """
        self.verify()
        with self._guard("prune"), self._writing():
            last, _ = self._head(self.for_update)
            kept = self._ask(
                self._sql("SELECT MIN(first) FROM {p}txn WHERE at >= ? OR last NOT IN (?,?)"), (before, *ENDS)
            )
            end = int(kept[0][0]) - 1 if kept and kept[0][0] is not None else last
            start, _ = self._anchor()
            # Transactions overlap: none that goes may reach behind the cut.
            while end > start:
                reach = self._ask(
                    self._sql("SELECT MIN(t.first) FROM {p}txn t JOIN {p}event e ON e.txn = t.id WHERE e.seq > ?"),
                    (end,),
                )
                cut = int(reach[0][0]) - 1 if reach and reach[0][0] is not None else end
                if cut >= end:
                    break
                end = cut
            if end <= start:
                return 0
            _keep(archive, self._rows(start, end))
            top = self._ask(self._sql("SELECT hash FROM {p}event WHERE seq = ?"), (end,))[0][0]
            with self._unguarded():
                self._ask(self._sql("DELETE FROM {p}txn WHERE first <= ?"), (end,))
                self._ask(self._sql("DELETE FROM {p}event WHERE seq <= ?"), (end,))
            self._ask(self._sql("UPDATE {p}anchor SET seq = ?, hash = ? WHERE one = 1"), (end, top))
        return end - start

    # -- inside ------------------------------------------------------------------------------------------------

    def _sql(self, statement: str) -> str:
        return statement.replace("{p}", self.prefix).replace("{c}", COLUMNS).replace("?", self.mark)

    def _head(self, suffix: str) -> tuple[int, str]:
        row = self._ask(self._sql("SELECT seq, hash FROM {p}head WHERE one = 1") + suffix)[0]
        return int(row[0]), str(row[1])

    def _anchor(self) -> tuple[int, str]:
        row = self._ask(self._sql("SELECT seq, hash FROM {p}anchor WHERE one = 1"))[0]
        return int(row[0]), str(row[1])

    def _rows(self, after: int, until: int = LAST) -> Iterator[Row]:
        """Yield rows in order, a chunk at a time."""
        while True:
            rows = self._ask(
                self._sql("SELECT {c} FROM {p}event WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"),
                (after, until, CHUNK),
            )
            yield from rows
            if len(rows) < CHUNK:
                return
            after = int(rows[-1][0])

    def _prepare(self) -> None:
        """Make or migrate the tables."""
        with self._writing():
            version = self._version()
            if version not in (0, 1, SCHEMA_VERSION):
                raise JournalError(
                    f"the journal {self.place} has schema version {version}, this program writes {SCHEMA_VERSION}; "
                    "use the program that wrote it, or another state directory"
                )
            self._create()
            if version == 1:
                self._ask(self._sql("DELETE FROM {p}txn"))
                self._ask(
                    self._sql(
                        "INSERT INTO {p}txn (id, first, count, last, at) SELECT e.txn, s.first, s.count, e.kind, e.at "
                        "FROM {p}event e JOIN (SELECT txn, MIN(seq) AS first, COUNT(*) AS count, MAX(n) AS n "
                        "FROM {p}event GROUP BY txn) s ON s.txn = e.txn AND s.n = e.n"
                    )
                )
            for statement in (
                "INSERT INTO {p}head (one, seq, hash) VALUES (1, 0, ?) ON CONFLICT (one) DO NOTHING",
                "INSERT INTO {p}anchor (one, seq, hash) VALUES (1, 0, ?) ON CONFLICT (one) DO NOTHING",
            ):
                self._ask(self._sql(statement), (GENESIS,))
            if version == 0:
                self._ask(self._sql("INSERT INTO {p}schema (version) VALUES (?)"), (SCHEMA_VERSION,))
            elif version != SCHEMA_VERSION:
                self._ask(self._sql("UPDATE {p}schema SET version = ?"), (SCHEMA_VERSION,))

    @abstractmethod
    def _version(self) -> int:
        """Return the version of the schema that is there; 0 when none is."""


def entry_of(row: Row) -> Entry:
    """Read a row.

    Raises:
        JournalError: its content is not what was written.
    """
    seq, txn, n, at, kind, index, result, body, prev, own = row
    if digest(prev, seq, txn, n, at, kind, index, result, body) != own:
        raise JournalError(damaged(seq, "its content is not what was written"))
    return Entry(
        seq=seq, txn=txn, n=n, at=at, kind=cast(EventKind, kind), index=index, result=result,
        body=json.loads(body), prev=prev, hash=own,
    )  # fmt: skip


def damaged(row: int, what: str) -> str:
    """Say which row is not as it was written."""
    return f"the journal is damaged at row {row}: {what}; restore it from a copy, do not undo from it"


def verify_archive(path: Path) -> tuple[int, str, str]:
    """Check a file that `prune` wrote: return its number of rows, the hash that it follows and its last one.

    Raises:
        JournalError: it is damaged.
        UsageError: it cannot be read.
    """
    count, first, prev = 0, "", ""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                row = tuple(json.loads(line))
                if not count:
                    first = prev = str(row[8])
                    seq = int(row[0])
                prev = _follows(row, seq + count, prev)
                count += 1
    except (OSError, EOFError, ValueError, TypeError, IndexError) as error:
        raise UsageError(f"cannot read the archive {path}: {error}") from error
    return count, first, prev


def _follows(row: Row, seq: int, prev: str) -> str:
    """Check that a row is the one that comes next, and return its hash."""
    if digest(row[8], *row[:8]) != row[9]:
        raise JournalError(damaged(row[0], "its content is not what was written"))
    if row[0] != seq:
        raise JournalError(damaged(seq, "it is missing"))
    if row[8] != prev:
        raise JournalError(damaged(seq, "it does not follow the row before it"))
    return str(row[9])


def _keep(archive: Path, rows: Iterable[Row]) -> None:
    """Write rows to a new file, whole and on disk when it returns."""
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        with archive.open("xb") as raw:
            os.fchmod(raw.fileno(), 0o600)
            with gzip.open(raw, "wt", encoding="utf-8") as file:
                for row in rows:
                    file.write(json.dumps(list(row), ensure_ascii=False) + "\n")
            raw.flush()
            os.fsync(raw.fileno())
    except FileExistsError:
        raise UsageError(f"{archive} exists already: name a new file for the archive") from None
    except OSError as error:
        raise UsageError(f"cannot write the archive {archive}: {error}") from error
