"""Requests and replies of the telemetry protocols, and how their parameters are read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from stratus.errors import StratusError
from stratus.kit.clock import parse_iso

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


class BadRequest(StratusError):
    """A request cannot be understood; `status` is the answer's."""

    def __init__(self, message: str, status: int = 400, kind: str = "bad_data") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


@dataclass(frozen=True)
class Reply:
    """An answer."""

    body: bytes
    status: int = 200
    content: str = JSON


def told(value: Any, status: int = 200) -> Reply:
    """Return JSON."""
    return Reply(json.dumps(value, separators=(",", ":"), allow_nan=False).encode(), status)


def text(value: str, status: int = 200, content: str = TEXT) -> Reply:
    """Return text."""
    return Reply(value.encode(), status, content)


@dataclass(frozen=True)
class Asked:
    """A request: path without query, and parameters from the query and a form."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]]
    body: bytes = b""

    @classmethod
    def of(cls, method: str, target: str, body: bytes = b"", content: str = "") -> Asked:
        """Take a request apart.

        Raises:
            BadRequest: the form is no text.
        """
        parts = urlsplit(target)
        query = parse_qs(parts.query, keep_blank_values=True)
        if content.startswith("application/x-www-form-urlencoded"):
            try:
                form = parse_qs(body.decode(), keep_blank_values=True)
            except UnicodeDecodeError:
                raise BadRequest("the form is not UTF-8") from None
            for name, values in form.items():
                query.setdefault(name, []).extend(values)
        return cls(method, unquote(parts.path), query, body)

    def one(self, name: str, default: str = "") -> str:
        """Return a parameter, the first when it is there several times."""
        values = self.query.get(name)
        return values[0] if values else default

    def many(self, *names: str) -> list[str]:
        """Return all values of some parameters."""
        return [value for name in names for value in self.query.get(name, ())]

    def whole(self, name: str, default: int) -> int:
        """Return a number.

        Raises:
            BadRequest: it is none.
        """
        raw = self.one(name)
        try:
            return int(raw) if raw else default
        except ValueError:
            raise BadRequest(f'invalid parameter "{name}": {raw!r} is not a whole number') from None

    def flag(self, name: str, default: bool) -> bool:
        """Return true or false."""
        return {"true": True, "false": False}.get(self.one(name).lower(), default)

    def moment(self, name: str, default: float) -> float:
        """Return a time in epoch seconds, given so or in RFC 3339.

        Raises:
            BadRequest: it is neither.
        """
        raw = self.one(name)
        if not raw:
            return default
        try:
            value = float(raw)
        except ValueError:
            try:
                return parse_iso(raw)
            except ValueError:
                raise BadRequest(f'invalid parameter "{name}": cannot parse "{raw}" to a valid timestamp') from None
        if value != value or abs(value) > 1e12:
            raise BadRequest(f'invalid parameter "{name}": cannot parse "{raw}" to a valid timestamp')
        return value
