"""Carrying out the protocol's commands one at a time: read, journal, check the lock, write, journal the outcome."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar

from stratus.cluster.base import ClusterReader
from stratus.cluster.writer import WRITE_SECONDS, ClusterExecutor, ClusterWriter
from stratus.errors import (
    AlreadyExists,
    ClusterError,
    ClusterUnreachable,
    Conflict,
    InDoubt,
    NotFound,
    Throttled,
    TransactionError,
)
from stratus.kit.clock import Clock
from stratus.model.actions import ApiWrite, PlannedWrite
from stratus.model.base import Json
from stratus.model.health import HealthVector
from stratus.model.refs import ObjectRef
from stratus.model.transactions import Transaction, UndoProof, WriteRecord
from stratus.settings import Settings
from stratus.transaction.compensating import INSIDE, ContainerWork
from stratus.transaction.essence import alike, managers, uid, version
from stratus.transaction.inside import Inside
from stratus.transaction.inverse import (
    Inverse,
    expected_after,
    invert,
    obstacle,
    prepared,
    removes,
    residue,
    resolution,
    restored_by_controller,
)
from stratus.transaction.journal import Journal, Story, further
from stratus.transaction.lock import LockSet
from stratus.transaction.protocol import Command, Event, EventKind, Ledger, Order, Wish, decide, evolve
from stratus.transaction.sampling import Probe

BACKOFF = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between tries of what is known not to have happened."""
GONE_WITHIN = 60.0
"""Seconds within which a deleted object has to be gone."""
LATE = WRITE_SECONDS + 1.0
"""Seconds after which an unanswered write that is not there will not come any more, and is looked for once more."""

Tripwire = Callable[[str], None]
"""Called with the name of each durable step before and after it; tests die there."""
T = TypeVar("T")


def write_key(txn: str, index: int) -> str:
    """Return the idempotency key of one write: the field manager under which the server records it."""
    return f"stratus-{hashlib.sha256(txn.encode()).hexdigest()[:12]}-{index}"


