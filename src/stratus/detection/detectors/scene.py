"""What all detectors share: an index of the observation and a short way to word an anomaly."""

from __future__ import annotations

from collections import defaultdict

from stratus.kit.kube import (
    controller,
    event_about,
    event_time,
    labels_of,
    name_of,
    namespace_of,
    selects,
)
from stratus.kit.text import line
from stratus.model.alerts import Severity
from stratus.model.base import Json
from stratus.model.diagnosis import Anomaly
from stratus.model.evidence import Evidence, EvidenceKind, Observation
from stratus.model.refs import ObjectRef

RECENT = 900.0
"""Seconds within which an event or a change is news."""


class Scene:
    """An observation, indexed.

    Attributes:
        now: epoch seconds of the look.
        heard: namespaces' services that are served well according to telemetry.
    """

    def __init__(self, observation: Observation) -> None:
        self.observation = observation
        self.now = observation.at
        self.heard: set[tuple[str, str]] = set()
        self._events: dict[tuple[str, str, str], list[Json]] = defaultdict(list)
        for event in observation.of("Event"):
            self._events[event_about(event)].append(event)
        for found in self._events.values():
            found.sort(key=event_time)

    def events(self, obj: Json, *reasons: str) -> list[Json]:
        """Return the events about an object, oldest first, optionally of some reasons."""
        found = self._events.get((obj.get("kind", ""), namespace_of(obj), name_of(obj)), [])
        return [e for e in found if not reasons or e.get("reason") in reasons]

    def workload_of(self, pod: Json) -> tuple[str, str]:
        """Return (kind, name) of what keeps the pod alive, through its ReplicaSet; the pod itself when nothing does."""
        owner = controller(pod)
        if owner is None:
            return ("Pod", name_of(pod))
        kind, name, _ = owner
        if kind == "ReplicaSet":
            above = self.observation.find("ReplicaSet", namespace_of(pod), name)
            top = controller(above) if above else None
            if top is not None:
                return (top[0], top[1])
        return (kind, name)

    def service_of(self, namespace: str, labels: dict[str, str]) -> str:
        """Return the name of a Service that selects such pods, or empty."""
        for service in self.observation.of("Service", namespace):
            if selects((service.get("spec") or {}).get("selector"), labels):
                return name_of(service)
        return ""

    def pod_service(self, pod: Json) -> str:
        """Return the Service of a pod, else its workload's name."""
        return self.service_of(namespace_of(pod), labels_of(pod)) or self.workload_of(pod)[1]

    def changed(self, kind: str, namespace: str, name: str) -> float:
        """Return when people or tools last changed an object after its creation, 0.0 when never or unknown."""
        return max(
            (
                c["time"]
                for c in self.observation.of("Change", namespace)
                if c["kind"] == kind and c["name"] == name and not c["created"]
            ),
            default=0.0,
        )


def anomaly(
    detector: str,
    summary: str,
    obj: Json,
    *,
    service: str = "",
    severity: Severity = "warning",
    since: float = 0.0,
    seen: str = "",
    kind: EvidenceKind = "object",
) -> Anomaly:
    """Word an anomaly about an object, with one piece of evidence."""
    ref = ObjectRef.of(obj)
    told = line(seen or summary, 240)
    return Anomaly(
        detector=detector,
        summary=line(summary, 240),
        namespace=ref.namespace,
        service=service,
        object=ref,
        severity="warning" if severity == "none" else severity,
        since=since,
        evidence=(Evidence(id="D0", kind=kind, summary=told, object=ref, service=service, at=since),),
    )
