"""Ports to telemetry: metrics, logs, traces, alerts; a missing one is None and counts as unknown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from stratus.model.alerts import Alert
from stratus.model.evidence import CallEdge, LogLine, ServiceSeries, Usage


class Metrics(Protocol):
    """Request figures and resource use. Raises `TelemetryUnreachable` when the source does not answer."""

    def service_series(
        self, namespaces: tuple[str, ...], start: float, end: float, step: float
    ) -> tuple[ServiceSeries, ...]:
        """Return request rate, error rate and p99 of every service, points from start to end (epoch s) every step s.

        A service without series is absent; a value that the source lacks is None.
        """
        ...

    def usage(self, namespaces: tuple[str, ...], at: float) -> tuple[Usage, ...]:
        """Return CPU and memory use of containers at a moment; empty when the source has none."""
        ...


class Logs(Protocol):
    """Container logs."""

    def tail(
        self,
        namespace: str,
        *,
        pod: str = "",
        service: str = "",
        start: float = 0.0,
        end: float = 0.0,
        limit: int = 200,
    ) -> tuple[LogLine, ...]:
        """Return the newest `limit` lines in the window, oldest first; pod or service narrow it."""
        ...


class Traces(Protocol):
    """Distributed traces reduced to the call graph."""

    def edges(self, namespaces: tuple[str, ...], start: float, end: float) -> tuple[CallEdge, ...]:
        """Return aggregated calls between services in the window; the entry's caller is empty."""
        ...


class Alerts(Protocol):
    """Firing alerts."""

    def firing(self, namespaces: tuple[str, ...] = ()) -> tuple[Alert, ...]:
        """Return alerts firing now, all or those of the namespaces (alerts without namespace included)."""
        ...


@dataclass(frozen=True)
class Telemetry:
    """The sources at hand. `names` says where each comes from, for reports."""

    metrics: Metrics | None = None
    logs: Logs | None = None
    traces: Traces | None = None
    alerts: Alerts | None = None
    names: dict[str, str] = field(default_factory=dict)
