"""Small builders of objects that look as a real API server would serve them."""

from __future__ import annotations

import copy
from typing import Any

from stratus.kit.clock import iso, parse_iso
from stratus.model.alerts import Alert
from stratus.model.cases import Case
from stratus.model.diagnosis import Detection
from stratus.model.evidence import CallEdge, LogLine, Observation, SeriesPoint, ServiceSeries, Usage

NOW = parse_iso("2026-03-01T12:00:00Z")
Obj = dict[str, Any]


def meta(name: str, *, age: float = 7200.0, owner: tuple[str, str] | None = None, **extra: Any) -> Obj:
    """Return metadata of an object made `age` seconds ago."""
    found: Obj = {
        "name": name,
        "namespace": "shop",
        "uid": f"uid-{name}",
        "creationTimestamp": iso(NOW - age),
        **extra,
    }
    if owner:
        found["ownerReferences"] = [{"kind": owner[0], "name": owner[1], "uid": f"uid-{owner[1]}", "controller": True}]
    return found


def container(name: str = "app", **fields: Any) -> Obj:
    """Return a container with one declared port."""
    return {"name": name, "image": "registry.example/app:1", "ports": [{"containerPort": 8080}], **fields}


def template(app: str, *containers: Obj, **spec: Any) -> Obj:
    """Return a pod template."""
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": list(containers or (container(),)), **spec}}


def deployment(
    name: str, pod: Obj | None = None, *, replicas: int = 1, ready: int | None = None, age: float = 7200.0, **spec: Any
) -> Obj:
    """Return a Deployment; `ready` defaults to all."""
    ready = replicas if ready is None else ready
    available = {"type": "Available", "status": "True" if ready else "False", "lastTransitionTime": iso(NOW - age)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta(name, age=age),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": copy.deepcopy(pod or template(name)),
            **spec,
        },
        "status": {"replicas": replicas, "readyReplicas": ready, "conditions": [available]},
    }


def replica_set(
    owner: str, number: int, pod: Obj, *, replicas: int = 0, ready: int = 0, age: float = 7200.0, **annotations: str
) -> Obj:
    """Return the ReplicaSet that stores revision `number` of a Deployment."""
    marks = {"deployment.kubernetes.io/revision": str(number), **{f"deployment.kubernetes.io/{k}": v for k, v in
             annotations.items()}}  # fmt: skip
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": meta(f"{owner}-{number}", age=age, owner=("Deployment", owner), annotations=marks),
        "spec": {"replicas": replicas, "template": copy.deepcopy(pod)},
        "status": {"replicas": replicas, "readyReplicas": ready},
    }


def pod(owner: str, number: int, spec: Obj, index: int = 0, *, ready: bool = True, age: float = 3600.0,
        state: Obj | None = None, last: Obj | None = None, restarts: int = 0, node: str = "node-1") -> Obj:  # fmt: skip
    """Return a pod of a ReplicaSet whose first container is in a state (running unless told otherwise)."""
    state = state or {"running": {"startedAt": iso(NOW - age)}}
    first = spec["spec"]["containers"][0]
    status = {"name": first["name"], "ready": ready, "restartCount": restarts, "state": state, "lastState": last or {}}
    conditions = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": iso(NOW - age)},
        {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": iso(NOW - age)},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta(
            f"{owner}-{number}-{index}",
            age=age,
            owner=("ReplicaSet", f"{owner}-{number}"),
            labels=dict(spec["metadata"]["labels"]),
        ),
        "spec": {**copy.deepcopy(spec["spec"]), "nodeName": node},
        "status": {"phase": "Running", "podIP": "10.0.0.5", "containerStatuses": [status], "conditions": conditions},
    }


def service(name: str, selector: dict[str, str] | None = None, *ports: Obj, age: float = 7200.0, **extra: Any) -> Obj:
    """Return a Service; port 80 to 8080 unless told otherwise."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta(name, age=age, **extra),
        "spec": {"selector": {"app": name} if selector is None else selector,
                 "clusterIP": f"10.96.0.{sum(map(ord, name)) % 250}",
                 "ports": list(ports) or [{"port": 80, "targetPort": 8080}]},
    }  # fmt: skip


def node(name: str = "node-1", *, cpu: str = "4", memory: str = "16Gi", **spec: Any) -> Obj:
    """Return a ready node."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "uid": f"uid-{name}", "creationTimestamp": iso(NOW - 1e6),
                     "labels": {"kubernetes.io/hostname": name}},
        "spec": spec,
        "status": {"allocatable": {"cpu": cpu, "memory": memory},
                   "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": iso(NOW - 1e6)}]},
    }  # fmt: skip


