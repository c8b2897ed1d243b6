"""Functions of times, and those that take time."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from stratus.sim.apps.stores.postgres.errors import PgError
from stratus.sim.apps.stores.postgres.evaluate import Context
from stratus.sim.apps.stores.postgres.functions import loose, strict
from stratus.sim.apps.stores.postgres.values import Interval, between, cast, is_number, type_of


# times
@strict("now current_timestamp transaction_timestamp", 0)
def _now(context: Context, args: list[Any]) -> datetime:
    session = context.session
    return session.time(session.begun or session.moment)


@strict("clock_timestamp statement_timestamp timeofday", 0)
def _clock(context: Context, args: list[Any]) -> datetime:
    return context.session.time()


@strict("current_date", 0)
def _today(context: Context, args: list[Any]) -> date:
    return context.session.time().date()


@strict("localtimestamp", 0)
def _local(context: Context, args: list[Any]) -> datetime:
    return context.session.time().replace(tzinfo=None)


@strict("age", 1, 2)
def _age(context: Context, args: list[Any]) -> Interval:
    if len(args) == 1:
        return between(context.session.time().replace(hour=0, minute=0, second=0, microsecond=0), args[0])
    return between(args[0], args[1])


@strict("date_trunc", 2)
def _date_trunc(context: Context, args: list[Any]) -> Any:
    unit, value = str(args[0]).lower(), args[1]
    if isinstance(value, Interval):
        scale = {"second": 1, "minute": 60, "hour": 3600}.get(unit, 86400)
        return Interval(value.months, value.days, value.seconds // scale * scale)
    names = ("year", "month", "day", "hour", "minute", "second")
    if unit == "week":
        return (value - timedelta(days=value.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    if unit not in names:
        raise PgError(f'unit "{unit}" not recognized for type timestamp with time zone', "22023")
    first = {"month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0}
    rest = {n: first[n] for n in names[names.index(unit) + 1 :]}
    return value.replace(microsecond=0, **rest)


@strict("extract date_part", 2)
def _extract(context: Context, args: list[Any]) -> Any:
    part, value = str(args[0]).lower(), args[1]
    if isinstance(value, str):
        value = cast(value, "timestamp with time zone")
    if isinstance(value, Interval):
        numbers = {
            "epoch": value.total(), "second": value.seconds % 60, "seconds": value.seconds % 60,
            "minute": value.seconds // 60 % 60, "hour": value.seconds // 3600, "day": value.days, "days": value.days,
        }  # fmt: skip
    else:
        moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day, tzinfo=UTC)
        numbers = {
            "epoch": moment.timestamp(), "year": moment.year, "month": moment.month, "day": moment.day,
            "hour": moment.hour, "minute": moment.minute, "second": moment.second + moment.microsecond / 1e6,
            "dow": moment.isoweekday() % 7, "isodow": moment.isoweekday(), "doy": moment.timetuple().tm_yday,
        }  # fmt: skip
    if part not in numbers:
        raise PgError(f'unit "{part}" not recognized for type {type_of(value)}', "22023")
    found = numbers[part]
    return Decimal(f"{found:.6f}") if part in ("epoch", "second", "seconds") else Decimal(int(found))


@strict("to_timestamp", 1)
def _to_timestamp(context: Context, args: list[Any]) -> datetime:
    return context.session.time(float(args[0]))


@strict("timezone", 2)
def _timezone(context: Context, args: list[Any]) -> Any:
    return args[1].replace(tzinfo=None) if isinstance(args[1], datetime) and args[1].tzinfo else args[1]


_CHARS = {
    "YYYY": "%Y", "MM": "%m", "DD": "%d", "HH24": "%H", "HH12": "%I", "HH": "%I", "MI": "%M", "SS": "%S", "MS": "%f",
    "Mon": "%b", "Month": "%B", "Dy": "%a", "Day": "%A", "YY": "%y",
}  # fmt: skip


@strict("to_char", 2)
def _to_char(context: Context, args: list[Any]) -> str:
    if is_number(args[0]):
        places = len(args[1].partition(".")[2])
        return f" {float(args[0]):,.{places}f}" if "," in args[1] else f" {float(args[0]):.{places}f}"
    value = args[0]
    if isinstance(value, Interval):
        value = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=value.total())
    return re.sub("|".join(sorted(_CHARS, key=len, reverse=True)), lambda m: value.strftime(_CHARS[m.group()]), args[1])


@loose("pg_sleep")
def _sleep(context: Context, args: list[Any]) -> str:
    context.session.wait(max(float(args[0] or 0), 0.0), "sleep")
    return ""


@loose("pg_sleep_for")
def _sleep_for(context: Context, args: list[Any]) -> str:
    context.session.wait(cast(args[0], "interval").total(), "sleep")
    return ""
