"""HTTP on a forwarded port: whole and in pieces, kept open or not, and what is no HTTP."""

import pytest

from stratus.sim.streams.forwarding import BODY_LIMIT, HEAD_LIMIT, HttpConversation, Reply, refused


def serve(reply: Reply | None = None) -> tuple[HttpConversation, list[tuple[str, str, bytes]]]:
    asked: list[tuple[str, str, bytes]] = []

    def ask(method: str, path: str, body: bytes) -> Reply:
        asked.append((method, path, body))
        return reply or Reply(200, b"ok\n")

    return HttpConversation(ask), asked


GET = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n"


def test_a_request_comes_in_pieces_and_the_connection_stays() -> None:
    conversation, asked = serve()
    out = b"".join(conversation.feed(GET[at : at + 1]) for at in range(len(GET)))
    assert out == b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n\r\nok\n"
    assert asked == [("GET", "/a?b=c", b"")]
    assert conversation.feed(GET + GET).count(b"200 OK") == 2
    assert not conversation.closed


@pytest.mark.parametrize(
    ("head", "closed"),
    [
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", False),
        (b"HEAD / HTTP/1.1\r\n\r\n", False),
    ],
)
def test_who_keeps_it_open(head: bytes, closed: bool) -> None:
    conversation, _ = serve()
    out = conversation.feed(head)
    assert conversation.closed is closed
    assert (b"Connection: close" in out) is closed
    assert out.endswith(b"\r\n\r\n") is head.startswith(b"HEAD")


def test_bodies() -> None:
    conversation, asked = serve(Reply(201, b'{"a":1}'))
    assert conversation.feed(POST) == b""
    out = conversation.feed(b"abc")
    assert out.startswith(b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n")
    assert conversation.feed(POST.replace(b"Content-Length: 3", b"Transfer-Encoding: chunked")) == b""
    assert conversation.feed(b"2\r\nde\r\n1;x=y\r\nf") == b""
    assert b"201" in conversation.feed(b"\r\n0\r\n\r\n")
    assert [body for _, _, body in asked] == [b"abc", b"def"]
    waits = POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    assert conversation.feed(waits) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert b"201" in conversation.feed(b"xyz")


@pytest.mark.parametrize(
    ("raw", "start"),
    [
        (b"GET /\r\n\r\n", b""),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b""),
        (b"\x16\x03\x01\x02\x00", b""),
        (b"*1\r\n$4\r\nPING\r\n", b""),
        (b"GET / x HTTP/1.1\r\n\r\n", b"HTTP/1.1 400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"HTTP/1.1 400"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"HTTP/1.1 400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"HTTP/1.1 400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", b"HTTP/1.1 413"),
        (f"POST / HTTP/1.1\r\nContent-Length: {BODY_LIMIT + 1}\r\n\r\n".encode(), b"HTTP/1.1 413"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * HEAD_LIMIT, b"HTTP/1.1 431"),
    ],
)
def test_what_cannot_be_answered_is_hung_up_on(raw: bytes, start: bytes) -> None:
    conversation, asked = serve()
    out = conversation.feed(raw)
    assert out.startswith(start) if start else out == b""
    assert conversation.closed
    assert conversation.feed(GET) == b""
    assert asked == []


def test_a_program_that_speaks_no_http_hangs_up() -> None:
    conversation, asked = serve(Reply(0))
    assert conversation.feed(GET) == b""
    assert conversation.closed
    assert len(asked) == 1


def test_the_text_of_a_closed_port() -> None:
    text = refused(81, "ab" * 32)
    assert text.startswith(f"error forwarding port 81 to pod {'ab' * 32}, uid : failed to execute portforward in")
    assert "dial tcp4 127.0.0.1:81: connect: connection refused" in text
