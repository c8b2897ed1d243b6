"""tables.jsonl.gz: server-side printing of every kind, and the other forms that Accept can ask for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from stratus.conformance.golden import Golden
from stratus.conformance.matrix import Outcome
from stratus.conformance.normal import difference
from stratus.conformance.suites.base import RESOURCE, Chosen, Json, attempt, namespace_of
from stratus.conformance.world import Side, World
from stratus.kit.clock import parse_iso

_AGE = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_UNITS = (86400, 3600, 60, 1)
#: Ages carry fractions that objects do not show, so a cell that is an age may differ by this many seconds.
SLACK = 2


class Tables:
    """The recorded objects, placed, are printed as recorded: columns, cells, conditions, metadata and status code."""

    name: ClassVar[str] = "tables.jsonl.gz"
    about: ClassVar[str] = (
        "status, content type, columns, cells, row conditions and embedded objects of each table; the sentences that "
        "describe columns are prose of the Kubernetes documentation and are not compared"
    )
    least: ClassVar[float | None] = None
    measures: ClassVar[Mapping[str, float | None]] = {}
    live: ClassVar[bool] = False
    slow: ClassVar[bool] = False

    def replay(self, golden: Golden, side: Side, chosen: Chosen) -> Iterator[Outcome]:
        """Place what each record shows into a cluster of its own, and ask for it in the recorded form."""
        records = golden.records(self.name)
        for index, record in enumerate(records):
            case = f"{index}/{record['kind']}"
            if not chosen(case):
                continue

            def run(case: str = case, record: Json = record) -> Outcome:
                found = _print(side, record, records)
                return Outcome(case=case, kind=record["kind"], passed=not found, reason=found[:600])

            yield attempt(case, record["kind"], run)


def _objects(record: Json, records: list[Json]) -> list[Json]:
    """Return the full objects behind a record; those of another form of it are in the record of the plain table."""
    if "object" in record:
        return [_typed(record["object"], record["path"], record["kind"])]
    if "list" in record:
        return _items(record)
    path = record["path"].partition("?")[0]
    for other in records:
        if other["path"] == path and ("list" in other or "object" in other):
            return _objects(other, records)
    return []


def _items(record: Json) -> list[Json]:
    return [_typed(item, record["path"], record["kind"]) for item in record["list"].get("items") or ()]


def _typed(obj: Json, path: str, kind: str) -> Json:
    found = RESOURCE.match(path)
    assert found is not None, path
    core, group, version, *_ = found.groups()
    return {"apiVersion": core or f"{group}/{version}", "kind": kind, **obj}


def _print(side: Side, record: Json, records: list[Json]) -> str:
    objects = _objects(record, records)
    stamps = [parse_iso(o["metadata"]["creationTimestamp"]) for o in objects if o["metadata"].get("creationTimestamp")]
    latest = int(max(stamps, default=parse_iso("2026-11-22T09:41:30Z")))
    spaces = {o["metadata"].get("namespace", "") for o in objects} | {namespace_of(record["path"])}
    world = side.world(*sorted(spaces - {""}), moment=float(latest))
    try:
        _make_room(world, record, objects)
        for obj in objects:
            world.place(obj)
        if "watch_lines" in record:
            # After everything that the pods' states tell of.
            world.reach(latest + 600.0)
        found = _ask(world, record)
        # The moment of printing was not recorded: one that explains every age must exist.
        wanted = record.get("table") or record.get("response") or {}
        if not found or "watch_lines" in record or not any(_ages(r["cells"]) for r in wanted.get("rows") or ()):
            return found
        for moment in _moments(objects, wanted, latest):
            world.reach(float(moment))
            later = _ask(world, record)
            if not later:
                return ""
            found = later
        return found
    finally:
        world.close()


def _moments(objects: list[Json], table: Json, latest: int) -> list[int]:
    """Return moments at which the first age shown would be right, and their neighbours."""
    for obj, row in zip(objects, table["rows"], strict=False):
        stamp = obj["metadata"].get("creationTimestamp")
        ages = _ages(row["cells"])
        if stamp and ages:
            begin = int(parse_iso(stamp))
            return [m for age in ages for m in range(begin + age - 2, begin + age + 62) if m >= latest][:400]
    return []


def _ages(cells: list[Any]) -> list[int]:
    return [s for s in (_seconds(c) for c in cells if isinstance(c, str)) if s is not None]


def _make_room(world: World, record: Json, objects: list[Json]) -> None:
    """Take away what a fresh cluster has of the listed resource and the recorded one has not."""
    if world.live or ("list" not in record and "watch_lines" not in record and not objects):
        return
    kept = {(o["metadata"].get("namespace", ""), o["metadata"]["name"]) for o in objects}
    found = RESOURCE.match(record["path"])
    store = getattr(world, "store", None)
    api = getattr(world, "api", None)
    if found is None or store is None or api is None:
        return
    core, group, version, namespace, plural, name = found.groups()
    resource = api.registry.find(group or "", core or version, plural)
    if resource is None or (name and not name.startswith("?")):
        return
    for obj in list(store.list(resource.stored, namespace or None)):
        key = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        if key not in kept:
            store.delete(resource.stored, *key)


def _ask(world: World, record: Json) -> str:
    answer = world.send("GET", record["path"], accept=record["accept"])
    if answer.status != record["status"]:
        return f"status {answer.status}, recorded {record['status']}: {answer.text[:160]}"
    if answer.content_type != record["content_type"]:
        return f"content type {answer.content_type!r}, recorded {record['content_type']!r}"
    if "watch_lines" in record:
        got = [json.loads(line) for line in answer.text.splitlines() if line]
        return difference([_event(e) for e in got], [_event(e) for e in record["watch_lines"]])
    return difference(_neutral(answer.obj), _neutral(record.get("table") or record.get("response"))) or _cells(
        answer.obj, record.get("table") or record.get("response") or {}
    )


def _event(event: Any) -> Any:
    """Return a watch event with its cells; ages in them are made alike."""
    event = json.loads(event) if isinstance(event, str) else event
    table = dict(event["object"])
    table.pop("metadata", None)
    for column in table.get("columnDefinitions") or ():
        column.pop("description", None)
    table["rows"] = [
        {**row, "cells": [_timeless(cell) for cell in row["cells"]]} for row in table.get("rows") or () if row
    ]
    return {**event, "object": table}


def _timeless(cell: Any) -> Any:
    return re.sub(r"\b(\d+[dhms])+(?=$| ago\))", "T", cell) if isinstance(cell, str) else cell


def _neutral(obj: Any) -> Any:
    """Return an answer without its version, the prose about its columns, and cells, which are compared apart."""
    if not isinstance(obj, dict):
        return obj
    out = json.loads(json.dumps(obj))
    (out.get("metadata") or {}).pop("resourceVersion", None)
    for column in out.get("columnDefinitions") or ():
        column.pop("description", None)
    for row in out.get("rows") or ():
        row.pop("cells", None)
    return out


def _cells(got: Any, want: Json) -> str:
    mine, real = ((t or {}).get("rows") or [] for t in (got, want))
    for number, (a, b) in enumerate(zip(mine, real, strict=True)):
        if not same_row(a["cells"], b["cells"]):
            return f"rows[{number}].cells: {json.dumps(a['cells'])[:200]}, recorded {json.dumps(b['cells'])[:200]}"
    return ""


def same_row(got: list[Any], want: list[Any]) -> bool:
    """Tell whether two rows show the same, ages within a fraction of a second's doubt."""
    if len(got) != len(want):
        return False
    for a, b in zip(got, want, strict=True):
        if a == b:
            continue
        x, y = (_seconds(v) if isinstance(v, str) else None for v in (a, b))
        if x is None or y is None or abs(x - y) > SLACK:
            return False
    return True


def _seconds(text: str) -> int | None:
    """Return the seconds of an age, the least that it stands for; None for anything else."""
    match = _AGE.fullmatch(text)
    if not match or not text:
        return None
    return sum(int(number) * unit for number, unit in zip(match.groups(), _UNITS, strict=True) if number)
