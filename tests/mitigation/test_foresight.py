"""What was foretold decides which plan comes first; what is harmful is never first in line on its own."""

from __future__ import annotations

import itertools

import pytest

from stratus.mitigation.foresight import cost_key, harmful, ranked
from stratus.model.rehearsals import Prediction

ORDER = ("RESOLVED", "IMPROVED", "UNKNOWN", "UNCHANGED", "REGRESSED")


def foretold(verdict: str, **more: object) -> Prediction:
    return Prediction(verdict=verdict, undo_exact=True, **more)


@pytest.mark.parametrize("order", list(itertools.permutations(range(5)))[::7])
def test_the_verdict_comes_first_whatever_the_planner_thinks(order: tuple[int, ...]) -> None:
    candidates = [(0.1 * i, foretold(ORDER[i], undo_requests=9 - i)) for i in order]
    assert [candidates[i][1].verdict for i in ranked(candidates)] == list(ORDER)


@pytest.mark.parametrize("verdict", ["RESOLVED", "IMPROVED", "UNCHANGED", "REGRESSED"])
def test_then_what_taking_it_back_costs(verdict: str) -> None:
    dear = foretold(verdict, undo_rollouts=1, undo_seconds=40.0, undo_requests=1)
    cheap = foretold(verdict, undo_requests=3)
    assert ranked([(0.9, dear), (0.2, cheap)]) == [1, 0]


def test_then_confidence_then_the_planners_order() -> None:
    same = foretold("RESOLVED")
    assert ranked([(0.3, same), (0.8, same), (0.8, same)]) == [1, 2, 0]


def test_where_nothing_is_known_the_planners_order_stands() -> None:
    dear, cheap = foretold("UNKNOWN", undo_rollouts=1, undo_losses=1), foretold("UNKNOWN")
    assert ranked([(0.7, dear), (0.7, cheap), (0.9, cheap)]) == [0, 1, 2]
    assert ranked([(0.7, dear.model_copy(update={"undo_exact": False})), (0.1, cheap)]) == [1, 0]


def test_what_was_not_rehearsed_is_unknown() -> None:
    blank = Prediction(rehearsed=False, reason="too large")
    assert ranked([(0.5, blank), (0.1, foretold("RESOLVED")), (0.1, foretold("UNCHANGED"))]) == [1, 0, 2]
    assert not harmful(blank)


def test_nothing_to_rank() -> None:
    assert ranked([]) == []


@pytest.mark.parametrize("verdict", ORDER)
def test_only_what_makes_things_worse_for_certain_is_harmful(verdict: str) -> None:
    assert harmful(foretold(verdict)) is (verdict == "REGRESSED")
    assert not harmful(Prediction(verdict="UNKNOWN", best="REGRESSED", worst="REGRESSED"))
    assert not harmful(foretold(verdict, by_itself=True))


def test_costs_are_compared_by_what_hurts_most() -> None:
    steps = [
        foretold("RESOLVED"),
        foretold("RESOLVED", undo_requests=2),
        foretold("RESOLVED", undo_seconds=20.0),
        foretold("RESOLVED", undo_rollouts=1),
        foretold("RESOLVED", undo_losses=1),
        foretold("RESOLVED").model_copy(update={"undo_exact": False}),
    ]
    keys = [cost_key(p) for p in steps]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    nearly = foretold("RESOLVED", undo_seconds=21.0)
    assert cost_key(nearly) == cost_key(steps[2]), "estimates are not compared to the second"
