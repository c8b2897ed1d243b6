"""Reads queries and expressions."""

from __future__ import annotations

from decimal import Decimal

from stratus.sim.apps.stores.postgres.errors import syntax, unsupported
from stratus.sim.apps.stores.postgres.tokens import Token, tokenize
from stratus.sim.apps.stores.postgres.tree import (
    Among,
    ArrayOf,
    Between,
    Binary,
    Call,
    Case,
    Cast,
    Column,
    Element,
    Expr,
    Literal,
    Order,
    Quantified,
    Select,
    Source,
    Star,
    SubQuery,
    Test,
    Unary,
)

#: Words that cannot be the name of a column or table as they are, or an alias without AS.
RESERVED = frozenset(
    {"all", "and", "any", "array", "as", "asc", "both", "case", "cast", "check", "collate", "column", "constraint"}
    | {
        "create",
        "default",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "fetch",
        "for",
        "foreign",
        "from",
    }
    | {
        "grant",
        "group",
        "having",
        "in",
        "intersect",
        "into",
        "lateral",
        "leading",
        "limit",
        "not",
        "null",
        "offset",
        "on",
    }
    | {"only", "or", "order", "primary", "references", "returning", "select", "some", "table", "then", "to", "trailing"}
    | {
        "true",
        "union",
        "unique",
        "user",
        "using",
        "when",
        "where",
        "window",
        "with",
        "natural",
        "join",
        "inner",
        "left",
    }
    | {"right", "full", "cross", "is", "isnull", "notnull", "like", "ilike", "similar", "set", "values"}
)
_COMPARING = frozenset(
    {"=", "<>", "!=", "<", ">", "<=", ">=", "~", "~*", "!~", "!~*", "~~", "~~*", "!~~", "!~~*", "@>", "<@", "&&"}
)
_PLAIN_CALLS = frozenset(
    {"current_user", "session_user", "user", "current_date", "current_timestamp", "current_time", "localtimestamp"}
    | {"current_schema", "current_catalog", "current_role", "localtime"}
)
_DEEPEST = 60
_TYPE_TAILS = {
    "double": ("precision",), "character": ("varying",), "timestamp": ("with", "without"), "time": ("with", "without"),
    "bit": ("varying",),
}  # fmt: skip


