"""Durations as mean and variance: sums, mixtures, and quantiles by a log-normal shape. Seconds throughout."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from statistics import NormalDist

#: (mean, variance).
Span = tuple[float, float]

_NORMAL = NormalDist()
ZERO: Span = (0.0, 0.0)


def plus(a: Span, b: Span, share: float = 1.0) -> Span:
    """Return the duration of `a` followed, in a share of cases (or several times, above 1), by `b`."""
    mean, var = b
    if share <= 1.0:
        extra = share * (var + mean * mean) - (share * mean) ** 2
    else:
        extra = share * var
    return a[0] + share * mean, a[1] + max(extra, 0.0)


def mixed(parts: Iterable[tuple[float, Span]]) -> Span:
    """Return the mixture of durations with weights (which need not sum to one)."""
    total = first = second = 0.0
    for weight, (mean, var) in parts:
        total += weight
        first += weight * mean
        second += weight * (var + mean * mean)
    if total <= 0.0:
        return ZERO
    mean = first / total
    return mean, max(second / total - mean * mean, 0.0)


def _shape(span: Span) -> tuple[float, float]:
    """Return (mu, sigma) of the log-normal with a mean and variance; both must be positive."""
    mean, var = span
    sigma2 = math.log1p(var / (mean * mean))
    return math.log(mean) - sigma2 / 2, math.sqrt(sigma2)


@lru_cache(maxsize=4096)
def _z(level: float) -> float:
    return _NORMAL.inv_cdf(level)


def quantile(span: Span, level: float) -> float:
    """Return a quantile of one duration."""
    mean, var = span
    if mean <= 0.0 or var <= 1e-18:
        return max(mean, 0.0)
    mu, sigma = _shape(span)
    return math.exp(mu + sigma * _z(round(min(max(level, 1e-4), 0.9999), 4)))


def beyond(span: Span, limit: float) -> float:
    """Return the share of cases that take longer than `limit`."""
    mean, var = span
    if mean <= 0.0:
        return 0.0
    if var <= 1e-18:
        return 1.0 if mean > limit else 0.0
    mu, sigma = _shape(span)
    z = (math.log(limit) - mu) / sigma
    return 0.0 if z > 5.0 else 0.5 * math.erfc(z / math.sqrt(2.0))


def mixture_quantile(parts: list[tuple[float, Span]], level: float) -> float:
    """Return a quantile of a mixture: the slowest parts fill the tail, one after the other."""
    total = sum(weight for weight, _ in parts)
    if total <= 0.0:
        return 0.0
    if len(parts) == 1:
        return quantile(parts[0][1], level)
    tail = 1.0 - level
    value = 0.0
    for weight, span in sorted(parts, key=lambda p: -p[1][0]):
        share = weight / total
        if share <= 1e-6:
            continue
        value = quantile(span, 1.0 - min(tail / share, 0.9999))
        if share >= tail:
            return value
        tail -= share
    return value
