"""Where on the call graph errors are born and time is spent, and whether resources explain it."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

from stratus.diagnosis.finding import Finding, about, went_back
from stratus.diagnosis.history import container_of, differences
from stratus.diagnosis.resources import more_cpu, more_memory
from stratus.diagnosis.world import Workload, World, note, reference
from stratus.kit.kube import name_of, namespace_of
from stratus.model.base import Json
from stratus.model.diagnosis import FaultClass
from stratus.model.evidence import CallEdge, Usage

FLOOR = 0.02
SLOWER_BY = 0.01
"""Seconds of own time that a service must have gained to be suspected."""
THROTTLED = 0.2
AT_LIMIT = 0.85
FULL = 0.9
BUSIER = 1.5
UNREACHABLE = re.compile(
    r"(?i)connection refused|no such host|no route|unavailable|deadline|timed? ?out|reset by peer|broken pipe|eof"
    r"|name resolution|nxdomain|dial|no healthy|upstream connect"
)
AUTH = re.compile(
    r"(?i)unauthenti|unauthori[sz]ed|not authori[sz]ed|authentication failed|auth(?:entication)? error|access denied"
    r"|permission denied|noauth|wrongpass|invalid password|password authentication|bad credentials|\b401\b|\b403\b"
    r"|invalid username|certificate (?:has expired|signed by unknown)|requires authentication"
)


def analyze(world: World) -> list[Finding]:
    """Return findings on where errors and latency come from."""
    return [*_errors(world), *_latency(world), *_usage(world)]


# ── errors ──


def _errors(world: World) -> list[Finding]:
    bad = [e for e in world.observation.edges if _fails(world, e)]
    callers = {e.caller for e in bad}
    born: dict[str, list[CallEdge]] = defaultdict(list)
    for edge in bad:
        if edge.callee not in callers:
            born[edge.callee].append(edge)
    found = [_error(world, callee, edges) for callee, edges in sorted(born.items())]
    if not bad:
        found += _by_series(world)
    return found


def _fails(world: World, edge: CallEdge) -> bool:
    if not edge.calls or edge.errors / edge.calls <= FLOOR:
        return False
    before = [e for e in world.edges_to(edge.callee, before=True) if e.caller == edge.caller and e.calls]
    calls, errors = sum(e.calls for e in before), sum(e.errors for e in before)
    return not calls or edge.errors / edge.calls > 1.5 * errors / calls + FLOOR


def _error(world: World, callee: str, edges: list[CallEdge]) -> Finding:
    w = world.behind(callee)
    calls, errors = sum(e.calls for e in edges), sum(e.errors for e in edges)
    message = next((e.message for e in edges if e.message), "")
    fault: FaultClass = "dependency_failure"
    what = f"{errors / calls:.0%} of the calls to {callee} fail, and no call that {callee} makes does"
    confidence = 0.5
    if AUTH.search(message):
        fault, confidence = "auth_failure", 0.56
    elif UNREACHABLE.search(message):
        what = f"{callee} cannot be reached by {', '.join(sorted({e.caller or 'its users' for e in edges}))}"
    text = what + (f": {message}" if message else "")
    if w is not None:
        finding = about(w, fault, text, confidence)
    else:
        finding = Finding(
            fault, reference("Service", _namespace(world, callee, edges), callee), text, confidence, service=callee
        )
    finding.service = callee if w is None else w.service
    finding.impact = min(1.0, 0.3 + errors / calls)
    for edge in edges[:3]:
        finding.pro.append(
            note(
                "trace",
                f"{edge.errors} of {edge.calls} calls {edge.caller or 'from outside'} -> "
                f"{callee} {edge.operation} fail {edge.message}",
                service=callee,
            )
        )
    if w is not None and not world.unwell(w) and fault == "dependency_failure":
        finding.con.append(note("object", f"{w.title}: {w.ready} of {w.wanted} pods ready", w.obj, service=callee))
    return finding


def _namespace(world: World, service: str, edges: list[CallEdge]) -> str:
    """Return the namespace of a service that has no workload: its own, else its caller's."""
    found = [s for s in world.services if name_of(s) == service]
    if found:
        return namespace_of(found[0])
    callers = [w for e in edges if (w := world.behind(e.caller)) is not None]
    return callers[0].namespace if callers else (world.observation.namespaces or ("",))[0]


