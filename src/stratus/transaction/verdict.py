"""The verdict: samples before against samples after, component by component; unknown is never healthy.

Rates and latencies are noisy and compared by a one-sided Welch test whose error rate is shared among all components
compared; states of objects (availability, endpoints, crashes, wanted replicas) carry no measuring noise and are
compared as they are. The measured rates of wrong verdicts stand in `docs/reference/transactions.md`.
"""

from __future__ import annotations

from statistics import median

from stratus.model.diagnosis import Detection
from stratus.model.evidence import Observation
from stratus.model.health import ComponentChange, ServiceVerdict, Verdict, VerdictReport
from stratus.rules import COMPONENTS
from stratus.settings import HealthSettings
from stratus.transaction.comparing import Baseline, Conditions, Samples, ailing, compare, known, late, usable
from stratus.transaction.noise import mean, spread

__all__ = ["Baseline", "Conditions", "cleared", "conditions_of", "judge", "late", "steady"]
DECISIVE = {"REGRESSED": "worse", "UNKNOWN": "unknown", "IMPROVED": "better", "RESOLVED": "better"}
"""The direction of the components on which a verdict rests."""


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
    usable_before, usable_after = usable(before), usable(after)
    changes: tuple[ComponentChange, ...] = ()
    if min(len(usable_before), len(usable_after)) < 2:
        gaps = {f"{name}: {why}" for v in (*before, *after) for name, why in v.missing.items()}
        verdict: Verdict = "UNKNOWN"
        reason = f"too few usable samples ({len(usable_before)} before, {len(usable_after)} after)"
        reason += f"; missing: {'; '.join(sorted(gaps))}" if gaps else ""
    else:
        changes = compare(usable_before, usable_after, conditions, settings)
        verdict, reason = _decide(usable_before, usable_after, changes, conditions, settings)
    vectors = (*usable_before, *usable_after)
    changes = tuple(c.model_copy(update={"decided": c.direction == DECISIVE.get(verdict)}) for c in changes)
    return VerdictReport(
        verdict=verdict,
        reason=reason,
        changes=changes,
        services=_services(usable_before, usable_after, changes),
        policy=_rule(settings),
        ignored=tuple(sorted({text for v in vectors for text in v.ignored.values()})),
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
        normal = conditions.baseline.get(name, Baseline())
        left += [f"{name} {what}" for what in ailing(rows, normal, settings.of(name))]
    return tuple(left)


def steady(one: Samples, other: Samples, settings: HealthSettings) -> bool:
    """Tell whether two rounds of samples show the same: no rate, share or state is still on its way somewhere."""
    for key in {(s.namespace, s.service) for v in (*one, *other) for s in v.services}:
        old = [s for v in one if (s := v.service(*key)) is not None]
        new = [s for v in other if (s := v.service(*key)) is not None]
        if not old or not new or mean([s.crashing for s in old]) != mean([s.crashing for s in new]):
            return False
        for read in (lambda s: s.availability, lambda s: s.error_rate):
            was, now = known(old, read), known(new, read)
            if bool(was) != bool(now) or (was and abs(mean(was) - mean(now)) > settings.min_difference):
                return False
        rates, rates_now = known(old, lambda s: s.request_rate), known(new, lambda s: s.request_rate)
        if (
            rates
            and rates_now
            and abs(mean(rates) - mean(rates_now)) > settings.rate_drop * max(mean(rates), mean(rates_now))
        ):
            return False
    return True


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


def _mean_score(samples: Samples) -> float | None:
    known = [m for m in (v.mean() for v in samples) if m is not None]
    return mean(known) if known else None


def _services(before: Samples, after: Samples, changes: tuple[ComponentChange, ...]) -> tuple[ServiceVerdict, ...]:
    """Return the score of each service before and after, those on which the verdict rests first, then the worst."""
    found = []
    for namespace, name in sorted({(s.namespace, s.service) for v in (*before, *after) for s in v.services}):
        was, now = ([h.score for v in row if (h := v.service(namespace, name)) and h.score is not None]
                    for row in (before, after))  # fmt: skip
        mine = [c for c in changes if c.component.rpartition(" ")[0] == f"{namespace}/{name}"]
        moved = {c.direction for c in mine}
        found.append(
            ServiceVerdict(
                service=f"{namespace}/{name}",
                before=mean(was) if was else None,
                after=mean(now) if now else None,
                spread_before=spread(was),
                spread_after=spread(now),
                samples_before=len(was),
                samples_after=len(now),
                direction=next((d for d in ("worse", "unknown", "better") if d in moved), "same"),
                decided=tuple(c.component.rpartition(" ")[2] for c in mine if c.decided),
            )
        )
    return tuple(sorted(found, key=lambda s: (not s.decided, s.after is None, s.after or 0.0, s.service)))


def _rule(settings: HealthSettings) -> str:
    """Say by which rule figures counted."""
    text = (
        f"{settings.preset}: one-sided Welch test, {settings.alpha_worse:.1%} for worse and "
        f"{settings.alpha_better:.1%} for better, shared by all figures; never less than {settings.min_difference:g}, "
        f"or {settings.rate_drop:.0%} of the traffic"
    )
    left_out = [name for name in COMPONENTS if name not in settings.components]
    return text + (f"; not counted: {', '.join(left_out)}" if left_out else "")
