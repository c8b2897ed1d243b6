"""Functions over the samples in a window that ends at each moment of a grid."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from stratus.sim.telemetry.promql.series import Bools, Floats, Series

#: Moments are kept in floats; bounds of windows are compared with this much room, in seconds.
SLACK = 1e-6

Slice = Callable[[Floats, Floats, float], float | None]


def bounds(series: Series, ends: Floats, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Return for each window the place of its first sample and of the first one after it; both ends are inside."""
    times = series.samples[0]
    low = np.searchsorted(times, ends - seconds - SLACK, side="left")
    high = np.searchsorted(times, ends + SLACK, side="right")
    return low, high


def extrapolated(series: Series, ends: Floats, seconds: float, *, counter: bool, rate: bool) -> tuple[Floats, Bools]:
    """Return rate, increase or delta: the change between first and last sample, stretched towards the window's ends."""
    times, values = series.samples
    low, high = bounds(series, ends, seconds)
    present = high - low >= 2
    if not present.any():
        return np.zeros(len(ends)), present
    first, last = np.where(present, low, 0), np.where(present, high - 1, 1 if len(times) > 1 else 0)
    source = series.corrected if counter else values
    change = source[last] - source[first]
    sampled = np.where(present, times[last] - times[first], 1.0)
    to_start = times[first] - (ends - seconds)
    to_end = ends - times[last]
    average = sampled / np.where(present, last - first, 1)
    if counter:
        begin = values[first]
        with np.errstate(all="ignore"):
            to_zero = np.where((change > 0) & (begin >= 0), sampled * (begin / change), np.inf)
        to_start = np.minimum(to_start, to_zero)
    near = average * 1.1
    stretched = (
        sampled + np.where(to_start < near, to_start, average / 2) + np.where(to_end < near, to_end, average / 2)
    )
    factor = stretched / sampled
    return change * (factor / seconds if rate else factor), present


def instant_change(series: Series, ends: Floats, seconds: float, *, rate: bool) -> tuple[Floats, Bools]:
    """Return irate or idelta: between the last two samples."""
    times, values = series.samples
    low, high = bounds(series, ends, seconds)
    present = high - low >= 2
    if not present.any():
        return np.zeros(len(ends)), present
    last = np.where(present, high - 1, 1)
    now, before = values[last], values[last - 1]
    if not rate:
        return now - before, present
    change = np.where(now < before, now, now - before)
    return change / (times[last] - times[last - 1]), present


def counted(series: Series, ends: Floats, seconds: float) -> tuple[Floats, Bools]:
    """Return how many samples each window has."""
    low, high = bounds(series, ends, seconds)
    number = (high - low).astype(np.float64)
    return number, number > 0


def newest(series: Series, ends: Floats, seconds: float) -> tuple[Floats, Bools]:
    """Return the last sample of each window."""
    low, high = bounds(series, ends, seconds)
    present = high > low
    values = series.samples[1]
    if not len(values):
        return np.zeros(len(ends)), present
    return values[np.where(present, high - 1, 0)], present


def sliced(series: Series, ends: Floats, seconds: float, function: Slice) -> tuple[Floats, Bools]:
    """Return a function of each window's (times, values, end), None where it has no value."""
    times, values = series.samples
    low, high = bounds(series, ends, seconds)
    result = np.zeros(len(ends))
    present = high > low
    for place in np.flatnonzero(present):
        begin, end = low[place], high[place]
        value = function(times[begin:end], values[begin:end], float(ends[place]))
        if value is None:
            present[place] = False
        else:
            result[place] = value
    return result, present


def total(times: Floats, values: Floats, end: float) -> float:
    """Return the sum."""
    return math.fsum(values) if np.isfinite(values).all() else float(np.sum(values))


def mean(times: Floats, values: Floats, end: float) -> float:
    """Return the mean."""
    return total(times, values, end) / len(values)


def least(times: Floats, values: Floats, end: float) -> float:
    """Return the least value that is a number."""
    return float(np.fmin.reduce(values))


def most(times: Floats, values: Floats, end: float) -> float:
    """Return the largest value that is a number."""
    return float(np.fmax.reduce(values))


def variance(times: Floats, values: Floats, end: float) -> float:
    """Return the population variance."""
    return float(np.var(values))


def deviation(times: Floats, values: Floats, end: float) -> float:
    """Return the population standard deviation."""
    return float(np.std(values))


def changes(times: Floats, values: Floats, end: float) -> float:
    """Return how often the value changed; NaN after NaN is no change."""
    before, after = values[:-1], values[1:]
    return float(np.count_nonzero((before != after) & ~(np.isnan(before) & np.isnan(after))))


def resets(times: Floats, values: Floats, end: float) -> float:
    """Return how often a counter fell."""
    return float(np.count_nonzero(values[1:] < values[:-1]))


def regression(times: Floats, values: Floats, origin: float) -> tuple[float, float]:
    """Return slope and intercept (at a moment) of the line through the samples."""
    if (values == values[0]).all():
        return (0.0, float(values[0])) if math.isfinite(values[0]) else (math.nan, math.nan)
    x = times - origin
    n = len(x)
    covariance = math.fsum(x * values) - math.fsum(x) * math.fsum(values) / n
    spread = math.fsum(x * x) - math.fsum(x) ** 2 / n
    slope = covariance / spread
    return slope, math.fsum(values) / n - slope * math.fsum(x) / n


def derivative(times: Floats, values: Floats, end: float) -> float | None:
    """Return the slope per second; None for a single sample."""
    return regression(times, values, float(times[0]))[0] if len(times) > 1 else None


def prediction(ahead: float) -> Slice:
    """Return the function that tells where the line will be `ahead` seconds after the window."""

    def predicted(times: Floats, values: Floats, end: float) -> float | None:
        if len(times) < 2:
            return None
        slope, intercept = regression(times, values, end)
        return slope * ahead + intercept

    return predicted


def smoothed(level: float, trend: float) -> Slice:
    """Return double exponential smoothing."""

    def smooth(times: Floats, values: Floats, end: float) -> float | None:
        if len(values) < 2:
            return None
        before, now, slope = 0.0, float(values[0]), float(values[1] - values[0])
        for number in range(1, len(values)):
            if number > 1:
                slope = trend * (now - before) + (1 - trend) * slope
            before, now = now, level * float(values[number]) + (1 - level) * (now + slope)
        return now

    return smooth


def quantile_of(values: Floats, level: float) -> float:
    """Return a quantile by linear interpolation; NaN sorts lowest."""
    if not len(values) or math.isnan(level):
        return math.nan
    if level < 0:
        return -math.inf
    if level > 1:
        return math.inf
    ordered = np.concatenate([values[np.isnan(values)], np.sort(values[~np.isnan(values)])])
    rank = level * (len(ordered) - 1)
    low = int(max(0, math.floor(rank)))
    high = min(len(ordered) - 1, low + 1)
    part = rank - math.floor(rank)
    return float(ordered[low] * (1 - part) + ordered[high] * part)