def _by_series(world: World) -> list[Finding]:
    """Without traces: the failing services that call no failing service."""
    failing = {(a.namespace, a.service): a for a in world.case.detection.anomalies if a.detector == "error-rate"}
    names = {n for _, n in failing}
    found = []
    for (namespace, service), anomaly in sorted(failing.items()):
        w = world.behind(service, namespace)
        if w is None or world.callees.get(service, set()) & names:
            continue
        finding = about(w, "dependency_failure", anomaly.summary + ", and nothing it is known to call does", 0.4)
        finding.pro.append(note("metric", anomaly.summary, service=service, at=anomaly.since))
        found.append(finding)
    return found


# ── latency ──


@dataclass(frozen=True)
class Slower:
    """A service's own time per request, now and before, seconds."""

    service: str
    now: float
    before: float | None

    @property
    def gained(self) -> float:
        """Seconds gained."""
        return self.now - (self.before or 0.0)


def slower(world: World) -> list[Slower]:
    """Return services whose own time has grown, worst first; callees of those who suffer only."""
    found = []
    for service in sorted({e.callee for e in world.observation.edges}):
        now = max((e.self_time_p99 for e in world.edges_to(service)), default=0.0)
        earlier = [e.self_time_p99 for e in world.edges_to(service, before=True)]
        one = Slower(service, now, max(earlier) if earlier else None)
        if one.before is not None and one.now > one.before * 1.5 and one.gained > SLOWER_BY and world.on_path(service):
            found.append(one)
    return sorted(found, key=lambda s: -s.gained)


def _latency(world: World) -> list[Finding]:
    suspects = slower(world)
    found = []
    for rank, one in enumerate(suspects[:3]):
        w = world.behind(one.service)
        if w is None:
            continue
        seen = note(
            "trace",
            f"{one.service} itself takes {one.now * 1000:.0f} ms at p99, before {(one.before or 0) * 1000:.0f} ms",
            service=one.service,
        )
        share = one.gained / max(suspects[0].gained, 1e-9)
        finding = _why_slow(world, w, one, rank == 0)
        finding.confidence *= 0.6 + 0.4 * share
        finding.pro.insert(0, seen)
        found.append(finding)
    return found


def _why_slow(world: World, w: Workload, one: Slower, deepest: bool) -> Finding:
    saturated = _saturated(world, w)
    busier = _busier(world, w.service)
    if saturated is not None and (busier is None or "revision" in saturated.facts):
        return saturated
    if busier is not None:
        before, now = busier
        finding = about(
            w,
            "overload",
            f"{w.title} gets {now / before:.1f} times the requests it got before",
            0.58,
            replicas=max(w.wanted + 1, round(w.wanted * now / before)),
        )
        finding.pro.append(note("metric", f"{w.service}: {now:.1f} calls/s, before {before:.1f}", service=w.service))
        if saturated is not None:
            finding.confidence = 0.66
            finding.pro += saturated.pro
            finding.facts = {**saturated.facts, **finding.facts}
        return finding
    outside = [e for e in world.edges_to(w.service) if e.latency_p99 > 1.5 * max(one.now, 1e-6)]
    fault: FaultClass = "network_degraded" if outside and not deepest else "resource_saturation"
    finding = about(
        w,
        fault,
        f"{w.title} has become slow itself: {one.now * 1000:.0f} ms at p99, before {(one.before or 0) * 1000:.0f} ms",
        0.42,
    )
    finding.con.append(note("metric", f"no resource of {w.title} is known to be used up", service=w.service))
    starved = [n for n in _uses(world, w.service) if (o := world.behind(n)) is not None and _saturated(world, o)]
    if starved:
        finding.confidence = 0.3
        finding.con.append(note("metric", f"{', '.join(starved)}, which it may use, is short of resources",
                                service=w.service))  # fmt: skip
    return finding


def _uses(world: World, service: str) -> list[str]:
    """Return what a service may call without a trace of it: such calls count as its own time."""
    traced = {e.callee for e in world.observation.edges}
    return sorted((world.callees.get(service, set()) | world.mentions.get(service, set())) - traced)


