"""Patches as documents: two- and three-way strategic merge, JSON merge patch; making them and applying them.

The rules of the strategic kind (which lists merge, by which key) are handed in as a `Rules` table. A made patch carries
the directives that a Kubernetes API server reads: `$patch: delete`, `$setElementOrder/FIELD`,
`$deleteFromPrimitiveList/FIELD`, `$retainKeys`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

_ORDER = "$setElementOrder/"
_DROP = "$deleteFromPrimitiveList/"
_KEEP = "$retainKeys"


@dataclass(frozen=True)
class Field:
    """How one field merges.

    Attributes:
        type: name of the type it holds (or whose items it holds), or empty.
        merge: whether a list merges item by item.
        retain: whether keys absent from the wanted value are to go (unions).
        replace: whether the value is always replaced as a whole.
        key: merge key of a list of objects; empty for a list of scalars.
    """

    type: str = ""
    merge: bool = False
    retain: bool = False
    replace: bool = False
    key: str = ""


PLAIN = Field()


class Rules:
    """Merge rules of types, by name."""

    def __init__(self, types: Mapping[str, Mapping[str, Mapping[str, str]]]) -> None:
        self._types = {name: {field: _field(row) for field, row in fields.items()} for name, fields in types.items()}

    def field(self, type: str, name: str) -> Field:
        """Return how a field of a type merges; an unknown one merges plainly."""
        return self._types.get(type, {}).get(name, PLAIN)


def _field(row: Mapping[str, str]) -> Field:
    strategies = row.get("strategy", "").split(",")
    return Field(
        type=row.get("type", ""),
        merge="merge" in strategies,
        retain="retainKeys" in strategies,
        replace="replace" in strategies,
        key=row.get("key", ""),
    )


@dataclass(frozen=True)
class _Want:
    """Which differences a diff is to state."""

    additions: bool = True
    deletions: bool = True


def strategic_diff(before: Json, after: Json, rules: Rules, type: str) -> Json:
    """Return the strategic merge patch that turns `before` into `after`; empty when they are equal."""
    return _diff(before, after, rules, type, _Want())


def strategic_three_way(original: Json, modified: Json, current: Json, rules: Rules, type: str) -> Json:
    """Return the strategic merge patch of an apply.

    It sets in `current` what `modified` says and removes what was in `original` and is not in `modified`; everything
    else of `current` stays.
    """
    changes = _diff(current, modified, rules, type, _Want(deletions=False))
    deletions = _diff(original, modified, rules, type, _Want(additions=False))
    return _joined(deletions, changes, rules, type)


def merge_three_way(original: Json, modified: Json, current: Json) -> Json:
    """Return the JSON merge patch of an apply, for kinds without strategic merge."""

    def additions(now: Json, wanted: Json) -> Json:
        patch: Json = {}
        for key, value in wanted.items():
            if isinstance(value, dict) and isinstance(now.get(key), dict):
                inner = additions(now[key], value)
                if inner:
                    patch[key] = inner
            elif key not in now or not same(now[key], value):
                patch[key] = value
        return patch

    def removals(was: Json, wanted: Json) -> Json:
        patch: Json = {}
        for key, value in was.items():
            if key not in wanted:
                patch[key] = None
            elif isinstance(value, dict) and isinstance(wanted[key], dict):
                inner = removals(value, wanted[key])
                if inner:
                    patch[key] = inner
        return patch

    def join(one: Json, other: Json) -> Json:
        result = dict(one)
        for key, value in other.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = join(result[key], value) if both else value
        return result

    return copy.deepcopy(join(removals(original, modified), additions(current, modified)))


def merge_diff(before: Json, after: Json) -> Json:
    """Return the JSON merge patch (RFC 7396) that turns `before` into `after`; empty when they are equal."""
    return merge_three_way(before, after, before)


def merge_apply(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch; the arguments are not modified."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_apply(result.get(key), value)
    return result


def strategic_apply(target: Json, patch: Json, rules: Rules, type: str) -> Json:
    """Apply a strategic merge patch; the arguments are not modified.

    New items of a merged list come last where the patch states no order; a server may put them elsewhere.
    """
    if patch.get("$patch") == "replace":
        return copy.deepcopy({k: v for k, v in patch.items() if k != "$patch"})
    if patch.get("$patch") == "delete":
        return {}
    result = dict(target)
    if isinstance(patch.get(_KEEP), list):
        result = {k: v for k, v in result.items() if k in patch[_KEEP]}
    for key, value in patch.items():
        if key == _KEEP or key.startswith((_ORDER, _DROP)):
            continue
        field = rules.field(type, key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key, {}), dict):
            result[key] = strategic_apply(result.get(key) or {}, value, rules, field.type)
        elif isinstance(value, list) and field.merge:
            result[key] = _apply_list(result.get(key) or [], value, field, rules)
        else:
            result[key] = copy.deepcopy(value)
    for key, gone in patch.items():
        name = key.removeprefix(_DROP)
        if key.startswith(_DROP) and name in result:
            result[name] = [item for item in result[name] if item not in gone]
    for key, order in patch.items():
        name = key.removeprefix(_ORDER)
        if key.startswith(_ORDER) and name in result:
            result[name] = _ordered(result[name], order, rules.field(type, name).key)
    return result


def same(one: Any, other: Any) -> bool:
    """Compare as JSON does: 1 equals 1.0, but true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(v, other[k]) for k, v in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def _diff(before: Json, after: Json, rules: Rules, type: str, want: _Want) -> Json:
    patch: Json = {}
    for key, new in after.items():
        field = rules.field(type, key)
        if key not in before:
            if want.additions:
                patch[key] = copy.deepcopy(new)
            continue
        old = before[key]
        if isinstance(old, dict) and isinstance(new, dict) and not field.replace:
            inner = _diff(old, new, rules, field.type, want)
            if inner and field.retain:
                inner[_KEEP] = sorted(new)
            if inner:
                patch[key] = inner
        elif isinstance(old, list) and isinstance(new, list) and field.merge:
            patch.update(_diff_list(key, old, new, field, rules, want))
        elif want.additions and not same(old, new):
            patch[key] = copy.deepcopy(new)
    if want.deletions:
        patch.update({key: None for key in before if key not in after})
    return patch


