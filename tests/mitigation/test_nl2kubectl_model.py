"""From words to linted writes with a chat model that errs: it is told what was wrong and how to repair it."""

from __future__ import annotations

from typing import Any

import pytest

from stratus.diagnosis.model import ModelReasoner
from stratus.kit.clock import VirtualClock
from stratus.llm.scripted import Script, ScriptedChatModel
from stratus.llm.thinker import ChatThinker
from stratus.mitigation.nl2kubectl import prepare
from stratus.model.actions import ActionPlan, ActionStep, MitigationPlan
from stratus.settings import LimitSettings, ModelSettings, Settings

from .test_with_kubectl import history
from .world import case_for, codes, ref

WORDS = "Give the shop's front door what it needs to serve everybody again."
GOOD = "kubectl -n shop scale deployment/web --replicas=5"


class NoRules:
    """Rules that know no command."""

    name = "none"

    def command(self, *_: Any) -> str:
        return ""


class Bench:
    """A cluster with one Deployment, a scripted model, and a plan in words."""

    def __init__(self, *answers: Any, limits: LimitSettings | None = None, **script: Any) -> None:
        self.limits = limits or LimitSettings()
        turns = [a if isinstance(a, dict) else {"answer": {"command": a}} for a in answers]
        self.model = ScriptedChatModel(script=Script.model_validate({"turns": turns, **script}))
        self.world = history()
        self.thinker = ChatThinker(
            self.model, name="scripted", settings=ModelSettings(), limits=self.limits, clock=VirtualClock()
        )

    def run(self, text: str = WORDS) -> MitigationPlan:
        step = ActionStep(text=text, target=ref("Deployment", "web"))
        return prepare(
            ActionPlan(hypothesis="H1", summary="s", steps=(step,)),
            case_for(self.world),
            writer=ModelReasoner(self.thinker, NoRules(), "scripted"),  # type: ignore[arg-type]
            reader=self.world,
            rehearser=self.world,
            settings=Settings(limits=self.limits),
            allowed_namespaces=("shop",),
        )

    @property
    def prompts(self) -> tuple[str, ...]:
        return self.model.prompts


def test_a_right_command_is_compiled_linted_rehearsed_and_shown_as_a_diff() -> None:
    bench = Bench(GOOD)
    plan = bench.run()
    assert plan.executable
    assert plan.commands[0].verb == "scale"
    assert plan.writes[0].diff == ("spec.replicas: 3 -> 5",)
    assert plan.writes[0].pre_image is not None
    assert plan.writes[0].dry_run is not None
    assert len(bench.world.tried) == 1, "rehearsed once"
    assert WORDS in bench.prompts[0]
    assert len(bench.prompts) == 1


REPAIRS = [
    ("kubectl -n shop scale deployment/web --replicaz=5", "unknown_flag", "write --replicas", GOOD),
    ("kubectl -n shop scale deployment/wep --replicas=5", "not_found", "there is: web", GOOD),
    ("kubectl -n shop scale deploymant/web --replicas=5", "unknown_kind", "resource type", GOOD),
    ("kubectl -n shop scale deployment web --replicas five", "bad_value", "--replicas=N", GOOD),
    ("kubectl -n shop scale deployment --replicas=5", "no_object", "name", GOOD),
    ("kubectl -n shop scale deployment/web --replicas=5 | cat", "shell_syntax", "one plain kubectl command", GOOD),
    ("kubectl -n shop scale deployment/web --replicas=5 --dry-run=client", "dry_run", "leave --dry-run out", GOOD),
    ("kubectl --context=prod -n shop scale deploy/web --replicas=5", "forbidden_flag", "leave it out", GOOD),
    ("kubectl -n shop edit deployment web", "interactive", "kubectl patch", GOOD),
    ("kubectl -n shop apply -f web.yaml", "file_not_allowed", "manifest", GOOD),
    ("kubectl -n kube-system create configmap x --from-literal=a=b", "protected_namespace", "", GOOD),
    ("kubectl -n other create configmap x --from-literal=a=b", "namespace", "", GOOD),
    ("kubectl -n shop scale deployment/web --replicas=3", "no_effect", "", GOOD),
    (
        "kubectl -n shop set image deployment/web app=registry.local/shop/web:v1",
        "no_such_container",
        "its containers are: web",
        "kubectl -n shop set image deployment/web web=registry.local/shop/web:v1",
    ),
    (
        "kubectl -n shop label deployment web app=front",
        "would_overwrite",
        "--overwrite",
        "kubectl -n shop label deployment web app=front --overwrite",
    ),
    (
        'kubectl -n shop patch deployment web --type=json -p \'{"spec":{"replicas":5}}\'',
        "bad_patch",
        '[{"op": "replace"',
        'kubectl -n shop patch deployment web --type=json -p \'[{"op":"replace","path":"/spec/replicas","value":5}]\'',
    ),
    (
        "kubectl -n shop rollout undo deployment/web --to-revision=7",
        "not_found",
        "its revisions are: 1, 2",
        "kubectl -n shop rollout undo deployment/web --to-revision=1",
    ),
]


