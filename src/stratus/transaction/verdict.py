"""The verdict: samples before against samples after, component by component; unknown is never healthy.

Rates and latencies are noisy and compared by a one-sided Welch test whose error rate is shared among all components
compared; states of objects (availability, endpoints, crashes, wanted replicas) carry no measuring noise and are
compared as they are. The measured rates of wrong verdicts stand in `docs/reference/transactions.md`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from statistics import median
from typing import Literal

from pydantic import Field

from stratus.model.base import Noun
from stratus.model.diagnosis import Detection
from stratus.model.evidence import Observation
from stratus.model.health import ComponentChange, HealthVector, ServiceHealth, Verdict, VerdictReport
from stratus.settings import HealthSettings
from stratus.transaction.health import Key, latency_term
from stratus.transaction.noise import margin, mean

ALPHA_BETTER = 0.01
"""Chance that nothing has changed and some figure of the vector counts as better: keeps a useless change."""
ALPHA_WORSE = 0.03
"""Chance that nothing has changed and some figure of the vector counts as worse: loses a good change."""
VANISHED = 0.05
"""Share of the earlier traffic below which a service counts as silenced."""
RATE_DROP = 0.3
"""Share of the traffic served well that may be lost before it counts: load changes by itself, too."""
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


def conditions_of(detection: Detection, observation: Observation | None = None) -> Conditions:
    """Read an incident's conditions off its detection; the normal figures come from points before the onset."""
    baseline: dict[str, Baseline] = {}
    for series in observation.series if observation and detection.onset else ():
        calm = [p for p in series.points if p.at < detection.onset]
        if calm:
            rates = [p.rate for p in calm if p.rate is not None]
            errors = [p.error_rate for p in calm if p.error_rate is not None]
            latencies = [p.latency_p99 for p in calm if p.latency_p99 is not None]
            baseline[f"{series.namespace}/{series.service}"] = Baseline(
                # the median: a surge is under way for a while before anybody calls it an incident
                request_rate=median(rates) if rates else None,
                error_rate=mean(errors) if errors else None,
                latency_p99=mean(latencies) if latencies else None,
            )
    alerts = tuple(a.fingerprint for a in detection.alerts if a.status == "firing")
    return Conditions(alerts=alerts, services=detection.services, baseline=baseline)


def judge(before: Samples, after: Samples, conditions: Conditions, settings: HealthSettings) -> VerdictReport:
    """Compare and decide.

    Args:
        before, after: samples, oldest first; those whose sources failed do not count.
    """
    usable_before, usable_after = _usable(before), _usable(after)
    changes: tuple[ComponentChange, ...] = ()
    if min(len(usable_before), len(usable_after)) < 2:
        gaps = {f"{name}: {why}" for v in (*before, *after) for name, why in v.missing.items()}
        verdict: Verdict = "UNKNOWN"
        reason = f"too few usable samples ({len(usable_before)} before, {len(usable_after)} after)"
        reason += f"; missing: {'; '.join(sorted(gaps))}" if gaps else ""
    else:
        changes = _compare(usable_before, usable_after, conditions, settings)
        verdict, reason = _decide(usable_before, usable_after, changes, conditions, settings)
    vectors = (*usable_before, *usable_after)
    return VerdictReport(
        verdict=verdict,
        reason=reason,
        changes=changes,
        before=_mean_score(usable_before),
        after=_mean_score(usable_after),
        samples_before=len(usable_before),
        samples_after=len(usable_after),
        from_objects_only=not any(s.source == "telemetry" for v in vectors for s in v.services),
    )


def cleared(samples: Samples, conditions: Conditions, settings: HealthSettings) -> tuple[str, ...]:
    """Return what of the incident is still to be seen in the samples; empty when it is over."""
    left: list[str] = []
    for fingerprint in conditions.alerts:
        if any(v.alerts and fingerprint in v.alerts for v in samples):
            left.append(f"alert {fingerprint} is firing")
    known = {f"{s.namespace}/{s.service}" for v in samples for s in v.services}
    wanted = [name for name in conditions.services if name in known] or sorted(known)
    if not known:
        left.append("no service is to be seen")
    for name in wanted:
        namespace, _, service = name.partition("/")
        seen = [v.service(namespace, service) for v in samples]
        rows = [row for row in seen if row is not None]
        if len(rows) < len(seen):
            left.append(f"{name} is not there")
        left += [f"{name} {what}" for what in _ailing(rows, conditions.baseline.get(name, Baseline()), settings)]
    return tuple(left)


