"""The exact inverse of a write, computed on objects: what was before, what came of it, and what stands there now."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Literal

from stratus.kit.jsondiff import MISSING, ORDER, Change, Path, Reverted, diff, dotted, leaves, revert, same
from stratus.model.actions import ApiWrite, PlannedWrite
from stratus.model.base import Json, Noun
from stratus.model.refs import ObjectRef
from stratus.model.transactions import WriteRecord
from stratus.transaction.essence import alike, essence, managers, shape, terminating, uid, version


class Inverse(Noun):
    """What has to be done now so that one write is taken back.

    Attributes:
        writes: writes to send, at most one; empty: nothing is left to do.
        conflicts: fields that somebody else changed since; they are left alone.
        waiting: the object is on its way out; look again later.
        not_identical: what comes back only in kind.
    """

    writes: tuple[ApiWrite, ...] = ()
    conflicts: tuple[str, ...] = ()
    waiting: bool = False
    not_identical: tuple[str, ...] = ()


@cache
def _rules() -> dict[str, Any]:
    rules: dict[str, Any] = json.loads(
        resources.files(__package__).joinpath("inverses.json").read_text(encoding="utf-8")
    )
    return rules


def restored_by_controller(write: ApiWrite) -> bool:
    """Tell whether a controller, not the engine, gives back what this write takes away."""
    if write.subresource:
        row = _rules()["subresources"].get(write.subresource, {})
    else:
        row = _rules()["delete"].get(write.target.type_name, {}) if write.method == "DELETE" else {}
    return bool(row.get("restored_by"))


def removes(write: ApiWrite) -> bool:
    """Tell whether a write is meant to remove its object."""
    return write.method == "DELETE" or write.subresource == "eviction"


def creates(write: ApiWrite) -> bool:
    """Tell whether a write can do nothing but create an object."""
    return write.method == "POST" and not write.subresource


def applies(write: ApiWrite) -> bool:
    """Tell whether a write is a server-side apply, which creates what is not there and changes what is."""
    return write.patch_type == "application/apply-patch+yaml"


def refusal(planned: PlannedWrite) -> str:
    """Return why a planned write is not in the table of inverses, or empty when it is."""
    write = planned.write
    kind, rules = write.target.type_name, _rules()
    if planned.reversibility == "irreversible":
        return f"{planned.command or write.method} cannot be undone"
    if write.subresource == "exec" or planned.compensable is not None:
        return _uncompensated(planned)
    if write.subresource:
        row = rules["subresources"].get(write.subresource)
        if row is None or write.method not in row["methods"] or kind not in row["kinds"]:
            return f"no inverse is known for {write.method} of {kind}/{write.subresource}"
    elif write.method == "DELETE" and kind not in rules["delete"]:
        return f"no inverse is known for deleting a {kind}"
    elif (write.method == "POST" or _creating(planned)) and kind not in rules["create"]["kinds"]:
        return f"no inverse is known for creating a {kind}"
    elif write.method in ("PUT", "PATCH") and not (write.target.custom or kind in rules["update"]["kinds"]):
        return f"no inverse is known for changing a {kind}"
    if not write.target.name and not (creates(write) and _generate_name(write)):
        return f"{write.method} of {kind} names no object: writes to whole collections are not recorded one by one"
    return ""


def _uncompensated(planned: PlannedWrite) -> str:
    """Return why a command in a container is not one that its compensation takes back."""
    one, kinds = planned.compensable, _rules()["compensable"]["exec"]["kinds"]
    if one is None or planned.reversibility != "compensable":
        return "a command in a container is run only with a compensation and the checks of both"
    if not one.runbook or one.workload.kind not in kinds:
        return f"a command in a {one.workload.kind} comes from no runbook that states how it is taken back"
    if planned.write != one.write(one.change.command, planned.write.field_manager):
        return "the command is not the one that its compensation belongs to"
    return ""


def obstacle(planned: PlannedWrite, before: Json | None) -> str:
    """Return why a write must not be sent to the object as it stands, or empty.

    Some objects cannot be brought back although their kind can: bare pods, objects held by finalizers, tokens.
    """
    write = planned.write
    if creates(write) or _creating(planned):
        return "it exists already" if before is not None else ""
    if before is None:
        return "it does not exist"
    if terminating(before):
        return "it is being deleted; nothing can bring it back into use"
    meta = before.get("metadata", {})
    if removes(write):
        if restored_by_controller(write):
            owned = any(owner.get("controller") for owner in meta.get("ownerReferences") or ())
            return "" if owned else "no controller owns it, so nothing would restore it"
        if meta.get("finalizers"):
            return f"finalizers {', '.join(meta['finalizers'])} would hold it half deleted"
        if before.get("type") == "kubernetes.io/service-account-token":
            return "a deleted service account token cannot be issued again"
    body = write.body
    if isinstance(body, dict) and body.get("immutable") is True and before.get("immutable") is not True:
        return "`immutable: true` can never be taken back"
    return ""


def prepared(planned: PlannedWrite, before: Json | None, key: str) -> ApiWrite:
    """Return the write as it is sent: named, keyed, with the pre-image's uid and version as preconditions.

    Args:
        key: idempotency key; recorded by the server as the field manager, so that an unanswered write can be found.
    """
    write = planned.write
    change: dict[str, Any] = {}
    if not applies(write):  # its manager says who owns what: not ours to choose
        change["field_manager"] = key
    if before is not None:
        change |= {"expect_uid": uid(before), "expect_version": version(before)}
        if write.method == "PUT" and isinstance(write.body, dict) and "metadata" in write.body:
            body = copy.deepcopy(write.body)
            body["metadata"]["resourceVersion"] = version(before)
            change["body"] = body
        if write.method == "DELETE":
            change["body"] = _delete_options(before, _rules()["delete"][write.target.type_name].get("propagation", ""))
            if isinstance(write.body, dict) and "gracePeriodSeconds" in write.body:
                change["body"]["gracePeriodSeconds"] = write.body["gracePeriodSeconds"]
    return write.model_copy(update=change)


def named(planned: PlannedWrite, suffix: str) -> PlannedWrite:
    """Give an object with `generateName` its name before it is created, so that it can be found whatever happens."""
    write = planned.write
    prefix = _generate_name(write) if creates(write) and not write.target.name else ""
    if not prefix:
        return planned
    body = copy.deepcopy(write.body)
    body["metadata"]["name"] = name = f"{prefix[:57]}{suffix[:5]}"
    target = write.target.model_copy(update={"name": name})
    return planned.model_copy(update={"write": write.model_copy(update={"body": body, "target": target})})


def ours(record: WriteRecord) -> tuple[Json | None, Json | None]:
    """Return the essences before and after, with `after` limited to what this write can have changed."""
    before, after = essence(record.before), essence(record.after)
    row = _rules()["subresources"].get(record.write.subresource, {}) if record.write.subresource else {}
    if before is None or after is None or "fields" not in row:
        return before, after
    limited = copy.deepcopy(before)
    for path in row["fields"]:
        source, target = after, limited
        for part in path[:-1]:
            source, target = source.get(part) or {}, target.setdefault(part, {})
        if path[-1] in source:
            target[path[-1]] = source[path[-1]]
        else:
            target.pop(path[-1], None)
    return before, limited


def invert(record: WriteRecord, now: Json | None, *, key: str, owners: Mapping[str, str]) -> Inverse:
    """Compute what takes one write back, given its object as it stands now.

    Asking again after it was sent gives nothing left to do, so a repeated or interrupted undo does no harm.

    Args:
        record: the journalled write, with its object before and after.
        now: a fresh read of the object, or None when it is gone.
        key: field manager of the undo.
        owners: uids of objects that this undo created again, old to new.
    """
    if record.before is None:
        return _uncreate(record, now, key, owners)
    if removes(record.write):
        return _undelete(record, now, key, owners)
    return _unchange(record, now, key, owners)


def residue(records: Sequence[WriteRecord], now: Json | None, owners: Mapping[str, str]) -> tuple[str, ...]:
    """Say what a transaction changed on one object and is not as it was before it: empty when its undo is proved.

    Differences that somebody else made, on fields no write touched, are no residue. This compares values, on purpose
    not by the merge that made them.

    Args:
        records: all writes to that object, in the order of execution.
        owners: uids of objects that the undo created again, old to new.
    """
    first, name = records[0], str(records[0].write.target)
    if first.before is None:
        made = {one for r in records if r.after is not None for one in (uid(r.after), owners.get(uid(r.after)))}
        mine = now is not None and (not made or uid(now) in made)
        return (f"{name}: absent -> still there",) if mine else ()
    if any(removes(r.write) for r in records):
        if all(restored_by_controller(r.write) for r in records if removes(r.write)):
            return ()
        if now is None or terminating(now):
            return (f"{name}: there -> {'gone' if now is None else 'being deleted'}",)
        if uid(now) != uid(first.before):
            return tuple(f"{name}: {c}" for c in diff(_portable(first.before), _portable(now), shape()))
    if now is None:
        return (f"{name}: there -> gone",)
    expected: dict[Path, Any] = {}
    left: list[str] = []
    origin, present = leaves([essence(first.before), essence(now)], shape())
    for record in records:
        before, after = ours(record)
        if after is None:
            continue
        was, became, found = leaves([before, after, essence(now)], shape())
        for path in {**was, **became}:
            if path in expected or same(was.get(path, MISSING), became.get(path, MISSING)):
                continue
            expected[path] = was.get(path, MISSING)  # the first write to a field knows what stood there before
            there = found.get(path, MISSING)
            if path[-1] == ORDER:  # of the items that a write saw, not of those that came and went before it
                expected[path], there = origin.get(path, MISSING), present.get(path, MISSING)
            if not same(expected[path], there):
                left.append(f"{name}: {Change(path, expected[path], there)}")
    return tuple(left)


def resolution(
    record: WriteRecord, planned: PlannedWrite, now: Json | None, key: str
) -> Literal["done", "absent", "unknown"]:
    """Tell from the object as it stands whether a write that nobody answered has happened."""
    write, before = record.write, record.before
    if removes(write):
        return "done" if now is None or terminating(now) or uid(now) != uid(before) else "absent"
    if now is None:
        return "absent" if before is None else "unknown"
    if before is None:
        sender = write.field_manager if applies(write) else key
        if sender in managers(now) or (not managers(now) and alike(planned.dry_run or write.body, now)):
            return "done"
        return "absent" if managers(now) else "unknown"
    if uid(now) != uid(before):
        return "unknown"
    if version(now) == version(before):
        return "absent"
    if key in managers(now):
        return "done"
    if alike(before, now):
        return "absent"
    wanted = expected_after(planned, before)
    if wanted is None:
        return "unknown"
    was, became, found = leaves([essence(before), essence(wanted), essence(now)], shape())
    touched = [p for p in {**was, **became} if not same(was.get(p, MISSING), became.get(p, MISSING))]
    there = [same(became.get(p, MISSING), found.get(p, MISSING)) for p in touched]
    return "done" if all(there) else "unknown" if any(there) else "absent"


def expected_after(planned: PlannedWrite, before: Json | None) -> Json | None:
    """Return what a rehearsed write makes of an object: the rehearsal's change put onto it; None without one."""
    if planned.dry_run is None or before is None or planned.pre_image is None or planned.write.subresource:
        return None
    merged = revert(essence(planned.dry_run), essence(planned.pre_image), before, shape())
    value: Json = merged.value
    return None if merged.conflicts else value


