"""The typed state that all agents share; one writer per key, no reducers, so that a subgraph adds nothing twice."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

from stratus.model.actions import ActionPlan, CompiledCommand, MitigationPlan, Refusal
from stratus.model.alerts import Alert
from stratus.model.base import Json
from stratus.model.diagnosis import Citation, Detection, Diagnosis, Hypothesis
from stratus.model.evidence import LogTemplate, Observation
from stratus.model.health import HealthVector, VerdictReport
from stratus.model.rehearsals import Prediction, Rehearsed
from stratus.model.reports import Attempt, IncidentState, Report, TimelineEntry
from stratus.transaction.verdict import Conditions

Approval = Literal["", "approved", "rejected"]


class IncidentInput(TypedDict, total=False):
    """What starts an incident.

    Attributes:
        incident: id of the incident; made up when absent.
        alerts: an alert document (Alertmanager webhook or API, Prometheus API, one alert) or a list of alerts;
            absent: Stratus looks for what is wrong itself.
        namespaces: where to look.
        mode: observe, suggest, dry-run, approve or auto; absent: as configured.
        scenario: embedded cluster only: the fault to start from; absent: as configured.
        hint: a diagnosis to act on in the first round instead of thinking anew.
    """

    incident: str
    alerts: Any
    namespaces: list[str]
    mode: str
    scenario: str
    hint: Diagnosis | None


class IncidentOutput(TypedDict, total=False):
    """What an incident ends with."""

    state: IncidentState
    report: Report


class State(IncidentInput, total=False):
    """Everything known about one incident, as checkpointed after every node.

    Attributes:
        state: where the incident stands.
        round: number of the diagnosis round, from 1.
        verified: alerts after intake, deduplicated and verified.
        observation: the latest look at the cluster; overwritten by every look.
        detection, templates, citations, diagnosis, plan: what each stage concluded last.
        ledger: all hypotheses of all rounds with their status.
        commands, refusals, repairs: what NL2Kubectl wrote, what lint refused, and how often it was sent back.
        candidates: the plans of this round, the one of `plan` first, that a rehearsal may compare.
        mitigation: the linted plan.
        prediction: what its rehearsal foretold; None without one.
        rehearsals: every plan rehearsed so far, with what was foretold of it.
        approval: a person's decision in mode `approve`.
        transaction: id of the transaction under way; empty when none was executed.
        conditions: what made this an incident, with the normal figures from before its onset.
        verdict: TNR verdict of the last attempt.
        attempts: all tries so far.
        health: health samples over the incident, oldest first.
        spent: seconds by phase (`detect`, `diagnose`, `mitigate`).
        started_at: epoch seconds of the intake.
        ending: why the incident goes to its report; empty while it goes on.
    """

    state: IncidentState
    round: int
    started_at: float
    verified: tuple[Alert, ...]
    observation: Observation
    detection: Detection
    templates: tuple[LogTemplate, ...]
    citations: tuple[Citation, ...]
    diagnosis: Diagnosis
    ledger: tuple[Hypothesis, ...]
    plan: ActionPlan | None
    commands: tuple[CompiledCommand, ...]
    refusals: tuple[Refusal, ...]
    repairs: int
    candidates: tuple[ActionPlan, ...]
    mitigation: MitigationPlan | None
    prediction: Prediction | None
    rehearsals: tuple[Rehearsed, ...]
    approval: Approval
    transaction: str
    verdict: VerdictReport | None
    attempts: tuple[Attempt, ...]
    health: tuple[HealthVector, ...]
    spent: dict[str, float]
    timeline: tuple[TimelineEntry, ...]
    missing: dict[str, str]
    ending: str
    report: Report
    usage: Json
    conditions: Conditions
