"""The twin: an embedded cluster that begins as a snapshot shows another one, and goes on by itself."""

from __future__ import annotations

import copy
import json
import zlib
from collections.abc import Mapping

from stratus.kit.clock import iso
from stratus.kit.kube import condition, selects
from stratus.sim.apps.runtime import AppRuntime
from stratus.sim.cluster import EmbeddedCluster
from stratus.sim.controllers.autoscaling import AutoscalerController
from stratus.sim.furniture import DEFAULT_CLASS, furnish
from stratus.sim.leases import furnish_node
from stratus.sim.registry import ImageRegistry
from stratus.sim.store import Obj
from stratus.sim.twin.adoption import adopt
from stratus.sim.twin.doubts import Doubts
from stratus.sim.twin.images import SeenImages
from stratus.sim.twin.learning import Memory, learn
from stratus.sim.twin.runtime import ObservedRuntime
from stratus.sim.twin.snapshot import Snapshot, stored_as

CLASSES, NODES, SECRETS = "storageclasses.storage.k8s.io", "nodes", "secrets"


class TwinCluster(EmbeddedCluster):
    """A cluster of which only objects are known: its containers do what those of the other were seen to do.

    It has no application, no traffic, no load and no log of inputs. What it had to guess is in `doubts`.

    Args:
        snapshot: what was read.
        served: when trouble was noticed, by `namespace/service`, for Services whose requests were answered well until
            then: evidence that the revision before it works.
        memory: what earlier twins of the same cluster knew.
    """

    runtime: ObservedRuntime
    registry: SeenImages

    def __init__(
        self, snapshot: Snapshot, *, served: Mapping[str, float] | None = None, memory: Memory | None = None
    ) -> None:
        self.snapshot = snapshot
        self._memory = memory or {}
        self.served = dict(served or {})
        self.doubts = Doubts()
        # Names and uids that the twin draws must be none that were drawn elsewhere by another emulation.
        seed = zlib.crc32(json.dumps([snapshot.at, sorted(_uids(snapshot))]).encode()) + 1
        super().__init__(
            app=None, seed=seed, nodes=1, warmup=0.0, system=False, epoch=snapshot.at, namespace=snapshot.namespaces[0]
        )

    def _containers(self) -> tuple[ImageRegistry, AppRuntime]:
        registry = SeenImages(self.doubts)
        return registry, ObservedRuntime(registry, self.doubts)

    def _furnish(self, nodes: int) -> None:
        del nodes
        shot, store = self.snapshot, self.store
        uids = _uids(shot)
        for resource, objects in shot.objects.items():
            for obj in objects:
                store.load(resource, _owned_here(obj, uids))
        for pod in shot.around:
            store.load("pods", _owned_here(pod, set()))
        for name in {*shot.namespaces, *(p["metadata"].get("namespace", "") for p in shot.around)}:
            store.load("namespaces", _namespace(name, shot.at))
        if "Secret" in shot.unseen:
            for secret in _assumed_secrets(shot):
                store.load(SECRETS, secret)
        for node in store.list(NODES):
            furnish_node(store, node)
        furnish(store, shot.at, nodes=0)
        if all(c["metadata"]["name"] != DEFAULT_CLASS for c in shot.kind("StorageClass")):
            store.delete(CLASSES, "", DEFAULT_CLASS)

    def _start(self, warmup: float, system: bool) -> None:
        """Learn how containers behave, let the kubelets take over, and let controllers come to rest; nothing ticks."""
        shot, store, control = self.snapshot, self.store, self.control
        lesson = learn(
            shot.kind("Pod"),
            lookup=store.get,
            services={ns: [s["metadata"]["name"] for s in store.list("services", ns)] for ns in shot.namespaces},
            replicasets=shot.kind("ReplicaSet"),
            served=self._served_workloads(),
            deployments=shot.kind("Deployment"),
            now=shot.at,
        )
        for node, images in lesson.running.items():
            for image in images:
                self.registry.seen(image)
                if node:
                    control.kubelet.images.preload(image, [node])
        for pod, image, error in lesson.unpulled:
            names = [ref.get("name", "") for ref in pod["spec"].get("imagePullSecrets") or ()]
            self.registry.failed(image, control.kubelet.registry_credentials(pod, names), error)
        self.runtime.teach(lesson, self._memory)
        for pod in shot.kind("Pod"):
            adopt(control, self.runtime, pod, followed=True)
        for pod in shot.around:
            adopt(control, self.runtime, pod, followed=False)
        self._settle()
        control.drain()

    def _settle(self) -> None:
        """What a twin does not know is not acted upon: no metrics for autoscalers, no word from silent nodes."""
        autoscaler = self.control.controllers[AutoscalerController.name]
        assert isinstance(autoscaler, AutoscalerController)
        autoscaler.metered = False
        for node in self.store.list(NODES):
            if condition(node, "Ready").get("status") == "Unknown":
                self.control.kubelet.silent[node["metadata"]["name"]] = None

    def _served_workloads(self) -> dict[tuple[str, str], float]:
        found: dict[tuple[str, str], float] = {}
        for service in self.snapshot.kind("Service"):
            meta = service["metadata"]
            onset = self.served.get(f"{meta.get('namespace', '')}/{meta['name']}")
            if onset is None:
                continue
            selector = (service.get("spec") or {}).get("selector")
            for workload in self.snapshot.kind("Deployment"):
                labels = workload["spec"]["template"]["metadata"].get("labels") or {}
                if workload["metadata"].get("namespace") == meta.get("namespace") and selects(selector, labels):
                    found[meta.get("namespace", ""), workload["metadata"]["name"]] = onset
        return found

    def fork(self, *, pessimist: bool = False) -> TwinCluster:
        """Return an independent copy that has met no doubt yet; a pessimist takes the bad end of every one."""
        twin = super().fork()
        twin.snapshot, twin.served, twin._memory = self.snapshot, self.served, self._memory
        twin.doubts = Doubts(pessimist=pessimist)
        twin.runtime.doubts = twin.registry.doubts = twin.doubts
        autoscaler = twin.control.controllers[AutoscalerController.name]
        assert isinstance(autoscaler, AutoscalerController)
        autoscaler.metered = False
        return twin

    def _usage(self, pod: Obj) -> dict[str, tuple[float, float]]:
        return {}


