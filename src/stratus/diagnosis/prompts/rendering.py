"""The case as short lines for a model: ranked by worth, redacted, cut to a budget, fenced."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence

from stratus.kit.text import fence, line
from stratus.model.actions import ActionPlan, Refusal
from stratus.model.base import Json
from stratus.model.cases import Case
from stratus.model.diagnosis import Hypothesis
from stratus.model.evidence import Evidence
from stratus.model.refs import ObjectRef

_CHARS_PER_TOKEN = 4
_MOST_HYPOTHESES = 8
_NAMED_KINDS = (
    "Deployment", "StatefulSet", "DaemonSet", "Service", "ConfigMap", "Secret", "NetworkPolicy", "Job", "Ingress",
    "HorizontalPodAutoscaler", "PersistentVolumeClaim", "ResourceQuota", "ServiceAccount", "Pod", "Node",
)  # fmt: skip


def fenced(lines: Iterable[str], tokens: int) -> str:
    """Return lines as one fenced block of at most about `tokens` tokens; the first lines are kept.

    The fence carries a mark made from the content: text inside cannot know it, and the same case gives the same
    prompt, so that recordings replay.
    """
    kept: list[str] = []
    room = tokens * _CHARS_PER_TOKEN
    for text in lines:
        room -= len(text) + 1
        if room < 0:
            kept.append("(more was left out)")
            break
        kept.append(text)
    body = "\n".join(kept)
    mark = hashlib.sha256(body.encode()).hexdigest()[:12]
    return fence(body, f"data {mark}")


def diagnosis_lines(case: Case, hypotheses: Sequence[Hypothesis]) -> Iterator[str]:
    """Yield what a diagnosis needs, the most telling first."""
    shown = hypotheses[:_MOST_HYPOTHESES]
    yield "HYPOTHESES"
    for hypothesis in shown:
        yield _hypothesis_line(hypothesis)
        for word, evidence in (("for", hypothesis.evidence_for[:3]), ("against", hypothesis.evidence_against[:2])):
            for item in evidence:
                yield f"  {word} {_evidence_line(item)}"
    if not shown:
        yield "none"
    yield from _attempt_lines(case)
    detection = case.detection
    if detection.alerts:
        yield "ALERTS"
        for alert in detection.alerts[:6]:
            summary = alert.annotations.get("summary") or alert.annotations.get("description") or ""
            yield line(f"{alert.name} {alert.severity} {alert.namespace}/{alert.service or '-'} {summary}", 160)
    if detection.anomalies:
        yield "ANOMALIES"
        for anomaly in detection.anomalies[:8]:
            yield line(f"{anomaly.namespace}/{anomaly.service or '-'}: {anomaly.summary}", 180)
    errors = [t for t in case.templates if t.severity != "info"][:6]
    if errors:
        yield "LOGS"
        for template in errors:
            new = " (new)" if template.new else ""
            yield line(f"{template.count}x {'/'.join(template.services)}{new}: {template.template}", 200)
    if case.citations:
        yield "KNOWLEDGE"
        for citation in case.citations[:3]:
            yield line(f"{citation.kind} {citation.id}: {citation.passage}", 220)
    if case.observation.missing:
        yield "NOT KNOWN"
        for source, reason in sorted(case.observation.missing.items())[:5]:
            yield line(f"{source}: {reason}", 120)


def plan_lines(case: Case, hypothesis: Hypothesis, plans: Sequence[ActionPlan]) -> Iterator[str]:
    """Yield the cause and the enumerated actions A1..An."""
    yield "CAUSE"
    yield _hypothesis_line(hypothesis)
    for item in hypothesis.evidence_for[:3]:
        yield f"  for {_evidence_line(item)}"
    if hypothesis.facts:
        yield "  facts " + line(json.dumps(hypothesis.facts, sort_keys=True, default=str), 400)
    yield "ACTIONS"
    for number, plan in enumerate(plans, 1):
        yield line(f"A{number} ({plan.risk} risk): {plan.summary}", 200)
        for step in plan.steps[:4]:
            yield "  - " + line(step.text, 200)
            if step.command:
                yield "    " + line(step.command, 300)
    if not plans:
        yield "none"
    yield from _attempt_lines(case)
    yield from _object_lines(case, hypothesis.object)


def command_lines(case: Case, text: str, target: ObjectRef | None, refusals: Sequence[Refusal]) -> Iterator[str]:
    """Yield the step, what was refused before, and the object it is about."""
    yield line(f"STEP {text}", 400)
    if refusals:
        yield "REFUSED BEFORE"
        for refusal in refusals[-3:]:
            yield line(refusal.command, 300)
            yield "  because " + line(f"{refusal.code}: {refusal.message}", 300)
            if refusal.hint:
                yield "  so " + line(refusal.hint, 200)
    if target is not None:
        yield from _object_lines(case, target)
    yield "OBJECTS"
    yield from observed_objects(case)


def observed_objects(case: Case, first: Sequence[ObjectRef] = (), most: int = 30) -> tuple[str, ...]:
    """Return objects that a hypothesis or a command may name, as `namespace/Kind/name`; the given ones first."""
    named = [str(ref) for ref in first]
    named += [str(a.object) for a in case.detection.anomalies if a.object is not None]
    services = {s.rpartition("/")[2] for s in case.detection.services}
    rest = []
    for kind in _NAMED_KINDS:
        for obj in case.observation.of(kind):
            owned = any(o.get("controller") for o in obj.get("metadata", {}).get("ownerReferences") or [])
            if not owned:
                rest.append(ObjectRef.of(obj, kind=kind))
    rest.sort(key=lambda ref: ref.name not in services)  # stable: affected services' objects come first
    return tuple(line(n, 160) for n in dict.fromkeys([*named, *(str(ref) for ref in rest)]))[:most]


def brief(obj: Json) -> Json:
    """Return the fields of an object that repairs are about, without environment values and annotations."""
    meta, spec = obj.get("metadata") or {}, obj.get("spec") or {}
    found: Json = {"labels": meta.get("labels")}
    for field in ("replicas", "selector", "ports", "type", "unschedulable", "taints", "podSelector", "hard", "suspend"):
        if field in spec:
            found[field] = spec[field]
    template = (spec.get("template") or {}).get("spec") or (spec if "containers" in spec else {})
    if template:
        found["nodeSelector"] = template.get("nodeSelector")
        found["containers"] = [_brief_container(c) for c in template.get("containers") or []]
    if obj.get("kind") in ("ConfigMap", "Secret"):
        found["keys"] = sorted(obj.get("data") or {})
    return {key: value for key, value in found.items() if value not in (None, {}, [])}


def _brief_container(container: Json) -> Json:
    fields = ("name", "image", "command", "args", "ports", "resources", "readinessProbe", "livenessProbe")
    found = {key: container[key] for key in fields if container.get(key)}
    if container.get("env"):
        found["env"] = [e.get("name") for e in container["env"]]
    return found


def _object_lines(case: Case, ref: ObjectRef) -> Iterator[str]:
    obj = case.observation.find(ref.kind, ref.namespace, ref.name)
    if obj is not None:
        yield f"OBJECT {line(str(ref), 160)}"
        yield line(json.dumps(brief({"kind": ref.kind, **obj}), sort_keys=True, default=str), 1200)


def _attempt_lines(case: Case) -> Iterator[str]:
    if case.attempts:
        yield "TRIED BEFORE"
        for attempt in case.attempts[-4:]:
            outcome = attempt.verdict or ("refused" if attempt.refusals else "not executed")
            undone = ", undone" if attempt.undone else ""
            yield line(f"{attempt.hypothesis}: {attempt.summary} -> {outcome}{undone}", 200)


def _hypothesis_line(hypothesis: Hypothesis) -> str:
    status = "" if hypothesis.status == "open" else f" [{hypothesis.status}]"
    text = f"{hypothesis.id} {hypothesis.fault} {hypothesis.object} {hypothesis.confidence:.2f}{status}: "
    return line(text + hypothesis.summary, 260)


def _evidence_line(evidence: Evidence) -> str:
    return line(f"{evidence.id} {evidence.kind}: {evidence.summary}", 200)
