"""Kubernetes quantities (`250m`, `64Mi`, `1e3`) as numbers and back."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from stratus.errors import UsageError

_SUFFIX = {
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "Pi": 2.0**50,
    "Ei": 2.0**60,
}


@lru_cache(maxsize=4096)
def _parse(text: str) -> float:
    body = text.strip()
    for width in (2, 1):
        suffix = body[-width:]
        if suffix in _SUFFIX and len(body) > width:
            try:
                return float(body[:-width]) * _SUFFIX[suffix]
            except ValueError:
                continue
    try:
        return float(body)
    except ValueError:
        raise UsageError(f"{text!r} is not a quantity; write for example 250m, 64Mi or 2") from None


def parse_quantity(value: Any) -> float:
    """Return a quantity as a number in its base unit (cores, bytes, pieces); nothing counts as 0.

    Raises:
        UsageError: when the text is not a quantity.
    """
    if value is None or value == "":
        return 0.0
    if isinstance(value, int | float):
        return float(value)
    return _parse(str(value))


def format_milli(value: float) -> str:
    """Write a number of cores (or pieces) in the canonical decimal form: `250m`, `2`."""
    milli = math.ceil(value * 1000 - 1e-9)
    return str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"


def format_bytes(value: float) -> str:
    """Write bytes in the largest binary unit that divides them: `64Mi`, `1500`."""
    whole = math.ceil(value - 1e-9)
    for suffix in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
        unit = int(_SUFFIX[suffix])
        if whole and whole % unit == 0:
            return f"{whole // unit}{suffix}"
    return str(whole)


def add_quantities(resource: str, values: list[float]) -> str:
    """Write a sum in the usual form of its resource: bytes for memory and storage, decimal for the rest."""
    total = sum(values)
    bare = resource.rpartition(".")[2]
    if bare in ("memory", "storage", "ephemeral-storage") or bare.startswith("hugepages-"):
        return format_bytes(total)
    return format_milli(total)
