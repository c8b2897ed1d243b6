"""Comparing: pairs, directions, and what cannot be compared."""

from __future__ import annotations

import pytest

from stratus.bench.comparing import agents_in, chosen, compare
from stratus.errors import UsageError

from .episodes import record, scenario


def runs() -> tuple[list, list]:
    names = [f"s{i}" for i in range(10)]
    first = [record(scenario(n), strict=i < 4, solver="react") for i, n in enumerate(names)]
    second = [record(scenario(n), strict=i < 8) for i, n in enumerate(names)]
    return first, second


def test_episodes_are_compared_with_their_own_kind() -> None:
    first, second = runs()
    rows = {d.mark: d for d in compare(chosen(first, "", "a"), chosen(second, "", "b"))}
    healed = rows["mitigation_strict"]
    assert (healed.n, healed.first, healed.second, healed.ratio) == (10, 0.4, 0.8, 2.0)
    assert (healed.only_first, healed.only_second) == (0, 4)
    assert healed.difference.value == pytest.approx(0.4)
    assert healed.decided
    assert not rows["detection"].decided
    assert rows["violated"].ratio is None


def test_only_common_episodes_count() -> None:
    first, second = runs()
    rows = {d.mark: d for d in compare(chosen(first[:3], "", "a"), chosen(second, "", "b"))}
    assert rows["mitigation_strict"].n == 3
    other = [record(scenario("else"))]
    with pytest.raises(UsageError, match="no episode in common"):
        compare(chosen(first, "", "a"), chosen(other, "", "b"))


def test_which_solver_must_be_said_when_there_are_several() -> None:
    first, second = runs()
    both = [*first, *second]
    assert agents_in(both) == ("react", "stratus")
    with pytest.raises(UsageError, match="several solvers"):
        chosen(both, "", "the run")
    with pytest.raises(UsageError, match="no solver 'noop'"):
        chosen(both, "noop", "the run")
    assert len(chosen(both, "react", "the run")) == 10


def test_a_mark_that_nobody_has_is_not_compared() -> None:
    one = [record(scenario(tasks={"detection": "d"}, original=()))]
    rows = {d.mark: d for d in compare(chosen(one, "", "a"), chosen(one, "", "b"))}
    assert rows["mitigation_strict"].n == 0
    assert rows["mitigation_strict"].first is None
