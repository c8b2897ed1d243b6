"""The journal: an append-only, hash-chained story of every transaction, on disk before anything is sent."""

from __future__ import annotations

import hashlib
import json
from typing import Protocol

from stratus.model.actions import ApiWrite, PlannedWrite
from stratus.model.base import Json, Noun
from stratus.model.health import HealthVector, VerdictReport
from stratus.model.transactions import Transaction, TransactionState, UndoProof, WriteRecord
from stratus.transaction.protocol import Event, EventKind, Ledger, evolve

GENESIS = "0" * 64
"""What the first row of a chain follows."""


class Entry(Noun):
    """One row of the journal.

    Attributes:
        seq: position in the whole journal, from 1, without gaps.
        n: position within its transaction, from 0.
        at: epoch seconds.
        body: what the event says besides; see `docs/reference/transactions.md`.
        prev, hash: SHA-256 of the row before and of this row with `prev`, as hex.
    """

    seq: int
    txn: str
    n: int
    at: float
    kind: EventKind
    index: int = 0
    result: str = ""
    body: Json
    prev: str
    hash: str

    @property
    def event(self) -> Event:
        """What the protocol reads of this row."""
        return Event(kind=self.kind, index=self.index, result=self.result)


class Journal(Protocol):
    """Durable memory of transactions; safe to share between processes.

    All methods raise `JournalError` when the journal cannot be read or written or is damaged.
    """

    def append(
        self, txn: str, n: int, at: float, kind: EventKind, *, index: int = 0, result: str = "", body: Json
    ) -> Entry:
        """Write one event and return when it is safely on disk.

        Args:
            n: how many events of this transaction the writer has seen.

        Raises:
            LeaseLost: another process has written to this transaction since.
        """
        ...

    def entries(self, txn: str) -> tuple[Entry, ...]:
        """Return one transaction's events in order; empty when it is not known."""
        ...

    def list(self) -> tuple[str, ...]:
        """Return the ids of all transactions, oldest first."""
        ...

    def open_transactions(self) -> tuple[str, ...]:
        """Return the ids of those that have begun and not ended, oldest first."""
        ...

    def verify(self) -> int:
        """Recompute the whole chain and return the number of rows.

        Raises:
            JournalError: naming the first row that is not as it was written.
        """
        ...

    def close(self) -> None:
        """Let go of the storage."""
        ...


class Story(Noun):
    """One transaction as its events tell it.

    Attributes:
        count: events read.
        plans: the writes as they were planned.
        ledger: where the protocol stands.
        namespaces: those locked.
        watched: those whose health is sampled.
        patience: seconds that failing containers ran before they failed, when it began.
        wide: whether it also changes objects without a namespace.
    """

    count: int
    transaction: Transaction
    plans: tuple[PlannedWrite, ...]
    ledger: Ledger
    namespaces: tuple[str, ...] = ()
    watched: tuple[str, ...] = ()
    patience: float = 0.0
    wide: bool = False


