"""Functions on instant vectors and scalars."""

from __future__ import annotations

import math
import re
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np

from stratus.sim.telemetry.promql.lexer import PromQLError
from stratus.sim.telemetry.promql.series import Floats
from stratus.sim.telemetry.promql.vectors import Labels, Vector, empty, grouped, joined, key_of, stacked

SIMPLE: dict[str, Callable[[Floats], Floats]] = {
    "abs": np.abs, "ceil": np.ceil, "floor": np.floor, "exp": np.exp, "ln": np.log, "log2": np.log2,
    "log10": np.log10, "sqrt": np.sqrt, "sgn": np.sign, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "deg": np.degrees, "rad": np.radians,
}  # fmt: skip
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})")


def simple(name: str, vector: Vector) -> Vector:
    """Apply a function of one number to all values."""
    with np.errstate(all="ignore"):
        return vector.mapped(SIMPLE[name](vector.values))


def rounded(vector: Vector, to: Floats) -> Vector:
    """Round to the nearest multiple, halves upwards."""
    with np.errstate(all="ignore"):
        inverse = 1.0 / to
        return vector.mapped(np.floor(vector.values * inverse + 0.5) / inverse)


def clamped(vector: Vector, low: Floats, high: Floats) -> Vector:
    """Keep values within bounds; nothing is left where the bounds contradict each other."""
    values = np.maximum(low, np.minimum(high, vector.values))
    return vector.mapped(values, vector.present & ~(low > high))


def scalar_of(vector: Vector) -> Floats:
    """Return the only value of each moment, NaN where there is not exactly one."""
    number = vector.present.sum(axis=0)
    return np.where(number == 1, np.where(vector.present, vector.values, 0.0).sum(axis=0), np.nan)


_CALENDAR: dict[str, Callable[[datetime], float]] = {
    "minute": lambda d: d.minute,
    "hour": lambda d: d.hour,
    "day_of_week": lambda d: d.isoweekday() % 7,
    "day_of_month": lambda d: d.day,
    "day_of_year": lambda d: d.timetuple().tm_yday,
    "month": lambda d: d.month,
    "year": lambda d: d.year,
    "days_in_month": lambda d: monthrange(d.year, d.month)[1],
}


def calendar(name: str, vector: Vector) -> Vector:
    """Return a part of the date that each value, in epoch seconds, falls on (UTC)."""

    def part(value: float) -> float:
        if not math.isfinite(value):
            return math.nan
        return float(_CALENDAR[name](datetime.fromtimestamp(int(value), UTC)))

    flat = [part(v) if p else 0.0 for v, p in zip(vector.values.flat, vector.present.flat, strict=True)]
    return vector.mapped(np.array(flat).reshape(vector.values.shape))


def ordered(vector: Vector, *, descending: bool) -> Vector:
    """Sort rows by their value at the last moment, NaN last."""

    def key(n: int) -> tuple[bool, float]:
        value = float(vector.values[n, -1])
        return math.isnan(value), -value if descending else value

    order = sorted(range(len(vector)), key=key)
    return Vector([vector.labels[n] for n in order], vector.values[order], vector.present[order])


def label_replace(vector: Vector, target: str, template: str, source: str, pattern: str) -> Vector:
    """Set a label from what a pattern finds in another.

    Raises:
        PromQLError: the pattern or the label's name cannot be used, or rows become the same.
    """
    try:
        compiled = re.compile(pattern, re.DOTALL)
    except re.error as error:
        raise PromQLError(f"invalid regular expression in label_replace(): {pattern} ({error})") from None
    if not _NAME.fullmatch(target):
        raise PromQLError(f"invalid destination label name in label_replace(): {target}")

    def change(labels: Labels) -> Labels:
        match = compiled.fullmatch(labels.get(source, ""))
        if match is None:
            return labels
        made = dict(labels)
        value = expand(template, match)
        if value:
            made[target] = value
        else:
            made.pop(target, None)
        return made

    return vector.named(change)


