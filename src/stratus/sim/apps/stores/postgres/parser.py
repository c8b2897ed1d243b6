"""Reads queries."""

from __future__ import annotations

from stratus.sim.apps.stores.postgres.errors import syntax, unsupported
from stratus.sim.apps.stores.postgres.expressions import DEEPEST, Expressions
from stratus.sim.apps.stores.postgres.tree import (
    Call,
    Expr,
    Literal,
    Select,
    Source,
    Star,
)
from stratus.sim.apps.stores.postgres.words import RESERVED


class Parser(Expressions):
    """Reads queries; statements of other kinds read the rest themselves."""

    # queries

    def query(self) -> Select:
        """Read a query with all that may follow it."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise unsupported("nesting that deep")
        try:
            named = self._with() if self.is_word("with") else {}
            select = self._term()
            while self.is_word("union") or self.is_word("intersect") or self.is_word("except"):
                kind = self.take().value
                if self.accept("all"):
                    kind += " all"
                else:
                    self.accept("distinct")
                select.unions.append((kind, self._term()))
            select.named = named
            self._tail(select)
            return select
        finally:
            self._depth -= 1

    def _with(self) -> dict[str, tuple[tuple[str, ...], Select]]:
        self.expect("with")
        if self.is_word("recursive"):
            raise unsupported("WITH RECURSIVE")
        named: dict[str, tuple[tuple[str, ...], Select]] = {}
        while True:
            name = self.name()
            columns = self._names() if self.is_op("(") else ()
            self.expect("as")
            self.accept("not")
            self.accept("materialized")
            self.expect_op("(")
            named[name] = (columns, self.query())
            self.expect_op(")")
            if not self.accept_op(","):
                return named

    def _names(self) -> tuple[str, ...]:
        self.expect_op("(")
        names = [self.label()]
        while self.accept_op(","):
            names.append(self.label())
        self.expect_op(")")
        return tuple(names)

    def _term(self) -> Select:
        if self.accept_op("("):
            select = self.query()
            self.expect_op(")")
            return select
        at = self.peek().at
        if self.accept("values"):
            rows = [self._row()]
            while self.accept_op(","):
                rows.append(self._row())
            return Select(values=rows, at=at)
        if self.accept("table"):
            return Select(items=[(Star(at=at), "")], sources=[Source(name=self.qualified(), at=at)], at=at)
        self.expect("select")
        return self._select(at)

    def _select(self, at: int) -> Select:
        select = Select(at=at)
        if self.accept("distinct"):
            select.distinct = True
            if self.accept("on"):
                select.distinct_on = self._row()
        else:
            self.accept("all")
        if not self.is_word("from") and self.peek().kind != "end" and not self.is_op(")", ";"):
            select.items.append(self._item())
            while self.accept_op(","):
                select.items.append(self._item())
        if self.accept("from"):
            self._from(select)
        if self.accept("where"):
            select.where = self.expression()
        if self.accept("group", "by"):
            select.group = self.expressions()
        if self.accept("having"):
            select.having = self.expression()
        return select

    def _item(self) -> tuple[Expr, str]:
        token = self.peek()
        if self.accept_op("*"):
            return Star(at=token.at), ""
        if token.kind in ("name", "quoted") and self.peek(1).text == "." and self.peek(2).text == "*":
            self.at += 3
            return Star(token.value, token.at), ""
        value = self.expression()
        if self.accept("as"):
            return value, self.label()
        following = self.peek()
        if following.kind == "quoted" or (following.kind == "name" and following.value not in RESERVED):
            return value, self.take().value
        return value, ""

    def _from(self, select: Select) -> None:
        select.sources.append(self._source())
        while True:
            if self.accept_op(","):
                select.sources.append(self._source())
                continue
            kind = self._join()
            if not kind:
                return
            source = self._source()
            source.join = kind.removeprefix("natural ")
            if kind.startswith("natural"):
                raise unsupported("NATURAL JOIN")
            if kind != "cross":
                if self.accept("using"):
                    source.using = self._names()
                else:
                    self.expect("on")
                    source.on = self.expression()
            select.sources.append(source)

    def _join(self) -> str:
        natural = "natural " if self.accept("natural") else ""
        for kind in ("inner", "left", "right", "full", "cross"):
            if self.is_word(kind) and (self.peek(1).word() in ("join", "outer")):
                self.at += 1
                self.accept("outer")
                self.expect("join")
                return natural + kind
        return natural + "inner" if self.accept("join") else natural

    def _source(self) -> Source:
        lateral = self.accept("lateral")
        at = self.peek().at
        source = Source(at=at, lateral=lateral)
        if self.is_op("("):
            self.take()
            source.query = self.query()
            self.expect_op(")")
        else:
            self.accept("only")
            if (self.peek().kind == "name" and self.peek(1).text == "(") or self._is_dotted_call():
                call = self.expression()
                if not isinstance(call, Call):
                    raise syntax(self.peek().text, at)
                source.call = call
                if self.accept("with", "ordinality"):
                    raise unsupported("WITH ORDINALITY")
            else:
                source.name = self.qualified()
                self.accept_op("*")
        if self.accept("as") or (
            self.peek().kind == "quoted" or (self.peek().kind == "name" and self.peek().value not in RESERVED)
        ):
            source.alias = self.label()
            if self.is_op("("):
                source.columns = self._names()
        return source

    def _is_dotted_call(self) -> bool:
        return self.peek(1).text == "." and self.peek(3).text == "(" and self.peek(2).kind == "name"

    def _tail(self, select: Select) -> None:
        while True:
            if self.accept("order", "by"):
                select.order = self.orders()
            elif self.accept("limit"):
                select.limit = None if self.accept("all") else self.expression()
            elif self.accept("offset"):
                select.offset = self.expression()
                if not self.accept("rows"):
                    self.accept("row")
            elif self.accept("fetch"):
                self.take()
                select.limit = Literal(1) if self.is_word("row") or self.is_word("rows") else self.expression()
                self.take()
                self.expect("only")
            elif self.accept("for"):
                words = []
                while self.peek().kind == "name":
                    words.append(self.take().value)
                select.locking = " ".join(words)
            else:
                return
