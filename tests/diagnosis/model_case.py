"""A small case with two candidate causes, and rules that know nothing but what a test tells them."""

from __future__ import annotations

from typing import Any

from stratus.kit.clock import VirtualClock
from stratus.llm.scripted import Script, ScriptedChatModel
from stratus.llm.thinker import ChatThinker
from stratus.model.actions import ActionPlan, ActionStep, Refusal
from stratus.model.alerts import Alert
from stratus.model.cases import Case
from stratus.model.diagnosis import Anomaly, Citation, Detection, Diagnosis, Hypothesis
from stratus.model.evidence import Evidence, LogTemplate, Observation
from stratus.model.refs import ObjectRef
from stratus.model.reports import ModelUsage
from stratus.settings import LimitSettings, ModelSettings

WEB = ObjectRef(api_version="apps/v1", kind="Deployment", name="web", namespace="shop")
SVC = ObjectRef(api_version="v1", kind="Service", name="web", namespace="shop")
CACHE = ObjectRef(api_version="apps/v1", kind="Deployment", name="cache", namespace="shop")

H1 = Hypothesis(
    id="H1",
    fault="bad_change",
    summary="web was changed a minute before the first error",
    object=WEB,
    service="web",
    confidence=0.7,
    evidence_for=(Evidence(id="E1", kind="change", summary="Deployment web: env MODE changed"),),
    facts={"container": "web", "revision": 3},
    analyzer="changes",
)
H2 = Hypothesis(
    id="H2",
    fault="selector_mismatch",
    summary="Service web selects no pod",
    object=SVC,
    service="web",
    confidence=0.6,
    evidence_for=(Evidence(id="E2", kind="object", summary="selector app=wev, pods carry app=web"),),
    evidence_against=(Evidence(id="E3", kind="metric", summary="some requests are still served"),),
    facts={"selector": "app=web"},
    analyzer="services",
)


def container(name: str, image: str) -> dict[str, Any]:
    return {"name": name, "image": image, "env": [{"name": "PASSWORD", "value": "hunter2"}]}


def deployment(name: str, image: str) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}},
        "spec": {"replicas": 2, "template": {"spec": {"containers": [container(name, image)]}}},
    }


def service(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"app": "wev"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def make_case(**more: Any) -> Case:
    observation = Observation(
        at=1000.0,
        window=300.0,
        namespaces=("shop",),
        objects={
            "Deployment": (deployment("web", "registry.local/shop/web:v2"), deployment("cache", "redis:7")),
            "Service": (service("web"),),
        },
        missing={"traces": "no Jaeger configured"},
    )
    alert = Alert(name="HighErrorRate", labels={"namespace": "shop", "service": "web"})
    anomaly = Anomaly(detector="errors", summary="web: 40% of requests fail", namespace="shop", service="web")
    values: dict[str, Any] = {
        "incident": "inc-1",
        "detection": Detection(
            anomalous=True,
            alerts=(alert,),
            anomalies=(anomaly,),
            namespaces=("shop",),
            services=("shop/web",),
            onset=900.0,
        ),
        "observation": observation,
        "templates": (
            LogTemplate(template="connection refused to <*>", count=12, services=("web",), severity="error", new=True),
        ),
        "citations": (
            Citation(kind="runbook", id="service-selector", title="Selector", passage="Compare labels", score=0.8),
        ),
    }
    return Case(**(values | more))


PLANS = {
    "H1": ActionPlan(
        hypothesis="H1",
        summary="Roll web back to revision 3",
        steps=(
            ActionStep(
                text="Roll Deployment web back to revision 3.",
                command="kubectl -n shop rollout undo deployment/web --to-revision=3",
                target=WEB,
            ),
        ),
    ),
    "H2": ActionPlan(
        hypothesis="H2",
        summary="Set the selector of Service web to app=web",
        steps=(
            ActionStep(
                text="Set the selector of Service web to app=web.",
                command="kubectl -n shop set selector service/web app=web",
                target=SVC,
            ),
        ),
    ),
}


class FakeRules:
    """Rules whose findings a test hands in."""

    name = "rules"

    def __init__(self, hypotheses: tuple[Hypothesis, ...] = (H1, H2), known: dict[str, str] | None = None) -> None:
        self.hypotheses = hypotheses
        self.known = known or {}
        self.asked: list[tuple[str, tuple[Refusal, ...]]] = []

    def diagnose(self, case: Case) -> Diagnosis:
        open_ids = [h.id for h in self.hypotheses if h.status == "open"]
        return Diagnosis(
            hypotheses=self.hypotheses,
            chosen=open_ids[0] if open_ids else "",
            templates=case.templates,
            citations=case.citations,
            reasoning="Rules say so.",
        )

    def plan(self, case: Case, hypothesis: Hypothesis) -> ActionPlan | None:
        return PLANS.get(hypothesis.id)

    def alternatives(self, case: Case, hypothesis: Hypothesis, most: int) -> tuple[ActionPlan, ...]:
        plan = self.plan(case, hypothesis)
        return (plan,) if plan is not None else ()

    def command(self, step: ActionStep, case: Case, refusals: tuple[Refusal, ...]) -> str:
        self.asked.append((step.text, refusals))
        return self.known.get(step.text, "")

    def usage(self) -> ModelUsage:
        return ModelUsage()


def thinker(limits: LimitSettings | None = None, **script: Any) -> ChatThinker:
    return ChatThinker(
        ScriptedChatModel(script=Script.model_validate(script)),
        name="scripted:test",
        settings=ModelSettings(),
        limits=limits or LimitSettings(),
        clock=VirtualClock(),
    )
