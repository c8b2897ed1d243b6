"""Carrying out commands in containers: look first, journal, run once, look again; taken back by their compensation.

An object tells what was done to it; a database does not. So every step of the protocol that reads an object runs a
check here: before the command (is the fault there?), after it (is the change there?), when nobody answered (which of
the two?), before and after the compensation. Nothing is sent twice without a look in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stratus.errors import ClusterError, ClusterUnreachable, Conflict, InDoubt, Throttled
from stratus.model.actions import Compensable, PlannedWrite
from stratus.model.base import Json
from stratus.model.transactions import WriteRecord
from stratus.transaction.inside import Inside, Unable, beside, left_over, same
from stratus.transaction.protocol import Order

if TYPE_CHECKING:
    from stratus.transaction.carrier import Carrier


INSIDE: tuple[Order, ...] = ("intend", "send", "resolve", "plan_undo", "send_undo")
"""The protocol's commands that are carried out here when the write is a command in a container."""


class ContainerWork:
    """The commands of one transaction that run in containers.

    Args:
        carrier: of the transaction; journals, holds the lock, and waits.
        inside: the containers.
        late: seconds after which an unanswered command has ended for good.
    """

    def __init__(self, carrier: Carrier, inside: Inside, late: float) -> None:
        self._carrier, self._inside, self._late = carrier, inside, late

    def carry_out(self, order: Order, index: int, key: str) -> None:
        """Carry out one command of the protocol.

        Args:
            key: idempotency key of the write.
        """
        story = self._carrier.story
        record = next((w for w in story.transaction.writes if w.index == index), None)
        if order == "intend":
            self.intend(index, story.plans[index], key, record)
            return
        assert record is not None  # nothing is sent, looked for or taken back without an intent
        if order == "send":
            self.send(index, record)
        elif order == "resolve":
            self.resolve(index, record)
        elif order == "plan_undo":
            self.plan_undo(index, record, f"{key}-undo")
        else:
            self.send_undo(index, record)

    def intend(self, index: int, planned: PlannedWrite, key: str, earlier: WriteRecord | None) -> None:
        """Look at the state and at the fault, and put both, with the command and its compensation, on disk."""
        one = _stated(planned)
        write = one.write(one.change.command, key)
        before, why = None, self._carrier.spent()
        try:
            if not why and self._arrived(one, earlier):
                # A try that was taken for lost has worked after all: it counts, and is not repeated.
                assert earlier is not None
                self._carrier.intended(index, earlier.before, write)
                self._done(index, self._inside.state(one))
                return
            if not why:
                before = self._inside.state(one)
                shown, said = self._inside.holds(one, one.change.check_before, before)
                why = "" if shown else f"the fault does not show (any more), so the command is not run: {said}"
        except Unable as error:
            why = str(error)
        self._carrier.intended(index, None if why else before, write)
        if why:
            self._carrier.append("outcome", index=index, result="failed", body={"error": f"{one.workload}: {why}"})

    def _arrived(self, one: Compensable, earlier: WriteRecord | None) -> bool:
        if earlier is None or earlier.before is None:
            return False
        return self._inside.holds(one, one.change.check_after, earlier.before)[0]

    def send(self, index: int, record: WriteRecord) -> None:
        """Run the command, once, and look what it did."""
        carrier, one = self._carrier, _recorded(record)
        carrier.trip(f"write:{index}:before")
        carrier.locks.check()
        try:
            done = self._inside.send(one, one.change.command, record.before)
        except (ClusterUnreachable, Throttled, Conflict) as error:
            carrier.failed(index, "retry", error)
        except Unable as error:
            carrier.failed(index, "failed", error)
        except InDoubt as error:
            carrier.failed(index, "in_doubt", error)
        except ClusterError as error:
            carrier.failed(index, "in_doubt" if error.status >= 500 else "failed", error)
        else:
            carrier.trip(f"write:{index}:after")
            said = " ".join((done.stderr or done.stdout).split())[:300]
            self._settled(index, record, f"exit code {done.exit_code}: {said}" if done.exit_code else "")

    def _settled(self, index: int, record: WriteRecord, complaint: str) -> None:
        """Journal what a command that has ended did, whatever it says of itself."""
        one = _recorded(record)
        try:
            now = self._inside.state(one)
            shown, said = self._inside.holds(one, one.change.check_after, record.before)
        except Unable as problem:
            self._carrier.append("outcome", index=index, result="in_doubt", body={"error": str(problem)})
            return
        if shown and not complaint:
            self._done(index, now)
            return
        error = f"{one.workload}: {complaint or 'the command did not do what its check asks for: ' + said}"
        if same(now, record.before):
            self._carrier.append("outcome", index=index, result="failed", body={"error": error})
            return
        # It did something, and not (only) what it should have: that is taken back like what succeeded.
        self._carrier.append("outcome", index=index, result="done", body={"after": now, "error": error})
        self._carrier.append("undo_begun", body={"reason": f"write {index + 1} did not do what it should: {error}"})

    def resolve(self, index: int, record: WriteRecord) -> None:
        """Find out by its checks whether an unanswered command has worked; it is not run for that."""
        result, now = self._happened(record)
        if result == "absent" and record.before is not None:  # it may still be at work
            self._carrier.pause(self._late)
            result, now = self._happened(record)
        body: Json = {"after": now} if result == "done" else {}
        if result == "unknown":
            body["error"] = "nobody answered the command, and its checks do not tell whether it has worked"
        self._carrier.append("resolved", index=index, result=result, body=body)

    def _happened(self, record: WriteRecord) -> tuple[str, Json | None]:
        one = _recorded(record)
        if record.before is None:  # without a look at the state nothing is ever sent
            return "absent", None
        try:
            now = self._inside.state(one)
            if self._inside.holds(one, one.change.check_after, record.before)[0]:
                return "done", now
            untouched = same(now, record.before) and self._inside.holds(one, one.change.check_before, now)[0]
            return ("absent" if untouched else "unknown"), now
        except Unable:
            return "unknown", None

    def plan_undo(self, index: int, record: WriteRecord, key: str) -> None:
        """Look whether there is something to take back, and put the compensation on disk before it is sent."""
        one = _recorded(record)
        try:
            now = self._inside.state(one)
            gone = self._inside.holds(one, one.change.check_undone, record.before)[0]
            if gone and not left_over(record.before, record.after, now):
                self._carrier.append("undo_outcome", index=index, result="undone", body={"conflicts": []})
                return
            ours = self._inside.holds(one, one.change.check_after, record.before)[0] or same(now, record.after)
        except Unable as error:
            self._carrier.append("undo_outcome", index=index, result="failed", body={"error": str(error)})
            return
        if not ours:
            body = {"conflicts": [f"{one.workload}: what the command changed has been changed by somebody else since"]}
            self._carrier.append("undo_outcome", index=index, result="conflict", body=body)
            return
        writes = [one.write(one.change.compensation, key).model_dump(mode="json")]
        self._carrier.append("undo_intended", index=index, body={"conflicts": [], "writes": writes})

    def send_undo(self, index: int, record: WriteRecord) -> None:
        """Run the compensation, and hold it for done only when its check says so."""
        carrier, one = self._carrier, _recorded(record)
        carrier.trip(f"undo:{index}:before")
        carrier.locks.check()
        try:
            was = self._inside.state(one)
            done = self._inside.send(one, one.change.compensation, record.before)
        except (ClusterUnreachable, Throttled, Conflict) as error:
            carrier.undo_failed(index, "retry", error)
        except InDoubt as error:
            carrier.undo_failed(index, "retry", error)
            carrier.pause(self._late)  # before it is looked for, it has ended
        except Unable as error:
            carrier.undo_failed(index, "failed", error)
        except ClusterError as error:
            carrier.undo_failed(index, "retry" if error.status >= 500 else "failed", error)
        else:
            carrier.trip(f"undo:{index}:after")
            said = " ".join((done.stderr or done.stdout).split())[:300]
            left = (*self.residue(record), *self._besides(record, was))
            if done.exit_code:
                left = (*left, f"the compensation ended with exit code {done.exit_code}: {said}") if left else ()
            body = {"error": "; ".join(left)} if left else {}
            carrier.append("undo_outcome", index=index, result="failed" if left else "undone", body=body)

    def _besides(self, record: WriteRecord, was: Json) -> tuple[str, ...]:
        """Say what a compensation has changed besides what it was to take back."""
        try:
            found = beside(record.before, record.after, was, self._inside.state(_recorded(record)))
        except Unable as error:
            return (str(error),)
        return tuple(f"{record.write.target}: after the compensation the state {line}" for line in found)

    def residue(self, record: WriteRecord) -> tuple[str, ...]:
        """Say what is not as it was before a command; empty when its undo is proved."""
        one = _recorded(record)
        name = f"{one.workload} ({one.change.container})"
        try:
            now = self._inside.state(one)
            gone, said = self._inside.holds(one, one.change.check_undone, record.before)
        except Unable as error:
            return (f"{name}: cannot be looked at: {error}",)
        found = [f"{name}: {line}" for line in left_over(record.before, record.after, now)]
        if not gone:
            found.append(f"{name}: the check of the compensation does not hold: {said}")
        return tuple(found)

    def late(self, record: WriteRecord) -> bool:
        """Tell whether a command that was taken for lost has worked since."""
        one = _recorded(record)
        if record.before is None:
            return False
        try:
            now = self._inside.state(one)
            return not same(now, record.before) and self._inside.holds(one, one.change.check_after, record.before)[0]
        except Unable:
            return False

    def _done(self, index: int, now: Json) -> None:
        self._carrier.append("outcome", index=index, result="done", body={"after": now})


def _stated(planned: PlannedWrite) -> Compensable:
    assert planned.compensable is not None  # the caller has looked
    return planned.compensable


def _recorded(record: WriteRecord) -> Compensable:
    assert record.compensable is not None
    return record.compensable
