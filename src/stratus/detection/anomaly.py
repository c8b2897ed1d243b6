"""Anomaly detection: from one look at the cluster to the decision whether there is an incident."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stratus.detection.alerts import merge_alerts, silenced
from stratus.detection.detectors import cluster, pods, series, services, workloads
from stratus.detection.detectors.scene import Scene
from stratus.kit.kube import name_of, namespace_of, pod_finished, pod_ready
from stratus.model.alerts import Alert
from stratus.model.diagnosis import Anomaly, Detection
from stratus.model.evidence import Observation
from stratus.settings import HealthSettings

_RANK = {"critical": 0, "warning": 1, "info": 2}
_ABOUT_REQUESTS = re.compile(r"(?i)error|latency|slow|request|5xx|availab|traffic|success|p9\d|http|grpc")
_ABOUT_PODS = re.compile(r"(?i)pod|container|replica|rollout|crash|deployment|statefulset|daemonset|restart")


def detect(observation: Observation, alerts: tuple[Alert, ...], *, health: HealthSettings, now: float) -> Detection:
    """Decide whether there is an incident, which services it touches and when it began.

    `anomalous` is True when a detector found something of weight or a firing alert is not refuted; None when nothing
    was found but pods, services or workloads could not be read; else False.

    Args:
        alerts: alerts as taken in; they come back verified, deduplicated, firing and not silenced ones only.
        now: epoch seconds.
    """
    scene = Scene(observation)
    scene.heard = series.serving_well(observation, health)
    found = [
        *series.find(observation, health),
        *pods.find(scene),
        *services.find(scene),
        *workloads.find(scene),
        *cluster.find(scene),
    ]
    anomalies = _numbered(sorted(found, key=lambda a: (_RANK[a.severity], a.since or now, a.namespace, a.summary)))
    weighty = [a for a in anomalies if a.severity != "info"]
    judged = tuple(_verify(alert, observation, weighty, scene.heard) for alert in merge_alerts(alerts))
    firing = tuple(a for a in judged if a.status == "firing" and not silenced(a))
    standing = [a for a in firing if a.verified is not False and a.severity not in ("none", "info")]
    anomalous: bool | None = bool(weighty or standing)
    if not anomalous and not _can_tell(observation):
        anomalous = None
    starts = [a.since for a in weighty if a.since > 0] + [a.starts_at for a in standing if a.starts_at > 0]
    return Detection(
        anomalous=anomalous,
        alerts=firing,
        anomalies=tuple(anomalies),
        namespaces=_namespaces(observation, weighty, standing) if anomalous else observation.namespaces,
        services=_services(weighty, standing) if anomalous else (),
        onset=min((s for s in starts if s <= now), default=0.0),
        detected_at=now,
        missing=observation.missing,
    )


def _can_tell(observation: Observation) -> bool:
    """Whether enough was read to call silence health."""
    kinds = ("Pod", "Service", "Deployment")
    return all(kind in observation.objects and kind not in observation.missing for kind in kinds)


def _numbered(anomalies: list[Anomaly]) -> list[Anomaly]:
    """Give each piece of evidence an id of its own."""
    return [
        a.model_copy(update={"evidence": tuple(e.model_copy(update={"id": f"D{n}"}) for e in a.evidence)})
        for n, a in enumerate(anomalies, 1)
    ]


def _verify(alert: Alert, observation: Observation, anomalies: Sequence[Anomaly], well: set[tuple[str, str]]) -> Alert:
    """Say whether what we see ourselves bears an alert out; None when we cannot tell."""
    if alert.verified is not None or alert.status != "firing":
        return alert
    named = {alert.service, *(alert.labels.get(k, "") for k in ("pod", "deployment", "service", "workload"))} - {""}
    same = [a for a in anomalies if not alert.namespace or a.namespace in ("", alert.namespace)]
    if named:
        same = [a for a in same if a.service in named or (a.object is not None and a.object.name in named)]
    if same:
        return alert.model_copy(update={"verified": True})
    refuted = False
    if named and _ABOUT_REQUESTS.search(alert.name):
        refuted = any((alert.namespace, name) in well for name in named)
    elif alert.labels.get("pod") and _ABOUT_PODS.search(alert.name) and "Pod" not in observation.missing:
        pods_there = [
            p
            for p in observation.of("Pod", alert.namespace or None)
            if name_of(p) == alert.labels["pod"] and (not alert.namespace or namespace_of(p) == alert.namespace)
        ]
        # an alert about a pod that is gone, or that is well now, has outlived its cause
        looked_there = not observation.namespaces or alert.namespace in observation.namespaces
        refuted = looked_there and all(pod_ready(p) or pod_finished(p) for p in pods_there)
    return alert.model_copy(update={"verified": False if refuted else None})


def _namespaces(observation: Observation, anomalies: Sequence[Anomaly], alerts: Sequence[Alert]) -> tuple[str, ...]:
    named = [a.namespace for a in anomalies if a.namespace] + [a.namespace for a in alerts if a.namespace]
    return tuple(dict.fromkeys(named)) or observation.namespaces


def _services(anomalies: Sequence[Anomaly], alerts: Sequence[Alert]) -> tuple[str, ...]:
    """Order the affected services by how many and how grave the signs are."""
    weight: dict[str, float] = {}
    for a in anomalies:
        if a.service:
            key = f"{a.namespace}/{a.service}"
            weight[key] = weight.get(key, 0.0) + (3.0 if a.severity == "critical" else 1.0)
    for alert in alerts:
        if alert.service:
            key = f"{alert.namespace}/{alert.service}"
            weight[key] = weight.get(key, 0.0) + (2.0 if alert.severity == "critical" else 1.0)
    return tuple(sorted(weight, key=lambda key: (-weight[key], key)))
