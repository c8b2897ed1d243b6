"""The part of SPDY/3.1 that carries Kubernetes streams, as a machine from bytes to events and back, without sockets."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from stratus.errors import StratusError

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FLAG_FIN = 1
VERSION = 3
PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM = 1, 2, 3
#: Frames may be 16 MiB by their header; nobody needs that here.
FRAME_LIMIT = 1024 * 1024
#: What the headers of one stream may grow to when they are inflated.
HEADER_LIMIT = 64 * 1024
#: Bytes in one data frame that is sent.
CHUNK = 16 * 1024
#: Streams one connection may have open at once.
STREAM_LIMIT = 256


class SpdyError(StratusError):
    """The peer does not speak SPDY/3.1, or too much of it: the connection is to be given up."""


@cache
def dictionary() -> bytes:
    """Return what both sides prime their header compression with."""
    data = json.loads(resources.files("stratus.sim.streams").joinpath("spdy.json").read_text("utf-8"))
    words = b"".join(struct.pack(">I", len(w)) + w.encode() for w in data["words"])
    return words + "".join(data["texts"]).encode()


@dataclass(frozen=True, slots=True)
class Opened:
    """The peer opened a stream; `finished` when it will send nothing on it."""

    stream: int
    headers: dict[str, str]
    finished: bool


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes on a stream; the last ones when `finished`."""

    stream: int
    data: bytes
    finished: bool


@dataclass(frozen=True, slots=True)
class Reset:
    """The peer gave up a stream."""

    stream: int


@dataclass(frozen=True, slots=True)
class Gone:
    """The peer goes away."""


Event = Opened | Data | Reset | Gone


@dataclass(slots=True)
class SpdySession:
    """The server's side of one connection.

    `receive` takes bytes and returns what they mean; `outgoing` collects the bytes to be sent, replies to pings and
    the like included, until `drain` takes them.
    """

    outgoing: bytearray = field(default_factory=bytearray)
    _buffer: bytearray = field(default_factory=bytearray)
    _inflate: zlib._Decompress = field(default_factory=lambda: zlib.decompressobj(zdict=dictionary()))
    _deflate: zlib._Compress = field(default_factory=lambda: zlib.compressobj(level=9, zdict=dictionary()))
    _theirs: set[int] = field(default_factory=set)
    _open: dict[int, bool] = field(default_factory=dict)
    _last: int = 0

    def drain(self) -> bytes:
        """Return and forget what is to be sent."""
        data = bytes(self.outgoing)
        self.outgoing.clear()
        return data

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes of the peer.

        Raises:
            SpdyError: they are no SPDY/3.1 frames.
        """
        self._buffer += data
        events: list[Event] = []
        while len(self._buffer) >= 8:
            word, length = struct.unpack(">II", self._buffer[:8])
            flags, length = length >> 24, length & 0xFFFFFF
            if length > FRAME_LIMIT:
                raise SpdyError(f"a frame of {length} bytes; {FRAME_LIMIT} are the limit")
            if len(self._buffer) < 8 + length:
                break
            payload = bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            if word & 0x80000000:
                if (word >> 16) & 0x7FFF != VERSION:
                    raise SpdyError(f"version {(word >> 16) & 0x7FFF} of SPDY is not spoken here")
                self._control(word & 0xFFFF, flags, payload, events)
            else:
                self._data(word, flags, payload, events)
        return events

    def _data(self, stream: int, flags: int, payload: bytes, events: list[Event]) -> None:
        if stream not in self._theirs:
            self.reset(stream, INVALID_STREAM)
            return
        finished = bool(flags & FLAG_FIN)
        if finished:
            self._theirs.discard(stream)
            if self._open.get(stream) is False:
                del self._open[stream]
        if payload and not finished:
            # Whoever keeps account of windows gets back what was used.
            for target in (stream, 0):
                self._send(WINDOW_UPDATE, 0, struct.pack(">II", target, len(payload)))
        events.append(Data(stream, payload, finished))

    def _control(self, kind: int, flags: int, payload: bytes, events: list[Event]) -> None:
        try:
            if kind == SYN_STREAM:
                self._syn(flags, payload, events)
            elif kind == RST_STREAM:
                stream = struct.unpack(">I", payload[:4])[0]
                self._theirs.discard(stream)
                self._open.pop(stream, None)
                events.append(Reset(stream))
            elif kind == PING:
                if struct.unpack(">I", payload[:4])[0] & 1:
                    self._send(PING, 0, payload[:4])
            elif kind == GOAWAY:
                events.append(Gone())
            elif kind == HEADERS:
                # Nothing in them is of interest, but the compression goes on through them.
                self._headers(payload[4:])
        except struct.error:
            raise SpdyError("a frame that ends too early") from None

    def _syn(self, flags: int, payload: bytes, events: list[Event]) -> None:
        stream = struct.unpack(">I", payload[:4])[0] & 0x7FFFFFFF
        headers = self._headers(payload[10:])
        if stream <= self._last or not stream & 1:
            self.reset(stream, PROTOCOL_ERROR)
            return
        self._last = stream
        if len(self._open) >= STREAM_LIMIT:
            self.reset(stream, REFUSED_STREAM)
            return
        finished = bool(flags & FLAG_FIN)
        if not finished:
            self._theirs.add(stream)
        self._open[stream] = True
        events.append(Opened(stream, headers, finished))

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            text = self._inflate.decompress(block, HEADER_LIMIT)
        except zlib.error as error:
            raise SpdyError(f"headers cannot be inflated: {error}") from None
        if self._inflate.unconsumed_tail:
            raise SpdyError(f"headers of more than {HEADER_LIMIT} bytes")
        at = 4
        headers: dict[str, str] = {}
        for _ in range(struct.unpack(">I", text[:4])[0]):
            parts = []
            for _ in range(2):
                size = struct.unpack(">I", text[at : at + 4])[0]
                parts.append(text[at + 4 : at + 4 + size].decode("utf-8", "replace"))
                at += 4 + size
            headers[parts[0].lower()] = parts[1]
        return headers

    # what is sent

    def _send(self, kind: int, flags: int, payload: bytes) -> None:
        self.outgoing += struct.pack(">HHI", 0x8000 | VERSION, kind, flags << 24 | len(payload)) + payload

    def accept(self, stream: int) -> None:
        """Answer the opening of a stream."""
        block = self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        self._send(SYN_REPLY, 0, struct.pack(">I", stream) + block)

    def send(self, stream: int, data: bytes, *, finish: bool = False) -> None:
        """Send bytes on a stream; nothing happens on one that is no longer open."""
        if not self._open.get(stream):
            return
        for at in range(0, len(data), CHUNK):
            piece = data[at : at + CHUNK]
            self.outgoing += struct.pack(">II", stream, len(piece)) + piece
        if finish:
            self.outgoing += struct.pack(">II", stream, FLAG_FIN << 24)
            self._open[stream] = False
            self._closed(stream)

    def finish(self, stream: int) -> None:
        """Say that nothing more is sent on a stream."""
        self.send(stream, b"", finish=True)

    def reset(self, stream: int, status: int) -> None:
        """Give up a stream."""
        self._send(RST_STREAM, 0, struct.pack(">II", stream, status))
        self._theirs.discard(stream)
        self._open.pop(stream, None)

    def go_away(self) -> None:
        """Say goodbye."""
        self._send(GOAWAY, 0, struct.pack(">II", self._last, 0))

    def _closed(self, stream: int) -> None:
        if stream not in self._theirs:
            self._open.pop(stream, None)
