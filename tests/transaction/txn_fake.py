"""An in-memory cluster for tests of the engine: versions, conflicts, uids, faults before, inside and after a write.

It is deliberately not idempotent: every write that reaches it is counted, and each changes the version, so a write
sent twice shows. Controllers are reduced to one: a Deployment's status follows its spec, and its revision counts
template changes.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

from stratus.errors import (
    AlreadyExists,
    ClusterError,
    ClusterUnreachable,
    Conflict,
    InDoubt,
    Invalid,
    NotFound,
    Throttled,
)
from stratus.kit.clock import Clock, iso
from stratus.model.actions import ApiWrite, PlannedWrite
from stratus.model.base import Json
from stratus.model.refs import ApiResource, ClusterIdentity, ObjectRef

API = {
    "Deployment": ("apps/v1", "deployments"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "DaemonSet": ("apps/v1", "daemonsets"),
    "ReplicaSet": ("apps/v1", "replicasets"),
    "Pod": ("v1", "pods"),
    "Service": ("v1", "services"),
    "ConfigMap": ("v1", "configmaps"),
    "Secret": ("v1", "secrets"),
    "Node": ("v1", "nodes"),
    "Lease": ("coordination.k8s.io/v1", "leases"),
    "EndpointSlice": ("discovery.k8s.io/v1", "endpointslices"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims"),
}
FAULTS = ("throttled", "unavailable", "lost_before", "lost_after", "conflict", "unreachable", "invalid", "stored_500")
Key = tuple[str, str, str]


class FakeCluster:
    """ClusterReader and ClusterWriter in one.

    Attributes:
        applied: every write that was stored, in order, leases apart: (field manager, method, target).
        faults: what befalls the next writes (leases apart), one word of FAULTS or "" each.
        before_write: called with each write (leases apart) before it is looked at: other people's edits.
    """

    def __init__(self, clock: Clock, *, managed: bool = True) -> None:
        self.clock = clock
        self.managed = managed
        self.objects: dict[Key, Json] = {}
        self.applied: list[tuple[str, str, str]] = []
        self.faults: list[str] = []
        self.read_faults: list[Exception] = []
        self.before_write: Callable[[ApiWrite], None] = lambda write: None
        self.gone: set[str] = set()
        self._versions = itertools.count(100)
        self._uids = itertools.count(1)

    # -- reading ----------------------------------------------------------------------------------------------

    def identity(self) -> ClusterIdentity:
        return ClusterIdentity(server="https://fake", uid="cluster-uid", version="v1.36")

    def resources(self) -> tuple[ApiResource, ...]:
        return tuple(ApiResource(api_version=v, kind=k, plural=p) for k, (v, p) in API.items())

    def resource(self, word: str) -> ApiResource:
        return next(r for r in self.resources() if word in (r.kind, r.plural))

    def get(self, ref: ObjectRef) -> Json | None:
        if self.read_faults and ref.kind != "Lease":
            raise self.read_faults.pop(0)
        return copy.deepcopy(self.objects.get(ref.key))

    def list(
        self, kind: str, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> list[Json]:
        kind = self.resource(kind).kind
        return [copy.deepcopy(o) for (k, ns, _), o in self.objects.items() if k == kind and namespace in (None, ns)]

    def logs(self, namespace: str, pod: str, **_: Any) -> str:
        return ""

    def can_i(self, verb: str, resource: str, namespace: str = "", *, subresource: str = "") -> bool:
        return True

    # -- other people -----------------------------------------------------------------------------------------

    def put(self, obj: Json, manager: str = "somebody") -> Json:
        """Create or replace an object as somebody else would, without preconditions."""
        ref = ObjectRef.of(obj)
        old = self.objects.get(ref.key)
        return self._store(obj, old, manager)

    def edit(self, ref: ObjectRef, change: Callable[[Json], None], manager: str = "somebody") -> Json:
        """Change an object in place as somebody else would."""
        old = self.objects[ref.key]
        new = copy.deepcopy(old)
        change(new)
        return self._store(new, old, manager)

    def snapshot(self) -> dict[Key, Json]:
        """Return all objects but leases."""
        return {k: copy.deepcopy(o) for k, o in self.objects.items() if k[0] != "Lease"}

    def writes_of(self, manager: str) -> int:
        """Count the stored writes of a field manager."""
        return sum(1 for who, _, _ in self.applied if who == manager)

    # -- writing ----------------------------------------------------------------------------------------------

    def write(self, write: ApiWrite) -> Json:
        if write.target.kind == "Lease":
            return self._write(write)
        self.before_write(write)
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "throttled":
            raise Throttled("too many requests", status=429, reason="TooManyRequests")
        if fault == "unreachable":
            raise ClusterUnreachable("connection refused")
        if fault == "invalid":
            raise Invalid("spec is not valid", status=422, reason="Invalid")
        if fault == "conflict":
            raise Conflict("the object has been modified", status=409, reason="Conflict")
        if fault == "unavailable":
            raise ClusterError("the server is currently unable", status=503, reason="ServiceUnavailable")
        if fault == "lost_before":
            raise InDoubt("no answer")
        answer = self._write(write)
        if fault == "lost_after":
            raise InDoubt("no answer")
        if fault == "stored_500":
            raise ClusterError("etcdserver: request timed out", status=500, reason="InternalError")
        return answer

    def _write(self, write: ApiWrite) -> Json:
        key = write.target.key
        if write.method == "POST" and not write.subresource:
            key = (write.target.kind, write.target.namespace, write.body["metadata"]["name"])
        old = self.objects.get(key)
        if write.method == "POST" and not write.subresource:
            if old is not None:
                raise AlreadyExists(f"{key} already exists", status=409, reason="AlreadyExists")
            answer = self._store(write.body, None, write.field_manager)
        elif old is None:
            raise NotFound(f"{key} not found", status=404, reason="NotFound")
        else:
            self._preconditions(write, old)
            if write.method == "DELETE" or write.subresource == "eviction":
                answer = self._delete(key, old)
            else:
                answer = self._store(self._changed(write, old), old, write.field_manager, write.subresource)
        if write.target.kind != "Lease":
            self.applied.append((write.field_manager, write.method, str(write.target)))
        if write.subresource == "scale":
            meta = {k: answer["metadata"][k] for k in ("name", "namespace", "uid", "resourceVersion")}
            return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": meta, "spec": dict(answer["spec"])}
        return answer

    def _preconditions(self, write: ApiWrite, old: Json) -> None:
        meta = old["metadata"]
        body = write.body if isinstance(write.body, dict) else {}
        said = (body.get("preconditions") or {}) if write.method == "DELETE" else (body.get("metadata") or {})
        for name, expected in (("uid", write.expect_uid), ("resourceVersion", write.expect_version)):
            for value in (expected, said.get(name)):
                if value and value != meta[name]:
                    raise Conflict(f"{name} is {meta[name]}, not {value}", status=409, reason="Conflict")

    def _changed(self, write: ApiWrite, old: Json) -> Json:
        if write.method == "PUT":
            return copy.deepcopy(write.body)
        if write.patch_type == "application/json-patch+json":
            return json_patch(old, write.body)
        if write.patch_type == "application/strategic-merge-patch+json":
            return strategic(old, write.body)
        return merge_patch(old, write.body)

    def _store(self, obj: Json, old: Json | None, manager: str, subresource: str = "") -> Json:
        new = copy.deepcopy(obj)
        meta = new["metadata"]
        if old is None:
            meta["uid"] = f"uid-{next(self._uids)}"
            meta["creationTimestamp"] = iso(self.clock.now())
            meta.pop("managedFields", None)
            meta["generation"] = 1
        else:
            for name in ("uid", "creationTimestamp", "generation", "resourceVersion"):
                meta[name] = old["metadata"][name]
            if _plain(new) == _plain(old):
                return copy.deepcopy(old)  # a write that changes nothing keeps the version, as the real server does
            if new.get("spec") != old.get("spec"):
                meta["generation"] = old["metadata"]["generation"] + 1
        if self.managed:
            known = [e for e in (old or {}).get("metadata", {}).get("managedFields", []) if e["manager"] != manager]
            meta["managedFields"] = [*known, {"manager": manager, "operation": "Update"}]
        meta["resourceVersion"] = str(next(self._versions))
        self._control(new, old)
        self.objects[ObjectRef.of(new).key] = new
        return copy.deepcopy(new)

    def _control(self, new: Json, old: Json | None) -> None:
        if new.get("kind") != "Deployment":
            return
        notes = new["metadata"].setdefault("annotations", {})
        changed = old is None or old["spec"].get("template") != new["spec"].get("template")
        last = int((old or {}).get("metadata", {}).get("annotations", {}).get("deployment.kubernetes.io/revision", 0))
        notes["deployment.kubernetes.io/revision"] = str(last + changed)
        wanted = new["spec"].setdefault("replicas", 1)
        new["status"] = {
            "observedGeneration": new["metadata"]["generation"],
            **dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), wanted),
        }

    def _delete(self, key: Key, old: Json) -> Json:
        if old["metadata"].get("finalizers"):
            new = copy.deepcopy(old)
            new["metadata"]["deletionTimestamp"] = iso(self.clock.now())
            new["metadata"]["resourceVersion"] = str(next(self._versions))
            self.objects[key] = new
            return copy.deepcopy(new)
        del self.objects[key]
        return {"kind": "Status", "apiVersion": "v1", "status": "Success"}


def _plain(obj: Json) -> str:
    out = {k: v for k, v in obj.items() if k != "status"}
    out["metadata"] = {k: v for k, v in obj["metadata"].items() if k not in ("resourceVersion", "managedFields")}
    return json.dumps(out, sort_keys=True)


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    out = dict(copy.deepcopy(target)) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merge_patch(out.get(key), value)
    return out


def strategic(target: Any, patch: Any) -> Any:
    """Apply a strategic merge patch whose lists of objects all merge by name; enough for `set image|env|resources`."""
    if isinstance(patch, list) and patch and all(isinstance(i, dict) and "name" in i for i in patch):
        out = copy.deepcopy(target) if isinstance(target, list) else []
        for item in patch:
            found = next((o for o in out if o.get("name") == item["name"]), None)
            if item.get("$patch") == "delete":
                out = [o for o in out if o is not found]
            elif found is None:
                out.append(copy.deepcopy(item))
            else:
                out[out.index(found)] = strategic(found, item)
        return out
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(copy.deepcopy(target)) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = strategic(merged.get(key), value)
    return merged


def json_patch(target: Json, ops: list[Json]) -> Json:
    """Apply add, replace, remove of RFC 6902."""
    out = copy.deepcopy(target)
    for op in ops:
        *way, last = [p.replace("~1", "/").replace("~0", "~") for p in op["path"].split("/")[1:]]
        holder: Any = out
        for part in way:
            holder = holder[int(part)] if isinstance(holder, list) else holder[part]
        if isinstance(holder, list):
            if op["op"] == "remove":
                del holder[int(last)]
            elif op["op"] == "add":
                holder.insert(len(holder) if last == "-" else int(last), op["value"])
            else:
                holder[int(last)] = op["value"]
        elif op["op"] == "remove":
            del holder[last]
        else:
            holder[last] = op["value"]
    return out


# -- builders -------------------------------------------------------------------------------------------------


def ref(kind: str, name: str, namespace: str = "shop") -> ObjectRef:
    """Name an object of the tests' namespace."""
    return ObjectRef(api_version=API[kind][0], kind=kind, name=name, namespace=namespace)


