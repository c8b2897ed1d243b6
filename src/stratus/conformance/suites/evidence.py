"""What was there before a recorded case of several writers, and what its answers leave out: evidence from its steps."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

from stratus.conformance.adoption import adopt, with_pods, with_replica_sets
from stratus.conformance.suites.base import RESOURCE, Json
from stratus.conformance.suites.reads import whole
from stratus.conformance.suites.validation import preconditions
from stratus.conformance.timeline import Key, key_of
from stratus.conformance.world import EmbeddedWorld
from stratus.kit.clock import parse_iso

#: Finalizers that the garbage collector sets and takes away itself.
COLLECTORS = frozenset({"orphan", "foregroundDeletion"})


def id_of(step: Json) -> Key:
    """Return what stands for a step in a map of corrections."""
    return (step.get("what", ""), step["method"], step["path"], str((step.get("response") or {}) is None))


def begin(steps: list[Json]) -> float:
    """Return the moment just before the first change of a case."""
    made = [_age(d) for d in _written(steps)]
    seen = [_age(o) for o in _seen(steps)]
    first = min((m for m in made if m), default=0.0) or max((m for m in seen if m), default=0.0)
    return first or parse_iso("2026-11-22T09:40:00Z")


def _written(steps: list[Json]) -> Iterator[Json]:
    for request in _requests(steps):
        if (
            request["method"] in ("POST", "PUT", "PATCH")
            and request["status"] in (200, 201)
            and isinstance(request.get("response"), dict)
        ):
            yield request["response"]


def _seen(steps: list[Json]) -> Iterator[Json]:
    for step in steps:
        documents = [step.get("response"), *(step.get("objects") or ())]
        for document in documents:
            if isinstance(document, dict):
                yield from document.get("items") or [document]


def _age(obj: Json) -> float:
    """Return the moment of the latest write of an object that is not a controller's, else of its creation."""
    meta = obj.get("metadata") or {}
    entries = [
        e for e in meta.get("managedFields") or () if not re.search("controller|kubelet|scheduler", e["manager"])
    ]
    stamps = [e.get("time") for e in entries] + [meta.get("creationTimestamp")]
    return max((parse_iso(s) for s in stamps if s), default=0.0)


def _requests(steps: list[Json]) -> list[Json]:
    return [r for step in steps for r in step.get("requests", [step]) if "method" in r]


def existing(world: EmbeddedWorld, steps: list[Json]) -> dict[Key, Json]:
    """Place what was there before a case; return corrected answers of reads that the recording shows after a change."""
    corrected: dict[Key, Json] = {}
    placed: dict[Key, Json] = {}
    start = begin(steps)
    touched: set[str] = set()
    for step in steps:
        for request in step.get("requests", [step]):
            if "method" in request:
                _evidence(placed, request, steps, touched)
        for document in step.get("objects") or ():
            for obj in whole_of(document):
                stamp = obj["metadata"].get("creationTimestamp")
                if stamp and parse_iso(stamp) < start - 1.0 and not _path_of(world, obj) & touched:
                    placed.setdefault(key_of(obj), obj)
    for step in steps:
        # A client that reads, changes and writes: the recording holds the one object it changed, for all three.
        answer = step.get("response")
        read = step.get("method") == "GET" and isinstance(answer, dict) and isinstance(answer.get("data"), dict)
        if read and isinstance(answer, dict) and any(other.get("body") == answer for other in steps):
            true = _as_written(answer, steps) or _owned_data(answer)
            corrected[id_of(step)] = true
            if placed.get(key_of(true)) == answer:
                placed[key_of(true)] = true
    placed |= {key_of(o): o for o in objects_for(steps)}
    _scaled(placed, steps)
    order = {"Node": 0, "Deployment": 1, "StatefulSet": 1, "DaemonSet": 1, "Service": 1, "ReplicaSet": 2, "Pod": 4}
    complete = with_pods(with_replica_sets(placed.values()), world.cluster.clock.now())
    for obj in sorted(complete, key=lambda o: order.get(o["kind"], 3)):
        if obj["kind"] not in ("Namespace", "Scale"):
            world.place(obj)
    for obj in complete:
        if obj["kind"] == "Pod":
            adopt(world.cluster.control, obj)
    return corrected


def _scaled(placed: dict[Key, Json], steps: list[Json]) -> None:
    """Let objects have the replicas that the first look at their scale shows."""
    for step in steps:
        path, answer = step.get("path", ""), step.get("response")
        if step.get("method") == "GET" and path.endswith("/scale") and isinstance(answer, dict):
            for key, obj in placed.items():
                if key[2:] == (answer["metadata"].get("namespace", ""), answer["metadata"]["name"]) and "spec" in obj:
                    replicas, meta = answer["spec"].get("replicas", 0), obj["metadata"]
                    if replicas != obj["spec"].get("replicas"):
                        # It was seen only after the case had changed it.
                        meta = {**meta, "generation": meta.get("generation", 2) - 1}
                    placed[key] = {**obj, "metadata": meta, "spec": {**obj["spec"], "replicas": replicas}}
            return
        if step.get("method") not in (None, "GET"):
            return


