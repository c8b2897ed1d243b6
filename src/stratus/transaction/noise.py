"""How far two means of a few samples may lie apart by chance: a one-sided Welch test, without a statistics package."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache


def margin(before: Sequence[float], after: Sequence[float], *, alpha: float, least: float) -> float:
    """Return the smallest difference of means that counts.

    Args:
        before, after: samples, taken to be independent.
        alpha: chance of exceeding the margin when nothing has changed.
        least: never less than this, whatever the samples say.
    """
    parts = [(_variance(s) / len(s), len(s)) for s in (before, after) if len(s) > 1]
    total = sum(part for part, _ in parts)
    if total <= 0:
        return least
    # Welch and Satterthwaite: the unequal spreads of a broken and a healed service weigh by themselves.
    freedom = total**2 / sum(part**2 / (n - 1) for part, n in parts)
    return max(least, student_quantile(alpha, max(1, math.floor(freedom + 1e-9))) * math.sqrt(total))


def mean(values: Sequence[float]) -> float:
    """Return the arithmetic mean of at least one value."""
    return math.fsum(values) / len(values)


def spread(values: Sequence[float]) -> float | None:
    """Return the standard deviation of samples; None for fewer than two."""
    return math.sqrt(_variance(values)) if len(values) > 1 else None


@cache
def student_quantile(alpha: float, freedom: int) -> float:
    """Return t with `P(T > t) = alpha` for Student's distribution with a whole number of degrees of freedom."""
    low, high = 0.0, 1.0
    while student_tail(high, freedom) > alpha and high < 1e9:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if student_tail(middle, freedom) > alpha else (low, middle)
    return high


def student_tail(t: float, freedom: int) -> float:
    """Return `P(T > t)` for t >= 0, from the finite series for whole degrees of freedom."""
    angle = math.atan(t / math.sqrt(freedom))
    cos, term, total = math.cos(angle), 1.0, 0.0
    if freedom % 2:
        term = cos
        for k in range(1, (freedom - 1) // 2 + 1):
            total += term
            term *= cos * cos * (2 * k) / (2 * k + 1)
        inside = 2 / math.pi * (angle + math.sin(angle) * total)
    else:
        for k in range(1, freedom // 2 + 1):
            total += term
            term *= cos * cos * (2 * k - 1) / (2 * k)
        inside = math.sin(angle) * total
    return max(0.0, (1 - inside) / 2)


def _variance(values: Sequence[float]) -> float:
    middle = mean(values)
    return math.fsum((v - middle) ** 2 for v in values) / (len(values) - 1)
