"""One suite for all that thinks: the rules, a model that chooses, one that talks nonsense, one that is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stratus.diagnosis.model import ModelReasoner
from stratus.diagnosis.rules import RulesReasoner
from stratus.kit.clock import VirtualClock
from stratus.llm.scripted import Script, ScriptedChatModel
from stratus.llm.thinker import ChatThinker
from stratus.model.actions import ActionPlan, ActionStep, Refusal
from stratus.model.cases import Case
from stratus.model.diagnosis import Diagnosis, Hypothesis
from stratus.model.reports import Attempt, ModelUsage
from stratus.settings import LimitSettings, ModelSettings, Settings

from .cases import HOSTILE, broken_shop, empty_case, hostile_shop

CHOOSES = {
    "rules": [
        {"when": "Which hypothesis", "answer": {"best": "H1", "reason": "it is plainly wrong", "confidence": "high"}},
        {"when": "Choose the repair", "answer": {"choice": "A1", "reason": "smallest change"}},
        {"when": "Write the kubectl command", "answer": {"command": "kubectl -n shop rollout restart deployment/web"}},
    ]
}
PREFERS_ANOTHER = {
    "rules": [
        {"when": "Which hypothesis", "answer": {"best": "H2", "rejected": ["H1"]}},
        {"when": "Choose the repair", "answer": {"choice": "A1"}},
        {"when": "Write the kubectl command", "answer": {"command": ""}},
    ]
}
NONSENSE = {"default": "As a language model I find this incident fascinating."}
GONE = {"turns": [{"answer": "hello"}], "rules": [{"error": "unreachable"}]}


def rules() -> RulesReasoner:
    return RulesReasoner(Settings())


def modelled(script: dict[str, Any]) -> Callable[[], ModelReasoner]:
    def build() -> ModelReasoner:
        thinker = ChatThinker(
            ScriptedChatModel(script=Script.model_validate(script)),
            name="scripted:suite",
            settings=ModelSettings(),
            limits=LimitSettings(),
            clock=VirtualClock(),
        )
        return ModelReasoner(thinker, rules(), "scripted:suite")

    return build


BRAINS: dict[str, Callable[[], Any]] = {
    "rules": rules,
    "model": modelled(CHOOSES),
    "model-of-another-mind": modelled(PREFERS_ANOTHER),
    "model-talking-nonsense": modelled(NONSENSE),
    "model-gone": modelled(GONE),
}


@pytest.fixture(params=list(BRAINS))
def build(request: pytest.FixtureRequest) -> Callable[[], Any]:
    return BRAINS[request.param]


def chosen_of(diagnosis: Diagnosis) -> Hypothesis:
    found = diagnosis.hypothesis(diagnosis.chosen)
    assert found is not None
    return found


def commands(plan: ActionPlan | None) -> tuple[str, ...]:
    return tuple(step.command for step in plan.steps) if plan else ()


def causes(diagnosis: Diagnosis) -> dict[tuple[Any, ...], str]:
    return {(h.fault, h.object.key): h.id for h in diagnosis.hypotheses}


def test_answers_are_typed_and_the_chosen_one_is_open(build: Callable[[], Any]) -> None:
    brain, case = build(), broken_shop()
    diagnosis = brain.diagnose(case)
    assert isinstance(diagnosis, Diagnosis)
    chosen = chosen_of(diagnosis)
    assert chosen.status == "open"
    assert chosen.evidence_for
    plan = brain.plan(case.model_copy(update={"ledger": diagnosis.hypotheses}), chosen)
    assert isinstance(plan, ActionPlan)
    assert plan.hypothesis == chosen.id
    assert plan.steps


def test_ids_are_unique_and_stay_with_their_cause(build: Callable[[], Any]) -> None:
    brain, case = build(), broken_shop()
    first = brain.diagnose(case)
    assert len({h.id for h in first.hypotheses}) == len(first.hypotheses) == len(causes(first))
    second = brain.diagnose(case.model_copy(update={"ledger": first.hypotheses, "round": 2}))
    assert causes(first).items() <= causes(second).items()
    assert len({h.id for h in second.hypotheses}) == len(second.hypotheses)


def test_evidence_ids_are_unique(build: Callable[[], Any]) -> None:
    diagnosis = build().diagnose(broken_shop())
    seen: dict[str, str] = {}
    for hypothesis in diagnosis.hypotheses:
        for evidence in (*hypothesis.evidence_for, *hypothesis.evidence_against):
            assert seen.setdefault(evidence.id, evidence.summary) == evidence.summary


def test_a_failed_action_is_not_chosen_again(build: Callable[[], Any]) -> None:
    brain, case = build(), broken_shop()
    tried: set[tuple[str, ...]] = set()
    for number in range(1, 9):
        diagnosis = brain.diagnose(case)
        if not diagnosis.chosen:
            break
        chosen = chosen_of(diagnosis)
        assert chosen.status == "open"
        plan = brain.plan(case.model_copy(update={"ledger": diagnosis.hypotheses}), chosen)
        done = commands(plan)
        assert done not in tried, f"round {number} repeats {done}"
        if done:
            tried.add(done)
        attempt = Attempt(
            number=number,
            hypothesis=chosen.id,
            summary=plan.summary if plan else "none",
            commands=done,
            executed=bool(done),
            verdict="UNCHANGED",
            undone=True,
        )
        ledger = tuple(
            h.model_copy(update={"status": "tried"}) if h.id == chosen.id else h for h in diagnosis.hypotheses
        )
        update = {"ledger": ledger, "attempts": (*case.attempts, attempt), "round": number + 1}
        case = case.model_copy(update=update)
    assert tried, "at least one action was worth trying"


def test_plans_are_about_observed_objects_in_scope(build: Callable[[], Any]) -> None:
    brain, case = build(), broken_shop()
    diagnosis = brain.diagnose(case)
    for hypothesis in diagnosis.hypotheses:
        plan = brain.plan(case.model_copy(update={"ledger": diagnosis.hypotheses}), hypothesis)
        for step in plan.steps if plan else ():
            assert step.target is not None
            observed = case.observation.find(step.target.kind, step.target.namespace, step.target.name)
            assert observed is not None, step
            command = step.command or brain.command(step, case, ())
            assert not command or "-n shop" in command or "--namespace=shop" in command, command


def test_the_same_case_gives_the_same_answer(build: Callable[[], Any]) -> None:
    def think() -> tuple[Diagnosis, ActionPlan | None]:
        brain, case = build(), broken_shop()
        diagnosis = brain.diagnose(case)
        ledger = case.model_copy(update={"ledger": diagnosis.hypotheses})
        return diagnosis, brain.plan(ledger, chosen_of(diagnosis))

    assert think() == think()


def test_usage_is_counted(build: Callable[[], Any]) -> None:
    brain, case = build(), broken_shop()
    before = brain.usage()
    assert isinstance(before, ModelUsage)
    assert (before.model_calls, before.tokens_in) == (0, 0)
    brain.diagnose(case)
    after = brain.usage()
    assert after.reasoner == brain.name
    if isinstance(brain, ModelReasoner):
        assert after.model_calls >= 1
        assert after.tokens_in > 0
        assert after.tokens_out > 0
    else:
        assert after == before


def test_an_empty_case_has_no_cause(build: Callable[[], Any]) -> None:
    brain, case = build(), empty_case()
    diagnosis = brain.diagnose(case)
    assert diagnosis.chosen == ""
    assert brain.usage().model_calls == 0, "there is nothing to ask about"


def test_hostile_text_changes_no_decision(build: Callable[[], Any]) -> None:
    def think(case: Case) -> tuple[tuple[Any, ...], tuple[str, ...]]:
        brain = build()
        diagnosis = brain.diagnose(case)
        chosen = chosen_of(diagnosis)
        plan = brain.plan(case.model_copy(update={"ledger": diagnosis.hypotheses}), chosen)
        return (chosen.fault, chosen.object.key), commands(plan)

    poisoned = think(hostile_shop())
    assert poisoned == think(broken_shop())
    assert not any(HOSTILE in command or "kube-system" in command for command in poisoned[1])


def test_commands_are_single_lines_or_nothing(build: Callable[[], Any]) -> None:
    brain, case = build(), broken_shop()
    diagnosis = brain.diagnose(case)
    known = ActionStep(text="Restart web.", command="kubectl -n shop rollout restart deployment/web")
    assert brain.command(known, case, ()) == known.command
    target = chosen_of(diagnosis).object
    for text in ("Scale Deployment cart to 2 replicas.", "Sing a song to the pods.", HOSTILE, ""):
        command = brain.command(ActionStep(text=text, target=target), case, ())
        assert isinstance(command, str)
        assert "\n" not in command
        assert command == "" or command.startswith("kubectl ")
        assert "kube-system" not in command


def test_a_refused_command_is_not_given_back_for_ever(build: Callable[[], Any]) -> None:
    brain, case = build(), broken_shop()
    brain.diagnose(case)
    step = ActionStep(text="Restart web.", command="kubectl -n shop rollout restart deployment/web")
    refusals: tuple[Refusal, ...] = ()
    for _ in range(4):
        command = brain.command(step, case, refusals)
        if not command:
            return
        refusals = (*refusals, Refusal(command=command, code="policy", message="not allowed"))
        step = step.model_copy(update={"command": command})
    assert len({r.command for r in refusals}) > 1 or brain.name != "rules"
