"""References to secret values in the input of a command: `${{ Secret/name#key | js }}`, and how values are written."""

from __future__ import annotations

import json
import re
import string
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

REFERENCE = re.compile(r"\$\{\{ *(?P<what>[^|}]+?) *\| *(?P<filter>\w+) *\}\}")
"""`${{ WHAT | FILTER }}`; WHAT is a `Source`, or `state` or `state:LINE` for what was there before."""
_SOURCE = re.compile(
    r"(?P<kind>Secret|ConfigMap|Deployment|StatefulSet|DaemonSet)/(?P<name>[a-z0-9][a-z0-9.-]*)"
    r"#(?P<key>[\w./-]+)(?:!(?P<part>user|password))?"
)
_FIELD = {
    "user": ("user", "username", "user id", "uid", "user name"),
    "password": ("password", "pwd"),
    "database": ("dbname", "database", "initial catalog"),
    "host": ("host", "server", "data source"),
}


@dataclass(frozen=True)
class Source:
    """Where a value is to be found, in the namespace of the workload that needs it.

    Attributes:
        kind, name: the object.
        key: key of its data; of a workload `CONTAINER/VARIABLE`.
        part: `user` or `password` of the connection string that stands there; empty: all of it.
    """

    kind: str
    name: str
    key: str
    part: str = ""

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return what a text such as `Secret/db#password` says, or None when it is no reference."""
        match = _SOURCE.fullmatch(text)
        return cls(match["kind"], match["name"], match["key"], match["part"] or "") if match else None

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}#{self.key}" + (f"!{self.part}" if self.part else "")


def _js(value: str) -> str:
    return json.dumps(value)[1:-1]


def _sql(value: str) -> str:
    return value.replace("'", "''")


def _name(value: str) -> str:
    return value.replace('"', '""')


def _word(value: str) -> str:
    # In a double-quoted word of a line-based client, bytes that could end it are written as \xHH.
    plain = "-_.:/+=@%,~"
    letters = {*plain, *string.ascii_letters, *string.digits}
    return "".join(chr(b) if chr(b) in letters else f"\\x{b:02x}" for b in value.encode())


FILTERS = {"js": _js, "sql": _sql, "name": _name, "word": _word}
"""How a value is written: in a text of JavaScript, a text of SQL, a name of SQL, a word of a client's line."""


def written(value: str, filter_: str) -> str:
    """Return a value as it stands within a quoted text of a language.

    Raises:
        ValueError: it cannot be written there safely.
    """
    if any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise ValueError("it has line breaks or control characters")
    if filter_ not in FILTERS:
        raise ValueError(f"there is no way `{filter_}` to write it")
    return FILTERS[filter_](value)


def connection_part(text: str, part: str) -> str:
    """Return the user, password, database or host of a connection string, or empty.

    Understands addresses (`scheme://user:password@host/database`) and lists of `key=value`, separated by blanks or `;`.
    """
    if "://" in text:
        try:
            found = urlsplit(text)
            named = {
                "user": found.username, "password": found.password, "host": found.hostname,
                "database": found.path.lstrip("/"),
            }  # fmt: skip
        except ValueError:
            return ""
        return unquote(named.get(part) or "")
    separator = ";" if ";" in text else None
    pairs = [piece.partition("=") for piece in text.split(separator)]
    known = {key.strip().lower(): value.strip() for key, equals, value in pairs if equals}
    return next((known[name] for name in _FIELD.get(part, ()) if known.get(name)), "")
