"""Takes a PromQL text apart into tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stratus.errors import StratusError

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_DURATION = re.compile(r"(?:\d+(?:ms|[smhdwy]))+")
_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      |(?P<duration>(?:\d+(?:ms|[smhdwy]))+(?![A-Za-z0-9_.]))
      |(?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      |(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)
      |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
      |(?P<op>==|!=|=~|!~|>=|<=|[-+*/%^(){}\[\],=<>@:])""",
    re.VERBOSE | re.DOTALL,
)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"', "'": "'"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)


class PromQLError(StratusError):
    """A query cannot be understood or answered; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `kind` is duration, number, name, string, op or end."""

    kind: str
    text: str
    at: int


def tokens(text: str) -> list[Token]:
    """Return the tokens of an expression, an `end` last.

    Raises:
        PromQLError: a character that begins nothing.
    """
    found: list[Token] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise PromQLError(f"{position(text, place)}: parse error: unexpected character: {text[place]!r}")
        kind = match.lastgroup or ""
        # Inside brackets `[5m:1m]` a colon stands for itself; it begins a name only before a letter.
        alone = match.group() == ":" or (_in_range(found) and match.group()[0] == ":")
        if kind == "name" and alone:
            kind, match = "op", re.compile(":").match(text, place)
            assert match is not None
        if kind != "space":
            found.append(Token(kind, match.group(), place))
        place = match.end()
    found.append(Token("end", "", len(text)))
    return found


def _in_range(found: list[Token]) -> bool:
    return len(found) >= 2 and found[-1].kind == "duration" and found[-2].text == "["


def position(text: str, place: int) -> str:
    """Return `line:column` of a place."""
    line = text.count("\n", 0, place) + 1
    return f"{line}:{place - text.rfind(chr(10), 0, place)}"


def seconds_of(text: str) -> float:
    """Read a duration such as `1h30m`.

    Raises:
        PromQLError: it is none.
    """
    if not _DURATION.fullmatch(text):
        raise PromQLError(f"not a valid duration string: {text!r}")
    return sum(int(n) * _UNITS[u] for n, u in re.findall(r"(\d+)(ms|[smhdwy])", text))


def unquoted(token: str) -> str:
    """Return the value of a string token."""
    body = token[1:-1]
    if token[0] == "`":
        return body

    def one(match: re.Match[str]) -> str:
        word = match.group(1)
        if word in _SIMPLE:
            return _SIMPLE[word]
        if word[0] in "xuU" and len(word) > 1:
            return chr(int(word[1:], 16))
        if len(word) == 3:
            return chr(int(word, 8))
        raise PromQLError(f"parse error: unknown escape sequence \\{word} in {token}")

    return _ESCAPE.sub(one, body)
