"""Reads statements that are no queries and carries them out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stratus.sim.apps.stores.postgres import tree as t
from stratus.sim.apps.stores.postgres.errors import unsupported
from stratus.sim.apps.stores.postgres.parser import Parser
from stratus.sim.apps.stores.postgres.select import run_select
from stratus.sim.apps.stores.postgres.session import Session, as_rows

Answer = dict[str, Any]
Handler = Callable[[Session, Parser], Answer]
_FIRST: dict[str, Handler] = {}


def statement(*words: str) -> Callable[[Handler], Handler]:
    """Register what carries out statements that begin with one of these words."""

    def register(fn: Handler) -> Handler:
        for word in words:
            _FIRST[word] = fn
        return fn

    return register


def tag(text: str) -> Answer:
    """Return the answer of a statement that gives no rows."""
    return {"kind": "tag", "tag": text}


_NUMBERS = ("integer", "bigint", "smallint", "numeric", "double precision", "real", "oid")


def _numeric(session: Session, query: t.Select, count: int) -> frozenset[int]:
    """Return which columns of a result are numbers because the columns of tables are that they come from."""
    kinds: list[str] = []
    for expr, _ in query.items:
        if isinstance(expr, t.Star):
            for source in query.sources:
                kinds += _types(session, source).values()
        elif isinstance(expr, t.Column):
            named = [
                s
                for s in query.sources
                if len(expr.parts) == 1 or (s.alias or s.name[-1:] or [""])[-1] == expr.parts[-2]
            ]
            found = (_types(session, s).get(expr.parts[-1]) for s in query.sources if s in named)
            kinds.append(next((k for k in found if k), ""))
        else:
            kinds.append("")
    return frozenset(n for n, k in enumerate(kinds) if k in _NUMBERS) if len(kinds) == count else frozenset()


def _types(session: Session, source: t.Source) -> dict[str, str]:
    name = source.name
    if not name:
        return {}
    schemas = [name[-2]] if len(name) > 1 else session.path()
    relation = next((r for s in schemas if (r := session.catalog.relations.get((s, name[-1])))), None)
    return {c.name: c.type for c in relation.columns} if relation is not None else {}


def is_ending(text: str) -> bool:
    """Tell whether a statement ends a transaction."""
    return text.split(None, 1)[0].lower().rstrip(";") in ("rollback", "commit", "end", "abort")


def execute(session: Session, text: str) -> Answer:
    """Carry out one statement.

    Raises:
        PgError: it is wrong, not allowed, or takes too long.
    """
    from stratus.sim.apps.stores.postgres import (  # noqa: F401
        altering,
        changing,
        controlling,
        defining,
        dropping,
        granting,
    )

    parser = Parser(text)
    word = parser.peek().word()
    if word in ("select", "with", "values", "table") or parser.is_op("("):
        query = parser.query()
        parser.end()
        names, rows = run_select(query, session)
        return as_rows(names, rows, numeric=_numeric(session, query, len(names)))
    handler = _FIRST.get(word)
    if handler is None:
        if word in (
            "copy",
            "declare",
            "fetch",
            "close",
            "prepare",
            "execute",
            "do",
            "call",
            "cluster",
            "import",
            "security",
        ):
            raise unsupported(word.upper())
        raise parser.wrong()
    parser.take()
    return handler(session, parser)
