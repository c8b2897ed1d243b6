"""Samples before against samples after, component by component: which is better, worse, the same, or not to be told.

Rates and latencies are noisy and compared by a one-sided Welch test whose error rate is shared among all figures
compared; states of objects (availability, endpoints, crashes, wanted replicas) carry no measuring noise and are
compared as they are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import Field

from stratus.model.base import Noun
from stratus.model.health import ComponentChange, HealthVector, ServiceHealth
from stratus.rules import COMPONENTS
from stratus.settings import HealthSettings
from stratus.transaction.health import Key, latency_term
from stratus.transaction.noise import margin, mean, spread

VANISHED = 0.05
"""Share of the earlier traffic below which a service counts as silenced."""
SERVED_AGAIN = 0.5
"""Share of the normal traffic that must be back before an incident is over."""
SURGE = 3.0
"""Times the normal traffic from which on it is a surge; that it ends is no loss."""
AS_NORMAL = 0.25
"""Share by which the traffic after a surge may differ from the normal: less would be users turned away."""
TRUSTED_ERRORS = 0.1
"""Error rate above which latency and traffic of a service are those of failing, not of working."""
ALARMING = ("critical", "warning")
"""Severities of alerts that count."""

Direction = Literal["better", "worse", "same", "unknown"]
Samples = Sequence[HealthVector]


class Baseline(Noun):
    """Normal figures of a service, from before the incident; None where unknown."""

    request_rate: float | None = None
    error_rate: float | None = None
    latency_p99: float | None = None


class Conditions(Noun):
    """What made this an incident; it is over when all of it is gone.

    Attributes:
        alerts: fingerprints of the incident's alerts.
        services: affected services as `namespace/name`.
        baseline: normal figures by `namespace/name`.
        created: what the transaction has made, as `namespace/name`: having no before, it has to be well by itself.
    """

    alerts: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    baseline: dict[str, Baseline] = Field(default_factory=dict)
    created: tuple[str, ...] = ()


def late(before: Samples, after: Samples) -> tuple[str, ...]:
    """Return alerts that began to fire during the transaction over a condition that held before its first sample.

    They waited out their `for:` time; the transaction did not cause what they tell, so they are not news. Nor is it
    over while they fire. An alert whose start is not known, or that a single sample puts later, is none of them.
    """
    usable_before, usable_after = usable(before), usable(after)
    if not usable_before:
        return ()
    seen = {f for v in usable_before for f in v.alerts or {}}
    began = usable_before[0].at
    rows = [v for v in usable_after if v.alerts]
    fresh = sorted({f for v in rows for f, s in (v.alerts or {}).items() if s in ALARMING} - seen)
    return tuple(f for f in fresh if all(0 < v.alert_starts.get(f, 0.0) < began for v in rows if f in (v.alerts or {})))


def usable(samples: Samples) -> list[HealthVector]:
    """Leave out samples whose sources failed: a gap is not a good value."""
    return [v for v in samples if not {"objects", "metrics", "alerts"} & v.missing.keys()]


def ailing(rows: list[ServiceHealth], normal: Baseline, settings: HealthSettings) -> list[str]:
    """Return what is wrong with a service, in words, whatever it was before."""
    found = []
    if any(row.availability is not None and row.availability < 1 - settings.min_difference for row in rows):
        found.append("is not fully available")
    if all(row.availability is None and row.error_rate is None for row in rows):
        found.append("cannot be judged")
    if any(row.crashing for row in rows):
        found.append("has containers in an error state")
    if _growth([row.restarts for row in rows]):
        found.append("restarts")
    errors = [row.error_rate for row in rows if row.error_rate is not None]
    rates = [row.request_rate for row in rows if row.request_rate is not None]
    allowed = max(settings.error_floor, (normal.error_rate or 0.0) + settings.min_difference)
    if errors and mean(errors) > allowed:
        found.append(f"fails {mean(errors):.1%} of its requests")
    if normal.request_rate and (not rates or mean(rates) < SERVED_AGAIN * normal.request_rate):
        found.append("does not get its earlier traffic")
    latencies = [row.latency_p99 for row in rows if row.latency_p99 is not None]
    if latencies:
        slow = latency_term(mean(latencies), settings)
        usual = 0.5 if normal.latency_p99 is None else latency_term(2 * normal.latency_p99, settings)
        if slow > usual + settings.min_difference:
            found.append(f"answers in {mean(latencies):.3g} s")
    return found


def compare(
    before: Samples, after: Samples, conditions: Conditions, settings: HealthSettings
) -> tuple[ComponentChange, ...]:
    """Compare all components that policy lets count, service by service; each with the numbers that decide."""
    keys = sorted({(s.namespace, s.service) for v in (*before, *after) for s in v.services})
    # Each of up to three noisy figures of each service gets an equal share of the error rates (Bonferroni).
    share = 1 / max(1, 3 * len(keys))
    found: list[ComponentChange] = []
    for key in keys:
        old = [s for v in before if (s := v.service(*key)) is not None]
        new = [s for v in after if (s := v.service(*key)) is not None]
        if old and not new:
            found.append(_change(key, "present", 1.0, 0.0, 0.0, "worse"))
        elif old:
            normal, asked = conditions.baseline.get(f"{key[0]}/{key[1]}", Baseline()), settings.of("/".join(key))
            found += _objects(key, old, new, asked) + _figures(key, old, new, normal, share, asked)
        elif new and f"{key[0]}/{key[1]}" in conditions.created and ailing(new, Baseline(), settings.of("/".join(key))):
            found.append(_change(key, "created", None, new[-1].availability, 0.0, "worse"))
    left_out = {*COMPONENTS} - {*settings.components}
    return tuple(c for c in (*found, *_alerts(before, after, conditions)) if _name_of(c) not in left_out)


def _name_of(change: ComponentChange) -> str:
    """Return the component's name among those that policy may leave out."""
    return "alerts" if change.component.startswith("alerts") else change.component.rpartition(" ")[2]


