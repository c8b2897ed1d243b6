"""Who owns the number of replicas: what the scale subresource notes, and what that means for the object itself."""

from __future__ import annotations

from typing import Any

from stratus.sim.api import fieldsets, managed, nodes
from stratus.sim.schema import types

Obj = dict[str, Any]
_VERSION = "autoscaling/v1"


def _path(text: str) -> list[str]:
    return [f"f:{part}" for part in text.strip(".").split(".")]


def _set(path: list[str]) -> Obj:
    out: Obj = {}
    for part in reversed(path):
        out = {part: out}
    return out


def _owns(fields: Obj, path: list[str]) -> bool:
    for part in path:
        if part not in fields:
            return False
        fields = fields[part]
    return True


def _key(entry: Obj) -> tuple[str, str, str]:
    return entry.get("manager", ""), entry.get("operation", ""), entry.get("subresource", "")


def _node() -> nodes.Node:
    kind = types.of_kind("autoscaling", "v1", "Scale")
    assert kind is not None
    return nodes.of_type(kind)


def _shown(scale: Obj, entries: list[Obj]) -> Obj:
    """Return a scale with managedFields, without a number that is not there when it is 0."""
    spec = {k: v for k, v in (scale.get("spec") or {}).items() if v}
    return {**scale, "spec": spec, "metadata": {**scale["metadata"], "managedFields": entries}}


def owners(parent: Obj, path: str) -> list[Obj]:
    """Return who owns the replicas of an object, as entries of its scale."""
    found = parent["metadata"].get("managedFields") or []
    mine = _set(_path("spec.replicas"))
    listed = [e for e in found if _owns(e.get("fieldsV1") or {}, _path(path))]
    return [{**e, "apiVersion": _VERSION, "fieldsV1": mine} for e in listed]


def after_update(parent: Obj, path: str, old: Obj, new: Obj, manager: str, now: str) -> list[Obj]:
    """Return the owners after somebody wrote a scale."""
    listed = owners(parent, path)
    return managed.track_update(
        _node(),
        _shown(old, listed),
        _shown(new, listed),
        manager=manager,
        api_version=_VERSION,
        now=now,
        subresource="scale",
        has_status=True,
    )


def after_apply(
    parent: Obj, path: str, old: Obj, config: Obj, manager: str, now: str, force: bool
) -> tuple[Obj, list[Obj]]:
    """Return the scale and its owners after somebody applied one.

    Raises:
        ApiError: 409 when others own the number.
    """
    listed = owners(parent, path)
    result = managed.apply(
        _node(),
        _shown(old, listed),
        config,
        manager=manager,
        api_version=_VERSION,
        now=now,
        force=force,
        subresource="scale",
        has_status=True,
    )
    return result.obj, result.entries


def handed_back(parent: Obj, path: str, entries: list[Obj], version: str) -> list[Obj]:
    """Return the object's managedFields, given who owns its replicas now."""
    place = _path(path)
    now_owned = {_key(e): e for e in entries if _owns(e.get("fieldsV1") or {}, _path("spec.replicas"))}
    out = []
    for entry in parent["metadata"].get("managedFields") or []:
        fields = entry.get("fieldsV1") or {}
        if not _owns(fields, place):
            out.append(entry)
            continue
        kept = now_owned.pop(_key(entry), None)
        if kept is not None:
            out.append({**entry, **({"time": kept["time"]} if "time" in kept else {})})
        elif rest := fieldsets.subtract(fields, _set(place)):
            out.append({**entry, "fieldsV1": rest})
    for entry in now_owned.values():
        out.append({**entry, "apiVersion": version, "fieldsV1": _set(place)})
    return managed.ordered(out)