def _diff_list(name: str, old: list[Any], new: list[Any], field: Field, rules: Rules, want: _Want) -> Json:
    if not old:
        return {name: copy.deepcopy(new)} if new and want.additions else {}
    if not field.key:
        added = [item for item in new if item not in old] if want.additions else []
        gone = [item for item in old if item not in new] if want.deletions else []
        patch: Json = {name: added} if added else {}
        if gone:
            patch[_DROP + name] = gone
        if added or gone:
            patch[_ORDER + name] = list(new)
        return patch
    was = {item.get(field.key): item for item in old}
    items: list[Any] = []
    for item in new:
        key = item.get(field.key)
        if key not in was:
            if want.additions:
                items.append(copy.deepcopy(item))
            continue
        inner = _diff(was[key], item, rules, field.type, want)
        if inner and field.retain:
            inner[_KEEP] = sorted(item)
        if inner:
            items.append({**inner, field.key: key})
    if want.deletions:
        kept = {item.get(field.key) for item in new}
        items += [{"$patch": "delete", field.key: key} for key in was if key not in kept]
    moved = [k for k in was if k in {i.get(field.key) for i in new}] != [
        i.get(field.key) for i in new if i.get(field.key) in was
    ]
    patch = {name: items} if items else {}
    if items or moved:
        patch[_ORDER + name] = [{field.key: item.get(field.key)} for item in new]
    return patch


def _joined(deletions: Json, changes: Json, rules: Rules, type: str) -> Json:
    """Put the removals of one patch and the changes of another into one; where both speak, the change wins."""
    result = dict(deletions)
    for key, value in changes.items():
        field = rules.field(type, key)
        other = result.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            result[key] = _joined(other, value, rules, field.type)
        elif isinstance(value, list) and isinstance(other, list) and field.merge and field.key:
            gone = {item.get(field.key): item for item in other}
            merged = [
                _joined(gone.pop(item.get(field.key)), item, rules, field.type) if item.get(field.key) in gone else item
                for item in value
            ]
            result[key] = [*merged, *gone.values()]
        else:
            result[key] = value
    return result


def _apply_list(old: list[Any], patch: list[Any], field: Field, rules: Rules) -> list[Any]:
    if not field.key or any(not isinstance(item, dict) for item in [*old, *patch]):
        return [*old, *(item for item in patch if item not in old)]
    if any(item == {"$patch": "replace"} for item in patch):
        return [copy.deepcopy(item) for item in patch if item != {"$patch": "replace"}]
    result = list(old)
    for item in patch:
        key = item.get(field.key)
        at = next((i for i, found in enumerate(result) if found.get(field.key) == key), None)
        if item.get("$patch") == "delete":
            result = [found for found in result if found.get(field.key) != key]
        elif at is None:
            result.append(strategic_apply({}, item, rules, field.type))
        else:
            result[at] = strategic_apply(result[at], item, rules, field.type)
    return result


def _ordered(items: list[Any], order: list[Any], key: str) -> list[Any]:
    """Sort listed items as the order says; those it does not list keep their place behind the one before them."""

    def name(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    place = {name(entry): at for at, entry in enumerate(order)}
    listed = iter(sorted((i for i in items if name(i) in place), key=lambda i: place[name(i)]))
    return [next(listed) if name(item) in place else item for item in items]
