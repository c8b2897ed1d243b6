"""Anomaly detection: from one look at the cluster to the decision whether there is an incident."""

from __future__ import annotations

from collections.abc import Sequence

from stratus.detection.alerts import merge_alerts, silenced
from stratus.detection.detectors import cluster, pods, series, services, workloads
from stratus.detection.detectors.scene import Scene
from stratus.detection.verification import verified
from stratus.model.alerts import Alert
from stratus.model.diagnosis import Anomaly, Detection
from stratus.model.evidence import Observation
from stratus.settings import HealthSettings

_RANK = {"critical": 0, "warning": 1, "info": 2}


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
    judged = tuple(verified(alert, observation, weighty, scene.heard) for alert in merge_alerts(alerts))
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
