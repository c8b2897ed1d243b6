"""Values of SQL: their types, how they are written and read, and how they compare."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from stratus.sim.apps.stores.postgres.errors import PgError

_UNITS = {
    "microsecond": 1e-6, "millisecond": 1e-3, "second": 1.0, "sec": 1.0, "s": 1.0, "minute": 60.0, "min": 60.0,
    "m": 60.0, "hour": 3600.0, "h": 3600.0,
}  # fmt: skip
_TRUE, _FALSE = ("t", "true", "yes", "on", "1", "y"), ("f", "false", "no", "off", "0", "n")


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """A length of time: months and days count as such, the rest are seconds."""

    months: int = 0
    days: int = 0
    seconds: float = 0.0

    def total(self) -> float:
        """Return about how many seconds it is."""
        return self.months * 2_592_000.0 + self.days * 86_400.0 + self.seconds

    def times(self, factor: float) -> Interval:
        """Return it so many times as long."""
        if self.months or self.days:
            return Interval(int(self.months * factor), int(self.days * factor), self.seconds * factor)
        return Interval(0, 0, self.seconds * factor)


class Named(str):
    """The name of an object of the server that also stands for its number."""

    oid: int

    def __new__(cls, name: str, oid: int) -> Named:
        """Make one of a name and a number."""
        made = super().__new__(cls, name)
        made.oid = oid
        return made

    def __deepcopy__(self, memo: Any) -> Named:
        """Return itself: it never changes."""
        return self


def type_of(value: Any) -> str:
    """Return the name of a value's type."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if -(1 << 31) <= value < 1 << 31 else "bigint"
    for kind, name in (
        (float, "double precision"), (Decimal, "numeric"), (Interval, "interval"), (dict, "jsonb"),
        (list, "text[]"), (str, "text"),
    ):  # fmt: skip
        if isinstance(value, kind):
            return name
    if isinstance(value, datetime):
        return "timestamp with time zone" if value.tzinfo else "timestamp without time zone"
    return "date" if isinstance(value, date) else "text"


def is_number(value: Any) -> bool:
    """Tell whether a value is a number."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


# writing


def written(value: Any) -> str | None:
    """Return a value as the server sends it; None for null."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, Interval):
        return _interval(value)
    if isinstance(value, list):
        return "{" + ",".join(_element(v) for v in value) + "}"
    if isinstance(value, tuple):
        return "(" + ",".join(written(v) or "" for v in value) + ")"
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value)


def _float(value: float) -> str:
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return repr(value)


def _moment(value: datetime) -> str:
    text = value.strftime("%Y-%m-%d %H:%M:%S")
    if value.microsecond:
        text += f".{value.microsecond:06d}".rstrip("0")
    return text + ("+00" if value.tzinfo else "")


def _interval(value: Interval) -> str:
    years, months = divmod(abs(value.months), 12)
    sign = -1 if value.months < 0 else 1
    parts = [
        f"{sign * n} {word}{'s' if n != 1 else ''}" for n, word in ((years, "year"), (months, "mon")) if n
    ]  # fmt: skip
    if value.days:
        parts.append(f"{value.days} day{'s' if abs(value.days) != 1 else ''}")
    if value.seconds or not parts:
        micros = round(abs(value.seconds) * 1e6)
        clock = f"{micros // 3_600_000_000:02d}:{micros // 60_000_000 % 60:02d}:{micros // 1_000_000 % 60:02d}"
        rest = micros % 1_000_000
        clock += f".{rest:06d}".rstrip("0") if rest else ""
        parts.append(("-" if value.seconds < 0 else "") + clock)
    return " ".join(parts)


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    text = written(value) or ""
    if isinstance(value, str) and (not text or re.search(r'[\s{}",\\]', text) or text.upper() == "NULL"):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


# reading


def _invalid(kind: str, text: str) -> PgError:
    return PgError(f'invalid input syntax for type {kind}: "{text}"', "22P02")


