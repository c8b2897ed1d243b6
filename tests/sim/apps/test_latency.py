"""Durations: sums, mixtures and quantiles agree with what sampling would show."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratus.sim.apps.latency import ZERO, beyond, mixed, mixture_quantile, plus, quantile

MEANS = st.floats(1e-4, 10.0)
SPANS = st.tuples(MEANS, MEANS).map(lambda p: (p[0], (0.5 * p[1]) ** 2))


def samples(mean: float, var: float, count: int, rng: random.Random) -> list[float]:
    sigma2 = math.log1p(var / mean**2)
    return [rng.lognormvariate(math.log(mean) - sigma2 / 2, math.sqrt(sigma2)) for _ in range(count)]


def test_a_quantile_is_that_of_the_log_normal() -> None:
    drawn = sorted(samples(0.2, 0.01, 40_000, random.Random(1)))
    for level in (0.5, 0.95, 0.99):
        assert quantile((0.2, 0.01), level) == pytest.approx(drawn[int(level * len(drawn))], rel=0.05)


def test_a_mixture_quantile_finds_the_slow_tail() -> None:
    fast, slow = (0.01, 1e-6), (2.0, 1e-4)
    assert mixture_quantile([(0.95, fast), (0.05, slow)], 0.99) == pytest.approx(2.0, rel=0.05)
    assert mixture_quantile([(0.95, fast), (0.05, slow)], 0.5) == pytest.approx(0.01, rel=0.2)
    assert mixture_quantile([(0.999, fast), (0.001, slow)], 0.95) < 0.02
    assert mixture_quantile([], 0.99) == 0.0


def test_a_mixture_has_the_moments_of_its_samples() -> None:
    rng = random.Random(2)
    drawn = samples(0.1, 0.001, 30_000, rng) + samples(1.0, 0.04, 10_000, rng)
    mean, var = mixed([(0.75, (0.1, 0.001)), (0.25, (1.0, 0.04))])
    middle = sum(drawn) / len(drawn)
    assert mean == pytest.approx(middle, rel=0.02)
    assert var == pytest.approx(sum((d - middle) ** 2 for d in drawn) / len(drawn), rel=0.05)


def test_a_share_of_calls_adds_a_share_of_their_time() -> None:
    mean, var = plus((1.0, 0.0), (2.0, 0.0), 0.5)
    assert mean == 2.0
    assert var == pytest.approx(1.0)
    assert plus((1.0, 0.0), (2.0, 0.5), 3.0) == (7.0, 1.5)


def test_beyond_is_the_tail() -> None:
    assert beyond((1.0, 0.25), quantile((1.0, 0.25), 0.9)) == pytest.approx(0.1, abs=1e-3)
    assert beyond((1.0, 0.0), 2.0) == 0.0
    assert beyond((3.0, 0.0), 2.0) == 1.0
    assert beyond(ZERO, 1.0) == 0.0


@given(SPANS, SPANS, st.floats(0.01, 0.99))
def test_quantiles_lie_between_those_of_the_parts_and_grow(
    a: tuple[float, float], b: tuple[float, float], weight: float
) -> None:
    found = []
    for level in (0.5, 0.95, 0.99):
        ends = quantile(a, level), quantile(b, level)
        found.append(mixture_quantile([(weight, a), (1 - weight, b)], level))
        assert min(ends) * 0.98 <= found[-1] <= max(ends) * 1.02
    assert found[0] <= found[1] * 1.02
    assert found[1] <= found[2] * 1.02


@given(SPANS, st.floats(0.01, 0.99))
def test_equal_parts_change_nothing(span: tuple[float, float], weight: float) -> None:
    other = (span[0] * (1 + 1e-9), span[1])
    assert mixture_quantile([(weight, span), (1 - weight, other)], 0.99) == pytest.approx(
        quantile(span, 0.99), rel=0.02
    )


def test_overlapping_parts_have_the_quantile_of_their_samples() -> None:
    rng = random.Random(3)
    drawn = sorted(samples(0.1, 0.002, 30_000, rng) + samples(0.2, 0.01, 20_000, rng))
    for level in (0.5, 0.95, 0.99):
        wanted = drawn[int(level * len(drawn))]
        assert mixture_quantile([(0.6, (0.1, 0.002)), (0.4, (0.2, 0.01))], level) == pytest.approx(wanted, rel=0.05)


@given(SPANS, SPANS, st.floats(0, 4))
def test_time_is_never_lost(a: tuple[float, float], b: tuple[float, float], share: float) -> None:
    mean, var = plus(a, b, share)
    assert mean >= a[0]
    assert var >= a[1]