def _uncreate(record: WriteRecord, now: Json | None, key: str, owners: Mapping[str, str]) -> Inverse:
    if now is None:
        return Inverse()
    if record.after is not None and not _is(now, record.after, owners):
        return Inverse(not_identical=(f"{record.write.target}: ours is gone, somebody else made another",))
    if terminating(now):
        return Inverse(waiting=True)
    if applies(record.write) and managers(record.after) - {record.write.field_manager}:
        return Inverse(conflicts=(f"{record.write.target}: somebody else made it at the same moment",))
    others = diff(essence(record.after), essence(now), shape()) if record.after is not None else ()
    if others:
        return Inverse(conflicts=tuple(f"{record.write.target}: {dotted(c.path)}" for c in others))
    body = _delete_options(now, _rules()["create"]["propagation"])
    return Inverse(writes=(_write(record, "DELETE", now, body, key),))


def _undelete(record: WriteRecord, now: Json | None, key: str, owners: Mapping[str, str]) -> Inverse:
    assert record.before is not None
    name = str(record.write.target)
    if restored_by_controller(record.write):
        return Inverse(not_identical=(f"{name}: its controller made another; name, address and uid differ",))
    if now is not None and terminating(now):
        return Inverse(waiting=True)
    if now is not None:
        if uid(now) == uid(record.before) or alike(_portable(record.before), _portable(now)):
            return Inverse()
        return Inverse(conflicts=(f"{name}: somebody else made another",))
    body = _portable(record.before, owners)
    return Inverse(writes=(_write(record, "POST", None, body, key),))


