"""patches.jsonl.gz: patches of every type, on objects as they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from stratus.conformance.golden import Golden
from stratus.conformance.matrix import Outcome
from stratus.conformance.normal import UID, difference, neutral, plain, without_allocation
from stratus.conformance.suites.base import Chosen, Json, OutOfScope, attempt, namespace_of
from stratus.conformance.world import Side, World


class Patches:
    """A patch of the recorded object gives the recorded one, field owners included, or the recorded refusal."""

    name: ClassVar[str] = "patches.jsonl.gz"
    about: ClassVar[str] = "the whole patched object, managedFields included (status only where it was patched)"
    least: ClassVar[float | None] = 0.99
    measures: ClassVar[Mapping[str, float | None]] = {}
    live: ClassVar[bool] = True
    slow: ClassVar[bool] = False

    def replay(self, golden: Golden, side: Side, chosen: Chosen) -> Iterator[Outcome]:
        """Patch each object in a cluster of its own."""
        for index, record in enumerate(golden.records(self.name)):
            case = f"{index}/{record['case']} {record['step']}"
            if not chosen(case):
                continue
            known = record.get("after") or record.get("before") or {}
            kind = known.get("kind") or record["path"].split("/")[-2]

            def run(case: str = case, record: Json = record, kind: str = kind) -> Outcome:
                spaces = [s for s in [namespace_of(record["path"])] if s]
                world = side.world(*spaces, moment=_moment(record))
                try:
                    return _patch(world, case, record, kind)
                finally:
                    world.close()

            yield attempt(case, kind, run)


def _moment(record: Json) -> float | None:
    from stratus.kit.clock import parse_iso

    # The latest time in the answer is the time of the request.
    meta = (record.get("after") or record.get("before") or {}).get("metadata", {})
    times = [parse_iso(e["time"]) for e in meta.get("managedFields", ()) if e.get("time")]
    return max(times, default=None)


def _patch(world: World, case: str, record: Json, kind: str) -> Outcome:
    if record["before"]:
        owners = record["before"]["metadata"].get("managedFields") or ()
        if world.live and any(e["operation"] == "Apply" for e in owners):
            raise OutOfScope("nobody can place an object together with who applied its fields")
        world.place(record["before"])
    answer = world.send("PATCH", record["path"], record["patch"], media=record["patch_type"])
    want = record.get("after") or record["error"]
    problems = []
    if answer.status != record["status"]:
        problems.append(f"status {answer.status}, recorded {record['status']}: {(answer.obj or {}).get('message', '')}")
    elif record["status"] >= 400:
        if UID.sub("U", plain(answer.obj)) != UID.sub("U", plain(want)):
            problems.append(difference(answer.obj, want) or "text differs")
    else:
        # On a live cluster nobody can place an object together with who owned its fields.
        got, real = (without_allocation(neutral(o, managed=not world.live), {}) for o in (answer.obj, want))
        if world.live:
            got["metadata"].pop("generation", None)
            real["metadata"].pop("generation", None)
        if "/status" not in record["path"]:
            # Controllers go on writing status while a patch is under way.
            got.pop("status", None)
            real.pop("status", None)
        if found := difference(got, real):
            problems.append(found)
    if record.get("warning_header") and answer.headers.get("warning") != record["warning_header"]:
        problems.append(f"warning: {answer.headers.get('warning')!r}, recorded {record['warning_header']!r}")
    return Outcome(case=case, kind=kind, passed=not problems, reason="; ".join(problems)[:600])
