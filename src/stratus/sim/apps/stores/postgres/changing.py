"""INSERT, UPDATE, DELETE, TRUNCATE."""

from __future__ import annotations

from typing import Any

from stratus.sim.apps.stores.postgres import tree as t
from stratus.sim.apps.stores.postgres.errors import PgError
from stratus.sim.apps.stores.postgres.evaluate import Context, Scope, truth, value_of
from stratus.sim.apps.stores.postgres.objects import Relation
from stratus.sim.apps.stores.postgres.parser import Parser
from stratus.sim.apps.stores.postgres.select import name_of, run_select
from stratus.sim.apps.stores.postgres.session import Session, as_rows
from stratus.sim.apps.stores.postgres.statements import Answer, statement, tag
from stratus.sim.apps.stores.postgres.values import cast, written

_DEFAULT = object()


def _writable(session: Session, relation: Relation, letter: str, verb: str) -> None:
    session.need(relation, letter)
    if session.setting("default_transaction_read_only") == "on" or session.own.get("transaction_read_only") == "on":
        raise PgError(f"cannot execute {verb} in a read-only transaction", "25006")
    if relation.kind != "r":
        raise PgError(f'cannot {verb.split()[0].lower()} into view "{relation.name}"', "55000")
    session.lock(relation, "RowExclusiveLock")


@statement("insert")
def _insert(session: Session, parser: Parser) -> Answer:
    parser.expect("into")
    at = parser.peek().at
    name = parser.qualified()
    alias = parser.label() if parser.accept("as") else name[-1]
    relation = session.find(name, at)
    columns = (
        _column_list(parser, relation) if parser.is_op("(") and parser.peek(1).word() != "select" else relation.names()
    )
    rows = _given(session, parser, relation, columns)
    conflict = _conflict(parser)
    returning = _returning(parser)
    parser.end()
    _writable(session, relation, "a", "INSERT")
    added: list[list[Any]] = []
    for number, values in enumerate(rows):
        row = _row(session, relation, columns, values)
        if _clashes(relation, row, conflict, relation.rows):
            continue
        relation.rows.append(row)
        added.append(row)
        _count(relation, "inserted", 1)
        if number > 100_000:
            raise PgError("out of memory", "53200")
    return _answer(session, relation, alias, added, returning, f"INSERT 0 {len(added)}")


def _column_list(parser: Parser, relation: Relation) -> list[str]:
    parser.expect_op("(")
    found = []
    while True:
        token = parser.peek()
        name = parser.label()
        if name not in relation.names():
            text = f'column "{name}" of relation "{relation.name}" does not exist'
            raise PgError(text, "42703", position=token.at)
        found.append(name)
        if not parser.accept_op(","):
            break
    parser.expect_op(")")
    return found


def _given(session: Session, parser: Parser, relation: Relation, columns: list[str]) -> list[list[Any]]:
    if parser.accept("default", "values"):
        return [[]]
    if not parser.is_word("values"):
        _, rows = run_select(parser.query(), session)
        return rows
    parser.take()
    rows = []
    while True:
        parser.expect_op("(")
        row: list[Any] = []
        while True:
            at = parser.peek().at
            if parser.accept("default"):
                row.append(_DEFAULT)
            else:
                expr = parser.expression()
                value = value_of(expr, Context(session))
                if isinstance(expr, t.Literal) and expr.unknown and len(row) < len(columns):
                    value = _read(relation, columns[len(row)], value, expr)
                row.append(value)
            if len(row) > len(columns):
                raise PgError("INSERT has more expressions than target columns", "42601", position=at)
            if not parser.accept_op(","):
                break
        if len(row) < len(columns) and columns != relation.names():
            raise PgError("INSERT has more target columns than expressions", "42601", position=parser.peek().at)
        parser.expect_op(")")
        rows.append(row)
        if not parser.accept_op(","):
            return rows


def _read(relation: Relation, name: str, value: Any, expr: t.Literal) -> Any:
    """Read a quoted constant as the type of its column."""
    try:
        return cast(value, relation.columns[relation.names().index(name)].type)
    except PgError as error:
        error.position = expr.at
        raise


def _conflict(parser: Parser) -> bool:
    if not parser.accept("on", "conflict"):
        return False
    if parser.accept_op("("):
        while not parser.accept_op(")"):
            if parser.take().kind == "end":
                raise parser.wrong()
    parser.expect("do", "nothing")
    return True


def _returning(parser: Parser) -> list[tuple[t.Expr, str]] | None:
    if not parser.accept("returning"):
        return None
    found = [parser._item()]
    while parser.accept_op(","):
        found.append(parser._item())
    return found


def _row(session: Session, relation: Relation, columns: list[str], values: list[Any]) -> list[Any]:
    given = dict(zip(columns, values, strict=False))
    row = []
    for column in relation.columns:
        value = given.get(column.name, _DEFAULT)
        if value is _DEFAULT:
            value = _default(session, relation, column.default)
        row.append(_fitting(value, column.type, column.name))
    _check_nulls(relation, row)
    return row


def _default(session: Session, relation: Relation, text: str) -> Any:
    if not text:
        return None
    if text.startswith("nextval("):
        relation.changes["sequence"] = relation.changes.get("sequence", 0) + 1
        return relation.changes["sequence"]
    return value_of(Parser(text).expression(), Context(session))


def _fitting(value: Any, kind: str, name: str) -> Any:
    try:
        return cast(value, kind)
    except PgError as error:
        error.position = None
        raise error from None


