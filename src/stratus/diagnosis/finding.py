"""What an analyzer hands in, before ranking: a hypothesis in the making."""

from __future__ import annotations

from dataclasses import dataclass, field

from stratus.diagnosis.history import Difference, Revision
from stratus.diagnosis.world import Workload, note
from stratus.model.base import Json
from stratus.model.diagnosis import FaultClass
from stratus.model.evidence import Evidence
from stratus.model.refs import ObjectRef


@dataclass
class Finding:
    """One possible cause.

    Attributes:
        object: what to blame.
        confidence: how well it explains what it explains, before its place on the failing path is weighed.
        service: the service that suffers first.
        workload: key of the workload concerned, so that its symptoms are not told twice.
        impact: share of the service that is lost by it, 0..1.
        facts: what an action needs.
        settled: an object contradicts itself or another one; no telemetry is needed to believe it.
    """

    fault: FaultClass
    object: ObjectRef
    summary: str
    confidence: float
    service: str = ""
    workload: tuple[str, str, str] | None = None
    facts: Json = field(default_factory=dict)
    pro: list[Evidence] = field(default_factory=list)
    con: list[Evidence] = field(default_factory=list)
    impact: float = 0.5
    analyzer: str = ""
    settled: bool = False


def about(
    w: Workload, fault: FaultClass, summary: str, confidence: float, *, settled: bool = False, **facts: object
) -> Finding:
    """Blame a workload; facts that are None are left out."""
    return Finding(
        fault=fault,
        object=w.ref,
        summary=summary,
        confidence=confidence,
        service=w.service,
        workload=w.ref.key,
        facts={k: v for k, v in facts.items() if v is not None},
        impact=0.3 + 0.7 * w.down,
        settled=settled,
    )


def went_back(finding: Finding, w: Workload, good: Revision | None, diffs: list[Difference]) -> None:
    """Add the way back to an earlier revision, and what differs from it, to a finding."""
    if good is None:
        return
    finding.facts["revision"] = good.number
    state = f"{good.ready} of its pods ready" if good.ready else f"it was current for {good.reign:.0f} s"
    changed = "; ".join(str(d) for d in diffs[:4]) or "nothing that matters"
    newest = w.revisions[0] if w.revisions else good
    finding.pro.append(
        note(
            "change",
            f"{w.title}: revision {newest.number} differs from revision {good.number} ({state}) in {changed}",
            w.obj,
            service=w.service,
            at=newest.created,
            revision=good.number,
        )
    )
