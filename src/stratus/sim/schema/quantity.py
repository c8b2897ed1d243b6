"""Quantities such as `500m` and `1Gi`: parsed exactly, written in the one canonical form the API serves."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import lru_cache

PATTERN = r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
_RE = re.compile(PATTERN)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL_NAMES = {v: k for k, v in _DECIMAL.items()}
_BINARY_NAMES = {v: k for k, v in _BINARY.items()}


class QuantityError(ValueError):
    """The text is no quantity."""

    def __init__(self) -> None:
        super().__init__(f"quantities must match the regular expression '{PATTERN}'")


@lru_cache(maxsize=4096)
def _split(text: str) -> tuple[Fraction, str]:
    """Return the exact value and the format: `decimal`, `binary` or `exponent`."""
    match = _RE.match(text)
    if not match or match[1].count(".") > 1 or not any(c.isdigit() for c in match[1]):
        raise QuantityError
    number, suffix = Fraction(match[1] if not match[1].endswith(".") else match[1] + "0"), match[2]
    if suffix in _BINARY:
        return number * 1024 ** _BINARY[suffix], "binary"
    if suffix in _DECIMAL:
        return number * Fraction(10) ** _DECIMAL[suffix], "decimal"
    if suffix[:1] in ("e", "E") and re.fullmatch(r"[+-]?[0-9]+", suffix[1:]):
        return number * Fraction(10) ** int(suffix[1:]), "exponent"
    raise QuantityError


def parse(value: object) -> Fraction:
    """Return the exact value of a quantity given as text or number.

    Raises:
        QuantityError: when it is none.
    """
    return _split(str(value).strip())[0]


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """Write a quantity as the API serves it: no fraction, the largest suffix that keeps it whole.

    Raises:
        QuantityError: when the text is no quantity.
    """
    value, form = _split(text.strip())
    return render(value, form)


def render(value: Fraction, form: str = "decimal") -> str:
    """Write a value in the given format (`decimal`, `binary`, `exponent`)."""
    if form == "binary" and (-1024 < value < 1024 or value.denominator != 1):
        form = "decimal"
    if form == "binary":
        whole, power = int(value), 0
        while whole % 1024 == 0 and power < 6 and whole:
            whole //= 1024
            power += 1
        return f"{whole}{_BINARY_NAMES.get(power, '')}"
    nano = math.ceil(value * 10**9) if value >= 0 else math.floor(value * 10**9)
    if nano == 0:
        return "0"
    exponent = -9
    while nano % 1000 == 0 and exponent < 18:
        nano //= 1000
        exponent += 3
    if form == "exponent":
        return f"{nano}e{exponent}" if exponent else str(nano)
    return f"{nano}{_DECIMAL_NAMES[exponent]}"


def whole_milli(text: str) -> str:
    """Return a (canonical) quantity rounded up to thousandths."""
    if not text.endswith(("n", "u")):
        return text
    return render(Fraction(math.ceil(parse(text) * 1000), 1000))


def form_of(text: object) -> str:
    """Return the format a quantity is written in."""
    return _split(str(text).strip())[1]
