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
            out[name] = _ordered(field, target.get(name) or [], out[name], order, patch.get(name) or [])
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
    if isinstance(value, list):
        return [_clean(item) for item in value if not _is_delete(item)] if _has_directive(value) else value
    return value


def _has_directive(items: list[Any]) -> bool:
    return any(isinstance(item, dict) and _PATCH in item for item in items)


def _is_delete(item: Any) -> bool:
    return isinstance(item, dict) and item.get(_PATCH) in ("delete", "replace")


def _clean(item: Any) -> Any:
    if isinstance(item, dict) and _PATCH in item:
        return {k: v for k, v in item.items() if k != _PATCH}
    return item


def _struct(field: Field | None) -> Type | None:
    if field is None or "." not in field.base:
        return None
    return types.named(field.base)


def _merge_list(field: Field, old: list[Any], patch: list[Any]) -> list[Any]:
    if not field.merge_key:
        return [*old, *(item for item in patch if item not in old)]
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
    return out


def _ordered(field: Field, before: list[Any], items: list[Any], order: list[Any], patch: list[Any]) -> list[Any]:
    """Put the items named by `$setElementOrder` in that order; others keep their place before their successors."""
    key = field.merge_key

    def name(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    wanted = [name(entry) for entry in order]
    rank = {n: i for i, n in enumerate(wanted) if not isinstance(n, dict | list)}
    old_rank = {name(item): i for i, item in enumerate(before) if not isinstance(name(item), dict | list)}
    listed = sorted((item for item in items if name(item) in rank), key=lambda item: rank[name(item)])
    others = [item for item in items if name(item) not in rank]
    out: list[Any] = []
    for item in listed:
        place = old_rank.get(name(item))
        while others and (place is not None and old_rank.get(name(others[0]), len(before)) < place):
            out.append(others.pop(0))
        out.append(item)
    return out + others
