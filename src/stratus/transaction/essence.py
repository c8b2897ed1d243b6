"""What of an object is its own: the object without the fields that the server and its controllers manage."""

from __future__ import annotations

import copy
import json
from functools import cache
from importlib import resources
from typing import Any

from stratus.kit.jsondiff import Change, Shape, diff
from stratus.model.base import Json


@cache
def _table(name: str) -> dict[str, Any]:
    table: dict[str, Any] = json.loads(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))
    return table


@cache
def shape() -> Shape:
    """Return how lists and maps of Kubernetes objects are merged (`shape.json`)."""
    table = _table("shape.json")
    keys = {name: tuple(tuple(fields) for fields in alternatives) for name, alternatives in table["keys"].items()}
    return Shape(keys=keys, sets=frozenset(table["sets"]), maps=frozenset(table["maps"]))


def managed_paths(kind: str) -> tuple[tuple[str, ...], ...]:
    """Return the server-managed fields of a kind, anchored at the root of the object (`essence.json`)."""
    table = _table("essence.json")
    return tuple(tuple(row["path"]) for row in [*table["everywhere"], *table["kinds"].get(kind, [])])


def managed_table() -> str:
    """Return the server-managed fields with the reason for each, as a section of a Markdown page."""
    table = _table("essence.json")
    groups = {"every object": table["everywhere"], **table["kinds"]}
    rows = [
        f"| {kind} | `{'.'.join(row['path'])}` | {row['why']} |" for kind, fields in groups.items() for row in fields
    ]
    empty = ", ".join(f"`{'.'.join(path)}`" for path in table["empty_is_absent"])
    return "\n".join(
        [
            "## What is never compared",
            "",
            "The server or a controller manages these fields by itself. They are never part of a change, never",
            "restored, and no difference to the proof of an undo; the tests of undo use the same list.",
            "",
            "| of | field | why |",
            "|---|---|---|",
            *rows,
            "",
            f"An empty {empty} equals an absent one.",
            "",
        ]
    )


def essence(obj: Json | None) -> Json | None:
    """Return a copy of an object without server-managed fields; None stays None.

    Only whole paths from the root are removed: a ConfigMap's data named `uid` or `metadata` is left alone.
    """
    if obj is None:
        return None
    out = copy.deepcopy(obj)
    for path in managed_paths(str(obj.get("kind", ""))):
        _drop(out, path)
    for path in _table("essence.json")["empty_is_absent"]:
        holder = _holder(out, path)
        if holder is not None and path[-1] in holder and not holder[path[-1]]:
            del holder[path[-1]]
    return out


def changes(before: Json | None, after: Json | None) -> tuple[Change, ...]:
    """Return the differences between the essences of two objects; an absent object differs as a whole."""
    if before is None or after is None:
        return () if before is after else (Change((), before, after),)
    return diff(essence(before), essence(after), shape())


def alike(one: Json | None, other: Json | None) -> bool:
    """Tell whether two objects are the same but for server-managed fields."""
    return not changes(one, other)


def uid(obj: Json | None) -> str:
    """Return an object's uid, or empty."""
    return str(((obj or {}).get("metadata") or {}).get("uid") or "")


def version(obj: Json | None) -> str:
    """Return an object's resourceVersion, or empty."""
    return str(((obj or {}).get("metadata") or {}).get("resourceVersion") or "")


def terminating(obj: Json | None) -> bool:
    """Tell whether an object is being deleted."""
    return bool(((obj or {}).get("metadata") or {}).get("deletionTimestamp"))


def managers(obj: Json | None) -> set[str]:
    """Return the names of those who wrote the object's fields, as far as the server keeps them."""
    entries = ((obj or {}).get("metadata") or {}).get("managedFields") or ()
    return {str(entry.get("manager", "")) for entry in entries if isinstance(entry, dict)}


def _holder(obj: Any, path: tuple[str, ...] | list[str]) -> dict[str, Any] | None:
    for part in path[:-1]:
        obj = obj.get(part) if isinstance(obj, dict) else None
    return obj if isinstance(obj, dict) else None


def _drop(obj: Json, path: tuple[str, ...]) -> None:
    holder = _holder(obj, path)
    if holder is not None:
        holder.pop(path[-1], None)
