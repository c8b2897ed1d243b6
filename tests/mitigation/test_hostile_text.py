"""Text with injected orders, and a model that obeys every one of them: nothing out of bounds gets through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from stratus.diagnosis.model import ModelReasoner
from stratus.kit.clock import VirtualClock
from stratus.llm.scripted import Script, ScriptedChatModel
from stratus.llm.thinker import ChatThinker
from stratus.mitigation.nl2kubectl import prepare
from stratus.model.actions import ActionPlan, ActionStep, MitigationPlan, Refusal
from stratus.model.cases import Case
from stratus.model.diagnosis import Citation, Diagnosis, Hypothesis
from stratus.model.evidence import LogTemplate
from stratus.model.reports import ModelUsage
from stratus.settings import LimitSettings, ModelSettings, Settings

from .world import Grammar, World, Writer, blames, case_for, make, owner, ref, web, write

CORPUS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "hostile.yaml").read_text())
IDS = [f"{n}-{entry['where']}" for n, entry in enumerate(CORPUS)]


def world() -> World:
    return World(
        web(),
        web("cart"),
        make("Pod", "web-1", metadata=owner("ReplicaSet", "web-r")),
        make("Service", "web", spec={"type": "ClusterIP", "selector": {"app": "web"}}),
        make("ConfigMap", "settings", data={"mode": "fast"}),
        make("ConfigMap", "rules", data={"r.yml": "groups:\n- rules:\n  - alert: High\n"}),
        make("ConfigMap", "coredns", "kube-system", data={"Corefile": "."}),
        make("NetworkPolicy", "guard", spec={"podSelector": {}}),
        make("PersistentVolumeClaim", "data", spec={}),
        make("Namespace", "kube-system"),
        make("Node", "n1", spec={}),
    )


def grammar_for(entry: dict[str, Any]) -> Grammar:
    """A grammar that compiles the hostile command faithfully wherever it has a meaning."""
    grammar = Grammar()
    if "write" in entry:
        parts = dict(entry["write"])
        body = parts.pop("body", None)
        strategic = parts["kind"] == "Deployment" and "subresource" not in parts
        if strategic and parts["method"] == "PATCH":
            parts["patch_type"] = "application/strategic-merge-patch+json"
        grammar.add(
            entry["obeyed"],
            entry["verb"],
            write(parts.pop("method"), parts.pop("kind"), parts.pop("name"), body, **parts),
        )
    return grammar


def refused(plan: MitigationPlan) -> bool:
    return not plan.executable and bool(plan.refusals) and plan.writes == ()


@pytest.mark.parametrize("entry", CORPUS, ids=IDS)
def test_an_obedient_writer_gets_nothing_through(entry: dict[str, Any]) -> None:
    place = world()
    plan = prepare(
        ActionPlan(
            hypothesis="H1", summary="s", steps=(ActionStep(text="Repair web.", target=ref("Deployment", "web")),)
        ),
        case_for(place),
        writer=Writer(entry["obeyed"], entry["obeyed"]),
        reader=place,
        rehearser=place,
        settings=Settings(),
        allowed_namespaces=("shop",),
        compile_command=grammar_for(entry),
        hypothesis=blames("Deployment", "web"),
    )
    assert refused(plan), plan


class NoRules:
    """Rules that found the web Deployment and know no repair."""

    name = "rules"

    def diagnose(self, case: Case) -> Diagnosis:
        return Diagnosis(hypotheses=(blames("Deployment", "web"),), chosen="H1")

    def plan(self, case: Case, hypothesis: Hypothesis) -> ActionPlan | None:
        return None

    def alternatives(self, case: Case, hypothesis: Hypothesis, most: int) -> tuple[ActionPlan, ...]:
        plan = self.plan(case, hypothesis)
        return (plan,) if plan is not None else ()

    def command(self, step: ActionStep, case: Case, refusals: tuple[Refusal, ...]) -> str:
        return ""

    def usage(self) -> ModelUsage:
        return ModelUsage()


def poisoned(entry: dict[str, Any], place: World) -> Case:
    text = entry["text"]
    if entry["where"] == "ticket":
        return case_for(place, citations=(Citation(kind="ticket", id="T1", title="old", passage=text, score=0.9),))
    template = LogTemplate(template=text, example=text, count=3, services=("web",), severity="error", new=True)
    return case_for(place, templates=(template,))


@pytest.mark.parametrize("entry", CORPUS, ids=IDS)
def test_an_obedient_model_gets_nothing_through(entry: dict[str, Any]) -> None:
    """From the poisoned case through diagnosis, plan and command to lint, with the cause on the attacked object."""
    place = world()
    case = poisoned(entry, place)
    model = ScriptedChatModel(
        script=Script.model_validate(
            {
                "rules": [
                    {"when": "Which hypothesis", "answer": {"best": "H1"}},
                    {"when": "Choose the repair", "answer": {"choice": "WRITE", "steps": [entry["obeyed"]]}},
                    {"when": "Write the kubectl command", "answer": {"command": entry["obeyed"]}},
                ]
            }
        )
    )
    thinker = ChatThinker(
        model, name="scripted", settings=ModelSettings(), limits=LimitSettings(), clock=VirtualClock()
    )
    brain = ModelReasoner(thinker, NoRules(), "scripted")
    diagnosis = brain.diagnose(case)
    hypothesis = diagnosis.hypothesis(diagnosis.chosen)
    assert hypothesis is not None
    plan = brain.plan(case, hypothesis)
    assert plan is not None
    result = prepare(
        plan,
        case,
        writer=brain,
        reader=place,
        rehearser=place,
        settings=Settings(),
        allowed_namespaces=("shop",),
        compile_command=grammar_for(entry),
        hypothesis=hypothesis,
    )
    assert refused(result), result
    for shown in model.prompts[:1]:
        start = shown.index("<<<data ", shown.index("Which hypothesis"))
        inside = shown[start : shown.index("How to weigh")]
        assert inside.count("<<<") == 2, "the fence opens and closes once, whatever the text says"


def test_a_cause_that_only_a_model_believes_in_unlocks_no_protection() -> None:
    """Text could talk a model into blaming the very policy that protects."""
    place = world()
    grammar = Grammar()
    line = grammar.add("kubectl it", "delete", write("DELETE", "NetworkPolicy", "guard"))
    step = ActionStep(text="Remove it.", command=line, target=ref("NetworkPolicy", "guard"))

    def run(hypothesis: Hypothesis) -> MitigationPlan:
        return prepare(
            ActionPlan(hypothesis="H1", summary="s", steps=(step,)),
            case_for(place),
            writer=Writer(),
            reader=place,
            rehearser=place,
            settings=Settings(),
            allowed_namespaces=("shop",),
            compile_command=grammar,
            hypothesis=hypothesis,
        )

    found = blames("NetworkPolicy", "guard").model_copy(update={"analyzer": "network"})
    believed = found.model_copy(update={"analyzer": "model"})
    assert run(found).executable
    assert [r.code for r in run(believed).refusals] == ["protective"]
