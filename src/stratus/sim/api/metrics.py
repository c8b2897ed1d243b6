"""metrics.k8s.io: what pods and nodes use now, for `kubectl top` and the autoscaler."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from stratus.kit.clock import Clock, iso
from stratus.sim.api.resources import Resource
from stratus.sim.api.routing import Path, Query
from stratus.sim.api.selectors import labels_match, parse_labels
from stratus.sim.api.status import ApiError
from stratus.sim.store import Store

Obj = dict[str, Any]
Usage = Callable[[Obj], dict[str, tuple[float, float]]]
_WINDOW = 15.0


class Metrics:
    """Reads usage through a hook: pod -> {container: (cpu cores, memory bytes)}."""

    def __init__(self, store: Store, clock: Clock, usage: Usage | None) -> None:
        self.store = store
        self.clock = clock
        self.usage = usage

    def measured(self, resource: Resource, path: Path, query: Query) -> list[Obj]:
        """Return what is measured, of one namespace or all.

        Raises:
            ApiError: 503 without a usage hook.
        """
        if self.usage is None:
            text = "the server is currently unable to handle the request"
            raise ApiError(503, "ServiceUnavailable", text)
        if resource.name == "pods":
            source = self.store.list("pods", path.namespace or None)
            return [m for p in source if self._wanted(p, path, query) and (m := self._pod(p)) is not None]
        return [self._node(n) for n in self.store.list("nodes") if self._wanted(n, path, query)]

    @staticmethod
    def _wanted(obj: Obj, path: Path, query: Query) -> bool:
        if path.name and obj["metadata"]["name"] != path.name:
            return False
        return labels_match(parse_labels(query.get("labelSelector")), obj["metadata"].get("labels"))

    def _pod(self, pod: Obj) -> Obj | None:
        assert self.usage is not None
        if pod.get("status", {}).get("phase") != "Running":
            return None
        containers = [
            {"name": name, "usage": _quantities(cpu, memory)} for name, (cpu, memory) in self.usage(pod).items()
        ]
        if not containers:
            return None
        meta = pod["metadata"]
        head = {"name": meta["name"], "namespace": meta["namespace"], "labels": meta.get("labels") or {}}
        return {**self._head(head), "containers": containers}

    def _head(self, meta: Obj) -> Obj:
        now = iso(self.clock.now())
        return {"metadata": {**meta, "creationTimestamp": now}, "timestamp": now, "window": f"{_WINDOW:.0f}s"}

    def _node(self, node: Obj) -> Obj:
        assert self.usage is not None
        cpu, memory = 0.05, 300e6
        name = node["metadata"]["name"]
        for pod in self.store.list("pods"):
            if pod["spec"].get("nodeName") == name and pod.get("status", {}).get("phase") == "Running":
                for used_cpu, used_memory in self.usage(pod).values():
                    cpu += used_cpu
                    memory += used_memory
        head = {"name": name, "labels": node["metadata"].get("labels") or {}}
        return {**self._head(head), "usage": _quantities(cpu, memory)}


def _quantities(cpu: float, memory: float) -> Obj:
    return {"cpu": f"{math.ceil(cpu * 1e9)}n", "memory": f"{math.ceil(memory / 1024)}Ki"}
