"""Too few pods on purpose: scaled to zero, scaled down under load, or an autoscaler that cannot or must not act."""

from __future__ import annotations

import re

from stratus.diagnosis.analyzers.configs import applied
from stratus.diagnosis.finding import Finding, about
from stratus.diagnosis.world import Workload, World, event_note, note
from stratus.kit.kube import annotations_of, condition, dig, event_message, event_time, name_of, namespace_of
from stratus.model.base import Json
from stratus.model.refs import ObjectRef

_SCALED = re.compile(r"[Ss]caled (?P<way>up|down) replica set (?P<set>\S+)(?: from (?P<was>\d+))? to (?P<now>\d+)")
_STS_DELETE = re.compile(r"delete Pod (?P<pod>\S+)")


def analyze(world: World) -> list[Finding]:
    """Return findings about replica counts."""
    found = []
    for w in world.workloads:
        if w.kind in ("Deployment", "StatefulSet", "ReplicaSet"):
            finding = _zero(world, w) if w.wanted == 0 else _fewer(world, w)
            if finding is not None:
                found.append(finding)
    found += [f for hpa in world.observation.of("HorizontalPodAutoscaler") if (f := _autoscaler(world, hpa))]
    return found


def _hpa(world: World, w: Workload) -> Json | None:
    for hpa in world.observation.of("HorizontalPodAutoscaler", w.namespace):
        target = dig(hpa, "spec", "scaleTargetRef", default={})
        if (target.get("kind"), target.get("name")) == (w.kind, w.name):
            return hpa
    return None


def _earlier(world: World, w: Workload) -> tuple[int | None, str, float]:
    """Return (replicas, where from, when) the workload had before it was scaled down."""
    events = world.events(w.obj, "ScalingReplicaSet")
    current = w.revisions[0].name if w.revisions else ""
    for event in reversed(events):
        match = _SCALED.search(event_message(event))
        down = match and match["way"] == "down" and match["set"] == current and int(match["was"] or 0)
        if match and down and int(match["now"]) <= w.wanted:
            return int(match["was"]), "the event of its scaling", event_time(event)
    ups = [m for e in events if (m := _SCALED.search(event_message(e))) and m["way"] == "up" and int(m["now"])]
    downs = [e for e in events if (m := _SCALED.search(event_message(e))) and m["way"] == "down" and m["now"] == "0"]
    if ups:
        return int(ups[-1]["now"]), "the event of its scaling up", event_time(downs[-1]) if downs else 0.0
    hpa = _hpa(world, w)
    if hpa is not None:
        return int(dig(hpa, "spec", "minReplicas", default=1)) or 1, f"HorizontalPodAutoscaler {name_of(hpa)}", 0.0
    was = applied(w.obj)
    if was and int(dig(was, "spec", "replicas", default=1)) > 0:
        return int(dig(was, "spec", "replicas", default=1)), "its manifest as last applied", 0.0
    for revision in w.revisions[1:]:
        rs = world.observation.find("ReplicaSet", w.namespace, revision.name)
        text = annotations_of(rs or {}).get("deployment.kubernetes.io/desired-replicas", "")
        if text.isdigit() and int(text):
            return int(text), f"ReplicaSet {revision.name}", 0.0
    for event in reversed(world.events(w.obj, "SuccessfulDelete")):
        match = _STS_DELETE.search(event_message(event))
        if match and match["pod"].rpartition("-")[2].isdigit():
            pods = [
                m["pod"] for e in world.events(w.obj, "SuccessfulDelete") if (m := _STS_DELETE.search(event_message(e)))
            ]
            top = max(int(p.rpartition("-")[2]) for p in pods if p.rpartition("-")[2].isdigit())
            return top + 1, "the event of its scaling", event_time(event)
    return None, "", 0.0


