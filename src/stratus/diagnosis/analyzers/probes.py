"""Probes that fail while the container runs: is the probe wrong, or is the application not well?"""

from __future__ import annotations

import re

from stratus.diagnosis.analyzers.crashes import bad_env, killed_by_probe
from stratus.diagnosis.finding import Finding, about, went_back
from stratus.diagnosis.history import Difference, Revision, container_of, differences
from stratus.diagnosis.world import Workload, World, event_note, live_pods, not_ready_since, note
from stratus.kit.kube import (
    ContainerView,
    containers_of,
    dig,
    event_count,
    event_message,
    event_time,
    moment,
    name_of,
    pod_ready,
    port_names,
    port_numbers,
)
from stratus.model.base import Json

_WHICH = re.compile(r"^(Readiness|Liveness|Startup) probe (?:failed|errored)", re.IGNORECASE)
_STATUS = re.compile(r"statuscode: (\d+)")
_REFUSED = re.compile(r"(?i)connection refused|connect: |no route to host|EOF|service unimplemented|unknown service")
_TIMEOUT = re.compile(r"(?i)timeout|deadline exceeded|timed out")
_HANDLERS = ("httpGet", "tcpSocket", "grpc", "exec")
RECENT = 600.0


def analyze(world: World) -> list[Finding]:
    """Return one finding a workload whose pods run and fail a probe."""
    found = []
    for w in world.workloads:
        for pod in live_pods(w.pods):
            finding = _pod(world, w, pod)
            if finding is not None:
                found.append(finding)
                break
    return found


def _pod(world: World, w: Workload, pod: Json) -> Finding | None:
    for c in containers_of(pod):
        if c.init:
            continue
        killed = killed_by_probe(world, pod, c) and (c.waiting == "CrashLoopBackOff" or c.restarts > 0)
        if not killed and (not c.running or pod_ready(pod) or c.ready):
            continue
        since = 0.0 if killed else c.started - 1
        unhealthy = [e for e in world.events(pod, "Unhealthy") if event_time(e) >= since and _of(c, e)]
        unhealthy = [e for e in unhealthy if world.now - event_time(e) < RECENT]
        if not unhealthy and not (c.spec.get("readinessProbe") and c.running and world.now - c.started > 90):
            continue
        return _finding(world, w, pod, c, unhealthy, killed)
    return None


def _of(c: ContainerView, event: Json) -> bool:
    path = dig(event, "involvedObject", "fieldPath", default="")
    return not path or f"{{{c.name}}}" in path


def _finding(world: World, w: Workload, pod: Json, c: ContainerView, unhealthy: list[Json], killed: bool) -> Finding:
    texts = [event_message(e) for e in unhealthy]
    kinds = [m[1].lower() for t in texts if (m := _WHICH.match(t))]
    kind = next((k for k in ("startup", "liveness") if k in kinds and killed), kinds[-1] if kinds else "readiness")
    probe = c.spec.get(f"{kind}Probe") or {}
    text = next((t for t in reversed(texts) if t.lower().startswith(kind)), texts[-1] if texts else "")
    handler = next((h for h in _HANDLERS if h in probe), "")
    good = w.back[0] if w.back and (w.kind != "Deployment" or pod in w.newest_pods) else None
    diffs = [d for d in (differences(good.template, w.template) if good else []) if d.container in ("", c.name)]
    changed = [d for d in diffs if d.area == "probe"]
    others = [d for d in diffs if d.area in ("env", "command", "image", "ports", "volumes", "container")]
    if changed or not others:
        finding = _wrong_probe(w, c, kind, handler, probe, text, bool(changed), pod)
    elif all(d.area == "env" for d in others):
        finding = bad_env(w, c.name, others, set(), 0.85, f"container {c.name} is not ready since its environment was "
                          "changed")  # fmt: skip
    elif any(d.area == "command" for d in others):
        finding = about(w, "bad_command", f"{w.title}: container {c.name} is not ready since its command was changed",
                        0.85, settled=True, container=c.name)  # fmt: skip
    else:
        finding = about(w, "bad_change", f"{w.title}: container {c.name} is not ready since {others[0]}", 0.85,
                        settled=True, container=c.name)  # fmt: skip
        if others[0].area == "image":
            finding.facts.update(image=others[0].new, good_image=others[0].old)
    finding.pro += [event_note(e, pod, w.service) for e in unhealthy[-2:]]
    finding.pro.append(
        note(
            "object",
            f"pod {name_of(pod)}: container {c.name} runs and is not ready",
            pod,
            service=w.service,
            at=not_ready_since(pod),
            failures=sum(event_count(e) for e in unhealthy),
        )
    )
    finding.facts["pod"] = name_of(pod)
    went_back(finding, w, good, diffs)
    _right_probe(finding, w, c, kind, handler, probe, text, good, changed)
    return finding


