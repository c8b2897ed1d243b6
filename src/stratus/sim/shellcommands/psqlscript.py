"""Takes what is typed into psql apart: statements, backslash commands, variables."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DOLLAR = re.compile(r"\$([A-Za-z_]\w*)?\$")


@dataclass
class Piece:
    """A statement (`sql`), all of a `-c` (`whole`) or a backslash command (`meta`), with the line it begins in."""

    kind: str
    text: str
    line: int
    file: str = ""
    expanded: bool = False


def pieces(text: str, variables: dict[str, str]) -> list[Piece]:
    """Split a script as psql does."""
    found: list[Piece] = []
    buffer, line, started, depth, i = "", 1, 1, 0, 0
    while i < len(text):
        c = text[i]
        if not buffer.strip():
            started = line
        skipped = _skipped(text, i)
        if skipped > i:
            buffer += text[i:skipped] if not text.startswith("--", i) else ""
            line += text.count("\n", i, skipped)
            i = skipped
            continue
        if c == "\\" and not (i and text[i - 1] == "\\"):
            end = text.find("\n", i)
            end = len(text) if end < 0 else end
            command = text[i:end].split("\\\\")[0].rstrip()
            if command.startswith(("\\g", "\\gx", "\\gset")) and buffer.strip():
                found.append(Piece("sql", buffer.strip(), started, expanded=command.startswith("\\gx")))
                buffer = ""
            elif command.startswith("\\r"):
                buffer = ""
            elif len(command) > 1:
                found.append(Piece("meta", command, line))
            i = i + len(command) if command and text[i:end].rstrip() != command else end
            if text.startswith("\\\\", i):
                i += 2
            continue
        if c == ":" and text[i + 1 : i + 2] != ":" and (not buffer or buffer[-1] != ":"):
            match = re.match(r":('?)(\w+)\1", text[i:])
            if match and match.group(2) in variables:
                value = variables[match.group(2)]
                buffer += "'" + value.replace("'", "''") + "'" if match.group(1) else value
                i += match.end()
                continue
        depth += {"(": 1, ")": -1}.get(c, 0)
        line += c == "\n"
        i += 1
        if c == ";" and depth <= 0:
            if buffer.strip():
                found.append(Piece("sql", buffer.strip() + ";", started))
            buffer, depth = "", 0
        else:
            buffer += c
    if buffer.strip():
        found.append(Piece("sql", buffer.strip(), started))
    return found


def _skipped(text: str, i: int) -> int:
    """Return where a string, comment or quoted name that begins here ends; the same place when none does."""
    c = text[i]
    if c in "'\"":
        escapes = (
            c == "'" and i > 0 and text[i - 1] in "eE" and not (i > 1 and (text[i - 2].isalnum() or text[i - 2] == "_"))
        )
        j = i + 1
        while j < len(text):
            if escapes and text[j] == "\\":
                j += 2
                continue
            if text[j] == c:
                return j + 1
            j += 1
        return len(text)
    if text.startswith("--", i):
        end = text.find("\n", i)
        return len(text) if end < 0 else end
    if text.startswith("/*", i):
        end = text.find("*/", i + 2)
        return len(text) if end < 0 else end + 2
    match = _DOLLAR.match(text, i)
    if match:
        end = text.find(match.group(), match.end())
        return len(text) if end < 0 else end + len(match.group())
    return i
