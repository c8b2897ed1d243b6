"""Rates and means with intervals of 95 %; seeds of one scenario are not taken for independent episodes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from stratus.model.base import Noun

Z = 1.959963984540054
"""Standard normal quantile of 97.5 %."""
RESAMPLES = 2000


class Rate(Noun):
    """A share with its interval.

    Attributes:
        value: None when there was nothing to count; `low`, `high`: Wilson's interval of 95 %, on the effective number.
        hits, n: episodes that hit, of those that count.
        effective: number of independent episodes that carry as much information.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    hits: int = 0
    n: int = 0
    effective: float = 0.0

    def text(self) -> str:
        """Return `50 % (32-68)`."""
        if self.value is None or self.low is None or self.high is None:
            return "-"
        return f"{self.value:.0%} ({self.low * 100:.0f}-{self.high * 100:.0f})"


class Mean(Noun):
    """A mean with a bootstrap interval of 95 %; None when there was nothing to measure."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0

    def text(self, unit: str = "") -> str:
        """Return `12.3 (10.1-15.0)`."""
        if self.value is None or self.low is None or self.high is None:
            return "-"
        return f"{self.value:.3g}{unit} ({self.low:.3g}-{self.high:.3g})"


def wilson(hits: float, n: float) -> tuple[float, float]:
    """Return Wilson's interval of 95 % for a share.

    Args:
        hits: successes among `n` tries; both may be fractions, for effective numbers.
    """
    if n <= 0:
        return 0.0, 1.0
    p, square = hits / n, Z * Z
    middle = (p + square / (2 * n)) / (1 + square / n)
    half = Z / (1 + square / n) * math.sqrt(p * (1 - p) / n + square / (4 * n * n))
    # The formula's ends are exact at 0 and 1; floating point is not.
    low = 0.0 if hits <= 0 else max(0.0, middle - half)
    high = 1.0 if hits >= n else min(1.0, middle + half)
    return low, high


def rate(items: Iterable[tuple[str, bool]]) -> Rate:
    """Return the share of True.

    Args:
        items: (cluster, outcome) pairs; outcomes of one cluster (the seeds of a scenario) may depend on each other.
    """
    groups: dict[str, list[bool]] = defaultdict(list)
    for cluster, outcome in items:
        groups[cluster].append(outcome)
    n = sum(map(len, groups.values()))
    if not n:
        return Rate()
    hits = sum(sum(group) for group in groups.values())
    effective = effective_number(list(groups.values()))
    value = hits / n
    low, high = wilson(value * effective, effective)
    return Rate(
        value=round(value, 4),
        low=round(low, 4),
        high=round(high, 4),
        hits=hits,
        n=n,
        effective=round(effective, 1),
    )


def effective_number(groups: Sequence[Sequence[bool]]) -> float:
    """Return how many independent outcomes are worth as much: n / (1 + (m - 1) * ICC), m the mean size of a group.

    The intraclass correlation is estimated from the variance between and within groups. Where nothing varies at all,
    every group counts once: that all seeds agree is then all that is known.
    """
    sizes = [len(group) for group in groups]
    n, k = sum(sizes), len(sizes)
    if n == k or k == 0:
        return float(n)
    total = sum(map(sum, groups)) / n
    if k == 1 or total in (0.0, 1.0):
        return float(k)
    means = [sum(group) / len(group) for group in groups]
    between = sum(size * (mean - total) ** 2 for size, mean in zip(sizes, means, strict=True)) / (k - 1)
    within = sum(len(g) * m * (1 - m) for g, m in zip(groups, means, strict=True)) / (n - k)
    size = (n - sum(s * s for s in sizes) / n) / (k - 1)
    spread = between + (size - 1) * within
    icc = min(1.0, max(0.0, (between - within) / spread)) if spread > 0 else 1.0
    return n / (1 + (n / k - 1) * icc)


def mean(items: Iterable[tuple[str, float]], *, seed: int = 0) -> Mean:
    """Return the mean with a percentile bootstrap over clusters.

    Args:
        items: (cluster, value) pairs.
        seed: of the resampling; the same items and seed give the same interval.
    """
    import numpy as np

    groups: dict[str, list[float]] = defaultdict(list)
    for cluster, value in items:
        groups[cluster].append(value)
    n = sum(map(len, groups.values()))
    if not n:
        return Mean()
    order = sorted(groups)
    sums = np.array([sum(groups[name]) for name in order])
    sizes = np.array([len(groups[name]) for name in order])
    chosen = np.random.default_rng(seed).integers(0, len(order), (RESAMPLES, len(order)))
    means = sums[chosen].sum(axis=1) / sizes[chosen].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    value = float(sums.sum() / sizes.sum())
    return Mean(value=round(value, 4), low=round(float(low), 4), high=round(float(high), 4), n=n)


def pass_hat_k(groups: Sequence[Sequence[bool]], k: int) -> float | None:
    """Return the chance that k tries of one scenario all succeed, estimated without bias and averaged over scenarios.

    Args:
        groups: outcomes by scenario; those with fewer than k tries are left out.

    Returns:
        None when no scenario was tried k times.
    """
    parts = [math.comb(sum(group), k) / math.comb(len(group), k) for group in groups if len(group) >= k]
    return round(sum(parts) / len(parts), 4) if parts else None


def paired(items: Sequence[tuple[str, float, float]], *, seed: int = 0) -> Mean:
    """Return the mean difference second minus first of paired outcomes, resampled by cluster.

    Args:
        items: (cluster, first, second).
    """
    return mean([(cluster, second - first) for cluster, first, second in items], seed=seed)
