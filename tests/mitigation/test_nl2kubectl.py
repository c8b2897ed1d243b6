"""Words to commands: writing, splitting, bounded repair."""

from __future__ import annotations

from typing import Any

import pytest

from stratus.mitigation.nl2kubectl import prepare, write_commands
from stratus.model.actions import ActionPlan, ActionStep, MitigationPlan, Refusal
from stratus.settings import LimitSettings, Settings

from .world import Grammar, World, Writer, case_for, codes, ref, scale, set_image, web, write

STEP = ActionStep(text="Scale web to five.", target=ref("Deployment", "web"))


def run(world: World, grammar: Grammar, writer: Writer, *steps: ActionStep, **more: Any) -> MitigationPlan:
    return prepare(
        ActionPlan(hypothesis="H1", summary="s", steps=steps),
        case_for(world),
        writer=writer,
        reader=world,
        rehearser=world,
        settings=more.pop("settings", Settings()),
        allowed_namespaces=("shop",),
        compile_command=grammar,
    )


def good_grammar() -> Grammar:
    grammar = Grammar()
    grammar.add("kubectl good", "scale", scale("web", 5))
    grammar.add("kubectl image", "set image", set_image("web", "registry.local/shop/web:v1"))
    grammar.add("kubectl outside", "patch", write("PATCH", "ConfigMap", "c", {}, namespace="kube-system"))
    return grammar


def test_a_step_with_a_command_asks_nobody() -> None:
    writer = Writer()
    plan = run(World(web()), good_grammar(), writer, STEP.model_copy(update={"command": "kubectl good"}))
    assert plan.executable
    assert writer.asked == []


def test_a_step_without_command_is_written() -> None:
    writer = Writer("kubectl good")
    plan = run(World(web()), good_grammar(), writer, STEP)
    assert plan.executable
    assert plan.plan.steps[0].command == "kubectl good"
    assert writer.asked == [(STEP, ())]


def test_an_answer_with_two_commands_becomes_two_steps() -> None:
    """Known mistake 7: the second call of one turn went unrecorded."""
    plan = run(World(web()), good_grammar(), Writer("```\nkubectl good\nkubectl image\n```"), STEP)
    assert [s.command for s in plan.plan.steps] == ["kubectl good", "kubectl image"]
    assert {s.text for s in plan.plan.steps} == {STEP.text}
    assert [w.command for w in plan.writes] == ["kubectl good", "kubectl image"]


def test_a_refused_command_is_handed_back_until_it_is_right() -> None:
    writer = Writer("kubectl outside", "kubectl nonsense | sh", "kubectl good")
    plan = run(World(web()), good_grammar(), writer, STEP)
    assert plan.executable
    assert plan.refusals == ()
    assert [[r.code for r in refusals] for _, refusals in writer.asked] == [
        [],
        ["protected_namespace"],
        ["protected_namespace", "grammar"],
    ]


@pytest.mark.parametrize(
    "answer",
    [
        "kubectl good # and quietly",
        "kubectl good | sh",
        "kubectl good\nkubectl apply -f - <<EOF\n$(reboot)\nEOF",
        "kubectl good; rm -rf /",
        "kubectl good $(reboot)",
        "bash -c 'kubectl good'",
    ],
)
def test_shell_syntax_never_gets_through(answer: str) -> None:
    """Known mistake 1."""
    world = World(web())
    plan = run(world, good_grammar(), Writer(answer), STEP)
    assert not plan.executable
    assert plan.refusals


def test_repair_is_bounded() -> None:
    writer = Writer(*(f"kubectl wrong {i}" for i in range(20)))
    plan = run(World(web()), good_grammar(), writer, STEP, settings=Settings(limits=LimitSettings(repair_rounds=2)))
    assert codes(plan) == ["grammar"]
    assert plan.refusals[0].command == "kubectl wrong 2"
    assert len(writer.asked) == 3


@pytest.mark.parametrize("answers", [(), ("kubectl wrong", ""), ("kubectl wrong", "kubectl wrong")])
def test_a_writer_that_gives_up_or_repeats_itself_is_not_asked_on(answers: tuple[str, ...]) -> None:
    writer = Writer(*answers)
    plan = run(World(web()), good_grammar(), writer, STEP)
    assert not plan.executable
    assert codes(plan) == (["grammar"] if answers else ["no_command"])
    assert len(writer.asked) <= 2


def test_no_repair_rounds_means_none() -> None:
    writer = Writer("kubectl wrong")
    run(World(web()), good_grammar(), writer, STEP, settings=Settings(limits=LimitSettings(repair_rounds=0)))
    assert len(writer.asked) == 1


def test_only_the_refused_step_is_rewritten() -> None:
    fine = STEP.model_copy(update={"text": "fine", "command": "kubectl image"})
    bad = STEP.model_copy(update={"text": "bad", "command": "kubectl wrong"})
    writer = Writer("kubectl good")
    plan = run(World(web()), good_grammar(), writer, fine, bad)
    assert plan.executable
    assert [step.text for step, _ in writer.asked] == ["bad"]
    assert [s.command for s in plan.plan.steps] == ["kubectl image", "kubectl good"]


def test_a_command_without_effect_can_be_repaired_too() -> None:
    grammar = good_grammar()
    grammar.add("kubectl same", "scale", scale("web", 3))
    plan = run(World(web()), grammar, Writer("kubectl good"), STEP.model_copy(update={"command": "kubectl same"}))
    assert plan.executable


def test_an_answer_in_prose_is_kept_for_the_refusal() -> None:
    plan = ActionPlan(hypothesis="H1", summary="s", steps=(STEP,))
    written = write_commands(plan, case_for(World(web())), Writer("I would restart it."))
    assert written.steps[0].command == "I would restart it."
    refusal = Refusal(command="I would restart it.", code="shell_syntax", message="m")
    again = write_commands(written, case_for(World(web())), Writer("kubectl good"), (refusal,))
    assert again.steps[0].command == "kubectl good"
    assert write_commands(again, case_for(World(web())), Writer("x"), ()) == again
