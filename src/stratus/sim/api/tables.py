"""Tables as the server prints them: the columns of each kind and one row per object."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

from stratus.sim.api.durations import since
from stratus.sim.api.printers import PRINTERS
from stratus.sim.api.resources import Resource

Obj = dict[str, Any]


@cache
def _columns() -> dict[str, list[Obj]]:
    data = json.loads(files("stratus.sim.schema").joinpath("columns.json").read_text("utf-8"))
    return {kind: [_column(*c) for c in listed] for kind, listed in data.items()}


def _column(name: str, kind: str, form: str, priority: int, description: str = "") -> Obj:
    return {"name": name, "type": kind, "format": form, "description": description or name, "priority": priority}


class Printer:
    """Prints objects of one resource at one moment."""

    def __init__(self, resource: Resource, now: float, include: str) -> None:
        self._resource = resource
        self._now = now
        self._include = include
        known = PRINTERS.get(resource.kind)
        self._cells: Callable[[Obj], list[Any]]
        if resource.custom:
            listed = resource.columns or [{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]
            self.columns = [_column("Name", "string", "name", 0)] + [
                _column(c["name"], c["type"], c.get("format", ""), c.get("priority", 0), c.get("description", ""))
                for c in listed
            ]
            self._cells = lambda obj: [obj["metadata"]["name"], *(self._custom(c, obj) for c in listed)]
        elif known is not None:
            self.columns = _columns()[resource.kind]
            self._cells = lambda obj: known(obj, self._now)
        else:
            self.columns = _columns()[""]
            self._cells = lambda obj: [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp", "")]

    def table(self, objects: list[Obj], meta: Obj) -> Obj:
        """Return the Table of some objects."""
        return {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": meta,
            "columnDefinitions": self.columns,
            "rows": [self._row(obj) for obj in objects],
        }

    def _row(self, obj: Obj) -> Obj:
        row: Obj = {"cells": self._cells(obj)}
        if self._resource.kind == "Pod":
            phase = obj.get("status", {}).get("phase")
            if phase in ("Succeeded", "Failed"):
                text = "The pod has completed successfully." if phase == "Succeeded" else "The pod failed."
                row["conditions"] = [{"type": "Completed", "status": "True", "reason": phase, "message": text}]
        if self._include == "Object":
            row["object"] = obj
        elif self._include == "Metadata":
            row["object"] = {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": obj["metadata"],
            }
        return row

    def _custom(self, column: Obj, obj: Obj) -> Any:
        value: Any = obj
        for part in column["jsonPath"].strip(".").split("."):
            name, _, index = part.partition("[")
            value = value.get(name) if isinstance(value, dict) else None
            if index and isinstance(value, list):
                number = index.rstrip("]")
                value = value[int(number)] if number.isdigit() and int(number) < len(value) else None
        if column["type"] == "date" and isinstance(value, str):
            return since(value, self._now)
        if column["type"] == "string" and value is not None and not isinstance(value, str):
            return json.dumps(value)
        return value
