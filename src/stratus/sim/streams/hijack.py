"""Taking a connection away from the HTTP server, for protocols that it does not know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from stratus.sim.streams.serving import Wire

#: Bytes that wait to be read before the connection is read no further.
PAUSE_AT = 1024 * 1024


class Taken(web.StreamResponse):
    """The answer to a request whose connection was taken: everything has been sent."""

    async def prepare(self, request: web.BaseRequest) -> Any:
        """Send nothing."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Send nothing."""


class Hijacked(Wire):
    """The bare connection of a request.

    It takes the place of aiohttp's own reader of WebSocket frames, which gets all bytes that come in.
    """

    def __init__(self, request: web.Request) -> None:
        assert request.transport is not None
        self._request = request
        self._transport: Any = request.transport
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._ended = False
        self._paused = False

    async def switch(self, headers: dict[str, str]) -> None:
        """Say that the protocol is switched."""
        protocol: Any = self._request.protocol
        protocol.set_parser(self)
        protocol.keep_alive(False)
        told = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        head = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n{told}\r\n"
        await self.send(head.encode())

    # what the server calls with what comes in

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes."""
        self._buffer += data
        if len(self._buffer) > PAUSE_AT and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._arrived.set()
        return False, b""

    def feed_eof(self) -> None:
        """The client is gone."""
        self._ended = True
        self._arrived.set()

    def set_exception(self, *_: Any) -> None:
        """The connection is lost."""
        self.feed_eof()

    # the wire

    async def messages(self) -> AsyncIterator[bytes | str]:
        """Yield what the client sends until it is gone."""
        while True:
            while self._buffer:
                data = bytes(self._buffer)
                self._buffer.clear()
                if self._paused:
                    self._paused = False
                    self._transport.resume_reading()
                yield data
            if self._ended or self._transport.is_closing():
                return
            self._arrived.clear()
            await self._arrived.wait()

    async def send(self, message: bytes | str) -> None:
        """Send bytes; waits while the client is slow."""
        if self._transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self._transport.write(message.encode() if isinstance(message, str) else message)
        drain = getattr(self._request.protocol, "_drain_helper", None)
        if drain is not None:
            await drain()

    def close(self) -> None:
        """Hang up."""
        self._transport.close()
