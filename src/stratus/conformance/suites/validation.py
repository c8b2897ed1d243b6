"""validation.jsonl: requests that are refused (and some that are not), by different users."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar

from stratus.conformance.golden import Golden
from stratus.conformance.matrix import Outcome
from stratus.conformance.normal import UID, VERSIONED, difference, neutral, plain, without_allocation
from stratus.conformance.suites.base import Chosen, Json, attempt, namespace_of
from stratus.conformance.world import ADMIN, ANONYMOUS, NOBODY, STRANGER, VIEWER, Answer, Side, World

#: The users of the records, by the first word of their description.
WHO = {"kubernetes-admin": ADMIN, "viewer": VIEWER, "nobody-user": NOBODY, "anonymous": ANONYMOUS, "bad": STRANGER}


class Validation:
    """Each request gets the recorded status, reason, causes and warnings; accepted ones the recorded object."""

    name: ClassVar[str] = "validation.jsonl"
    about: ClassVar[str] = "status and reason; the full text with all causes; warnings; the object of accepted requests"
    least: ClassVar[float | None] = None
    measures: ClassVar[Mapping[str, float | None]] = {"status_and_reason": 0.95, "causes": 0.85}
    live: ClassVar[bool] = True
    slow: ClassVar[bool] = False

    def replay(self, golden: Golden, side: Side, chosen: Chosen) -> Iterator[Outcome]:
        """Send each request to a cluster of its own; those of one prepared namespace share a cluster, as recorded."""
        shared: dict[str, World] = {}
        try:
            for index, record in enumerate(golden.records(self.name)):
                case = f"{index}/{record['case']}"
                if not chosen(case):
                    continue
                space = _space(record)
                lasting = space in preconditions()["by_namespace"]

                def run(
                    case: str = case, record: Json = record, space: str = space, lasting: bool = lasting
                ) -> Outcome:
                    world = shared.get(space) if lasting else None
                    if world is None:
                        world = side.world(*_spaces(record, space), moment=_moment(record))
                        _prepare(world, space)
                        if lasting:
                            shared[space] = world
                    try:
                        return _ask(world, case, record, space)
                    finally:
                        if not lasting:
                            world.close()

                measured = [name for name in self.measures if name != "causes" or record["status"] >= 400]
                yield attempt(case, _kind(record), run, measured)
        finally:
            for world in shared.values():
                world.close()


@cache
def preconditions() -> dict[str, Any]:
    """Return the objects that requests refer to."""
    import yaml

    text = files("stratus.conformance").joinpath("data", "preconditions.yaml").read_text("utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def _space(record: Json) -> str:
    found = namespace_of(record["path"])
    if found:
        return found
    terminating = preconditions()["terminating"]
    request = record.get("request") if isinstance(record.get("request"), dict) else {}
    names = {record["path"].rpartition("/")[2], ((request or {}).get("metadata") or {}).get("name")}
    return next((name for name in terminating if name in names), "")


def _spaces(record: Json, space: str) -> list[str]:
    """Return the namespaces that exist: the one asked for, unless it is said to be missing."""
    response = record.get("response")
    details = response.get("details") if isinstance(response, dict) else None
    if record["status"] == 404 and (details or {}).get("kind") == "namespaces":
        return ["gold-val"]
    return [space or "gold-val"]


def _moment(record: Json) -> float | None:
    from stratus.kit.clock import parse_iso

    stamp = ((record.get("existing_object") or {}).get("metadata") or {}).get("creationTimestamp")
    return parse_iso(stamp) if stamp else None


def _kind(record: Json) -> str:
    request, response = record.get("request"), record.get("response")
    for document in (request, response):
        if isinstance(document, dict) and isinstance(document.get("kind"), str) and document["kind"] != "Status":
            return str(document["kind"]).removesuffix("List")
    if isinstance(response, dict):
        plural = (response.get("details") or {}).get("kind")
        if plural:
            return str(plural)
    return "(other)"


def _prepare(world: World, space: str) -> None:
    known = preconditions()
    for obj in known["by_namespace"].get(space, ()):
        make(world, obj, space)
    if space in known["terminating"]:
        world.send("DELETE", f"/api/v1/namespaces/{space}")


def make(world: World, obj: Json, namespace: str) -> None:
    """Create an object through the API."""
    group, _, version = obj["apiVersion"].rpartition("/")
    prefix = f"/apis/{group}/{version}" if group else "/api/v1"
    plural = obj["kind"].lower() + "s"
    world.send("POST", f"{prefix}/namespaces/{namespace}/{plural}", obj, media="application/json")


def _seed(world: World, record: Json, space: str) -> None:
    known, request = preconditions(), record.get("request")
    named = isinstance(request, dict) and ((request.get("metadata") or {}) or {}).get("name")
    for name, objects in known["by_name"].items():
        if f"/{name}" in record["path"] or named == name:
            for obj in objects:
                make(world, obj, space or "gold-val")
    for word, objects in known["by_case"].items():
        if word in record["case"]:
            for obj in objects:
                make(world, obj, space or "gold-val")


def _shown(record: Json) -> list[Json]:
    """Return the objects that a recorded read shows, which therefore existed."""
    response = record.get("response")
    if record["method"] not in ("GET", "DELETE") or record["status"] != 200 or not isinstance(response, dict):
        return []
    if record["method"] == "DELETE":
        if "deletionTimestamp" not in response["metadata"] or not response["metadata"].get("generation"):
            return []
        marks = ("deletionTimestamp", "deletionGracePeriodSeconds")
        meta = {k: v for k, v in response["metadata"].items() if k not in marks}
        return [{**response, "metadata": {**meta, "generation": meta["generation"] - 1}}]
    if response["kind"].endswith("List"):
        version, kind = response["apiVersion"], response["kind"].removesuffix("List")
        return [{"apiVersion": version, "kind": kind, **item} for item in response["items"]]
    return [response] if response.get("metadata", {}).get("name") else []


def _ask(world: World, case: str, record: Json, space: str) -> Outcome:
    if existing := record.get("existing_object"):
        world.place(existing)
    else:
        _seed(world, record, space)
    for obj in _shown(record):
        world.place(obj)
    body = record["request"] if record.get("request") is not None else record.get("request_raw")
    who = WHO[record["user"].split()[0]]
    answer = world.send(
        record["method"],
        record["path"],
        body,
        media=record.get("content_type"),
        accept=record.get("accept"),
        user=who,
    )
    if world.live and record["method"] == "POST" and answer.status == 201 and "dryRun" not in record["path"]:
        name = ((answer.obj or {}).get("metadata") or {}).get("name", "")
        world.send("DELETE", f"{record['path'].partition('?')[0]}/{name}")
    problems = _compare(answer, record, live=world.live)
    wanted, found = record["response"], answer.obj
    same_reason = not isinstance(wanted, dict) or (found or {}).get("reason") == wanted.get("reason")
    measures = {"status_and_reason": answer.status == record["status"] and (record["status"] < 400 or same_reason)}
    if record["status"] >= 400:
        measures["causes"] = not problems
    return Outcome(
        case=case, kind=_kind(record), passed=not problems, reason="; ".join(problems)[:600], measures=measures
    )


def _compare(answer: Answer, record: Json, *, live: bool = False) -> list[str]:
    problems = []
    wanted = record["response"]
    if answer.status != record["status"]:
        message = (answer.obj or {}).get("message", answer.text[:200])
        return [f"status {answer.status}, recorded {record['status']}: {message}"]
    if record["status"] >= 400 and isinstance(wanted, dict):
        if plain(answer.obj) != plain(wanted):
            problems.append(difference(json.loads(plain(answer.obj)), json.loads(plain(wanted))))
    elif isinstance(wanted, dict):
        asked = record.get("request") if isinstance(record.get("request"), dict) else {}
        got, real = (_accepted(o, (asked or {}).get("spec") or {}, live=live) for o in (answer.obj, wanted))
        if found := difference(got, real):
            problems.append(found)
    elif isinstance(wanted, str) and not wanted.startswith('{"type":'):
        got_text, real_text = (_timeless(t) for t in (answer.text, wanted))
        if got_text != real_text:
            problems.append(difference(got_text, real_text))
    if record.get("warning_header"):
        told = answer.headers.get("warning")
        if told != ", ".join(record["warning_header"]):
            problems.append(f"warnings: {told!r}, recorded {record['warning_header']!r}")
    if record.get("allow_header") and answer.headers.get("allow") != record["allow_header"]:
        problems.append(f"Allow: {answer.headers.get('allow')!r}, recorded {record['allow_header']!r}")
    return problems


def _accepted(obj: Any, asked: Json, *, live: bool = False) -> Any:
    """Return an accepted answer without what differs from run to run.

    On a live cluster nobody can place an object together with who owned its fields, its generation and its status.
    """
    if not isinstance(obj, dict):
        return obj
    if obj.get("kind", "").endswith("List"):
        return {**obj, "metadata": {}, "items": [_one(o, live) for o in obj.get("items") or ()]}
    if obj.get("kind") == "Status":
        return neutral(obj)
    return without_allocation(_one(obj, live), asked)


def _one(obj: Json, live: bool) -> Json:
    out: Json = neutral(obj, managed=not live)
    if live:
        out.pop("status", None)
        out["metadata"].pop("generation", None)
    return out


def _timeless(text: str) -> str:
    """Return YAML text without what differs from run to run, line by line."""
    lines = [
        line
        for line in VERSIONED.sub(r"\1N", UID.sub("U", text)).splitlines()
        if not line.strip().startswith(("creationTimestamp:", "resourceVersion:", "time:", "uid:"))
    ]
    return "\n".join(lines)