def cast(value: Any, kind: str) -> Any:
    """Return a value as another type.

    Raises:
        PgError: it cannot be one.
    """
    if value is None:
        return None
    if kind.endswith("[]"):
        items = value if isinstance(value, list) else read_array(str(value))
        return [cast(v, kind[:-2]) for v in items]
    if kind in ("integer", "bigint", "smallint", "oid", "xid"):
        return _integer(value, kind)
    if kind in ("double precision", "real"):
        try:
            return float(value)
        except (TypeError, ValueError):
            raise _invalid(kind, str(value)) from None
    if kind == "numeric":
        try:
            return Decimal(str(value)) if not isinstance(value, bool) else Decimal(int(value))
        except InvalidOperation:
            raise _invalid("numeric", str(value)) from None
    if kind == "boolean":
        return _boolean(value)
    if kind in ("timestamp with time zone", "timestamp without time zone", "date"):
        return _read_moment(value, kind)
    if kind == "interval":
        return value if isinstance(value, Interval) else read_interval(str(value))
    if kind in ("json", "jsonb"):
        if isinstance(value, dict | list):
            return value
        try:
            found = json.loads(str(value))
        except ValueError:
            raise PgError(f"invalid input syntax for type {kind}", "22P02") from None
        return found if kind == "jsonb" and isinstance(found, dict) else value
    if isinstance(value, bool) and kind in ("text", "character varying"):
        return "true" if value else "false"
    return written(value) if not isinstance(value, str) else value


def _integer(value: Any, kind: str) -> int:
    if isinstance(value, Named):
        return value.oid
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float | Decimal):
        number = int(Decimal(value).to_integral_value())
    elif isinstance(value, int):
        number = value
    else:
        text = str(value).strip()
        if not re.fullmatch(r"[-+]?\d+", text):
            raise _invalid(kind, str(value))
        number = int(text)
    bits = {"smallint": 15, "integer": 31, "oid": 32, "xid": 32}.get(kind, 63)
    if not -(1 << bits) <= number < 1 << bits:
        what = f'value "{value}" is out of range for type {kind}' if isinstance(value, str) else f"{kind} out of range"
        raise PgError(what, "22003")
    return number


def _boolean(value: Any) -> bool:
    if isinstance(value, bool | int):
        return bool(value)
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise _invalid("boolean", str(value))


def _read_moment(value: Any, kind: str) -> Any:
    if isinstance(value, datetime):
        if kind == "date":
            return value.date()
        return value.replace(tzinfo=UTC if "with time" in kind else None)
    if isinstance(value, date):
        return value if kind == "date" else datetime(value.year, value.month, value.day, tzinfo=UTC)
    text = str(value).strip()
    bare = re.sub(r"(?<=:\d\d)(\.\d+)?[+-]\d\d(:?00)?$|Z$| ?UTC$", lambda m: m.group(1) or "", text)
    try:
        moment = datetime.fromisoformat(bare)
    except ValueError:
        raise _invalid(kind, text) from None
    if kind == "date":
        return moment.date()
    return moment.replace(tzinfo=UTC if kind == "timestamp with time zone" else None)


def read_interval(text: str) -> Interval:
    """Read `5 minutes`, `1 day 02:00:00`, `-1h`.

    Raises:
        PgError: it is none.
    """
    months = days = 0.0
    seconds = 0.0
    rest = text.strip().lower().removeprefix("@ ")
    ago = rest.endswith(" ago")
    rest = rest.removesuffix(" ago")
    for number, unit, clock in re.findall(r"([-+]?\d+(?:\.\d+)?)\s*([a-z]+)|([-+]?\d+:\d+(?::\d+(?:\.\d+)?)?)", rest):
        if clock:
            sign = -1 if clock.startswith("-") else 1
            parts = [float(p) for p in clock.lstrip("+-").split(":")] + [0.0]
            seconds += sign * (parts[0] * 3600 + parts[1] * 60 + parts[2])
            continue
        amount, word = float(number), unit.removesuffix("s") if len(unit) > 1 else unit
        if word in ("year", "y", "yr"):
            months += 12 * amount
        elif word in ("month", "mon"):
            months += amount
        elif word in ("week", "w"):
            days += 7 * amount
        elif word in ("day", "d"):
            days += amount
        elif word in _UNITS:
            seconds += amount * _UNITS[word]
        else:
            raise _invalid("interval", text)
    if not re.search(r"\d", rest) or re.sub(r"[-+]?\d+(\.\d+)?\s*[a-z]+|[-+]?\d+:\d+(:\d+(\.\d+)?)?|\s", "", rest):
        if not re.fullmatch(r"[-+]?\d+(\.\d+)?", rest):
            raise _invalid("interval", text)
        seconds = float(rest)
    found = Interval(int(months), int(days), seconds)
    return found.times(-1) if ago else found


