"""discovery/: what a server says about itself: groups, resources, OpenAPI documents, health, version."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from stratus.conformance.golden import Golden
from stratus.conformance.matrix import Outcome
from stratus.conformance.normal import difference
from stratus.conformance.suites.base import Chosen, Json, attempt
from stratus.conformance.world import Answer, Side, World

_HASH = re.compile(r"\?hash=[0-9A-F]+")
_PROSE = frozenset({"description", "title"})
#: Parts of /version that name a build.
_BUILD = frozenset({"buildDate", "compiler", "gitCommit", "gitTreeState", "goVersion", "platform"})
_SETS = ("consumes", "produces", "schemes")
INDEX = "index.json"


class Discovery:
    """Each recorded GET is answered with the recorded status, content type and document."""

    name: ClassVar[str] = "discovery"
    about: ClassVar[str] = (
        "status, content type and body: all groups, versions, kinds, verbs, short names, categories and subresources; "
        "of OpenAPI documents all paths with their parameters and all schemas with their properties. Not compared: "
        "prose (descriptions), the hash in an OpenAPI address (a checksum of such prose), which build the server is, "
        "and the server's own address"
    )
    least: ClassVar[float | None] = 1.0
    measures: ClassVar[Mapping[str, float | None]] = {}
    live: ClassVar[bool] = True
    slow: ClassVar[bool] = False

    def replay(self, golden: Golden, side: Side, chosen: Chosen) -> Iterator[Outcome]:
        """Ask one cluster for every document."""
        entries = golden.document(f"{self.name}/{INDEX}")
        world = side.world()
        try:
            for index, entry in enumerate(entries):
                case = f"{index}{_HASH.sub('', entry['path'])} {entry['accept'].partition(',')[0][:60]}"
                if not chosen(case):
                    continue

                def run(case: str = case, entry: Json = entry) -> Outcome:
                    found = _ask(world, golden, self.name, entry)
                    return Outcome(case=case, kind=kind_of(entry["path"]), passed=not found, reason=found[:600])

                yield attempt(case, kind_of(entry["path"]), run)
        finally:
            world.close()


def kind_of(path: str) -> str:
    """Return what a document is counted under."""
    if path.startswith("/openapi"):
        return "OpenAPI"
    if path.startswith("/api"):
        return "groups and resources"
    return "server"


def _ask(world: World, golden: Golden, folder: str, entry: Json) -> str:
    # The hash belongs to the recorded server's documents.
    answer = world.send("GET", _HASH.sub("", entry["path"]), accept=entry["accept"])
    if answer.status != entry["status"]:
        return f"status {answer.status}, recorded {entry['status']}: {answer.text[:120]}"
    if (answer.content_type or None) != entry["content_type"]:
        return f"content type {answer.content_type!r}, recorded {entry['content_type']!r}"
    if not entry.get("file") and "body" not in entry:
        return ""
    text = golden.text(f"{folder}/{entry['file']}") if entry.get("file") else entry["body"]
    return documents(entry["path"], answer, text)


def documents(path: str, answer: Answer, recorded: str) -> str:
    """Return how an answer differs from a recorded document, empty when it does not."""
    try:
        wanted = json.loads(recorded)
        got = answer.obj if answer.obj is not None else json.loads(answer.text)
    except ValueError:
        return difference(answer.text, recorded)
    if path == "/version":
        got, wanted = ({k: "" if k in _BUILD else v for k, v in d.items()} for d in (got, wanted))
    if path.startswith("/openapi/v3") and path != "/openapi/v3":
        got, wanted = (_without_prose(d) for d in (got, wanted))
    elif path.startswith("/openapi"):
        got, wanted = (spelled_out(json.loads(_HASH.sub("", json.dumps(_without_prose(d))))) for d in (got, wanted))
    else:
        got, wanted = (_addressless(d) for d in (got, wanted))
    return difference(got, wanted)


def spelled_out(document: Any) -> Any:
    """Return an OpenAPI v2 document with shared parameters where they are used and media types as sets."""
    if not isinstance(document, dict) or "swagger" not in document:
        return document
    shared = document.get("parameters") or {}
    found = _resolved({k: v for k, v in document.items() if k != "parameters"}, shared)
    assert isinstance(found, dict)
    return found


def _resolved(value: Any, shared: Json) -> Any:
    if isinstance(value, dict):
        target = str(value.get("$ref", "")).removeprefix("#/parameters/")
        if len(value) == 1 and target in shared:
            return _resolved(shared[target], shared)
        return {
            k: sorted(v) if k in _SETS and all(isinstance(i, str) for i in v) else _resolved(v, shared)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [_resolved(item, shared) for item in value]
    return value


def _without_prose(value: Any, *, names: bool = False) -> Any:
    """Return a document without prose; `names` are the keys of a map of properties, which may be called anything."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if names or k not in _PROSE or not isinstance(v, str)}
        return {
            k: _without_prose(v, names=not names and k in ("properties", "definitions", "schemas", "paths"))
            for k, v in kept.items()
        }
    if isinstance(value, list):
        return [_without_prose(item) for item in value]
    return value


def _addressless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: "ADDRESS" if k == "serverAddress" else _addressless(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_addressless(item) for item in value]
    return value
