"""Functions: of texts, numbers, times, and of the server itself."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from stratus.sim.apps.stores.postgres import tree as t
from stratus.sim.apps.stores.postgres.errors import PgError, unsupported
from stratus.sim.apps.stores.postgres.evaluate import Context
from stratus.sim.apps.stores.postgres.state import LETTERS, Relation
from stratus.sim.apps.stores.postgres.tables import settings, shown
from stratus.sim.apps.stores.postgres.values import Interval, between, cast, is_number, sort_key, type_of, written

Function = Callable[[Context, list[Any]], Any]
_STRICT: dict[str, tuple[int, int, Function]] = {}
_LOOSE: dict[str, Function] = {}
_PAGE = 8192


def strict(name: str, least: int, most: int | None = None) -> Callable[[Function], Function]:
    """Register a function of so many arguments that gives null for null."""

    def register(fn: Function) -> Function:
        for each in name.split():
            _STRICT[each] = (least, least if most is None else most, fn)
        return fn

    return register


def loose(name: str) -> Callable[[Function], Function]:
    """Register a function that looks at nulls itself."""

    def register(fn: Function) -> Function:
        for each in name.split():
            _LOOSE[each] = fn
        return fn

    return register


def call(expr: t.Call, args: list[Any], context: Context) -> Any:
    """Call a function.

    Raises:
        PgError: there is none of that name for those arguments.
    """
    found = _LOOSE.get(expr.name)
    if found is not None:
        return found(context, args)
    known = _STRICT.get(expr.name)
    if known is None or not known[0] <= len(args) <= known[1]:
        if expr.name in ("generate_series", "unnest", "regexp_matches", "json_array_elements", "jsonb_each"):
            raise unsupported(f"{expr.name}() outside FROM")
        kinds = ", ".join(
            "unknown" if isinstance(a, t.Literal) and a.unknown else type_of(v)
            for a, v in zip(expr.args, args, strict=True)
        )
        raise PgError(
            f"function {expr.name}({kinds}) does not exist", "42883", position=expr.at,
            hint="No function matches the given name and argument types. You might need to add explicit type casts.",
        )  # fmt: skip
    if any(a is None for a in args):
        return None
    try:
        return known[2](context, args)
    except (TypeError, ValueError, OverflowError, AttributeError):
        kinds = ", ".join(type_of(v) for v in args)
        raise PgError(f"function {expr.name}({kinds}) does not exist", "42883", position=expr.at) from None


# whatever the type


@loose("coalesce")
def _coalesce(context: Context, args: list[Any]) -> Any:
    return next((a for a in args if a is not None), None)


@loose("greatest")
def _greatest(context: Context, args: list[Any]) -> Any:
    return max((a for a in args if a is not None), key=sort_key, default=None)


@loose("least")
def _least(context: Context, args: list[Any]) -> Any:
    return min((a for a in args if a is not None), key=sort_key, default=None)


@loose("nullif")
def _nullif(context: Context, args: list[Any]) -> Any:
    from stratus.sim.apps.stores.postgres.evaluate import operate

    return None if operate("=", args[0], args[1]) else args[0]


@loose("concat")
def _concat(context: Context, args: list[Any]) -> str:
    return "".join(cast(a, "text") for a in args if a is not None)


@loose("concat_ws")
def _concat_ws(context: Context, args: list[Any]) -> str:
    return str(args[0]).join(cast(a, "text") for a in args[1:] if a is not None)


@loose("format")
def _format(context: Context, args: list[Any]) -> str:
    values = iter(args[1:])
    return re.sub(r"%[sIL]", lambda m: cast(next(values, ""), "text") or "", str(args[0]))


@loose("pg_typeof")
def _typeof(context: Context, args: list[Any]) -> str:
    return type_of(args[0])


# texts

for _name, _fn in {
    "lower": lambda s: s.lower(), "upper": lambda s: s.upper(), "reverse": lambda s: s[::-1],
    "initcap": lambda s: s.title(), "md5": lambda s: hashlib.md5(s.encode(), usedforsecurity=False).hexdigest(),
    "quote_ident": lambda s: s if re.fullmatch(r"[a-z_][a-z0-9_$]*", s) else '"' + s.replace('"', '""') + '"',
    "quote_literal": lambda s: "'" + s.replace("'", "''") + "'", "ascii": lambda s: ord(s[0]) if s else 0,
}.items():  # fmt: skip
    _STRICT[_name] = (1, 1, lambda context, args, fn=_fn: fn(cast(args[0], "text")))  # type: ignore[misc]


@strict("length char_length character_length octet_length", 1)
def _length(context: Context, args: list[Any]) -> int:
    return len(args[0])


@strict("btrim ltrim rtrim trim", 1, 2)
def _trim(context: Context, args: list[Any]) -> str:
    return str(args[0]).strip(args[1] if len(args) > 1 else " ")


@strict("substring substr", 2, 3)
def _substring(context: Context, args: list[Any]) -> str | None:
    text = args[0]
    if isinstance(args[1], str):
        found = re.search(args[1], text)
        return (found.group(1) if found.groups() else found.group()) if found else None
    begin = args[1] - 1
    end = begin + args[2] if len(args) > 2 else len(text)
    return str(text[max(begin, 0) : max(end, 0)])


@strict("left right", 2)
def _left(context: Context, args: list[Any]) -> str:
    return str(args[0][: args[1]])


_STRICT["right"] = (
    2,
    2,
    lambda context, args: args[0][-args[1] :] if args[1] > 0 else args[0][-args[1] :][: max(len(args[0]) + args[1], 0)],
)


@strict("replace", 3)
def _replace(context: Context, args: list[Any]) -> str:
    return str(args[0].replace(args[1], args[2]))


@strict("split_part", 3)
def _split_part(context: Context, args: list[Any]) -> str:
    parts = args[0].split(args[1])
    return parts[args[2] - 1] if 0 < args[2] <= len(parts) else ""


@strict("strpos position", 2)
def _strpos(context: Context, args: list[Any]) -> int:
    return int(args[0].find(args[1])) + 1


@strict("lpad rpad", 2, 3)
def _pad(context: Context, args: list[Any]) -> str:
    return str(args[0].rjust(args[1], args[2] if len(args) > 2 else " "))[: args[1]]


@strict("repeat", 2)
def _repeat(context: Context, args: list[Any]) -> str:
    if len(args[0]) * args[1] > 1 << 24:
        raise PgError("requested length too large", "54000")
    return str(args[0] * max(args[1], 0))


@strict("regexp_replace", 3, 4)
def _regexp_replace(context: Context, args: list[Any]) -> str:
    flags = args[3] if len(args) > 3 else ""
    found: str = re.sub(
        args[1], args[2], args[0], count=0 if "g" in flags else 1, flags=re.IGNORECASE if "i" in flags else 0
    )
    return found


@strict("starts_with", 2)
def _starts_with(context: Context, args: list[Any]) -> bool:
    return bool(args[0].startswith(args[1]))


@strict("array_to_string", 2, 3)
def _array_to_string(context: Context, args: list[Any]) -> str:
    return str(args[1]).join(cast(v, "text") for v in args[0] if v is not None)


@strict("string_to_array", 2)
def _string_to_array(context: Context, args: list[Any]) -> list[str]:
    return list(args[0].split(args[1]))


@strict("array_length cardinality", 1, 2)
def _array_length(context: Context, args: list[Any]) -> int | None:
    return len(args[0]) or None


# numbers


@strict("round", 1, 2)
def _round(context: Context, args: list[Any]) -> Any:
    if len(args) > 1:
        return Decimal(str(args[0])).quantize(Decimal(1).scaleb(-args[1]), ROUND_HALF_UP)
    if isinstance(args[0], float):
        return float(round(args[0]))
    return Decimal(args[0]).quantize(Decimal(1), ROUND_HALF_UP)


for _name, _number in {
    "floor": math.floor, "ceil": math.ceil, "ceiling": math.ceil, "abs": abs, "sqrt": math.sqrt, "ln": math.log,
    "exp": math.exp, "log": math.log10, "sign": lambda v: (v > 0) - (v < 0), "trunc": math.trunc,
}.items():  # fmt: skip
    _STRICT[_name] = (1, 1, lambda context, args, fn=_number: fn(args[0]))  # type: ignore[misc]


@strict("power pow", 2)
def _power(context: Context, args: list[Any]) -> float:
    return math.pow(float(args[0]), float(args[1]))


@strict("mod", 2)
def _mod(context: Context, args: list[Any]) -> Any:
    from stratus.sim.apps.stores.postgres.evaluate import operate

    return operate("%", args[0], args[1])


@strict("random", 0)
def _random(context: Context, args: list[Any]) -> float:
    state = context.session.state
    text = f"{state.transactions} {context.session.pid} {id_of(context)}"
    return int(hashlib.sha256(text.encode()).hexdigest()[:13], 16) / 16**13


def id_of(context: Context) -> str:
    """Return what tells one row from another, for numbers that only look random."""
    return repr(sorted((k, sorted((c, written(v)) for c, v in r.items())) for k, r in context.scope.items()))


@strict("gen_random_uuid", 0)
def _uuid(context: Context, args: list[Any]) -> str:
    digest = hashlib.sha256(f"{context.session.state.transactions} {id_of(context)}".encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"


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


# the server


def _position(transactions: int) -> str:
    """Return how far the log of all changes has come."""
    return f"0/{transactions * 4096 + 0x1500000:X}"


@strict("version", 0)
def _version(context: Context, args: list[Any]) -> str:
    version = context.session.state.version
    built = "on x86_64-pc-linux-gnu, compiled by gcc (Debian 12.2.0-14) 12.2.0, 64-bit"
    return f"PostgreSQL {version} (Debian {version}-1.pgdg12+1) {built}"


for _names, _info in {
    "current_database current_catalog": lambda s: s.database, "current_user user current_role": lambda s: s.user,
    "session_user": lambda s: s.session_user, "pg_backend_pid": lambda s: s.pid,
    "current_schema": lambda s: next((p for p in s.path() if p in s.catalog.schemas), None),
    "pg_postmaster_start_time": lambda s: s.time(s.state.started),
    "pg_conf_load_time": lambda s: s.time(s.state.reloaded),
    "pg_is_in_recovery": lambda s: False, "txid_current pg_current_xact_id": lambda s: s.state.transactions,
    "pg_current_wal_lsn pg_current_wal_insert_lsn pg_last_wal_replay_lsn": lambda s: _position(s.state.transactions),
    "inet_server_addr": lambda s: None, "inet_server_port": lambda s: None,
    "inet_client_addr": lambda s: s.address or None,
    "pg_stat_reset pg_stat_statements_reset pg_stat_clear_snapshot": lambda s: "",
    "pg_rotate_logfile pg_switch_wal": lambda s: True, "lastval": lambda s: None,
    "pg_jit_available": lambda s: False, "pg_client_encoding": lambda s: "UTF8",
}.items():  # fmt: skip
    for _name in _names.split():
        _STRICT[_name] = (0, 0, lambda context, args, fn=_info: fn(context.session))  # type: ignore[misc]


@strict("current_schemas", 1)
def _current_schemas(context: Context, args: list[Any]) -> list[str]:
    found = [p for p in context.session.path() if p in context.session.catalog.schemas]
    return ["pg_catalog", *found] if args[0] else found


@strict("current_setting", 1, 2)
def _current_setting(context: Context, args: list[Any]) -> str | None:
    name = {n.lower(): n for n in settings()}.get(str(args[0]).lower())
    if name is None:
        if args[0] in context.session.own:
            return context.session.own[args[0]]
        if args[0] in ("server_version", "server_version_num"):
            return context.session.state.version
        if len(args) > 1 and args[1]:
            return None
        raise PgError(f'unrecognized configuration parameter "{args[0]}"', "42704")
    return shown(name, context.session.setting(name))


@strict("set_config", 3)
def _set_config(context: Context, args: list[Any]) -> str:
    context.session.own[args[0]] = args[1]
    return str(args[1])


@strict("pg_reload_conf", 0)
def _reload(context: Context, args: list[Any]) -> bool:
    from stratus.sim.apps.stores.postgres.defining import reload

    if not context.session.state.is_super(context.session.user):
        raise PgError("permission denied for function pg_reload_conf", "42501")
    reload(context.session)
    return True


def _signal(context: Context, pid: int, *, ends: bool) -> bool:
    session, state = context.session, context.session.state
    backend = state.backends.get(pid)
    user = (
        backend.user
        if backend is not None
        else next((r["usename"] for r in activity(session) if r["pid"] == pid), None)
    )
    if user is None:
        session.notice(f"PID {pid} is not a PostgreSQL backend process", "WARNING")
        return False
    if (
        not state.is_super(session.user)
        and not state.reaches(session.user, str(user))
        and not state.reaches(session.user, "pg_signal_backend")
    ):
        verb = "terminate process" if ends else "cancel query"
        raise PgError(f"permission denied to {verb}", "42501")
    if pid == session.pid and ends:
        session.ended = True
        raise PgError("terminating connection due to administrator command", "57P01", severity="FATAL")
    if backend is not None and (ends or backend.state == "active"):
        del state.backends[pid]
    return True


@strict("pg_terminate_backend", 1, 2)
def _terminate(context: Context, args: list[Any]) -> bool:
    return _signal(context, args[0], ends=True)


@strict("pg_cancel_backend", 1)
def _cancel(context: Context, args: list[Any]) -> bool:
    return _signal(context, args[0], ends=False)


@strict("pg_blocking_pids", 1)
def _blocking(context: Context, args: list[Any]) -> list[int]:
    from stratus.sim.apps.stores.postgres.catalog import blockers

    return blockers(context.session, args[0])


def activity(session: Any) -> list[dict[str, Any]]:
    """Return the rows of pg_stat_activity."""
    from stratus.sim.apps.stores.postgres.catalog import activity_rows

    return activity_rows(session)


@strict("pg_advisory_lock pg_advisory_unlock pg_try_advisory_lock pg_advisory_unlock_all", 0, 2)
def _advisory(context: Context, args: list[Any]) -> bool:
    return True


# sizes


def relation_size(relation: Relation) -> int:
    """Return the bytes of a table on disk."""
    width = 28 + 8 * len(relation.columns)
    used = sum(width + sum(len(written(v) or "") for v in row) for row in relation.rows) + relation.dead * width
    return -(-used // _PAGE) * _PAGE


def indexes_size(relation: Relation) -> int:
    """Return the bytes of a table's indexes."""
    return len(relation.indexes) * (2 * _PAGE + -(-len(relation.rows) * 24 // _PAGE) * _PAGE)


def database_size(catalog: Any) -> int:
    """Return the bytes of a database."""
    return 7_602_703 + sum(relation_size(r) + indexes_size(r) for r in catalog.relations.values())


@strict("pg_size_pretty", 1)
def _size_pretty(context: Context, args: list[Any]) -> str:
    return size_pretty(int(args[0]))


def size_pretty(size: int) -> str:
    """Return a size as people read it."""
    units = ["bytes", "kB", "MB", "GB", "TB"]
    value = float(size)
    while abs(value) >= 10240 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{int(value + 0.5)} {units[0]}"


def _named(context: Context, value: Any) -> Relation | None:
    session = context.session
    if isinstance(value, int):
        return next((r for r in session.catalog.relations.values() if r.oid == value), None)
    parts = tuple(p.strip('"') for p in str(value).split("."))
    return session.find(parts)


@strict("pg_relation_size pg_table_size", 1, 2)
def _relation_size(context: Context, args: list[Any]) -> int | None:
    found = _named(context, args[0])
    return relation_size(found) if found is not None else None


@strict("pg_indexes_size", 1)
def _indexes_size(context: Context, args: list[Any]) -> int | None:
    found = _named(context, args[0])
    return indexes_size(found) if found is not None else None


@strict("pg_total_relation_size", 1)
def _total_size(context: Context, args: list[Any]) -> int | None:
    found = _named(context, args[0])
    return relation_size(found) + indexes_size(found) if found is not None else None


@strict("pg_database_size", 1)
def _database_size(context: Context, args: list[Any]) -> int:
    found = next((c for c in context.session.state.catalogs.values() if args[0] in (c.name, c.oid)), None)
    if found is None:
        raise PgError(f'database "{args[0]}" does not exist', "3D000")
    return database_size(found)


@strict("pg_tablespace_size", 1)
def _tablespace_size(context: Context, args: list[Any]) -> int:
    return sum(database_size(c) for c in context.session.state.catalogs.values())


# rights and names


@strict("has_table_privilege", 2, 3)
def _has_table(context: Context, args: list[Any]) -> bool:
    user, table, right = args if len(args) == 3 else [context.session.user, *args]
    found = _named(context, table)
    letter = LETTERS.get(str(right).lower())
    if letter is None:
        raise PgError(f'unrecognized privilege type: "{right}"', "22023")
    return found is not None and context.session.state.may_use(user, context.session.catalog, found, letter)


@strict("has_schema_privilege", 2, 3)
def _has_schema(context: Context, args: list[Any]) -> bool:
    user, schema, _ = args if len(args) == 3 else [context.session.user, *args]
    return context.session.state.may_enter(user, context.session.catalog, schema)


@strict("has_database_privilege", 2, 3)
def _has_database(context: Context, args: list[Any]) -> bool:
    user, name, right = args if len(args) == 3 else [context.session.user, *args]
    state = context.session.state
    catalog = state.catalogs.get(name)
    if catalog is None:
        raise PgError(f'database "{name}" does not exist', "3D000")
    return state.allowed(user, catalog.acl, catalog.owner, LETTERS.get(str(right).lower(), "c"), "Tc")


@strict("pg_has_role", 2, 3)
def _has_role(context: Context, args: list[Any]) -> bool:
    user, role, _ = args if len(args) == 3 else [context.session.user, *args]
    return context.session.state.reaches(user, role)


@strict("pg_get_userbyid", 1)
def _user_by_id(context: Context, args: list[Any]) -> str:
    return next((r.name for r in context.session.state.roles.values() if r.oid == args[0]), f"unknown (OID={args[0]})")


@strict("pg_get_viewdef", 1, 2)
def _viewdef(context: Context, args: list[Any]) -> str | None:
    found = _named(context, args[0])
    return " " + found.query if found is not None else None


@loose("obj_description col_description shobj_description pg_get_expr pg_get_constraintdef")
def _no_description(context: Context, args: list[Any]) -> None:
    return None


@loose("format_type")
def _format_type(context: Context, args: list[Any]) -> str:
    return cast(args[0], "text") if args else ""


@strict("pg_table_is_visible pg_function_is_visible pg_type_is_visible", 1)
def _visible(context: Context, args: list[Any]) -> bool:
    found = _named(context, args[0])
    return found is not None and found.schema in context.session.path()


# in FROM


def rows_of(expr: t.Call, args: list[Any], context: Context, alias: str) -> tuple[list[str], list[list[Any]]]:
    """Return the columns and rows of a function in FROM."""
    name = alias or expr.name
    if expr.name == "generate_series":
        return [name], [[v] for v in _series(args)]
    if expr.name in (
        "unnest",
        "json_array_elements",
        "json_array_elements_text",
        "jsonb_array_elements",
        "jsonb_array_elements_text",
    ):
        values = args[0] if isinstance(args[0], list) else [] if args[0] is None else cast(args[0], "text[]")
        return [name], [[v] for v in values]
    if expr.name in ("regexp_split_to_table", "string_to_table"):
        return [name], [[v] for v in re.split(args[1] if expr.name[0] == "r" else re.escape(args[1]), args[0])]
    if expr.name in ("pg_stat_get_activity", "pg_lock_status", "pg_ls_dir", "pg_show_all_settings"):
        raise unsupported(f"{expr.name}()")
    return [name], [[call(expr, args, context)]]


def _series(args: list[Any]) -> list[Any]:
    if any(a is None for a in args) or len(args) < 2:
        return []
    first, last = args[0], args[1]
    found: list[Any] = []
    if is_number(first):
        step = args[2] if len(args) > 2 else 1
        if step == 0:
            raise PgError("step size cannot equal zero", "22023")
        while (first <= last if step > 0 else first >= last) and len(found) < 100_000:
            found.append(first)
            first += step
        return found
    from stratus.sim.apps.stores.postgres.values import moved

    first, last = (cast(v, "timestamp with time zone") for v in (first, last))
    step = cast(args[2], "interval") if len(args) > 2 else Interval(0, 1)
    if step.total() <= 0:
        raise PgError("step size cannot equal zero", "22023")
    while first <= last and len(found) < 100_000:
        found.append(first)
        first = moved(first, step, 1)
    return found


__all__ = ["call", "database_size", "rows_of", "size_pretty"]
