"""Numbers and times as Prometheus writes them."""

from __future__ import annotations

import math

import numpy as np


def shown(value: float) -> str:
    """Return a sample's value in JSON answers: the shortest decimal form without an exponent."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == int(value) and abs(value) < 1e15:
        return str(int(value)) if value or math.copysign(1.0, value) > 0 else "-0"
    return np.format_float_positional(value, unique=True, trim="-")


def compact(value: float) -> str:
    """Return a value in exposition text and in templates: the shortest form, with an exponent beyond six digits."""
    if not math.isfinite(value) or value == 0:
        return shown(value)
    exponent = math.floor(math.log10(abs(value)))
    if -4 <= exponent < 6:
        return shown(value)
    return np.format_float_scientific(value, unique=True, trim="-", exp_digits=2)


def scientific(value: float) -> str:
    """Return a value as the list of alerts tells it: always with an exponent."""
    if not math.isfinite(value):
        return shown(value)
    return np.format_float_scientific(value, unique=True, trim="-", exp_digits=2)


def timestamp(at: float) -> float | int:
    """Return a moment in JSON answers: seconds, milliseconds as a fraction."""
    rounded = round(at, 3)
    return int(rounded) if rounded == int(rounded) else rounded