class Parser:
    """Reads one statement's words; statements other than queries are read by a subclass."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.tokens = tokenize(sql)
        if len(self.tokens) > 1 and self.tokens[-2].text == ";" and self.tokens[-2].kind == "op":
            # The semicolon is the end, and errors at the end point at it.
            last = self.tokens[-2]
            self.tokens[-2:] = [Token("end", ";", "", last.at)]
        self.at = 0
        self._depth = 0

    # words

    def peek(self, ahead: int = 0) -> Token:
        """Return the next word, or one further on."""
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def take(self) -> Token:
        """Return the next word and go past it."""
        token = self.peek()
        self.at += 1
        return token

    def is_word(self, *words: str) -> bool:
        """Tell whether the next words are these."""
        return all(self.peek(n).word() == w for n, w in enumerate(words))

    def is_op(self, *texts: str) -> bool:
        """Tell whether the next word is one of these operators."""
        return self.peek().kind == "op" and self.peek().text in texts

    def accept(self, *words: str) -> bool:
        """Go past some words if they come next."""
        if not self.is_word(*words):
            return False
        self.at += len(words)
        return True

    def accept_op(self, text: str) -> bool:
        """Go past an operator if it comes next."""
        if not self.is_op(text):
            return False
        self.at += 1
        return True

    def expect(self, *words: str) -> None:
        """Go past some words.

        Raises:
            PgError: they do not come next.
        """
        for word in words:
            if not self.accept(word):
                raise self.wrong()

    def expect_op(self, text: str) -> None:
        """Go past an operator, which must come next."""
        if not self.accept_op(text):
            raise self.wrong()

    def wrong(self) -> Exception:
        """Return the error about the next word."""
        token = self.peek()
        return syntax(token.text, token.at)

    def name(self) -> str:
        """Return a name, which must come next."""
        token = self.peek()
        if token.kind == "quoted" or (token.kind == "name" and token.value not in RESERVED):
            self.at += 1
            return token.value
        raise self.wrong()

    def label(self) -> str:
        """Return a name after AS, where nothing is reserved."""
        token = self.take()
        if token.kind not in ("name", "quoted"):
            self.at -= 1
            raise self.wrong()
        return token.value

    def qualified(self) -> tuple[str, ...]:
        """Return a name with what stands before it."""
        parts = [self.name()]
        while self.accept_op("."):
            parts.append(self.label())
        return tuple(parts)

    def string(self) -> str:
        """Return a string, which must come next."""
        if self.peek().kind != "string":
            raise self.wrong()
        return self.take().value

    def end(self) -> None:
        """There must be nothing more."""
        if self.peek().kind != "end":
            raise self.wrong()

    # queries

    def query(self) -> Select:
        """Read a query with all that may follow it."""
        self._depth += 1
        if self._depth > _DEEPEST:
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

    def _row(self) -> list[Expr]:
        self.expect_op("(")
        items = self.expressions()
        self.expect_op(")")
        return items

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

    def orders(self) -> list[Order]:
        """Read the keys of ORDER BY."""
        found = []
        while True:
            order = Order(self.expression())
            if self.accept("desc"):
                order.descending = True
            else:
                self.accept("asc")
            if self.accept("nulls", "first"):
                order.nulls_first = True
            elif self.accept("nulls", "last"):
                order.nulls_first = False
            found.append(order)
            if not self.accept_op(","):
                return found

    # expressions

    def expressions(self) -> list[Expr]:
        """Read expressions with commas between them."""
        found = [self.expression()]
        while self.accept_op(","):
            found.append(self.expression())
        return found

    def expression(self) -> Expr:
        """Read an expression."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise unsupported("nesting that deep")
        try:
            return self._or()
        finally:
            self._depth -= 1

    def _or(self) -> Expr:
        left = self._and()
        while self.is_word("or"):
            at = self.take().at
            left = Binary("or", left, self._and(), at)
        return left

    def _and(self) -> Expr:
        left = self._not()
        while self.is_word("and"):
            at = self.take().at
            left = Binary("and", left, self._not(), at)
        return left

    def _not(self) -> Expr:
        if self.is_word("not"):
            at = self.take().at
            return Unary("not", self._not(), at)
        return self._is()

    def _is(self) -> Expr:
        left = self._comparison()
        while True:
            if self.accept("is"):
                negated = self.accept("not")
                if self.accept("distinct", "from"):
                    left = Test(left, "distinct", negated, self._comparison())
                    continue
                word = self.take()
                if word.word() not in ("null", "true", "false", "unknown"):
                    self.at -= 1
                    raise self.wrong()
                left = Test(left, "null" if word.value == "unknown" else word.value, negated)
            elif self.accept("isnull"):
                left = Test(left, "null", False)
            elif self.accept("notnull"):
                left = Test(left, "null", True)
            else:
                return left

    def _comparison(self) -> Expr:
        left = self._additive_other()
        while True:
            token = self.peek()
            if token.kind == "op" and token.text in _COMPARING:
                self.take()
                if (self.is_word("any") or self.is_word("some") or self.is_word("all")) and self.peek(1).text == "(":
                    left = self._quantified(token, left)
                else:
                    left = Binary("<>" if token.text == "!=" else token.text, left, self._additive_other(), token.at)
                continue
            negated = self.is_word("not") and self.peek(1).word() in ("in", "like", "ilike", "between", "similar")
            word = self.peek(1 if negated else 0).word()
            if word not in ("in", "like", "ilike", "between", "similar"):
                return left
            self.at += 2 if negated else 1
            left = self._worded(word, left, negated, token.at)

    def _quantified(self, token: Token, left: Expr) -> Expr:
        every = self.take().value == "all"
        self.expect_op("(")
        right: Expr
        if self.is_word("select") or self.is_word("with") or self.is_word("values"):
            right = SubQuery(self.query(), array=True)
        else:
            right = self.expression()
        self.expect_op(")")
        return Quantified("<>" if token.text == "!=" else token.text, left, right, every, token.at)

    def _worded(self, word: str, left: Expr, negated: bool, at: int) -> Expr:
        if word == "in":
            self.expect_op("(")
            options: list[Expr] | Select
            options = self.query() if self.is_word("select") or self.is_word("with") else self.expressions()
            self.expect_op(")")
            return Among(left, options, negated)
        if word == "between":
            self.accept("symmetric")
            low = self._additive_other()
            self.expect("and")
            return Between(left, low, self._additive_other(), negated)
        if word == "similar":
            raise unsupported("SIMILAR TO")
        op = {"like": "~~", "ilike": "~~*"}[word]
        value = Binary(("!" if negated else "") + op, left, self._additive_other(), at)
        if self.accept("escape"):
            self.string()
        return value

    def _additive_other(self) -> Expr:
        left = self._additive()
        while self.is_op("||", "->", "->>", "#>", "#>>", "|", "&", "#"):
            token = self.take()
            left = Binary(token.text, left, self._additive(), token.at)
        return left

    def _additive(self) -> Expr:
        left = self._multiplicative()
        while self.is_op("+", "-"):
            token = self.take()
            left = Binary(token.text, left, self._multiplicative(), token.at)
        return left

    def _multiplicative(self) -> Expr:
        left = self._power()
        while self.is_op("*", "/", "%"):
            token = self.take()
            left = Binary(token.text, left, self._power(), token.at)
        return left

    def _power(self) -> Expr:
        left = self._unary()
        while self.is_op("^"):
            token = self.take()
            left = Binary("^", left, self._unary(), token.at)
        return left

    def _unary(self) -> Expr:
        if self.is_op("-", "+"):
            token = self.take()
            return Unary(token.text, self._unary(), token.at)
        return self._postfix()

    def _postfix(self) -> Expr:
        value = self._primary()
        while True:
            token = self.peek()
            if self.accept_op("::"):
                value = Cast(value, self.type_name(), token.at)
            elif self.is_op("[") and not isinstance(value, Literal):
                self.take()
                value = Element(value, self.expression())
                self.expect_op("]")
            elif self.is_word("at") and self.peek(1).word() == "time":
                self.at += 3
                value = Call("timezone", [self._primary(), value], token.at)
            elif self.is_word("collate"):
                self.at += 1
                self.qualified()
            else:
                return value

    def _primary(self) -> Expr:
        token = self.peek()
        if token.kind == "number":
            self.take()
            text = token.text
            if text.isdigit():
                return Literal(int(text))
            return Literal(Decimal(text))
        if token.kind == "string":
            self.take()
            return Literal(token.value, unknown=True, at=token.at)
        if token.kind == "param":
            raise syntax(token.text, token.at)
        if self.accept_op("("):
            return self._parenthesis()
        if token.kind == "op" or token.kind == "end":
            raise self.wrong()
        if token.kind == "name":
            special = self._special(token)
            if special is not None:
                return special
            if token.value in RESERVED and not (token.value in ("left", "right") and self.peek(1).text == "("):
                raise self.wrong()
        return self._named()

    def _parenthesis(self) -> Expr:
        if self.is_word("select") or self.is_word("with") or self.is_word("values"):
            query = self.query()
            self.expect_op(")")
            return SubQuery(query)
        items = self.expressions()
        self.expect_op(")")
        return items[0] if len(items) == 1 else ArrayOf(items)

    def _special(self, token: Token) -> Expr | None:
        word = token.value
        if word in ("true", "false", "null"):
            self.take()
            return Literal({"true": True, "false": False, "null": None}[word])
        if word == "case":
            self.take()
            return self._case()
        if word == "cast" and self.peek(1).text == "(":
            self.at += 2
            value = self.expression()
            self.expect("as")
            name = self.type_name()
            self.expect_op(")")
            return Cast(value, name, token.at)
        if word == "exists" and self.peek(1).text == "(":
            self.at += 2
            query = self.query()
            self.expect_op(")")
            return SubQuery(query, exists=True)
        if word == "array" and self.peek(1).text in ("[", "("):
            self.at += 1
            if self.accept_op("("):
                query = self.query()
                self.expect_op(")")
                return SubQuery(query, array=True)
            self.take()
            items = [] if self.is_op("]") else self.expressions()
            self.expect_op("]")
            return ArrayOf(items)
        if word == "row" and self.peek(1).text == "(":
            self.take()
            return ArrayOf(self._row())
        if word in ("extract", "position", "substring", "trim", "overlay") and self.peek(1).text == "(":
            return self._odd_call(word, token)
        if word in _PLAIN_CALLS and self.peek(1).text != "(":
            self.take()
            return Call(word, [], token.at)
        if self.peek(1).kind == "string" and word in (
            "interval", "timestamp", "timestamptz", "date", "time", "bool", "boolean", "int", "text", "inet",
            "regclass",
        ):  # fmt: skip
            self.take()
            constant = self.take()
            return Cast(Literal(constant.value, unknown=True, at=constant.at), canonical_type(word), token.at)
        return None

    def _case(self) -> Expr:
        operand = None if self.is_word("when") else self.expression()
        branches = []
        while self.accept("when"):
            condition = self.expression()
            self.expect("then")
            branches.append((condition, self.expression()))
        otherwise = self.expression() if self.accept("else") else None
        self.expect("end")
        return Case(operand, branches, otherwise)

    def _odd_call(self, word: str, token: Token) -> Expr:
        self.at += 2
        args: list[Expr]
        if word == "extract":
            part = self.take()
            self.expect("from")
            args = [Literal(part.value), self.expression()]
        elif word == "position":
            wanted = self._additive_other()
            self.expect("in")
            args = [self.expression(), wanted]
            word = "strpos"
        elif word == "trim":
            side = self.take().value if self.peek().word() in ("leading", "trailing", "both") else "both"
            word = {"leading": "ltrim", "trailing": "rtrim", "both": "btrim"}[side]
            args = [] if self.is_word("from") else [self.expression()]
            if self.accept("from"):
                args = [self.expression(), *args]
            elif self.accept_op(","):
                args.append(self.expression())
        else:
            args = [self.expression()]
            if self.accept("from"):
                args.append(self.expression())
                if self.accept("for"):
                    args.append(self.expression())
            while self.accept_op(","):
                args.append(self.expression())
        self.expect_op(")")
        return Call(word, args, token.at)

    def _named(self) -> Expr:
        token = self.take()
        parts = [token.value]
        while self.is_op(".") and self.peek(1).kind in ("name", "quoted"):
            self.take()
            parts.append(self.take().value)
        if not self.is_op("("):
            return Column(tuple(parts), token.at)
        self.take()
        call = Call(parts[-1], [], token.at)
        if self.accept_op("*"):
            call.star = True
        elif not self.is_op(")"):
            call.distinct = self.accept("distinct")
            self.accept("variadic")
            call.args = self.expressions()
            if self.accept("order", "by"):
                call.order = self.orders()
        self.expect_op(")")
        if self.accept("filter"):
            self.expect_op("(")
            self.expect("where")
            call.filter = self.expression()
            self.expect_op(")")
        if self.is_word("over"):
            raise unsupported("a window function")
        return call

    def type_name(self) -> str:
        """Read the name of a type, without what may stand in parentheses behind it."""
        first = self.label()
        while self.accept_op("."):
            first = self.label()
        words = [first]
        if first in _TYPE_TAILS and self.peek().word() in _TYPE_TAILS[first]:
            words.append(self.take().value)
            if words[-1] in ("with", "without"):
                self.expect("time", "zone")
                words += ["time", "zone"]
        if self.accept_op("("):
            while not self.accept_op(")"):
                if self.peek().kind == "end":
                    raise self.wrong()
                self.take()
            if first in ("timestamp", "time") and self.peek().word() in ("with", "without"):
                words += [self.take().value, "time", "zone"]
                self.expect("time", "zone")
        while self.is_op("["):
            self.take()
            if self.peek().kind == "number":
                self.take()
            self.expect_op("]")
            words.append("[]")
        return canonical_type(" ".join(words).replace(" []", "[]"))


_TYPES = {
    "int": "integer", "int4": "integer", "int8": "bigint", "int2": "smallint", "serial": "integer",
    "bigserial": "bigint", "float": "double precision", "float8": "double precision", "float4": "real",
    "decimal": "numeric", "bool": "boolean", "varchar": "character varying", "char": "character", "bpchar": "character",
    "timestamptz": "timestamp with time zone", "timestamp": "timestamp without time zone",
    "time": "time without time zone", "timetz": "time with time zone",
}  # fmt: skip


def canonical_type(name: str) -> str:
    """Return a type's name as the server writes it."""
    if name.endswith("[]"):
        return canonical_type(name[:-2]) + "[]"
    return _TYPES.get(name, name)