def objects_for(steps: list[Json]) -> list[Json]:
    """Return what the recorded namespaces held throughout, and what single cases found."""
    known = preconditions()["concurrency"]
    text = json.dumps(steps)
    found = []
    for entry in known:
        if entry["when"] in text and not re.search(rf"limitranges|{entry['unless']}", text):
            obj = json.loads(json.dumps(entry["object"]))
            obj["metadata"].setdefault("uid", str(uuid.uuid5(uuid.NAMESPACE_URL, obj["metadata"]["name"])))
            found.append(obj)
    return found


def _evidence(placed: dict[Key, Json], request: Json, steps: list[Json], touched: set[str]) -> None:
    """Note what a request shows of objects that nobody has written in this case yet; then what it writes itself."""
    path = request["path"].partition("?")[0]
    match = RESOURCE.match(path)
    if match is None:
        return
    single = bool(match[6])
    answer = request.get("response") or (request.get("lines") or [None])[0]
    status, method = request["status"], request["method"]
    if method in ("GET", "DELETE") and status == 200 and isinstance(answer, dict):
        for obj in whole(request["path"], answer):
            where = path if single else f"{path}/{obj['metadata']['name']}"
            if where not in touched:
                placed.setdefault(key_of(obj), _unmarked(obj))
    if method != "GET" and single and path not in touched and status in (200, 409, 422, 403, 429):
        known = _witness(path, steps)
        if known is not None:
            placed.setdefault(key_of(known), known)
    if method == "POST" and not single:
        body = answer if isinstance(answer, dict) and status == 201 else request.get("body")
        name = ((body or {}).get("metadata") or {}).get("name") if isinstance(body, dict) else None
        if name:
            touched.add(f"{path}/{name}")
    elif method != "GET":
        touched.add(path)


def _path_of(world: EmbeddedWorld, obj: Json) -> set[str]:
    """Return the path at which an object is written."""
    group, _, version = obj["apiVersion"].rpartition("/")
    resource = world.api.registry.of_kind(group, version, obj["kind"])
    if resource is None:
        return set()
    prefix = f"/apis/{group}/{version}" if group else f"/api/{version}"
    space = f"/namespaces/{obj['metadata']['namespace']}" if obj["metadata"].get("namespace") else ""
    return {f"{prefix}{space}/{resource.name}/{obj['metadata']['name']}"}


def whole_of(document: Any) -> list[Json]:
    """Return the objects of a looked-at document."""
    if not isinstance(document, dict) or "kind" not in document or document["kind"] == "Status":
        return []
    if "items" in document:
        kind = document["kind"].removesuffix("List")
        return [{"apiVersion": document["apiVersion"], "kind": kind, **item} for item in document["items"] or ()]
    return [document]


def _unmarked(obj: Json) -> Json:
    marks = ("deletionTimestamp", "deletionGracePeriodSeconds")
    meta = {k: v for k, v in obj["metadata"].items() if k not in marks}
    held = [f for f in meta.pop("finalizers", ()) if f not in COLLECTORS]
    return {**obj, "metadata": {**meta, "finalizers": held} if held else meta}


def _as_written(read: Json, steps: list[Json]) -> Json | None:
    """Return the answer to the write that made the version that was read, when it is among the steps."""
    meta = read["metadata"]
    for step in steps:
        answer = step.get("response")
        if step.get("method") not in ("PUT", "PATCH", "POST") or not isinstance(answer, dict):
            continue
        known = answer.get("metadata") or {}
        if all(meta.get(k) and known.get(k) == meta[k] for k in ("uid", "resourceVersion")):
            return answer
    return None


def _owned_data(obj: Json) -> Json:
    owned = {
        name.removeprefix("f:")
        for entry in obj["metadata"].get("managedFields") or ()
        for name in (entry["fieldsV1"].get("f:data") or {})
    }
    return {**obj, "data": {k: v for k, v in obj["data"].items() if k in owned}}


def _witness(path: str, steps: list[Json]) -> Json | None:
    """Return the object of a path as anybody in the case shows it in full."""
    match = RESOURCE.match(path)
    assert match is not None
    for request in _requests(steps):
        for document in (request.get("body"), request.get("response")):
            if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict):
                continue
            meta = document["metadata"]
            shown = document.get("kind") not in (None, "Status", "Scale", "Eviction", "DeleteOptions")
            if shown and meta.get("name") == match[6] and meta.get("uid"):
                return _in_version(_unmarked(document), path, steps)
    return None


def _in_version(obj: Json, path: str, steps: list[Json]) -> Json:
    """Return an object in the version that an accepted deletion insisted on."""
    for request in _requests(steps):
        body = request.get("body")
        if request["path"].partition("?")[0] == path and request["status"] == 200 and isinstance(body, dict):
            wanted = body.get("preconditions") or {}
            known = {k: wanted[k] for k in ("uid", "resourceVersion") if wanted.get(k)}
            if known:
                return {**obj, "metadata": {**obj["metadata"], **known}}
    return obj
