"""Sets of field paths in the FieldsV1 form: computed from objects, compared, joined, and cut out of objects.

A set is a nested dict: `{"f:spec": {"f:replicas": {}}}`. A path belongs to the set when its dict is empty (a leaf)
or holds ".".
"""

from __future__ import annotations

from typing import Any

from stratus.sim.api.nodes import ANY, Node, item_key

Obj = dict[str, Any]
Fields = dict[str, Any]


def whole(node: Node | None, value: Any) -> Fields:
    """Return the set of a value that has newly come: itself and all below it, without its own path."""
    return _collect(node, value, True)


def applied(node: Node | None, value: Any) -> Fields:
    """Return the set of what an apply configuration names: leaves, and list items as such."""
    return _collect(node, value, False)


def _collect(node: Node | None, value: Any, dots: bool) -> Fields:
    node = node or ANY
    if node.atomic or node.kind == "scalar" or not isinstance(value, dict | list) or not value:
        return {}
    out: Fields = {".": {}} if dots else {}
    if isinstance(value, dict):
        if node.kind == "list":
            return {}
        for key, item in value.items():
            out["f:" + key] = _collect(node.child(key) if node is not ANY else ANY, item, dots)
        return out
    if not node.keys and not node.set_list:
        return {}
    child = node.child("")
    for item in value:
        name = item_key(node, item)
        if name is None:
            return {}
        if name in out:
            # Items with the same key are owned as one, whatever is in them.
            out[name] = {}
            continue
        below = {} if node.set_list else _collect(child, item, dots)
        if below and not dots:
            below = {".": {}, **below}
        out[name] = below
    return out


def compare(node: Node | None, old: Any, new: Any) -> tuple[Fields, Fields]:
    """Return (changed or added, removed) between two values of one place; both empty when nothing differs.

    A changed leaf of the place itself shows as `{".": {}}`.
    """
    node = node or ANY
    if old == new:
        return {}, {}
    if node.atomic or node.kind == "scalar":
        return {".": {}}, {}
    changed: Fields = {}
    removed: Fields = {}
    if isinstance(new, dict) and isinstance(old, dict) and node.kind != "list":
        for key, item in new.items():
            child = node.child(key) if node is not ANY else ANY
            if key not in old:
                changed["f:" + key] = whole(child, item)
            elif old[key] != item:
                _step(changed, removed, "f:" + key, child, old[key], item)
        for key, item in old.items():
            if key not in new:
                child = node.child(key) if node is not ANY else ANY
                removed["f:" + key] = whole(child, item)
        if new == {} and old:
            changed.setdefault(".", {})
        return changed, removed
    if (
        node.kind == "list"
        and (node.keys or node.set_list)
        and (old is None or isinstance(old, list))
        and (new is None or isinstance(new, list))
    ):
        child = node.child("")
        before, again = _by_key(node, old)
        after, twice = _by_key(node, new)
        for name, item in after.items():
            if name is None:
                return {".": {}}, {}
            if name in twice or name in again:
                if twice.get(name, [item]) != again.get(name, [before.get(name)]):
                    changed[name] = {}
            elif name not in before:
                changed[name] = {} if node.set_list else whole(child, item)
            elif before[name] != item:
                _step(changed, removed, name, child, before[name], item)
        for name, item in before.items():
            if name is not None and name not in after:
                removed[name] = {} if node.set_list else whole(child, item)
        return changed, removed
    if old is None and isinstance(new, dict):
        return whole(node, new) or {".": {}}, {}
    return {".": {}}, {}


def _by_key(node: Node, items: Any) -> tuple[dict[str | None, Any], dict[str | None, list[Any]]]:
    """Return a list's items by key, and all items of those keys that occur more than once."""
    out: dict[str | None, Any] = {}
    twice: dict[str | None, list[Any]] = {}
    for item in items or ():
        name = item_key(node, item)
        if name in out:
            twice.setdefault(name, [out[name]]).append(item)
        else:
            out[name] = item
    return out, twice


def _step(changed: Fields, removed: Fields, name: str, child: Node | None, old: Any, new: Any) -> None:
    inner, gone = compare(child, old, new)
    if inner == {".": {}}:
        changed[name] = {}
    elif inner:
        changed[name] = inner
    if gone:
        removed[name] = gone


