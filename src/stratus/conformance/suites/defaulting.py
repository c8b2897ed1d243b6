"""defaulting.jsonl: manifests, and the whole object that is stored for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from stratus.conformance.golden import Golden
from stratus.conformance.matrix import Outcome
from stratus.conformance.normal import difference, neutral, without_allocation
from stratus.conformance.suites.base import Chosen, Json, attempt, namespace_of
from stratus.conformance.world import Side, World


class Defaulting:
    """A dry run and a create of each manifest answer with the recorded object; reads show it in other versions."""

    name: ClassVar[str] = "defaulting.jsonl"
    about: ClassVar[str] = "the whole stored object, managedFields included, for a dry run and for a create"
    least: ClassVar[float | None] = 0.98
    measures: ClassVar[Mapping[str, float | None]] = {}
    live: ClassVar[bool] = True
    slow: ClassVar[bool] = False

    def replay(self, golden: Golden, side: Side, chosen: Chosen) -> Iterator[Outcome]:
        """Create one manifest after the other in the same cluster."""
        records = golden.records(self.name)
        spaces = sorted({namespace_of(r["path"]) for r in records} - {""})
        world = side.world(*spaces)
        try:
            for index, record in enumerate(records):
                case = f"{index}/{record['case']}"
                if not chosen(case):
                    continue

                def run(case: str = case, record: Json = record) -> Outcome:
                    return _read(world, case, record) if "get" in record else _create(world, case, record)

                yield attempt(case, record["kind"], run)
        finally:
            world.close()


def _create(world: World, case: str, record: Json) -> Outcome:
    asked, kind = record["request"], record["kind"]
    problems = []
    fresh = kind != "CustomResourceDefinition"
    mark = "&" if "?" in record["path"] else "?"
    attempts = [("dry run", f"{record['path']}{mark}dryRun=All", record.get("dry_run"))]
    attempts.append(("create", record["path"], record["create"]))
    if not fresh:
        # It exists throughout: made anew here, so that its creation can be compared.
        world.send("DELETE", f"{record['path']}/{asked['metadata']['name']}")
    for what, path, want in attempts:
        if want is None:
            continue
        answer = world.send("POST", path, asked, media="application/json")
        found = compare(answer.status, answer.obj, want, asked)
        if found:
            problems.append(f"{what}: {found}")
    return Outcome(case=case, kind=kind, passed=not problems, reason="; ".join(problems)[:600])


def compare(status: int, obj: Json, want: Json, asked: Json) -> str:
    """Return how an answer to a create differs from the recorded one, empty when it does not."""
    if status != want["status"]:
        return f"status {status}, recorded {want['status']}: {(obj or {}).get('message', '')}"
    if status >= 400:
        return difference(obj, want["object"])
    got, real = (without_allocation(neutral(o), asked.get("spec") or {}) for o in (obj, want["object"]))
    if asked["metadata"].get("generateName"):
        got["metadata"]["name"] = real["metadata"]["name"]
    return difference(got, real)


def _read(world: World, case: str, record: Json) -> Outcome:
    answer = world.send("GET", record["path"])
    want = record["get"]
    if isinstance(want, dict) and "object" in want and "status" in want and "metadata" not in want:
        want = want["object"]
    if not isinstance(answer.obj, dict):
        return Outcome(case=case, kind=record["kind"], passed=False, reason=f"status {answer.status}")
    found = difference(neutral(answer.obj), neutral(want))
    return Outcome(case=case, kind=record["kind"], passed=not found, reason=found)
