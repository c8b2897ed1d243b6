"""A connection to a port of a container: HTTP requests come in as bytes, the program's answers go out as bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

#: What a request may have before its body, and in its body.
HEAD_LIMIT = 64 * 1024
BODY_LIMIT = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """What the program answers; status 0 when it does not speak HTTP."""

    status: int
    body: bytes = b""

    @property
    def content_type(self) -> str:
        """Return what the body seems to be."""
        start = self.body.lstrip()[:1]
        kind = "application/json" if start in (b"{", b"[") else "text/html" if start == b"<" else "text/plain"
        return kind if kind == "application/json" else f"{kind}; charset=utf-8"


#: (method, path with query, body) -> answer.
Ask = Callable[[str, str, bytes], Reply]


class HttpConversation:
    """The server's side of one TCP connection that carries HTTP/1.

    `feed` takes what the client sends and returns what it gets; `closed` tells that the server has hung up.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._buffer = bytearray()
        self._told = False
        self.closed = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes; return the answers to the requests that are complete with them."""
        if self.closed:
            return b""
        self._buffer += data
        out = b""
        while not self.closed:
            answer = self._one()
            if answer is None:
                break
            out += answer
        return out

    def end(self) -> bytes:
        """The client sends nothing more."""
        self.closed = True
        return b""

    def _bad(self, status: int = 400) -> bytes:
        self.closed = True
        phrase = HTTPStatus(status).phrase
        return f"HTTP/1.1 {status} {phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()

    def _one(self) -> bytes | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_LIMIT:
                return self._bad(431)
            if self._buffer and not self._buffer[:1].isalpha():
                # No HTTP: whoever listens makes nothing of it.
                return self._hang_up()
            return None
        first, *rest = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        words = first.split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return self._hang_up() if "HTTP/" not in first or words[-1] == "HTTP/2.0" else self._bad()
        headers: dict[str, str] = {}
        for line in rest:
            name, colon, value = line.partition(":")
            if not colon or not name.strip():
                return self._bad()
            headers[name.strip().lower()] = value.strip()
        taken = self._body(end + 4, headers)
        if taken is None:
            return self._wait(headers)
        if isinstance(taken, int):
            return self._bad(taken)
        body, used = taken
        del self._buffer[:used]
        self._told = False
        reply = self._ask(words[0], words[1], body)
        if not reply.status:
            return self._hang_up()
        keep = headers.get("connection", "").lower()
        self.closed = keep == "close" or (words[2] == "HTTP/1.0" and keep != "keep-alive")
        return self._written(words[0], reply)

    def _wait(self, headers: dict[str, str]) -> bytes | None:
        if headers.get("expect", "").lower() == "100-continue" and not self._told:
            self._told = True
            return b"HTTP/1.1 100 Continue\r\n\r\n"
        return None

    def _body(self, start: int, headers: dict[str, str]) -> tuple[bytes, int] | int | None:
        """Return (body, bytes used), None when it is not whole yet, a status when it cannot be."""
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._chunks(start)
        text = headers.get("content-length", "0")
        if not text.isdecimal():
            return 400
        size = int(text)
        if size > BODY_LIMIT:
            return 413
        if len(self._buffer) < start + size:
            return None
        return bytes(self._buffer[start : start + size]), start + size

    def _chunks(self, at: int) -> tuple[bytes, int] | int | None:
        body = b""
        while True:
            end = self._buffer.find(b"\r\n", at)
            if end < 0:
                return None
            try:
                size = int(bytes(self._buffer[at:end]).partition(b";")[0], 16)
            except ValueError:
                return 400
            if size < 0 or len(body) + size > BODY_LIMIT:
                return 413
            at = end + 2
            if size == 0:
                done = self._buffer.find(b"\r\n", at)
                return None if done < 0 else (body, done + 2)
            if len(self._buffer) < at + size + 2:
                return None
            body += bytes(self._buffer[at : at + size])
            at += size + 2

    def _hang_up(self) -> bytes:
        self.closed = True
        self._buffer.clear()
        return b""

    def _written(self, method: str, reply: Reply) -> bytes:
        known = {s.value for s in HTTPStatus}
        phrase = HTTPStatus(reply.status).phrase if reply.status in known else ""
        size = len(reply.body)
        head = f"HTTP/1.1 {reply.status} {phrase}\r\nContent-Type: {reply.content_type}\r\nContent-Length: {size}\r\n"
        if self.closed:
            head += "Connection: close\r\n"
        return f"{head}\r\n".encode() + (b"" if method == "HEAD" else reply.body)


def refused(port: int, sandbox: str) -> str:
    """Return what a node says about a port that nobody listens on; `sandbox` stands for the pod there."""
    spot = f"{sandbox[:8]}-{sandbox[8:12]}-{sandbox[12:16]}-{sandbox[16:20]}-{sandbox[20:32]}"
    return (
        f"error forwarding port {port} to pod {sandbox}, uid : failed to execute portforward in network namespace "
        f'"/var/run/netns/cni-{spot}": failed to connect to localhost:{port} inside namespace "{sandbox}", IPv4: dial '
        f"tcp4 127.0.0.1:{port}: connect: connection refused IPv6 dial tcp6: address localhost: no suitable address "
        "found "
    )
