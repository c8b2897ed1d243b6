"""The report says what happened, and the ticket remembers it."""

from __future__ import annotations

import json

import pytest
from builders_reporting import attempt, hypothesis, story

from stratus.model.reports import IncidentState, Report
from stratus.reporting.report import build_report, ticket_of


def test_mttr_is_the_sum_of_its_parts() -> None:
    mttr = build_report(story()).mttr
    assert (mttr.detect, mttr.diagnose, mttr.mitigate) == (35.0, 0.25, 164.75)
    assert mttr.total == pytest.approx(200.0)


def test_the_root_cause_is_the_confirmed_hypothesis_even_when_another_was_more_plausible() -> None:
    cause = build_report(story()).root_cause
    assert cause is not None
    assert cause.fault == "network_blocked"
    assert cause.object == "shop/Deployment/web"
    assert cause.confidence >= 0.95


def test_without_a_confirmation_the_best_open_hypothesis_is_the_cause_with_its_own_confidence() -> None:
    ledger = (hypothesis("H1", "tried", 0.9), hypothesis("H2", "open", 0.3, "oom_killed"))
    cause = build_report(story(IncidentState.UNRESOLVED, ledger=ledger)).root_cause
    assert cause is not None
    assert (cause.fault, cause.confidence) == ("oom_killed", 0.3)


def test_nothing_found_is_no_cause() -> None:
    assert build_report(story(IncidentState.HEALTHY, ledger=(), attempts=())).root_cause is None


def test_only_what_was_kept_counts_as_a_change() -> None:
    both_undone = (attempt(1, "UNCHANGED", undone=True), attempt(2, "REGRESSED", undone=True))
    assert build_report(story(IncidentState.UNRESOLVED, attempts=both_undone)).changes == ()
    assert build_report(story()).changes == ("shop/Deployment/web: spec.replicas: 1 -> 2",)


def test_json_has_the_published_keys_and_reads_back() -> None:
    report = build_report(story())
    document = json.loads(report.model_dump_json(by_alias=True))
    for key in ("state", "incident", "root_cause", "hypotheses", "attempts", "mttr", "knowledge", "usage"):
        assert key in document
    assert document["root_cause"]["class"] == "network_blocked"
    assert document["state"] == "resolved"
    assert {"alerts", "services", "onset"} <= set(document["incident"])
    first = document["attempts"][0]
    assert {"commands", "writes", "verdict", "health_before", "health_after", "undone", "undo_proof"} <= set(first)
    assert Report.model_validate(document) == report


@pytest.mark.parametrize(
    ("state", "code"),
    [("resolved", 0), ("healthy", 0), ("unresolved", 3), ("rolled_back", 3), ("needs_human", 4)],
)
def test_exit_codes(state: str, code: int) -> None:
    assert build_report(story(IncidentState(state))).exit_code == code


def test_notes_tell_emulation_and_what_an_undo_does_not_give_back() -> None:
    notes = build_report(story()).notes
    assert any("emulated" in n for n in notes)
    assert any("pod names differ" in n for n in notes)


def test_notes_tell_when_health_came_from_objects() -> None:
    tried = attempt(1, "RESOLVED", undone=False)
    assert tried.verdict_report is not None
    blind = tried.model_copy(
        update={"verdict_report": tried.verdict_report.model_copy(update={"from_objects_only": True})}
    )
    assert any("objects alone" in n for n in build_report(story(attempts=(blind,))).notes)
    assert any("No metrics" in n for n in build_report(story(missing={"metrics": "none given"})).notes)


def test_a_resolved_incident_becomes_a_ticket_with_what_did_not_help() -> None:
    report = build_report(story())
    ticket = ticket_of(report, story().templates)
    assert ticket is not None
    assert ticket.fault == "network_blocked"
    assert ticket.commands == ("kubectl -n shop rollout undo deployment/web",)
    assert ticket.tried == ("Roll web back: UNCHANGED",)
    assert ticket.log_templates == ("connect to <*> failed",)
    assert ticket == ticket_of(report, story().templates), "the same incident gives the same ticket"


@pytest.mark.parametrize("state", [s for s in IncidentState if s is not IncidentState.RESOLVED])
def test_nothing_else_becomes_a_ticket(state: IncidentState) -> None:
    assert ticket_of(build_report(story(state)), ()) is None
