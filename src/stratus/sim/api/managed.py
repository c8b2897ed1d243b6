"""metadata.managedFields: who owns which field, kept by every write, and server-side apply decided by it."""

from __future__ import annotations

import json
from typing import Any

from stratus.sim.api import fieldsets
from stratus.sim.api.fieldsets import Fields
from stratus.sim.api.nodes import ANY, Node, item_key
from stratus.sim.api.status import ApiError, internal

Obj = dict[str, Any]

#: The manager kubectl names itself in a server-side apply, and where it notes what it applied client-side.
KUBECTL = "kubectl"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

_NEVER: dict[str, dict[str, Any]] = {
    "f:apiVersion": {},
    "f:kind": {},
    "f:metadata": {
        f"f:{name}": {}
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "clusterName",
            "generation",
            "managedFields",
            "resourceVersion",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        )
    },
}


def _owned_only(fields: Fields, subresource: str, has_status: bool) -> Fields:
    """Drop what nobody can own by this kind of write."""
    out = {k: v for k, v in fields.items() if k not in ("f:apiVersion", "f:kind", ".")}
    if subresource == "status":
        out = {k: v for k, v in out.items() if k in ("f:status", "f:metadata")}
    elif has_status:
        out.pop("f:status", None)
    meta = out.pop("f:metadata", None)
    if meta:
        meta = {k: v for k, v in meta.items() if k not in _NEVER["f:metadata"] and k != "."}
        if meta:
            out["f:metadata"] = meta
    return dict(sorted(out.items()))


def track_update(
    node: Node,
    old: Obj,
    new: Obj,
    *,
    manager: str,
    api_version: str,
    now: str,
    subresource: str = "",
    has_status: bool = False,
) -> list[Obj]:
    """Return managedFields after `manager` turned `old` into `new` by anything but an apply.

    For a create, `old` is the empty object of the type: fields every object of the type has are not owned by "being
    there" but by their content.
    """
    previous: list[Obj] = (old.get("metadata") or {}).get("managedFields") or []
    if not previous and (old.get("metadata") or {}).get("uid"):
        return []  # an object nobody tracks stays so until the first apply
    changed, removed = fieldsets.compare(node, old, new)
    changed = _owned_only(changed, subresource, has_status)
    removed = _owned_only(removed, subresource, has_status)
    if not changed and not removed:
        return previous
    touched = fieldsets.merge(changed, removed)
    out = []
    mine: Obj | None = None
    for entry in previous:
        own = (
            entry.get("manager") == manager
            and entry.get("operation") == "Update"
            and entry.get("subresource", "") == subresource
            and entry.get("apiVersion") == api_version
        )
        if own:
            mine = entry
            continue
        rest = fieldsets.subtract(entry.get("fieldsV1") or {}, touched)
        if rest == entry.get("fieldsV1"):
            out.append(entry)
        elif rest:
            out.append({**entry, "fieldsV1": rest})
    before = (mine or {}).get("fieldsV1") or {}
    after = fieldsets.merge(fieldsets.subtract(before, removed) if removed else before, changed)
    if after:
        when = now if changed else (mine or {}).get("time", now)
        out.append(_entry(manager, "Update", api_version, when, after, subresource))
    return ordered(out)


def well_formed(entry: Obj) -> bool:
    """Tell whether an entry of managedFields a client sent can be used."""
    known = entry.get("operation") in ("Apply", "Update") and entry.get("fieldsType") == "FieldsV1"
    return known and isinstance(entry.get("fieldsV1"), dict) and bool(entry.get("apiVersion"))


def _entry(manager: str, operation: str, api_version: str, now: str, fields: Fields, subresource: str) -> Obj:
    entry: Obj = {
        "manager": manager,
        "operation": operation,
        "apiVersion": api_version,
        **({"time": now} if now else {}),
        "fieldsType": "FieldsV1",
        "fieldsV1": _tidy(fields),
    }
    if subresource:
        entry["subresource"] = subresource
    return entry


def _tidy(fields: Fields) -> Fields:
    """Order a set as the server serialises it."""
    # The dot comes before the letters that all other keys begin with.
    return {k: _tidy(v) if (v := fields[k]) else {} for k in sorted(fields)}


def ordered(entries: list[Obj]) -> list[Obj]:
    """Return entries in the order the server keeps them."""
    return sorted(entries, key=lambda e: (e.get("operation") != "Apply", e.get("time") or "", e.get("manager") or ""))


