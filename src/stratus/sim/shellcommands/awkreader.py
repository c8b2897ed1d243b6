"""The reader of awk programs: words and trees."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from stratus.sim.shellcommands.values import _escape

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+\.?\d*|\.\d+)|(?P<name>[A-Za-z_]\w*)|(?P<string>"(?:[^"\\]|\\.)*")"""
    r"""|(?P<op>\+\+|--|\+=|-=|\*=|/=|%=|==|!=|<=|>=|&&|\|\||!~|[-+*/%^=<>~!?:,;(){}\[\]$\n]))"""
)


class AwkError(Exception):
    """The program is wrong."""


@dataclass
class Reader:
    """Splits a program into words and reads it into trees, which are tuples."""

    text: str
    words: list[tuple[str, str]] = field(default_factory=list)
    at: int = 0
    depth: int = 0

    def __post_init__(self) -> None:
        at = 0
        text = re.sub(r"(?m)#[^\n\"/]*$", "", self.text)
        while text[at:].strip(" \t\r"):
            rest = text[at:].lstrip(" \t\r")
            if rest.startswith("\n"):
                self.words.append(("op", "\n"))
                at = len(text) - len(rest) + 1
                continue
            previous = self.words[-1] if self.words else ("op", ";")
            if rest.startswith("/") and previous[0] == "op" and previous[1] not in (")", "]", "$"):
                found = re.match(r"/((?:[^/\\\n]|\\.)*)/", rest)
                if not found:
                    raise AwkError("unterminated regexp")
                self.words.append(("regex", found.group(1)))
                at = len(text) - len(rest) + found.end()
                continue
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                raise AwkError(f"syntax error near {rest[:10]!r}")
            self.words.append((match.lastgroup, match.group(match.lastgroup)))
            at = match.end()

    def peek(self) -> str:
        return self.words[self.at][1] if self.at < len(self.words) else ""

    def kind(self) -> str:
        return self.words[self.at][0] if self.at < len(self.words) else "end"

    def accept(self, *texts: str) -> bool:
        if self.kind() in ("op", "name") and self.peek() in texts:
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise AwkError(f"syntax error: expected {text!r} near {self.peek()!r}")

    def skip(self) -> None:
        while self.accept("\n", ";"):
            pass

    def rules(self) -> list[tuple[Any, Any]]:
        found = []
        self.skip()
        while self.at < len(self.words):
            pattern: Any = None
            if self.peek() != "{":
                pattern = ("mark", self.peek()) if self.accept("BEGIN", "END") else self.expression()
                if pattern[0] == "mark":
                    pattern = ("mark", self.words[self.at - 1][1])
                elif self.accept(","):
                    pattern = ("range", pattern, self.expression())
            found.append((pattern, self.block() if self.peek() == "{" else None))
            self.skip()
        return found

    def block(self) -> Any:
        self.expect("{")
        body = []
        self.skip()
        while not self.accept("}"):
            if self.at >= len(self.words):
                raise AwkError("syntax error: unexpected end of program")
            body.append(self.statement())
            self.skip()
        return ("block", body)

    def statement(self) -> Any:
        if self.peek() == "{":
            return self.block()
        if self.accept("if"):
            self.expect("(")
            condition = self.expression()
            self.expect(")")
            self.skip()
            then = self.statement()
            mark = self.at
            self.skip()
            if self.accept("else"):
                self.skip()
                return ("if", condition, then, self.statement())
            self.at = mark
            return ("if", condition, then, None)
        if self.accept("while"):
            self.expect("(")
            condition = self.expression()
            self.expect(")")
            return ("while", condition, self.statement())
        if self.accept("for"):
            return self._for()
        if self.accept("print", "printf"):
            name = self.words[self.at - 1][1]
            args = [] if self.peek() in (";", "}", "\n", "") else self._list()
            return (name, args)
        for word in ("next", "exit", "break", "continue"):
            if self.accept(word):
                code = self.expression() if word == "exit" and self.peek() not in (";", "}", "\n", "") else None
                return (word, code)
        if self.accept("delete"):
            name = self.words[self.at][1]
            self.at += 1
            if self.accept("["):
                key = self._list()
                self.expect("]")
                return ("delete", name, key)
            return ("delete", name, None)
        return ("expr", self.expression())

    def _for(self) -> Any:
        self.expect("(")
        if self.kind() == "name" and self.words[self.at + 1][1:] == ("in",):
            name, array = self.peek(), self.words[self.at + 2][1]
            self.at += 3
            self.expect(")")
            return ("forin", name, array, self.statement())
        first = None if self.peek() == ";" else ("expr", self.expression())
        self.expect(";")
        condition = None if self.peek() == ";" else self.expression()
        self.expect(";")
        step = None if self.peek() == ")" else ("expr", self.expression())
        self.expect(")")
        return ("for", first, condition, step, self.statement())

    def _list(self) -> list[Any]:
        found = [self.expression()]
        while self.accept(","):
            found.append(self.expression())
        return found

    def expression(self) -> Any:
        self.depth += 1
        if self.depth > 60:
            raise AwkError("expression too deep")
        try:
            left = self._or()
            if self.accept("?"):
                first = self.expression()
                self.expect(":")
                return ("choice", left, first, self.expression())
            if self.kind() == "op" and self.peek() in ("=", "+=", "-=", "*=", "/=", "%="):
                operator = self.words[self.at][1]
                self.at += 1
                if left[0] not in ("var", "field", "item"):
                    raise AwkError("syntax error: cannot assign")
                right = self.expression()
                return ("assign", left, right if operator == "=" else ("binary", operator[0], left, right))
            return left
        finally:
            self.depth -= 1

    def _binary(self, operators: tuple[str, ...], inner: Any) -> Any:
        left = inner()
        while self.kind() == "op" and self.peek() in operators:
            operator = self.peek()
            self.at += 1
            left = ("binary", operator, left, inner())
        return left

    def _or(self) -> Any:
        return self._binary(("||",), self._and)

    def _and(self) -> Any:
        return self._binary(("&&",), self._in)

    def _in(self) -> Any:
        left = self._match()
        while self.accept("in"):
            name = self.words[self.at][1]
            self.at += 1
            left = ("inside", left, name)
        return left

    def _match(self) -> Any:
        return self._binary(("~", "!~"), self._compare)

    def _compare(self) -> Any:
        return self._binary(("<", ">", "<=", ">=", "==", "!="), self._join)

    def _join(self) -> Any:
        left = self._sum()
        while (self.kind() in ("number", "string", "name") and self.peek() != "in") or self.peek() in ("$", "(", "!"):
            if self.peek() == "!" and self.words[self.at][0] == "op":
                break
            left = ("join", left, self._sum())
        return left

    def _sum(self) -> Any:
        return self._binary(("+", "-"), self._product)

    def _product(self) -> Any:
        return self._binary(("*", "/", "%"), self._power)

    def _power(self) -> Any:
        left = self._unary()
        return ("binary", "^", left, self._power()) if self.accept("^") else left

    def _unary(self) -> Any:
        for operator in ("!", "-", "+"):
            if self.accept(operator):
                return ("unary", operator, self._unary())
        for operator in ("++", "--"):
            if self.accept(operator):
                target = self._primary()
                return ("assign", target, ("binary", operator[0], target, ("number", 1.0)))
        value = self._primary()
        for operator in ("++", "--"):
            if value[0] in ("var", "item", "field") and self.accept(operator):
                return ("after", value, operator[0])
        return value

    def _primary(self) -> Any:
        kind, text = self.words[self.at] if self.at < len(self.words) else ("end", "")
        self.at += 1
        if kind == "number":
            return ("number", float(text))
        if kind == "string":
            return ("string", _escape(text[1:-1].replace('\\"', '"').replace("\\/", "/")))
        if kind == "regex":
            return ("regex", text)
        if text == "$":
            return ("field", self._primary())
        if text == "(":
            value = self.expression()
            self.expect(")")
            return value
        if kind != "name":
            raise AwkError(f"syntax error near {text!r}")
        if self.accept("["):
            key = self._list()
            self.expect("]")
            return ("item", text, key)
        if self.accept("("):
            args = [] if self.peek() == ")" else self._list()
            self.expect(")")
            return ("call", text, args)
        return ("call", text, []) if text == "length" else ("var", text)
