"""Transactions: what was done to the cluster, and how it ended."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stratus.model.actions import ApiWrite, Compensable, Reversibility
from stratus.model.base import Json, Noun
from stratus.model.health import HealthVector, VerdictReport
from stratus.model.refs import ObjectRef

TransactionState = Literal[
    "prepared", "applying", "applied", "verifying", "committed", "undoing", "undone", "undo_incomplete", "needs_human"
]


class WriteRecord(Noun):
    """One journalled write.

    Attributes:
        index: position in the transaction, from 0.
        before: full object before the write; None when it did not exist.
        after: full object after it; None when gone or not yet known.
        state: `intended` (on disk, not known to be sent), `done`, `failed` (refused, nothing changed),
            `in_doubt`, `undone`, `conflict` (somebody else's edit stands in the way), `undo_failed`.
    """

    index: int
    command: str
    write: ApiWrite
    reversibility: Reversibility
    state: Literal["intended", "done", "failed", "in_doubt", "undone", "conflict", "undo_failed"]
    before: Json | None = None
    after: Json | None = None
    error: str = ""
    undo_writes: tuple[ApiWrite, ...] = ()
    conflicts: tuple[str, ...] = ()
    """Field paths that somebody else changed since."""
    compensable: Compensable | None = None
    """For a command in a container: what takes it back; `before` and `after` then hold what its `state` printed."""


class UndoProof(Noun):
    """Reading back after an undo: what is still different, object by object."""

    proved: bool
    checked: int = 0
    """Objects read back."""
    differences: tuple[str, ...] = ()
    """`namespace/Kind/name: field: wanted -> found`."""
    not_identical: tuple[str, ...] = ()
    """What an `equivalent` undo gives back only in kind (pod names, IPs), documented."""


class Transaction(Noun):
    """One transaction as the journal knows it."""

    id: str
    incident: str
    scope: str
    """Lock scope, usually a namespace."""
    state: TransactionState
    created_at: float
    ended_at: float = 0.0
    cluster: str = ""
    writes: tuple[WriteRecord, ...] = ()
    health_before: tuple[HealthVector, ...] = ()
    health_after: tuple[HealthVector, ...] = ()
    verdict: VerdictReport | None = None
    undo_proof: UndoProof | None = None
    reason: str = ""
    """Why it ended as it did."""
    touched: tuple[ObjectRef, ...] = Field(default=())
    wrapped: bool = False
    """Filled write by write by a user's own code, and kept when nothing got worse."""
