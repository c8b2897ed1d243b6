"""From everything known about an incident to its `Report` and its ticket; pure."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version

from stratus.model.base import Noun
from stratus.model.diagnosis import Citation, Detection, Hypothesis
from stratus.model.evidence import LogTemplate
from stratus.model.health import HealthVector
from stratus.model.knowledge import Ticket
from stratus.model.rehearsals import Agreement, Rehearsed
from stratus.model.reports import (
    Attempt,
    IncidentState,
    IncidentSummary,
    Mode,
    ModelUsage,
    Mttr,
    Report,
    RootCause,
    TimelineEntry,
)


class Story(Noun):
    """The raw material of a report, as the flow collected it."""

    id: str
    mode: Mode
    state: IncidentState
    started_at: float
    ended_at: float
    detection: Detection | None = None
    ledger: tuple[Hypothesis, ...] = ()
    chosen: str = ""
    """Hypothesis being acted on when the incident ended."""
    attempts: tuple[Attempt, ...] = ()
    rehearsals: tuple[Rehearsed, ...] = ()
    suggestion: tuple[str, ...] = ()
    citations: tuple[Citation, ...] = ()
    templates: tuple[LogTemplate, ...] = ()
    health: tuple[HealthVector, ...] = ()
    spent: dict[str, float] = {}  # noqa: RUF012
    timeline: tuple[TimelineEntry, ...] = ()
    missing: dict[str, str] = {}  # noqa: RUF012
    usage: ModelUsage = ModelUsage()
    notes: tuple[str, ...] = ()
    cluster: str = ""
    emulated: bool = False


def build_report(story: Story) -> Report:
    """Write the report (without notification drafts, see `notify.drafts`)."""
    detection = story.detection
    committed = [a for a in story.attempts if a.executed and not a.undone and a.verdict in ("RESOLVED", "IMPROVED")]
    cause = root_cause(story)
    times = {phase: round(story.spent.get(phase, 0.0), 3) for phase in ("detect", "diagnose", "mitigate")}
    return Report(
        state=story.state,
        mode=story.mode,
        incident=IncidentSummary(
            id=story.id,
            alerts=detection.alerts if detection else (),
            namespaces=detection.namespaces if detection else (),
            services=detection.services if detection else (),
            onset=detection.onset if detection else 0.0,
            started_at=story.started_at,
            ended_at=story.ended_at,
        ),
        root_cause=cause,
        hypotheses=tuple(sorted(story.ledger, key=lambda h: -h.confidence)),
        attempts=story.attempts,
        rehearsals=story.rehearsals,
        agreement=Agreement.of((a.prediction, a.verdict) for a in story.attempts if a.executed),
        suggestion=story.suggestion,
        mttr=Mttr(**times, total=round(sum(times.values()), 3)),
        knowledge=story.citations,
        usage=story.usage,
        timeline=story.timeline,
        health=story.health,
        changes=tuple(line for attempt in committed for line in attempt.diff),
        missing=story.missing,
        notes=notes(story),
        cluster=story.cluster,
        emulated=story.emulated,
        versions=versions(),
    )


def root_cause(story: Story) -> RootCause | None:
    """Return the confirmed cause, or the best one still standing; None when nothing was found."""
    confirmed = [h for h in story.ledger if h.status == "confirmed"]
    standing = [h for h in story.ledger if h.status == "open"]
    tried = [h for h in story.ledger if h.status == "tried"]
    chosen = [h for h in story.ledger if h.id == story.chosen and h.status == "open"]
    pool = confirmed[-1:] or chosen or sorted(standing or tried, key=lambda h: -h.confidence)
    if not pool:
        return None
    best = pool[0]
    return RootCause(
        object=str(best.object),
        fault=best.fault,
        confidence=best.confidence if best.status != "confirmed" else max(best.confidence, 0.95),
        summary=best.summary,
        evidence=best.evidence_for,
    )


def notes(story: Story) -> tuple[str, ...]:
    """Return what a reader must know before trusting the numbers."""
    said = list(story.notes)
    if any(a.verdict_report is not None and a.verdict_report.from_objects_only for a in story.attempts):
        said.append("Health was judged from Kubernetes objects alone: no metrics source answered.")
    elif story.detection is not None and "metrics" in story.missing:
        said.append("No metrics source answered; what is said of health comes from Kubernetes objects.")
    for attempt in story.attempts:
        if attempt.undo_proof is not None:
            said.extend(f"Undo of attempt {attempt.number}: {line}" for line in attempt.undo_proof.not_identical)
    if story.emulated:
        said.append("Measured on the embedded cluster: figures are emulated.")
    return tuple(dict.fromkeys(said))


def ticket_of(report: Report, templates: tuple[LogTemplate, ...]) -> Ticket | None:
    """Turn a resolved incident into a ticket for the knowledge base; None when nothing was resolved by action."""
    if report.state != IncidentState.RESOLVED or report.root_cause is None:
        return None
    kept = [a for a in report.attempts if a.executed and not a.undone]
    cause = report.root_cause
    digest = hashlib.sha256(f"{report.incident.id}{cause.object}{cause.fault}".encode()).hexdigest()[:10]
    symptoms = [a.name for a in report.incident.alerts] + [e.summary for e in cause.evidence]
    return Ticket(
        id=f"T-{digest}",
        title=f"{cause.fault.replace('_', ' ')}: {cause.summary}"[:160],
        opened_at=report.incident.started_at,
        services=report.incident.services,
        symptoms=tuple(dict.fromkeys(symptoms))[:12],
        fault=cause.fault,
        object=cause.object,
        resolution="; ".join(a.summary for a in kept),
        commands=tuple(c for a in kept for c in a.commands),
        tried=tuple(f"{a.summary}: {a.verdict}" for a in report.attempts if a.undone),
        log_templates=tuple(t.template for t in templates if t.severity == "error")[:8],
    )


def versions() -> dict[str, str]:
    """Return the versions of what did the work."""
    found = {}
    for name in ("stratus-sre", "langgraph", "langchain-core", "kubernetes", "chromadb"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
