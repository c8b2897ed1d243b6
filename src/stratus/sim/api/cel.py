"""The expression language of validation rules (CEL): the part of it that schemas of custom resources use."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any

Scope = dict[str, Any]
Node = Callable[[Scope], Any]


class CelError(Exception):
    """An expression could not be evaluated; the text is the one told to the client."""


class CelSyntaxError(ValueError):
    """The text is no expression, or uses what is not known here."""


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)
    | (?P<int>0x[0-9a-fA-F]+u?|\d+u?)
    | (?P<string>[rR]?(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'))
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<op>\|\||&&|==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{}])
    )""",
    re.X,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"', "`": "`", "a": "\a", "b": "\b",
            "f": "\f", "v": "\v", "?": "?"}  # fmt: skip
_MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})


def _tokens(text: str) -> list[tuple[str, str]]:
    out, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.end() == at:
            raise CelSyntaxError(f"unexpected text at {at}: {text[at : at + 20]!r}")
        kind = match.lastgroup or "op"
        out.append((kind, match[kind]))
        at = match.end()
    return out


def _literal(text: str) -> str:
    raw = text[0] in "rR"
    inner = text[2:-1] if raw else text[1:-1]
    if raw:
        return inner

    def unescape(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if code[0] in "xuU" else _ESCAPES.get(code, code)

    return re.sub(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", unescape, inner)


@lru_cache(maxsize=512)
def compiled(text: str) -> tuple[Node, frozenset[str]]:
    """Return an expression ready to be evaluated, and the names it uses.

    Raises:
        CelSyntaxError: when it is none.
    """
    parser = _Parser(_tokens(text))
    node = parser.expression()
    if parser.at < len(parser.tokens):
        raise CelSyntaxError(f"unexpected {parser.tokens[parser.at][1]!r}")
    return node, frozenset(parser.names)


class _Parser:
    """Reads tokens into closures, one method per level of precedence."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.at = 0
        self.names: set[str] = set()

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def take(self, *wanted: str) -> str:
        """Return the operator that comes next when it is one of those wanted, and step over it."""
        kind, text = self.peek()
        if kind == "op" and text in wanted:
            self.at += 1
            return text
        return ""

    def need(self, wanted: str) -> None:
        if not self.take(wanted):
            raise CelSyntaxError(f"expected {wanted!r}, found {self.peek()[1]!r}")

    def expression(self) -> Node:
        condition = self.either()
        if not self.take("?"):
            return condition
        yes = self.either()
        self.need(":")
        no = self.expression()
        return lambda scope: yes(scope) if _bool(condition(scope)) else no(scope)

    def either(self) -> Node:
        left = self.both()
        while self.take("||"):
            left = _logic(left, self.both(), True)
        return left

    def both(self) -> Node:
        left = self.relation()
        while self.take("&&"):
            left = _logic(left, self.relation(), False)
        return left

    def relation(self) -> Node:
        left = self.sum()
        while True:
            operator = self.take("==", "!=", "<=", ">=", "<", ">")
            if not operator and self.peek() == ("name", "in"):
                self.at += 1
                operator = "in"
            if not operator:
                return left
            left = _binary(operator, left, self.sum())

    def sum(self) -> Node:
        left = self.product()
        while operator := self.take("+", "-"):
            left = _binary(operator, left, self.product())
        return left

    def product(self) -> Node:
        left = self.unary()
        while operator := self.take("*", "/", "%"):
            left = _binary(operator, left, self.unary())
        return left

    def unary(self) -> Node:
        if self.take("!"):
            inner = self.unary()
            return lambda scope: not _bool(inner(scope))
        if self.take("-"):
            number = self.unary()
            return lambda scope: -number(scope)
        return self.member()

    def member(self) -> Node:
        node = self.primary()
        while True:
            if self.take("."):
                name = self.name()
                node = self.call(node, name) if self.take("(") else _field(node, name)
            elif self.take("["):
                key = self.expression()
                self.need("]")
                node = _index(node, key)
            else:
                return node

    def name(self) -> str:
        kind, text = self.peek()
        if kind != "name":
            raise CelSyntaxError(f"expected a name, found {text!r}")
        self.at += 1
        return text

    def call(self, node: Node, name: str) -> Node:
        if name in _MACROS:
            variable = self.name()
            self.need(",")
            parts = [self.expression()]
            while self.take(","):
                parts.append(self.expression())
            self.need(")")
            self.names.discard(variable)
            return _macro(name, node, variable, parts)
        arguments = self.arguments(")")
        if name not in _METHODS:
            raise CelSyntaxError(f"undeclared reference to {name!r}")
        return lambda scope: _apply(_METHODS[name], name, [node(scope), *(a(scope) for a in arguments)])

    def arguments(self, end: str) -> list[Node]:
        out: list[Node] = []
        while not self.take(end):
            if out:
                self.need(",")
                if self.take(end):
                    break
            out.append(self.expression())
        return out

    def primary(self) -> Node:
        kind, text = self.peek()
        self.at += 1
        if kind == "int":
            number = int(text.rstrip("u"), 0)
            return lambda scope: number
        if kind == "float":
            return lambda scope: float(text)
        if kind == "string":
            value = _literal(text)
            return lambda scope: value
        if kind == "name":
            return self.named(text)
        if text == "(":
            inner = self.expression()
            self.need(")")
            return inner
        if text == "[":
            items = self.arguments("]")
            return lambda scope: [item(scope) for item in items]
        if text == "{":
            return self.mapping()
        raise CelSyntaxError(f"unexpected {text or 'end'!r}")

    def mapping(self) -> Node:
        pairs: list[tuple[Node, Node]] = []
        while not self.take("}"):
            if pairs:
                self.need(",")
            key = self.expression()
            self.need(":")
            pairs.append((key, self.expression()))
        return lambda scope: {k(scope): v(scope) for k, v in pairs}

    def named(self, text: str) -> Node:
        constants = {"true": True, "false": False, "null": None}
        if text in constants:
            return lambda scope: constants[text]
        if self.take("("):
            if text == "has":
                return self.has()
            arguments = self.arguments(")")
            if text not in _FUNCTIONS:
                raise CelSyntaxError(f"undeclared reference to {text!r}")
            return lambda scope: _apply(_FUNCTIONS[text], text, [a(scope) for a in arguments])
        self.names.add(text)

        def variable(scope: Scope) -> Any:
            if text not in scope:
                raise CelError(f"no such attribute: {text}")
            return scope[text]

        return variable

    def has(self) -> Node:
        """Read the one argument of `has`: a path to a field, whose last step may lead nowhere."""
        start = self.at
        depth, last = 0, -1
        while depth >= 0:
            kind, text = self.peek()
            if kind == "end":
                raise CelSyntaxError("invalid argument to has() macro")
            depth += (text in ("(", "[")) - (text in (")", "]")) if kind == "op" else 0
            if kind == "op" and text == "." and depth == 0:
                last = self.at
            self.at += 1
        end = self.at - 1
        if last < 0 or end != last + 2 or self.tokens[last + 1][0] != "name":
            raise CelSyntaxError("invalid argument to has() macro")
        inner = _Parser(self.tokens[start:last])
        holder = inner.expression()
        self.names |= inner.names
        name = self.tokens[last + 1][1]
        return lambda scope: _has(holder(scope), name)


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise CelError("no such overload")
    return value


def _has(holder: Any, name: str) -> bool:
    if not isinstance(holder, dict):
        raise CelError("no such overload")
    return _plain(name) in holder


def _plain(name: str) -> str:
    """Return the property a name stands for: names that are words of the language are written `__in__`."""
    if name.startswith("__") and name.endswith("__") and len(name) > 4:
        return name[2:-2]
    for code, char in (("__dot__", "."), ("__dash__", "-"), ("__slash__", "/"), ("__underscores__", "__")):
        name = name.replace(code, char)
    return name


def _field(node: Node, name: str) -> Node:
    key = _plain(name)

    def fn(scope: Scope) -> Any:
        value = node(scope)
        if not isinstance(value, dict):
            raise CelError("no such overload")
        if key not in value:
            raise CelError(f"no such key: {key}")
        return value[key]

    return fn


def _index(node: Node, key: Node) -> Node:
    def fn(scope: Scope) -> Any:
        value, at = node(scope), key(scope)
        if isinstance(value, dict):
            if at not in value:
                raise CelError(f"no such key: {at}")
            return value[at]
        if not isinstance(value, list) or isinstance(at, bool) or not isinstance(at, int):
            raise CelError("no such overload")
        if not 0 <= at < len(value):
            raise CelError(f"index out of bounds: {at}")
        return value[at]

    return fn


def _logic(left: Node, right: Node, decisive: bool) -> Node:
    """Join two conditions; one that decides makes an error in the other not matter."""

    def fn(scope: Scope) -> bool:
        try:
            if _bool(left(scope)) is decisive:
                return decisive
        except CelError:
            if _bool(right(scope)) is decisive:
                return decisive
            raise
        return _bool(right(scope))

    return fn


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, bool) != isinstance(b, bool):
        return False
    return bool(a == b)


def _binary(operator: str, left: Node, right: Node) -> Node:
    act = _OPERATORS[operator]

    def fn(scope: Scope) -> Any:
        a, b = left(scope), right(scope)
        try:
            return act(a, b)
        except ZeroDivisionError:
            raise CelError("division by zero" if operator == "/" else "modulus by zero") from None
        except TypeError:
            raise CelError("no such overload") from None

    return fn


def _divide(a: Any, b: Any) -> Any:
    if isinstance(a, float) or isinstance(b, float):
        return a / b
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _inside(a: Any, b: Any) -> bool:
    if not isinstance(b, list | dict):
        raise TypeError
    return any(_same(a, item) for item in b)


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": _same,
    "!=": lambda a, b: not _same(a, b),
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "in": _inside,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divide,
    "%": lambda a, b: a - b * _divide(a, b),
}


def _macro(name: str, node: Node, variable: str, parts: list[Node]) -> Node:
    def each(scope: Scope) -> list[Scope]:
        value = node(scope)
        if not isinstance(value, list | dict):
            raise CelError("no such overload")
        return [{**scope, variable: item} for item in value]

    def holds(scope: Scope) -> list[bool]:
        return [_bool(parts[0](inner)) for inner in each(scope)]

    def filtered(scope: Scope) -> list[Any]:
        return [inner[variable] for inner in each(scope) if _bool(parts[0](inner))]

    def mapped(scope: Scope) -> list[Any]:
        if len(parts) == 2:
            return [parts[1](inner) for inner in each(scope) if _bool(parts[0](inner))]
        return [parts[0](inner) for inner in each(scope)]

    return {
        "all": lambda scope: all(holds(scope)),
        "exists": lambda scope: any(holds(scope)),
        "exists_one": lambda scope: sum(holds(scope)) == 1,
        "filter": filtered,
        "map": mapped,
    }[name]


def _apply(act: Callable[..., Any], name: str, values: list[Any]) -> Any:
    try:
        return act(*values)
    except (TypeError, AttributeError):
        raise CelError("no such overload") from None
    except (ValueError, IndexError) as error:
        raise CelError(f"{name}: {error}") from None


def _size(value: Any) -> int:
    if not isinstance(value, str | list | dict):
        raise TypeError
    return len(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise TypeError
    return str(value)


def _sorted(value: list[Any]) -> bool:
    return all(a <= b for a, b in pairwise(value))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "size": _size,
    "int": int,
    "uint": int,
    "double": float,
    "string": _text,
    "type": lambda value: type(value).__name__,
    "dyn": lambda value: value,
}
_METHODS: dict[str, Callable[..., Any]] = {
    "size": _size,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": lambda text, part: str.__contains__(text, part),
    "matches": lambda text, pattern: re.search(pattern, text) is not None,
    "lowerAscii": str.lower,
    "upperAscii": str.upper,
    "trim": str.strip,
    "split": str.split,
    "replace": str.replace,
    "indexOf": lambda value, item: value.find(item) if isinstance(value, str) else _where(value, item),
    "substring": lambda text, start, end=None: text[start:end],
    "join": lambda items, between="": between.join(items),
    "isSorted": _sorted,
    "sum": sum,
    "min": min,
    "max": max,
}


def _where(items: list[Any], item: Any) -> int:
    return next((at for at, found in enumerate(items) if _same(found, item)), -1)
