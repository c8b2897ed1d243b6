"""Structural differences of JSON documents, and reverting one of them out of a document others have changed since.

Lists are compared item by item when a table names the key of their items, as sets when it says so, and as one
value otherwise. Nothing here knows Kubernetes: the table is handed in.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

ORDER: Final = "[order]"
"""Last part of the path that stands for the order of a list's items."""
Path = tuple[str, ...]
"""Where a value stands: map keys as they are, list items as `[name=web]`."""


class _Missing:
    """The value of what is not there; unlike None, which JSON can hold."""

    def __repr__(self) -> str:
        return "absent"

    def __deepcopy__(self, memo: object) -> _Missing:
        return self


MISSING: Final = _Missing()


@dataclass(frozen=True)
class Shape:
    """How lists and maps are to be read, by the name of the field that holds them.

    Attributes:
        keys: alternatives for the key of a list's items; each is one or more fields, written `name` or
            `protocol=TCP` where an absent field means that value. The first that fits all lists is used.
        sets: fields holding lists of distinct scalars whose order means nothing.
        maps: fields holding free maps, where entries are independent of each other (labels, data ...); in all
            other objects the fields belong together.
    """

    keys: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    sets: frozenset[str] = frozenset()
    maps: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Change:
    """One difference; `before` or `after` is `MISSING` for what was added or removed."""

    path: Path
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {_short(self.before)} -> {_short(self.after)}"


@dataclass(frozen=True)
class Reverted:
    """A document without somebody's change.

    Attributes:
        value: the document; `MISSING` when nothing of it is left.
        conflicts: places where both the change and somebody else's edit stand; left as they are.
    """

    value: Any
    conflicts: tuple[Path, ...] = ()


def dotted(path: Path) -> str:
    """Write a path as people do: `spec.containers[name=web].image`, odd keys in quotes."""
    text = ""
    for part in path:
        if part.startswith("["):
            text += part
        elif part.replace("-", "").replace("_", "").isalnum():
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text


def diff(before: Any, after: Any, shape: Shape) -> tuple[Change, ...]:
    """Return the differences, smallest places first found, in the order of the documents."""
    return tuple(_diff(before, after, "", (), shape))


def same(one: Any, other: Any) -> bool:
    """Compare as JSON does: 1 and 1.0 are equal, 1 and true are not."""
    if one is MISSING or other is MISSING:
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(v, other[k]) for k, v in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def revert(before: Any, after: Any, now: Any, shape: Shape) -> Reverted:
    """Take the change `before -> after` out of `now`, keeping what others changed since.

    What only the change touched gets its value of `before`; what others touched too and is neither as `before` nor
    as `after` is a conflict and stays as found. The arguments are not modified.
    """
    conflicts: list[Path] = []
    value = _revert(before, after, now, "", (), shape, conflicts)
    return Reverted(copy.deepcopy(value), tuple(conflicts))


def leaves(documents: Sequence[Any], shape: Shape) -> list[dict[Path, Any]]:
    """Flatten documents side by side into their smallest values by path, with one reading of their lists for all."""
    found: list[dict[Path, Any]] = [{} for _ in documents]
    _leaves(list(documents), "", (), shape, found)
    return found


def _leaves(values: list[Any], name: str, path: Path, shape: Shape, found: list[dict[Path, Any]]) -> None:
    present = [v for v in values if v is not MISSING]
    if present and all(isinstance(v, dict) for v in present):
        tables: list[dict[str, Any]] | None = [{} if v is MISSING else v for v in values]
        keyed = False
    elif present and all(isinstance(v, list) for v in present):
        tables, keyed = _tables(name, [[] if v is MISSING else v for v in values], shape), True
    else:
        tables, keyed = None, False
    if tables is None:
        for flat, value in zip(found, values, strict=True):
            if value is not MISSING:
                flat[path] = value
        return
    for key in dict.fromkeys(key for table in tables for key in table):
        inner = "" if keyed else key
        _leaves([table.get(key, MISSING) for table in tables], inner, (*path, key), shape, found)
    if keyed and name not in shape.sets:
        common = set.intersection(*(set(table) for table in tables))
        for flat, table in zip(found, tables, strict=True):
            flat[(*path, ORDER)] = [key for key in table if key in common]


