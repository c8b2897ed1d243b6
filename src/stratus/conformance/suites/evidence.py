"""What was there before a recorded case of several writers, and what its answers leave out: evidence from its steps."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from stratus.conformance.adoption import REVISION, adopt, running_pod, with_pods, with_references, with_replica_sets
from stratus.conformance.suites.base import RESOURCE, Json
from stratus.conformance.suites.reads import whole
from stratus.conformance.suites.validation import preconditions
from stratus.conformance.timeline import Key, key_of
from stratus.conformance.world import EmbeddedWorld
from stratus.kit.clock import parse_iso

#: What controllers keep of the versions of a workload.
HISTORIES = frozenset({"ReplicaSet", "ControllerRevision"})
WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
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


def sightings(steps: list[Json]) -> dict[Key, Json]:
    """Return the workloads, and their histories, that a case has seen, as they were when it saw them last."""
    return {
        key_of(obj): obj
        for step in steps
        for document in [*(r.get("response") for r in step.get("requests", [step])), *(step.get("objects") or ())]
        for obj in whole_of(document)
        if obj["kind"] in HISTORIES | WORKLOADS and (obj.get("metadata") or {}).get("uid")
    }


def existing(world: EmbeddedWorld, steps: list[Json], earlier: Mapping[Key, Json] | None = None) -> dict[Key, Json]:
    """Place what was there before a case; return corrected answers of reads that the recording shows after a change.

    Args:
        world: where it is placed.
        steps: of the case.
        earlier: what cases before it have seen of the histories of workloads.
    """
    corrected: dict[Key, Json] = {}
    placed: dict[Key, Json] = {}
    start = begin(steps)
    touched: set[str] = set()
    shown: set[Key] = set()
    for step in steps:
        for request in step.get("requests", [step]):
            if "method" in request:
                _evidence(placed, request, steps, touched)
        shown |= placed.keys() if "objects" not in step and not touched else set()
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
    placed |= _named_pods(placed, steps, earlier or {}, start)
    _with_owners(placed, earlier or {})
    for owner in list(placed.values()):
        history = {k: o for k, o in (earlier or {}).items() if _owned(o, owner) and not _path_of(world, o) & touched}
        # What the case itself looks at it has changed; how it was before, only earlier ones can tell, if none came
        # between.
        placed |= {k: o for k, o in history.items() if k not in placed or (k not in shown and _fresh(owner, history))}
    placed |= {key_of(o): o for o in objects_for(steps)}
    _scaled(placed, steps)
    order = {"Node": 0, "Deployment": 1, "StatefulSet": 1, "DaemonSet": 1, "Service": 1, "ReplicaSet": 2, "Pod": 4}
    complete = with_references(with_pods(with_replica_sets(placed.values()), world.cluster.clock.now()))
    for obj in sorted(complete, key=lambda o: order.get(o["kind"], 3)):
        if obj["kind"] not in ("Namespace", "Scale"):
            world.place(obj)
    for obj in complete:
        if obj["kind"] == "Pod":
            adopt(world.cluster.control, obj)
    return corrected


def _named_pods(
    placed: Mapping[Key, Json], steps: list[Json], earlier: Mapping[Key, Json], at: float
) -> dict[Key, Json]:
    """Return the pods that steps act on and that only their names tell of: they belong to a ReplicaSet seen before."""
    found: dict[Key, Json] = {}
    for request in _requests(steps):
        match = RESOURCE.match(request["path"])
        if match is None or match[5] != "pods" or not match[6] or request["status"] == 404:
            continue
        key = ("", "Pod", match[4], match[6])
        owner = earlier.get(("apps", "ReplicaSet", match[4], match[6].rpartition("-")[0]))
        if owner is not None and key not in placed:
            pod = running_pod(owner, 0, at)
            found[key] = {**pod, "metadata": {**pod["metadata"], "name": match[6]}}
    return found


def _with_owners(placed: dict[Key, Json], earlier: Mapping[Key, Json]) -> None:
    """Place the owners without which what is placed would be collected, where earlier cases have seen them."""
    by_uid = {obj["metadata"]["uid"]: (key, obj) for key, obj in earlier.items()}
    waiting = list(placed.values())
    while waiting:
        for ref in waiting.pop()["metadata"].get("ownerReferences") or ():
            key, owner = by_uid.get(ref["uid"], (None, None))
            if key is not None and owner is not None and key not in placed:
                placed[key] = owner
                waiting.append(owner)


def _owned(obj: Json, owner: Json) -> bool:
    uid = owner["metadata"].get("uid")
    return uid is not None and any(ref["uid"] == uid for ref in obj["metadata"].get("ownerReferences") or ())


def _fresh(owner: Json, history: Mapping[Key, Json]) -> bool:
    """Tell whether the newest ReplicaSet of a history is the one a Deployment has now, as large as it wants it."""
    newest = max(history.values(), key=_revision, default=None)
    return newest is not None and (_revision(newest), newest.get("spec", {}).get("replicas")) == (
        _revision(owner),
        owner.get("spec", {}).get("replicas"),
    )


def _revision(obj: Json) -> int:
    return int((obj["metadata"].get("annotations") or {}).get(REVISION) or obj.get("revision") or 0)


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
