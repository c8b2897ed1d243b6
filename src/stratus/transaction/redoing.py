"""Doing an undone transaction again: the same change, made on the objects as they are now."""

from __future__ import annotations

from collections.abc import Sequence

from stratus.cluster.base import ClusterReader
from stratus.errors import TransactionError
from stratus.kit.jsondiff import dotted, revert
from stratus.model.actions import PlannedWrite
from stratus.model.base import Json
from stratus.model.transactions import Transaction, WriteRecord
from stratus.transaction.essence import alike, shape, uid, version
from stratus.transaction.inverse import creates, ours, removes, restored_by_controller


def again(transaction: Transaction, plans: Sequence[PlannedWrite], reader: ClusterReader) -> tuple[PlannedWrite, ...]:
    """Return the writes that make a transaction's change once more.

    The change is the difference between the recorded objects before and after each write; doing it is undoing the
    undo, with the same three-way merge. What was created is created, what was removed is removed.

    Raises:
        TransactionError: somebody else has changed what it would change, or an object is there (or not) against
            what it expects.
    """
    now: dict[tuple[str, str, str], Json | None] = {}
    found = []
    for record in transaction.writes:
        if record.compensable is not None:
            found.append(plans[record.index])  # its own check says whether it is still needed
            continue
        key = record.write.target.key
        if key not in now:
            now[key] = reader.get(record.write.target.model_copy(update={"uid": ""}))
        planned, after = _once_more(record, plans[record.index], now[key])
        if after is not None and alike(after, now[key]):
            continue  # somebody has done that already
        now[key] = after
        found.append(planned)
    if not found:
        raise TransactionError(f"all that transaction {transaction.id} did is there already; nothing is left to do")
    return tuple(found)


def _once_more(record: WriteRecord, plan: PlannedWrite, now: Json | None) -> tuple[PlannedWrite, Json | None]:
    target = record.write.target
    if creates(record.write):
        if now is not None:
            raise TransactionError(f"{target} is there already; it cannot be created again")
        return plan, plan.dry_run or record.after
    if now is None:
        raise TransactionError(f"{target} is not there any more")
    if removes(record.write) or restored_by_controller(record.write):
        fresh = plan.write.model_copy(update={"expect_uid": uid(now), "expect_version": ""})
        return plan.model_copy(update={"write": fresh, "pre_image": now}), None
    if record.before is None or record.after is None:
        raise TransactionError(f"what was done to {target} is not known")
    before, after = ours(record)
    result = revert(after, before, now, shape())  # taking the undo out again: from `before` to `after`
    if result.conflicts:
        fields = ", ".join(dotted(path) for path in result.conflicts)
        raise TransactionError(f"{target} has been changed since where it would be changed: {fields}")
    wanted = {**result.value, "metadata": {**result.value["metadata"], "resourceVersion": version(now)}}
    write = plan.write.model_copy(
        update={
            "method": "PUT",
            "patch_type": None,
            "subresource": "",
            "body": wanted,
            "expect_uid": uid(now),
            "expect_version": "",
        }
    )
    return plan.model_copy(update={"write": write, "pre_image": now, "dry_run": wanted}), wanted