def expand(template: str, match: re.Match[str]) -> str:
    """Fill `$1`, `${name}` and `$$`; a group that is not there gives nothing."""

    def one(reference: re.Match[str]) -> str:
        name = reference.group(1) or reference.group(2)
        if name is None:
            return "$"
        try:
            return match.group(int(name) if name.isdigit() else name) or ""
        except (IndexError, error_type):
            return ""

    error_type = KeyError
    return _REFERENCE.sub(one, template)


def label_join(vector: Vector, target: str, separator: str, sources: list[str]) -> Vector:
    """Set a label to others' values, joined.

    Raises:
        PromQLError: a label's name cannot be used, or rows become the same.
    """
    for name in (target, *sources):
        if not _NAME.fullmatch(name):
            raise PromQLError(f"invalid label name in label_join(): {name}")

    def change(labels: Labels) -> Labels:
        made = dict(labels)
        value = separator.join(labels.get(name, "") for name in sources)
        if value:
            made[target] = value
        else:
            made.pop(target, None)
        return made

    return vector.named(change)


def histogram_quantile(level: Floats, vector: Vector) -> Vector:
    """Return quantiles of classic histograms, interpolated within buckets."""
    moments = vector.values.shape[1]
    bounded: list[tuple[float, int]] = []
    for place, labels in enumerate(vector.labels):
        try:
            bounded.append((float(labels.get("le", "")), place))
        except ValueError:
            continue
    rests = [{k: v for k, v in vector.labels[n].items() if k not in ("le", "__name__")} for _, n in bounded]
    labels_of, rows, masks = [], [], []
    for members in grouped(key_of(rest) for rest in rests).values():
        buckets = sorted(bounded[m] for m in members)
        places = [n for _, n in buckets]
        present = vector.present[places]
        row = np.zeros(moments)
        for t in np.flatnonzero(present.any(axis=0)):
            known = [(le, float(vector.values[n, t])) for le, n in buckets if vector.present[n, t]]
            row[t] = bucket_quantile(float(level[t]), known)
        labels_of.append(rests[members[0]])
        rows.append(row)
        masks.append(present.any(axis=0))
    return stacked(labels_of, rows, masks, moments)


def bucket_quantile(level: float, buckets: list[tuple[float, float]]) -> float:
    """Return a quantile of one histogram: (upper bound, cumulated count), ascending."""
    if math.isnan(level):
        return math.nan
    if level < 0 or level > 1:
        return math.copysign(math.inf, level - 0.5)
    merged: dict[float, float] = {}
    for bound, count in buckets:
        merged[bound] = merged.get(bound, 0.0) + count
    bounds = list(merged)
    counts = [float(c) for c in np.fmax.accumulate(list(merged.values()))]
    if not bounds or not math.isinf(bounds[-1]) or bounds[-1] < 0 or len(bounds) < 2 or not counts[-1] > 0:
        return math.nan
    rank = level * counts[-1]
    place = next((n for n, count in enumerate(counts[:-1]) if count >= rank), len(bounds) - 1)
    if place == len(bounds) - 1:
        return bounds[-2]
    if place == 0 and bounds[0] <= 0:
        return bounds[0]
    begin, below = (bounds[place - 1], counts[place - 1]) if place else (0.0, 0.0)
    inside = counts[place] - below
    if inside == 0:
        return math.nan
    return begin + (bounds[place] - begin) * ((rank - below) / inside)


def absent_row(labels: Labels, there: Any) -> Vector:
    """Return 1 where nothing is there."""
    if there.all():
        return empty(len(there))
    return joined([labels], np.ones((1, len(there))), ~there[np.newaxis, :])


__all__ = [
    "absent_row", "bucket_quantile", "calendar", "clamped", "expand", "histogram_quantile", "label_join",
    "label_replace", "ordered", "rounded", "scalar_of", "simple",
]  # fmt: skip