def event(obj: Obj, reason: str, message: str, *, age: float = 60.0, count: int = 1, kind: str = "Warning") -> Obj:
    """Return an event about an object, last seen `age` seconds ago."""
    name = obj["metadata"]["name"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "type": kind,
        "metadata": meta(f"{name}.{reason}.{abs(hash(message)) % 10**8}", age=age),
        "involvedObject": {"kind": obj["kind"], "namespace": "shop", "name": name},
        "reason": reason,
        "message": message,
        "count": count,
        "firstTimestamp": iso(NOW - age),
        "lastTimestamp": iso(NOW - age),
    }


def change(obj: Obj, *fields: str, age: float = 120.0, manager: str = "kubectl-edit", created: bool = False) -> Obj:
    """Return a change record as collection makes it."""
    name = obj["metadata"]["name"]
    return {"kind": obj["kind"], "namespace": "shop", "name": name, "metadata": {"name": name, "namespace": "shop"},
            "manager": manager, "operation": "Update", "time": NOW - age, "created": created,
            "fields": list(fields)}  # fmt: skip


def app(name: str, *containers: Obj, **spec: Any) -> list[Obj]:
    """Return a healthy Deployment with its ReplicaSet, pod and Service."""
    tpl = template(name, *containers, **spec)
    return [
        deployment(name, tpl),
        replica_set(name, 1, tpl, replicas=1, ready=1),
        pod(name, 1, tpl),
        service(name),
    ]


def observation(*objects: Obj, **fields: Any) -> Observation:
    """Return a look at these objects; objects of all kinds that matter are readable."""
    kinds: dict[str, list[Obj]] = {
        k: []
        for k in ("Pod", "Deployment", "ReplicaSet", "Service", "ConfigMap", "Secret", "Event", "Node", "NetworkPolicy")
    }
    for obj in objects:
        kind = "Change" if "manager" in obj and "operation" in obj else obj["kind"]
        kinds.setdefault(kind, []).append(obj)
    look = {"at": NOW, "window": 300.0, "namespaces": ("shop",), **fields}
    return Observation(objects={k: tuple(v) for k, v in kinds.items()}, **look)


def series(name: str, *, errors: float = 0.0, latency: float = 0.02, rate: float = 10.0, was_latency: float = 0.02,
           was_rate: float = 10.0, since: float = 120.0, step: float = 15.0) -> ServiceSeries:  # fmt: skip
    """Return fifteen minutes of figures that change `since` seconds before now."""
    points = []
    at = NOW - 900
    while at <= NOW:
        bad = at >= NOW - since
        points.append(SeriesPoint(at=at, rate=rate if bad else was_rate, error_rate=errors if bad else 0.0,
                                  latency_p99=latency if bad else was_latency))  # fmt: skip
        at += step
    return ServiceSeries(namespace="shop", service=name, points=tuple(points))


def edge(
    caller: str, callee: str, *, errors: int = 0, calls: int = 1000, own: float = 0.01, message: str = ""
) -> CallEdge:
    """Return aggregated calls between two services."""
    return CallEdge(caller=caller, callee=callee, operation="get", calls=calls, errors=errors, latency_p99=own * 1.5,
                    self_time_p99=own, message=message)  # fmt: skip


def usage(owner: str, *, cpu: float = 0.1, limit: float = 0.5, throttled: float = 0.0, memory: float = 1e8,
          memory_limit: float = 5e8) -> Usage:  # fmt: skip
    """Return resource use of a workload's first pod."""
    return Usage(namespace="shop", pod=f"{owner}-1-0", container="app", cpu_cores=cpu, cpu_limit=limit,
                 throttled=throttled, memory_bytes=memory, memory_limit=memory_limit)  # fmt: skip


def said(owner: str, *texts: str, age: float = 60.0, number: int = 1) -> tuple[LogLine, ...]:
    """Return log lines of a workload's first pod."""
    return tuple(
        LogLine(at=NOW - age + i, namespace="shop", pod=f"{owner}-{number}-0", container="app", text=text)
        for i, text in enumerate(texts)
    )


def case(look: Observation, *, alerts: tuple[Alert, ...] = (), **fields: Any) -> Case:
    """Return a case file; detection is the real one."""
    from stratus.detection.anomaly import detect
    from stratus.settings import HealthSettings

    found: Detection = detect(look, alerts, health=HealthSettings(), now=look.at)
    return Case(incident="inc-1", detection=found, observation=look, **fields)
