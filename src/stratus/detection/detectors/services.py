"""Services that lead nowhere: no endpoints, a target port that nothing listens on, an Ingress without its backend."""

from __future__ import annotations

import json
import re

from stratus.detection.detectors.scene import RECENT, Scene, anomaly
from stratus.kit.drift import strayed
from stratus.kit.kube import (
    annotations_of,
    condition,
    controller,
    created,
    dangling,
    desired_replicas,
    dig,
    event_message,
    event_time,
    labels_of,
    moment,
    name_of,
    namespace_of,
    pod_finished,
    pod_ready,
    pod_spec_of,
    port_fits,
    port_numbers,
    ready_addresses,
    selects,
    slices_of,
    target_of,
    terminating,
)
from stratus.model.alerts import Severity
from stratus.model.base import Json
from stratus.model.diagnosis import Anomaly

GRACE = 30.0
"""Seconds after which endpoints should have followed the pods."""
MEMORY = 86_400.0
"""A change to a Service is a suspect for a day."""
_SCALED = re.compile(r"[Ss]caled down replica set \S+ (?:from (\d+) )?to 0\b")


def find(scene: Scene) -> list[Anomaly]:
    """Return anomalies of Services, of workloads scaled to zero, and of Ingresses."""
    found: list[Anomaly] = []
    for service in scene.observation.of("Service"):
        selector = dig(service, "spec", "selector", default={})
        if selector and dig(service, "spec", "type") != "ExternalName":
            found += _service(scene, service, selector)
    found += _zero(scene)
    found += _nowhere(scene)
    found += _ingresses(scene)
    found += _addresses(scene)
    return found


def _service(scene: Scene, service: Json, selector: dict[str, str]) -> list[Anomaly]:
    namespace, name = namespace_of(service), name_of(service)
    pods = [p for p in scene.observation.of("Pod", namespace)
            if selects(selector, labels_of(p)) and not pod_finished(p) and not terminating(p)]  # fmt: skip
    if not pods:
        return _selects_nothing(scene, service, selector)
    ready = [p for p in pods if pod_ready(p)]
    if not ready:
        since = max(moment(condition(p, "Ready").get("lastTransitionTime")) or created(p) for p in pods)
        if scene.now - since < GRACE:
            return []
        text = f"Service {name}: none of its {len(pods)} pods is ready"
        return [anomaly("no-endpoints", text, service, service=name, severity="critical", since=since)]
    found = _ports(scene, service, ready)
    if scene.observation.of("EndpointSlice", namespace) and not found:
        slices = slices_of(service, scene.observation.of("EndpointSlice", namespace))
        youngest = max(moment(condition(p, "Ready").get("lastTransitionTime")) for p in ready)
        if not ready_addresses(slices) and scene.now - youngest > GRACE and dig(service, "spec", "ports"):
            text = f"Service {name} has no endpoints although {len(ready)} of its pods are ready"
            found.append(anomaly("no-endpoints", text, service, service=name, since=youngest))
    return found


def _selects_nothing(scene: Scene, service: Json, selector: dict[str, str]) -> list[Anomaly]:
    """Judge a Service whose selector matches no pod: a workload at zero, a mismatch, or a leftover."""
    namespace, name = namespace_of(service), name_of(service)
    for kind in ("Deployment", "StatefulSet", "DaemonSet"):
        for workload in scene.observation.of(kind, namespace):
            labels = dig(workload, "spec", "template", "metadata", "labels", default={})
            if selects(selector, labels):
                return []  # the workload is what is wrong; other detectors tell how
    changed = scene.changed("Service", namespace, name)
    alike = [
        w
        for kind in ("Deployment", "StatefulSet", "DaemonSet")
        for w in scene.observation.of(kind, namespace)
        if desired_replicas(w) and _alike(service, selector, w)
    ]
    severity: Severity = "info"
    if alike or changed > scene.now - MEMORY:
        severity = "critical" if alike else "warning"
    shown = ",".join(f"{k}={v}" for k, v in sorted(selector.items()))
    text = f"Service {name}: its selector {shown} matches no pod"
    since = changed or (created(service) if scene.now - created(service) < RECENT else 0.0)
    return [anomaly("selects-nothing", text, service, service=name, severity=severity, since=since)]


