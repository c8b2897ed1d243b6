"""Functions of texts and numbers, and how functions are called."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from stratus.sim.apps.stores.postgres import tree as t
from stratus.sim.apps.stores.postgres.errors import PgError, unsupported
from stratus.sim.apps.stores.postgres.evaluate import Context
from stratus.sim.apps.stores.postgres.values import cast, sort_key, type_of, written

Function = Callable[[Context, list[Any]], Any]


STRICT: dict[str, tuple[int, int, Function]] = {}


LOOSE: dict[str, Function] = {}


def strict(name: str, least: int, most: int | None = None) -> Callable[[Function], Function]:
    """Register a function of so many arguments that gives null for null."""

    def register(fn: Function) -> Function:
        for each in name.split():
            STRICT[each] = (least, least if most is None else most, fn)
        return fn

    return register


def loose(name: str) -> Callable[[Function], Function]:
    """Register a function that looks at nulls itself."""

    def register(fn: Function) -> Function:
        for each in name.split():
            LOOSE[each] = fn
        return fn

    return register


def call(expr: t.Call, args: list[Any], context: Context) -> Any:
    """Call a function.

    Raises:
        PgError: there is none of that name for those arguments.
    """
    found = LOOSE.get(expr.name)
    if found is not None:
        return found(context, args)
    known = STRICT.get(expr.name)
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
    from stratus.sim.apps.stores.postgres.operators import operate

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
    STRICT[_name] = (1, 1, lambda context, args, fn=_fn: fn(cast(args[0], "text")))  # type: ignore[misc]


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


STRICT["right"] = (
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
    STRICT[_name] = (1, 1, lambda context, args, fn=_number: fn(args[0]))  # type: ignore[misc]


@strict("power pow", 2)
def _power(context: Context, args: list[Any]) -> float:
    return math.pow(float(args[0]), float(args[1]))


@strict("mod", 2)
def _mod(context: Context, args: list[Any]) -> Any:
    from stratus.sim.apps.stores.postgres.operators import operate

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
