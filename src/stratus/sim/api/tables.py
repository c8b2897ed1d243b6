"""Tables as the server prints them: the columns of each kind and one row per object."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

from stratus.sim.api import descriptions, jsonpath
from stratus.sim.api.convert import inward
from stratus.sim.api.durations import since
from stratus.sim.api.printers import PRINTERS
from stratus.sim.api.resources import Resource
from stratus.sim.schema import types

Obj = dict[str, Any]
_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
_GENERATION = "deprecated.daemonset.template.generation"
_ENDED = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}


@cache
def _data() -> dict[str, list[list[Any]]]:
    text = files("stratus.sim.schema").joinpath("columns.json").read_text("utf-8")
    data: dict[str, list[list[Any]]] = json.loads(text)
    return data


@cache
def _columns(kind: str) -> list[Obj]:
    return [_column(*c) for c in _data()[kind if kind in _data() else ""]]


def _column(name: str, kind: str, form: str, priority: int, description: str | None = None) -> Obj:
    if description is None:
        description = _meant("name" if name == "Name" else "creationTimestamp")
    elif description.startswith("@"):
        holder, _, field = description[1:].rpartition(".")
        description = _text(f"io.k8s.api.{holder}", field)
    return {"name": name, "type": kind, "format": form, "description": description, "priority": priority}


def _meant(field: str) -> str:
    return _text(types.OBJECT_META, field)


def _text(holder: str, field: str) -> str:
    """Return what the API's own documents say about a field, without the values it may have."""
    return descriptions.of_type(holder)[1].get(field, "").partition("\n\nPossible enum values:")[0]


class Printer:
    """Prints objects of one resource at one moment.

    Args:
        resource: whose objects.
        now: seconds since the epoch; ages are counted to it.
        include: what of each object comes with its row: `None`, `Metadata` or `Object`.
        version: of the Table: `v1` or `v1beta1`.
    """

    def __init__(self, resource: Resource, now: float, include: str, version: str = "v1") -> None:
        self._resource = resource
        self._now = now
        self._include = include
        self._version = f"meta.k8s.io/{version}"
        self._cells: Callable[[Obj], list[Any]]
        known = PRINTERS.get(resource.kind) if not resource.custom else None
        if resource.custom:
            listed = resource.columns or [_AGE]
            self.columns = [_column("Name", "string", "name", 0), *(_declared(c) for c in listed)]
            self._cells = lambda obj: [obj["metadata"]["name"], *(self._custom(c, obj) for c in listed)]
        elif known is not None:
            self.columns = _columns(resource.kind)
            # Both versions of autoscalers and of events print alike: from the form they are stored in.
            self._cells = lambda obj: known(inward(resource, obj), self._now)
        else:
            self.columns = _columns("")
            self._cells = lambda obj: [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp", "")]

    def table(self, objects: list[Obj], meta: Obj) -> Obj:
        """Return the Table of some objects."""
        if self._resource.kind == "FlowSchema":
            objects = sorted(objects, key=lambda o: (o["spec"].get("matchingPrecedence", 0), o["metadata"]["name"]))
        return {
            "kind": "Table",
            "apiVersion": self._version,
            "metadata": meta,
            "columnDefinitions": self.columns,
            "rows": [self._row(obj) for obj in objects],
        }

    def _row(self, obj: Obj) -> Obj:
        row: Obj = {"cells": self._cells(obj)}
        if self._resource.kind == "Pod":
            phase = (obj.get("status") or {}).get("phase")
            if phase in _ENDED:
                row["conditions"] = [{"type": "Completed", "status": "True", "reason": phase, "message": _ENDED[phase]}]
        if self._include == "Object":
            row["object"] = {"kind": self._resource.kind, "apiVersion": self._resource.group_version, **obj}
        elif self._include == "Metadata":
            row["object"] = {
                "kind": "PartialObjectMetadata",
                "apiVersion": self._version,
                "metadata": _internal(self._resource, obj),
            }
        else:
            row["object"] = None
        return row

    def _custom(self, column: Obj, obj: Obj) -> Any:
        found = jsonpath.find(column["jsonPath"], obj)
        if not found or found[0] is None:
            return None
        value, kind = found[0], column["type"]
        if kind == "string":
            return jsonpath.write(value)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if kind == "integer" and number:
            return int(value)
        if kind == "number" and number:
            return value
        if kind == "boolean" and isinstance(value, bool):
            return value
        if kind == "date" and isinstance(value, str):
            try:
                return since(value, self._now)
            except ValueError:
                return "<invalid>"
        return None


def _internal(resource: Resource, obj: Obj) -> Obj:
    """Return the metadata a Table shows: what a version keeps in annotations is not among them in the form printed."""
    meta: Obj = (obj if resource.custom else inward(resource, obj))["metadata"]
    if resource.kind == "DaemonSet" and _GENERATION in (meta.get("annotations") or {}):
        kept = {k: v for k, v in meta["annotations"].items() if k != _GENERATION}
        meta = {k: v for k, v in meta.items() if k != "annotations"} | ({"annotations": kept} if kept else {})
    return meta


def _declared(column: Obj) -> Obj:
    text = column.get("description") or f"Custom resource definition column (in JSONPath format): {column['jsonPath']}"
    return _column(column["name"], column["type"], column.get("format", ""), column.get("priority", 0), text)
