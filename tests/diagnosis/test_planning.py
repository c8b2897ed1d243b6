"""Plans: runbooks first, built-in remedies next, nothing twice, nothing that cannot be said safely."""

from __future__ import annotations

import json

import pytest
from builders import case, observation

from stratus.diagnosis.planning import make_plan, remedies, same
from stratus.diagnosis.world import reference
from stratus.knowledge.templates import placeholders, split
from stratus.model.actions import ContainerChange, Refusal
from stratus.model.cases import Case
from stratus.model.diagnosis import Citation, FaultClass, Hypothesis
from stratus.model.knowledge import Runbook, RunbookAction
from stratus.model.reports import Attempt


def hypothesis(fault: FaultClass, kind: str = "Deployment", **facts: object) -> Hypothesis:
    return Hypothesis(
        id="H1", fault=fault, summary="s", object=reference(kind, "shop", "web"), confidence=0.9, facts=facts
    )


def book(id_: str, fault: FaultClass, *actions: RunbookAction) -> Runbook:
    return Runbook(id=id_, title=id_.title(), faults=(fault,), actions=actions)


def empty(**fields: object) -> Case:
    return case(observation()).model_copy(update=fields)


SCALE = RunbookAction(text="Scale {kind} {name} to {replicas}.", needs=("replicas",),
                      command="kubectl scale {kind}/{name} -n {namespace} --replicas={replicas}")  # fmt: skip
RESTART = RunbookAction(text="Restart {name}.", command="kubectl rollout restart {kind}/{name} -n {namespace}")


def test_a_runbook_comes_before_built_in_remedies() -> None:
    plan = make_plan(empty(runbooks=(book("zero", "scaled_to_zero", SCALE),)), hypothesis("scaled_to_zero", replicas=3))
    assert plan is not None
    assert plan.steps[0].runbook == "zero"
    assert plan.steps[0].command == "kubectl scale deployment/web -n shop --replicas=3"
    assert plan.steps[0].text == "Scale Deployment web to 3."


def test_an_action_whose_facts_are_unknown_is_passed_over() -> None:
    books = (book("zero", "scaled_to_zero", SCALE, RESTART),)
    plan = make_plan(empty(runbooks=books), hypothesis("scaled_to_zero"))
    assert plan is not None
    assert "restart" in plan.steps[0].command


def test_a_retrieved_runbook_comes_first() -> None:
    books = (book("a", "unknown", SCALE), book("b", "unknown", RESTART))
    cited = (Citation(kind="runbook", id="b", title="B", passage="p", score=0.9),)
    plan = make_plan(empty(runbooks=books, citations=cited), hypothesis("unknown", replicas=1))
    assert plan is not None
    assert plan.steps[0].runbook == "b"


def test_what_failed_is_not_tried_again() -> None:
    first = make_plan(empty(), hypothesis("resource_saturation", container="app", cpu_limit="1", replicas=2))
    assert first is not None
    assert "--limits=cpu=1" in first.steps[0].command
    spelled = first.steps[0].command.replace("-n shop", "--namespace shop").replace("kubectl ", "")
    failed = Attempt(number=1, hypothesis="H1", summary="s", executed=True, undone=True, commands=(spelled,),
                     verdict="UNCHANGED")  # fmt: skip
    second = make_plan(
        empty(attempts=(failed,)), hypothesis("resource_saturation", container="app", cpu_limit="1", replicas=2)
    )
    assert second is not None
    assert second.steps[0].command == "kubectl scale deployment/web -n shop --replicas=2"


def test_a_refused_command_is_not_proposed_again() -> None:
    first = make_plan(empty(), hypothesis("bad_change", revision=1))
    assert first is not None
    refusal = Refusal(command=first.steps[0].command, code="policy", message="no")
    refused = Attempt(number=1, hypothesis="H1", summary="s", executed=False, refusals=(refusal,))
    assert make_plan(empty(attempts=(refused,)), hypothesis("bad_change", revision=1)) is None


def test_nothing_known_no_plan() -> None:
    assert make_plan(empty(), hypothesis("node_not_ready", "Node", node="n")) is None
    assert make_plan(empty(), hypothesis("image_pull")) is None


@pytest.mark.parametrize("value", ["x; rm -rf /", "a\nb", "$(reboot)", "`id`", "--replicas=9", "a b' c", '"}]}'])
def test_values_from_the_cluster_stay_one_word(value: str) -> None:
    for facts in (
        {"container": "app", "good_image": value},
        {"container": "app", "env": "MODE", "env_value": value},
        {"config_map": "c", "key": "k", "value": value},
    ):
        fault: FaultClass = (
            "image_pull" if "good_image" in facts else "bad_env" if "env" in facts else "missing_config_key"
        )
        kind = "ConfigMap" if fault == "missing_config_key" else "Deployment"
        plan = make_plan(empty(), hypothesis(fault, kind, **facts))
        if plan is None:
            assert "\n" in value or value.startswith("--")
            continue
        words = split(plan.steps[0].command)
        assert words[0] == "kubectl"
        if kind == "ConfigMap":
            assert json.loads(words[words.index("-p") + 1]) == {"data": {"k": value}}
        else:
            assert sum(value in w for w in words) == 1


