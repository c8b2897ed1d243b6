"""Channels of a WebSocket: what is negotiated, and how messages name them."""

import pytest

from stratus.sim.streams.channels import PORT_FORWARD, REMOTE_COMMAND, negotiate


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (["v5.channel.k8s.io"], "v5.channel.k8s.io"),
        (["nonsense", "v4.channel.k8s.io", "v5.channel.k8s.io"], "v4.channel.k8s.io"),
        (["base64.channel.k8s.io"], "base64.channel.k8s.io"),
        ([], ""),
    ],
)
def test_the_first_that_is_known_is_spoken(asked: list[str], name: str) -> None:
    dialect = negotiate(REMOTE_COMMAND, asked)
    assert dialect is not None
    assert dialect.name == name


def test_nothing_in_common() -> None:
    assert negotiate(REMOTE_COMMAND, ["v9.channel.k8s.io"]) is None
    assert negotiate(PORT_FORWARD, ["v5.channel.k8s.io"]) is None
    forward = negotiate(PORT_FORWARD, [])
    assert forward is not None
    assert forward.name == "v4.channel.k8s.io"


def test_bytes_and_text() -> None:
    binary, text = (
        negotiate(REMOTE_COMMAND, ["v4.channel.k8s.io"]),
        negotiate(REMOTE_COMMAND, ["base64.channel.k8s.io"]),
    )
    assert binary is not None
    assert text is not None
    assert binary.read(b"\x00abc") == (0, b"abc")
    assert binary.read("\x00abc") == (0, b"abc")  # the Python client sends text
    assert binary.read(b"") is None
    assert binary.write(3, b"{}") == b"\x03{}"
    assert text.read("0YWJj") == (0, b"abc")
    assert text.read("1!") is None
    assert text.read("x") is None
    assert text.write(1, b"abc") == "1YWJj"
    assert not text.status
    assert binary.status