def _objects(
    key: Key, old: list[ServiceHealth], new: list[ServiceHealth], settings: HealthSettings
) -> list[ComponentChange]:
    wanted, wants, step = max(s.desired for s in old), max(s.desired for s in new), settings.min_difference
    found = []
    silenced = wanted > 0 and new[-1].desired == 0
    if silenced:
        found.append(_change(key, "desired", wanted, 0, 0.0, "worse"))
    # Shares are taken of what was wanted before or is wanted now, whichever is more: wanting less heals nothing.
    most = max(wanted, wants)
    own = [s.availability for s in old if s.availability is not None]
    was = [s.availability * _part(s, most) for s in old if s.availability is not None]
    now = [s.availability * _part(s, most) for s in new if s.availability is not None]
    if was and not now:
        found.append(_change(key, "availability", mean(was), None, 0.0, "unknown"))
    elif was and now:
        worse = mean(now) < mean(was) - step and min(now) < min(was) - step
        better = mean(now) > mean(own) + step and min(now) > min(own) + step
        found.append(_change(key, "availability", mean(own), mean(now), step, _direction(better, worse)))
    # Pods that get ready behind a Service that leads elsewhere still help: another repair can then reach them.
    pods, pods_now = [_share(s, most) for s in old], [_share(s, most) for s in new]
    own_pods = [_share(s, s.desired) for s in old]
    if was and now:
        worse = mean(pods_now) < mean(pods) - step and min(pods_now) < min(pods) - step
        better = mean(pods_now) > mean(own_pods) + step and min(pods_now) > min(own_pods) + step
        found.append(_change(key, "pods", mean(own_pods), mean(pods_now), step, _direction(better, worse)))
    doors, open_now = [s.endpoints for s in old], [s.endpoints for s in new]
    if None not in doors and None in open_now:
        found.append(_change(key, "endpoints", _average(doors), None, 0.0, "unknown"))
    elif None not in doors:
        lost, gained = _least(doors) > 0 and _most(open_now) == 0, _most(doors) == 0 and _least(open_now) > 0
        found.append(_change(key, "endpoints", _average(doors), _average(open_now), 0.5, _direction(gained, lost)))
    ill, ills = [s.crashing for s in old], [s.crashing for s in new]
    serving = new[-1].desired > 0 and min(s.ready for s in new) >= min(s.ready for s in old)
    worse = mean(ills) - mean(ill) >= 0.5 and max(ills) > max(ill)
    better = mean(ill) - mean(ills) >= 0.5 and max(ills) < max(ill) and serving and not silenced
    found.append(_change(key, "crashing", mean(ill), mean(ills), 0.5, _direction(better, worse)))
    grown, growing = _growth([s.restarts for s in old]), _growth([s.restarts for s in new])
    # What crashed before goes on restarting at its own pace: only where nothing crashed is a restart news.
    news = growing > 0 and not grown and not any(ill)
    found.append(_change(key, "restarts", grown, growing, 0.5, "worse" if news else "same"))
    return found


