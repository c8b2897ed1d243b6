"""Experiments in chaos engineering that are under way: objects of Chaos Mesh and LitmusChaos, and whom they strike."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stratus.diagnosis.finding import Finding
from stratus.diagnosis.world import Workload, World, note
from stratus.kit.kube import annotations_of, controller, created, dig, name_of, namespace_of
from stratus.model.base import Json
from stratus.model.diagnosis import FaultClass
from stratus.model.refs import ObjectRef

MESH, LITMUS = "chaos-mesh.org", "litmuschaos.io"
PAUSE = "experiment.chaos-mesh.org/pause"
FELT, ON_PATH, ELSEWHERE = 0.94, 0.86, 0.5
"""What is believed of an experiment on a service that users feel (or whose pods are not well), on one that those call,
and on any other."""
EARLY = 900.0
"""Seconds that an experiment may have run before users began to suffer and still be suspected at once."""

_EFFECTS: dict[str, FaultClass] = {
    "PodChaos": "crash_loop", "NetworkChaos": "network_degraded", "HTTPChaos": "network_degraded",
    "StressChaos": "resource_saturation", "JVMChaos": "crash_loop", "DNSChaos": "dns_failure",
    "IOChaos": "resource_saturation", "TimeChaos": "unknown", "KernelChaos": "crash_loop",
    "PhysicalMachineChaos": "unknown", "ChaosEngine": "unknown",
}  # fmt: skip


def analyze(world: World) -> list[Finding]:
    """Return one finding an experiment that acts now, weighed by who suffers from what it strikes."""
    found = []
    for obj in _experiments(world):
        struck = list(_struck(world, obj))
        if struck:
            found.append(_finding(world, obj, struck))
    return found


def _experiments(world: World) -> Iterator[Json]:
    for kind in sorted(_EFFECTS):
        for obj in world.observation.of(kind):
            group = str(obj.get("apiVersion", "")).partition("/")[0]
            if (group == MESH and _acts(world, obj)) or (
                group == LITMUS and kind == "ChaosEngine" and dig(obj, "spec", "engineState") == "active"
            ):
                yield obj


def _acts(world: World, obj: Json) -> bool:
    """Whether an experiment of Chaos Mesh is neither paused nor over; what happens once counts while it repeats."""
    if annotations_of(obj).get(PAUSE) == "true" or dig(obj, "metadata", "deletionTimestamp"):
        return False
    if dig(obj, "status", "experiment", "desiredPhase", default="Run") != "Run":
        return False
    once = obj["kind"] == "PodChaos" and dig(obj, "spec", "action") in ("pod-kill", "container-kill")
    if once:
        return _schedule(world, obj) is not None
    lasts = _seconds(str(dig(obj, "spec", "duration", default="")))
    return not lasts or world.now < created(obj) + lasts


def _seconds(duration: str) -> float:
    """Read a Go duration such as `1m30s`; 0.0 when there is none."""
    pieces = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", duration)
    return sum(float(number) * {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}[unit] for number, unit in pieces)


def _schedule(world: World, obj: Json) -> Json | None:
    """Return the Schedule that makes such experiments again and again, unless that is paused."""
    owner = controller(obj)
    if owner is None or owner[0] != "Schedule":
        return None
    found = world.observation.find("Schedule", namespace_of(obj), owner[1])
    return found if found is not None and annotations_of(found).get(PAUSE) != "true" else None


def _struck(world: World, obj: Json) -> Iterator[Workload]:
    """Yield the workloads whose pods are chosen: as its status says, else by its selectors; the caller's side first."""
    records = dig(obj, "status", "experiment", "containerRecords", default=[])
    chosen = {tuple(str(r.get("id", "")).split("/")[:2]) for r in records}
    selectors = [dig(obj, "spec", "selector", default={}), dig(obj, "spec", "target", "selector", default={})]
    label = str(dig(obj, "spec", "appinfo", "applabel", default=""))
    if label:
        key, _, value = label.partition("=")
        space = str(dig(obj, "spec", "appinfo", "appns", default=""))
        selectors.append({"labelSelectors": {key: value}, "namespaces": [space] if space else []})
    for w in world.workloads:
        pods = {(namespace_of(p), name_of(p)) for p in w.pods}
        if chosen & pods or (not chosen and any(_selects(s, w, namespace_of(obj)) for s in selectors)):
            yield w


def _selects(selector: Json, w: Workload, home: str) -> bool:
    labels = selector.get("labelSelectors") or {}
    if w.namespace not in (selector.get("namespaces") or [home]):
        return False
    names = [n for n in (selector.get("pods") or {}).get(w.namespace, ()) if any(name_of(p) == n for p in w.pods)]
    return bool(names) or bool(labels and all(w.labels.get(k) == v for k, v in labels.items()))


def _finding(world: World, obj: Json, struck: list[Workload]) -> Finding:
    kind, spec = str(obj["kind"]), obj.get("spec") or {}
    felt = [w for w in struck if world.unwell(w) or (w.namespace, w.service) in world.focus]
    near = [w for w in struck if world.focus and world.on_path(w.service)] or [
        w for w in struck if world.users(w.service) & {n for _, n in world.focus}
    ]
    confidence = FELT if felt else ON_PATH if near else ELSEWHERE
    since = created(obj)
    late = bool(world.onset and since > world.onset + 120.0)
    if late:
        confidence *= 0.7
    elif world.onset and since < world.onset - EARLY:
        confidence *= 0.9
    first = (felt or near or struck)[0]
    what = " ".join(str(v) for v in (kind, name_of(obj), f"({spec['action']})" if spec.get("action") else "") if v)
    targets = ", ".join(w.title for w in struck[:3])
    text = f"the experiment {what} is under way on {targets}"
    litmus = kind == "ChaosEngine"
    schedule = None if litmus else _schedule(world, obj)
    facts: Json = (
        {"engine": "chaosengines." + LITMUS} if litmus else {"experiment": f"{kind.lower()}.{MESH}/{name_of(obj)}"}
    )
    blamed = obj
    if schedule is not None:
        facts["schedule"] = f"schedules.{MESH}/{name_of(schedule)}"
        blamed = schedule
        text += f", made again and again by Schedule {name_of(schedule)}"
    finding = Finding(
        effect(kind, spec), ObjectRef.of(blamed), text, confidence, service=first.service, workload=first.ref.key,
        facts=facts, impact=0.5 + 0.5 * max(w.down for w in struck), settled=bool(felt or near) and not late,
    )  # fmt: skip
    finding.pro.append(note("object", text, obj, service=first.service, at=since))
    if late:
        finding.con.append(note("object", f"it began {since - world.onset:.0f} s after the first sign", obj))
    if not felt and not near:
        finding.con.append(note("object", f"nobody is known to suffer from {targets}", obj))
    return finding


def effect(kind: str, spec: Json) -> FaultClass:
    """Return the class of fault that an experiment looks like from outside."""
    if kind == "NetworkChaos" and spec.get("action") == "partition":
        return "network_blocked"
    if kind == "StressChaos" and (spec.get("stressors") or {}).get("memory"):
        return "oom_killed"
    if kind == "JVMChaos" and spec.get("action") in ("stress", "gc", "latency"):
        heap = spec.get("memType") or (spec.get("action") == "stress" and not spec.get("cpuCount"))
        return "oom_killed" if heap else "resource_saturation"
    return _EFFECTS.get(kind, "unknown")
