"""Telemetry from a recorded bundle: for tests, for replays, and for looking at an incident without a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self, TypeVar

from pydantic import Field, ValidationError

from stratus.errors import TelemetryUnreachable, UsageError
from stratus.model.alerts import Alert
from stratus.model.base import Noun
from stratus.model.evidence import CallEdge, LogLine, ServiceSeries, Usage
from stratus.telemetry.alertdata import in_namespaces
from stratus.telemetry.base import Telemetry

_T = TypeVar("_T")


class TimedEdges(Noun):
    """Calls aggregated over one window."""

    start: float
    end: float
    namespaces: tuple[str, ...] = ()
    """Empty: of all namespaces."""
    edges: tuple[CallEdge, ...] = ()


class Bundle(Noun):
    """What a telemetry system told, as one JSON document.

    Attributes:
        series, usage, logs, alerts, traces: what was recorded; None: that source did not exist.
        services: pod name prefixes by service, for logs asked by service; a service not in it is its own prefix.
    """

    series: tuple[ServiceSeries, ...] | None = None
    usage: tuple[Usage, ...] | None = None
    logs: tuple[LogLine, ...] | None = None
    alerts: tuple[Alert, ...] | None = None
    traces: tuple[TimedEdges, ...] | None = None
    services: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a bundle.

        Raises:
            UsageError: the file cannot be read or is no bundle.
        """
        try:
            return cls.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except OSError as problem:
            raise UsageError(f"The recorded telemetry {path} cannot be read: {problem}") from problem
        except (ValueError, ValidationError) as problem:
            said = " ".join(str(problem).split())[:300]
            raise UsageError(f"{path} is no recorded telemetry: {said}") from problem


class Recorded:
    """All four telemetry ports over a bundle; a source that it lacks does not answer."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def service_series(
        self, namespaces: tuple[str, ...], start: float, end: float, step: float
    ) -> tuple[ServiceSeries, ...]:
        """Return the recorded points of the window; the step is the recorded one."""
        found = []
        for series in self._has("metrics", self.bundle.series):
            points = tuple(p for p in series.points if start <= p.at <= end)
            if points and (not namespaces or series.namespace in namespaces):
                found.append(series.model_copy(update={"points": points}))
        return tuple(found)

    def usage(self, namespaces: tuple[str, ...], at: float) -> tuple[Usage, ...]:
        """Return the recorded use, whatever the moment."""
        return tuple(u for u in self.bundle.usage or () if not namespaces or u.namespace in namespaces)

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
        """Return the newest recorded lines of the window, oldest first."""
        prefix = self.bundle.services.get(service, service)
        found = [
            line
            for line in self._has("logs", self.bundle.logs)
            if line.namespace == namespace
            and (not pod or line.pod == pod)
            and (not prefix or line.pod == prefix or line.pod.startswith(f"{prefix}-"))
            and line.at >= start
            and (not end or line.at <= end)
        ]
        return tuple(sorted(found, key=lambda line: line.at)[-limit:])

    def edges(self, namespaces: tuple[str, ...], start: float, end: float) -> tuple[CallEdge, ...]:
        """Return the calls of the recorded window that the asked one overlaps most."""
        windows = [
            w
            for w in self._has("traces", self.bundle.traces)
            if not w.namespaces or not namespaces or set(w.namespaces) & set(namespaces)
        ]
        best = max(windows, key=lambda w: min(end, w.end) - max(start, w.start), default=None)
        if best is None or min(end, best.end) <= max(start, best.start):
            return ()
        return best.edges

    def firing(self, namespaces: tuple[str, ...] = ()) -> tuple[Alert, ...]:
        """Return the recorded alerts that fire."""
        return in_namespaces((a for a in self._has("alerts", self.bundle.alerts) if a.status == "firing"), namespaces)

    def telemetry(self, name: str = "recorded") -> Telemetry:
        """Return the ports; a source that the bundle lacks is None."""
        bundle = self.bundle
        return Telemetry(
            metrics=self if bundle.series is not None else None,
            logs=self if bundle.logs is not None else None,
            traces=self if bundle.traces is not None else None,
            alerts=self if bundle.alerts is not None else None,
            names={
                source: name
                for source, held in (
                    ("metrics", bundle.series),
                    ("logs", bundle.logs),
                    ("traces", bundle.traces),
                    ("alerts", bundle.alerts),
                )
                if held is not None
            },
        )

    @staticmethod
    def _has(source: str, held: tuple[_T, ...] | None) -> tuple[_T, ...]:
        if held is None:
            raise TelemetryUnreachable(f"The recorded bundle has no {source}")
        return held