def merged(node: Node | None, live: Any, config: Any) -> Any:
    """Return `live` with everything an apply configuration says laid over it."""
    node = node or ANY
    if config is None or node.atomic or node.kind == "scalar":
        return config
    if isinstance(config, dict) and isinstance(live, dict):
        out = dict(live)
        for key, item in config.items():
            child = node.child(key) if node is not ANY else ANY
            out[key] = merged(child, live[key], item) if key in live else item
        return out
    if isinstance(config, list) and isinstance(live, list) and (node.keys or node.set_list):
        child = node.child("")
        theirs = {item_key(node, item): item for item in live}
        mine = {item_key(node, item): item for item in config}
        result = []
        # Items of the configuration keep its order; items only the server has stay before what followed them.
        order = _interleave([item_key(node, i) for i in live], [item_key(node, i) for i in config])
        for name in order:
            if name in mine and name in theirs:
                result.append(mine[name] if node.set_list else merged(child, theirs[name], mine[name]))
            else:
                result.append(mine.get(name, theirs.get(name)))
        return result
    return config


def _interleave(live: list[Any], config: list[Any]) -> list[Any]:
    wanted, out, at = set(config), [], 0
    have = set(live)
    for name in live:
        if name not in wanted:
            out.append(name)
            continue
        while at < len(config):
            out.append(config[at])
            at += 1
            if out[-1] == name or config[at - 1] == name:
                break
            if config[at - 1] in have:
                break
    out += config[at:]
    return list(dict.fromkeys(out))


class Applied:
    """What an apply comes to: the object without defaults, and the managers afterwards."""

    __slots__ = ("entries", "obj")

    def __init__(self, obj: Obj, entries: list[Obj]) -> None:
        self.obj = obj
        self.entries = entries


def check_config(node: Node, config: Obj, group_version: str) -> None:
    """Refuse a configuration that does not fit the schema.

    Raises:
        ApiError: 500 with the text of the typed-patch check.
    """
    meta = config.get("metadata") or {}
    kind = config.get("kind", "")
    where = f"({meta.get('namespace', '')}/{meta.get('name', '')}; {group_version}, Kind={kind})"
    problem = _misfit(node, config, "")
    if problem:
        raise internal(f"failed to create typed patch object {where}: {problem}")


def _misfit(node: Node | None, value: Any, path: str) -> str:
    node = node or ANY
    if node is ANY or value is None:
        return ""
    if node.kind == "struct":
        if not isinstance(value, dict):
            return f"{path}: expected map, got {value!r}"
        for key, item in value.items():
            child = node.child(key)
            if child is None:
                return f"{path}.{key}: field not declared in schema"
            if problem := _misfit(child, item, f"{path}.{key}"):
                return problem
    elif node.kind == "map":
        if not isinstance(value, dict):
            return f"{path}: expected map, got {value!r}"
        for key, item in value.items():
            if problem := _misfit(node.child(key), item, f"{path}.{key}"):
                return problem
    elif node.kind == "list":
        if not isinstance(value, list):
            return f"{path}: expected list, got {value!r}"
        seen = set()
        for index, item in enumerate(value):
            name: Any = item_key(node, item) if node.keys or node.set_list else index
            if name in seen:
                shown = fieldsets.paths({name: {}})[0] if isinstance(name, str) else ""
                return f"{path}: duplicate entries for key {shown}"
            seen.add(name)
            shown = fieldsets.paths({name: {}})[0] if isinstance(name, str) else f"[{index}]"
            if problem := _misfit(node.child(""), item, path + shown):
                return problem
    elif node.name:
        got = "string" if isinstance(value, str) else "boolean" if isinstance(value, bool) else "numeric"
        if isinstance(value, dict | list) or got != node.name:
            word = {"dict": "map", "list": "list"}.get(type(value).__name__, got)
            expected = {"numeric": "numeric (int or float)"}.get(node.name, node.name)
            return f"{path}: expected {expected}, got {word}"
    return ""