def _is(now: Json, then: Json | None, owners: Mapping[str, str]) -> bool:
    """Tell whether an object is the one it was, or the one that this undo created in its place."""
    return uid(now) == owners.get(uid(then), uid(then))


def _unchange(record: WriteRecord, now: Json | None, key: str, owners: Mapping[str, str]) -> Inverse:
    name = str(record.write.target)
    if now is None:
        return Inverse(conflicts=(f"{name}: somebody else deleted it",))
    if not _is(now, record.before, owners):
        return Inverse(conflicts=(f"{name}: somebody else deleted it and made another",))
    if terminating(now):
        return Inverse(conflicts=(f"{name}: it is being deleted",))
    merged = reverted(record, now)
    conflicts = tuple(f"{name}: {dotted(path) or 'the whole object'}" for path in merged.conflicts)
    said = f"{name}: who owns the fields; the owner's next server-side apply may report conflicts"
    notes = (said,) if applies(record.write) else ()
    if alike(merged.value, now):
        return Inverse(conflicts=conflicts, not_identical=notes)
    put = _write(record, "PUT", now, merged.value, key)
    return Inverse(writes=(put,), conflicts=conflicts, not_identical=notes)


def reverted(record: WriteRecord, now: Json) -> Reverted:
    """Return the object as it stands now without what this write changed."""
    before, after = ours(record)
    return revert(before, after, now, shape())


