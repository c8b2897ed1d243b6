"""A small cluster to make twins of, and a reader that shows nothing but plain data."""

from __future__ import annotations

import copy
import json
from typing import Any

from stratus.cluster.kube import KubeCluster
from stratus.errors import ClusterError, Forbidden, UnknownNameError
from stratus.model.actions import ApiWrite
from stratus.model.refs import ObjectRef
from stratus.settings import HealthSettings
from stratus.sim.cluster import EmbeddedCluster
from stratus.sim.twin.cluster import TwinCluster
from stratus.sim.twin.snapshot import Snapshot, kinds, stored_as, take
from stratus.transaction.health import assess
from stratus.transaction.sampling import KINDS

SHOP = "shop"
IMAGE = "nginx:1.27"


def deployment(name: str, *, replicas: int = 1, pod: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "main", "image": IMAGE, **container}], **(pod or {})}
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": SHOP},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def service(name: str, port: int = 80) -> dict[str, Any]:
    spec = {"selector": {"app": name}, "ports": [{"port": port, "targetPort": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": SHOP}, "spec": spec}


def config(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": SHOP}, "data": data}


def script(text: str) -> dict[str, Any]:
    return {"image": "busybox:1.36", "command": ["sh", "-c", text]}


class Arena:
    """The cluster that is looked at."""

    def __init__(self, *objects: dict[str, Any], seconds: float = 60.0, nodes: int = 2) -> None:
        self.cluster = EmbeddedCluster(app=None, nodes=nodes, warmup=0.0, system=False, namespace=SHOP)
        self.kube = KubeCluster(self.cluster.api_client())
        self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP}})
        self.create(*objects)
        self.cluster.advance(seconds)

    def create(self, *objects: dict[str, Any]) -> None:
        for obj in objects:
            self.write("POST", obj, copy.deepcopy(obj))

    def write(self, method: str, obj: dict[str, Any], body: Any, **options: Any) -> None:
        resource = self.kube.reader.resource(obj["kind"])
        target = ObjectRef.of(obj).model_copy(update={"namespace": obj["metadata"].get("namespace", "")})
        namespaced = bool(target.namespace)
        self.kube.writer.write(
            ApiWrite(method=method, target=target, plural=resource.plural, namespaced=namespaced, body=body, **options)
        )

    def patch(self, obj: dict[str, Any], body: dict[str, Any]) -> None:
        self.write("PATCH", obj, body, patch_type="application/strategic-merge-patch+json")

    def look(self, **options: Any) -> Snapshot:
        options.setdefault("most", 5000)
        return take(self.kube.reader, [SHOP], now=self.cluster.clock.now(), **options)

    def twin(self, **options: Any) -> TwinCluster:
        return TwinCluster(self.look(), **options)

    def __enter__(self) -> Arena:
        return self

    def __exit__(self, *_: object) -> None:
        self.cluster.close()


def change(twin: EmbeddedCluster, resource: str, name: str, **spec: Any) -> None:
    """Change fields of a template's first container (or of the spec, for names that it has) in a twin."""
    obj = copy.deepcopy(twin.store.get(resource, SHOP, name))
    assert obj is not None
    for field, value in spec.items():
        place = obj["spec"] if field in ("replicas", "strategy") else obj["spec"]["template"]["spec"]["containers"][0]
        if value is None:
            place.pop(field, None)
        else:
            place[field] = value
    twin.store.update(resource, obj)
    twin.control.drain()


def health(cluster: EmbeddedCluster, space: str = SHOP) -> dict[str, tuple[Any, ...]]:
    """Return what the gate sees of each service."""
    objects = {kind: [{"kind": kind, **o} for o in cluster.store.list(stored_as(kind), space)] for kind in KINDS}
    rows = assess(objects, {}, now=cluster.clock.now(), settings=HealthSettings())
    return {r.service: (r.availability, r.ready, r.desired, r.endpoints, r.crashing) for r in rows}


def reasons(cluster: EmbeddedCluster, space: str = SHOP) -> list[tuple[str, ...]]:
    """Return why containers wait, and how pods stand, by workload."""
    found = []
    for pod in cluster.store.list("pods", space):
        waits = [
            (s.get("state") or {}).get("waiting", {}).get("reason", "")
            for s in pod["status"].get("containerStatuses") or ()
        ]
        found.append((pod["metadata"]["name"], pod["status"].get("phase", ""), *waits))
    return sorted(found)


class Shown:
    """A reader over plain data: there is no cluster behind it at all."""

    def __init__(self, objects: dict[str, list[dict[str, Any]]], *, forbidden: tuple[str, ...] = ()) -> None:
        self.objects, self.forbidden = json.loads(json.dumps(objects)), forbidden

    @classmethod
    def of(cls, arena: Arena, **options: Any) -> Shown:
        table = kinds()
        names = [*table["namespaced"], *table["cluster"], *table["asked"]]
        return cls({kind: arena.kube.reader.list(kind) for kind in names}, **options)

    def list(self, kind: str, namespace: str | None = None, **_: Any) -> list[dict[str, Any]]:
        if kind in self.forbidden:
            raise Forbidden(f"{kind} may not be listed", status=403, reason="Forbidden")
        if kind not in self.objects:
            raise UnknownNameError(f"no {kind}")
        found = self.objects[kind]
        return [o for o in found if namespace in (None, o["metadata"].get("namespace"))]


__all__ = ["IMAGE", "SHOP", "Arena", "ClusterError", "Shown", "change", "config", "deployment", "health", "reasons",
           "script", "service"]  # fmt: skip
