"""Commands in containers at lint: let through word for word as a runbook states them, and not otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from stratus.knowledge.execs import exec_line, instances
from stratus.mitigation.linting import lint
from stratus.model.actions import ContainerChange, MitigationPlan
from stratus.model.diagnosis import Hypothesis
from stratus.model.knowledge import Runbook, RunbookAction
from stratus.settings import PolicySettings, Settings

from .world import Grammar, World, case_for, codes, make, plan_of, pods, ref

WORDS = ("timeout", "5", "cli")
LOOK = {"argv": WORDS, "stdin": "show {db_user}"}
CHANGE = ContainerChange.model_validate(
    {
        "container": "{container}", "state": LOOK, "check_before": {**LOOK, "lacks": ("x",)},
        "command": {"argv": WORDS, "stdin": "grant {db_user};"}, "check_after": {**LOOK, "contains": ("x",)},
        "compensation": {"argv": WORDS, "stdin": "revoke {db_user};"}, "check_undone": {**LOOK, "lacks": ("x",)},
    }
)  # fmt: skip
BOOK = Runbook(
    id="own-db", title="T", faults=("auth_failure",), body="b",
    actions=(RunbookAction(text="Grant {db_user}", needs=("container", "db_user"), undo="u", exec=CHANGE),),
)  # fmt: skip
FACTS = {"container": "db", "db_user": "orders"}


def cause(**more: Any) -> Hypothesis:
    made: dict[str, Any] = {
        "id": "H1", "fault": "auth_failure", "summary": "s", "object": ref("Deployment", "orders-db"),
        "confidence": 0.7, "facts": FACTS, "analyzer": "logs", **more,
    }  # fmt: skip
    return Hypothesis(**made)


def world(**metadata: Any) -> World:
    spec = {"replicas": 1, **pods({"name": "db", "image": "db:1"})}
    return World(make("Deployment", "orders-db", spec=spec, metadata=metadata))


def line(**facts: str) -> str:
    return exec_line(instances([BOOK], "auth_failure", ref("Deployment", "orders-db"), {**FACTS, **facts})[0])


def check(text: str, *, on: World | None = None, found: Hypothesis | None = None, **more: Any) -> MitigationPlan:
    on = on or world()
    settings = Settings(policy=PolicySettings(**more.pop("policy", {})))
    case = case_for(on, ledger=(found or cause(),), runbooks=more.pop("runbooks", (BOOK,)))
    return lint(
        plan_of(text), case, reader=on, rehearser=on, settings=settings,
        allowed_namespaces=more.pop("allowed", ("shop",)), compile_command=Grammar(), **more,
    )  # fmt: skip


def test_the_runbooks_own_line_is_let_through_with_its_way_back() -> None:
    plan = check(line())
    assert plan.executable
    (planned,) = plan.writes
    assert planned.reversibility == "compensable"
    assert planned.compensable is not None
    assert planned.compensable.change.compensation.stdin == "revoke orders;"
    assert planned.write.body == {"container": "db", "command": list(WORDS), "stdin": "grant orders;"}
    assert planned.write.path.endswith("/deployments/orders-db/exec")
    assert planned.pre_image is not None
    assert "Grant orders" in planned.diff[0]
    assert "cannot rehearse" in planned.note
    assert plan.commands[0].verb == "exec"


@pytest.mark.parametrize(
    "other",
    [
        line(db_user="admin"),
        line() + " x",
        line().replace("grant", "drop"),
        line().replace("-c db", "-c other"),
        line().replace("-n shop", "-n bank"),
        line().replace("deployment/orders-db", "deployment/other"),
        "kubectl exec -i deployment/orders-db -n shop -c db -- sh -c 'rm -rf /'",
        "kubectl exec orders-db-0 -- timeout 5 cli",
        line() + "\nkubectl delete pod x",
    ],
)
def test_anything_else_is_refused_and_told_what_would_do(other: str) -> None:
    plan = check(other)
    assert codes(plan) == ["exec"]
    assert line() in plan.refusals[0].hint
    assert plan.writes == ()


@pytest.mark.parametrize("found", [cause(analyzer="model"), cause(analyzer=""), cause(status="refuted"),
                                   cause(fault="oom_killed"), cause(facts={"container": "db"})])  # fmt: skip
def test_only_what_an_analyzer_found_fills_a_command(found: Hypothesis) -> None:
    assert codes(check(line(), found=found)) == ["exec"]


def test_a_model_may_propose_the_line_of_another_analyzers_cause() -> None:
    on = world()
    case = case_for(on, ledger=(cause(id="H2"), cause(id="H1", analyzer="model", facts={})), runbooks=(BOOK,))
    plan = lint(plan_of(line()), case, reader=on, rehearser=on, settings=Settings(), allowed_namespaces=("shop",))
    assert plan.executable


def test_runbooks_are_enabled_by_id() -> None:
    assert check(line(), policy={"exec_runbooks": ("own-*",)}).executable
    assert codes(check(line(), policy={"exec_runbooks": ("other",)})) == ["exec"]
    off = check(line(), policy={"exec_runbooks": ()})
    assert "switched off" in off.refusals[0].message
    assert codes(check(line(), runbooks=())) == ["exec"]


def test_scope_and_protection_hold_for_it_too() -> None:
    assert codes(check(line(), allowed=("bank",))) == ["namespace"]
    protected = world(labels={"stratus.dev/protected": "true"})
    assert codes(check(line(), on=protected)) == ["protected_object"]
    assert codes(check(line(), policy={"kinds": ("Service",)})) == ["kind"]


def test_out_of_scope_is_not_even_read() -> None:
    class Blind(World):
        def get(self, ref: Any) -> Any:
            raise AssertionError("read")

    on = Blind(make("Deployment", "orders-db", spec={}))
    assert codes(check(line(), on=on, allowed=("bank",))) == ["namespace"]


def test_the_workload_and_its_container_have_to_be_there() -> None:
    assert codes(check(line(), on=World())) == ["not_found"]
    other = World(make("Deployment", "orders-db", spec={"replicas": 1, **pods({"name": "web", "image": "w:1"})}))
    plan = check(line(), on=other)
    assert codes(plan) == ["not_found"]
    assert "web" in plan.refusals[0].hint


def test_what_gitops_keeps_is_not_touched_by_it() -> None:
    kept = world(annotations={"argocd.argoproj.io/tracking-id": "x"})
    assert check(line(), on=kept).executable


def test_a_person_without_runbooks_is_refused_like_anybody() -> None:
    assert codes(check(line(), runbooks=(), author="person")) == ["exec"]
