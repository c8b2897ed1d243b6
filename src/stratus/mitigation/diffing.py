"""Differences between two images of an object, in lines a person reads, and carried over to a third image."""

from __future__ import annotations

import copy
import json
from typing import Any

from stratus.model.base import Json

_SERVER_MANAGED = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
_KEYS_OF_ITEMS = ("name", "containerPort", "port", "key", "ip", "type", "mountPath", "topologyKey")
_LONGEST = 160
_MOST_LINES = 60


def normalised(obj: Json | None) -> Json:
    """Return an object without status and without what the server manages in metadata."""
    if obj is None:
        return {}
    clean = {key: copy.deepcopy(value) for key, value in obj.items() if key != "status"}
    meta = clean.get("metadata")
    if isinstance(meta, dict):
        clean["metadata"] = {key: value for key, value in meta.items() if key not in _SERVER_MANAGED}
    return clean


def differences(before: Json | None, after: Json | None) -> tuple[str, ...]:
    """Return lines such as `spec.replicas: 0 -> 1`; empty when nothing that counts differs.

    None stands for an object that does not exist. Values of a Secret are never shown.
    """
    if before is None and after is None:
        return ()
    if after is None:
        return ("deleted",)
    old, new = normalised(before), normalised(after)
    lines: list[str] = ["created"] if before is None else []
    secret = (after.get("kind") or (before or {}).get("kind")) == "Secret"
    for field in ("apiVersion", "kind"):
        old.pop(field, None)
        new.pop(field, None)
    if before is None:
        meta = new.pop("metadata", {})
        if left := {key: value for key, value in meta.items() if key not in ("name", "namespace")}:
            new["metadata"] = left
    _walk("", old, new, lines, secret)
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"... and {len(lines) - _MOST_LINES} more"]
    return tuple(lines)


def carried_over(before: Json, after: Json, onto: Json) -> Json:
    """Return `onto` with the change from `before` to `after` made to it as well."""
    merged = _carry(before, after, onto)
    assert isinstance(merged, dict)
    return merged


_ABSENT: Any = object()


def _walk(path: str, old: Any, new: Any, lines: list[str], secret: bool) -> None:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            _walk(_join(path, key), old.get(key, _ABSENT), new.get(key, _ABSENT), lines, secret)
        return
    if isinstance(old, list) and isinstance(new, list) and (by := _item_key(old, new)):
        olds, news = {str(i[by]): i for i in old}, {str(i[by]): i for i in new}
        for name in dict.fromkeys((*olds, *news)):
            _walk(f"{path}[{name}]", olds.get(name, _ABSENT), news.get(name, _ABSENT), lines, secret)
        if list(olds) != list(news) and set(olds) == set(news):
            lines.append(f"{path}: order changed")
        return
    # An added or removed branch is shown field by field: `livenessProbe: removed` would hide what goes.
    if isinstance(old, dict) and new is _ABSENT and old:
        _walk(path, old, {}, lines, secret)
    elif isinstance(new, dict) and old is _ABSENT and new:
        _walk(path, {}, new, lines, secret)
    else:
        lines.append(f"{path}: {_show(path, old, secret)} -> {_show(path, new, secret)}")


def _show(path: str, value: Any, secret: bool) -> str:
    if value is _ABSENT:
        return "(none)"
    if secret and path.startswith(("data", "stringData")):
        return "(hidden)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    text = text.replace("\n", "\\n")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _join(path: str, key: str) -> str:
    if "." in key or "/" in key:
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def _item_key(*lists: list[Any]) -> str:
    """Return the field that names the items of these lists, if they are lists of objects with such a field."""
    items = [item for items in lists for item in items]
    if not items or not all(isinstance(item, dict) for item in items):
        return ""
    for key in _KEYS_OF_ITEMS:
        if all(key in item for item in items) and all(
            len({str(item[key]) for item in items}) == len(items) for items in lists
        ):
            return key
    return ""


def _carry(before: Any, after: Any, onto: Any) -> Any:
    if before == after:
        return copy.deepcopy(onto)
    if isinstance(before, dict) and isinstance(after, dict) and isinstance(onto, dict):
        result = copy.deepcopy(onto)
        for key in {*before, *after}:
            if before.get(key, _ABSENT) == after.get(key, _ABSENT):
                continue
            if key not in after:
                result.pop(key, None)
            else:
                result[key] = _carry(before.get(key, _ABSENT), after[key], result.get(key, _ABSENT))
        return result
    lists = isinstance(before, list) and isinstance(after, list) and isinstance(onto, list)
    if lists and (by := _item_key(before, after, onto)):
        olds, news = ({str(i[by]): i for i in items} for items in (before, after))
        result_items = {str(i[by]): copy.deepcopy(i) for i in onto}
        for name, item in news.items():
            if olds.get(name, _ABSENT) != item:
                result_items[name] = _carry(olds.get(name, _ABSENT), item, result_items.get(name, _ABSENT))
        for name in set(olds) - set(news):
            result_items.pop(name, None)
        return list(result_items.values())
    return copy.deepcopy(after)
