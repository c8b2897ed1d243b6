"""Durations as mean and variance: sums, mixtures, and quantiles by a log-normal shape. Seconds throughout."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from statistics import NormalDist

#: (mean, variance).
Span = tuple[float, float]

_NORMAL = NormalDist()
_ROOT2 = math.sqrt(2.0)
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
    return _NORMAL.inv_cdf(round(min(max(level, 1e-4), 0.9999), 4))


def quantile(span: Span, level: float) -> float:
    """Return a quantile of one duration."""
    mean, var = span
    if mean <= 0.0 or var <= 1e-18:
        return max(mean, 0.0)
    sigma2 = math.log1p(var / (mean * mean))
    return mean * math.exp(math.sqrt(sigma2) * _z(level) - sigma2 / 2)


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
    """Return a quantile of a mixture, to one per cent."""
    if len(parts) == 1:
        return quantile(parts[0][1], level)
    weights: dict[Span, float] = {}
    total = 0.0
    for weight, span in parts:
        weights[span] = weights.get(span, 0.0) + weight
        total += weight
    if total <= 0.0:
        return 0.0
    ends = [quantile(span, level) for span in weights]
    low, high = min(ends), max(ends)
    if high <= low * 1.01 or len(ends) == 1:
        return high
    # The tail beyond the answer weighs (1 - level); it lies between the quantiles of the parts.
    tail = (1.0 - level) * total
    found = [(w, *_shape(s)) if s[1] > 1e-18 and s[0] > 0.0 else (w, s[0], 0.0) for s, w in weights.items()]
    a, b = math.log(max(low, 1e-9)), math.log(high)
    while b - a > 0.01:
        middle = (a + b) / 2
        beyond_it = 0.0
        for weight, mu, sigma in found:
            if sigma:
                beyond_it += weight * 0.5 * math.erfc((middle - mu) / (sigma * _ROOT2))
            elif mu > math.exp(middle):
                beyond_it += weight
        if beyond_it > tail:
            a = middle
        else:
            b = middle
    return math.exp(b)
