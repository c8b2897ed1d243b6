"""Request figures that leave their normal state: errors, latency, traffic that vanishes.

A decision never rests on one sample: the recent level is a median of several points, and the normal level is that of
the calmest stretch before the window, so that an incident older than the window does not pass for normal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from stratus.model.diagnosis import Anomaly
from stratus.model.evidence import Evidence, Observation, SeriesPoint, ServiceSeries
from stratus.model.refs import ObjectRef
from stratus.settings import HealthSettings

RECENT_POINTS = 4
"""Points that make up the present; with fewer known ones nothing is said."""
MIN_KNOWN = 2
SLOWER = 2.0
"""Times the normal latency from which on it is an anomaly."""
SLOWER_BY = 0.02
"""And seconds it must at least have grown."""
QUIET_RATE = 0.05
"""Requests per second below which traffic may come and go."""
VANISHED = 0.1
"""Share of the normal rate below which traffic counts as gone."""

Get = Callable[[SeriesPoint], float | None]


class Levels(NamedTuple):
    """The present level of a figure, its normal level (None: unknown), and when it left the normal."""

    now: float | None
    normal: float | None
    since: float


def find(observation: Observation, health: HealthSettings) -> list[Anomaly]:
    """Return anomalies of request figures."""
    found = []
    for series in observation.series:
        found += _service(observation, series, health)
    return found


def serving_well(observation: Observation, health: HealthSettings) -> set[tuple[str, str]]:
    """Return the services whose requests are seen and succeed, as (namespace, service)."""
    well = set()
    for series in observation.series:
        rate = recent(series.points, lambda p: p.rate)
        errors = recent(series.points, lambda p: p.error_rate)
        if rate is not None and rate > 0 and errors is not None and errors <= health.error_floor:
            well.add((series.namespace, series.service))
    return well


def recent(points: Sequence[SeriesPoint], get: Get) -> float | None:
    """Return the median of the newest points, None when too few are known."""
    known = [v for p in points[-RECENT_POINTS:] if (v := get(p)) is not None]
    return median(known) if len(known) >= MIN_KNOWN else None


def levels(
    points: Sequence[SeriesPoint],
    get: Get,
    calm_until: float,
    *,
    high_is_bad: bool = True,
    normal: Get | None = None,
) -> Levels:
    """Compare the present with the calmest third of what lies before `calm_until` (epoch seconds).

    `normal`, when given, reads the figure for the normal level only.
    """
    now, get_normal = recent(points, get), normal or get
    before = [p for p in points if p.at < calm_until]
    thirds = [before[i * len(before) // 3 : (i + 1) * len(before) // 3] for i in range(3)]
    middles = [
        median(known) for part in thirds if len(known := [v for p in part if (v := get_normal(p)) is not None]) >= 2
    ]
    level = None
    if middles:
        level = min(middles) if high_is_bad else max(middles)
    since = 0.0
    if now is not None and level is not None:
        edge = (now + level) / 2
        for point in reversed(points):
            value = get(point)
            if value is None:
                continue
            if (value < edge) if high_is_bad else (value > edge):
                break
            since = point.at
    return Levels(now, level, since)


def _service(observation: Observation, series: ServiceSeries, health: HealthSettings) -> list[Anomaly]:
    points = series.points
    calm = observation.at - observation.window
    found = []
    errors = levels(points, lambda p: p.error_rate, calm)
    bound = max(health.error_floor, (errors.normal or 0.0) * 1.5 + health.min_difference)
    if errors.now is not None and errors.now > bound:
        severity = "critical" if errors.now >= 0.2 else "warning"
        text = f"{series.service}: {errors.now:.1%} of requests fail"
        text += f", normally {errors.normal:.1%}" if errors.normal is not None else ""
        found.append(_anomaly("error-rate", series, text, severity, _start(errors, points)))
    # what fails at once is fast: such times say nothing about the normal latency
    sound = health.error_floor + health.min_difference
    latency = levels(
        points,
        lambda p: p.latency_p99,
        calm,
        normal=lambda p: None if (p.error_rate or 0.0) > sound + (errors.normal or 0.0) else p.latency_p99,
    )
    if latency.now is not None:
        normal = latency.normal
        slow = (
            latency.now > normal * SLOWER and latency.now > normal + SLOWER_BY
            if normal is not None
            else latency.now > health.latency_slo
        )
        if slow:
            severity = "critical" if latency.now > max(health.latency_slo, (normal or 0.0) * 5) else "warning"
            text = f"{series.service}: p99 latency {latency.now * 1000:.0f} ms"
            text += f", normally {normal * 1000:.0f} ms" if normal is not None else ""
            found.append(_anomaly("latency", series, text, severity, _start(latency, points)))
    gone = _vanished(observation, series)
    if gone is not None:
        found.append(gone)
    return found


def _start(found: Levels, points: Sequence[SeriesPoint]) -> float:
    return found.since or (points[0].at if points else 0.0)


def _vanished(observation: Observation, series: ServiceSeries) -> Anomaly | None:
    """Traffic that was there and is not; a source that has no value while it has some for others says zero."""
    heard = {p.at for s in observation.series for p in s.points if p.rate is not None}

    def rate(point: SeriesPoint) -> float | None:
        return 0.0 if point.rate is None and point.at in heard else point.rate

    found = levels(series.points, rate, observation.at - observation.window, high_is_bad=False)
    if found.now is None or found.normal is None or found.normal < QUIET_RATE:
        return None
    if found.now > found.normal * VANISHED:
        return None
    text = f"{series.service}: {found.now:.2f} requests/s, normally {found.normal:.2f}"
    return _anomaly("traffic-gone", series, text, "critical", found.since)


def _anomaly(detector: str, series: ServiceSeries, text: str, severity: str, since: float) -> Anomaly:
    ref = ObjectRef(api_version="v1", kind="Service", name=series.service, namespace=series.namespace)
    evidence = Evidence(id="D0", kind="metric", summary=text, object=ref, service=series.service, at=since)
    return Anomaly(
        detector=detector,
        summary=text,
        namespace=series.namespace,
        service=series.service,
        object=ref,
        severity="critical" if severity == "critical" else "warning",
        since=since,
        evidence=(evidence,),
    )
