"""A journal that forgets: for transactions on a cluster that does not outlive the process, such as a rehearsal's."""

from __future__ import annotations

import json
from typing import Self

from stratus.errors import LeaseLost
from stratus.model.base import Json
from stratus.transaction.journal import GENESIS, Entry, digest
from stratus.transaction.protocol import EventKind


class MemoryJournal:
    """A `Journal` without a disk. Nothing that changes a real cluster may be told to it."""

    def __init__(self) -> None:
        self._rows: list[Entry] = []
        self._of: dict[str, list[Entry]] = {}

    def append(
        self, txn: str, n: int, at: float, kind: EventKind, *, index: int = 0, result: str = "", body: Json
    ) -> Entry:
        """Keep one event. See `Journal.append`."""
        mine = self._of.setdefault(txn, [])
        if len(mine) != n:
            raise LeaseLost(f"another process has gone on with transaction {txn}")
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
        prev, seq = (self._rows[-1].hash if self._rows else GENESIS), len(self._rows) + 1
        entry = Entry(
            seq=seq,
            txn=txn,
            n=n,
            at=at,
            kind=kind,
            index=index,
            result=result,
            body=json.loads(text),
            prev=prev,
            hash=digest(prev, seq, txn, n, at, kind, index, result, text),
        )
        self._rows.append(entry)
        mine.append(entry)
        return entry

    def entries(self, txn: str) -> tuple[Entry, ...]:
        """Return one transaction's events. See `Journal.entries`."""
        return tuple(self._of.get(txn, ()))

    def list(self) -> tuple[str, ...]:
        """Return all transactions, oldest first."""
        return tuple(txn for txn, rows in self._of.items() if rows)

    def open_transactions(self) -> tuple[str, ...]:
        """Return those that have not ended."""
        return tuple(t for t in self.list() if self._of[t][-1].kind not in ("committed", "ended"))

    def verify(self) -> int:
        """Return the number of rows; nobody else can have changed them."""
        return len(self._rows)

    def close(self) -> None:
        """Nothing to let go of."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
