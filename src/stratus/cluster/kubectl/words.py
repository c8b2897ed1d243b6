"""Splitting a command line into words as a shell would, refusing everything a shell would do besides; pure."""

from __future__ import annotations

from stratus.errors import CommandRefused

_OPERATORS = {
    "|": "a pipe",
    "&": "running in the background or chaining",
    ";": "several commands on one line",
    "<": "a redirection or here-document",
    ">": "a redirection",
    "(": "a subshell",
    ")": "a subshell",
    "`": "command substitution",
}
_EXPANDS = frozenset("({_@*#?!-$'\"") | frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


def split_words(line: str) -> tuple[str, ...]:
    """Split a line into words.

    Single and double quotes and backslashes mean what they mean to a POSIX shell. `*`, `?`, `[`, `{`, `~` are
    literal. A line break is data inside quotes and refused outside.

    Raises:
        CommandRefused: with code `shell_syntax` or `unbalanced_quote`.
    """
    line = line.strip()
    bad = next((c for c in line if (ord(c) < 32 and c not in "\n\t") or ord(c) in (127, 0x2028, 0x2029)), None)
    if bad is not None:
        raise _shell(f"a control character ({bad!r})")
    words: list[str] = []
    word: list[str] | None = None
    at = 0
    while at < len(line):
        char = line[at]
        if char in " \t":
            if word is not None:
                words.append("".join(word))
            word = None
        elif char == "\n":
            raise _shell("a line break")
        elif char == "#" and word is None:
            raise _shell("a comment")
        elif char in _OPERATORS:
            raise _shell(_OPERATORS[char])
        elif char == "$" and line[at + 1 : at + 2] in _EXPANDS and at + 1 < len(line):
            raise _shell("an expansion ($)")
        elif char == "'":
            end = line.find("'", at + 1)
            if end < 0:
                raise _unbalanced()
            word = [*(word or ()), line[at + 1 : end]]
            at = end
        elif char == '"':
            text, at = _double_quoted(line, at)
            word = [*(word or ()), text]
        elif char == "\\":
            if at + 1 >= len(line) or line[at + 1] == "\n":
                raise _shell("a continued line")
            word = [*(word or ()), line[at + 1]]
            at += 1
        else:
            word = [*(word or ()), char]
        at += 1
    if word is not None:
        words.append("".join(word))
    return tuple(words)


def _double_quoted(line: str, start: int) -> tuple[str, int]:
    """Read from an opening double quote; return the text and the place of the closing one."""
    text: list[str] = []
    at = start + 1
    while at < len(line):
        char = line[at]
        if char == '"':
            return "".join(text), at
        if char == "`":
            raise _shell(_OPERATORS["`"])
        if char == "$" and line[at + 1 : at + 2] in _EXPANDS - {'"'} and at + 1 < len(line):
            raise _shell("an expansion ($)")
        if char == "\\" and line[at + 1 : at + 2] in ('"', "\\", "$", "`"):
            at += 1
            char = line[at]
        elif char == "\\" and line[at + 1 : at + 2] == "\n":
            raise _shell("a continued line")
        text.append(char)
        at += 1
    raise _unbalanced()


def _shell(what: str) -> CommandRefused:
    return CommandRefused(
        f"The command holds shell syntax: {what}",
        code="shell_syntax",
        hint="give one plain kubectl command on one line; put JSON and values into single quotes",
    )


def _unbalanced() -> CommandRefused:
    return CommandRefused(
        "The command has a quote that is never closed",
        code="unbalanced_quote",
        hint="close the quote; put JSON into single quotes",
    )