def _alike(service: Json, selector: dict[str, str], workload: Json) -> bool:
    """Whether a workload looks like the one the Service was made for and no other Service needs explaining."""
    labels = dig(workload, "spec", "template", "metadata", "labels", default={})
    if name_of(workload) == name_of(service):
        return True
    return any(labels.get(k) == v for k, v in selector.items()) and len(selector) > 1


def _ports(scene: Scene, service: Json, ready: list[Json]) -> list[Anomaly]:
    """Find ports that lead to nothing in any ready pod."""
    namespace, name = namespace_of(service), name_of(service)
    found: list[Anomaly] = []
    for port in dig(service, "spec", "ports", default=[]):
        if port.get("protocol", "TCP") != "TCP":
            continue
        target = target_of(port)
        fits = [port_fits(pod_spec_of(p), target) for p in ready]
        astray = all(strayed(service, port, pod_spec_of(p)) for p in ready)
        if not astray and not all(fit is False for fit in fits):
            continue
        if (namespace, name) in scene.heard:
            continue  # requests are served: the pod listens on what it does not declare
        changed = scene.changed("Service", namespace, name)
        declared = sorted({n for p in ready for n in port_numbers(pod_spec_of(p))})
        severity: Severity = "critical" if isinstance(target, str) or changed > scene.now - MEMORY else "warning"
        text = f"Service {name}: port {port.get('port')} leads to {target}, its pods declare {declared or 'no port'}"
        if astray:
            text += " and are probed where it was applied to lead"
        found.append(anomaly("target-port", text, service, service=name, severity=severity, since=changed))
    return found


def _zero(scene: Scene) -> list[Anomaly]:
    """Workloads that want no pod although something shows that they were wanted a while ago."""
    found = []
    for kind in ("Deployment", "StatefulSet"):
        for workload in scene.observation.of(kind):
            if desired_replicas(workload) or dig(workload, "status", "replicas"):
                continue
            namespace, name = namespace_of(workload), name_of(workload)
            labels = dig(workload, "spec", "template", "metadata", "labels", default={})
            service = scene.service_of(namespace, labels)
            at, why = _was_wanted(scene, workload)
            if not why and not service:
                continue
            severity: Severity = "critical" if service and why else "warning" if why else "info"
            text = f"{kind} {name} is scaled to zero" + (f" behind Service {service}" if service else "")
            found.append(anomaly("scaled-to-zero", text + (f": {why}" if why else ""), workload,
                                 service=service or name, severity=severity, since=at))  # fmt: skip
    return found


def _nowhere(scene: Scene) -> list[Anomaly]:
    """DaemonSets that no node is meant to run any more, since where they run was changed."""
    found = []
    for daemon in scene.observation.of("DaemonSet"):
        spec, status = pod_spec_of(daemon), daemon.get("status") or {}
        if desired_replicas(daemon) or not (spec.get("nodeSelector") or spec.get("affinity")):
            continue
        if int(status.get("observedGeneration") or 0) < int(dig(daemon, "metadata", "generation", default=0)):
            continue
        namespace, name = namespace_of(daemon), name_of(daemon)
        mine = [
            r
            for r in scene.observation.of("ControllerRevision", namespace)
            if (controller(r) or ("", ""))[:2] == ("DaemonSet", name)
        ]
        places = {json.dumps([_place(dig(r, "data", "spec", "template", "spec", default={}))]) for r in mine}
        newest = max((created(r) for r in mine), default=0.0)
        if len(places) < 2 or newest < scene.now - MEMORY:
            continue  # nobody changed it: a DaemonSet for nodes that this cluster does not have is in order
        service = scene.service_of(namespace, dig(daemon, "spec", "template", "metadata", "labels", default={}))
        text = f"DaemonSet {name} matches no node since where it runs was changed"
        severity: Severity = "critical" if service else "info"  # it is also how one is switched off
        found.append(anomaly("scaled-to-zero", text, daemon, service=service or name, severity=severity, since=newest))
    return found


def _place(spec: Json) -> list[object]:
    return [spec.get("nodeSelector"), spec.get("affinity")]


