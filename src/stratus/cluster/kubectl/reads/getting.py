"""`kubectl get`: tables as the server lays them out, and the other output formats."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import yaml

from stratus.cluster.kubectl.context import refuse
from stratus.cluster.kubectl.reads.base import (
    Failed,
    Look,
    ReadAnswer,
    bare,
    not_found,
    said_by_server,
    without_secrets,
)
from stratus.cluster.kubectl.reads.columns import table
from stratus.cluster.kubectl.reads.jsonpath import render, shown, values
from stratus.cluster.kubectl.reads.spans import age
from stratus.errors import ClusterError, NotFound
from stratus.model.base import Json
from stratus.model.refs import ApiResource, ObjectRef


class _Dumper(yaml.SafeDumper):
    """YAML as kubectl writes it: lists not indented, long texts in blocks, no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    tag = "tag:yaml.org,2002:str"
    # Plain, it would be read as a number, a date, a truth.
    other = dumper.resolve(yaml.ScalarNode, value, (True, False)) != tag  # type: ignore[no-untyped-call]
    return dumper.represent_scalar(tag, value, style="|" if "\n" in value else '"' if other else None)


_Dumper.add_representer(str, _text)


def as_yaml(value: Any) -> str:
    """Return a value as YAML."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=True, allow_unicode=True, width=1_000_000)


def as_json(value: Any) -> str:
    """Return a value as JSON, four blanks an indent and keys sorted, as kubectl prints objects."""
    return json.dumps(value, indent=4, sort_keys=True, ensure_ascii=False) + "\n"


def run(look: Look) -> ReadAnswer:
    """Run `get`."""
    form = look.option("output")
    name, _, argument = form.partition("=")
    argument = argument or look.option("template")
    if name in ("", "wide"):
        return _tables(look, wide=name == "wide")
    found, complaints = _objects(look)
    named = len(look.read.targets) == 1 and bool(look.read.targets[0].name)
    if look.option("sort-by"):
        found = sorted(found, key=lambda o: _rank(look.option("sort-by"), o))
    if name == "name":
        text = "".join(f"{_prefix(look.resource(_ref(o)))}/{o['metadata']['name']}\n" for o in found)
        return _answer(text, complaints)
    if name == "custom-columns":
        return _answer(_columns(argument, found, headers=not look.on("no-headers")), complaints)
    shown_ones = [without_secrets(_clean(o, look.on("show-managed-fields"))) for o in found]
    if not shown_ones and named:
        return _answer("", complaints)
    whole: Json = shown_ones[0] if named and shown_ones else _list(shown_ones)
    if name == "jsonpath":
        return _answer(render(argument, whole), complaints)
    if name == "jsonpath-as-json":
        return _answer(json.dumps(values(argument, whole), indent=4) + "\n", complaints)
    return _answer(as_json(whole) if name == "json" else as_yaml(whole), complaints)


def _list(items: list[Json]) -> Json:
    return {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}}


def _answer(text: str, complaints: Sequence[str], *, none: str = "") -> ReadAnswer:
    said = "\n".join(complaints)
    return ReadAnswer(text=text, complaint=said or none, exit_code=1 if complaints else 0)


def _clean(obj: Json, managed: bool) -> Json:
    return obj if managed else bare(obj)


def _ref(obj: Json) -> ObjectRef:
    return ObjectRef.of(obj)


def _prefix(resource: ApiResource) -> str:
    word = resource.singular or resource.kind.lower()
    return f"{word}.{resource.group}" if resource.group else word


def _objects(look: Look) -> tuple[list[Json], list[str]]:
    """Return the objects meant, and what is said of those that are not there."""
    found: list[Json] = []
    complaints: list[str] = []
    part = look.option("subresource")
    for target in look.read.targets:
        try:
            if part and target.name:
                printer = look.printer()
                obj = printer.part(target, part) if printer else None
                if obj is None:
                    raise Failed(not_found(look.resource(target), f"{target.name}/{part}"))
                found.append(obj)
            else:
                found += look.objects(target)
        except Failed as failed:
            complaints.append(str(failed))
        except ClusterError as error:
            complaints.append(said_by_server(error))
    return found, complaints


def _tables(look: Look, *, wide: bool) -> ReadAnswer:
    """Print a table for each type, in the order asked for."""
    parts: list[str] = []
    complaints: list[str] = []
    groups = [list(g) for _, g in groupby(look.read.targets, key=lambda t: (t.api_version, t.kind))]
    types = {(t.api_version, t.kind) for t in look.read.targets}
    slashed = look.on("show-kind") or len(types) > 1
    for targets in groups:
        resource = look.resource(targets[0])
        rows: list[Json] = []
        definitions: list[Json] = []
        for target in targets:
            try:
                columns, more = _rows(look, resource, target)
            except NotFound:
                if not look.on("ignore-not-found"):
                    complaints.append(not_found(resource, target.name))
                continue
            except ClusterError as error:
                complaints.append(said_by_server(error))
                continue
            definitions = definitions or columns
            rows += more
        if rows:
            parts.append(_printed(look, resource, definitions, rows, wide=wide, slashed=slashed))
    none = ""
    if not parts and not complaints:
        spaced = look.resource(look.read.targets[0]).namespaced and not look.everywhere
        none = f"No resources found in {look.read.namespace} namespace." if spaced else "No resources found"
        none = "" if look.on("ignore-not-found") else none
    return _answer("\n".join(parts), complaints, none=none)


def _rows(look: Look, resource: ApiResource, target: ObjectRef) -> tuple[list[Json], list[Json]]:
    """Return column definitions and rows, by the server or, where it lays nothing out, of names and ages."""
    printer = look.printer() if look.on("server-print", True) else None
    kind = f"{target.api_version}/{target.kind}"
    space = (target.namespace if target.name else None if look.everywhere else look.read.namespace) or None
    space = space if resource.namespaced else None
    if printer is not None:
        chosen = {"labels": look.option("selector"), "fields": look.option("field-selector")}
        answer = printer.table(kind, space, name=target.name, **chosen)
        if answer.get("kind") == "Table":
            return answer.get("columnDefinitions") or [], answer.get("rows") or []
    try:
        found = look.objects(target)
    except Failed as failed:
        raise NotFound(str(failed), status=404, reason="NotFound") from failed
    now = look.clock.now()
    rows = [
        {"cells": [o["metadata"]["name"], age(o["metadata"].get("creationTimestamp"), now)], "object": o} for o in found
    ]
    return [{"name": "Name", "priority": 0}, {"name": "Age", "priority": 0}], rows


def _printed(
    look: Look, resource: ApiResource, definitions: list[Json], rows: list[Json], *, wide: bool, slashed: bool
) -> str:
    kept = [i for i, c in enumerate(definitions) if wide or not c.get("priority")]
    spaced = look.everywhere and resource.namespaced
    labels = [key for key in look.option("label-columns").split(",") if key]
    header = (["NAMESPACE"] if spaced else []) + [str(definitions[i]["name"]).upper() for i in kept]
    header += [key.rpartition("/")[2].upper() for key in labels] + (["LABELS"] if look.on("show-labels") else [])
    if look.option("sort-by"):
        rows = sorted(rows, key=lambda row: _rank(look.option("sort-by"), row.get("object") or {}))
    body = []
    for row in rows:
        meta = (row.get("object") or {}).get("metadata") or {}
        cells = [_cell(row["cells"][i]) for i in kept]
        if slashed:
            cells[0] = f"{_prefix(resource)}/{cells[0]}"
        own = meta.get("labels") or {}
        cells += [own.get(key, "") for key in labels]
        if look.on("show-labels"):
            cells.append(",".join(f"{k}={v}" for k, v in sorted(own.items())) or "<none>")
        body.append(([meta.get("namespace", "")] if spaced else []) + cells)
    return table(header, body, headers=not look.on("no-headers"))


def _cell(value: Any) -> str:
    return "<none>" if value is None else value.split("\n")[0] if isinstance(value, str) else shown(value)


def _rank(path: str, obj: Json) -> tuple[int, Any]:
    """Order by a path: what lacks it first, numbers as numbers, text as text."""
    found = [v for v in values(path, obj) if v is not None]
    if not found:
        return (0, "")
    if isinstance(found[0], int | float):
        return (1, found[0])
    return (2, shown(found[0]))


def _columns(spec: str, objects: list[Json], *, headers: bool) -> str:
    columns = []
    for part in spec.split(","):
        name, colon, path = part.partition(":")
        if not name or not colon or not path:
            raise refuse("bad_value", f"{part!r} is no column", "write -o custom-columns=NAME:.metadata.name,...")
        columns.append((name, path))
    rows = [[_value(path, without_secrets(o)) for _, path in columns] for o in objects]
    return table([name for name, _ in columns], rows, headers=headers)


def _value(path: str, obj: Json) -> str:
    found = [v for v in values(path, obj) if v is not None]
    return ",".join(shown(v) for v in found) if found else "<none>"
