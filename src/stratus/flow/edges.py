"""The conditional edges: pure functions from state to the name of the next node.

The arrows out of Validation are the only way to commit or to loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from stratus.flow.state import State
from stratus.transaction.engine import STALE

AfterDetection = Literal["Diagnosis", "Report"]
AfterDiagnosis = Literal["Mitigation", "Report"]
AfterLinting = Literal["NL2Kubectl", "Rehearsal", "__end__"]
AfterRehearsal = Literal["Approval", "Execution", "__end__"]
AfterApproval = Literal["Execution", "__end__"]
AfterMitigation = Literal["Validation", "Report"]
AfterValidation = Literal["Commit", "Undo"]
AfterCommit = Literal["Diagnosis", "Report"]
AfterUndo = Literal["Detection", "Diagnosis", "Report"]


def after_detection(state: State) -> AfterDetection:
    """Nothing wrong, or nothing to be known: straight to the report."""
    return "Report" if state.get("ending") else "Diagnosis"


def after_diagnosis(state: State) -> AfterDiagnosis:
    """Without a plan there is nothing to mitigate."""
    return "Report" if state.get("ending") or state.get("plan") is None else "Mitigation"


def after_linting(state: State) -> AfterLinting:
    """Refused commands go back to be repaired, a bounded number of times; a good plan is rehearsed."""
    if state.get("refusals") and state.get("repairs", 0) > 0:
        return "NL2Kubectl"
    mitigation = state.get("mitigation")
    return "Rehearsal" if mitigation is not None and mitigation.executable else "__end__"


def after_rehearsal(state: State) -> AfterRehearsal:
    """A plan that may be executed waits for its mode."""
    mitigation = state.get("mitigation")
    if mitigation is None or not mitigation.executable:
        return "__end__"
    mode = state.get("mode", "suggest")
    if mode == "auto":
        return "Execution"
    return "Approval" if mode == "approve" else "__end__"


def after_approval(state: State) -> AfterApproval:
    """Only an explicit yes executes."""
    return "Execution" if state.get("approval") == "approved" else "__end__"


def after_mitigation(state: State) -> AfterMitigation:
    """Modes that never write, and a person's no, go to the report; all else is validated."""
    return "Report" if state.get("ending") else "Validation"


def after_validation(state: State) -> AfterValidation:
    """Commit needs a verdict that says better; anything else, unknown included, is undone."""
    verdict = state.get("verdict")
    return "Commit" if verdict is not None and verdict.verdict in ("RESOLVED", "IMPROVED") else "Undo"


def after_commit(state: State) -> AfterCommit:
    """RESOLVED ends; IMPROVED looks for what is left."""
    return "Report" if state.get("ending") else "Diagnosis"


def after_undo(state: State) -> AfterUndo:
    """Undone and proved: think again, unless the budget is spent or a human is needed.

    A plan that was overtaken by somebody else's change says nothing about its hypothesis: the whole incident is looked
    at again.
    """
    if state.get("ending"):
        return "Report"
    return "Detection" if overtaken(state) else "Diagnosis"


def overtaken(state: State) -> bool:
    """Whether the last plan was refused because what it was made for had changed meanwhile."""
    return any(refusal.code == STALE for refusal in state.get("refusals", ()))


def stage_entry(stage: str) -> Callable[[State], Literal["Intake", "Diagnosis"]]:
    """Enter a stage at its own work when the detection is given, at the intake otherwise."""

    def enter(state: State) -> Literal["Intake", "Diagnosis"]:
        given = state.get("detection") is not None and state.get("observation") is not None
        return "Diagnosis" if given and stage != "detection" else "Intake"

    return enter


def stage_after_detection(state: State) -> Literal["Diagnosis", "__end__"]:
    """Nothing wrong: the stage has nothing to do."""
    return "__end__" if state.get("ending") else "Diagnosis"


def stage_after_diagnosis(state: State) -> Literal["Mitigation", "__end__"]:
    """No plan: nothing to prepare."""
    return "Mitigation" if state.get("plan") is not None else "__end__"
