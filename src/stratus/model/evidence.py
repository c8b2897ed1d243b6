"""What was observed, small enough to cite."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stratus.model.alerts import Alert
from stratus.model.base import Json, Noun
from stratus.model.refs import ObjectRef

EvidenceKind = Literal["alert", "object", "event", "log", "metric", "trace", "change", "runbook", "ticket", "attempt"]


class Evidence(Noun):
    """One observation with a stable id, cited by hypotheses and reports.

    Attributes:
        id: short and unique within the incident, such as `E7`.
        summary: one line, redacted, safe to show.
        at: epoch seconds of what was seen; 0.0 when timeless.
        data: small structured facts (numbers, names) for rules and tests.
    """

    id: str
    kind: EvidenceKind
    summary: str
    object: ObjectRef | None = None
    service: str = ""
    at: float = 0.0
    data: Json = Field(default_factory=dict)


class LogLine(Noun):
    """One line of a container's output."""

    at: float
    namespace: str
    pod: str
    container: str
    text: str


class LogTemplate(Noun):
    """Lines alike but for their parameters, mined from logs."""

    template: str
    count: int
    services: tuple[str, ...] = ()
    example: str = ""
    severity: Literal["error", "warning", "info"] = "info"
    first_at: float = 0.0
    new: bool = False
    """Not seen before the incident's onset."""


class SeriesPoint(Noun):
    """Request figures of one service at one moment; None where the source has no value (unknown, not zero)."""

    at: float
    rate: float | None = None
    """Requests per second."""
    error_rate: float | None = None
    """Share of failed requests, 0..1."""
    latency_p99: float | None = None
    """Seconds."""


class ServiceSeries(Noun):
    """Request figures of one service over time, oldest first."""

    namespace: str
    service: str
    points: tuple[SeriesPoint, ...] = ()


class CallEdge(Noun):
    """Calls from one service to another within a window, from traces."""

    caller: str
    callee: str
    operation: str = ""
    calls: int = 0
    errors: int = 0
    latency_p99: float = 0.0
    """Seconds, seen by the callee's span."""
    self_time_p99: float = 0.0
    """Seconds of the callee's span not covered by its own children: where time is really spent."""
    message: str = ""
    """A status message of a failed span that has no failed child."""


class Usage(Noun):
    """Resource use of a container; None where unknown."""

    namespace: str
    pod: str
    container: str
    cpu_cores: float | None = None
    cpu_limit: float | None = None
    throttled: float | None = None
    """Share of scheduler periods in which the container was throttled, 0..1."""
    memory_bytes: float | None = None
    memory_limit: float | None = None


class Observation(Noun):
    """All raw material of one look at the cluster: a consistent bundle the pure analyzers work on.

    Attributes:
        at: epoch seconds of the look.
        window: seconds of telemetry looked back on.
        objects: by kind, full objects as served without managedFields.
        series: per-service request figures in the window.
        missing: which sources were asked and gave nothing, and why (source -> reason): unknown, never healthy.
    """

    at: float
    window: float
    namespaces: tuple[str, ...]
    objects: dict[str, tuple[Json, ...]] = Field(default_factory=dict)
    series: tuple[ServiceSeries, ...] = ()
    edges: tuple[CallEdge, ...] = ()
    baseline_edges: tuple[CallEdge, ...] = ()
    logs: tuple[LogLine, ...] = ()
    usage: tuple[Usage, ...] = ()
    alerts: tuple[Alert, ...] = ()
    missing: dict[str, str] = Field(default_factory=dict)

    def of(self, kind: str, namespace: str | None = None) -> list[Json]:
        """Return the observed objects of a kind, optionally of one namespace."""
        found = self.objects.get(kind, ())
        return [o for o in found if namespace is None or o.get("metadata", {}).get("namespace", "") == namespace]

    def find(self, kind: str, namespace: str, name: str) -> Json | None:
        """Return one observed object, or None."""
        return next((o for o in self.of(kind, namespace) if o["metadata"]["name"] == name), None)
