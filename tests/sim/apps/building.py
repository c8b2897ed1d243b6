"""Small applications for tests, written as data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from stratus.sim.apps.figures import EdgeFigures, Tick
from stratus.sim.apps.process import Proc
from stratus.sim.cluster import EmbeddedCluster

Obj = dict[str, Any]
NS = "small"


def workload(name: str, *, cpu: str = "1", memory: str = "512Mi", replicas: int = 1, **pod: Any) -> list[Obj]:
    """Return a Service on port 80 and a Deployment of an image of the same name that listens on 8080."""
    limits = {"cpu": cpu, "memory": memory}
    container = {
        "name": name,
        "image": f"acme/{name}:1.0.0",
        "resources": {"limits": limits},
        **pod.pop("container", {}),
    }
    spec = {"containers": [container], **pod}
    labels = {"app": name}
    port = {"port": 80, "targetPort": 8080}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [port]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        },
    ]


def program(name: str, operations: Obj, **rest: Any) -> Obj:
    """Return a program that speaks HTTP on 8080 and starts in half a second."""
    start = {"seconds": 0.5}
    return {
        "image": f"docker.io/acme/{name}", "ports": [8080], "protocol": "http", "startup": start,
        "operations": operations, **rest,
    }  # fmt: skip


def application(programs: Obj, objects: list[Obj], rate: float = 140.0, **rest: Any) -> Obj:
    """Return an application whose users ask `front` for `get`."""
    load = {"host": "front", "port": 80, "rate": rate, "timeout": 5, "mix": [{"operation": "get", "share": 1}]}
    return {
        "name": "small", "namespace": NS, "load": load | rest.pop("load", {}), "programs": programs, "objects": objects,
        **rest,
    }  # fmt: skip


def two(target: Obj | None = None, front: Obj | None = None, back: Obj | None = None) -> Obj:
    """Return `front`, which calls `back`, which has one core and takes 5 ms of it per request: 200 a second."""
    to = {"address": {"default": "back:80"}, "protocol": "http", "timeout": 0.5, **(target or {})}
    calls = [{"to": "back", "operation": "get"}]
    programs = {
        "front": program("front", {"get": {"cpu_ms": 0.5, "calls": calls}}, targets={"back": to}, **(front or {})),
        "back": program("back", {"get": {"cpu_ms": 5}}, **(back or {})),
    }
    return application(programs, [*workload("front", cpu="4"), *workload("back")])


def started(folder: Path, app: Obj, warmup: float = 120.0) -> EmbeddedCluster:
    """Return a cluster with an application; the caller closes it."""
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(app))
    return EmbeddedCluster(app=path, warmup=warmup)


def tick(cluster: EmbeddedCluster) -> Tick:
    """Return the newest figures."""
    found = cluster.history.last(cluster.clock.now())
    assert found is not None
    return found


def errors(cluster: EmbeddedCluster, service: str = "front", namespace: str = NS) -> float:
    """Return the share of a service's requests that fail now."""
    return tick(cluster).services[namespace, service].error_rate


def rate(cluster: EmbeddedCluster, service: str, namespace: str = NS) -> float:
    """Return the requests per second of a service now."""
    return tick(cluster).services[namespace, service].rate


def edge(cluster: EmbeddedCluster, caller: str, callee: str) -> EdgeFigures:
    """Return the busiest kind of call between two services."""
    found = [(e.calls, e) for (_, a, b, _), e in tick(cluster).edges.items() if (a, b) == (caller, callee)]
    return max(found, key=lambda f: f[0])[1]


def procs(cluster: EmbeddedCluster, name: str) -> list[Proc]:
    """Return the running processes of a workload."""
    return [p for p in cluster.runtime.live() if p.workload == name]
