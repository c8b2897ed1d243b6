"""A cluster on a virtual clock, its API in process, with every change kept: where lifecycles are replayed."""

from __future__ import annotations

import json
import random
from typing import Any

import yaml

from stratus.kit.clock import VirtualClock, parse_iso
from stratus.sim.api import ApiServer, Request, Response
from stratus.sim.controlplane import ControlPlane
from stratus.sim.furniture import furnish
from stratus.sim.generic import GenericRuntime
from stratus.sim.registry import ImageRegistry
from stratus.sim.runtime import ExecResult
from stratus.sim.store import Change, Obj, Store

START = parse_iso("2026-01-05T09:00:00Z")
KINDS = {
    "Namespace": ("/api/v1", "namespaces"), "Node": ("/api/v1", "nodes"), "Pod": ("/api/v1", "pods"),
    "Service": ("/api/v1", "services"), "ConfigMap": ("/api/v1", "configmaps"), "Secret": ("/api/v1", "secrets"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"), "ResourceQuota": ("/api/v1", "resourcequotas"),
    "LimitRange": ("/api/v1", "limitranges"), "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims"),
    "PersistentVolume": ("/api/v1", "persistentvolumes"), "Deployment": ("/apis/apps/v1", "deployments"),
    "ReplicaSet": ("/apis/apps/v1", "replicasets"), "StatefulSet": ("/apis/apps/v1", "statefulsets"),
    "DaemonSet": ("/apis/apps/v1", "daemonsets"), "Job": ("/apis/batch/v1", "jobs"),
    "CronJob": ("/apis/batch/v1", "cronjobs"), "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "StorageClass": ("/apis/storage.k8s.io/v1", "storageclasses"),
}  # fmt: skip
CLUSTER = {"Namespace", "Node", "PersistentVolume", "StorageClass"}
PATCHES = {
    "strategic": "application/strategic-merge-patch+json",
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
}


class Lab:
    """Store, clock, API and control plane; every change is kept with its moment."""

    def __init__(self, seed: int = 0, nodes: int = 3) -> None:
        self.clock = VirtualClock(START)
        self.rng = random.Random(seed)
        self.store = Store(self.clock, self.rng)
        furnish(self.store, START, nodes=nodes)
        self.registry = ImageRegistry()
        self.runtime = GenericRuntime(self.registry)
        self.control = ControlPlane(self.store, self.clock, self.rng, self.registry, self.runtime)
        self.api = ApiServer(self.store, self.clock, rng=self.rng, drain=self._drain, exec_backend=self._exec)
        self.control.admit = self.api.admit_pod
        self.history: list[tuple[float, Change]] = []
        self.store.subscribe(lambda change: self.history.append((self.clock.now() - START, change)))
        self.control.drain()

    def _drain(self) -> None:
        self.control.drain()

    def close(self) -> None:
        """End the cluster."""
        self.control.close()
        self.api.close()

    # the API

    def request(
        self, method: str, path: str, body: Any = None, *, kind: str = "application/json", ok: bool = True
    ) -> Any:
        """Send one request and return the object it answers with; `ok` insists on success."""
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"content-type": kind, "accept": "application/json"}
        answer = self.api.handle(Request(method, path, headers, data))
        assert isinstance(answer, Response)
        if ok and answer.status >= 300:
            raise LookupError(f"{method} {path}: {answer.status} {(answer.obj or {}).get('message', '')}")
        return answer.obj

    def path(self, kind: str, namespace: str, name: str = "") -> str:
        """Return the path of a kind, or of one object."""
        prefix, plural = KINDS[kind]
        space = "" if kind in CLUSTER else f"/namespaces/{namespace}"
        return f"{prefix}{space}/{plural}" + (f"/{name}" if name else "")

    def apply(self, manifest: str | Obj, namespace: str = "default", *, ok: bool = True) -> None:
        """Create what is not there and patch what is, as `kubectl apply` does."""
        documents = yaml.safe_load_all(manifest) if isinstance(manifest, str) else [manifest]
        for obj in documents:
            if not obj:
                continue
            where = obj["metadata"].get("namespace", namespace)
            found = self.get(obj["kind"], obj["metadata"]["name"], where)
            if found is None:
                self.request("POST", self.path(obj["kind"], where), obj, ok=ok)
            else:
                target = self.path(obj["kind"], where, obj["metadata"]["name"])
                self.request("PATCH", target, obj, kind=PATCHES["strategic"])

    def get(self, kind: str, name: str, namespace: str = "default") -> Obj | None:
        """Return a stored object, None when it is not there."""
        prefix, plural = KINDS[kind]
        group = prefix.split("/")[2] if prefix.startswith("/apis/") else ""
        resource = f"{plural}.{group}" if group else plural
        return self.store.get(resource, "" if kind in CLUSTER else namespace, name)

    def patch(self, kind: str, name: str, patch: Any, namespace: str = "default", how: str = "strategic") -> Obj:
        """Patch an object: strategic, merge or json."""
        patched: Obj = self.request("PATCH", self.path(kind, namespace, name), patch, kind=PATCHES[how])
        return patched

    def delete(self, kind: str, name: str, namespace: str = "default", **options: Any) -> None:
        """Delete an object with the given options."""
        self.request("DELETE", self.path(kind, namespace, name), options or None)

    def kubectl(self, argv: list[str], namespace: str, stdin: str = "") -> Any:
        """Do what a kubectl command line does, as far as the recordings use it (without the word kubectl)."""
        from stratus.conformance.labkubectl import run

        return run(self, argv, namespace, stdin)

    def _exec(self, namespace: str, pod: str, container: str, argv: list[str], stdin: bytes) -> ExecResult:
        return self.exec(pod, argv, namespace=namespace, container=container)

    def exec(self, pod: str, argv: list[str], *, namespace: str = "default", container: str = "") -> ExecResult:
        """Run a command in a container."""
        stored = self.store.get("pods", namespace, pod)
        assert stored is not None
        spec = next(c for c in stored["spec"]["containers"] if not container or c["name"] == container)
        result = self.runtime.exec(stored, spec, argv, "")
        self.control.drain()
        return result

    # looking

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)

    def pods(self, namespace: str = "default", **labels: str) -> list[Obj]:
        """Return the pods of a namespace that carry labels."""
        return [
            p
            for p in self.store.list("pods", namespace)
            if all((p["metadata"].get("labels") or {}).get(k) == v for k, v in labels.items())
        ]

    def events(self, namespace: str = "default", reason: str = "") -> list[Obj]:
        """Return the events of a namespace, of one reason."""
        return [e for e in self.store.list("events", namespace) if not reason or e["reason"] == reason]

    def logs(self, pod: str, namespace: str = "default", *, previous: bool = False, container: int = 0) -> list[str]:
        """Return the lines that a container wrote."""
        stored = self.store.get("pods", namespace, pod)
        assert stored is not None
        spec = stored["spec"]["containers"][container]
        return [text for _, text in self.runtime.logs(stored, spec, previous=previous, since=None, limit=1000)]
