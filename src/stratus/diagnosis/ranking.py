"""From findings to a ranked ledger: downstream symptoms folded into their cause, confidence weighed by the path."""

from __future__ import annotations

from stratus.diagnosis.finding import Finding
from stratus.diagnosis.world import World
from stratus.model.diagnosis import Hypothesis
from stratus.model.evidence import Evidence

SYMPTOMS = frozenset(
    {"no_endpoints", "rollout_stuck", "crash_loop", "dependency_failure", "bad_change", "probe_failing"}
)
"""Faults that a more telling one of the same workload explains."""
OFF_PATH, OFF_PATH_SETTLED = 0.55, 0.8
"""Factors for a cause outside the failing path."""
CEILING, FLOOR = 0.97, 0.05
TRIED = 0.45
"""Factor for a hypothesis on which one action failed already."""


def fold(world: World, findings: list[Finding]) -> list[Finding]:
    """Merge what is the same, and give symptoms to the cause that explains them."""
    merged: dict[tuple[str, tuple[str, str, str]], Finding] = {}
    for f in sorted(findings, key=lambda f: -f.confidence):
        key = (f.fault, f.object.key)
        if key not in merged:
            merged[key] = f
            continue
        kept = merged[key]
        kept.pro += f.pro
        kept.con += f.con
        kept.facts = {**f.facts, **kept.facts}
        kept.confidence = max(kept.confidence, 1 - (1 - kept.confidence) * (1 - 0.4 * f.confidence))
    left = sorted(merged.values(), key=lambda f: -f.confidence)
    dropped: set[int] = set()
    for cause in left:
        if id(cause) in dropped or cause.confidence < 0.5:
            continue
        for other in left:
            if other is cause or id(other) in dropped or other.confidence > cause.confidence:
                continue
            if _explains(world, cause, other):
                dropped.add(id(other))
                cause.pro += [e for e in other.pro if e.summary not in {p.summary for p in cause.pro}][:2]
                for name, value in other.facts.items():
                    cause.facts.setdefault(name, value)
    return [f for f in left if id(f) not in dropped]


def _explains(world: World, cause: Finding, other: Finding) -> bool:
    """Whether `other` is what one would see if `cause` were true."""
    same = cause.workload is not None and cause.workload == other.workload
    if same and cause.object.key == other.object.key and "revision" in cause.facts and "revision" in other.facts:
        return (
            other.fault in SYMPTOMS
            or not other.settled
            or other.fault in ("bad_env", "bad_command", "dependency_address")
        )
    if same and other.fault in SYMPTOMS and not other.settled:
        return True
    if same and cause.settled and other.fault in ("dependency_address", "auth_failure") and not other.settled:
        return False
    if same and other.fault in ("no_endpoints", "rollout_stuck"):
        return not (other.facts.get("missing_service") and cause.fault != "no_endpoints")
    unspecific = other.fault in ("dependency_failure", "no_endpoints") and not other.settled
    return unspecific and cause.settled and bool(cause.service) and other.service == cause.service


def weigh(world: World, f: Finding) -> float:
    """Return the confidence in view of who suffers."""
    confidence = f.confidence
    if world.focus and f.service:
        felt = {n for _, n in world.focus}
        if f.service in felt:
            confidence = min(1.0, confidence + 0.03)
        elif not world.on_path(f.service):
            blind = not world.observation.edges and not world.observation.baseline_edges
            factor = OFF_PATH_SETTLED if f.settled else OFF_PATH
            confidence *= min(1.0, factor + 0.1) if blind else factor
    return max(FLOOR, min(CEILING, confidence))


def rank(world: World, findings: list[Finding], ledger: tuple[Hypothesis, ...]) -> list[Hypothesis]:
    """Return hypotheses, most plausible and gravest first, with stable ids and numbered evidence.

    A cause seen in an earlier round keeps its id and its status; one that is seen no longer stays in the ledger,
    refuted when nobody tried it.
    """
    known = {(h.fault, h.object.key): h for h in ledger}
    numbers = [int(h.id[1:]) for h in ledger if h.id[1:].isdigit()]
    next_number = max(numbers, default=0) + 1
    scored = []
    for f in fold(world, findings):
        confidence = weigh(world, f)
        before = known.get((f.fault, f.object.key))
        if before is not None and before.status == "tried":
            confidence *= TRIED
        scored.append((confidence + 0.08 * f.impact, confidence, f))
    scored.sort(key=lambda s: (-round(s[0], 4), s[2].fault, str(s[2].object)))
    ranked: list[Hypothesis] = []
    evidence = _Numbers()
    for _, confidence, f in scored:
        before = known.pop((f.fault, f.object.key), None)
        if before is None:
            id_, status = f"H{next_number}", "open"
            next_number += 1
        else:
            id_, status = before.id, before.status
        ranked.append(
            Hypothesis(
                id=id_,
                fault=f.fault,
                summary=f.summary,
                object=f.object,
                service=f.service,
                confidence=round(confidence, 3),
                evidence_for=evidence.give(f.pro),
                evidence_against=evidence.give(f.con),
                facts=f.facts,
                analyzer=f.analyzer,
                status=status,
            )
        )
    for gone in known.values():
        status = "refuted" if gone.status == "open" else gone.status
        ranked.append(gone.model_copy(update={"status": status, "confidence": min(gone.confidence, 0.1)}))
    return ranked


class _Numbers:
    """Gives each distinct observation one id within the round, in order of first use."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str, str], str] = {}

    def give(self, evidence: list[Evidence]) -> tuple[Evidence, ...]:
        """Return the evidence with ids, the same observation once."""
        found: dict[str, Evidence] = {}
        for e in evidence:
            key = (e.kind, e.summary, str(e.object or ""))
            id_ = self._ids.setdefault(key, f"E{len(self._ids) + 1}")
            found.setdefault(id_, e.model_copy(update={"id": id_}))
        return tuple(found.values())
