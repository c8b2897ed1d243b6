"""Reads expressions."""

from __future__ import annotations

from decimal import Decimal

from stratus.sim.apps.stores.postgres.errors import syntax, unsupported
from stratus.sim.apps.stores.postgres.tokens import Token
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
    SubQuery,
    Test,
    Unary,
)
from stratus.sim.apps.stores.postgres.words import RESERVED, Words

_COMPARING = frozenset(
    {"=", "<>", "!=", "<", ">", "<=", ">=", "~", "~*", "!~", "!~*", "~~", "~~*", "!~~", "!~~*", "@>", "<@", "&&"}
)
_PLAIN_CALLS = frozenset(
    {"current_user", "session_user", "user", "current_date", "current_timestamp", "current_time", "localtimestamp"}
    | {"current_schema", "current_catalog", "current_role", "localtime"}
)
DEEPEST = 60
_TYPE_TAILS = {
    "double": ("precision",), "character": ("varying",), "timestamp": ("with", "without"), "time": ("with", "without"),
    "bit": ("varying",),
}  # fmt: skip


class Expressions(Words):
    """A reader of expressions; queries inside them are read by a subclass."""

    def query(self) -> Select:
        """Read a query."""
        raise NotImplementedError

    def _row(self) -> list[Expr]:
        self.expect_op("(")
        items = self.expressions()
        self.expect_op(")")
        return items

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
        if self._depth > DEEPEST:
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
