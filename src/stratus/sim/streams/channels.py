"""The channels of a WebSocket: which versions are spoken, and how a message names its channel."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
#: The tunnel for SPDY frames, as kubectl asks for port-forward.
TUNNEL = "SPDY/3.1+portforward.k8s.io"


@dataclass(frozen=True, slots=True)
class Dialect:
    """One version of the channel protocol.

    Attributes:
        name: as it is negotiated; empty when the client names none.
        text: messages are text: a digit for the channel, then base64.
        status: the error channel carries a Status object and not bare text.
        closes: a message can close a channel.
    """

    name: str
    text: bool = False
    status: bool = True
    closes: bool = False

    def read(self, message: bytes | str) -> tuple[int, bytes] | None:
        """Return (channel, data) of a message; None for one that is none."""
        if not message:
            return None
        if self.text:
            given = message if isinstance(message, str) else message.decode("latin-1")
            if not given[0].isdigit():
                return None
            try:
                return int(given[0]), base64.b64decode(given[1:], validate=True)
            except (ValueError, binascii.Error):
                return None
        data = message.encode() if isinstance(message, str) else message
        return data[0], data[1:]

    def write(self, channel: int, data: bytes) -> bytes | str:
        """Return the message that carries data on a channel."""
        if self.text:
            return f"{channel}{base64.b64encode(data).decode()}"
        return bytes([channel]) + data


_V5 = Dialect("v5.channel.k8s.io", closes=True)
_V4 = Dialect("v4.channel.k8s.io")
_V4_TEXT = Dialect("v4.base64.channel.k8s.io", text=True)
_V1 = Dialect("channel.k8s.io", status=False)
_V1_TEXT = Dialect("base64.channel.k8s.io", text=True, status=False)
_NONE = Dialect("", status=False)
#: For exec and attach; the first of them that the client names is spoken.
REMOTE_COMMAND = (_V5, _V4, _V4_TEXT, _V1, _V1_TEXT)
#: For port-forward over channels, as clients other than kubectl do it.
PORT_FORWARD = (_V4, _V4_TEXT)


def negotiate(known: tuple[Dialect, ...], asked: list[str]) -> Dialect | None:
    """Return the dialect to speak: the client's first that is known; the oldest when it names none."""
    if not asked:
        return _NONE if known is REMOTE_COMMAND else known[0]
    return next((d for name in asked for d in known if d.name == name), None)