class Carrier:
    """One transaction in the hands of one engine.

    Args:
        story: the transaction's events so far.
        locks: held by this engine.
        executor: runs commands in containers; None: nobody may.
    """

    def __init__(
        self,
        *,
        reader: ClusterReader,
        writer: ClusterWriter,
        journal: Journal,
        clock: Clock,
        probe: Probe,
        settings: Settings,
        tripwire: Tripwire,
        story: Story,
        locks: LockSet,
        executor: ClusterExecutor | None = None,
    ) -> None:
        self._reader, self._writer, self._journal = reader, writer, journal
        self._clock, self._probe, self._settings, self._trip = clock, probe, settings, tripwire
        self.story, self.locks = story, locks
        inside = Inside(reader, executor, guard=locks.check, patiently=self._patiently, wait=self._awhile)
        self._work = ContainerWork(self, inside, LATE)
        self._waited = 0.0
        self._orders: dict[Order, Callable[[Command, str], None]] = {
            "measure": self._measure,
            "intend": self._intend,
            "send": self._send,
            "resolve": self._resolve,
            "seal": lambda c, r: self.append("sealed"),
            "commit": self._commit,
            "begin_undo": lambda c, r: self.append("undo_begun", body={"reason": c.why or r}),
            "plan_undo": self._plan_undo,
            "send_undo": self._send_undo,
            "prove": self._prove,
            "end": self._end,
        }

    @property
    def transaction(self) -> Transaction:
        """The transaction as journalled."""
        return self.story.transaction

    @property
    def ledger(self) -> Ledger:
        """Where the protocol stands."""
        return self.story.ledger

    def advance(self, wish: Wish, reason: str = "") -> None:
        """Carry out commands until the protocol has nothing more to do for this wish."""
        while True:
            command = decide(self.ledger, wish)
            if command.order in ("stop", "await_verdict"):
                return
            if command.order in INSIDE and self._plan(command).compensable is not None:
                self._waited = 0.0
                self._work.carry_out(command.order, command.index, write_key(self.transaction.id, command.index))
            else:
                self._orders[command.order](command, reason)

    def append(self, kind: EventKind, *, index: int = 0, result: str = "", body: Json | None = None) -> None:
        """Put one event on disk and fold it."""
        name = f"journal:{kind}:{index}"
        evolve(self.ledger, Event(kind, index, result))  # what may not follow is not written down either
        self._trip(f"{name}:before")
        txn, count = self.transaction.id, self.story.count
        entry = self._journal.append(txn, count, self._clock.now(), kind, index=index, result=result, body=body or {})
        self.story = further(self.story, entry)
        self._trip(f"{name}:after")

    def trip(self, name: str) -> None:
        """Say which durable step comes, for tests of crashes."""
        self._trip(name)

    def samples(self, count: int, interval: float) -> tuple[HealthVector, ...]:
        """Take several health samples, `interval` seconds apart, keeping the lock."""
        found = []
        for place in range(count):
            if place:
                self.pause(interval)
            found.append(self._probe.sample(self.story.watched))
        return tuple(found)

    def pause(self, seconds: float) -> None:
        """Wait without losing the lock."""
        left = seconds
        while left > 0:
            part = min(left, self._settings.lease_seconds / 3)
            self._clock.sleep(part)
            left -= part
            self.locks.check()

    def _awhile(self, seconds: float) -> bool:
        """Wait for a pod to run or the API to answer; False when one step has waited long enough."""
        if self._waited >= GONE_WITHIN:
            return False
        self._waited += seconds
        self.pause(seconds)
        return True

    def deadline(self) -> float:
        """Return the moment at which the transaction has used up its time."""
        return self.transaction.created_at + self._settings.limits.transaction_seconds

    def spent(self) -> str:
        """Say that the transaction has no time left for another write, or nothing."""
        return "the transaction's time is used up" if self._clock.now() > self.deadline() else ""

    def _plan(self, command: Command) -> PlannedWrite:
        return self.story.plans[command.index]

    def _record(self, index: int) -> WriteRecord:
        return next(w for w in self.transaction.writes if w.index == index)

    def _measure(self, command: Command, reason: str) -> None:
        health = self._settings.health
        vectors = self.samples(health.samples, health.sample_interval)
        body = {
            "health": [v.model_dump(mode="json") for v in vectors],
            "patience": self._probe.patience(self.story.watched),
        }
        self.append("measured", body=body)

    def _intend(self, command: Command, reason: str) -> None:
        i, planned = command.index, self._plan(command)
        key = write_key(self.transaction.id, i)
        earlier = next((w for w in self.transaction.writes if w.index == i), None)
        before = self._read(planned.write.target)
        if earlier is not None and resolution(earlier, planned, before, key) == "done":
            # A try that was taken for lost has arrived after all: it counts, and is not sent again.
            self.intended(i, earlier.before, earlier.write)
            self._done(i, earlier.before, planned, before)
            return
        why = obstacle(planned, before) or self._outdated(planned, before)
        self.intended(i, before, planned.write if why else prepared(planned, before, key))
        if why:
            self.append("outcome", index=i, result="failed", body={"error": f"{planned.write.target}: {why}"})

    def intended(self, index: int, before: Json | None, write: ApiWrite) -> None:
        """Put on disk that a write is about to be sent, and what stood there before it."""
        body = {"before": before, "write": write.model_dump(mode="json")}
        self.append("intended", index=index, body=body)

    def _outdated(self, planned: PlannedWrite, before: Json | None) -> str:
        """Refuse a write that was planned on an object that is not there any more in that form."""
        if spent := self.spent():
            return spent
        by_place = planned.write.method == "PUT" or planned.write.patch_type == "application/json-patch+json"
        if not by_place or planned.write.subresource or planned.pre_image is None:
            return ""
        known = [w.after for w in self.transaction.writes if w.write.target.key == planned.write.target.key and w.after]
        seen = [planned.pre_image, *(known[-1:] if planned.write.method == "PATCH" else ())]
        return "" if any(alike(one, before) for one in seen) else "it has been changed since the write was planned"

    def _send(self, command: Command, reason: str) -> None:
        i = command.index
        record = self._record(i)
        self._trip(f"write:{i}:before")
        self.locks.check()
        try:
            answer = self._writer.write(record.write)
        except ClusterUnreachable as error:
            self.failed(i, "retry", error)
        except InDoubt as error:
            self.failed(i, "in_doubt", error)
        except Throttled as error:
            self.failed(i, "retry", error)
        except AlreadyExists as error:
            now = self._read(record.write.target)
            mine = write_key(self.transaction.id, i) in managers(now)
            self.failed(i, "in_doubt" if mine else "failed", error)
        except Conflict as error:
            self.failed(i, "retry" if record.write.expect_version else "failed", error)
        except ClusterError as error:
            # A 5xx may come from a server that has stored the write and then failed: only reading tells.
            self.failed(i, "in_doubt" if error.status >= 500 else "failed", error)
        else:
            self._trip(f"write:{i}:after")
            after = self._after(record.write, answer)
            self.append("outcome", index=i, result="done", body={"after": after})

    def failed(self, index: int, result: str, error: Exception) -> None:
        """Journal that a write was not answered well, and wait before it is tried again."""
        self.append("outcome", index=index, result=result, body={"error": str(error)})
        tries = self.ledger.steps[index].tries
        if result == "retry" and not isinstance(error, Conflict):
            self.pause(BACKOFF[min(tries, len(BACKOFF)) - 1])

    def _after(self, write: ApiWrite, answer: Json) -> Json | None:
        """Return the object as the write left it: the server's answer where that is the object, else a fresh read."""
        if removes(write):
            return None if restored_by_controller(write) else self._wait_gone(write.target, write.expect_uid)
        ours = answer.get("kind") == write.target.kind and uid(answer) and version(answer) and not write.subresource
        return answer if ours else self._read(write.target)

    def _wait_gone(self, ref: ObjectRef, old: str) -> Json | None:
        until = self._clock.now() + GONE_WITHIN
        while (now := self._read(ref)) is not None and (not old or uid(now) == old):
            if self._clock.now() >= until:
                return now
            self.pause(1.0)
        return None

    def _done(self, index: int, before: Json | None, planned: PlannedWrite, now: Json | None) -> None:
        self.append("outcome", index=index, result="done", body={"after": self._became(before, planned, now)})

    def _became(self, before: Json | None, planned: PlannedWrite, now: Json | None) -> Json | None:
        """Say what an unanswered write made of its object, apart from what others may have done since."""
        if removes(planned.write):
            return None
        expected = expected_after(planned, before)
        return now if expected is None else expected

    def _resolve(self, command: Command, reason: str) -> None:
        i, planned = command.index, self._plan(command)
        record, key = self._record(i), write_key(self.transaction.id, command.index)
        now = self._read(record.write.target)
        result = resolution(record, planned, now, key)
        if result == "absent":  # it may still be on its way
            self.pause(LATE)
            now = self._read(record.write.target)
            result = resolution(record, planned, now, key)
        body: Json = {}
        if result == "done":
            if removes(record.write) and not restored_by_controller(record.write):
                self._wait_gone(record.write.target, record.write.expect_uid)
            body["after"] = self._became(record.before, planned, now)
        if result == "unknown":
            body["error"] = "nobody answered the write, and the object does not tell whether it happened"
        self.append("resolved", index=i, result=result, body=body)

    def _commit(self, command: Command, reason: str) -> None:
        self.locks.check()
        self.append("committed", body={"reason": reason})
        self.locks.release()

    def _plan_undo(self, command: Command, reason: str) -> None:
        i = command.index
        record = self._record(i)
        inverse = self._invert(record)
        until = self._clock.now() + GONE_WITHIN
        while inverse.waiting and self._clock.now() < until:
            self.pause(1.0)
            inverse = self._invert(record)
        body: Json = {"conflicts": list(inverse.conflicts)}
        if inverse.waiting:
            body["error"] = "the object is being deleted and does not go away; see its finalizers"
            self.append("undo_outcome", index=i, result="failed", body=body)
        elif inverse.writes:
            body["writes"] = [w.model_dump(mode="json") for w in inverse.writes]
            self.append("undo_intended", index=i, body=body)
        else:
            self.append("undo_outcome", index=i, result="conflict" if inverse.conflicts else "undone", body=body)

    def _invert(self, record: WriteRecord) -> Inverse:
        now = self._read(record.write.target)
        key = f"{write_key(self.transaction.id, record.index)}-undo"
        return invert(record, now, key=key, owners=self._owners())

    def _owners(self) -> dict[str, str]:
        """Map the uids of objects that this undo has created again to their new ones."""
        found: dict[str, str] = {}
        for record in self.transaction.writes:
            again = record.state == "undone" and removes(record.write) and not restored_by_controller(record.write)
            if again and record.before is not None:
                found[uid(record.before)] = uid(self._read(record.write.target))
        return found

    def _send_undo(self, command: Command, reason: str) -> None:
        i = command.index
        record = self._record(i)
        conflicted = "conflict" if record.conflicts else ""
        self._trip(f"undo:{i}:before")
        self.locks.check()
        try:
            answer = self._writer.write(record.undo_writes[-1])
        except (Conflict, AlreadyExists, InDoubt, Throttled, ClusterUnreachable, NotFound) as error:
            missing = isinstance(error, NotFound) and record.undo_writes[-1].method == "POST"
            self.undo_failed(i, conflicted or "failed" if missing else "retry", error)
        except ClusterError as error:
            self.undo_failed(i, "retry" if error.status >= 500 else conflicted or "failed", error)
        else:
            self._trip(f"undo:{i}:after")
            del answer
            self.append("undo_outcome", index=i, result=conflicted or "undone")

    def undo_failed(self, index: int, result: str, error: Exception) -> None:
        """The same for the undo of one."""
        self.append("undo_outcome", index=index, result=result, body={"error": str(error)})
        tries = self.ledger.steps[index].undo_tries
        if result == "retry" and not isinstance(error, Conflict):
            self.pause(BACKOFF[min(tries, len(BACKOFF)) - 1])

    def _prove(self, command: Command, reason: str) -> None:
        until = self._clock.now() + GONE_WITHIN
        proof = self._proof()
        while not proof.proved and self._clock.now() < until and any("deleted" in d for d in proof.differences):
            self.pause(1.0)
            proof = self._proof()
        result = "yes" if proof.proved else "no"
        self.append("proved", result=result, body={"proof": proof.model_dump(mode="json")})

    def _proof(self) -> UndoProof:
        """Read everything touched back and compare it with what was there before."""
        groups: dict[tuple[str, str, str], list[WriteRecord]] = {}
        inner = [r for r in self.transaction.writes if r.compensable is not None]
        for record in self.transaction.writes:
            if record.compensable is None:
                groups.setdefault(record.write.target.key, []).append(record)
        owners = self._owners()
        differences: list[str] = []
        kind_only: list[str] = []
        self._waited = 0.0
        for record in inner:
            if record.state in ("undone", "undo_failed"):
                differences += self._work.residue(record)
            elif record.state == "failed" and self._work.late(record):
                differences.append(f"{record.write.target}: a command taken for lost has worked late")
        for records in groups.values():
            now = self._read(records[0].write.target)
            undone = [r for r in records if r.state in ("undone", "undo_failed")]
            if undone:
                differences += residue(undone, now, owners)
            for record in records:
                key = write_key(self.transaction.id, record.index)
                if record.state == "failed" and key in managers(now):
                    differences.append(f"{record.write.target}: a write taken for lost arrived late")
                if record.state == "undone":
                    note = self._plan(Command("prove", record.index)).note
                    kind_only += [*invert(record, now, key=key, owners=owners).not_identical, *([note] if note else ())]
        return UndoProof(
            proved=not differences,
            checked=len(groups) + len(inner),
            differences=tuple(differences),
            not_identical=tuple(dict.fromkeys(kind_only)),
        )

    def _end(self, command: Command, reason: str) -> None:
        self.append("ended", result=command.why, body={"reason": self._ending_reason(command.why)})
        self.locks.release()

    def _ending_reason(self, end: str) -> str:
        reason = self.transaction.reason or "undone on request"
        writes = self.transaction.writes
        conflicts = [c for w in writes for c in w.conflicts if w.state == "conflict"]
        doubts = [str(w.write.target) for w in writes if w.state == "in_doubt"]
        failures = [f"{w.write.target}: {w.error}" for w in writes if w.state == "undo_failed"]
        proof = self.transaction.undo_proof
        parts = [reason]
        if conflicts:
            parts.append(f"conflict: changed by somebody else since and left alone: {', '.join(conflicts)}")
        if doubts:
            parts.append(f"in doubt: nobody knows whether the write to {', '.join(doubts)} happened")
        if failures:
            parts.append(f"undo failed: {'; '.join(failures)}")
        if end == "undo_incomplete" and proof is not None and proof.differences:
            parts.append(f"not as before: {'; '.join(proof.differences)}")
        return "; ".join(parts)

    def _read(self, ref: ObjectRef) -> Json | None:
        return self._patiently(lambda: self._reader.get(ref.model_copy(update={"uid": ""})))

    def _patiently(self, call: Callable[[], T]) -> T:
        """Read again when the server is busy or away, a few times."""
        for wait in BACKOFF:
            try:
                return call()
            except (ClusterUnreachable, Throttled):
                self._clock.sleep(wait)
            except ClusterError as error:
                if error.status < 500:
                    raise
                self._clock.sleep(wait)
        return call()


def not_found(txn: str) -> TransactionError:
    """Say that a transaction is not known."""
    return TransactionError(f"no transaction {txn} in the journal; `stratus txn list` shows those that are")