def _busier(world: World, service: str) -> tuple[float, float] | None:
    window = world.observation.window
    now = sum(e.calls for e in world.edges_to(service)) / window
    series = [s for s in world.observation.series if s.service == service]
    calm = [p.rate for s in series for p in s.points if p.at < world.observation.at - window and p.rate]
    recent = [p.rate for s in series for p in s.points[-4:] if p.rate]
    if calm and recent:
        before, now = sorted(calm)[len(calm) // 2], sum(recent) / len(recent)
        return (before, now) if now > before * BUSIER else None
    return None


# ── resources ──


def _of(world: World, w: Workload) -> list[Usage]:
    pods = {name_of(p) for p in w.pods}
    return [u for u in world.observation.usage if u.namespace == w.namespace and u.pod in pods]


def _saturated(world: World, w: Workload) -> Finding | None:
    """Return a finding when containers of the workload are at their CPU or memory limit."""
    worst: tuple[float, Usage, str] | None = None
    for u in _of(world, w):
        cpu = u.cpu_cores / u.cpu_limit if u.cpu_cores is not None and u.cpu_limit else 0.0
        if (u.throttled or 0.0) >= THROTTLED or cpu >= AT_LIMIT:
            score = max(u.throttled or 0.0, cpu)
            worst = max((worst, (score, u, "cpu")), key=lambda x: x[0] if x else 0.0)
        memory = u.memory_bytes / u.memory_limit if u.memory_bytes is not None and u.memory_limit else 0.0
        if memory >= FULL and worst is None:
            worst = (memory, u, "memory")
    if worst is None:
        return None
    score, u, what = worst
    spec = w.container(u.container)
    limits: Json = (spec.get("resources") or {}).get("limits") or {}
    good = w.back[0] if w.back else None
    was = ((container_of(good.template, u.container).get("resources") or {}).get("limits") or {}) if good else {}
    lowered = good is not None and was.get(what) is not None and was.get(what) != limits.get(what)
    if what == "cpu":
        text = f"{w.title}: container {u.container} is throttled at its CPU limit of {limits.get('cpu', u.cpu_limit)}"
        finding = about(
            w,
            "resource_saturation",
            text,
            0.62,
            container=u.container,
            cpu_limit=more_cpu(limits.get("cpu") or u.cpu_limit, was.get("cpu")),
        )
        if w.kind in ("Deployment", "StatefulSet") and w.wanted:
            finding.facts["replicas"] = w.wanted + 1
    else:
        text = f"{w.title}: container {u.container} uses {score:.0%} of its memory limit of {limits.get('memory')}"
        finding = about(
            w,
            "memory_pressure",
            text,
            0.55,
            container=u.container,
            memory_limit=more_memory(limits.get("memory") or u.memory_limit, was.get("memory")),
        )
    numbers = f"throttled {u.throttled:.0%} of the time" if u.throttled is not None else f"{score:.0%} of its limit"
    finding.pro.append(
        note("metric", f"pod {u.pod}, container {u.container}: {what} {numbers}", w.obj, service=w.service)
    )
    if lowered and good is not None:
        went_back(finding, w, good, differences(good.template, w.template))
        finding.confidence = 0.85
        finding.summary += f"; the limit was {was.get(what)} before"
    finding.impact = 0.6
    return finding


def _usage(world: World) -> list[Finding]:
    """Saturated workloads that the traces did not name, on the failing path or where nothing says who suffers."""
    named = {s.service: s for s in slower(world)}
    hidden = {n: s for s in reversed(named.values()) for n in _uses(world, s.service)}
    found = []
    for w in world.workloads:
        if w.service in named or not world.on_path(w.service):
            continue
        finding = _saturated(world, w)
        if finding is None:
            continue
        if w.service in hidden:
            caller = hidden[w.service]
            text = f"{caller.service}, which may use it, takes {caller.now * 1000:.0f} ms of its own, before "
            text += f"{(caller.before or 0) * 1000:.0f} ms; what it calls without a trace is in that"
            finding.pro.append(note("trace", text, service=caller.service))
            found.append(finding)
            continue
        if "revision" not in finding.facts:
            finding.confidence -= 0.1 if world.focus else 0.35
        if world.observation.edges and "revision" not in finding.facts:
            finding.con.append(note("trace", f"{w.service} itself is not slower than before", service=w.service))
            finding.confidence -= 0.15
        found.append(finding)
    return found