def late(before: Samples, after: Samples) -> tuple[str, ...]:
    """Return alerts that began to fire during the transaction over a condition that held before its first sample.

    They waited out their `for:` time; the transaction did not cause what they tell, so they are not news. Nor is it
    over while they fire. An alert whose start is not known, or that a single sample puts later, is none of them.
    """
    usable_before, usable_after = _usable(before), _usable(after)
    if not usable_before:
        return ()
    known = {f for v in usable_before for f in v.alerts or {}}
    began = usable_before[0].at
    rows = [v for v in usable_after if v.alerts]
    fresh = sorted({f for v in rows for f, s in (v.alerts or {}).items() if s in ALARMING} - known)
    return tuple(f for f in fresh if all(0 < v.alert_starts.get(f, 0.0) < began for v in rows if f in (v.alerts or {})))


def steady(one: Samples, other: Samples, settings: HealthSettings) -> bool:
    """Tell whether two rounds of samples show the same: no rate, share or state is still on its way somewhere."""
    for key in {(s.namespace, s.service) for v in (*one, *other) for s in v.services}:
        old = [s for v in one if (s := v.service(*key)) is not None]
        new = [s for v in other if (s := v.service(*key)) is not None]
        if not old or not new or mean([s.crashing for s in old]) != mean([s.crashing for s in new]):
            return False
        for read in (lambda s: s.availability, lambda s: s.error_rate):
            was, now = _known(old, read), _known(new, read)
            if bool(was) != bool(now) or (was and abs(mean(was) - mean(now)) > settings.min_difference):
                return False
        rates, rates_now = _known(old, lambda s: s.request_rate), _known(new, lambda s: s.request_rate)
        if rates and rates_now and abs(mean(rates) - mean(rates_now)) > RATE_DROP * max(mean(rates), mean(rates_now)):
            return False
    return True


def _ailing(rows: list[ServiceHealth], normal: Baseline, settings: HealthSettings) -> list[str]:
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


def _decide(
    before: Samples,
    after: Samples,
    changes: tuple[ComponentChange, ...],
    conditions: Conditions,
    settings: HealthSettings,
) -> tuple[Verdict, str]:
    named = {d: [c.component for c in changes if c.direction == d] for d in ("better", "worse", "unknown")}
    if named["worse"]:
        return "REGRESSED", "worse: " + ", ".join(named["worse"])
    if named["unknown"]:
        return "UNKNOWN", "cannot be told: " + ", ".join(named["unknown"])
    waiting = conditions.model_copy(update={"alerts": (*conditions.alerts, *late(before, after))})
    left, earlier = cleared(after, waiting, settings), cleared(before, conditions, settings)
    span = after[-1].at - after[0].at
    if earlier and not left and span >= settings.quiet:
        return "RESOLVED", "gone: " + "; ".join(earlier)
    if not left and earlier:
        left = (f"it has been quiet for {span:.0f} s only",)
    if named["better"]:
        rest = f"; left: {'; '.join(left)}" if left else "; the incident itself could not be seen before"
        return "IMPROVED", "better: " + ", ".join(named["better"]) + rest
    return "UNCHANGED", "nothing is better" + (f"; left: {'; '.join(left)}" if left else "")


def _usable(samples: Samples) -> list[HealthVector]:
    """Leave out samples whose sources failed: a gap is not a good value."""
    return [v for v in samples if not {"objects", "metrics", "alerts"} & v.missing.keys()]


def _mean_score(samples: Samples) -> float | None:
    known = [m for m in (v.mean() for v in samples) if m is not None]
    return mean(known) if known else None


def _growth(values: Sequence[int]) -> int:
    """Sum the increases; a fall is a pod that went, and its restarts with it."""
    return sum(max(0, b - a) for a, b in itertools.pairwise(values))