def _share(health: ServiceHealth, wanted: int) -> float:
    """Return the share of the wanted pods that is ready, whoever can reach them; none of none is none."""
    return min(1.0, health.ready / wanted) if wanted else 0.0


def _part(health: ServiceHealth, most: int) -> float:
    return 1.0 if most == 0 else health.desired / most if health.desired else 0.0


def _figures(
    key: Key,
    old: list[ServiceHealth],
    new: list[ServiceHealth],
    normal: Baseline,
    share: float,
    settings: HealthSettings,
) -> list[ComponentChange]:
    found: list[ComponentChange] = []
    errors, errors_now = known(old, lambda s: s.error_rate), known(new, lambda s: s.error_rate)
    rates, rates_now = known(old, lambda s: s.request_rate), known(new, lambda s: s.request_rate)
    failing = bool(errors) and mean(errors) > TRUSTED_ERRORS
    if rates:
        found.append(_traffic(key, rates, rates_now, errors, errors_now, normal, share, settings))
    vanished = any(c.direction == "worse" for c in found) or (bool(rates_now) and mean(rates_now) == 0)
    if errors and not errors_now:
        found.append(_change(key, "error_rate", mean(errors), None, 0.0, "same" if vanished else "unknown"))
    elif errors:
        rise, fall = _margins(errors, errors_now, share, settings.min_difference, settings)
        gap = mean(errors_now) - mean(errors)
        found.append(
            _change(
                key,
                "error_rate",
                mean(errors),
                mean(errors_now),
                rise,
                _direction(gap < -fall, gap > rise),
                (errors, errors_now, fall),
            )
        )
        if mean(errors_now) <= settings.error_floor and all(s.ready == 0 and s.endpoints == 0 for s in new):
            served = bool(rates_now) and mean(rates_now) > 0
            if served:
                found.append(_change(key, "telemetry against objects", None, None, 0.0, "unknown"))
    slow, slow_now = known(old, lambda s: s.latency_p99), known(new, lambda s: s.latency_p99)
    if slow and not slow_now:
        found.append(_change(key, "latency_p99", mean(slow), None, 0.0, "same" if vanished else "unknown"))
    elif slow:
        was, now = ([latency_term(v, settings) for v in row] for row in (slow, slow_now))
        rise, fall = _margins(was, now, share, settings.min_difference, settings)
        gap = mean(now) - mean(was)
        # Failing fast is not being fast: then only an answer that misses the objective counts as slower.
        worse = gap > rise and (not failing or mean(now) > 0.5)
        better = gap < -fall and (not errors_now or mean(errors_now) <= TRUSTED_ERRORS)
        direction = _direction(better, worse)
        rows = (slow, slow_now, fall)
        found.append(_change(key, "latency_p99", mean(slow), mean(slow_now), rise, direction, rows, scale="term"))
    return found


def _margins(
    before: list[float], after: list[float], share: float, least: float, settings: HealthSettings
) -> tuple[float, float]:
    """Return how far a mean has to move to count as worse, and as better."""
    alphas = (settings.alpha_worse, settings.alpha_better)
    worse, better = (margin(before, after, alpha=a * share, least=least) for a in alphas)
    return worse, better


