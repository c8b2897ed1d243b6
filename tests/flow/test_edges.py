"""The routers are pure: every arrow is a function of the state alone."""

from __future__ import annotations

import itertools

import pytest

from stratus.flow import edges
from stratus.model.actions import ActionPlan, ActionStep, ApiWrite, MitigationPlan, PlannedWrite, Refusal
from stratus.model.health import VerdictReport
from stratus.model.refs import ObjectRef

PLAN = ActionPlan(hypothesis="H1", summary="s", steps=(ActionStep(text="Scale it."),))
WEB = ObjectRef(api_version="apps/v1", kind="Deployment", name="web", namespace="shop")
WRITE = PlannedWrite(
    write=ApiWrite(method="PATCH", target=WEB, plural="deployments"), command="kubectl scale", reversibility="exact"
)
READY = MitigationPlan(plan=PLAN, writes=(WRITE,))
REFUSED = MitigationPlan(plan=PLAN, refusals=(Refusal(command="x", code="shell_syntax", message="no"),))


def test_only_resolved_and_improved_reach_commit() -> None:
    words = ("RESOLVED", "IMPROVED", "UNCHANGED", "REGRESSED", "UNKNOWN")
    ways = {w: edges.after_validation({"verdict": VerdictReport(verdict=w, reason="")}) for w in words}
    assert ways == {
        "RESOLVED": "Commit",
        "IMPROVED": "Commit",
        "UNCHANGED": "Undo",
        "REGRESSED": "Undo",
        "UNKNOWN": "Undo",
    }


def test_no_verdict_at_all_is_undone() -> None:
    assert edges.after_validation({}) == "Undo"
    assert edges.after_validation({"verdict": None}) == "Undo"


@pytest.mark.parametrize("mode", ["observe", "suggest", "dry-run", "approve", "", "AUTO", "Auto"])
def test_nothing_but_auto_executes_without_a_person(mode: str) -> None:
    assert edges.after_rehearsal({"mode": mode, "mitigation": READY}) != "Execution"


def test_a_mode_nobody_set_does_not_execute() -> None:
    assert edges.after_rehearsal({"mitigation": READY}) == "__end__"


def test_auto_executes_only_a_plan_that_lint_let_through() -> None:
    assert edges.after_linting({"mode": "auto", "mitigation": READY}) == "Rehearsal"
    assert edges.after_rehearsal({"mode": "auto", "mitigation": READY}) == "Execution"
    for plan in (None, REFUSED, MitigationPlan(plan=PLAN), READY.model_copy(update={"refusals": REFUSED.refusals})):
        assert edges.after_linting({"mode": "auto", "mitigation": plan}) == "__end__"
        assert edges.after_rehearsal({"mode": "auto", "mitigation": plan}) == "__end__"


def test_refused_commands_are_repaired_while_repairs_are_left() -> None:
    state = {"mode": "auto", "mitigation": REFUSED, "refusals": REFUSED.refusals}
    assert edges.after_linting({**state, "repairs": 1}) == "NL2Kubectl"
    assert edges.after_linting({**state, "repairs": 0}) == "__end__"


@pytest.mark.parametrize(("answer", "way"), [("approved", "Execution"), ("rejected", "__end__"), ("", "__end__")])
def test_only_an_explicit_yes_executes(answer: str, way: str) -> None:
    assert edges.after_approval({"approval": answer}) == way


def test_an_ending_always_goes_to_the_report() -> None:
    routers = (
        edges.after_detection,
        edges.after_diagnosis,
        edges.after_mitigation,
        edges.after_commit,
        edges.after_undo,
    )
    for router in routers:
        assert router({"ending": "because", "plan": PLAN, "mitigation": READY}) == "Report"


def test_without_an_ending_the_incident_goes_on() -> None:
    assert edges.after_detection({}) == "Diagnosis"
    assert edges.after_diagnosis({"plan": PLAN}) == "Mitigation"
    assert edges.after_diagnosis({"plan": None}) == "Report"
    assert edges.after_mitigation({}) == "Validation"
    assert edges.after_commit({}) == "Diagnosis"
    assert edges.after_undo({}) == "Diagnosis"


def test_a_stage_of_its_own_starts_with_its_work_only_when_the_earlier_work_is_given() -> None:
    for stage, given in itertools.product(("detection", "diagnosis", "mitigation"), (True, False)):
        state = {"detection": object(), "observation": object()} if given else {}
        want = "Diagnosis" if given and stage != "detection" else "Intake"
        assert edges.stage_entry(stage)(state) == want  # type: ignore[arg-type]
