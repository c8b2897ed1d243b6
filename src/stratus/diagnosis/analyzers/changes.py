"""What changed shortly before users began to suffer: rollouts, ConfigMaps, Secrets."""

from __future__ import annotations

from stratus.diagnosis.analyzers.configs import applied
from stratus.diagnosis.analyzers.flags import is_flags
from stratus.diagnosis.finding import Finding, about, went_back
from stratus.diagnosis.history import Difference, differences, references
from stratus.diagnosis.world import Workload, World, note, reference
from stratus.kit.kube import created, name_of, namespace_of
from stratus.kit.text import line, secretive
from stratus.model.base import Json
from stratus.model.diagnosis import FaultClass

TIGHT = 180.0
"""Seconds before the first sign within which a change stands out."""
BASE, ON_PATH, CLOSE, FELT = 0.5, 0.1, 0.08, 0.06


def analyze(world: World) -> list[Finding]:
    """Return one finding a change that may have caused what users feel."""
    found = []
    for w in world.workloads:
        if w.kind in ("Deployment", "StatefulSet", "DaemonSet") and (finding := _rollout(world, w)):
            found.append(finding)
    for kind in ("ConfigMap", "Secret"):
        for obj in world.observation.of(kind):
            if finding := _config(world, kind, obj):
                found.append(finding)
    return found


def _weigh(world: World, w: Workload, at: float) -> float:
    """Return how strongly a change of a workload at some moment is suspected."""
    since = world.since(w.namespace, w.service)
    start = min(world.onset or since, since) if world.focus else since
    if not (world.coincides(at, start) or (world.focus and world.coincides(at))):
        return 0.0
    if not world.focus:
        return BASE + 0.2 if world.unwell(w) else 0.0
    if not world.on_path(w.service):
        return 0.2
    confidence = BASE + ON_PATH
    if start and start - TIGHT <= at:
        confidence += CLOSE
    if (w.namespace, w.service) in world.focus:
        confidence += FELT
    return confidence


def _rollout(world: World, w: Workload) -> Finding | None:
    if len(w.revisions) < 2 or not w.wanted:
        return None
    newest = w.revisions[0]
    good = w.back[0] if w.back else None
    diffs = differences(good.template if good else w.revisions[1].template, w.template)
    if not diffs:
        return None
    written = [
        c["time"] for c in world.changes(w.kind, w.namespace, w.name) if any("template" in f for f in c["fields"])
    ]
    at = newest.created if newest.created > w.revisions[1].created else max(written, default=0.0)
    confidence = _weigh(world, w, at)
    if not confidence:
        return None
    if good is None:
        confidence *= 0.5  # the way back was tried and did not help
    fault, facts = _class(diffs)
    text = f"{w.title} was changed {_ago(world, at)}: " + "; ".join(str(d) for d in diffs[:3])
    finding = about(w, fault, line(text, 280), confidence, **facts)
    if good is not None:
        went_back(finding, w, good, diffs)
    else:
        finding.con.append(note("attempt", f"rolling {w.title} back did not help", w.obj, service=w.service))
    finding.impact = max(finding.impact, 0.5 if world.focus else 0.3)
    _counter(world, w, finding)
    return finding


def _ago(world: World, at: float) -> str:
    if world.onset and at:
        gap = world.onset - at
        return f"{gap:.0f} s before the first sign" if gap >= 0 else f"{-gap:.0f} s after the first sign"
    return f"{world.now - at:.0f} s ago"


def _class(diffs: list[Difference]) -> tuple[FaultClass, Json]:
    """Name the fault after what was changed, when it was one kind of thing only."""
    areas = {d.area for d in diffs}
    first = diffs[0]
    if areas == {"env"}:
        facts: Json = {"container": first.container, "env": first.path.partition(" ")[2]}
        if first.old is None:
            facts["extra_env"] = facts["env"]
        elif isinstance(first.old, str) and not secretive(first.path):
            facts["env_value"] = first.old
        return "bad_env", facts
    if areas == {"command"}:
        return "bad_command", {"container": first.container}
    facts = {"container": first.container} if first.container else {}
    image = next((d for d in diffs if d.area == "image" and d.path == "image"), None)
    if image is not None:
        facts.update(container=image.container, image=image.new, good_image=image.old)
    return "bad_change", facts


def _counter(world: World, w: Workload, finding: Finding) -> None:
    """Say what speaks against a change: the service itself serves as before."""
    now, before = world.edges_to(w.service), world.edges_to(w.service, before=True)
    own = max((e.self_time_p99 for e in now), default=0.0)
    was = max((e.self_time_p99 for e in before), default=0.0)
    if (
        now
        and before
        and own <= was * 1.3 + 0.005
        and not world.callees.get(w.service, set()) & {n for _, n in world.troubled}
    ):
        errors = sum(e.errors for e in now)
        if not errors:
            finding.con.append(note("trace", f"{w.service} itself is as fast as before", service=w.service))
            finding.confidence -= 0.05


def _config(world: World, kind: str, obj: Json) -> Finding | None:
    """A ConfigMap or Secret that was changed after it was made and that a suffering workload uses."""
    namespace, name = namespace_of(obj), name_of(obj)
    changes = world.changes(kind, namespace, name)
    was = applied(obj).get("data") or {} if kind == "ConfigMap" else {}
    data = obj.get("data") or {}
    if any(is_flags(v) for v in data.values()):
        return None  # the analyzer of flags reads it
    drift = [k for k in sorted({*was, *data}) if was and was.get(k) != data.get(k)]
    at = max((c["time"] for c in changes), default=0.0)
    if not at and not drift:
        return None
    users = [w for w in world.workloads if w.wanted and any(r[:2] == (kind, name) for r in references(w.spec))
             and w.namespace == namespace]  # fmt: skip
    suffering = [w for w in users if world.unwell(w) or (world.focus and world.on_path(w.service))]
    if not suffering:
        return None
    weighed = sorted(((_weigh(world, w, at) if at else 0.0, w) for w in suffering), key=lambda p: (-p[0], p[1].name))
    confidence, w = weighed[0]
    if not confidence and not drift:
        return None
    confidence = max(confidence - 0.05, 0.4 if drift else 0.0)
    facts: Json = {"workload": f"{w.kind.lower()}/{w.name}"}
    facts["config_map" if kind == "ConfigMap" else "secret"] = name
    fault: FaultClass = "bad_change"
    summary = f"{kind} {name}, which {w.title} uses, was changed" + (f" {_ago(world, at)}" if at else "")
    if drift:
        key = drift[0]
        confidence += 0.12
        facts["key"] = key
        if key in was and not secretive(key):
            facts["value"] = str(was[key])
        summary += f": {key} is not what was applied"
    finding = Finding(
        fault, reference(kind, namespace, name), line(summary, 280), min(confidence, 0.85), service=w.service,
        facts=facts, impact=0.5,
    )  # fmt: skip
    finding.pro.append(note("change", summary, obj, service=w.service, at=at or created(obj)))
    for change in changes[-1:]:
        finding.pro.append(note("change", f"{kind} {name}: {', '.join(change['fields'][:6])} written by "
                                f"{change['manager']}", obj, at=change["time"]))  # fmt: skip
    return finding
