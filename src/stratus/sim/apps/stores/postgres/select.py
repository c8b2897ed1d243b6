"""Runs queries: joins, conditions, groups, order, limits, unions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stratus.sim.apps.stores.postgres import tree as t
from stratus.sim.apps.stores.postgres.errors import PgError
from stratus.sim.apps.stores.postgres.evaluate import (
    AGGREGATES,
    Context,
    Scope,
    has_aggregate,
    missing_column,
    parts_of,
    truth,
    value_of,
)
from stratus.sim.apps.stores.postgres.values import cast, sort_key, written

if TYPE_CHECKING:
    from stratus.sim.apps.stores.postgres.session import Session

Rows = list[list[Any]]
#: Rows that a join may make.
_MOST = 200_000


def run_select(query: t.Select, session: Session, outer: Context | None = None) -> tuple[list[str], Rows]:
    """Return the names of the columns, and the rows.

    Raises:
        PgError: the query is wrong.
    """
    context = Context(session, outer=outer)
    for name, (columns, inner) in query.named.items():
        names, rows = run_select(inner, session, context)
        context.named[name] = (list(columns) or names, rows)
    names, rows = _body(query, session, context)
    for kind, other in query.unions:
        _, more = run_select(other, session, context)
        if more and rows and len(more[0]) != len(rows[0]):
            raise PgError(
                f"each {kind.split()[0].upper()} query must have the same number of columns", "42601", position=other.at
            )
        rows = _united(kind, rows, more)
    if query.unions or query.values is not None:
        keyed = [({"": dict(zip(names, row, strict=True))}, row) for row in rows]
        rows = _ordered(query, names, keyed, context)
    return names, _limited(query, rows, context)


def _body(query: t.Select, session: Session, context: Context) -> tuple[list[str], Rows]:
    if query.values is not None:
        rows = [[value_of(e, context) for e in row] for row in query.values]
        if any(len(r) != len(rows[0]) for r in rows):
            raise PgError("VALUES lists must all be the same length", "42601", position=query.at)
        return [f"column{n + 1}" for n in range(len(rows[0]))], rows
    scopes, shape = _sources(query, session, context)
    if query.where is not None:
        scopes = [s for s in scopes if truth(query.where, context.with_row(s))]
    items = _expanded(query, shape)
    names = [name or name_of(expr) for expr, name in items]
    grouping = bool(query.group) or query.having is not None or any(has_aggregate(e) for e, _ in items)
    keyed = _grouped(query, items, scopes, shape, context) if grouping else _plain(query, items, scopes, shape, context)
    if query.unions:
        return names, [row for _, row in keyed]
    return names, _ordered(query, names, keyed, context, items, grouping)


def _plain(
    query: t.Select, items: list[tuple[t.Expr, str]], scopes: list[Scope], shape: Scope, context: Context
) -> list[tuple[Any, list[Any]]]:
    if not scopes:
        _check_columns([e for e, _ in items], shape, context)
    return [(scope, [value_of(e, context.with_row(scope)) for e, _ in items]) for scope in scopes]


def _check_columns(exprs: list[t.Expr], shape: Scope, context: Context) -> None:
    """Refuse columns that are nowhere, when there is no row to notice it."""
    inside = context.with_row(shape)
    for expr in exprs:
        for part in parts_of(expr):
            if isinstance(part, t.Column):
                try:
                    value_of(part, inside)
                except PgError as error:
                    raise missing_column(part, inside) if error.code == "42703" else error from None


def _expanded(query: t.Select, shape: Scope) -> list[tuple[t.Expr, str]]:
    """Put columns in place of stars."""
    items: list[tuple[t.Expr, str]] = []
    for expr, name in query.items:
        if not isinstance(expr, t.Star):
            items.append((expr, name))
            continue
        if not query.sources:
            raise PgError("SELECT * with no tables specified is not valid", "42601", position=expr.at)
        if expr.table and expr.table not in shape:
            raise PgError(f'missing FROM-clause entry for table "{expr.table}"', "42P01", position=expr.at)
        for table in [expr.table] if expr.table else list(shape):
            items += [(t.Column((table, column), expr.at), column) for column in shape[table] if column[:1] != "\0"]
    return items


def name_of(expr: t.Expr) -> str:
    """Return what a column is called that was not given a name."""
    if isinstance(expr, t.Column):
        return expr.parts[-1]
    if isinstance(expr, t.Call):
        return "coalesce" if expr.name == "coalesce" else expr.name
    if isinstance(expr, t.Cast):
        inner = name_of(expr.value)
        short = {
            "integer": "int4", "bigint": "int8", "smallint": "int2", "boolean": "bool", "double precision": "float8",
            "timestamp with time zone": "timestamptz", "timestamp without time zone": "timestamp",
            "character varying": "varchar", "real": "float4",
        }  # fmt: skip
        return inner if inner != "?column?" else short.get(expr.type, expr.type.removesuffix("[]"))
    if isinstance(expr, t.Case):
        inner = name_of(expr.otherwise) if expr.otherwise is not None else "?column?"
        return inner if isinstance(expr.otherwise, t.Column) else "case"
    if isinstance(expr, t.SubQuery):
        if expr.exists:
            return "exists"
        if expr.array:
            return "array"
        return (expr.query.items[0][1] or name_of(expr.query.items[0][0])) if expr.query.items else "?column?"
    if isinstance(expr, t.ArrayOf):
        return "array"
    return "?column?"


# sources


def _sources(query: t.Select, session: Session, context: Context) -> tuple[list[Scope], Scope]:
    """Return the rows that FROM gives, and an empty one that shows its shape."""
    scopes: list[Scope] = [{}]
    shape: Scope = {}
    for source in query.sources:
        alias = source.alias or (
            source.call.name if source.call is not None else source.name[-1] if source.name else ""
        )
        if alias in shape:
            raise PgError(f'table name "{alias}" specified more than once', "42712", position=source.at)
        depends = source.call is not None or source.lateral
        names, rows = ([], []) if depends else _read(source, session, context, query)
        joined: list[Scope] = []
        unmatched = set(range(len(rows)))
        if depends and not scopes:
            names, _ = _read(source, session, context.with_row(shape), query)
        for scope in scopes:
            if depends:
                names, rows = _read(source, session, context.with_row(scope), query)
            hits = 0
            for number, row in enumerate(rows):
                candidate = {**scope, alias: dict(zip(names, row, strict=True))}
                if _joins(source, candidate, context, alias):
                    joined.append(candidate)
                    unmatched.discard(number)
                    hits += 1
            if not hits and source.join in ("left", "full"):
                joined.append({**scope, alias: dict.fromkeys(names)})
            if len(joined) > _MOST:
                raise PgError("out of memory", "53200", detail="The emulated server does not join that many rows.")
        if source.join in ("right", "full"):
            nothing = {table: dict.fromkeys(columns) for table, columns in shape.items()}
            joined += [{**nothing, alias: dict(zip(names, rows[n], strict=True))} for n in sorted(unmatched)]
        shape = {**shape, alias: dict.fromkeys(names)}
        scopes = joined
        if source.using:
            shape, scopes = _merged(source, alias, shape, scopes)
    return scopes, shape


def _merged(source: t.Source, alias: str, shape: Scope, scopes: list[Scope]) -> tuple[Scope, list[Scope]]:
    """Let columns joined by USING be there once."""

    def once(scope: Scope) -> Scope:
        return {**scope, alias: {k: v for k, v in scope[alias].items() if k not in source.using}}

    return once(shape), [once(s) for s in scopes]


def _joins(source: t.Source, scope: Scope, context: Context, alias: str) -> bool:
    for name in source.using:
        left = next((table[name] for key, table in scope.items() if key != alias and name in table), None)
        if left is None or written(left) != written(scope[alias].get(name)):
            return False
    return source.on is None or truth(source.on, context.with_row(scope), "JOIN/ON")


def _read(source: t.Source, session: Session, context: Context, query: t.Select) -> tuple[list[str], Rows]:
    if source.query is not None:
        names, rows = run_select(source.query, session, context)
    elif source.call is not None:
        names, rows = _function(source, context)
    else:
        found = context.query(source.name[-1]) if len(source.name) == 1 else None
        names, rows = found if found is not None else session.read(source.name, source.at, query.locking)
    if source.columns:
        names = [*source.columns, *names[len(source.columns) :]]
    return names, rows


def _function(source: t.Source, context: Context) -> tuple[list[str], Rows]:
    from stratus.sim.apps.stores.postgres.rowfunctions import rows_of

    assert source.call is not None
    args = [value_of(a, context) for a in source.call.args]
    return rows_of(source.call, args, context, source.alias)


# groups


def _grouped(
    query: t.Select, items: list[tuple[t.Expr, str]], scopes: list[Scope], shape: Scope, context: Context
) -> list[tuple[Any, list[Any]]]:
    keys = [_key(e, items) for e in query.group]
    groups: dict[tuple[Any, ...], list[Scope]] = {}
    for scope in scopes:
        inside = context.with_row(scope)
        values = tuple(written(value_of(k, inside)) for k in keys)
        groups.setdefault(values, []).append(scope)
    if not keys and not groups:
        groups[()] = []
    for expr, _ in items:
        _check_grouped(expr, keys, shape)
    found: list[tuple[Any, list[Any]]] = []
    for members in groups.values():
        inside = Context(context.session, members[0] if members else shape, members, context.outer, context.named)
        if query.having is not None and not truth(query.having, inside, "HAVING"):
            continue
        found.append((inside, [value_of(e, inside) for e, _ in items]))
    return found


def _key(expr: t.Expr, items: list[tuple[t.Expr, str]]) -> t.Expr:
    """Return what is grouped by: numbers and names may stand for items."""
    if isinstance(expr, t.Literal) and isinstance(expr.value, int):
        if not 1 <= expr.value <= len(items):
            raise PgError(f"GROUP BY position {expr.value} is not in select list", "42P10")
        return items[expr.value - 1][0]
    if isinstance(expr, t.Column) and len(expr.parts) == 1:
        named = [e for e, name in items if name == expr.parts[0] and not isinstance(e, t.Column)]
        if named:
            return named[0]
    return expr


def _check_grouped(expr: Any, keys: list[t.Expr], shape: Scope) -> None:
    """Refuse columns that are neither grouped by nor inside an aggregate."""
    if isinstance(expr, t.Call) and expr.name in AGGREGATES:
        return
    if any(_same(expr, key) for key in keys):
        return
    if isinstance(expr, t.Column):
        table = (
            expr.parts[-2] if len(expr.parts) > 1 else next((n for n, c in shape.items() if expr.parts[-1] in c), "")
        )
        if table and table in shape:
            name = f"{table}.{expr.parts[-1]}"
            text = f'column "{name}" must appear in the GROUP BY clause or be used in an aggregate function'
            raise PgError(text, "42803", position=expr.at)
        return
    for part in parts_of(expr):
        if part is not expr and isinstance(part, t.Column) and not _inside_aggregate(expr, part):
            _check_grouped(part, keys, shape)


def _inside_aggregate(expr: Any, wanted: Any) -> bool:
    return any(
        isinstance(p, t.Call) and p.name in AGGREGATES and any(q is wanted for q in parts_of(p)) for p in parts_of(expr)
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, t.Column) and isinstance(other, t.Column):
        return one.parts[-1] == other.parts[-1] and (
            len(one.parts) == 1 or len(other.parts) == 1 or one.parts[-2] == other.parts[-2]
        )
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    names = [n for n in getattr(one, "__slots__", ()) if n != "at"]
    return all(_same(getattr(one, n), getattr(other, n)) for n in names) if names else bool(one == other)


# order and limits


def _ordered(
    query: t.Select,
    names: list[str],
    keyed: list[tuple[Any, list[Any]]],
    context: Context,
    items: list[tuple[t.Expr, str]] | None = None,
    grouping: bool = False,
) -> Rows:
    if query.distinct and not query.distinct_on:
        seen: dict[tuple[Any, ...], tuple[Any, list[Any]]] = {}
        for scope, row in keyed:
            seen.setdefault(tuple(written(v) for v in row), (scope, row))
        keyed = list(seen.values())

    def inside(scope: Any) -> Context:
        return scope if isinstance(scope, Context) else context.with_row(scope)

    for order in reversed(query.order):
        pick = _picker(order.value, names, items, grouping)
        first = order.nulls_first if order.nulls_first is not None else order.descending
        values = [(pick(inside(s), row), (s, row)) for s, row in keyed]
        filled = [v for v in values if v[0] is not None]
        empty = [v[1] for v in values if v[0] is None]
        filled.sort(key=lambda v: sort_key(v[0]), reverse=order.descending)
        keyed = [*empty, *(v[1] for v in filled)] if first else [*(v[1] for v in filled), *empty]
    if query.distinct_on:
        kept: dict[tuple[Any, ...], tuple[Any, list[Any]]] = {}
        for scope, row in keyed:
            kept.setdefault(tuple(written(value_of(e, inside(scope))) for e in query.distinct_on), (scope, row))
        keyed = list(kept.values())
    return [row for _, row in keyed]


def _picker(expr: t.Expr, names: list[str], items: list[tuple[t.Expr, str]] | None, grouping: bool) -> Any:
    """Return what gives a key of ORDER BY for a row."""
    if isinstance(expr, t.Literal) and isinstance(expr.value, int):
        if not 1 <= expr.value <= len(names):
            raise PgError(f"ORDER BY position {expr.value} is not in select list", "42P10")
        at = expr.value - 1
        return lambda scope, row: row[at]
    if isinstance(expr, t.Column) and len(expr.parts) == 1 and expr.parts[0] in names:
        at = names.index(expr.parts[0])
        return lambda scope, row: row[at]
    for number, (item, _) in enumerate(items or ()):
        if _same(item, expr):
            return lambda scope, row, n=number: row[n]
    return lambda scope, row: value_of(expr, scope)


def _united(kind: str, rows: Rows, more: Rows) -> Rows:
    if kind == "union all":
        return rows + more
    mine = {tuple(written(v) for v in r): r for r in rows}
    theirs = {tuple(written(v) for v in r): r for r in more}
    if kind.startswith("union"):
        return list({**mine, **{k: v for k, v in theirs.items() if k not in mine}}.values())
    keep = kind.startswith("intersect")
    return [r for k, r in mine.items() if (k in theirs) == keep]


def _limited(query: t.Select, rows: Rows, context: Context) -> Rows:
    begin = value_of(query.offset, context) if query.offset is not None else 0
    count = value_of(query.limit, context) if query.limit is not None else None
    begin = cast(begin, "bigint") or 0
    count = cast(count, "bigint")
    if begin < 0:
        raise PgError("OFFSET must not be negative", "2201X")
    if count is not None and count < 0:
        raise PgError("LIMIT must not be negative", "2201W")
    return rows[begin : None if count is None else begin + count]
