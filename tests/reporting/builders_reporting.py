"""A finished incident, built from nouns, for the renderers."""

from __future__ import annotations

from stratus.model.actions import ApiWrite
from stratus.model.alerts import Alert
from stratus.model.diagnosis import Citation, Detection, Hypothesis
from stratus.model.evidence import Evidence, LogTemplate
from stratus.model.health import ComponentChange, HealthVector, ServiceHealth, VerdictReport
from stratus.model.refs import ObjectRef
from stratus.model.reports import Attempt, IncidentState, ModelUsage, TimelineEntry
from stratus.model.transactions import UndoProof
from stratus.reporting.report import Story

START = 1_767_603_600.0
WEB = ObjectRef(api_version="apps/v1", kind="Deployment", name="web", namespace="shop")


def hypothesis(number: str, status: str, confidence: float, fault: str = "bad_change") -> Hypothesis:
    return Hypothesis(
        id=number,
        fault=fault,
        summary=f"{fault} on <web> & friends",
        object=WEB,
        confidence=confidence,
        status=status,
        evidence_for=(Evidence(id="E1", kind="change", summary="revision 4 rolled out 40 s before the onset"),),
    )


def verdict(word: str) -> VerdictReport:
    change = ComponentChange(component="shop/web error_rate", before=0.4, after=0.01, noise=0.02, direction="better")
    return VerdictReport(verdict=word, reason=f"because {word.lower()}", changes=(change,), before=0.1, after=0.45)


def attempt(number: int, word: str, *, undone: bool) -> Attempt:
    write = ApiWrite(method="PATCH", target=WEB, plural="deployments", body={"spec": {"replicas": 2}})
    return Attempt(
        number=number,
        hypothesis=f"H{number}",
        summary="Roll web back",
        transaction=f"t{number}",
        commands=("kubectl -n shop rollout undo deployment/web",),
        writes=(write,),
        diff=("shop/Deployment/web: spec.replicas: 1 -> 2",),
        executed=True,
        verdict=word,
        verdict_report=verdict(word),
        health_before=0.1,
        health_after=0.45,
        undone=undone,
        undo_proof=UndoProof(proved=True, checked=1, not_identical=("pod names differ",)) if undone else None,
        started_at=START + 60 * number,
        ended_at=START + 60 * number + 40,
    )


def vector(at: float, score: float | None) -> HealthVector:
    return HealthVector(at=at, services=(ServiceHealth(service="web", namespace="shop", score=score),))


def story(state: IncidentState = IncidentState.RESOLVED, **changes: object) -> Story:
    values: dict[str, object] = {
        "id": "inc-1",
        "mode": "auto",
        "state": state,
        "started_at": START,
        "ended_at": START + 200,
        "detection": Detection(
            anomalous=True,
            alerts=(Alert(name="HighRequestErrorRate", severity="critical", labels={"namespace": "shop"}),),
            namespaces=("shop",),
            services=("shop/web",),
            onset=START - 30,
            detected_at=START + 5,
        ),
        "ledger": (hypothesis("H1", "tried", 0.7), hypothesis("H2", "confirmed", 0.6, "network_blocked")),
        "attempts": (attempt(1, "UNCHANGED", undone=True), attempt(2, "RESOLVED", undone=False)),
        "citations": (Citation(kind="runbook", id="rb-1", title="Roll back", passage="Undo it.", score=0.71),),
        "templates": (LogTemplate(template="connect to <*> failed", count=9, severity="error"),),
        "health": (vector(START, 0.1), vector(START + 100, None), vector(START + 190, 0.45)),
        "spent": {"detect": 35.0, "diagnose": 0.25, "mitigate": 164.75},
        "timeline": (TimelineEntry(at=START, stage="AlertMonitor", text="1 alert"),),
        "usage": ModelUsage(reasoner="rules"),
        "cluster": "https://127.0.0.1:6443",
        "emulated": True,
    }
    return Story.model_validate({**values, **changes})
