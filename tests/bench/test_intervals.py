"""Intervals: against known values, at their ends, and with seeds that do not count as independent."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratus.bench.intervals import Mean, Rate, effective_number, mean, paired, pass_hat_k, rate, wilson


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (1, 29, 0.0061, 0.1718), (50, 100, 0.4038, 0.5962)],
)
def test_wilson_gives_the_published_values(hits: int, n: int, low: float, high: float) -> None:
    assert wilson(hits, n) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_wilson_at_its_ends() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(0, 10)
    assert low == 0.0
    assert 0.25 < high < 0.31
    low, high = wilson(10, 10)
    assert 0.69 < low < 0.75
    assert high == 1.0


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_narrows_with_more(pair: tuple[int, int]) -> None:
    hits, n = pair
    low, high = wilson(hits, n)
    assert 0.0 <= low <= hits / n <= high <= 1.0
    wider = wilson(hits * 4, n * 4)
    assert wider[1] - wider[0] < high - low


def test_wilson_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = random.Random(1)
    covered = 0
    for _ in range(2000):
        low, high = wilson(sum(rng.random() < 0.7 for _ in range(40)), 40)
        covered += low <= 0.7 <= high
    assert 0.93 < covered / 2000 < 0.97


def test_a_rate_of_nothing_is_unknown() -> None:
    assert rate([]) == Rate()
    assert rate([]).text() == "-"
    assert Mean().text() == "-"


def test_a_rate_counts_each_outcome_once() -> None:
    found = rate((str(i), i < 3) for i in range(4))
    assert (found.hits, found.n, found.value, found.effective) == (3, 4, 0.75, 4.0)
    assert found.text() == "75% (30-95)"


def test_seeds_that_agree_are_worth_one_episode() -> None:
    agreeing = [(str(i), i < 10) for i in range(20) for _ in range(3)]
    alone = [(str(i), i < 10) for i in range(20)]
    found, once = rate(agreeing), rate(alone)
    assert found.n == 60
    assert found.effective == pytest.approx(20, abs=0.1)
    assert (found.low, found.high) == (once.low, once.high)


def test_seeds_that_have_nothing_to_do_with_each_other_are_independent() -> None:
    rng = random.Random(3)
    found = rate((str(i), rng.random() < 0.5) for i in range(60) for _ in range(3))
    assert found.effective > 140
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low < 0.17


def test_when_nothing_varies_only_scenarios_count() -> None:
    assert effective_number([[True] * 3] * 7) == 7.0
    assert effective_number([[False] * 3] * 7) == 7.0
    assert effective_number([[True, False, True]]) == 1.0
    assert effective_number([]) == 0.0


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=4), min_size=1, max_size=12))
def test_the_effective_number_lies_between_scenarios_and_episodes(groups: list[list[bool]]) -> None:
    found = effective_number(groups)
    total = sum(map(len, groups))
    assert len(groups) - 1e-6 <= found <= total + 1e-6 or found == pytest.approx(len(groups))


def test_a_mean_is_the_same_for_the_same_seed_and_covers_itself() -> None:
    items = [(str(i), float(i % 7)) for i in range(50)]
    first = mean(items, seed=4)
    assert first == mean(reversed(items), seed=4)
    assert first.value == pytest.approx(sum(v for _, v in items) / 50, abs=1e-4)
    assert first.low is not None
    assert first.high is not None
    assert first.low < first.value < first.high
    assert first.n == 50
    assert mean([("a", 2.0)]).text(" s") == "2 s (2-2)"


def test_a_mean_of_few_clusters_is_wide_whatever_their_size() -> None:
    few = mean([(str(i % 2), float(i % 2)) for i in range(100)])
    many = mean([(str(i), float(i % 2)) for i in range(100)])
    assert few.low == 0.0
    assert few.high == 1.0
    assert many.low is not None
    assert many.low > 0.35


def test_a_paired_difference_knows_its_direction() -> None:
    found = paired([(str(i), 0.0, 1.0) for i in range(5)])
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)
    even = paired([("a", 1.0, 0.0), ("b", 0.0, 1.0)])
    assert even.value == 0.0


def test_pass_hat_k_is_the_share_of_draws_without_a_failure() -> None:
    group = [True, True, False, True]
    for k in (1, 2, 3, 4):
        draws = list(itertools.combinations(group, k))
        assert pass_hat_k([group], k) == pytest.approx(sum(all(d) for d in draws) / len(draws), abs=1e-4)
    assert pass_hat_k([group, [True] * 4], 4) == 0.5
    assert pass_hat_k([[True]], 2) is None
    assert pass_hat_k([], 1) is None


def test_pass_hat_k_only_falls_with_k() -> None:
    rng = random.Random(2)
    groups = [[rng.random() < 0.7 for _ in range(5)] for _ in range(30)]
    chances = [pass_hat_k(groups, k) for k in range(1, 6)]
    assert all(a is not None and b is not None and a >= b for a, b in itertools.pairwise(chances))
    assert not math.isclose(chances[0] or 0, chances[4] or 0)
