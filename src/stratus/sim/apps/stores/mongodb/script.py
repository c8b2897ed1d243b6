"""Reads as much JavaScript as people type into a database shell: literals, names, members, calls, a few operators."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(
    r"""\s+|//[^\n]*|/\*.*?\*/|(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_$][\w$]*)"""
    r"""|(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)"""
    r"""|(?P<op>=>|===|!==|==|!=|<=|>=|&&|\|\||\+\+|\+=|[-+*/%!<>=(){}\[\],.;:?])""",
    re.DOTALL,
)
_DEEPEST = 80


class ScriptError(Exception):
    """The script cannot be read; the text is the shell's."""


@dataclass(slots=True)
class Node:
    """A part of a script: what kind it is, its value (a name, a literal, an operator) and its parts."""

    kind: str
    value: Any = None
    parts: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class Token:
    """A word of a script."""

    kind: str
    text: str
    line_before: bool


def words_of(text: str) -> list[Token]:
    """Split a script into words.

    Raises:
        ScriptError: something in it is no word.
    """
    found: list[Token] = []
    at, newline = 0, False
    while at < len(text):
        literal = not found or (found[-1].kind == "op" and found[-1].text not in ")]}")
        if text[at] == "/" and literal and text[at + 1 : at + 2] not in ("/", "*"):
            match = re.compile(r"/((?:[^/\\\n]|\\.)+)/([a-z]*)").match(text, at)
            if match:
                found.append(Token("regex", match.group(), newline))
                at, newline = match.end(), False
                continue
        match = _TOKEN.match(text, at)
        if match is None or match.end() == at:
            raise ScriptError("SyntaxError: illegal character :\n@(shell eval):1:1")
        if match.lastgroup:
            found.append(Token(match.lastgroup, match.group(), newline))
            newline = False
        else:
            newline = newline or "\n" in match.group()
        at = match.end()
    return found


