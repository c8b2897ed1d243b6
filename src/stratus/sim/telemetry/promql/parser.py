"""Reads PromQL."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from stratus.sim.telemetry.promql.lexer import PromQLError, Token, position, seconds_of, tokens, unquoted
from stratus.sim.telemetry.promql.nodes import (
    Aggregate,
    Binary,
    Call,
    Matcher,
    Matching,
    Negative,
    Node,
    Number,
    Range,
    Selector,
    Shift,
    Subquery,
    Text,
)
from stratus.sim.telemetry.promql.signatures import AGGREGATIONS, PARAMETER, SIGNATURES, kind_of

__all__ = ["PromQLError", "parse"]

_LEVELS = {
    "or": 1, "and": 2, "unless": 2, "==": 3, "!=": 3, "<": 3, ">": 3, "<=": 3, ">=": 3, "+": 4, "-": 4,
    "*": 5, "/": 5, "%": 5, "atan2": 5, "^": 6,
}  # fmt: skip
_COMPARISONS = frozenset({"==", "!=", "<", ">", "<=", ">="})
_SETS = frozenset({"and", "or", "unless"})


@lru_cache(maxsize=512)
def parse(text: str) -> Node:
    """Return the expression.

    Raises:
        PromQLError: it is none; the message begins with line and column.
    """
    if not text.strip():
        raise PromQLError("unknown position: parse error: no expression found in input")
    reader = _Reader(text)
    node = reader.expression(0)
    reader.end()
    return node


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.place = 0

    # tokens

    @property
    def next(self) -> Token:
        return self.tokens[self.place]

    def take(self) -> Token:
        token = self.tokens[self.place]
        self.place += token.kind != "end"
        return token

    def fail(self, why: str, token: Token | None = None) -> PromQLError:
        return PromQLError(f"{position(self.text, (token or self.next).at)}: parse error: {why}")

    def accept(self, text: str) -> bool:
        if self.next.text == text and self.next.kind in ("op", "name"):
            self.take()
            return True
        return False

    def expect(self, text: str, where: str) -> None:
        if not self.accept(text):
            raise self.fail(f"unexpected {self._shown()} in {where}, expected {text!r}")

    def _shown(self) -> str:
        return "end of input" if self.next.kind == "end" else repr(self.next.text)

    def word(self) -> str:
        return self.next.text.lower() if self.next.kind == "name" else self.next.text

    def end(self) -> None:
        if self.next.kind != "end":
            raise self.fail(f"unexpected {self._shown()}")

    # expressions

    def expression(self, level: int) -> Node:
        left = self.unary()
        while True:
            op = self.word()
            mine = _LEVELS.get(op, 0) if self.next.kind in ("op", "name") else 0
            if not mine or mine < level:
                return left
            token = self.take()
            boolean, matching = self.modifiers(op)
            right = self.expression(mine if op == "^" else mine + 1)
            left = self.binary(token, op, left, right, boolean, matching)

    def unary(self) -> Node:
        if self.next.kind == "op" and self.next.text in "+-":
            token = self.take()
            # A sign binds like a multiplication: -2^2 is -(2^2).
            inner = self.expression(_LEVELS["^"])
            if kind_of(inner) not in ("scalar", "vector"):
                raise self.fail("unary expression only allowed on expressions of type scalar or instant vector", token)
            if token.text == "+":
                return inner
            return Number(-inner.value) if isinstance(inner, Number) else Negative(inner)
        return self.postfix(self.primary())

    def modifiers(self, op: str) -> tuple[bool, Matching | None]:
        boolean = False
        if self.word() == "bool":
            if op not in _COMPARISONS:
                raise self.fail("bool modifier can only be used on comparison operators")
            self.take()
            boolean = True
        if self.word() not in ("on", "ignoring"):
            return boolean, None
        on = self.take().text.lower() == "on"
        labels = self.names("grouping opts")
        side = "one"
        include: tuple[str, ...] = ()
        if self.word() in ("group_left", "group_right"):
            if op in _SETS:
                raise self.fail(f"no grouping allowed for {op!r} operation")
            side = "left" if self.take().text.lower() == "group_left" else "right"
            if self.next.text == "(":
                include = self.names("grouping opts")
            if on and set(labels) & set(include):
                both = sorted(set(labels) & set(include))[0]
                raise self.fail(f"label {both!r} must not occur in ON and GROUP clause at once")
        return boolean, Matching(labels, on, side, include)

    def binary(
        self, token: Token, op: str, left: Node, right: Node, boolean: bool, matching: Matching | None
    ) -> Binary:
        kinds = kind_of(left), kind_of(right)
        if not set(kinds) <= {"scalar", "vector"}:
            raise self.fail("binary expression must contain only scalar and instant vector types", token)
        if kinds == ("scalar", "scalar") and op in _COMPARISONS and not boolean:
            raise self.fail("comparisons between scalars must use BOOL modifier", token)
        if op in _SETS and "scalar" in kinds:
            raise self.fail(f"set operator {op!r} not allowed in binary scalar expression", token)
        if matching is not None and matching.labels and "scalar" in kinds:
            raise self.fail("vector matching only allowed between instant vectors", token)
        return Binary(op, left, right, boolean, matching or Matching())

    def names(self, where: str) -> tuple[str, ...]:
        self.expect("(", where)
        found: list[str] = []
        while not self.accept(")"):
            if self.next.kind not in ("name", "duration") or ":" in self.next.text:
                raise self.fail(f"unexpected {self._shown()} in {where}, expected label")
            found.append(self.take().text)
            if self.next.text != ")":
                self.expect(",", where)
        return tuple(found)

    def primary(self) -> Node:
        token = self.next
        if token.kind == "number":
            self.take()
            return Number(float(int(token.text, 16)) if token.text[:2].lower() == "0x" else float(token.text))
        if token.kind == "string":
            self.take()
            return Text(unquoted(token.text))
        if token.text == "(" and token.kind == "op":
            self.take()
            inner = self.expression(0)
            self.expect(")", "paren expression")
            return inner
        if token.text == "{" and token.kind == "op":
            return self.selector("")
        if token.kind != "name":
            raise self.fail(f"unexpected {self._shown()}")
        word = token.text.lower()
        after = self.tokens[self.place + 1]
        if word in ("inf", "nan") and after.text not in ("{", "("):
            self.take()
            return Number(float(word))
        if word in AGGREGATIONS and (after.text == "(" or after.text.lower() in ("by", "without")):
            return self.aggregate()
        if after.text == "(" and after.kind == "op":
            return self.call()
        if word in _LEVELS:
            raise self.fail(f"unexpected {self._shown()}")
        self.take()
        return self.selector(token.text)

    def selector(self, name: str) -> Selector:
        found = [Matcher("__name__", "=", name)] if name else []
        if self.next.text == "{" and self.next.kind == "op":
            opening = self.take()
            while not self.accept("}"):
                label = self.take()
                if label.kind not in ("name", "duration") or ":" in label.text:
                    raise self.fail(f'unexpected {label.text!r} in label matching, expected identifier or "}}"', label)
                op = self.take()
                if op.text not in ("=", "!=", "=~", "!~"):
                    raise self.fail(f"unexpected {op.text!r} in label matching, expected label matching operator", op)
                value = self.take()
                if value.kind != "string":
                    raise self.fail(f"unexpected {value.text!r} in label matching, expected string", value)
                if name and label.text == "__name__":
                    raise self.fail(f'metric name must not be set twice: "{name}" or {value.text}', label)
                found.append(self.matcher(label.text, op.text, unquoted(value.text), value))
                if self.next.text != "}":
                    self.expect(",", "label matching")
            if all(m.matches("") for m in found):
                raise self.fail("vector selector must contain at least one non-empty matcher", opening)
        return Selector(tuple(found))

    def matcher(self, label: str, op: str, value: str, token: Token) -> Matcher:
        made = Matcher(label, op, value)
        if op in ("=~", "!~"):
            try:
                made.pattern  # noqa: B018 -- compiles it
            except re.error as error:
                raise self.fail(f"error parsing regexp: {error}: {value!r}", token) from None
        return made

    def aggregate(self) -> Node:
        token = self.take()
        op = token.text.lower()
        grouping: tuple[str, ...] = ()
        without, grouped = False, False
        if self.word() in ("by", "without"):
            without, grouped = self.take().text.lower() == "without", True
            grouping = self.names("grouping opts")
        arguments = self.arguments()
        if not grouped and self.word() in ("by", "without"):
            without = self.take().text.lower() == "without"
            grouping = self.names("grouping opts")
        wanted = 2 if op in PARAMETER else 1
        if len(arguments) != wanted:
            raise self.fail(f"wrong number of arguments for aggregate expression provided, expected {wanted}", token)
        if kind_of(arguments[-1]) != "vector":
            raise self.fail(
                f"expected type instant vector in aggregation expression, got {kind_of(arguments[-1])}", token
            )
        parameter = arguments[0] if wanted == 2 else None
        if parameter is not None and kind_of(parameter) != PARAMETER[op]:
            raise self.fail(f"expected type {PARAMETER[op]} in aggregation parameter, got {kind_of(parameter)}", token)
        return Aggregate(op, arguments[-1], parameter, grouping, without)

    def arguments(self) -> list[Node]:
        self.expect("(", "function call")
        found: list[Node] = []
        while not self.accept(")"):
            found.append(self.expression(0))
            if self.next.text != ")":
                self.expect(",", "function call")
        return found

    def call(self) -> Node:
        token = self.take()
        signature = SIGNATURES.get(token.text)
        if signature is None:
            raise self.fail(f'unknown function with name "{token.text}"', token)
        arguments = self.arguments()
        least, most = signature.bounds
        if not least <= len(arguments) <= most:
            raise self.fail(
                f'expected {least}{f" to {most}" if most > least else ""} argument(s) in call to "{token.text}", '
                f"got {len(arguments)}",
                token,
            )
        for number, argument in enumerate(arguments):
            wanted = signature.kind(number)
            if kind_of(argument) != wanted:
                raise self.fail(
                    f'expected type {wanted} in call to function "{token.text}", got {kind_of(argument)}', token
                )
        return Call(token.text, tuple(arguments))

    # ranges and shifts

    def postfix(self, node: Node) -> Node:
        while True:
            if self.next.text == "[" and self.next.kind == "op":
                node = self.ranged(node)
            elif self.word() == "offset" and self.next.kind == "name":
                token = self.take()
                sign = -1.0 if self.accept("-") else 1.0
                node = self.shifted(node, token, offset=sign * self.duration())
            elif self.next.text == "@" and self.next.kind == "op":
                token = self.take()
                node = self.shifted(node, token, at=self.moment())
            else:
                return node

    def duration(self) -> float:
        token = self.take()
        if token.kind != "duration":
            raise self.fail(f"unexpected {token.text!r}, expected duration", token)
        return seconds_of(token.text)

    def moment(self) -> float | str:
        sign = -1.0 if self.accept("-") else 1.0
        token = self.take()
        if token.text in ("start", "end"):
            self.expect("(", "@ modifier")
            self.expect(")", "@ modifier")
            return token.text
        if token.kind != "number":
            raise self.fail(f"unexpected {token.text!r} in @ modifier, expected timestamp", token)
        return sign * float(token.text)

    def ranged(self, node: Node) -> Node:
        token = self.take()
        seconds = self.duration()
        if seconds <= 0:
            raise self.fail("duration must be greater than 0", token)
        if self.accept(":"):
            step = self.duration() if self.next.kind == "duration" else 0.0
            self.expect("]", "subquery selector")
            if kind_of(node) != "vector":
                raise self.fail(f"subquery is only allowed on instant vector, got {kind_of(node)} instead", token)
            return Subquery(node, seconds, step)
        self.expect("]", "subquery or range")
        if not isinstance(node, Selector):
            raise self.fail("ranges only allowed for vector selectors", token)
        if node.shift != Shift():
            raise self.fail("no offset modifiers allowed before range", token)
        return Range(node, seconds)

    def shifted(self, node: Node, token: Token, *, offset: float = 0.0, at: float | str | None = None) -> Node:
        if isinstance(node, Range):
            moved = self.shifted(node.selector, token, offset=offset, at=at)
            assert isinstance(moved, Selector)
            return replace(node, selector=moved)
        if not isinstance(node, Selector | Subquery):
            raise self.fail(
                "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
                token,
            )
        before = node.shift
        if (offset and before.offset) or (at is not None and before.at is not None):
            raise self.fail("offset or @ may not be set multiple times", token)
        return replace(node, shift=Shift(offset or before.offset, before.at if at is None else at))
