"""The incident as it ends: one report for machines and people."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Literal

from pydantic import ConfigDict, Field

from stratus.model.actions import ApiWrite, Refusal
from stratus.model.alerts import Alert
from stratus.model.base import Json, Noun
from stratus.model.diagnosis import Citation, FaultClass, Hypothesis
from stratus.model.evidence import Evidence
from stratus.model.health import HealthVector, Verdict, VerdictReport
from stratus.model.rehearsals import Agreement, Prediction, Rehearsed
from stratus.model.transactions import UndoProof


class IncidentState(StrEnum):
    """Where an incident stands.

    `healthy`: nothing was wrong. `rolled_back` is passed through after an undo. `unresolved` (restored, no cure
    found) and `needs_human` are the two honest ends besides `resolved`.
    """

    DETECTING = "detecting"
    DIAGNOSING = "diagnosing"
    MITIGATING = "mitigating"
    VALIDATING = "validating"
    RESOLVED = "resolved"
    ROLLED_BACK = "rolled_back"
    UNRESOLVED = "unresolved"
    NEEDS_HUMAN = "needs_human"
    HEALTHY = "healthy"


RENDERERS: list[Callable[[Any], str]] = []
"""Renderers of a report as HTML, the last one is used; upper rooms add theirs, so that nouns import nothing."""

Mode = Literal["observe", "suggest", "dry-run", "approve", "auto"]


class IncidentSummary(Noun):
    """What happened, in short."""

    id: str
    alerts: tuple[Alert, ...] = ()
    namespaces: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    """`namespace/name`, worst first."""
    onset: float = 0.0
    """Epoch seconds; 0.0 when unknown."""
    started_at: float = 0.0
    ended_at: float = 0.0


class RootCause(Noun):
    """The cause that the incident ended with."""

    object: str
    """`namespace/Kind/name`."""
    fault: FaultClass = Field(alias="class")
    confidence: float
    summary: str = ""
    evidence: tuple[Evidence, ...] = ()

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)


class Attempt(Noun):
    """One try at a repair."""

    number: int
    hypothesis: str
    summary: str
    transaction: str = ""
    commands: tuple[str, ...] = ()
    writes: tuple[ApiWrite, ...] = ()
    diff: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    executed: bool = False
    prediction: Prediction | None = None
    """What its rehearsal foretold; None when it was not rehearsed at all."""
    verdict: Verdict | None = None
    verdict_report: VerdictReport | None = None
    health_before: float | None = None
    health_after: float | None = None
    undone: bool = False
    undo_proof: UndoProof | None = None
    started_at: float = 0.0
    ended_at: float = 0.0
    note: str = ""


class Mttr(Noun):
    """Seconds from the first sign to the verified repair; `total` = detect + diagnose + mitigate.

    `detect` counts from the onset to the detection (0 when the onset is unknown), `diagnose` all time spent
    in diagnosis, `mitigate` all time in mitigation, validation and undo.
    """

    detect: float = 0.0
    diagnose: float = 0.0
    mitigate: float = 0.0
    total: float = 0.0


class ModelUsage(Noun):
    """What thinking cost."""

    reasoner: str = "rules"
    model_calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    """US dollars, 0.0 when no price is configured."""


class TimelineEntry(Noun):
    """One line of the story."""

    at: float
    stage: str
    text: str
    severity: Literal["info", "good", "warning", "bad"] = "info"


class Notification(Noun):
    """A drafted message; nothing is sent by drafting."""

    channel: Literal["slack", "plain"]
    title: str
    body: str
    payload: Json = Field(default_factory=dict)
    """Slack block kit document, for `slack`."""


class Report(Noun):
    """Everything about one incident; printed by `--json`, stored, rendered as Markdown and HTML."""

    schema_version: Literal["1"] = "1"
    state: IncidentState
    mode: Mode
    incident: IncidentSummary
    root_cause: RootCause | None = None
    hypotheses: tuple[Hypothesis, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    rehearsals: tuple[Rehearsed, ...] = ()
    """All plans that were rehearsed, those not executed included, with what was foretold."""
    agreement: Agreement = Agreement()
    """What was foretold against what happened, of the executed attempts."""
    suggestion: tuple[str, ...] = ()
    """Commands proposed and not executed (modes observe, suggest and dry-run)."""
    mttr: Mttr = Mttr()
    knowledge: tuple[Citation, ...] = ()
    usage: ModelUsage = ModelUsage()
    timeline: tuple[TimelineEntry, ...] = ()
    health: tuple[HealthVector, ...] = ()
    """Samples over the incident, oldest first."""
    pending: Json | None = None
    """The plan that waits for approval (`summary`, `commands`, `diff`, `undo`); null when none does."""
    changes: tuple[str, ...] = ()
    """Readable diff of what is different in the cluster after the incident, from committed transactions."""
    notifications: tuple[Notification, ...] = ()
    missing: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """Things a reader must know, such as `health was judged from objects: no metrics source`."""
    cluster: str = ""
    emulated: bool = False
    versions: dict[str, str] = Field(default_factory=dict)

    def _repr_html_(self) -> str:
        """Show the whole report in a notebook (the renderer is set by `stratus.reporting`)."""
        if RENDERERS:
            return RENDERERS[-1](self)
        return super()._repr_html_()

    @property
    def exit_code(self) -> int:
        """0 resolved or nothing wrong, 3 unresolved and restored, 4 needs human."""
        ends = {IncidentState.RESOLVED: 0, IncidentState.HEALTHY: 0, IncidentState.NEEDS_HUMAN: 4}
        return ends.get(self.state, 3)