def _write(record: WriteRecord, method: Any, now: Json | None, body: Json, key: str) -> ApiWrite:
    target: ObjectRef = record.write.target
    return ApiWrite(
        method=method,
        target=target.model_copy(update={"uid": uid(now)}),
        plural=record.write.plural,
        namespaced=record.write.namespaced,
        body=body,
        field_manager=key,
        expect_uid=uid(now),
        expect_version=version(now),
    )


def _delete_options(obj: Json, propagation: str) -> Json:
    """Say what to delete and how, in the body: with a body the server ignores options in the query."""
    options: Json = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": uid(obj), "resourceVersion": version(obj)},
    }
    if propagation:
        options["propagationPolicy"] = propagation
    return options


def _portable(obj: Json, owners: Mapping[str, str] | None = None) -> Json:
    """Return an object as it can be created again: without server-managed fields, owners by their new uids."""
    out = essence(obj) or {}
    for owner in (out.get("metadata") or {}).get("ownerReferences") or ():
        owner["uid"] = (owners or {}).get(owner.get("uid", ""), owner.get("uid", ""))
    return out


def _creating(planned: PlannedWrite) -> bool:
    """Tell whether a server-side apply was planned to create its object."""
    return applies(planned.write) and planned.pre_image is None


def _generate_name(write: ApiWrite) -> str:
    meta = write.body.get("metadata") if isinstance(write.body, dict) else None
    return str((meta or {}).get("generateName") or "")