def read_array(text: str) -> list[Any]:
    """Read `{a,b,"c d"}`.

    Raises:
        PgError: it is none.
    """
    if not (text.startswith("{") and text.endswith("}")):
        raise PgError(f'malformed array literal: "{text}"', "22P02", detail='Array value must start with "{".')
    items: list[Any] = []
    for quoted, plain in re.findall(r'"((?:[^"\\]|\\.)*)"|([^,"]+)', text[1:-1]):
        if quoted:
            items.append(re.sub(r"\\(.)", r"\1", quoted))
        else:
            items.append(None if plain.strip().upper() == "NULL" else plain.strip())
    return items


# comparing and reckoning


def comparable(left: Any, right: Any) -> tuple[Any, Any]:
    """Return two values so that they can be compared.

    Raises:
        PgError: they cannot.
    """
    if isinstance(left, Named) and is_number(right):
        left = left.oid
    if isinstance(right, Named) and is_number(left):
        right = right.oid
    if is_number(left) and is_number(right):
        if isinstance(left, float) or isinstance(right, float):
            return float(left), float(right)
        return left, right
    if isinstance(left, Interval) and isinstance(right, Interval):
        return left.total(), right.total()
    if isinstance(left, datetime | date) and isinstance(right, datetime | date):
        return _instant(left), _instant(right)
    if isinstance(left, str) and not isinstance(right, str | list | tuple):
        return comparable(cast(left, type_of(right)), right)
    if isinstance(right, str) and not isinstance(left, str | list | tuple):
        return comparable(left, cast(right, type_of(left)))
    if isinstance(left, tuple | list) and isinstance(right, tuple | list):
        return [sort_key(v) for v in left], [sort_key(v) for v in right]
    return left, right


def _instant(value: Any) -> datetime:
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def sort_key(value: Any) -> tuple[int, Any]:
    """Return what a value is sorted by; nulls come last."""
    if value is None:
        return 1, 0
    if isinstance(value, Interval):
        return 0, value.total()
    if isinstance(value, datetime | date):
        return 0, _instant(value).timestamp()
    if isinstance(value, list | tuple):
        return 0, [sort_key(v) for v in value]
    if is_number(value):
        return 0, float(value)
    return 0, value


def moved(moment: Any, by: Interval, sign: int) -> datetime:
    """Return a moment moved by an interval."""
    base = moment if isinstance(moment, datetime) else datetime.combine(moment, datetime.min.time())
    months = sign * by.months
    if months:
        index = base.year * 12 + base.month - 1 + months
        year, month = divmod(index, 12)
        last = (date(year + (month == 11), (month + 1) % 12 + 1, 1) - timedelta(days=1)).day
        base = base.replace(year=year, month=month + 1, day=min(base.day, last))
    return base + timedelta(days=sign * by.days, seconds=sign * by.seconds)


def between(later: Any, earlier: Any) -> Interval:
    """Return the time between two moments."""
    gap = _instant(later) - _instant(earlier)
    micros = (gap.days * 86_400 + gap.seconds) * 1_000_000 + gap.microseconds
    sign = -1 if micros < 0 else 1
    days, rest = divmod(abs(micros), 86_400_000_000)
    return Interval(0, sign * days, sign * rest / 1e6)
