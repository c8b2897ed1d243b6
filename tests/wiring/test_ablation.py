"""Switching parts off: only what was named, only where it is harmless, and never by a typing error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stratus.diagnosis.model import ModelReasoner
from stratus.diagnosis.rules import RulesReasoner
from stratus.errors import UsageError
from stratus.knowledge.memory import InMemoryKnowledge
from stratus.llm.scripted import Script, ScriptedChatModel
from stratus.model.actions import ActionPlan, ActionStep, Refusal
from stratus.model.cases import Case
from stratus.model.diagnosis import Detection, Diagnosis, Hypothesis
from stratus.model.evidence import Observation
from stratus.model.refs import ObjectRef
from stratus.model.reports import ModelUsage
from stratus.settings import Settings
from stratus.sim.cluster import EmbeddedCluster
from stratus.transaction.engine import TransactionEngine
from stratus.wiring.ablation import PARTS, Ignorant, Settled, Speechless, Unforgiving, Ungated, checked, engine_class
from stratus.wiring.compose import rooms, think
from stratus.wiring.sources import Source, embedded_source

SEEN = Observation(at=0.0, window=60.0, namespaces=("shop",))
REF = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="shop", name="web")


def hypothesis(number: int, status: Any = "open") -> Hypothesis:
    return Hypothesis(id=f"H{number}", fault="bad_change", summary="x", object=REF, confidence=0.5, status=status)


def case(*ledger: Hypothesis) -> Case:
    return Case(incident="i", detection=Detection(anomalous=True), observation=SEEN, ledger=ledger)


class Brain:
    """Has a new idea every time it is asked."""

    name = "inventive"

    def __init__(self) -> None:
        self.asked = 0

    def diagnose(self, case: Case) -> Diagnosis:
        self.asked += 1
        return Diagnosis(hypotheses=(hypothesis(1), hypothesis(2), hypothesis(3)), chosen="H1")

    def plan(self, case: Case, hypothesis: Hypothesis) -> ActionPlan | None:
        if hypothesis.id == "H2":
            return None
        return ActionPlan(hypothesis=hypothesis.id, summary="s", steps=(ActionStep(text="t"),))

    def command(self, step: ActionStep, case: Case, refusals: tuple[Refusal, ...]) -> str:
        return "kubectl get pods"

    def usage(self) -> ModelUsage:
        return ModelUsage(model_calls=self.asked)


def test_a_typing_error_is_no_ablation() -> None:
    with pytest.raises(UsageError, match="cannot ablate tnrr: parts are"):
        checked(Settings(ablate=("tnrr",)))
    with pytest.raises(UsageError, match="nothing is left to think with"):
        checked(Settings(ablate=("rules", "model")))
    assert checked(Settings()) == frozenset()
    assert checked(Settings.model_validate({"ablate": ",".join(set(PARTS) - {"rules"})})) == set(PARTS) - {"rules"}


def test_safety_is_not_switched_off_on_a_real_cluster(tmp_path: Path) -> None:
    settings = Settings(ablate=("undo",), state_dir=tmp_path)
    with EmbeddedCluster(app=None) as cluster:
        real = Source(embedded_source(cluster).cluster)
        with pytest.raises(UsageError, match="embedded clusters only"), rooms(settings, real):
            pass


def test_each_engine_is_the_one_it_should_be() -> None:
    assert engine_class(frozenset()) is TransactionEngine
    assert engine_class(frozenset({"rag", "rules"})) is TransactionEngine
    assert engine_class(frozenset({"tnr", "undo"})) is Ungated
    assert engine_class(frozenset({"undo"})) is Unforgiving


@pytest.mark.parametrize("without", ["rag", ""])
def test_without_rag_nothing_is_known(tmp_path: Path, without: str) -> None:
    books = InMemoryKnowledge.shipped()
    settings = Settings(ablate=tuple(filter(None, [without])), state_dir=tmp_path)
    with EmbeddedCluster(app=None) as cluster, rooms(settings, embedded_source(cluster), knowledge=books) as wired:
        assert bool(wired.knowledge().runbooks()) == (not without)
        assert bool(wired.knowledge().search("out of memory")) == (not without)
    assert books.runbooks()  # what was lent is not closed


def test_knowing_nothing_and_learning_nothing() -> None:
    nothing = Ignorant()
    assert nothing.search("anything") == ()
    assert nothing.runbooks("oom_killed") == ()


def test_a_second_thought_is_taken_from_any_brain() -> None:
    brain = Brain()
    settled = Settled(brain)
    first = settled.diagnose(case())
    assert first.chosen == "H1"
    second = settled.diagnose(case(hypothesis(1, "tried"), hypothesis(2), hypothesis(3)))
    assert second.chosen == "H3"  # for H2 nothing can be done
    assert [h.status for h in second.hypotheses] == ["tried", "open", "open"]
    third = settled.diagnose(case(hypothesis(1, "tried"), hypothesis(2), hypothesis(3, "tried")))
    assert third.chosen == ""
    assert brain.asked == 1
    assert settled.usage().model_calls == 1
    assert settled.command(ActionStep(text="t"), case(), ()) == "kubectl get pods"
    assert settled.name == "inventive"


def test_a_model_without_rules_gets_none_of_their_findings() -> None:
    silent = Speechless()
    assert silent.diagnose(case()).hypotheses == ()
    assert silent.diagnose(case(hypothesis(1))).chosen == ""
    assert silent.plan(case(), hypothesis(1)) is None
    step = ActionStep(text="t", command="kubectl get pods")
    assert silent.command(step, case(), ()) == "kubectl get pods"
    refused = Refusal(command="kubectl get pods", code="x", message="no")
    assert silent.command(step, case(), (refused,)) == ""
    assert silent.usage() == ModelUsage()


def test_who_thinks() -> None:
    model = ScriptedChatModel(script=Script())
    assert isinstance(think(Settings()), RulesReasoner)
    assert isinstance(think(Settings(), model), ModelReasoner)
    assert isinstance(think(Settings(ablate=("model",)), model), RulesReasoner)
    assert isinstance(think(Settings(ablate=("rediagnosis",))), Settled)
    assert isinstance(think(Settings(ablate=("rediagnosis",)), model), Settled)
    brain = Brain()
    assert think(Settings(), brain) is brain
    alone = think(Settings(ablate=("rules",)), model)
    assert isinstance(alone, ModelReasoner)
    assert isinstance(alone._rules, Speechless)
    with pytest.raises(UsageError, match="name a model"):
        think(Settings(ablate=("rules",)))
