"""Says errors of gRPC and HTTP calls in the words of the caller's language; these are in dialects.yaml beside it."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from typing import Any

from stratus.sim.apps.loader import read_yaml
from stratus.sim.apps.process import fill

_GRPC = re.compile(r"rpc error: code = (\w+) desc = (.*)", re.DOTALL)
_HTTP = re.compile(r'Get "http://[^"]*": (.*)', re.DOTALL)
#: What a text tells about a connection: (kind, pattern with what is known of the other end).
_CONNECTION = (
    ("unknown", re.compile(r"dial tcp: lookup (?P<host>\S*) on \S+: no such host")),
    ("refused", re.compile(r"dial tcp (?P<address>\S+):(?P<port>\d+): connect: connection refused")),
    ("late", re.compile(r"dial tcp (?P<address>\S+):(?P<port>\d+): i/o timeout")),
    ("slow", re.compile(r"^context deadline exceeded")),
    ("cut", re.compile(r"^error reading from server: EOF$|connection reset by peer$")),
)


@lru_cache(maxsize=1)
def _words() -> dict[str, Any]:
    file = resources.files("stratus.sim.apps").joinpath("dialects.yaml")
    words: dict[str, Any] = read_yaml(file.read_text(encoding="utf-8"), file.name)[0]
    return words


@lru_cache(maxsize=2048)
def spoken(client: str, text: str, host: str = "", port: int = 0) -> str:
    """Return an error text as a client of some kind tells it; what is neither gRPC's nor HTTP's stays as it is.

    Args:
        client: `go`, or one of those in dialects.yaml.
        text: as Go tells it.
        host, port: whom the client asked.
    """
    if client == "go":
        return text
    status, got = _GRPC.fullmatch(text), _HTTP.fullmatch(text)
    if status is None and got is None:
        return text
    said = status.group(2) if status is not None else got.group(1) if got is not None else ""
    templates = _words()["grpc" if status is not None else "http"][client]
    known: dict[str, object] = {"host": host, "port": port, "address": host}
    for kind, pattern in _CONNECTION:
        found = pattern.search(said)
        if found is not None:
            known.update({k: v for k, v in found.groupdict().items() if k == "address" or not known[k]})
            return fill(templates[kind], **known)
    if status is None:
        return text
    code = status.group(1)
    capitals = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", code).upper()
    number = _words()["numbers"].get(code, 2)
    return fill(templates["status"], code=code, CODE=capitals, number=number, **known, text=said)
