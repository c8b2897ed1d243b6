"""Splits SQL into words; positions are kept, because errors point at them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from stratus.sim.apps.stores.postgres.errors import PgError, syntax

Kind = Literal["name", "quoted", "number", "string", "op", "param", "end"]
_SPACE = re.compile(r"(?:\s+|--[^\n]*)+")
_NAME = re.compile(r"[A-Za-z_\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*")
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_OPERATOR = re.compile(
    r"::|:=|<=|>=|<>|!=|\|\||!~~\*|!~~|~~\*|~~|!~\*|!~|~\*|->>|->|#>>|#>|@>|<@|&&|[-+*/%^<>=~!@#&|?(),.;:\[\]]"
)
_DOLLAR = re.compile(r"\$([A-Za-z_]\w*)?\$")


@dataclass(frozen=True, slots=True)
class Token:
    """A word: what it is, how it is written, what it means (names in lower case), and where it is."""

    kind: Kind
    text: str
    value: str
    at: int

    def word(self) -> str:
        """Return an unquoted name in lower case, else nothing."""
        return self.value if self.kind == "name" else ""


def tokenize(sql: str) -> list[Token]:
    """Split a text into words, with one at the end that stands for it.

    Raises:
        PgError: a string or comment is not closed, or a letter belongs to no word.
    """
    found: list[Token] = []
    at = 0
    while True:
        space = _SPACE.match(sql, at)
        if space:
            at = space.end()
        if at >= len(sql):
            found.append(Token("end", "", "", len(sql)))
            return found
        if sql.startswith("/*", at):
            at = _comment(sql, at)
            continue
        token, at = _token(sql, at)
        found.append(token)


def _comment(sql: str, at: int) -> int:
    depth, i = 0, at
    while i < len(sql):
        if sql.startswith("/*", i):
            depth += 1
            i += 2
        elif sql.startswith("*/", i):
            depth -= 1
            i += 2
            if not depth:
                return i
        else:
            i += 1
    raise PgError(f'unterminated /* comment at or near "{sql[at:]}"', "42601", position=at)


def _token(sql: str, at: int) -> tuple[Token, int]:
    c = sql[at]
    if c == "'" or (c in "eE" and sql[at + 1 : at + 2] == "'"):
        start = at if c == "'" else at + 1
        return _string(sql, at, start, escapes=c != "'")
    if c == '"':
        close = at + 1
        while True:
            close = sql.find('"', close)
            if close < 0:
                raise PgError(f'unterminated quoted identifier at or near "{sql[at:]}"', "42601", position=at)
            if sql[close + 1 : close + 2] != '"':
                break
            close += 2
        text = sql[at : close + 1]
        return Token("quoted", text, text[1:-1].replace('""', '"'), at), close + 1
    dollar = _DOLLAR.match(sql, at)
    if dollar:
        close = sql.find(dollar.group(), dollar.end())
        if close < 0:
            raise PgError(f'unterminated dollar-quoted string at or near "{sql[at:]}"', "42601", position=at)
        end = close + len(dollar.group())
        return Token("string", sql[at:end], sql[dollar.end() : close], at), end
    for kind, pattern in (("name", _NAME), ("number", _NUMBER)):
        match = pattern.match(sql, at)
        if match:
            text = match.group()
            return Token("name" if kind == "name" else "number", text, text.lower(), at), match.end()
    if c == "$" and sql[at + 1 : at + 2].isdigit():
        match = re.compile(r"\$\d+").match(sql, at)
        assert match is not None
        return Token("param", match.group(), match.group(), at), match.end()
    operator = _OPERATOR.match(sql, at)
    if operator is None:
        raise syntax(c, at)
    return Token("op", operator.group(), operator.group(), at), operator.end()


def _string(sql: str, at: int, start: int, *, escapes: bool) -> tuple[Token, int]:
    out, i = "", start + 1
    while i < len(sql):
        c = sql[i]
        if escapes and c == "\\" and i + 1 < len(sql):
            out += {"n": "\n", "t": "\t", "r": "\r", "b": "\b"}.get(sql[i + 1], sql[i + 1])
            i += 2
        elif c != "'":
            out += c
            i += 1
        elif sql[i + 1 : i + 2] == "'":
            out += "'"
            i += 2
        else:
            return Token("string", sql[at : i + 1], out, at), i + 1
    raise PgError(f'unterminated quoted string at or near "{sql[at:]}"', "42601", position=at)


def split(sql: str) -> list[tuple[str, int]]:
    """Split a text at its semicolons: (statement, where it begins); empty ones are left out.

    Raises:
        PgError: it cannot be split into words.
    """
    found: list[tuple[str, int]] = []
    start: int | None = None
    depth = 0
    for token in tokenize(sql):
        if token.kind == "op" and token.text in "()":
            depth += 1 if token.text == "(" else -1
        if token.kind == "end" or (token.text == ";" and token.kind == "op" and depth <= 0):
            if start is not None:
                found.append((sql[start : token.at + len(token.text)].rstrip(), start))
            start = None
        elif start is None:
            start = token.at
    return found
