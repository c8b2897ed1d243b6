"""Operators between two values."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from stratus.sim.apps.stores.postgres import tree as t
from stratus.sim.apps.stores.postgres.errors import PgError, unsupported
from stratus.sim.apps.stores.postgres.values import (
    Interval,
    Named,
    between,
    cast,
    comparable,
    is_number,
    moved,
    type_of,
    written,
)

if TYPE_CHECKING:
    pass


NO_OPERATOR = "No operator matches the given name and argument types. You might need to add explicit type casts."


def _is_unknown(expr: Any, side: str) -> bool:
    part = getattr(expr, side, None)
    return isinstance(part, t.Literal) and part.unknown


def operate(op: str, left: Any, right: Any, at: int = 0, expr: Any = None) -> Any:
    """Apply an operator to two values.

    Raises:
        PgError: there is no such operator for them.
    """
    if left is None or right is None:
        return None
    if op in ("=", "<>", "<", ">", "<=", ">="):
        return compare(op, left, right, at, expr)
    if op in ("~~", "~~*", "!~~", "!~~*", "~", "~*", "!~", "!~*"):
        return _match(op, left, right, at)
    if op == "||":
        if isinstance(left, list) or isinstance(right, list):
            return (left if isinstance(left, list) else [left]) + (right if isinstance(right, list) else [right])
        return (cast(left, "text") or "") + (cast(right, "text") or "")
    if op in ("->", "->>"):
        found = _inside(left, right)
        return found if op == "->" or found is None or isinstance(found, str) else written(found)
    if op in ("@>", "<@", "&&") and isinstance(left, list) and isinstance(right, list):
        if op == "&&":
            return any(v in right for v in left)
        return all(v in left for v in right) if op == "@>" else all(v in right for v in left)
    if _is_unknown(expr, "left") and isinstance(left, str):
        left = _guess(left, right, expr.left)
    if _is_unknown(expr, "right") and isinstance(right, str):
        right = _guess(right, left, expr.right)
    return _reckon(op, left, right, at)


def _guess(text: str, other: Any, literal: t.Literal) -> Any:
    """Read a quoted constant as what it must be beside another value."""
    try:
        if isinstance(other, datetime | date | Interval):
            return cast(text, "interval")
        return cast(text, type_of(other)) if is_number(other) else text
    except PgError as error:
        error.position = literal.at
        raise


def _inside(value: Any, key: Any) -> Any:
    document = cast(value, "jsonb") if isinstance(value, str) else value
    if isinstance(document, dict):
        return document.get(str(key))
    if isinstance(document, list) and isinstance(key, int):
        return document[key] if -len(document) <= key < len(document) else None
    return None


def compare(op: str, left: Any, right: Any, at: int, expr: Any) -> bool:
    for one, other, side in ((left, right, "left"), (right, left, "right")):
        mixed = isinstance(one, str) and not isinstance(one, Named) and is_number(other)
        if (
            mixed
            and expr is not None
            and not _is_unknown(expr, side)
            and not isinstance(getattr(expr, side, None), t.SubQuery)
        ):
            types = f"{type_of(left)} {op} {type_of(right)}"
            raise PgError(f"operator does not exist: {types}", "42883", position=at, hint=NO_OPERATOR)
    a, b = comparable(left, right)
    try:
        return bool({
            "=": lambda: a == b, "<>": lambda: a != b, "<": lambda: a < b, ">": lambda: a > b, "<=": lambda: a <= b,
            ">=": lambda: a >= b,
        }[op]())  # fmt: skip
    except TypeError:
        types = f"{type_of(left)} {op} {type_of(right)}"
        raise PgError(f"operator does not exist: {types}", "42883", position=at, hint=NO_OPERATOR) from None


@lru_cache(maxsize=512)
def _pattern(op: str, text: str) -> re.Pattern[str]:
    flags = re.IGNORECASE | re.DOTALL if op.endswith("*") else re.DOTALL
    if "~~" in op:
        text = "".join(
            ".*" if p == "%" else "." if p == "_" else re.escape(p.removeprefix("\\") if len(p) > 1 else p)
            for p in re.findall(r"\\.|.", text, re.DOTALL)
        )
        return re.compile(f"(?:{text})\\Z", flags)
    try:
        return re.compile(text, flags)
    except re.error as error:
        raise PgError(f"invalid regular expression: {error}", "2201B") from None


def _match(op: str, left: Any, right: Any, at: int) -> bool:
    if not isinstance(right, str) or is_number(left):
        types = f"{type_of(left)} {op} {type_of(right) if not isinstance(right, str) else 'unknown'}"
        raise PgError(f"operator does not exist: {types}", "42883", position=at, hint=NO_OPERATOR)
    pattern = _pattern(op.removeprefix("!"), right)
    text = cast(left, "text")
    hit = pattern.match(text) is not None if "~~" in op else pattern.search(text) is not None
    return hit != op.startswith("!")


def _reckon(op: str, left: Any, right: Any, at: int) -> Any:
    moments = datetime | date
    if isinstance(left, moments) and isinstance(right, Interval) and op in "+-":
        return moved(left, right, 1 if op == "+" else -1)
    if isinstance(left, Interval) and isinstance(right, moments) and op == "+":
        return moved(right, left, 1)
    if isinstance(left, date) and not isinstance(left, datetime) and isinstance(right, int) and op in "+-":
        return left + timedelta(days=right if op == "+" else -right)
    if isinstance(left, moments) and isinstance(right, moments) and op == "-":
        if not isinstance(left, datetime) and not isinstance(right, datetime):
            return (left - right).days
        return between(left, right)
    if isinstance(left, Interval) and isinstance(right, Interval) and op in "+-":
        sign = 1 if op == "+" else -1
        return Interval(
            left.months + sign * right.months, left.days + sign * right.days, left.seconds + sign * right.seconds
        )
    if isinstance(left, Interval) and is_number(right) and op in "*/":
        return left.times(float(right) if op == "*" else 1 / float(right))
    if isinstance(right, Interval) and is_number(left) and op == "*":
        return right.times(float(left))
    if not is_number(left) or not is_number(right):
        types = f"{type_of(left)} {op} {type_of(right)}"
        raise PgError(f"operator does not exist: {types}", "42883", position=at, hint=NO_OPERATOR)
    if isinstance(left, float) or isinstance(right, float):
        left, right = float(left), float(right)
    elif isinstance(left, Decimal) or isinstance(right, Decimal):
        left, right = Decimal(left), Decimal(right)
    if op in "/%" and right == 0:
        raise PgError("division by zero", "22012")
    try:
        return _numbers(op, left, right)
    except OverflowError:
        raise PgError("value out of range: overflow", "22003") from None


def _numbers(op: str, left: Any, right: Any) -> Any:
    if op == "+":
        result = left + right
    elif op == "-":
        result = left - right
    elif op == "*":
        result = left * right
    elif op == "^":
        if abs(right) > 1000:
            raise PgError("value out of range: overflow", "22003")
        return float(left) ** float(right)
    elif isinstance(left, int):
        quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        result = quotient if op == "/" else left - quotient * right
    elif op == "/":
        result = left / right
        if isinstance(result, Decimal):
            result = _quotient(left, right)
    elif op == "%":
        result = left % right
    elif op in "|&#" and isinstance(left, int):
        result = {"|": left | right, "&": left & right, "#": left ^ right}[op]
    else:
        raise unsupported(f"the operator {op}")
    if isinstance(result, int) and not -(1 << 63) <= result < 1 << 63:
        raise PgError("bigint out of range", "22003")
    return result


def _quotient(left: Decimal, right: Decimal) -> Decimal:
    """Return a quotient with as many digits as the server gives it: at least 16 that count, in groups of four."""

    def first(value: Decimal) -> tuple[int, int]:
        weight = value.adjusted() // 4 if value else 0
        return weight, int(abs(value) / Decimal(10) ** (4 * weight))

    (one, digit), (other, divisor) = first(left), first(right)
    weight = one - other - (digit <= divisor)
    scale = max(16 - 4 * weight, -int(left.as_tuple().exponent), -int(right.as_tuple().exponent), 0)
    with localcontext() as context:
        context.prec = 200
        return (left / right).quantize(Decimal(1).scaleb(-min(scale, 100)), ROUND_HALF_UP)
