"""SPDY/3.1 frames: the dictionary, opening and ending streams, pings, and peers that do not keep to it."""

import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

import pytest

from stratus.sim.streams import spdy
from stratus.sim.streams.spdy import Data, Gone, Opened, Reset, SpdyError, SpdySession, dictionary


@dataclass
class Client:
    """The other side, as a client would write it."""

    deflate: Any = field(default_factory=lambda: zlib.compressobj(zdict=dictionary()))
    inflate: Any = field(default_factory=lambda: zlib.decompressobj(zdict=dictionary()))

    @staticmethod
    def control(kind: int, payload: bytes, flags: int = 0, version: int = 3) -> bytes:
        return struct.pack(">HHI", 0x8000 | version, kind, flags << 24 | len(payload)) + payload

    def syn(self, stream: int, headers: dict[str, str], flags: int = 0) -> bytes:
        text = struct.pack(">I", len(headers))
        for pair in headers.items():
            for word in pair:
                text += struct.pack(">I", len(word)) + word.encode()
        block = self.deflate.compress(text) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        return self.control(spdy.SYN_STREAM, struct.pack(">IIH", stream, 0, 0) + block, flags)

    @staticmethod
    def data(stream: int, data: bytes, flags: int = 0) -> bytes:
        return struct.pack(">II", stream, flags << 24 | len(data)) + data

    def frames(self, raw: bytes) -> list[tuple]:
        """Return (control type or stream, flags, payload) of what the server sent."""
        out: list[tuple] = []
        while raw:
            word, length = struct.unpack(">II", raw[:8])
            flags, length = length >> 24, length & 0xFFFFFF
            payload, raw = raw[8 : 8 + length], raw[8 + length :]
            if word & 0x80000000:
                out.append((f"c{word & 0xFFFF}", flags, payload))
            else:
                out.append((word, flags, payload))
        return out


def test_the_dictionary_is_the_one_of_the_protocol() -> None:
    # Zlib names a dictionary by its Adler-32; this one is written in every SPDY/3 stream.
    assert zlib.adler32(dictionary()) == 0xE3C6A7C2
    assert len(dictionary()) == 1423


def test_a_stream_is_opened_answered_and_ended() -> None:
    client, server = Client(), SpdySession()
    raw = client.syn(1, {"streamType": "error", "port": "80"}, flags=1) + client.syn(3, {"streamtype": "data"})
    events = []
    for at in range(len(raw)):  # one byte at a time
        events += server.receive(raw[at : at + 1])
    assert events == [
        Opened(1, {"streamtype": "error", "port": "80"}, True),
        Opened(3, {"streamtype": "data"}, False),
    ]
    server.accept(1)
    server.accept(3)
    server.send(3, b"x" * (spdy.CHUNK + 1), finish=True)
    server.finish(1)
    frames = client.frames(server.drain())
    assert [f[0] for f in frames] == ["c2", "c2", 3, 3, 3, 1]
    assert frames[0][2][:4] == struct.pack(">I", 1)
    assert client.inflate.decompress(frames[0][2][4:]) == struct.pack(">I", 0)
    assert client.inflate.decompress(frames[1][2][4:]) == struct.pack(">I", 0)
    assert b"".join(f[2] for f in frames if f[0] == 3) == b"x" * (spdy.CHUNK + 1)
    assert frames[-1][1] == frames[-2][1] == spdy.FLAG_FIN
    assert server.receive(client.data(3, b"hello")) == [Data(3, b"hello", False)]
    assert [f[0] for f in client.frames(server.drain())] == ["c9", "c9"]  # windows are given back
    assert server.receive(client.data(3, b"", 1)) == [Data(3, b"", True)]
    server.send(3, b"too late")
    assert server.drain() == b""
    assert server._open == {}


def test_pings_are_answered_and_goodbyes_heard() -> None:
    client, server = Client(), SpdySession()
    ping = client.control(spdy.PING, struct.pack(">I", 5))
    assert server.receive(ping) == []
    assert server.drain() == ping
    server.receive(client.control(spdy.PING, struct.pack(">I", 2)))  # an answer to one of ours
    assert server.drain() == b""
    assert server.receive(client.control(spdy.SETTINGS, b"\0\0\0\0")) == []
    assert server.receive(client.control(spdy.GOAWAY, bytes(8))) == [Gone()]
    server.receive(client.syn(1, {"streamtype": "data"}))
    assert server.receive(client.control(spdy.RST_STREAM, struct.pack(">II", 1, 5))) == [Reset(1)]
    server.go_away()
    assert client.frames(server.drain())[-1][0] == "c7"


def test_headers_stay_in_step_through_refused_streams() -> None:
    client, server = Client(), SpdySession()
    server.receive(client.syn(5, {"streamtype": "data"}))
    # Numbers grow and are odd; each of these is refused, and the compression goes on.
    assert server.receive(client.syn(3, {"a": "b"}) + client.syn(6, {"c": "d"})) == []
    assert [f[0] for f in client.frames(server.drain())] == ["c3", "c3"]
    assert server.receive(client.syn(7, {"e": "f"})) == [Opened(7, {"e": "f"}, False)]
    assert server.receive(client.data(99, b"who?")) == []
    assert client.frames(server.drain())[0][0] == "c3"


def test_streams_have_a_limit() -> None:
    client, server = Client(), SpdySession()
    opened = sum(
        len(server.receive(client.syn(1 + 2 * n, {"streamtype": "data"}))) for n in range(spdy.STREAM_LIMIT + 3)
    )
    assert opened == spdy.STREAM_LIMIT


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\n\r\n" + bytes(0xFFFF),
        Client.control(spdy.SYN_STREAM, bytes(10) + b"no zlib"),
        Client.control(spdy.SYN_STREAM, b""),
        Client.control(spdy.PING, b""),
        Client.control(spdy.PING, bytes(4), version=2),
        struct.pack(">II", 1, spdy.FRAME_LIMIT + 1),
    ],
)
def test_what_is_no_spdy(raw: bytes) -> None:
    with pytest.raises(SpdyError):
        SpdySession().receive(raw)


def test_headers_that_grow_without_end() -> None:
    client = Client()
    block = client.syn(1, {"a": "b" * (spdy.HEADER_LIMIT + 1000)})
    assert len(block) < 1000
    with pytest.raises(SpdyError, match="headers of more than"):
        SpdySession().receive(block)