def _short(value: Any, limit: int = 80) -> str:
    text = repr(value) if not isinstance(value, str) else value
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _diff(before: Any, after: Any, name: str, path: Path, shape: Shape) -> Iterable[Change]:
    if same(before, after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(k for k in after if k not in before)]:
            yield from _diff(before.get(key, MISSING), after.get(key, MISSING), key, (*path, key), shape)
        return
    if isinstance(before, list) and isinstance(after, list):
        tables = _tables(name, (before, after), shape)
        if tables is not None:
            old, new = tables
            for key in [*old, *(k for k in new if k not in old)]:
                yield from _diff(old.get(key, MISSING), new.get(key, MISSING), "", (*path, key), shape)
            common = [k for k in new if k in old]
            if name not in shape.sets and common != [k for k in old if k in new]:
                yield Change((*path, ORDER), list(old), list(new))
            return
    yield Change(path, before, after)


def _tables(name: str, lists: Iterable[list[Any]], shape: Shape) -> list[dict[str, Any]] | None:
    """Read lists as maps from item key to item, or None when they are to be taken as one value."""
    lists = list(lists)
    if name in shape.sets:
        return _indexed(lists, lambda item: f"[{item}]" if isinstance(item, str | int) else None)
    for fields in shape.keys.get(name, ()):
        specs = [spec.partition("=") for spec in fields]

        def label(item: Any, specs: list[tuple[str, str, str]] = specs) -> str | None:
            if not isinstance(item, dict):
                return None
            parts = []
            for field_name, _, default in specs:
                value = item.get(field_name, default or None)
                if not isinstance(value, str | int):
                    return None
                parts.append(f"{field_name}={value}")
            return f"[{','.join(parts)}]"

        found = _indexed(lists, label)
        if found is not None:
            return found
    return None


def _indexed(lists: list[list[Any]], label: Any) -> list[dict[str, Any]] | None:
    tables: list[dict[str, Any]] = []
    for items in lists:
        table: dict[str, Any] = {}
        for item in items:
            key = label(item)
            if key is None or key in table:
                return None
            table[key] = item
        tables.append(table)
    return tables


def _revert(before: Any, after: Any, now: Any, name: str, path: Path, shape: Shape, conflicts: list[Path]) -> Any:
    if same(before, after) or same(now, before):
        return now
    if same(now, after):
        return before
    found: list[Path] = []
    merged: Any = MISSING
    if _maps(before, after, now) and (after is not MISSING or name in shape.maps):
        merged = _revert_map(before, after, now, path, shape, found)
    elif _lists(before, after, now) and (
        tables := _tables(name, [v if v is not MISSING else [] for v in (before, after, now)], shape)
    ):
        merged = _revert_list(tables, name, path, shape, found)
        if not merged and before is MISSING:
            merged = MISSING
    else:
        found.append(path)
    conflicts.extend(found)
    # Part of something that was added or removed as a whole makes no sense on its own: keep what is found.
    whole = (before is MISSING or after is MISSING) and name not in shape.maps
    torn = bool(found) and (whole or path in found)
    return now if torn else merged


def _maps(before: Any, after: Any, now: Any) -> bool:
    return isinstance(now, dict) and all(v is MISSING or isinstance(v, dict) for v in (before, after))


def _lists(before: Any, after: Any, now: Any) -> bool:
    return isinstance(now, list) and all(v is MISSING or isinstance(v, list) for v in (before, after))


def _revert_map(before: Any, after: Any, now: dict[str, Any], path: Path, shape: Shape, found: list[Path]) -> Any:
    old: dict[str, Any] = {} if before is MISSING else before
    new: dict[str, Any] = {} if after is MISSING else after
    out = dict(now)
    for key in [*old, *(k for k in new if k not in old)]:
        value = _revert(
            old.get(key, MISSING), new.get(key, MISSING), now.get(key, MISSING), key, (*path, key), shape, found
        )
        if value is MISSING:
            out.pop(key, None)
        else:
            out[key] = value
    return MISSING if before is MISSING and not out else out


def _revert_list(tables: list[dict[str, Any]], name: str, path: Path, shape: Shape, found: list[Path]) -> list[Any]:
    old, new, present = tables
    out = dict(present)
    for key in [*old, *(k for k in new if k not in old)]:
        value = _revert(
            old.get(key, MISSING), new.get(key, MISSING), present.get(key, MISSING), "", (*path, key), shape, found
        )
        if value is MISSING:
            out.pop(key, None)
        else:
            out[key] = value
    if list(present) == list(new):  # nobody else moved, added or removed an item: the old order is the right one
        order = [k for k in old if k in out] + [k for k in out if k not in old]
    else:
        order = [k for k in present if k in out]
        for key in (k for k in out if k not in present):
            order.insert(_place(key, list(old), order), key)
    return [out[k] for k in order]


def _place(key: str, old: list[str], order: list[str]) -> int:
    """Find where an item put back belongs: after the nearest of its old predecessors that is still there."""
    for earlier in reversed(old[: old.index(key)]):
        if earlier in order:
            return order.index(earlier) + 1
    return 0