def _uids(shot: Snapshot) -> set[str]:
    return {obj["metadata"].get("uid", "") for objects in shot.objects.values() for obj in objects}


def _owned_here(obj: Obj, uids: set[str]) -> Obj:
    """Return an object without owners that the twin does not have: its garbage collector would take it for garbage."""
    owners = obj["metadata"].get("ownerReferences")
    if not owners or all(ref.get("uid") in uids for ref in owners):
        return obj
    meta = {**obj["metadata"], "ownerReferences": [ref for ref in owners if ref.get("uid") in uids]}
    return {**obj, "metadata": meta}


def _namespace(name: str, at: float) -> Obj:
    """Return a namespace of which nothing but its name is known; one that was read comes before it."""
    meta = {
        "name": name,
        "uid": f"namespace-{name}",
        "labels": {"kubernetes.io/metadata.name": name},
        "creationTimestamp": iso(at),
        "resourceVersion": "1",
    }
    spec = {"finalizers": ["kubernetes"]}
    return {"kind": "Namespace", "apiVersion": "v1", "metadata": meta, "spec": spec, "status": {"phase": "Active"}}


def _assumed_secrets(shot: Snapshot) -> list[Obj]:
    """Return Secrets as far as running containers prove them: named, with the keys that they read."""
    found: dict[tuple[str, str], Obj] = {}
    for pod in shot.kind("Pod"):
        space = pod["metadata"].get("namespace", "")
        up = {
            s["name"]
            for s in (pod.get("status") or {}).get("containerStatuses") or ()
            if (s.get("state") or {}).get("running")
        }
        if not up:
            continue
        wanted: list[tuple[str, str]] = []
        for container in pod["spec"].get("containers") or ():
            if container["name"] not in up:
                continue
            for entry in container.get("env") or ():
                ref = (entry.get("valueFrom") or {}).get("secretKeyRef")
                wanted += [(ref.get("name", ""), ref.get("key", ""))] if ref else []
            wanted += [
                (s["secretRef"].get("name", ""), "") for s in container.get("envFrom") or () if s.get("secretRef")
            ]
        for volume in pod["spec"].get("volumes") or ():
            ref = volume.get("secret")
            if ref:
                keys = [item.get("key", "") for item in ref.get("items") or ()] or [""]
                wanted += [(ref.get("secretName", ""), key) for key in keys]
        wanted += [(ref.get("name", ""), "") for ref in pod["spec"].get("imagePullSecrets") or ()]
        for name, key in wanted:
            secret = found.setdefault((space, name), _secret(space, name, shot.at))
            if key:
                secret["data"][key] = ""
    return list(found.values())


def _secret(space: str, name: str, at: float) -> Obj:
    meta = {
        "name": name,
        "namespace": space,
        "uid": f"secret-{space}-{name}",
        "creationTimestamp": iso(at),
        "resourceVersion": "1",
    }
    return copy.deepcopy({"kind": "Secret", "apiVersion": "v1", "metadata": meta, "type": "Opaque", "data": {}})


__all__ = ["TwinCluster", "stored_as"]