def _wrong_probe(
    w: Workload, c: ContainerView, kind: str, handler: str, probe: Json, text: str, changed: bool, pod: Json
) -> Finding:
    """Weigh whether the probe itself is wrong: it changed, asks a port nobody has, or a path nobody serves."""
    port = dig(probe, handler, "port") if handler in ("httpGet", "tcpSocket", "grpc") else None
    names, numbers = port_names(w.spec), port_numbers(w.spec)
    number = (
        names.get(port) if isinstance(port, str) and not port.isdigit() else int(port) if port is not None else None
    )
    asks = f"{handler} {dig(probe, handler, 'path', default='')} port {port}".replace("  ", " ") if handler else "exec"
    title = f"{w.title}: the {kind} probe of container {c.name} ({asks}) fails"
    finding = about(w, "probe_failing", title, 0.6, container=c.name, probe=kind, probe_handler=handler or None)
    if changed:
        finding.confidence, finding.settled = 0.95, True
        finding.summary += " since it was changed"
    elif port is not None and numbers and number not in numbers:
        finding.confidence, finding.settled = 0.9, True
        finding.summary += "; the container does not declare that port"
    elif (status := _STATUS.search(text)) and status[1] == "404":
        finding.confidence, finding.settled = 0.85, True
        finding.summary += "; the container answers, but has no such path"
    elif status and status[1].startswith("5"):
        finding.confidence = 0.55
        finding.con.append(note("event", "the container answers its probe and says itself that it is not well", pod))
    elif _REFUSED.search(text) or _TIMEOUT.search(text):
        finding.confidence = 0.6
    before = [s for s in (dig(c.status, "lastState", "running", "startedAt"),) if s]
    was_ready = moment(dig(pod, "status", "startTime")) + 30 < not_ready_since(pod) and not before
    if was_ready and not changed and kind == "readiness":
        finding.con.append(note("object", f"pod {name_of(pod)} passed the same probe earlier", pod))
        finding.confidence = min(finding.confidence, 0.55)
    return finding


def _right_probe(
    finding: Finding,
    w: Workload,
    c: ContainerView,
    kind: str,
    handler: str,
    probe: Json,
    text: str,
    good: Revision | None,
    changed: list[Difference],
) -> None:
    """Fill in what the probe should ask: as before, else as another probe of the container, else the declared port."""
    if finding.fault != "probe_failing" or handler not in ("httpGet", "tcpSocket", "grpc"):
        return
    facts = finding.facts
    was = container_of(good.template, c.name).get(f"{kind}Probe") if good and changed else None
    others = [c.spec.get(p) for p in ("readinessProbe", "livenessProbe", "startupProbe") if p != f"{kind}Probe"]
    other = next((o for o in others if o and handler in o), None)
    source = was if was and handler in was else other
    port, path = dig(source, handler, "port"), dig(source, handler, "path")
    numbers, names = port_numbers({"containers": [c.spec]}), port_names({"containers": [c.spec]})
    asked = dig(probe, handler, "port")
    if port is None:
        fits = asked in numbers or asked in names
        port = asked if fits or not numbers else numbers[0]
    facts["probe_port"] = port
    if handler == "httpGet":
        status = _STATUS.search(text)
        facts["probe_path"] = path or (
            "/" if status and status[1] == "404" else dig(probe, handler, "path", default="/")
        )
    if _TIMEOUT.search(text):
        facts["probe_timeout"] = max(5, 3 * int(probe.get("timeoutSeconds") or 1))
    if kind in ("startup", "liveness"):
        facts["probe_failures"] = max(10, 3 * int(probe.get("failureThreshold") or 3))
