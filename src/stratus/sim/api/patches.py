"""JSON patch and JSON merge patch, without touching the original."""

from __future__ import annotations

import copy
import re
from typing import Any

from stratus.sim.api.status import ApiError, bad_request

Obj = dict[str, Any]


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7386); the result shares what the patch does not touch."""
    if not isinstance(patch, dict):
        return patch
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merge_patch(out.get(key), value)
    return out


def _rejected() -> ApiError:
    return ApiError(422, "Invalid", "the server rejected our request due to an error in our request", details={})


def json_patch(target: Obj, operations: Any) -> Obj:
    """Apply a JSON patch (RFC 6902).

    Raises:
        ApiError: 400 when it is no list of operations, 422 when one of them does not apply.
    """
    if not isinstance(operations, list):
        word = "object" if isinstance(operations, dict) else "value"
        raise bad_request(
            f"error decoding patch: json: cannot unmarshal {word} into Go value of type []handlers.jsonPatchOp"
        )
    doc = copy.deepcopy(target)
    for op in operations:
        if not isinstance(op, dict) or not isinstance(op.get("path"), str):
            raise _rejected()
        doc = _operate(doc, op)
    return doc


def _operate(doc: Any, op: Obj) -> Any:
    name, path = op.get("op"), _pointer(op["path"])
    if name == "test":
        if _read(doc, path, missing_null="value" in op and op["value"] is None) != op.get("value"):
            raise _rejected()
        return doc
    if name in ("add", "replace"):
        if "value" not in op:
            raise _rejected()
        if name == "replace" and path and isinstance(_read(doc, path[:-1]), list):
            _read(doc, path)
        return _write(doc, path, copy.deepcopy(op["value"]), name == "add")
    if name == "remove":
        return _remove(doc, path)
    if name in ("move", "copy") and isinstance(op.get("from"), str):
        source = _pointer(op["from"])
        value = copy.deepcopy(_read(doc, source))
        if name == "move":
            doc = _remove(doc, source)
        return _write(doc, path, value, True)
    raise _rejected()


def _pointer(text: str) -> list[str]:
    if not text:
        return []
    # What stands before the first slash is ignored, as the real server ignores it.
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _index(items: list[Any], key: str, end: int) -> int:
    if not re.fullmatch(r"-?(0|[1-9][0-9]*)", key) or not -len(items) <= int(key) < end:
        raise _rejected()
    number = int(key)
    return number if number >= 0 else number + len(items)


def _read(doc: Any, path: list[str], missing_null: bool = False) -> Any:
    for position, key in enumerate(path):
        if isinstance(doc, dict) and key in doc:
            doc = doc[key]
        elif isinstance(doc, dict) and missing_null and position == len(path) - 1:
            return None
        elif isinstance(doc, list):
            doc = doc[_index(doc, key, len(doc))]
        else:
            raise _rejected()
    return doc


def _write(doc: Any, path: list[str], value: Any, insert: bool) -> Any:
    if not path:
        return value
    parent, key = _read(doc, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[key] = value
    elif isinstance(parent, list):
        if key == "-" and insert:
            parent.append(value)
        elif insert:
            parent.insert(_index(parent, key, len(parent) + 1), value)
        else:
            parent[_index(parent, key, len(parent))] = value
    else:
        raise _rejected()
    return doc


def _remove(doc: Any, path: list[str]) -> Any:
    if not path:
        raise _rejected()
    parent, key = _read(doc, path[:-1]), path[-1]
    if isinstance(parent, dict) and key in parent:
        del parent[key]
    elif isinstance(parent, list):
        del parent[_index(parent, key, len(parent))]
    else:
        raise _rejected()
    return doc