def digest(prev: str, seq: int, txn: str, n: int, at: float, kind: str, index: int, result: str, body: str) -> str:
    """Return the hash of a row that follows `prev`; `body` is its JSON text as stored."""
    text = json.dumps([prev, seq, txn, n, repr(float(at)), kind, index, result, body], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def tell(entries: tuple[Entry, ...]) -> Story | None:
    """Fold a transaction's events; None when there are none."""
    if not entries:
        return None
    story: Story | None = None
    for entry in entries:
        story = further(story, entry)
    return story


def further(story: Story | None, entry: Entry) -> Story:
    """Return the story after one more event."""
    ledger = evolve(story.ledger if story else Ledger(), entry.event)
    return _told(story, entry, ledger)


def _told(story: Story | None, entry: Entry, ledger: Ledger) -> Story:
    body = entry.body
    if story is None:
        transaction = Transaction(
            id=entry.txn, incident=body["incident"], scope=body["scope"], state="prepared", created_at=entry.at,
            cluster=body.get("cluster", ""), wrapped=ledger.wrapped,
        )  # fmt: skip
        plans = tuple(PlannedWrite.model_validate(p) for p in body["writes"])
        return Story(
            count=1,
            transaction=transaction,
            plans=plans,
            ledger=ledger,
            namespaces=tuple(body.get("namespaces", ())),
            watched=tuple(body.get("watched", ())),
            wide=bool(body.get("wide")),
        )
    old = story.transaction
    change: Json = {"state": _state(ledger)}
    match entry.kind:
        case "measured":
            change["health_before"] = tuple(HealthVector.model_validate(v) for v in body["health"])
        case "judged":
            change["health_after"] = tuple(HealthVector.model_validate(v) for v in body["health"])
            change["verdict"] = VerdictReport.model_validate(body["verdict"])
        case "extended":
            more = tuple(PlannedWrite.model_validate(p) for p in body["writes"])
            return story.model_copy(
                update={
                    "count": story.count + 1,
                    "plans": (*story.plans, *more),
                    "ledger": ledger,
                    "transaction": old.model_copy(update=change),
                }
            )
        case "undo_begun" | "reopened":
            change |= {"reason": body.get("reason", ""), "ended_at": 0.0}
        case "proved":
            change["undo_proof"] = UndoProof.model_validate(body["proof"])
        case "committed" | "ended":
            change |= {"ended_at": entry.at, "reason": body.get("reason") or old.reason}
    steps = {"intended", "outcome", "resolved", "undo_intended", "undo_outcome"}
    writes = _rewritten(old.writes, story.plans, entry) if entry.kind in steps else old.writes
    change["writes"] = tuple(w.model_copy(update={"state": _shown(ledger, w)}) for w in writes)
    refs = {w.write.target.key: w.write.target for w in writes if w.state != "failed"}
    change["touched"] = tuple(refs.values())
    transaction = old.model_copy(update=change)
    news: Json = {"count": story.count + 1, "transaction": transaction, "ledger": ledger}
    if entry.kind == "measured":
        news["patience"] = float(body.get("patience", 0.0))
    return story.model_copy(update=news)


def _rewritten(
    writes: tuple[WriteRecord, ...], plans: tuple[PlannedWrite, ...], entry: Entry
) -> tuple[WriteRecord, ...]:
    body = entry.body
    old = next((w for w in writes if w.index == entry.index), None)
    if entry.kind == "intended":
        plan = plans[entry.index]
        record = WriteRecord(
            index=entry.index, command=plan.command, write=ApiWrite.model_validate(body["write"]),
            reversibility=plan.reversibility, state="intended", before=body.get("before"),
            compensable=plan.compensable,
        )  # fmt: skip
    else:
        assert old is not None  # the protocol lets nothing but an intent come first
        change: Json = {k: body[k] for k in ("after", "error") if k in body}
        if "conflicts" in body:
            change["conflicts"] = tuple(body["conflicts"])
        if entry.kind == "undo_intended":
            change["undo_writes"] = (*old.undo_writes, *(ApiWrite.model_validate(w) for w in body["writes"]))
        record = old.model_copy(update=change)
    return tuple(sorted([*(w for w in writes if w.index != entry.index), record], key=lambda w: w.index))


def _state(ledger: Ledger) -> TransactionState:
    if ledger.ended:
        return ledger.ended
    if ledger.undoing:
        return "undoing"
    if ledger.sealed:
        return "verifying" if ledger.verdict else "applied"
    return "applying" if ledger.touched else "prepared"


def _shown(ledger: Ledger, record: WriteRecord) -> str:
    """Translate the protocol's status of a step into the words of a `WriteRecord`."""
    status = ledger.steps[record.index].status
    return {"planned": "failed", "unknown": "in_doubt", "reverting": "done"}.get(status, status)