def _compare(
    before: Samples, after: Samples, conditions: Conditions, settings: HealthSettings
) -> tuple[ComponentChange, ...]:
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
            normal = conditions.baseline.get(f"{key[0]}/{key[1]}", Baseline())
            found += _objects(key, old, new, settings) + _figures(key, old, new, normal, share, settings)
        elif new and f"{key[0]}/{key[1]}" in conditions.created and _ailing(new, Baseline(), settings):
            found.append(_change(key, "created", None, new[-1].availability, 0.0, "worse"))
    return (*found, *_alerts(before, after))


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
    errors, errors_now = _known(old, lambda s: s.error_rate), _known(new, lambda s: s.error_rate)
    rates, rates_now = _known(old, lambda s: s.request_rate), _known(new, lambda s: s.request_rate)
    failing = bool(errors) and mean(errors) > TRUSTED_ERRORS
    if rates:
        found.append(_traffic(key, rates, rates_now, errors, errors_now, normal, share, settings))
    vanished = any(c.direction == "worse" for c in found) or (bool(rates_now) and mean(rates_now) == 0)
    if errors and not errors_now:
        found.append(_change(key, "error_rate", mean(errors), None, 0.0, "same" if vanished else "unknown"))
    elif errors:
        rise, fall = _margins(errors, errors_now, share, settings.min_difference)
        gap = mean(errors_now) - mean(errors)
        found.append(
            _change(key, "error_rate", mean(errors), mean(errors_now), rise, _direction(gap < -fall, gap > rise))
        )
        if mean(errors_now) <= settings.error_floor and all(s.ready == 0 and s.endpoints == 0 for s in new):
            served = bool(rates_now) and mean(rates_now) > 0
            if served:
                found.append(_change(key, "telemetry against objects", None, None, 0.0, "unknown"))
    slow, slow_now = _known(old, lambda s: s.latency_p99), _known(new, lambda s: s.latency_p99)
    if slow and not slow_now:
        found.append(_change(key, "latency_p99", mean(slow), None, 0.0, "same" if vanished else "unknown"))
    elif slow:
        was, now = ([latency_term(v, settings) for v in row] for row in (slow, slow_now))
        rise, fall = _margins(was, now, share, settings.min_difference)
        gap = mean(now) - mean(was)
        # Failing fast is not being fast: then only an answer that misses the objective counts as slower.
        worse = gap > rise and (not failing or mean(now) > 0.5)
        better = gap < -fall and (not errors_now or mean(errors_now) <= TRUSTED_ERRORS)
        found.append(_change(key, "latency_p99", mean(slow), mean(slow_now), rise, _direction(better, worse)))
    return found


def _margins(before: list[float], after: list[float], share: float, least: float) -> tuple[float, float]:
    """Return how far a mean has to move to count as worse, and as better."""
    worse, better = (margin(before, after, alpha=a * share, least=least) for a in (ALPHA_WORSE, ALPHA_BETTER))
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
    loss, gain = _margins(good, good_now, share, RATE_DROP * mean(good))
    silent = mean(rates) > 0 and mean(rates_now) < VANISHED * mean(rates)
    dropped = mean(good) > 0 and mean(good) - mean(good_now) > loss
    wanted = SERVED_AGAIN * (normal.request_rate or 0.0)
    back = wanted > 0 and mean(good) < wanted <= mean(good_now) and mean(good_now) - mean(good) > gain
    if normal.request_rate and mean(rates) > SURGE * normal.request_rate:
        ended = abs(mean(good_now) - normal.request_rate) <= AS_NORMAL * normal.request_rate
        silent, dropped = silent and not ended, dropped and not ended
    return _change(key, "request_rate", mean(rates), mean(rates_now), loss, _direction(back, silent or dropped))


def _alerts(before: Samples, after: Samples) -> list[ComponentChange]:
    """Compare firing alerts: new ones count when they last, gone ones when they stay away.

    An alert over a condition older than the transaction (see `late`) is not new.
    """
    if all(v.alerts is None for v in (*before, *after)):
        return []
    if any(v.alerts is None for v in (*before, *after)):
        return [ComponentChange(component="alerts", before=None, after=None, noise=0.0, direction="unknown")]
    old, new = [v.alerts or {} for v in before], [v.alerts or {} for v in after]
    found, overdue = [], set(late(before, after))
    for severity in ALARMING:
        had = {f for row in old for f, s in row.items() if s == severity}
        have = {f for row in new for f, s in row.items() if s == severity}
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
    key: Key, what: str, before: float | None, after: float | None, noise: float, direction: Direction
) -> ComponentChange:
    component = f"{key[0]}/{key[1]} {what}"
    return ComponentChange(component=component, before=before, after=after, noise=noise, direction=direction)


def _known(rows: list[ServiceHealth], read: Callable[[ServiceHealth], float | None]) -> list[float]:
    return [value for row in rows if (value := read(row)) is not None]


def _least(values: Sequence[int | None]) -> int:
    return min(v or 0 for v in values)


def _most(values: Sequence[int | None]) -> int:
    return max(v or 0 for v in values)


def _average(values: Sequence[int | None]) -> float:
    return mean([float(v or 0) for v in values])
