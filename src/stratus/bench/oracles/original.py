"""Answers the checks of an original oracle from snapshots: each gives the sentences that say why it does not hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stratus.bench.snapshot import WINDOW, PodState, Snapshot
from stratus.bench.suites import checks as c


def failures(check: c.Check, now: Snapshot, healthy: Snapshot) -> list[str]:
    """Return why a check does not hold; empty: it holds.

    Args:
        check: what is looked at.
        now: the state judged.
        healthy: the state before anything was injected.
    """
    return _ANSWERS[type(check)](check, now, healthy)


def _pods(now: Snapshot, namespace: str) -> list[PodState]:
    return [p for p in now.pods if p.namespace == (namespace or now.namespace) and not p.leaving]


def _pod_walk(check: c.PodWalk, now: Snapshot, _healthy: Snapshot) -> list[str]:
    found = []
    for pod in _pods(now, check.namespace):
        if not pod.born and check.skip_unborn:
            continue
        waits = [w for w in pod.waits if check.any_wait or w == "CrashLoopBackOff"]
        found += [f"{pod.name} waits: {w}" for w in waits]
        found += [f"{pod.name} has ended: {e}" for e in pod.ended if e != "Completed"]
        if check.ready and pod.phase != "Succeeded" and not pod.containers_ready:
            found.append(f"{pod.name} is not ready")
    return found


def _all_ready(check: c.AllReady, now: Snapshot, _healthy: Snapshot) -> list[str]:
    pods = [p for p in _pods(now, check.namespace) if p.phase != "Succeeded"]
    return [f"{p.name} is not ready" for p in pods if not p.ready] or ([] if pods else ["there is no pod"])


def _baseline(_check: c.Baseline, now: Snapshot, healthy: Snapshot) -> list[str]:
    found = []
    for key in healthy.workloads:
        if not key.startswith(f"Deployment/{healthy.namespace}/"):
            continue
        state = now.workloads.get(key)
        if state is None:
            found.append(f"{key} is gone")
        elif state.wanted < 1:
            found.append(f"{key} wants no pod")
        elif state.ready != state.wanted:
            found.append(f"{key} has {state.ready} of {state.wanted} pods ready")
    for pod in _pods(now, ""):
        if pod.phase == "Succeeded":
            continue
        if pod.phase != "Running" or pod.waits or not pod.containers_ready:
            found.append(f"{pod.name} is {pod.phase}, {', '.join(pod.waits) or 'not ready'}")
        found += [f"{pod.name} has ended: {e}" for e in pod.ended if e != "Completed"]
    return found


def _field(check: c.FieldIs, now: Snapshot, healthy: Snapshot) -> list[str]:
    obj = now.objects.get(now.key(check.object))
    if obj is None:
        return [f"{check.object} is gone"]
    value = c.dig(obj, check.path)
    path = check.path if isinstance(check.path, str) else "/".join(map(str, check.path))
    shown = "absent" if value is c.MISSING else repr(value)
    if check.absent:
        return [] if value is c.MISSING else [f"{check.object} {path} is {shown}"]
    if check.as_before:
        was = c.dig(healthy.objects.get(healthy.key(check.object), {}), check.path)
        return [] if value is was or value == was else [f"{check.object} {path} is {shown}, not as before"]
    if check.differs is not None:
        return [f"{check.object} {path} is still {shown}"] if value == check.differs else []
    if check.contains is not None:
        held = value is not c.MISSING and value is not None and check.contains in value
        return [] if held else [f"{check.object} {path} is {shown}, without {check.contains!r}"]
    return [] if value == check.equals else [f"{check.object} {path} is {shown}, not {check.equals!r}"]


def _exists(check: c.Exists, now: Snapshot, _healthy: Snapshot) -> list[str]:
    there = now.key(check.object) in now.objects
    if there == check.gone:
        return [f"{check.object} is {'still there' if there else 'not there'}"]
    return []


def _none_of(check: c.NoneOf, now: Snapshot, _healthy: Snapshot) -> list[str]:
    places = (f"{check.kind}/{now.namespace}/", f"{check.kind}//")
    held = [k for k, o in now.objects.items() if k.startswith(places) and c.dig(o, check.path) is not c.MISSING]
    return [f"{key} has {check.path}" for key in held]


def _available(check: c.Available, now: Snapshot, _healthy: Snapshot) -> list[str]:
    state = now.workloads.get(now.key(check.object))
    if state is None:
        return [f"{check.object} is gone"]
    if (state.wanted, state.available) != (check.replicas, check.replicas):
        return [f"{check.object} wants {state.wanted} pods and has {state.available}, not {check.replicas}"]
    return []


def _at_most(check: c.AtMost, now: Snapshot, _healthy: Snapshot) -> list[str]:
    state = now.workloads.get(now.key(check.object))
    if state is None:
        return [f"{check.object} is gone"]
    most = max(state.wanted, state.total)
    return [f"{check.object} has {most} pods, more than {check.replicas}"] if most > check.replicas else []


def _rolled_out(check: c.RolledOut, now: Snapshot, _healthy: Snapshot) -> list[str]:
    state = now.workloads.get(now.key(check.object))
    if state is None:
        return [f"{check.object} is gone"]
    if state.wanted < 1 or not state.complete:
        return [f"{check.object} is not rolled out: {state.ready} of {state.wanted} pods ready"]
    return []


def _pod_named(check: c.PodNamed, now: Snapshot, _healthy: Snapshot) -> list[str]:
    return [] if any(check.part in p.name for p in _pods(now, "")) else [f"no pod is called {check.part}"]


def _endpoints(check: c.Endpoints, now: Snapshot, _healthy: Snapshot) -> list[str]:
    if now.endpoints.get(f"{now.namespace}/{check.service}", 0):
        return []
    return [f"the Service {check.service} has no ready endpoint"]


def _alerts(check: c.AlertsCleared, now: Snapshot, healthy: Snapshot) -> list[str]:
    return [a for a in now.concerning(healthy.alerts) if a.partition(":")[0] not in check.ignore]


def _served(check: c.Served, now: Snapshot, healthy: Snapshot) -> list[str]:
    names = [f"{now.namespace}/{check.service}"] if check.service else list(healthy.services)
    found = []
    for name in names:
        was, figures = healthy.services.get(name), now.services.get(name)
        wanted = (was.rate or 0.0) * check.share if was is not None else 0.0
        rate = (figures.rate if figures is not None else None) or 0.0
        errors = (figures.errors if figures is not None else None) or 0.0
        if rate < wanted:
            found.append(f"{name} answers {rate:.2f} requests a second, not {wanted:.2f}")
        elif errors > check.errors:
            found.append(f"{name} fails {errors:.0%} of its requests")
    return found


def _steady(check: c.Steady, now: Snapshot, _healthy: Snapshot) -> list[str]:
    name = check.object.rsplit("/", 1)[-1]
    return [
        f"{p.name} was restarted"
        for p in _pods(now, "")
        if p.name.startswith(f"{name}-") and p.restarted > now.at - WINDOW
    ]


def _live(check: Any, now: Snapshot, _healthy: Snapshot) -> list[str]:
    told = now.probes.get(c.key_of(check), "was not tried")
    return [] if told == "ok" else [f"{check.check}: {told}"]


_ANSWERS: dict[type, Callable[[Any, Snapshot, Snapshot], list[str]]] = {
    c.PodWalk: _pod_walk,
    c.AllReady: _all_ready,
    c.Baseline: _baseline,
    c.FieldIs: _field,
    c.Exists: _exists,
    c.NoneOf: _none_of,
    c.Available: _available,
    c.AtMost: _at_most,
    c.RolledOut: _rolled_out,
    c.PodNamed: _pod_named,
    c.Endpoints: _endpoints,
    c.AlertsCleared: _alerts,
    c.Served: _served,
    c.Steady: _steady,
    c.Reaches: _live,
    c.Exec: _live,
    c.Admits: _live,
}
