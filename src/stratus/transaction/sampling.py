"""Taking health samples: reads the cluster and the telemetry, and says what could not be read."""

from __future__ import annotations

from typing import Protocol

from stratus.cluster.base import ClusterReader
from stratus.errors import ClusterError, StratusError, UnreachableError
from stratus.kit.clock import Clock
from stratus.model.base import Json
from stratus.model.evidence import SeriesPoint
from stratus.model.health import HealthVector
from stratus.settings import HealthSettings
from stratus.telemetry.base import Telemetry
from stratus.transaction.health import WORKLOADS, Key, assess, patience, settled

KINDS = (*WORKLOADS, "Pod", "Service", "EndpointSlice")
STALE = 4
"""Sample intervals after which a request figure says nothing about the present."""


class Probe(Protocol):
    """What the engine asks about health; `namespaces` empty: those the probe was made for."""

    def sample(self, namespaces: tuple[str, ...] = ()) -> HealthVector:
        """Return the health of all services in the namespaces now. Never raises for a source that fails."""
        ...

    def settled(self, namespaces: tuple[str, ...] = ()) -> bool:
        """Tell whether all rollouts in the namespaces have converged; False when that cannot be read."""
        ...

    def patience(self, namespaces: tuple[str, ...] = ()) -> float:
        """Return how many seconds containers that fail there have run before they did; 0.0 when none fails."""
        ...


class HealthProbe:
    """Samples from objects, and from metrics and alerts where such sources exist.

    Args:
        lookback: seconds of metrics asked for, of which the newest point counts; must cover the source's own step.
    """

    def __init__(
        self,
        *,
        reader: ClusterReader,
        telemetry: Telemetry,
        clock: Clock,
        namespaces: tuple[str, ...] = (),
        settings: HealthSettings,
        lookback: float = 60.0,
    ) -> None:
        self._reader, self._telemetry, self._clock = reader, telemetry, clock
        self._namespaces, self._settings, self._lookback = namespaces, settings, lookback

    def sample(self, namespaces: tuple[str, ...] = ()) -> HealthVector:
        """Take one sample. See `Probe.sample`."""
        spaces = namespaces or self._namespaces
        now = self._clock.now()
        objects, missing = self._objects(spaces)
        points = self._points(spaces, now, missing)
        alerts: dict[str, str] | None = None
        starts: dict[str, float] = {}
        ignored: dict[str, str] = {}
        if self._telemetry.alerts is not None:
            try:
                firing = [a for a in self._telemetry.alerts.firing(spaces) if a.status == "firing"]
                alerts = {a.fingerprint: a.severity for a in firing}
                starts = {a.fingerprint: a.starts_at for a in firing if a.starts_at > 0}
                ignored = {a.fingerprint: why for a in firing if (why := self._settings.ignores(a.name))}
            except StratusError as error:
                missing["alerts"] = str(error)
        services = assess(objects, points, now=now, settings=self._settings)
        return HealthVector(
            at=now, services=services, alerts=alerts, alert_starts=starts, ignored=ignored, missing=missing
        )

    def settled(self, namespaces: tuple[str, ...] = ()) -> bool:
        """Tell whether all rollouts have converged. See `Probe.settled`."""
        objects, missing = self._objects(namespaces or self._namespaces, WORKLOADS)
        return "objects" not in missing and settled(objects)

    def patience(self, namespaces: tuple[str, ...] = ()) -> float:
        """Say how long failing containers ran. See `Probe.patience`."""
        objects, _ = self._objects(namespaces or self._namespaces, ("Pod",))
        return patience(objects)

    def _objects(
        self, spaces: tuple[str, ...], kinds: tuple[str, ...] = KINDS
    ) -> tuple[dict[str, list[Json]], dict[str, str]]:
        objects: dict[str, list[Json]] = {}
        missing: dict[str, str] = {}
        for kind in kinds:
            try:
                objects[kind] = [
                    {"kind": kind, **obj} for space in spaces or (None,) for obj in self._reader.list(kind, space)
                ]
            except (ClusterError, UnreachableError) as error:
                missing["endpoints" if kind == "EndpointSlice" else "objects"] = f"{kind}: {error}"
        return objects, missing

    def _points(self, spaces: tuple[str, ...], now: float, missing: dict[str, str]) -> dict[Key, SeriesPoint]:
        metrics = self._telemetry.metrics
        if metrics is None:
            return {}
        interval = self._settings.sample_interval
        try:
            series = metrics.service_series(spaces, now - self._lookback, now, interval)
        except StratusError as error:
            missing["metrics"] = str(error)
            return {}
        found: dict[Key, SeriesPoint] = {}
        stale = []
        for row in series:
            known = [p for p in row.points if (p.rate, p.error_rate, p.latency_p99) != (None, None, None)]
            if known and known[-1].at >= now - max(STALE * interval, self._lookback / 2):
                found[(row.namespace, row.service)] = known[-1]
            elif known:
                stale.append(f"{row.namespace}/{row.service}")
        if stale and not found:
            missing["metrics"] = f"only old figures of {', '.join(stale)}"
        return found
