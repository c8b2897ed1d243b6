"""What goes into the API server and what comes out, free of any web framework."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from stratus.sim.runtime import ExecResult
from stratus.sim.streams.conversation import Conversation
from stratus.sim.streams.forwarding import HttpConversation

Obj = dict[str, Any]


@dataclass(frozen=True, slots=True)
class User:
    """Who asks, as authentication established it."""

    name: str = "kubernetes-admin"
    groups: tuple[str, ...] = ("system:masters", "system:authenticated")
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


ADMIN = User()
ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


@dataclass(slots=True)
class Request:
    """One request.

    Attributes:
        method: HTTP method in capitals.
        target: path with query, as in the request line.
        headers: header names in lower case.
        body: the raw body; `obj` may hold it as an object instead (in-process callers), it is then not serialised.
        user: the identity; None means that authentication failed (401).
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    user: User | None = ADMIN
    obj: Any = None


class Response:
    """One answer; `obj` is the JSON object it carries, serialised only when `body` is read."""

    __slots__ = ("_body", "content_type", "headers", "obj", "status")

    def __init__(
        self,
        status: int,
        obj: Any = None,
        *,
        body: bytes | None = None,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> None:
        self.status = status
        self.obj = obj
        self._body = body
        self.content_type = content_type
        self.headers = headers or {}

    @property
    def body(self) -> bytes:
        """Return the bytes on the wire."""
        if self._body is None:
            self._body = dump(self.obj) + b"\n"
        return self._body


def dump(obj: Any) -> bytes:
    """Serialise an object as the server does: compact, non-ASCII kept."""
    return json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode()


class Stream(Protocol):
    """An answer that goes on: a watch or followed logs.

    `take` returns what has come since (never blocks); `done` says that nothing more will; `on_ready` is called, from
    whatever thread makes a change, when there is something to take.
    """

    status: int
    content_type: str
    timeout: float | None
    on_ready: Callable[[], None] | None

    def take(self) -> bytes:
        """Return the bytes that wait."""
        ...

    @property
    def done(self) -> bool:
        """Tell whether the stream has ended."""
        ...

    def close(self) -> None:
        """End the stream and release what it holds."""
        ...


@dataclass(slots=True)
class Upgrade:
    """An answer that goes on as streams in both directions.

    Attributes:
        open: begins an exec or attach; None for port-forward.
        connect: connects to a port of the pod, or says why that cannot be; None for exec and attach.
        run: plays an exec as one: all its input in, its result out.
        stdin, stdout, stderr, tty: which streams the client wants.
        ports: the ports a client names beforehand (those that forward over channels).
    """

    open: Callable[[], Conversation] | None = None
    connect: Callable[[int], HttpConversation | str] | None = None
    run: Callable[[bytes], ExecResult] | None = None
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False
    ports: tuple[int, ...] = ()