def _check_nulls(relation: Relation, row: list[Any]) -> None:
    for column, value in zip(relation.columns, row, strict=True):
        if value is None and not column.nullable:
            shown = ", ".join("null" if v is None else written(v) or "" for v in row)
            raise PgError(
                f'null value in column "{column.name}" of relation "{relation.name}" violates not-null constraint',
                "23502",
                detail=f"Failing row contains ({shown}).",
            )  # fmt: skip


def _clashes(relation: Relation, row: list[Any], ignore: bool, others: list[list[Any]]) -> bool:
    names = relation.names()
    for index in relation.indexes:
        if not index.unique:
            continue
        places = [names.index(c) for c in index.columns if c in names]
        mine = [written(row[p]) for p in places]
        if None in mine or not any([written(o[p]) for p in places] == mine for o in others if o is not row):
            continue
        if ignore:
            return True
        raise PgError(
            f'duplicate key value violates unique constraint "{index.name}"', "23505",
            detail=f"Key ({', '.join(index.columns)})=({', '.join(m or '' for m in mine)}) already exists.",
        )  # fmt: skip
    return False


def _count(relation: Relation, what: str, number: int) -> None:
    relation.changes[what] = relation.changes.get(what, 0) + number


def _answer(
    session: Session,
    relation: Relation,
    alias: str,
    rows: list[list[Any]],
    returning: list[tuple[t.Expr, str]] | None,
    text: str,
) -> Answer:
    if returning is None:
        return tag(text)
    names: list[str] = []
    items: list[t.Expr] = []
    for expr, name in returning:
        if isinstance(expr, t.Star):
            names += relation.names()
            items += [t.Column((c,), expr.at) for c in relation.names()]
        else:
            names.append(name or name_of(expr))
            items.append(expr)
    out = []
    for row in rows:
        scope = {alias: dict(zip(relation.names(), row, strict=True))}
        out.append([value_of(e, Context(session, scope)) for e in items])
    return as_rows(names, out, text)


def _matching(session: Session, relation: Relation, alias: str, where: t.Expr | None) -> list[list[Any]]:
    found = []
    for row in relation.rows:
        scope: Scope = {alias: dict(zip(relation.names(), row, strict=True))}
        if where is None or truth(where, Context(session, scope)):
            found.append(row)
    if not relation.rows and where is not None:
        from stratus.sim.apps.stores.postgres.select import _check_columns

        _check_columns([where], {alias: dict.fromkeys(relation.names())}, Context(session))
    return found


def _touch(session: Session, relation: Relation, rows: list[list[Any]]) -> None:
    if rows:
        session.wait_for_rows(relation)
        session.rows[relation.oid] = max(session.rows.get(relation.oid, 0.0), len(rows) / max(len(relation.rows), 1))


@statement("update")
def _update(session: Session, parser: Parser) -> Answer:
    at = parser.peek().at
    name = parser.qualified()
    relation = session.find(name, at)
    alias = name[-1]
    if parser.accept("as") or not parser.is_word("set"):
        alias = parser.label()
    parser.expect("set")
    sets: list[tuple[str, t.Expr | None]] = []
    while True:
        token = parser.peek()
        column = parser.label()
        if column not in relation.names():
            text = f'column "{column}" of relation "{relation.name}" does not exist'
            raise PgError(text, "42703", position=token.at)
        parser.expect_op("=")
        sets.append((column, None if parser.accept("default") else parser.expression()))
        if not parser.accept_op(","):
            break
    where = parser.expression() if parser.accept("where") else None
    returning = _returning(parser)
    parser.end()
    _writable(session, relation, "w", "UPDATE")
    rows = _matching(session, relation, alias, where)
    _touch(session, relation, rows)
    names = relation.names()
    for row in rows:
        scope = {alias: dict(zip(names, row, strict=True))}
        fresh = {
            column: value_of(e, Context(session, scope)) if e is not None
            else _default(session, relation, relation.columns[names.index(column)].default)
            for column, e in sets
        }  # fmt: skip
        for column, value in fresh.items():
            place = names.index(column)
            row[place] = _fitting(value, relation.columns[place].type, column)
        _check_nulls(relation, row)
        _clashes(relation, row, False, relation.rows)
    relation.dead += len(rows)
    _count(relation, "updated", len(rows))
    return _answer(session, relation, alias, rows, returning, f"UPDATE {len(rows)}")


@statement("delete")
def _delete(session: Session, parser: Parser) -> Answer:
    parser.expect("from")
    at = parser.peek().at
    name = parser.qualified()
    relation = session.find(name, at)
    alias = name[-1]
    if parser.accept("as"):
        alias = parser.label()
    where = parser.expression() if parser.accept("where") else None
    returning = _returning(parser)
    parser.end()
    _writable(session, relation, "d", "DELETE")
    rows = _matching(session, relation, alias, where)
    _touch(session, relation, rows)
    gone = {id(r) for r in rows}
    relation.rows = [r for r in relation.rows if id(r) not in gone]
    relation.dead += len(rows)
    _count(relation, "deleted", len(rows))
    return _answer(session, relation, alias, rows, returning, f"DELETE {len(rows)}")


@statement("truncate")
def _truncate(session: Session, parser: Parser) -> Answer:
    parser.accept("table")
    relations = []
    while True:
        at = parser.peek().at
        relations.append(session.find(parser.qualified(), at))
        if not parser.accept_op(","):
            break
    for word in ("restart", "continue", "identity", "cascade", "restrict"):
        parser.accept(word)
    parser.end()
    for relation in relations:
        session.need(relation, "D")
        session.lock(relation, "AccessExclusiveLock")
        relation.rows, relation.dead = [], 0
    return tag("TRUNCATE TABLE")