def obj(kind: str, name: str, namespace: str = "shop", **fields: Any) -> Json:
    """Build an object; `labels` and `annotations` go into its metadata."""
    meta: Json = {"name": name, "namespace": namespace}
    for part in ("labels", "annotations", "finalizers", "ownerReferences"):
        if part in fields:
            meta[part] = fields.pop(part)
    return {"apiVersion": API[kind][0], "kind": kind, "metadata": meta, **fields}


def deployment(name: str, *, image: str = "web:1", replicas: int = 2, env: dict[str, str] | None = None) -> Json:
    """Build a small Deployment."""
    container: Json = {"name": "web", "image": image, "ports": [{"containerPort": 80, "protocol": "TCP"}]}
    if env is not None:
        container["env"] = [{"name": k, "value": v} for k, v in env.items()]
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return obj("Deployment", name, labels={"app": name}, spec=spec)


def request(method: Any, kind: str, name: str, body: Any = None, **more: Any) -> ApiWrite:
    """Build a write to the tests' namespace."""
    return ApiWrite(method=method, target=ref(kind, name), plural=API[kind][1], body=body, **more)


def planned(write: ApiWrite, *, reversibility: Any = "exact", **more: Any) -> PlannedWrite:
    """Build a planned write."""
    command = f"{write.method} {write.target}"
    return PlannedWrite(write=write, command=command, reversibility=reversibility, **more)