def _zero(world: World, w: Workload) -> Finding | None:
    replicas, source, at = _earlier(world, w)
    at = at or world.changed_at(w.kind, w.namespace, w.name)
    service = bool(w.services)
    felt = (w.namespace, w.service) in world.focus or (w.namespace, w.service) in world.troubled
    traffic = any(e.errors for e in world.edges_to(w.service))
    if replicas is None and not service and not felt:
        return None  # nothing says that anybody ever wanted it
    confidence = 0.6 + (0.15 if service else 0.0) + (0.12 if replicas is not None else 0.0)
    confidence += 0.08 if felt or traffic else 0.0
    text = f"{w.title} is scaled to zero" + (f" although Service {w.service} leads to it" if service else "")
    finding = about(w, "scaled_to_zero", text, min(confidence, 0.95), replicas=replicas or 1)
    finding.settled = service or replicas is not None
    finding.impact = 1.0
    finding.pro.append(note("object", f"{w.title} wants 0 replicas", w.obj, service=w.service, at=at))
    if replicas is not None:
        finding.pro.append(note("change", f"{w.title} had {replicas} replicas, says {source}", w.obj, at=at))
    for event in world.events(w.obj, "ScalingReplicaSet")[-1:]:
        finding.pro.append(event_note(event, w.obj, w.service))
    hpa = _hpa(world, w)
    if hpa is not None:
        finding.facts["hpa"] = name_of(hpa)
    return finding


def _fewer(world: World, w: Workload) -> Finding | None:
    """Scaled down shortly before users began to suffer."""
    if len([r for r in w.revisions if r.replicas]) > 1 or not world.focus or not world.on_path(w.service):
        return None
    replicas, source, at = _earlier(world, w)
    if (
        replicas is None
        or replicas <= w.wanted
        or not at
        or not world.coincides(at, world.since(w.namespace, w.service))
    ):
        return None
    if "event of its scaling" not in source or source.endswith("up"):
        return None
    finding = about(
        w,
        "overload",
        f"{w.title} was scaled down from {replicas} to {w.wanted} replicas just before",
        0.62,
        replicas=replicas,
    )
    finding.pro.append(note("change", f"{w.title} had {replicas} replicas, says {source}", w.obj, at=at))
    return finding


def _autoscaler(world: World, hpa: Json) -> Finding | None:
    target = dig(hpa, "spec", "scaleTargetRef", default={})
    kind, name, namespace = str(target.get("kind", "")), str(target.get("name", "")), namespace_of(hpa)
    ref = ObjectRef.of(hpa, api_version="autoscaling/v2", kind="HorizontalPodAutoscaler")
    able, active, limited = (condition(hpa, c) for c in ("AbleToScale", "ScalingActive", "ScalingLimited"))
    w = world.workload(kind, namespace, name)
    if kind in ("Deployment", "StatefulSet") and w is None and kind not in world.observation.missing:
        finding = Finding(
            "autoscaler_misconfigured",
            ref,
            f"HorizontalPodAutoscaler {ref.name} scales {kind} {name}, which does not exist",
            0.85,
            service=name,
            facts={"hpa": ref.name},
            settled=True,
        )
        import difflib

        names = [o.name for o in world.workloads if o.namespace == namespace and o.kind == kind]
        free = [
            n
            for n in names
            if not any(
                dig(h, "spec", "scaleTargetRef", "name") == n
                for h in world.observation.of("HorizontalPodAutoscaler", namespace)
            )
        ]
        close = difflib.get_close_matches(name, free, n=1, cutoff=0.5) or [n for n in free if n == ref.name]
        if close:
            finding.facts["scale_target"] = close[0]
        finding.pro.append(note("object", finding.summary, hpa))
        return finding
    if w is None:
        return None
    high = int(dig(hpa, "spec", "maxReplicas", default=0))
    if limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas" and world.focus:
        if not world.on_path(w.service):
            return None
        finding = about(
            w,
            "autoscaler_misconfigured",
            f"HorizontalPodAutoscaler {ref.name} is at its maximum of {high} and would go further",
            0.55,
            hpa=ref.name,
            max_replicas=max(high + 1, high * 2),
        )
        finding.object = ref
        finding.pro.append(note("object", f"{limited.get('reason')}: {limited.get('message', '')}", hpa))
        return finding
    broken = next((c for c in (able, active) if c.get("status") == "False"), None)
    if broken is None or broken.get("reason") == "ScalingDisabled":
        return None
    requests = [c for c in w.spec.get("containers") or () if not dig(c, "resources", "requests", "cpu")]
    finding = about(
        w,
        "autoscaler_misconfigured",
        f"HorizontalPodAutoscaler {ref.name} cannot act: {broken.get('message', broken.get('reason', ''))}",
        0.3,
        hpa=ref.name,
    )
    finding.object = ref
    finding.impact = 0.1
    if requests and "request" in str(broken.get("message", "")):
        finding.confidence = 0.5
        finding.facts["container"] = requests[0]["name"]
    finding.pro.append(note("object", str(broken.get("message", "")), hpa))
    return finding
