"""Nodes, volumes and network policies that keep pods from working."""

from __future__ import annotations

from stratus.detection.detectors.scene import Scene, anomaly
from stratus.kit.kube import (
    condition,
    created,
    dig,
    event_message,
    label_selects,
    labels_of,
    moment,
    name_of,
    namespace_of,
    pod_finished,
    selects,
)
from stratus.model.base import Json
from stratus.model.diagnosis import Anomaly

PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
NEW_POLICY = 3600.0
UNBOUND = 30.0


def find(scene: Scene) -> list[Anomaly]:
    """Return anomalies of nodes, claims and policies."""
    found = [a for node in scene.observation.of("Node") for a in _node(scene, node)]
    found += [a for claim in scene.observation.of("PersistentVolumeClaim") if (a := _claim(scene, claim))]
    found += _policies(scene)
    return found


def _node(scene: Scene, node: Json) -> list[Anomaly]:
    name = name_of(node)
    pods = [p for p in scene.observation.of("Pod") if dig(p, "spec", "nodeName") == name and not pod_finished(p)]
    service = scene.pod_service(pods[0]) if pods else ""
    ready = condition(node, "Ready")
    if ready and ready.get("status") != "True":
        text = f"Node {name} is not ready: {ready.get('message') or ready.get('reason', '')} ({len(pods)} pods on it)"
        return [anomaly("node-not-ready", text, node, service=service, severity="critical",
                        since=moment(ready.get("lastTransitionTime")))]  # fmt: skip
    found = []
    for kind in PRESSURES:
        pressure = condition(node, kind)
        if pressure.get("status") == "True":
            text = f"Node {name} is under {kind}: {pressure.get('message', '')}"
            found.append(anomaly("node-pressure", text, node, service=service,
                                 since=moment(pressure.get("lastTransitionTime"))))  # fmt: skip
    if dig(node, "spec", "unschedulable"):
        found.append(anomaly("node-cordoned", f"Node {name} is cordoned", node, severity="info"))
    return found


def _claim(scene: Scene, claim: Json) -> Anomaly | None:
    phase = dig(claim, "status", "phase", default="")
    if phase not in ("Pending", "Lost") or scene.now - created(claim) < UNBOUND:
        return None
    events = scene.events(claim)
    if any(e.get("reason") == "WaitForFirstConsumer" for e in events[-1:]):
        return None
    users = [
        p
        for p in scene.observation.of("Pod", namespace_of(claim))
        if any(
            dig(v, "persistentVolumeClaim", "claimName") == name_of(claim)
            for v in dig(p, "spec", "volumes", default=[])
        )
    ]
    why = event_message(events[-1]) if events else f"phase {phase}"
    text = f"PersistentVolumeClaim {name_of(claim)} is not bound: {why}"
    service = scene.pod_service(users[0]) if users else ""
    return anomaly("claim-unbound", text, claim, service=service, severity="warning" if users else "info",
                   since=created(claim))  # fmt: skip


def _policies(scene: Scene) -> list[Anomaly]:
    """Policies made or changed lately that shut a Service off altogether; there is no other sign of them."""
    found = []
    for policy in scene.observation.of("NetworkPolicy"):
        namespace = namespace_of(policy)
        at = max(scene.changed("NetworkPolicy", namespace, name_of(policy)), created(policy))
        if scene.now - at > NEW_POLICY:
            continue
        for service in scene.observation.of("Service", namespace):
            selector = dig(service, "spec", "selector", default={})
            pods = [p for p in scene.observation.of("Pod", namespace) if selects(selector, labels_of(p))]
            if not pods or (namespace, name_of(service)) in scene.heard:
                continue
            if label_selects(dig(policy, "spec", "podSelector", default={}), labels_of(pods[0])) and shut(
                scene, pods[0]
            ):
                text = f"NetworkPolicy {name_of(policy)} lets nobody reach the pods of Service {name_of(service)}"
                found.append(anomaly("network-policy", text, policy, service=name_of(service), since=at))
    return found


def shut(scene: Scene, pod: Json) -> bool:
    """Whether policies select the pod for ingress and none of them lets anybody in."""
    selecting = [
        p
        for p in scene.observation.of("NetworkPolicy", namespace_of(pod))
        if label_selects(dig(p, "spec", "podSelector", default={}), labels_of(pod))
        and "Ingress" in (dig(p, "spec", "policyTypes") or ["Ingress"])
    ]
    return bool(selecting) and not any(dig(p, "spec", "ingress", default=[]) for p in selecting)
