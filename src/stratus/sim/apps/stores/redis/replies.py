"""Replies of the server, and how the command line client shows them."""

from __future__ import annotations

import json
from typing import Any

#: A reply as plain data: [kind, value]; kinds are status, error, int, bulk, text, nil, list.
Reply = list[Any]

OK: Reply = ["status", "OK"]
NIL: Reply = ["nil", None]


class RedisError(Exception):
    """The command is refused; the text is the server's."""


def status(text: str) -> Reply:
    """Return a simple reply."""
    return ["status", text]


def number(value: int) -> Reply:
    """Return an integer."""
    return ["int", int(value)]


def bulk(value: str | None) -> Reply:
    """Return a string, or nothing."""
    return NIL if value is None else ["bulk", value]


def many(values: list[Any]) -> Reply:
    """Return a list of strings, numbers, nothings and lists."""
    return ["list", [_wrapped(v) for v in values]]


def _wrapped(value: Any) -> Reply:
    if value is None:
        return NIL
    if isinstance(value, bool | int):
        return number(value)
    if isinstance(value, str):
        return bulk(value)
    return many(list(value)) if isinstance(value, tuple) else value


def quoted(text: str) -> str:
    """Return a string as the client shows it on a terminal."""
    names = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\a": "\\a", "\b": "\\b"}
    out = ""
    for byte in text.encode("utf-8", "surrogateescape"):
        c = chr(byte)
        out += names.get(c) or (c if 32 <= byte < 127 else f"\\x{byte:02x}")
    return f'"{out}"'


def raw(reply: Reply) -> str:
    """Return a reply as the client shows it to a pipe, without the last line end."""
    kind, value = reply
    if kind == "nil":
        return ""
    if kind == "list":
        return "\n".join(raw(r) for r in value)
    return f"{value}\n" if kind == "error" else str(value)


def shown(reply: Reply, prefix: str = "") -> str:
    """Return a reply as the client shows it on a terminal, with line ends."""
    kind, value = reply
    if kind == "text":
        return value if value.endswith("\n") else f"{value}\n"
    if kind == "nil":
        return "(nil)\n"
    if kind == "int":
        return f"(integer) {value}\n"
    if kind == "error":
        return f"(error) {value}\n"
    if kind == "bulk":
        return f"{quoted(value)}\n"
    if kind == "status":
        return f"{value}\n"
    if not value:
        return "(empty array)\n"
    width = len(str(len(value)))
    out = ""
    for at, entry in enumerate(value, 1):
        lead = f"{at:>{width}}) "
        out += (prefix if at > 1 else "") + lead + shown(entry, prefix + " " * len(lead))
    return out


def csv(reply: Reply) -> str:
    """Return a reply as comma-separated values."""
    kind, value = reply
    if kind == "list":
        return ",".join(csv(r) for r in value)
    if kind == "nil":
        return "NULL"
    if kind == "error":
        return f"ERROR,{quoted(value)}"
    return str(value) if kind == "int" else quoted(str(value))


def as_json(reply: Reply) -> str:
    """Return a reply as JSON."""

    def plain(entry: Reply) -> Any:
        return [plain(r) for r in entry[1]] if entry[0] == "list" else entry[1]

    return json.dumps(plain(reply), separators=(",", ":"))
