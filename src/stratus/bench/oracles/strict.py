"""The strict oracle: traffic as before, no alert, every workload whole, and nothing changed but what had to be."""

from __future__ import annotations

from fnmatch import fnmatchcase

from stratus.bench.oracles.original import failures
from stratus.bench.snapshot import Snapshot, changed
from stratus.bench.suites.schema import Scenario, StrictSpec

LEAST = 0.02
"""Requests a second below which a service's rate says nothing."""
WAIT = 0.25
"""Seconds that the latency may be above the healthy one in any case."""


def strict(scenario: Scenario, healthy: Snapshot, broken: Snapshot, after: Snapshot, alone: Snapshot) -> list[str]:
    """Return what is not as it should be; empty: the scenario is resolved, and nothing else happened.

    Args:
        scenario: what was injected, and what its repair may touch.
        healthy: before the injection.
        broken: after it, before anybody acted.
        after: the state judged.
        alone: the state at the same moment if nobody had acted.
    """
    spec = scenario.strict
    return [
        *_traffic(spec, healthy, after),
        *_alerts(spec, healthy, after),
        *_workloads(spec, healthy, after),
        *_endpoints(healthy, after),
        *(said for check in spec.must for said in failures(check, after, healthy)),
        *_untouched(scenario, healthy, broken, after, alone),
    ]


def _traffic(spec: StrictSpec, healthy: Snapshot, after: Snapshot) -> list[str]:
    found = []
    for name, was in sorted(healthy.services.items()):
        if name.rsplit("/", 1)[-1] in spec.quiet or (was.rate or 0.0) < LEAST:
            continue
        now = after.services.get(name)
        rate = (now.rate if now is not None else None) or 0.0
        if rate < spec.share * (was.rate or 0.0):
            found.append(f"{name} answers {rate:.2f} requests a second, {was.rate:.2f} when healthy")
            continue
        assert now is not None
        if (now.errors or 0.0) > (was.errors or 0.0) + spec.errors:
            found.append(f"{name} fails {now.errors:.1%} of its requests, {was.errors or 0.0:.1%} when healthy")
        if was.p99 is not None and (now.p99 or 0.0) > max(spec.slower * was.p99, was.p99 + WAIT):
            found.append(f"{name} takes {now.p99:.2f} s (99th percentile), {was.p99:.2f} s when healthy")
    return found


def _alerts(spec: StrictSpec, healthy: Snapshot, after: Snapshot) -> list[str]:
    return [f"alert {a}" for a in after.concerning(healthy.alerts) if a.partition(":")[0] not in spec.alerts]


def _workloads(spec: StrictSpec, healthy: Snapshot, after: Snapshot) -> list[str]:
    found = []
    away = after.bystanders()
    for key, was in sorted(healthy.workloads.items()):
        if key.split("/")[1] in away:
            continue
        now, short = after.workloads.get(key), _short(key)
        if now is None:
            found.append(f"{short} is gone")
        elif now.wanted < was.wanted and short not in spec.shrink:
            found.append(f"{short} wants {now.wanted} pods, {was.wanted} when healthy")
        elif was.complete and not now.complete:
            found.append(f"{short} is not rolled out: {now.ready} of {now.wanted} pods ready, {now.updated} new")
    return found


def _endpoints(healthy: Snapshot, after: Snapshot) -> list[str]:
    return [
        f"the Service {key} has no endpoint"
        for key, number in sorted(healthy.endpoints.items())
        if number and not after.endpoints.get(key) and key.partition("/")[0] not in after.bystanders()
    ]


def _untouched(scenario: Scenario, healthy: Snapshot, broken: Snapshot, after: Snapshot, alone: Snapshot) -> list[str]:
    """Return what differs from the healthy state, and not because of the fault, its repair, or the noise."""
    mine = {*changed(healthy, broken), *changed(healthy, alone), *after.noisy, *alone.noisy}
    globs = (*scenario.truth.objects, *scenario.strict.allow)
    found = []
    for key in changed(healthy, after):
        lost = key in alone.noisy and key in alone.objects and key not in after.objects
        if (key in mine and not lost) or any(fnmatchcase(_short(key), g) or fnmatchcase(key, g) for g in globs):
            continue
        how = "was made" if key not in healthy.objects else "is gone" if key not in after.objects else "was changed"
        found.append(f"{key} {how}, which no repair needs")
    return found


def _short(key: str) -> str:
    kind, _, rest = key.partition("/")
    return f"{kind}/{rest.partition('/')[2]}"
