"""Works out expressions over rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from stratus.sim.apps.stores.postgres import tree as t
from stratus.sim.apps.stores.postgres.errors import PgError
from stratus.sim.apps.stores.postgres.values import (
    Interval,
    cast,
    is_number,
    sort_key,
    type_of,
    written,
)

if TYPE_CHECKING:
    from stratus.sim.apps.stores.postgres.session import Session
from stratus.sim.apps.stores.postgres.operators import NO_OPERATOR, compare, operate

#: Column values by the name of the table they come from.
Scope = dict[str, dict[str, Any]]


AGGREGATES = frozenset(
    {"count", "sum", "avg", "min", "max", "bool_or", "bool_and", "every", "array_agg", "string_agg", "json_agg"}
    | {"jsonb_agg", "stddev", "variance"}
)


@dataclass
class Context:
    """Where an expression is worked out: the session, the row, the rows of the group, and what is around.

    Attributes:
        scope: the present row; `group`: all rows of the group when aggregates may be used.
        outer: the row of the query around this one.
        named: queries named by WITH: name -> (columns, rows).
    """

    session: Session
    scope: Scope = field(default_factory=dict)
    group: list[Scope] | None = None
    outer: Context | None = None
    named: dict[str, tuple[list[str], list[list[Any]]]] = field(default_factory=dict)
    grouped: list[t.Expr] = field(default_factory=list)

    def with_row(self, scope: Scope) -> Context:
        """Return the same with another row."""
        return Context(self.session, scope, None, self.outer, self.named)

    def query(self, name: str) -> tuple[list[str], list[list[Any]]] | None:
        """Return the rows of a query named by WITH, here or around."""
        if name in self.named:
            return self.named[name]
        return self.outer.query(name) if self.outer is not None else None


def value_of(expr: t.Expr, context: Context) -> Any:
    """Work out an expression.

    Raises:
        PgError: it cannot be worked out.
    """
    return _HANDLERS[type(expr)](expr, context)


def truth(expr: t.Expr, context: Context, where: str = "WHERE") -> bool:
    """Tell whether a condition holds.

    Raises:
        PgError: it is no condition.
    """
    value = value_of(expr, context)
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str):
        return bool(cast(value, "boolean"))
    raise PgError(f"argument of {where} must be type boolean, not type {type_of(value)}", "42804", position=place(expr))


def place(expr: Any) -> int | None:
    """Return where an expression begins, as far as that is known."""
    for name in ("left", "value"):
        inner = getattr(expr, name, None)
        if inner is not None and not isinstance(inner, str):
            found = place(inner)
            if found is not None:
                return found
    return getattr(expr, "at", None)


def _column(expr: t.Column, context: Context) -> Any:
    here: Context | None = context
    while here is not None:
        found = _look(expr, here)
        if found is not None:
            return found[0]
        here = here.outer
    raise missing_column(expr, context)


def _look(expr: t.Column, context: Context) -> tuple[Any] | None:
    name = expr.parts[-1]
    if len(expr.parts) > 1:
        table = context.scope.get(expr.parts[-2])
        if table is None:
            return None
        return (table[name],) if name in table else None
    places = [table for table in context.scope.values() if name in table]
    if len(places) > 1:
        raise PgError(f'column reference "{name}" is ambiguous', "42702", position=expr.at)
    if places:
        return (places[0][name],)
    if name in context.scope:
        # A whole row.
        return (tuple(context.scope[name].values()),)
    return None


def missing_column(expr: t.Column, context: Context) -> PgError:
    """Return the error about a column that is nowhere."""
    if len(expr.parts) > 1:
        table = expr.parts[-2]
        if table not in context.scope:
            return PgError(f'missing FROM-clause entry for table "{table}"', "42P01", position=expr.at)
        near = _near(expr.parts[-1], {table: context.scope[table]})
        hint = f'Perhaps you meant to reference the column "{near}".' if near else ""
        return PgError(f"column {table}.{expr.parts[-1]} does not exist", "42703", position=expr.at, hint=hint)
    near = _near(expr.parts[-1], context.scope)
    hint = f'Perhaps you meant to reference the column "{near}".' if near else ""
    return PgError(f'column "{expr.parts[-1]}" does not exist', "42703", position=expr.at, hint=hint)


def _near(name: str, scope: Scope) -> str:
    best, found = 3, ""
    for table, columns in scope.items():
        for column in columns:
            distance = _distance(name, column)
            if distance < best and distance <= max(len(name), 1) / 2:
                best, found = distance, f"{table}.{column}"
    return found


@lru_cache(maxsize=2048)
def _distance(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


# operators
def _unary(expr: t.Unary, context: Context) -> Any:
    value = value_of(expr.value, context)
    if expr.op == "not":
        return None if value is None else not cast(value, "boolean")
    if value is None or expr.op == "+":
        return value
    if isinstance(value, Interval):
        return value.times(-1)
    if not is_number(value):
        raise PgError(
            f"operator does not exist: {expr.op} {type_of(value)}", "42883", position=expr.at, hint=NO_OPERATOR
        )
    return -value


def _binary(expr: t.Binary, context: Context) -> Any:
    if expr.op in ("and", "or"):
        return _logical(expr, context)
    left, right = value_of(expr.left, context), value_of(expr.right, context)
    return operate(expr.op, left, right, expr.at, expr)


def _logical(expr: t.Binary, context: Context) -> bool | None:
    short = expr.op == "or"
    left = _as_condition(value_of(expr.left, context), expr, expr.left)
    if left is short:
        return short
    right = _as_condition(value_of(expr.right, context), expr, expr.right)
    if right is short:
        return short
    return None if left is None or right is None else not short


def _as_condition(value: Any, expr: t.Binary, part: t.Expr) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return bool(cast(value, "boolean"))
    what = f"argument of {expr.op.upper()} must be type boolean, not type {type_of(value)}"
    raise PgError(what, "42804", position=place(part))


# conditions
def _test(expr: t.Test, context: Context) -> bool:
    value = value_of(expr.value, context)
    if expr.kind == "null":
        hit = value is None
    elif expr.kind == "distinct":
        assert expr.other is not None
        other = value_of(expr.other, context)
        hit = (value is None) != (other is None) or (value is not None and not compare("=", value, other, 0, None))
    else:
        hit = value is not None and bool(value) == (expr.kind == "true")
    return hit != expr.negated


def _among(expr: t.Among, context: Context) -> bool | None:
    value = value_of(expr.value, context)
    if isinstance(expr.options, t.Select):
        options = _rows(expr.options, context)
    else:
        options = [value_of(o, context) for o in expr.options]
    return _any("=", value, options, expr.negated)


def _any(op: str, value: Any, options: list[Any], negated: bool = False) -> bool | None:
    if value is None:
        return None if options else negated
    unknown = False
    for option in options:
        hit = operate(op, value, option)
        if hit:
            return not negated
        unknown = unknown or hit is None
    return None if unknown else negated


def _rows(query: t.Select, context: Context) -> list[Any]:
    from stratus.sim.apps.stores.postgres.select import run_select

    columns, rows = run_select(query, context.session, context)
    if len(columns) != 1:
        raise PgError("subquery has too many columns", "42601")
    return [r[0] for r in rows]


def _between(expr: t.Between, context: Context) -> bool | None:
    value = value_of(expr.value, context)
    low = operate(">=", value, value_of(expr.low, context))
    high = operate("<=", value, value_of(expr.high, context))
    if low is None or high is None:
        return None
    return bool(low and high) != expr.negated


def _quantified(expr: t.Quantified, context: Context) -> bool | None:
    left, right = value_of(expr.left, context), value_of(expr.right, context)
    if isinstance(right, str):
        right = cast(right, "text[]")
    if right is None:
        return None
    if not isinstance(right, list):
        raise PgError("op ANY/ALL (array) requires array on right side", "42809", position=expr.at)
    if not expr.every:
        return _any(expr.op, left, right)
    hits = [operate(expr.op, left, v) for v in right]
    return False if any(h is False for h in hits) else None if any(h is None for h in hits) else True


def _subquery(expr: t.SubQuery, context: Context) -> Any:
    from stratus.sim.apps.stores.postgres.select import run_select

    columns, rows = run_select(expr.query, context.session, context)
    if expr.exists:
        return bool(rows)
    if len(columns) != 1:
        raise PgError("subquery must return only one column", "42601", position=expr.query.at)
    if expr.array:
        return [r[0] for r in rows]
    if len(rows) > 1:
        raise PgError("more than one row returned by a subquery used as an expression", "21000")
    return rows[0][0] if rows else None


def _case(expr: t.Case, context: Context) -> Any:
    subject = value_of(expr.operand, context) if expr.operand is not None else None
    for condition, result in expr.branches:
        value = value_of(condition, context)
        hit = operate("=", subject, value) if expr.operand is not None else value
        if hit:
            return value_of(result, context)
    return value_of(expr.otherwise, context) if expr.otherwise is not None else None


def _element(expr: t.Element, context: Context) -> Any:
    value, index = value_of(expr.value, context), value_of(expr.index, context)
    if not isinstance(value, list) or not isinstance(index, int):
        return None
    return value[index - 1] if 1 <= index <= len(value) else None


def _cast(expr: t.Cast, context: Context) -> Any:
    value = value_of(expr.value, context)
    if expr.type in ("regclass", "regtype", "regproc", "regrole", "regnamespace"):
        from stratus.sim.apps.stores.postgres.catalog import named_object

        return named_object(context.session, value, expr.type)
    try:
        return cast(value, expr.type)
    except PgError as error:
        if isinstance(expr.value, t.Literal):
            error.position = expr.value.at if expr.value.unknown else None
        raise


def _array(expr: t.ArrayOf, context: Context) -> list[Any]:
    return [value_of(i, context) for i in expr.items]


# functions
def _call(expr: t.Call, context: Context) -> Any:
    if expr.name in AGGREGATES:
        if context.group is None:
            raise PgError(
                f"aggregate functions are not allowed in {'WHERE' if context.scope else 'this place'}",
                "42803",
                position=expr.at,
            )
        return aggregate(expr, context)
    from stratus.sim.apps.stores.postgres import serverfunctions, times  # noqa: F401
    from stratus.sim.apps.stores.postgres.functions import call

    return call(expr, [value_of(a, context) for a in expr.args], context)


def aggregate(expr: t.Call, context: Context) -> Any:
    """Work out an aggregate over the rows of the group."""
    group = context.group or []
    rows = [context.with_row(scope) for scope in group]
    if expr.filter is not None:
        rows = [r for r in rows if truth(expr.filter, r, "FILTER")]
    if expr.order:
        keys = expr.order
        for order in reversed(keys):
            rows.sort(key=lambda r, o=order: sort_key(value_of(o.value, r)), reverse=order.descending)  # type: ignore[misc]
    if expr.star or not expr.args:
        if expr.name != "count":
            raise PgError(f"function {expr.name}() does not exist", "42883", position=expr.at)
        return len(rows)
    values = [value_of(expr.args[0], r) for r in rows]
    if expr.name != "array_agg":
        values = [v for v in values if v is not None]
    if expr.distinct:
        values = list({written(v): v for v in values}.values())
    separator = value_of(expr.args[1], rows[0]) if len(expr.args) > 1 and rows else ""
    return _aggregated(expr, values, separator)


def _aggregated(expr: t.Call, values: list[Any], separator: Any) -> Any:
    name = expr.name
    if name == "count":
        return len(values)
    if name in ("array_agg", "json_agg", "jsonb_agg"):
        return values or None
    if not values:
        return None
    if name == "string_agg":
        return str(separator).join(cast(v, "text") for v in values)
    if name in ("bool_or", "bool_and", "every"):
        return any(values) if name == "bool_or" else all(values)
    if name in ("min", "max"):
        return (min if name == "min" else max)(values, key=sort_key)
    if isinstance(values[0], Interval):
        whole = Interval(0, 0, sum(v.total() for v in values))
        return whole if name == "sum" else whole.times(1 / len(values))
    if not all(is_number(v) for v in values):
        raise PgError(
            f"function {name}({type_of(values[0])}) does not exist", "42883", position=expr.at,
            hint="No function matches the given name and argument types. You might need to add explicit type casts.",
        )  # fmt: skip
    if name == "sum":
        return sum(values)
    mean = operate("/", Decimal(0) + sum(Decimal(str(v)) for v in values), Decimal(len(values)))
    if name == "avg":
        return float(mean) if isinstance(values[0], float) else mean
    middle = float(mean)
    spread = sum((float(v) - middle) ** 2 for v in values) / max(len(values) - 1, 1)
    return spread if name == "variance" else spread**0.5


_HANDLERS: dict[type, Callable[[Any, Context], Any]] = {
    t.Literal: lambda e, c: e.value,
    t.Column: _column,
    t.Call: _call,
    t.Binary: _binary,
    t.Unary: _unary,
    t.Cast: _cast,
    t.Case: _case,
    t.Test: _test,
    t.Among: _among,
    t.Between: _between,
    t.Quantified: _quantified,
    t.SubQuery: _subquery,
    t.ArrayOf: _array,
    t.Element: _element,
}


def parts_of(expr: Any) -> Iterator[Any]:
    """Return an expression and all that it is made of, queries inside left out."""
    yield expr
    for name in getattr(expr, "__slots__", ()):
        value = getattr(expr, name)
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, tuple):
                for each in inner:
                    if type(each) in _HANDLERS:
                        yield from parts_of(each)
            elif type(inner) in _HANDLERS:
                yield from parts_of(inner)


def has_aggregate(expr: Any) -> bool:
    """Tell whether an expression needs the rows of a group."""
    return any(isinstance(p, t.Call) and p.name in AGGREGATES for p in parts_of(expr))