def _was_wanted(scene: Scene, workload: Json) -> tuple[float, str]:
    """Return (when, why) something shows that pods were wanted."""
    for event in reversed(scene.events(workload, "ScalingReplicaSet", "SuccessfulDelete")):
        match = _SCALED.search(event_message(event))
        if match and match[1] != "0":
            return event_time(event), line_of(event)
    at = scene.changed(workload["kind"], namespace_of(workload), name_of(workload))
    applied = annotations_of(workload).get("kubectl.kubernetes.io/last-applied-configuration", "")
    replicas = re.search(r'"replicas":(\d+)', applied)
    if applied and (replicas is None or replicas[1] != "0"):
        return at, "its manifest as last applied wants pods"
    scaled = [
        c["time"]
        for c in scene.observation.of("Change", namespace_of(workload))
        if c["kind"] == workload["kind"]
        and c["name"] == name_of(workload)
        and not c["created"]
        and any(f.endswith("replicas") for f in c["fields"])
    ]
    if scaled and max(scaled) > scene.now - MEMORY:
        return max(scaled), "its replicas were changed after it was made"
    return 0.0, ""


def line_of(event: Json) -> str:
    """Return an event's text without its trailing stop."""
    return event_message(event).strip().rstrip(".")


def _ingresses(scene: Scene) -> list[Anomaly]:
    found = []
    if "Service" in scene.observation.missing:
        return []
    for ingress in scene.observation.of("Ingress"):
        namespace = namespace_of(ingress)
        backends = [dig(ingress, "spec", "defaultBackend", "service", "name", default="")]
        for rule in dig(ingress, "spec", "rules", default=[]):
            for path in dig(rule, "http", "paths", default=[]):
                backends.append(dig(path, "backend", "service", "name", default=""))
        for backend in sorted({b for b in backends if b}):
            if scene.observation.find("Service", namespace, backend) is None:
                text = f"Ingress {name_of(ingress)} leads to Service {backend}, which does not exist"
                found.append(anomaly("ingress-backend", text, ingress, service=backend))
    return found


def _addresses(scene: Scene) -> list[Anomaly]:
    """Settings that name a Service or port that does not exist.

    By itself that may be an optional dependency; it is an anomaly when the workload it means is there without its
    Service, or when the setting is new.
    """
    if "Service" in scene.observation.missing:
        return []
    found = []
    services = scene.observation.of("Service")
    workloads = [w for kind in ("Deployment", "StatefulSet") for w in scene.observation.of(kind)]
    names = {(namespace_of(w), name_of(w)) for w in workloads if port_numbers(pod_spec_of(w))}
    gone: set[tuple[str, str]] = set()
    for workload in workloads:
        namespace, name = namespace_of(workload), name_of(workload)
        labels = dig(workload, "spec", "template", "metadata", "labels", default={})
        service = scene.service_of(namespace, labels) or name
        if (namespace, service) in scene.heard or not desired_replicas(workload):
            continue
        for container, env, where, host, port, what in dangling(pod_spec_of(workload), namespace, services):
            if what == "service" and (where, host) in names:
                if (where, host) not in gone:
                    gone.add((where, host))
                    text = f"{workload['kind']} {name} calls {host}:{port}, but there is no Service {host}"
                    found.append(anomaly("service-missing", text, workload, service=host, severity="critical"))
            elif since := _newly_set(scene, workload, container, env):
                text = f"{workload['kind']} {name}: {env} names {host}:{port}, and no Service has that {what}"
                text = text.replace("that service", "that name")
                found.append(anomaly("dangling-address", text, workload, service=service, since=since))
    return found


def _newly_set(scene: Scene, workload: Json, container: str, env: str) -> float:
    """Return when the newest ReplicaSet brought another value of a variable than the one before, 0.0 when never."""
    sets = sorted(
        (
            r
            for r in scene.observation.of("ReplicaSet", namespace_of(workload))
            if controller(r) == ("Deployment", name_of(workload), dig(workload, "metadata", "uid", default=""))
        ),
        key=lambda r: int(annotations_of(r).get("deployment.kubernetes.io/revision", "0")),
    )
    if len(sets) < 2:
        return 0.0

    def value(obj: Json) -> object:
        return next(
            (
                e.get("value")
                for c in pod_spec_of(obj).get("containers") or ()
                if c["name"] == container
                for e in c.get("env") or ()
                if e["name"] == env
            ),
            None,
        )

    changed = value(sets[-1]) != value(sets[-2])
    return created(sets[-1]) if changed and scene.now - created(sets[-1]) < MEMORY else 0.0