def union(a: Fields, b: Fields) -> Fields:
    """Return the paths in either set."""
    if not a or not b:
        # A leaf joined with deeper paths is itself and those paths.
        deeper = a or b
        return {".": {}, **deeper} if deeper else {}
    return _union(a, b)


def _union(a: Fields, b: Fields) -> Fields:
    out = dict(a)
    for key, sub in b.items():
        if key not in out:
            out[key] = sub
        elif key != ".":
            mine = out[key]
            if not mine or not sub:
                deeper = mine or sub
                out[key] = {".": {}, **deeper} if deeper else {}
            else:
                out[key] = _union(mine, sub)
    return out


def merge(a: Fields, b: Fields) -> Fields:
    """Return the union of two root sets (an empty root is no leaf)."""
    if not a:
        return b
    return _union(a, b) if b else a


def subtract(a: Fields, b: Fields) -> Fields:
    """Return the paths of root set `a` that are not in `b` (paths, not subtrees)."""
    out: Fields = {}
    for key, mine in a.items():
        if key not in b:
            out[key] = mine
            continue
        if key == ".":
            continue
        theirs = b[key]
        mine_leaf, theirs_member = not mine, not theirs or "." in theirs
        if mine_leaf:
            if not theirs_member:
                out[key] = mine
            continue
        rest = subtract(mine, theirs if theirs else {".": {}})
        if rest:
            if set(rest) == {"."}:
                rest = {}
            out[key] = rest
        # what remains only as a container of nothing is gone
    return out


def with_containers(fields: Fields) -> Fields:
    """Return a set with every named field that holds a member a member too."""
    out: Fields = {}
    for key, inner in fields.items():
        below = with_containers(inner) if inner else inner
        out[key] = {".": {}, **below} if below and key.startswith("f:") else below
    return out


def intersect(a: Fields, b: Fields) -> Fields:
    """Return the paths in both root sets."""
    out: Fields = {}
    for key, mine in a.items():
        if key not in b:
            continue
        theirs = b[key]
        if key == ".":
            out[key] = {}
            continue
        mine_member, theirs_member = not mine or "." in mine, not theirs or "." in theirs
        inner = intersect({k: v for k, v in mine.items() if k != "."}, {k: v for k, v in theirs.items() if k != "."})
        if mine_member and theirs_member:
            out[key] = {".": {}, **inner} if inner else {}
        elif inner:
            out[key] = inner
    return out


def paths(fields: Fields, prefix: str = "") -> list[str]:
    """Write the members of a set as conflicts name them: `.spec.containers[name="web"].args`."""
    import json

    out = []
    for key, sub in sorted(fields.items()):
        if key == ".":
            continue
        if key.startswith("f:"):
            here = f"{prefix}.{key[2:]}"
        elif key.startswith("k:"):
            pairs = json.loads(key[2:])
            here = prefix + "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in pairs.items()) + "]"
        else:
            here = f"{prefix}[={key[2:]}]"
        if not sub or "." in sub:
            out.append(here)
        out += paths(sub, here)
    return out


def without(node: Node | None, value: Any, gone: Fields) -> Any:
    """Return a value without the members of `gone` (copying only what changes)."""
    node = node or ANY
    if isinstance(value, dict) and node.kind != "list":
        out = dict(value)
        for key, sub in gone.items():
            if not key.startswith("f:") or key[2:] not in out:
                continue
            name = key[2:]
            child = node.child(name) if node is not ANY else ANY
            out[name] = _cut(child, out[name], sub)
            if out[name] is _GONE:
                del out[name]
        return out
    if isinstance(value, list) and (node.keys or node.set_list):
        kept = []
        child = node.child("")
        for item in value:
            name_or_none = item_key(node, item)
            if name_or_none in gone:
                item = _cut(child, item, gone[name_or_none])
                if item is _GONE:
                    continue
            kept.append(item)
        return kept
    return value


_GONE = object()


def _cut(child: Node | None, value: Any, sub: Fields) -> Any:
    # An item or map nobody owns any more goes whole, with the defaults the server put into it.
    return _GONE if not sub or "." in sub else without(child, value, sub)