def apply(
    node: Node,
    live: Obj | None,
    config: Obj,
    *,
    manager: str,
    api_version: str,
    now: str,
    force: bool = False,
    subresource: str = "",
    has_status: bool = False,
) -> Applied:
    """Merge an apply configuration into the live object and take away what its manager no longer names.

    Raises:
        ApiError: 409 when that changes fields others own and `force` is off.
    """
    fields = _owned_only(fieldsets.applied(node, config), subresource, has_status)
    previous: list[Obj] = ((live or {}).get("metadata") or {}).get("managedFields") or []
    mine: Obj | None = None
    others: list[Obj] = []
    for entry in previous:
        own = entry.get("manager") == manager and entry["operation"] == "Apply"
        if own and entry.get("subresource", "") == subresource:
            mine = entry
        else:
            others.append(entry)
    obj = merged(node, live, config) if live else config
    theirs: Fields = {}
    for entry in others:
        theirs = fieldsets.merge(theirs, entry.get("fieldsV1") or {})
    # A map some field of which is still owned stays, though nobody may own it as such.
    kept = fieldsets.with_containers(fieldsets.merge(theirs, fields))
    gone = fieldsets.subtract((mine or {}).get("fieldsV1") or {}, kept)
    if gone:
        obj = fieldsets.without(node, obj, gone)
    changed, removed = fieldsets.compare(node, live, obj) if live is not None else ({".": {}}, {})
    if live is not None:
        changed = _owned_only(changed, subresource, has_status)
        removed = _owned_only(removed, subresource, has_status)
        others, conflicts = _released(others, changed, removed)
        if conflicts and not force:
            allowed = _client_side(node, live) if manager == KUBECTL else {}
            conflicts = [(entry, rest) for entry, hit in conflicts if (rest := fieldsets.subtract(hit, allowed))]
            if conflicts:
                raise _conflict(conflicts)
    if manager == KUBECTL:
        obj = _annotated(obj, config)
    if fields:
        # An apply that changes nothing leaves no time behind.
        when = now if changed or removed else (mine or {}).get("time", "")
        others.append(_entry(manager, "Apply", api_version, when, fields, subresource))
    return Applied(obj, ordered(others))


def _released(entries: list[Obj], changed: Fields, removed: Fields) -> tuple[list[Obj], list[tuple[Obj, Fields]]]:
    """Take what was changed or removed from its owners; return them, and whose changed fields those were."""
    out, hits = [], []
    for entry in entries:
        fields = entry.get("fieldsV1") or {}
        hit = fieldsets.intersect(changed, fields) if changed else {}
        if hit:
            hits.append((entry, hit))
            fields = fieldsets.subtract(fields, hit)
        if removed:
            fields = fieldsets.subtract(fields, removed)
        if fields == entry.get("fieldsV1"):
            out.append(entry)
        elif fields:
            out.append({**entry, "fieldsV1": fields})
    return out, hits


def _last_applied(obj: Obj) -> str:
    value = ((obj.get("metadata") or {}).get("annotations") or {}).get(LAST_APPLIED)
    return value if isinstance(value, str) else ""


def _client_side(node: Node, live: Obj) -> Fields:
    """Return what client-side apply wrote and still stands: kubectl may take it over without force."""
    try:
        last = json.loads(_last_applied(live) or "null")
    except ValueError:
        return {}
    if not isinstance(last, dict):
        return {}
    differing, _ = fieldsets.compare(node, live, last)
    return fieldsets.subtract(fieldsets.applied(node, last), differing) if differing else fieldsets.applied(node, last)


def _annotated(obj: Obj, config: Obj) -> Obj:
    """Keep the note of client-side apply, where there is one, in step with what kubectl applies."""
    if not _last_applied(obj):
        return obj
    meta = config.get("metadata") or {}
    if LAST_APPLIED in (meta.get("annotations") or {}):
        kept = {k: v for k, v in meta["annotations"].items() if k != LAST_APPLIED}
        config = {**config, "metadata": {**meta, "annotations": kept}}
    text = json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    annotations = {**obj["metadata"]["annotations"], LAST_APPLIED: text}
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}


def _conflict(conflicts: list[tuple[Obj, Fields]]) -> ApiError:
    causes = []
    groups: dict[str, list[str]] = {}
    for entry, fields in conflicts:
        who = f'conflict with "{entry["manager"]}"'
        if entry.get("subresource"):
            who += f' with subresource "{entry["subresource"]}"'
        if entry["operation"] == "Update":
            who += f" using {entry['apiVersion']}"
        for path in fieldsets.paths(fields):
            causes.append({"reason": "FieldManagerConflict", "message": who, "field": path})
            groups.setdefault(who, []).append(path)
    if len(causes) == 1:
        text = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        text = f"Apply failed with {len(causes)} conflicts: " + "\n".join(
            (
                f"{who}: {listed[0]}"
                if len(listed) == 1 and len(groups) == 1
                else who.replace("conflict ", "conflicts ", 1) + ":\n- " + "\n- ".join(listed)
            )
            for who, listed in groups.items()
        )
    return ApiError(409, "Conflict", text, details={"causes": causes})