class Reader:
    """Builds the tree of a script."""

    def __init__(self, text: str) -> None:
        self.words = words_of(text)
        self.at = 0
        self.depth = 0

    def _peek(self) -> str:
        return self.words[self.at].text if self.at < len(self.words) else ""

    def _kind(self) -> str:
        return self.words[self.at].kind if self.at < len(self.words) else "end"

    def _take(self) -> Token:
        if self.at >= len(self.words):
            raise ScriptError("SyntaxError: missing ) or quote at the end of the script")
        self.at += 1
        return self.words[self.at - 1]

    def _accept(self, text: str) -> bool:
        if self._peek() != text or self._kind() == "string":
            return False
        self.at += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            found = self._peek() or "end of script"
            raise ScriptError(f"SyntaxError: missing {text} before {found} :\n@(shell eval):1:1")

    def statements(self) -> list[Node]:
        """Read the whole script."""
        found = []
        while self.at < len(self.words):
            if self._accept(";"):
                continue
            found.append(self._statement())
        return found

    def _statement(self) -> Node:
        word = self._peek()
        if word in ("use", "show") and self._kind() == "name" and self.at + 1 < len(self.words):
            following = self.words[self.at + 1]
            if following.kind == "name" and not following.line_before:
                return self._command()
        if word in ("var", "let", "const"):
            self._take()
            name = self._take().text
            self._expect("=")
            return Node("assign", name, [self.expression()])
        if word in ("function", "for", "while", "if", "try", "return", "throw"):
            raise ScriptError(f"this emulated shell knows no `{word}`: write single calls")
        node = self.expression()
        after = self.words[self.at] if self.at < len(self.words) else None
        if after is not None and after.text not in (";", "}") and not after.line_before:
            raise ScriptError(f"SyntaxError: unexpected token: {after.text!r} :\n@(shell eval):1:1")
        return node

    def _command(self) -> Node:
        """Read `use X` and `show Y`, which are no JavaScript."""
        name = self._take().text
        rest = ""
        while self.at < len(self.words) and not self.words[self.at].line_before and self._peek() != ";":
            rest += self._take().text
        return Node("command", name, [rest])

    def expression(self) -> Node:
        """Read an expression."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ScriptError("InternalError: too much recursion :\n@(shell eval):1:1")
        try:
            left = self._level(0)
            if self._accept("="):
                if left.kind != "name":
                    raise ScriptError("ReferenceError: invalid assignment left-hand side :\n@(shell eval):1:1")
                return Node("assign", left.value, [self.expression()])
            if self._accept("?"):
                first = self.expression()
                self._expect(":")
                return Node("choice", None, [left, first, self.expression()])
            return left
        finally:
            self.depth -= 1

    def _level(self, number: int) -> Node:
        levels = (("||",), ("&&",), ("===", "!==", "==", "!="), ("<", ">", "<=", ">="), ("+", "-"), ("*", "/", "%"))
        if number == len(levels):
            return self._unary()
        left = self._level(number + 1)
        while self._kind() == "op" and self._peek() in levels[number]:
            operator = self._take().text
            left = Node("binary", operator, [left, self._level(number + 1)])
        return left

    def _unary(self) -> Node:
        if self._kind() == "op" and self._peek() in ("!", "-", "+"):
            operator = self._take().text
            return Node("unary", operator, [self._unary()])
        if self._kind() == "name" and self._peek() in ("new", "typeof", "await"):
            self._take()
            return self._unary()
        return self._postfix()

    def _postfix(self) -> Node:
        node = self._primary()
        while True:
            if self._accept("."):
                name = self._take()
                if name.kind != "name":
                    raise ScriptError("SyntaxError: missing name after . operator :\n@(shell eval):1:1")
                node = Node("member", name.text, [node])
            elif self._peek() == "(" and self._kind() == "op":
                self._take()
                node = Node("call", None, [node, *self._list(")")])
            elif self._peek() == "[" and self._kind() == "op":
                self._take()
                inner = self.expression()
                self._expect("]")
                node = Node("index", None, [node, inner])
            else:
                return node

    def _list(self, end: str) -> list[Node]:
        found = []
        while not self._accept(end):
            found.append(self.expression())
            if not self._accept(","):
                self._expect(end)
                break
        return found

    def _primary(self) -> Node:
        token = self._take()
        if token.kind == "number":
            return Node("literal", float(token.text) if not token.text.isdigit() else int(token.text))
        if token.kind == "string":
            return Node("literal", unquoted(token.text))
        if token.kind == "regex":
            body, _, flags = token.text[1:].rpartition("/")
            return Node("literal", {"$regex": body, "$options": flags})
        if token.kind == "name":
            if token.text == "function":
                raise ScriptError("this emulated shell knows no `function`: write `x => ...`")
            if self._accept("=>"):
                return Node("arrow", [token.text], [self._body()])
            constants = {"true": True, "false": False, "null": None, "undefined": None}
            if token.text in constants:
                return Node("literal", constants[token.text])
            return Node("name", token.text)
        if token.text == "(":
            if (names := self._parameters()) is not None:
                return Node("arrow", names, [self._body()])
            node = self.expression()
            self._expect(")")
            return node
        if token.text == "[":
            return Node("array", None, self._list("]"))
        if token.text == "{":
            return self._object()
        raise ScriptError(f"SyntaxError: unexpected token: {token.text!r} :\n@(shell eval):1:1")

    def _parameters(self) -> list[str] | None:
        """Read what stands between `(` and `) =>`; None, and nothing is read, when it is no list of parameters."""
        end = next((i for i in range(self.at, len(self.words)) if self.words[i].text == ")"), len(self.words))
        inside = self.words[self.at : end]
        names = [word.text for word in inside if word.kind == "name"]
        follows = self.words[end + 1].text if end + 1 < len(self.words) else ""
        if follows != "=>" or any(word.text != "," for word in inside if word.kind != "name"):
            return None
        self.at = end + 2
        return names

    def _body(self) -> Node:
        if self._peek() == "{" and self._kind() == "op":
            raise ScriptError("this emulated shell knows no blocks: write `x => expression`")
        return self.expression()

    def _object(self) -> Node:
        pairs: list[Any] = []
        while not self._accept("}"):
            key = self._take()
            if key.kind not in ("name", "string", "number"):
                raise ScriptError("SyntaxError: invalid property id :\n@(shell eval):1:1")
            name = unquoted(key.text) if key.kind == "string" else key.text
            if self._accept(":"):
                pairs.append((name, self.expression()))
            else:
                pairs.append((name, Node("name", name)))
            if not self._accept(","):
                self._expect("}")
                break
        return Node("object", None, pairs)


def unquoted(text: str) -> str:
    """Return what a quoted text stands for."""
    table = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "0": "\0"}
    return re.sub(r"\\(.)", lambda m: table.get(m.group(1), m.group(1)), text[1:-1], flags=re.DOTALL)


def read(text: str) -> list[Node]:
    """Read a script into statements.

    Raises:
        ScriptError: it cannot be read.
    """
    return Reader(text).statements()