@pytest.mark.parametrize(("wrong", "code", "hint", "right"), REPAIRS, ids=[r[1] for r in REPAIRS])
def test_a_model_that_errs_is_told_how_to_repair_it(wrong: str, code: str, hint: str, right: str) -> None:
    bench = Bench(wrong, right)
    plan = bench.run()
    assert plan.executable, plan.refusals
    assert plan.plan.steps[0].command == right
    assert plan.refusals == ()
    first, second = bench.prompts
    assert "REFUSED BEFORE" not in first
    told = second.partition("REFUSED BEFORE")[2].partition("OBJECT")[0]
    assert f"because {code}: " in told, told
    assert "  so " in told, "every refusal says what to do"
    assert hint in told, told
    assert "no longer holds" in second


def test_two_errors_one_after_the_other_are_both_remembered() -> None:
    bench = Bench(REPAIRS[0][0], REPAIRS[1][0], GOOD)
    assert bench.run().executable
    told = bench.prompts[2].partition("REFUSED BEFORE")[2]
    assert "unknown_flag" in told
    assert "not_found" in told


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_a_model_that_never_repairs_is_stopped_with_a_typed_refusal(rounds: int) -> None:
    answers = [f"kubectl -n shop scale deployment/web{n} --replicas=5" for n in range(20)]
    bench = Bench(*answers, limits=LimitSettings(repair_rounds=rounds))
    plan = bench.run()
    assert not plan.executable
    assert codes(plan) == ["not_found"]
    assert plan.refusals[0].hint
    assert plan.writes == ()
    assert len(bench.prompts) == rounds + 1
    assert bench.world.tried == [], "nothing that was refused is rehearsed"


def test_a_model_that_repeats_itself_is_not_asked_on() -> None:
    bench = Bench(default={"command": REPAIRS[1][0]}, limits=LimitSettings(repair_rounds=9))
    plan = bench.run()
    assert codes(plan) == ["not_found"]
    assert len(bench.prompts) == 2


@pytest.mark.parametrize(
    ("answers", "limits", "expected", "calls"),
    [
        (({"error": "unreachable"},), {}, ["no_command"], 2),
        ((REPAIRS[0][0], {"error": "unreachable"}), {}, ["unknown_flag"], 2),
        ((REPAIRS[0][0], GOOD), {"model_calls": 1}, ["unknown_flag"], 1),
        (({"answer": "I would scale it."},) * 3, {}, ["no_command"], 4),
        (({"answer": {"command": "I would scale it."}},) * 9, {}, ["grammar"], 2),
    ],
)
def test_a_model_that_fails_leaves_a_typed_refusal(
    answers: tuple[Any, ...], limits: dict[str, int], expected: list[str], calls: int
) -> None:
    bench = Bench(*answers, limits=LimitSettings(**limits))
    plan = bench.run()
    assert not plan.executable
    found = codes(plan)
    assert found == expected or (expected == ["grammar"] and found and found[0] in ("unknown_verb", "shell_syntax"))
    assert len(bench.prompts) == calls


def test_an_answer_with_reads_and_a_change_compiles_to_the_change() -> None:
    bench = Bench(f"kubectl -n shop get pods\n{GOOD}")
    plan = bench.run()
    assert plan.executable
    assert [c.mutating for c in plan.commands] == [False, True]


def test_an_answer_that_only_looks_is_refused() -> None:
    bench = Bench("kubectl -n shop get pods", GOOD)
    plan = bench.run()
    assert plan.executable
    assert "REFUSED BEFORE" in bench.prompts[1]