def _traffic(
    key: Key,
    rates: list[float],
    rates_now: list[float],
    errors: list[float],
    errors_now: list[float],
    normal: Baseline,
    share: float,
    settings: HealthSettings,
) -> ComponentChange:
    """Compare what is served well: load that only failed, or was only retried, is no loss."""
    if not rates_now:
        return _change(key, "request_rate", mean(rates), None, 0.0, "unknown" if mean(rates) > 0 else "same")
    fail, fail_now = mean(errors) if errors else 0.0, mean(errors_now) if errors_now else 0.0
    good, good_now = [r * (1 - fail) for r in rates], [r * (1 - fail_now) for r in rates_now]
    loss, gain = _margins(good, good_now, share, settings.rate_drop * mean(good), settings)
    silent = mean(rates) > 0 and mean(rates_now) < VANISHED * mean(rates)
    dropped = mean(good) > 0 and mean(good) - mean(good_now) > loss
    wanted = SERVED_AGAIN * (normal.request_rate or 0.0)
    back = wanted > 0 and mean(good) < wanted <= mean(good_now) and mean(good_now) - mean(good) > gain
    if normal.request_rate and mean(rates) > SURGE * normal.request_rate:
        ended = abs(mean(good_now) - normal.request_rate) <= AS_NORMAL * normal.request_rate
        silent, dropped = silent and not ended, dropped and not ended
    direction = _direction(back, silent or dropped)
    return _change(key, "request_rate", mean(rates), mean(rates_now), loss, direction, (rates, rates_now, gain))


def _alerts(before: Samples, after: Samples, conditions: Conditions) -> list[ComponentChange]:
    """Compare firing alerts: new ones count when they last, gone ones when they stay away.

    An alert over a condition older than the transaction (see `late`) is not new. Those that policy ignores count for
    nothing, unless the incident is about them.
    """
    if all(v.alerts is None for v in (*before, *after)):
        return []
    if any(v.alerts is None for v in (*before, *after)):
        return [ComponentChange(component="alerts", before=None, after=None, noise=0.0, direction="unknown")]
    old, new = [v.alerts or {} for v in before], [v.alerts or {} for v in after]
    ignored = {f for v in (*before, *after) for f in v.ignored} - {*conditions.alerts}
    found, overdue = [], set(late(before, after))
    for severity in ALARMING:
        had = {f for row in old for f, s in row.items() if s == severity} - ignored
        have = {f for row in new for f, s in row.items() if s == severity} - ignored
        lasting = [f for f in have - overdue if all(f in row for row in new) and not any(f in row for row in old)]
        gone = [f for f in had if all(f in row for row in old) and not any(f in row for row in new)]
        if had or have:
            direction = _direction(bool(gone), bool(lasting))
            found.append(
                ComponentChange(
                    component=f"alerts {severity}", before=len(had), after=len(have), noise=0.0, direction=direction
                )
            )
    return found


def _direction(better: bool, worse: bool) -> Direction:
    return "worse" if worse else "better" if better else "same"


def _change(
    key: Key,
    what: str,
    before: float | None,
    after: float | None,
    noise: float,
    direction: Direction,
    figures: tuple[list[float], list[float], float] | None = None,
    *,
    scale: Literal["", "term"] = "",
) -> ComponentChange:
    """Put a comparison into numbers.

    Args:
        figures: for what is measured with noise: the samples before and after, and the bound for better.
    """
    more: dict[str, Any] = {}
    if figures is not None:
        was, now, fall = figures
        more = {
            "samples_before": len(was),
            "samples_after": len(now),
            "spread_before": spread(was),
            "spread_after": spread(now),
            "noise_better": fall,
        }
    return ComponentChange(
        component=f"{key[0]}/{key[1]} {what}",
        before=before,
        after=after,
        noise=noise,
        direction=direction,
        scale=scale,
        **more,
    )


def known(rows: list[ServiceHealth], read: Callable[[ServiceHealth], float | None]) -> list[float]:
    """Return a figure of the samples that have it."""
    return [value for row in rows if (value := read(row)) is not None]


def _least(values: Sequence[int | None]) -> int:
    return min(v or 0 for v in values)


def _most(values: Sequence[int | None]) -> int:
    return max(v or 0 for v in values)


def _average(values: Sequence[int | None]) -> float:
    return mean([float(v or 0) for v in values])


def _growth(values: Sequence[int]) -> int:
    """Sum the increases; a fall is a pod that went, and its restarts with it."""
    return sum(max(0, b - a) for a, b in itertools.pairwise(values))
