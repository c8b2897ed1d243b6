"""Strategic merge patch: lists merged by key, with its directives, driven by the type table."""

from __future__ import annotations

from typing import Any

from stratus.sim.api.status import bad_request, internal
from stratus.sim.schema import types
from stratus.sim.schema.types import Field, Type

Obj = dict[str, Any]

_PATCH, _RETAIN = "$patch", "$retainKeys"
_ORDER, _PRIMITIVE = "$setElementOrder/", "$deleteFromPrimitiveList/"


def strategic_merge(kind: Type | None, target: Obj, patch: Any) -> Obj:
    """Apply a strategic merge patch to an object of the type; the original is not touched.

    Raises:
        ApiError: 400 for a patch that is no object or misuses a directive, 500 for a list item without its merge key.
    """
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}")
    return _merge_map(kind, target, patch)


def _merge_map(kind: Type | None, target: Obj, patch: Obj) -> Obj:
    directive = patch.get(_PATCH)
    if directive is not None:
        if directive == "replace":
            return {k: v for k, v in patch.items() if k != _PATCH}
        if directive == "delete":
            return {}
        if directive != "merge":
            raise bad_request(f"Unknown patch type found: {directive}")
    out = dict(target)
    retain = patch.get(_RETAIN)
    if isinstance(retain, list):
        out = {k: v for k, v in out.items() if k in retain}
    orders: dict[str, list[Any]] = {}
    for key, value in patch.items():
        if key in (_PATCH, _RETAIN):
            continue
        if key.startswith(_ORDER):
            orders[key[len(_ORDER) :]] = value
            continue
        if key.startswith(_PRIMITIVE):
            name = key[len(_PRIMITIVE) :]
            if isinstance(out.get(name), list):
                out[name] = [item for item in out[name] if item not in value]
            continue
        if value is None:
            out.pop(key, None)
            continue
        field = kind.fields.get(key) if kind else None
        out[key] = _merge_value(field, out.get(key), value)
    for name, order in orders.items():
        field = kind.fields.get(name) if kind else None
        if isinstance(out.get(name), list) and field is not None:
            out[name] = _arranged(field, target.get(name) or [], out[name], order)
    return out


def _merge_value(field: Field | None, old: Any, value: Any) -> Any:
    if isinstance(value, dict):
        kind = _struct(field)
        if isinstance(old, dict):
            if field is not None and "replace" in field.strategy and _PATCH not in value:
                return value
            return _merge_map(kind, old, value)
        return _merge_map(kind, {}, value)
    if isinstance(value, list) and field is not None and "merge" in field.strategy:
        return _merge_list(field, old if isinstance(old, list) else [], value)
    return value


def _is_delete(item: Any) -> bool:
    return isinstance(item, dict) and item.get(_PATCH) in ("delete", "replace")


def _struct(field: Field | None) -> Type | None:
    if field is None or "." not in field.base:
        return None
    return types.named(field.base)


def _merge_list(field: Field, old: list[Any], patch: list[Any]) -> list[Any]:
    if not field.merge_key:
        return _arranged(field, old, [*old, *(item for item in patch if item not in old)], patch)
    key, kind = field.merge_key, _struct(field)
    if any(isinstance(item, dict) and item.get(_PATCH) == "replace" for item in patch):
        return [_merge_map(kind, {}, item) for item in patch if not _is_delete(item)]
    out = list(old)
    for item in patch:
        if not isinstance(item, dict):
            raise bad_request("error decoding patch: list items of a merged list must be objects")
        if key not in item:
            shown = "map[" + " ".join(f"{k}:{v}" for k, v in sorted(item.items())) + "]"
            raise internal(f"map: {shown} does not contain declared merge key: {key}")
        found = [i for i, have in enumerate(out) if isinstance(have, dict) and have.get(key) == item[key]]
        if item.get(_PATCH) == "delete":
            out = [have for i, have in enumerate(out) if i not in found]
        elif found:
            out[found[0]] = _merge_map(kind, out[found[0]], item)
        else:
            out.append(_merge_map(kind, {}, item))
    return _arranged(field, old, out, patch)


def _arranged(field: Field, before: list[Any], items: list[Any], order: list[Any]) -> list[Any]:
    """Order a merged list: items of the patch as the patch has them, the server's own as they were.

    Where both meet, an item only the server has goes first if it stood before the other; an item new to the server
    goes before everything the server has left.
    """
    key = field.merge_key

    def name(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    rank = [name(entry) for entry in order]
    place = [name(item) for item in before]
    mine = sorted((i for i in items if name(i) in rank), key=lambda i: rank.index(name(i)))
    theirs = [i for i in items if name(i) not in rank]
    theirs.sort(key=lambda i: place.index(name(i)) if name(i) in place else len(place))
    out: list[Any] = []
    for item in mine:
        if name(item) in place:
            at = place.index(name(item))
            while theirs and name(theirs[0]) in place and place.index(name(theirs[0])) < at:
                out.append(theirs.pop(0))
        out.append(item)
    return out + theirs