def rehearsed(cluster: FakeCluster, write: ApiWrite, **more: Any) -> PlannedWrite:
    """Plan a write with its pre-image and what a dry run would give, as lint does."""
    copied = copy.deepcopy(cluster)
    copied.faults, copied.before_write = [], lambda write: None
    before = cluster.objects.get(write.target.key)
    answer = copied.write(write)
    after = None if write.method == "DELETE" else answer
    return planned(write, pre_image=copy.deepcopy(before), dry_run=after, **more)


def set_image(name: str, image: str) -> ApiWrite:
    """Build what `kubectl set image` sends."""
    body = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": image}]}}}}
    return request("PATCH", "Deployment", name, body, patch_type="application/strategic-merge-patch+json")


def set_env(name: str, **env: str) -> ApiWrite:
    """Build what `kubectl set env` sends."""
    items = [{"name": k, "value": v} for k, v in env.items()]
    body = {"spec": {"template": {"spec": {"containers": [{"name": "web", "env": items}]}}}}
    return request("PATCH", "Deployment", name, body, patch_type="application/strategic-merge-patch+json")


def scale(name: str, replicas: int) -> ApiWrite:
    """Build what `kubectl scale` sends."""
    body = {"spec": {"replicas": replicas}}
    return request("PATCH", "Deployment", name, body, subresource="scale", patch_type="application/merge-patch+json")


def set_data(name: str, **data: str | None) -> ApiWrite:
    """Build a merge patch of a ConfigMap's data."""
    return request("PATCH", "ConfigMap", name, {"data": data}, patch_type="application/merge-patch+json")


def label(kind: str, name: str, **labels: str | None) -> ApiWrite:
    """Build what `kubectl label` sends."""
    return request("PATCH", kind, name, {"metadata": {"labels": labels}}, patch_type="application/merge-patch+json")


def create(body: Json) -> ApiWrite:
    """Build a POST."""
    return request("POST", body["kind"], body["metadata"].get("name", ""), body)


def delete(kind: str, name: str) -> ApiWrite:
    """Build a DELETE without options."""
    return request("DELETE", kind, name, {})


def placements(count: int, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Return every way to place at most two of the words among `count` writes."""
    yield ("",) * count
    for i, word in itertools.product(range(count), words):
        yield tuple(word if k == i else "" for k in range(count))
    for (i, j), one, two in itertools.product(itertools.combinations(range(count), 2), words, words):
        yield tuple(one if k == i else two if k == j else "" for k in range(count))
