"""Functions in FROM, which give rows."""

from __future__ import annotations

import re
from typing import Any

from stratus.sim.apps.stores.postgres import tree as t
from stratus.sim.apps.stores.postgres.errors import PgError, unsupported
from stratus.sim.apps.stores.postgres.evaluate import Context
from stratus.sim.apps.stores.postgres.functions import call
from stratus.sim.apps.stores.postgres.values import Interval, cast, is_number


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
