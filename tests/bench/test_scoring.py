"""What an episode counts for: every answer right, each one wrong, and those not asked for."""

from __future__ import annotations

from typing import Any

import pytest

from stratus.bench.oracles.judging import OracleResult
from stratus.bench.scoring import named_cause, score

from .episodes import calm, outcome, scenario

YES, NO = OracleResult(passed=True), OracleResult(passed=False, findings=("alert",))


def test_everything_right() -> None:
    marks = score(scenario(), outcome(), YES, YES, ())
    assert (marks.detection, marks.localization, marks.root_cause) == (True, True, True)
    assert (marks.mitigation_original, marks.mitigation_strict, marks.end_to_end) == (True, True, True)
    assert (marks.false_claim, marks.false_alarm, marks.restored, marks.violated) == (False, None, None, False)


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"detected": False}, "detection"),
        ({"localization": ("search", "geo")}, "localization"),
        ({"root_cause": "hotel/Service/geo"}, "root_cause"),
        ({"fault": "oom_killed"}, "root_cause"),
        ({"root_cause": ""}, "root_cause"),
        ({"localization": ()}, "localization_top3"),
        ({"localization": ("a", "b", "c", "geo")}, "localization_top3"),
    ],
)
def test_one_answer_wrong(changes: dict[str, Any], wrong: str) -> None:
    right = score(scenario(), outcome(), YES, YES, ())
    marks = score(scenario(), outcome(**changes), YES, YES, ())
    assert getattr(right, wrong) is True
    assert getattr(marks, wrong) is False


def test_the_second_place_counts_among_three_only() -> None:
    marks = score(scenario(), outcome(localization=("search", "geo")), YES, YES, ())
    assert (marks.localization, marks.localization_top3) == (False, True)


def test_end_to_end_wants_all_of_it_and_the_word() -> None:
    assert not score(scenario(), outcome(detected=False), YES, YES, ()).end_to_end
    assert not score(scenario(), outcome(fault="oom_killed"), YES, YES, ()).end_to_end
    assert not score(scenario(), outcome(), YES, NO, ()).end_to_end
    assert not score(scenario(), outcome(state="unresolved"), YES, YES, ()).end_to_end
    assert not score(scenario(), outcome(), YES, YES, ("worse",)).end_to_end


def test_a_claim_that_does_not_hold() -> None:
    assert score(scenario(), outcome(), YES, NO, ()).false_claim is True
    assert score(scenario(), outcome(state="unresolved"), YES, NO, ()).false_claim is None


def test_what_is_left_behind_by_who_gave_up() -> None:
    assert score(scenario(), outcome(state="unresolved"), NO, NO, (), ()).restored is True
    assert score(scenario(), outcome(state="unresolved"), NO, NO, (), ("Service/a/b",)).restored is False
    assert score(scenario(), outcome(), NO, NO, (), ("Service/a/b",)).restored is None


def test_an_agent_that_does_not_tell_is_no_false_alarm_and_no_detection() -> None:
    marks = score(scenario(), outcome(state="none", detected=None, localization=(), root_cause=""), NO, NO, ())
    assert marks.detection is None
    assert (marks.localization, marks.root_cause, marks.end_to_end) == (False, False, False)


def test_nothing_wrong_is_right_only_when_it_is_said() -> None:
    quiet = score(calm(), outcome(state="healthy", detected=False, root_cause="", localization=()), None, YES, ())
    assert (quiet.detection, quiet.false_alarm, quiet.end_to_end) == (True, False, True)
    assert (quiet.localization, quiet.root_cause, quiet.mitigation_strict) == (None, None, None)
    alarm = score(calm(), outcome(state="unresolved"), None, YES, ())
    assert (alarm.detection, alarm.false_alarm, alarm.end_to_end) == (False, True, False)


def test_a_scenario_without_a_repair_asks_for_none() -> None:
    marks = score(scenario(tasks={"localization": "l"}, original=()), outcome(state="unresolved"), None, NO, ())
    assert (marks.mitigation_original, marks.mitigation_strict, marks.false_claim) == (None, None, None)
    assert marks.end_to_end is True


def test_an_episode_that_could_not_be_played_is_a_failure_in_all_that_was_asked() -> None:
    marks = score(scenario(), None, None, None, ())
    told = (marks.detection, marks.localization, marks.root_cause, marks.mitigation_strict, marks.end_to_end)
    assert told == (False,) * 5
    assert score(calm(), None, None, None, ()).localization is None


def test_a_cause_is_a_kind_and_a_name() -> None:
    assert named_cause(outcome(root_cause="Deployment/geo"), ("Deployment/geo",))
    assert not named_cause(outcome(root_cause="geo"), ("Deployment/geo",))
    assert not named_cause(outcome(), ())


def test_a_fault_of_no_known_class_asks_for_the_object_only() -> None:
    truth = {"objects": ("Deployment/geo",), "fault": "unknown"}
    assert score(scenario(truth=truth), outcome(fault="oom_killed"), YES, YES, ()).root_cause is True
