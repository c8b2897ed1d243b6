"""Taking a change back without touching what others changed meanwhile: three-way merges of objects, texts and state."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

#: A field that is not there.
GONE: Any = type("Gone", (), {"__repr__": lambda self: "GONE"})()
#: What tells the elements of a list apart, in order of preference (taints need two fields).
_KEYS = (("key", "effect"), ("name",), ("containerPort",), ("port",), ("mountPath",), ("ip",), ("type",), ("key",))


def undo(was: Any, after: Any, current: Any) -> Any:
    """Return `current` without the change that made `after` out of `was`.

    A field that has another value than the change gave it was edited by somebody else: it stays as it is. Lists of
    mappings are merged by what names their elements; JSON documents inside a string are merged as documents, other
    texts by lines; dataclasses are changed in place.
    """
    if current is GONE and after is not GONE and was is not GONE:
        return GONE
    if _same(was, after):
        return current
    if _same(current, after):
        if was is GONE:
            return GONE
        return _into(current, was) if dataclasses.is_dataclass(current) else copy.deepcopy(was)
    if isinstance(was, dict) and isinstance(after, dict) and isinstance(current, dict):
        return _mapping(was, after, current)
    if isinstance(was, list) and isinstance(after, list) and isinstance(current, list):
        return _sequence(was, after, current)
    if isinstance(was, str) and isinstance(after, str) and isinstance(current, str):
        return _text(was, after, current)
    if dataclasses.is_dataclass(current) and type(was) is type(after) is type(current):
        for field in dataclasses.fields(current):
            now = getattr(current, field.name)
            then = undo(getattr(was, field.name), getattr(after, field.name), now)
            if then is not now:
                setattr(current, field.name, then)
        return current
    return current


def _same(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) and bool(one == other))


def _into(current: Any, was: Any) -> Any:
    for field in dataclasses.fields(current):
        setattr(current, field.name, copy.deepcopy(getattr(was, field.name)))
    return current


def _mapping(was: dict[Any, Any], after: dict[Any, Any], current: dict[Any, Any]) -> dict[Any, Any]:
    found = dict(current)
    for key in [*current, *(k for k in was if k not in current)]:
        value = undo(was.get(key, GONE), after.get(key, GONE), current.get(key, GONE))
        if value is GONE:
            found.pop(key, None)
        else:
            found[key] = value
    return found


def _sequence(was: list[Any], after: list[Any], current: list[Any]) -> list[Any]:
    key = _key(was, after, current)
    if key is None:
        if any(isinstance(e, dict | list) for e in (*was, *after, *current)) or len(set(current)) < len(current):
            return current
        # A set in effect (roles, finalizers): what was added goes, what was removed comes back.
        kept = [e for e in current if e not in after or e in was]
        return kept + [e for e in was if e not in after and e not in kept]
    before, then, now = ({tuple(e.get(k) for k in key): e for e in part} for part in (was, after, current))
    found = []
    for name in [*now, *(n for n in before if n not in now)]:
        value = undo(before.get(name, GONE), then.get(name, GONE), now.get(name, GONE))
        if value is not GONE:
            found.append((name, value))
    order = list(before)
    if {name for name, _ in found} == set(order):
        found.sort(key=lambda pair: order.index(pair[0]))
    return [value for _, value in found]


def _key(*lists: list[Any]) -> tuple[str, ...] | None:
    for key in _KEYS:
        if all(_tells_apart(key, part) for part in lists):
            return key
    return None


def _tells_apart(key: tuple[str, ...], part: list[Any]) -> bool:
    if not all(isinstance(e, dict) and all(k in e for k in key) for e in part):
        return False
    names = [tuple(e[k] for k in key) for e in part]
    return all(isinstance(v, str | int) for name in names for v in name) and len(set(names)) == len(names)


def _text(was: str, after: str, current: str) -> str:
    documents = [_document(t) for t in (was, after, current)]
    if all(d is not None for d in documents):
        merged = undo(*documents)
        return was if merged == documents[0] else json.dumps(merged, indent=2)
    old, new, now = (t.split("\n") for t in (was, after, current))
    if len(old) == len(new) == len(now) == 1:
        return current
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    # One line of surroundings, where there is one, tells where a deleted piece was.
    first, last = max(0, start - 1), max(0, end - 1)
    piece, instead = new[first : len(new) - last], old[first : len(old) - last]
    spots = [i for i in range(len(now) - len(piece) + 1) if now[i : i + len(piece)] == piece]
    if len(spots) != 1:
        return current
    return "\n".join([*now[: spots[0]], *instead, *now[spots[0] + len(piece) :]])


def _document(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
