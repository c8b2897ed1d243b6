"""metadata.managedFields: who owns which field, kept by every write, and server-side apply decided by it."""

from __future__ import annotations

from typing import Any

from stratus.sim.api import fieldsets
from stratus.sim.api.fieldsets import Fields
from stratus.sim.api.nodes import ANY, Node, item_key
from stratus.sim.api.status import ApiError, internal

Obj = dict[str, Any]

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
        if mine is not None and after == before:
            out.append(mine)
        else:
            out.append(_entry(manager, "Update", api_version, now, after, subresource))
    return _sorted(out)


def _entry(manager: str, operation: str, api_version: str, now: str, fields: Fields, subresource: str) -> Obj:
    entry: Obj = {
        "manager": manager,
        "operation": operation,
        "apiVersion": api_version,
        "time": now,
        "fieldsType": "FieldsV1",
        "fieldsV1": _tidy(fields),
    }
    if subresource:
        entry["subresource"] = subresource
    return entry


def _tidy(fields: Fields) -> Fields:
    """Order a set as the server serialises it."""
    return {k: _tidy(v) if v else {} for k, v in sorted(fields.items(), key=lambda kv: (kv[0] != ".", kv[0]))}


def _sorted(entries: list[Obj]) -> list[Obj]:
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

    __slots__ = ("fields", "obj", "previous")

    def __init__(self, obj: Obj, fields: Fields, previous: list[Obj]) -> None:
        self.obj = obj
        self.fields = fields
        self.previous = previous


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


def apply(node: Node, live: Obj | None, config: Obj, *, manager: str, subresource: str, has_status: bool) -> Applied:
    """Merge an apply configuration into the live object and take away what its manager no longer names."""
    fields = _owned_only(fieldsets.applied(node, config), subresource, has_status)
    previous = ((live or {}).get("metadata") or {}).get("managedFields") or []
    obj = merged(node, live, config) if live else config
    before: Fields = {}
    others: Fields = {}
    for entry in previous:
        if (
            entry.get("manager") == manager
            and entry["operation"] == "Apply"
            and entry.get("subresource", "") == subresource
        ):
            before = entry.get("fieldsV1") or {}
        else:
            others = fieldsets.merge(others, entry.get("fieldsV1") or {})
    gone = fieldsets.subtract(fieldsets.subtract(before, fields), others)
    if gone:
        obj = fieldsets.without(node, obj, gone)
    return Applied(obj, fields, previous)


def finish_apply(
    node: Node,
    live: Obj | None,
    new: Obj,
    result: Applied,
    *,
    manager: str,
    api_version: str,
    now: str,
    force: bool,
    subresource: str,
    has_status: bool,
) -> list[Obj]:
    """Return managedFields after an apply whose outcome (defaults included) is `new`.

    Raises:
        ApiError: 409 when the apply changes fields others own and `force` is off.
    """
    out: list[Obj] = []
    conflicts: list[tuple[Obj, Fields]] = []
    changed: Fields = {}
    removed: Fields = {}
    if live is not None:
        changed, removed = fieldsets.compare(node, live, new)
        changed = _owned_only(changed, subresource, has_status)
        removed = _owned_only(removed, subresource, has_status)
    mine: Obj | None = None
    claimed = fieldsets.intersect(result.fields, changed) if changed else {}
    for entry in result.previous:
        own = entry.get("manager") == manager and entry["operation"] == "Apply"
        if own and entry.get("subresource", "") == subresource:
            mine = entry
            continue
        fields = entry.get("fieldsV1") or {}
        hit = fieldsets.intersect(claimed, fields) if claimed else {}
        if hit:
            conflicts.append((entry, hit))
            fields = fieldsets.subtract(fields, hit)
        if removed:
            fields = fieldsets.subtract(fields, removed)
        if fields == entry.get("fieldsV1"):
            out.append(entry)
        elif fields:
            out.append({**entry, "fieldsV1": fields})
    if conflicts and not force:
        raise _conflict(conflicts)
    if result.fields:
        if mine is not None and mine.get("fieldsV1") == _tidy(result.fields) and mine["apiVersion"] == api_version:
            out.append(mine)
        else:
            out.append(_entry(manager, "Apply", api_version, now, result.fields, subresource))
    return _sorted(out)


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