def test_every_remedy_can_be_filled_from_what_it_needs() -> None:
    always = {"namespace", "kind", "name"}
    for remedy in remedies():
        known = {n.partition("=")[0] for n in remedy.needs} | always
        for step in remedy.steps:
            loose = set(placeholders(step.command)) - known
            assert loose <= {"container"}, (remedy.faults, loose)
            patches = [w for w in split(step.command) if w.startswith(('{"', "[{"))]
            assert len(patches) <= 1


def test_every_fault_that_can_be_repaired_has_a_remedy() -> None:
    treated = {f for r in remedies() for f in r.faults}
    untreated = {"node_not_ready", "job_failing"}  # a person's work
    from typing import get_args

    assert set(get_args(FaultClass)) - treated == untreated


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("kubectl scale deploy/web -n a --replicas=2", "scale deploy/web --replicas=2 --namespace=a", True),
        (
            "kubectl rollout undo deployment/web --to-revision=3",
            "kubectl rollout undo deployment/web --to-revision=5",
            True,
        ),
        ("kubectl scale deploy/web -n a --replicas=2", "kubectl scale deploy/web -n b --replicas=2", False),
        ("kubectl scale deploy/web --replicas=2", "kubectl scale deploy/web --replicas=3", False),
    ],
)
def test_spellings(one: str, other: str, equal: bool) -> None:
    assert (same(one) == same(other)) is equal


def test_a_change_inside_a_container_becomes_the_line_that_lint_knows() -> None:
    words = {"argv": ("timeout", "5", "cli", "{db_user}")}
    check = {**words, "contains": ("x",)}
    change = ContainerChange.model_validate(
        {"container": "{container}", "state": words, "check_before": check, "command": {**words, "stdin": "do it;"},
         "check_after": check, "compensation": words, "check_undone": check}
    )  # fmt: skip
    inside = RunbookAction(text="Run it for {db_user}.", needs=("container", "db_user"), undo="u", exec=change)
    case = empty(runbooks=(book("r", "auth_failure", RESTART, inside),))
    plan = make_plan(case, hypothesis("auth_failure", container="db", db_user="orders"))
    assert plan is not None
    assert plan.steps[0].command == (
        "kubectl exec -i deployment/web -n shop -c db -- timeout 5 cli orders <<< 'do it;'"
    ), "what starts processes anew comes last"
    unknown = make_plan(case, hypothesis("auth_failure", container="db"))
    assert unknown is not None
    assert "rollout restart" in unknown.steps[0].command
    strange = make_plan(case, hypothesis("auth_failure", container="db", db_user="x'; drop"))
    assert strange is not None
    assert "rollout restart" in strange.steps[0].command


PATCH_MAP = RunbookAction(
    text="Put {key} back.", needs=("config_map", "key", "value"),
    command="""kubectl -n {namespace} patch configmap {config_map} --type=merge -p '{"data":{"{key}":"{value}"}}'""",
)  # fmt: skip


def test_who_reads_repaired_configuration_at_its_start_is_restarted() -> None:
    facts = {"config_map": "conf", "key": "url", "value": "db:1", "workload": "deployment/web"}
    for fault, restarted in (("bad_change", True), ("dependency_address", True), ("missing_config_key", False)):
        books = (book("map", fault, PATCH_MAP),)  # type: ignore[arg-type]
        asked = hypothesis(fault, "ConfigMap", **facts)  # type: ignore[arg-type]
        plan = make_plan(empty(runbooks=books), asked)
        assert plan is not None
        commands = [s.command for s in plan.steps]
        assert len(commands) == (2 if restarted else 1), fault
        assert ("kubectl rollout restart deployment/web -n shop" in commands) is restarted
    # where the restart is refused, the repair alone may still be tried
    books = (book("map", "bad_change", PATCH_MAP),)
    plan = make_plan(empty(runbooks=books), hypothesis("bad_change", "ConfigMap", **facts))
    assert plan is not None
    commands = tuple(s.command for s in plan.steps)
    refused = Attempt(
        number=1, hypothesis="H1", summary="s", started_at=0.0, ended_at=1.0, commands=commands, executed=False,
        refusals=(Refusal(command=commands[1], code="lossy_restart", message="m"),),
    )  # fmt: skip
    plan = make_plan(empty(runbooks=books, attempts=(refused,)), hypothesis("bad_change", "ConfigMap", **facts))
    assert plan is not None
    assert [s.command for s in plan.steps] == [commands[0]]


def test_a_stateful_set_is_freed_of_the_pod_it_waits_for() -> None:
    command = "kubectl -n {namespace} rollout undo {kind}/{name} --to-revision={revision}"
    undo = RunbookAction(text="Roll {name} back.", needs=("revision",), command=command)
    books = (book("image", "image_pull", undo),)
    stateful = make_plan(empty(runbooks=books), hypothesis("image_pull", "StatefulSet", revision=1, pod="web-2"))
    assert stateful is not None
    assert [s.command for s in stateful.steps] == [
        "kubectl -n shop rollout undo statefulset/web --to-revision=1", "kubectl delete pod/web-2 -n shop",
    ]  # fmt: skip
    for kind, facts in (("StatefulSet", {}), ("Deployment", {"pod": "web-2"})):
        plan = make_plan(empty(runbooks=books), hypothesis("image_pull", kind, revision=1, **facts))
        assert plan is not None
        assert len(plan.steps) == 1
