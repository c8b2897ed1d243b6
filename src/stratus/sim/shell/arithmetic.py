"""Integer arithmetic of the shell."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"\s*(0[xX][0-9a-fA-F]+|\d+|[A-Za-z_]\w*|<<=|>>=|\*\*|\|\||&&|==|!=|<=|>=|<<|>>|\+\+|--|[-+*/%&|^]=|[-+*/%()<>!~?:=&|^,])"
)
_LEVELS = (
    ("||",), ("&&",), ("|",), ("^",), ("&",), ("==", "!="), ("<=", ">=", "<", ">"), ("<<", ">>"), ("+", "-"),
    ("*", "/", "%"),
)  # fmt: skip
_ASSIGNING = frozenset({"=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="})
_DEEPEST, _WORD = 60, 1 << 64


class ArithmeticProblem(Exception):
    """The expression cannot be evaluated."""


def evaluate(text: str, env: dict[str, str]) -> int:
    """Return the value of an expression; assignments change `env`.

    Raises:
        ArithmeticProblem: it cannot be evaluated.
    """
    return _Evaluation(text, env).value()


def _wrapped(number: int) -> int:
    """Return a number as 64 bits hold it."""
    number %= _WORD
    return number - _WORD if number >= _WORD // 2 else number


class _Evaluation:
    def __init__(self, text: str, env: dict[str, str]) -> None:
        self.tokens: list[str] = []
        self.env = env
        self.at = 0
        self.depth = 0
        position = 0
        while text[position:].strip():
            found = _TOKEN.match(text, position)
            if found is None:
                raise ArithmeticProblem(text.strip())
            self.tokens.append(found.group(1))
            position = found.end()

    def value(self) -> int:
        if not self.tokens:
            return 0
        result = self._comma()
        if self.at < len(self.tokens):
            raise ArithmeticProblem(" ".join(self.tokens))
        return result

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _take(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1] if self.at <= len(self.tokens) else ""

    def _comma(self) -> int:
        result = self._assignment()
        while self._peek() == ",":
            self._take()
            result = self._assignment()
        return result

    def _assignment(self) -> int:
        name = self._peek()
        following = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else ""
        if not (name[:1].isalpha() or name[:1] == "_") or following not in _ASSIGNING:
            return self._ternary()
        self.at += 2
        value = self._assignment()
        if following != "=":
            value = _binary(following[:-1], self._variable(name), value)
        self.env[name] = str(value)
        return value

    def _ternary(self) -> int:
        condition = self._level(0)
        if self._peek() != "?":
            return condition
        self._take()
        first = self._assignment()
        if self._take() != ":":
            raise ArithmeticProblem("expected ':'")
        second = self._assignment()
        return first if condition else second

    def _level(self, depth: int) -> int:
        if depth == len(_LEVELS):
            return self._power()
        left = self._level(depth + 1)
        while self._peek() in _LEVELS[depth]:
            left = _binary(self._take(), left, self._level(depth + 1))
        return left

    def _power(self) -> int:
        base = self._unary()
        if self._peek() != "**":
            return base
        self._take()
        exponent = self._power()
        if not 0 <= exponent < 64:
            raise ArithmeticProblem("exponent out of range")
        return _wrapped(base**exponent)

    def _unary(self) -> int:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ArithmeticProblem("expression too deep")
        try:
            return self._primary(self._take())
        finally:
            self.depth -= 1

    def _primary(self, token: str) -> int:
        if token in ("++", "--"):
            name = self._take()
            value = self._variable(name) + (1 if token == "++" else -1)
            self.env[name] = str(value)
            return value
        if token in ("-", "+", "!", "~"):
            value = self._unary()
            return {"-": _wrapped(-value), "+": value, "!": int(not value), "~": ~value}[token]
        if token == "(":
            value = self._comma()
            if self._take() != ")":
                raise ArithmeticProblem("expecting ')'")
            return value
        if token[:1].isdigit():
            try:
                return _wrapped(int(token, 16 if token[:2] in ("0x", "0X") else 8 if token[0] == "0" else 10))
            except ValueError:
                raise ArithmeticProblem(token) from None
        if not token or not (token[0].isalpha() or token[0] == "_"):
            raise ArithmeticProblem("expecting primary")
        value = self._variable(token)
        if self._peek() in ("++", "--"):
            self.env[token] = str(value + (1 if self._take() == "++" else -1))
        return value

    def _variable(self, name: str) -> int:
        text = self.env.get(name, "").strip()
        if not text:
            return 0
        if re.fullmatch(r"[-+]?\d+", text):
            return _wrapped(int(text))
        raise ArithmeticProblem(text)


def _binary(operator: str, a: int, b: int) -> int:
    if operator in "/%" and b == 0:
        raise ArithmeticProblem("divide by zero")
    if operator == "/":
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    if operator == "%":
        return a - b * (abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1))
    if operator in ("<<", ">>"):
        return _wrapped(a << (b & 63)) if operator == "<<" else a >> (b & 63)
    numbers = {"+": a + b, "-": a - b, "*": a * b, "&": a & b, "|": a | b, "^": a ^ b}
    if operator in numbers:
        return _wrapped(numbers[operator])
    truths = {
        "||": bool(a or b), "&&": bool(a and b), "==": a == b, "!=": a != b, "<=": a <= b, ">=": a >= b, "<": a < b,
        ">": a > b,
    }  # fmt: skip
    return int(truths[operator])
