"""Splits a script into words and operators."""

from __future__ import annotations

from stratus.sim.shell.nodes import ShellSyntaxError, Token

_OPERATORS = (
    "&&", "||", ";;", "<<<", "<<-", "<<", "&>>", ">>", ">|", ">&", "<&", "&>", "|", "&", ";", "(", ")", "<", ">", "\n",
)  # fmt: skip


def _word_end(text: str, start: int) -> int:
    """Return where the word that starts at `start` ends, quotes and substitutions included."""
    i, depth = start, 0
    while i < len(text):
        c = text[i]
        if c == "\\":
            i += 2
            continue
        if c == "'":
            close = text.find("'", i + 1)
            if close < 0:
                raise ShellSyntaxError("sh: syntax error: unterminated quoted string")
            i = close + 1
            continue
        if c == '"':
            i = _quoted_end(text, i)
            continue
        if c == "`":
            close = text.find("`", i + 1)
            if close < 0:
                raise ShellSyntaxError("sh: syntax error: unterminated backquoted string")
            i = close + 1
            continue
        if c == "$" and text[i + 1 : i + 2] in ("(", "{"):
            i = closing(text, i + 1) + 1
            continue
        if depth == 0 and (c in " \t\n;&|()<>"):
            return i
        i += 1
    return min(i, len(text))


def _quoted_end(text: str, start: int) -> int:
    i = start + 1
    while i < len(text):
        c = text[i]
        if c == "\\":
            i += 2
        elif c == '"':
            return i + 1
        elif c == "$" and text[i + 1 : i + 2] in ("(", "{"):
            i = closing(text, i + 1) + 1
        else:
            i += 1
    raise ShellSyntaxError("sh: syntax error: unterminated quoted string")


def closing(text: str, start: int) -> int:
    """Return the index of the bracket that closes the one at `start`."""
    pairs = {"(": ")", "{": "}"}
    open_, close = text[start], pairs[text[start]]
    depth, i = 0, start
    while i < len(text):
        c = text[i]
        if c == "\\":
            i += 2
            continue
        if c == "'" and open_ == "(":
            i = text.find("'", i + 1)
            if i < 0:
                break
        elif c == '"':
            i = _quoted_end(text, i) - 1
        elif c == open_:
            depth += 1
        elif c == close:
            depth -= 1
            if depth == 0:
                return i
        i += 1
    raise ShellSyntaxError(f'sh: syntax error: unexpected end of file (expecting "{close}")')


def tokenize(text: str) -> list[Token]:
    """Split a script into words and operators; here-documents become `<<` with their text as the word."""
    tokens: list[Token] = []
    waiting: list[tuple[Token, str, bool]] = []
    i = 0
    while i < len(text):
        c = text[i]
        if c in " \t\r":
            i += 1
            continue
        if text.startswith("\\\n", i):
            i += 2
            continue
        if c == "#":
            end = text.find("\n", i)
            i = len(text) if end < 0 else end
            continue
        operator = next((op for op in _OPERATORS if text.startswith(op, i)), None)
        if operator is None:
            end = _word_end(text, i)
            word = text[i:end]
            if word.isdigit() and text[end : end + 1] in ("<", ">"):
                tokens.append(Token("fd", word))
            else:
                tokens.append(Token("word", word))
            i = end
            continue
        i += len(operator)
        if operator in ("<<", "<<-"):
            while text[i : i + 1] in (" ", "\t"):
                i += 1
            end = _word_end(text, i)
            mark = text[i:end]
            i = end
            body = Token("word", "")
            tokens += [Token("op", "<<"), body]
            waiting.append((body, mark, operator == "<<-"))
            continue
        if operator == "\n":
            for body, mark, strip in waiting:
                i = _here_document(text, i, body, mark, strip)
            waiting.clear()
        tokens.append(Token("op", operator))
    return tokens


def _here_document(text: str, start: int, body: Token, mark: str, strip: bool) -> int:
    bare = mark.strip("'\"\\")
    lines = []
    position = start
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        line = text[position:end]
        position = end + 1
        if strip:
            line = line.lstrip("\t")
        if line == bare:
            break
        lines.append(line)
    content = "".join(line + "\n" for line in lines)
    if bare != mark:
        body.text = "'" + content.replace("'", "'\\''") + "'"
    else:
        body.text = '"' + content.replace('"', '\\"') + '"'
    return position
