"""Clients that mean no good, or cannot do better: each gets the status that fits, and nobody else suffers."""

import gzip
import json
import re
import resource
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from stratus.sim.api import Request, watch
from stratus.sim.cluster import EmbeddedCluster
from stratus.sim.http import BODY_LIMIT, HttpError, HttpFront

CORE = "/api/v1/namespaces/default"
MAPS = f"{CORE}/configmaps"
JSON = "Content-Type: application/json\r\n"
PROTO = "Content-Type: application/vnd.kubernetes.protobuf\r\n"
YAML = "Content-Type: application/yaml\r\n"
#: Nothing here waits that long, unless it is broken.
PATIENCE = 30.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(app=None, warmup=0.0) as made:
        spec = {"containers": [{"name": "c", "image": "nginx:1.27"}]}
        made.api.handle(Request("POST", f"{CORE}/pods", obj={"metadata": {"name": "p"}, "spec": spec}))
        made.advance(10)
        yield made


@pytest.fixture(scope="module")
def plain(cluster: EmbeddedCluster) -> Iterator[HttpFront]:
    with HttpFront(cluster.api, tls=False, lock=cluster.lock) as front:
        yield front


@pytest.fixture(autouse=True)
def others_are_served(plain: HttpFront) -> Iterator[None]:
    """After whatever a test did, the next client is answered as ever."""
    yield
    assert ask(plain, "GET", "/healthz") == (200, b"ok")
    assert ask(plain, "GET", f"{CORE}/pods/p")[0] == 200


def connect(front: HttpFront) -> socket.socket:
    return socket.create_connection(("127.0.0.1", front.port), timeout=PATIENCE)


def read_all(sock: socket.socket) -> bytes:
    out = b""
    try:
        while data := sock.recv(65536):
            out += data
    except ConnectionError:
        pass
    return out


def answers(sock: socket.socket, count: int = 1) -> bytes:
    """Return so many answers, each as long as it says; less when the server hangs up."""
    out = b""
    at = 0
    while count:
        top = out.find(b"\r\n\r\n", at)
        length = re.search(rb"(?i)content-length: (\d+)", out[at:top]) if top >= 0 else None
        if length is not None and len(out) >= top + 4 + int(length[1]):
            at = top + 4 + int(length[1])
            count -= 1
            continue
        try:
            data = sock.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            break
        out += data
    return out


def raw(front: HttpFront, data: bytes, count: int = 1) -> bytes:
    """Send bytes and return the answers."""
    with connect(front) as sock:
        sender = threading.Thread(target=_send, args=(sock, data))
        sender.start()
        out = answers(sock, count)
        sock.shutdown(socket.SHUT_RDWR)
        sender.join()
        return out


def _send(sock: socket.socket, data: bytes) -> None:
    try:
        sock.sendall(data)
    except OSError:
        pass  # the server has had enough


def head(method: str, path: str, headers: str = "", body: bytes = b"", *, version: str = "HTTP/1.1") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    text = f"{method} {path} {version}\r\nHost: x\r\nConnection: close\r\n{headers}{length}\r\n"
    return text.encode("latin-1") + body


def ask(front: HttpFront, method: str, path: str, headers: str = "", body: bytes = b"") -> tuple[int, bytes]:
    return parsed(raw(front, head(method, path, headers, body)))


def parsed(answer: bytes) -> tuple[int, bytes]:
    top, _, body = answer.partition(b"\r\n\r\n")
    return int(top.split(b" ")[1]), body


def told(body: bytes) -> tuple[str, str]:
    status = json.loads(body)
    assert status["kind"] == "Status"
    return status["reason"], status["message"]


# bodies


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (JSON, b'{"a":"' + b"x" * (10 << 20) + b'"}'),
        (JSON, b"x" * (BODY_LIMIT + 1)),
        (JSON + "Content-Encoding: gzip\r\n", gzip.compress(b"0" * (50 << 20))),
    ],
)
def test_bodies_that_are_too_large(plain: HttpFront, headers: str, body: bytes) -> None:
    status, answer = ask(plain, "POST", MAPS, headers, body)
    assert status == 413
    assert told(answer) == ("RequestEntityTooLarge", f"Request entity too large: limit is {BODY_LIMIT}")


def test_a_body_that_is_announced_too_large_is_not_waited_for(plain: HttpFront) -> None:
    with connect(plain) as sock:
        sock.sendall(f"POST {MAPS} HTTP/1.1\r\nHost: x\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n".encode())
        piece = b"x" * 65536
        for _ in range(BODY_LIMIT // len(piece) + 2):
            try:
                sock.sendall(b"10000\r\n" + piece + b"\r\n")
            except ConnectionError:
                break
        assert parsed(answers(sock))[0] == 413


BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(9)
)


@pytest.mark.parametrize(
    ("headers", "body", "text"),
    [
        (JSON, b'{"metadata":' + b'{"a":' * 20000 + b"1" + b"}" * 20000 + b"}", "nested too deeply"),
        (JSON, b"[" * 100_000, "nested too deeply"),
        (JSON, b'{"metadata":', "unexpected end of JSON input"),
        (JSON, b"", "unexpected end of JSON input"),
        (JSON, b"\xff\xfe\x00", ""),
        (JSON, b"[]", ""),
        (JSON, b"7", ""),
        (JSON, b'{"kind":"Pod","apiVersion":"v1"}', ""),
        (YAML, BOMB, "excessive aliasing"),
        (YAML, b"a: &a\n  b: *a\n", "excessive aliasing"),
        (YAML, b"a: [", "yaml"),
        (YAML, b"!!python/object/apply:os.system ['true']", "yaml"),
        (PROTO, b"k8s\0\xff\xff\xff", "unexpected EOF"),
        (PROTO, b"k8s\0", ""),
        (PROTO, b"zzzz", "expected prefix"),
        (PROTO, b"k8s\0" + b"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", ""),
        (JSON + "Content-Encoding: gzip\r\n", b"\x1f\x8bnonsense", "cannot be read"),
    ],
)  # fmt: skip
def test_bodies_that_mean_nothing(plain: HttpFront, headers: str, body: bytes, text: str) -> None:
    status, answer = ask(plain, "POST", MAPS, headers, body)
    reason, message = told(answer)
    assert (status, reason) in ((400, "BadRequest"), (422, "Invalid")), message
    assert text in message


def test_protobuf_cut_anywhere(plain: HttpFront) -> None:
    # An envelope {type {apiVersion, kind}, raw} around a ConfigMap with a name.
    meta = b"\x0a\x03" + b"\x0a\x01x"
    kind = b"\x0a\x02v1\x12\x09ConfigMap"
    whole = b"k8s\0" + b"\x0a" + bytes([len(kind)]) + kind + b"\x12" + bytes([len(meta)]) + meta
    for end in range(len(whole)):
        status, _ = ask(plain, "POST", f"{MAPS}?dryRun=All", PROTO, whole[:end])
        assert status in (400, 422), end
    assert ask(plain, "POST", f"{MAPS}?dryRun=All", PROTO, whole)[0] == 201


@pytest.mark.parametrize("media", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "nonsense"])
def test_wrong_content_types(plain: HttpFront, media: str) -> None:
    status, answer = ask(plain, "POST", MAPS, f"Content-Type: {media}\r\n", b"{}")
    assert status == 415
    assert told(answer)[0] == "UnsupportedMediaType"
    status, answer = ask(plain, "PATCH", f"{MAPS}/kube-root-ca.crt", f"Content-Type: {media}\r\n", b"{}")
    assert status == 415


def test_unknown_accept(plain: HttpFront) -> None:
    status, answer = ask(plain, "GET", MAPS, "Accept: application/pdf\r\n")
    assert status == 406
    assert told(answer)[0] == "NotAcceptable"
    assert ask(plain, "GET", MAPS, "Accept: application/pdf, */*\r\n")[0] == 200


# paths


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/%2e%2e/pods", 404),
        ("/api/v1/../../etc/passwd", 404),
        ("/%2e%2e/%2e%2e/etc/passwd", 404),
        ("//api/v1/pods", 404),
        ("/api//v1//pods", 404),
        ("/api/v1/namespaces/%2F/pods", 404),
        ("/api/v1/namespaces/../pods", 404),
        (f"{CORE}/pods/a%2Fb", 404),
        (f"{CORE}/pods/%00", 404),
        (f"{CORE}/pods/%ff", 404),
        (f"{CORE}/pods/%zz", 404),
        (f"{CORE}/pods/p%0d%0aX: y", 400),
        (f"{CORE}/pods/" + "a" * 3000, 404),
        ("/" + "a" * 60_000, 404),
        ("/" + "a" * 100_000, 431),
        ("/api/v1/pods?limit=abc", 400),
        ("/api/v1/pods?limit=-1", 200),
        ("/api/v1/pods?resourceVersion=zz", 400),
        ("/api/v1/pods?watch=1&resourceVersion=-1", 400),
        ("/api/v1/pods?continue=xx", 400),
        ("/api/v1/pods?labelSelector=%3D%3D%3D", 400),
        ("/api/v1/pods?fieldSelector=no.such=1", 400),
        ("*", 400),
        ("/api/v1/pods HTTP/1.1\r\nX", 400),
        ("\xff", 400),
    ],
)
def test_paths(plain: HttpFront, path: str, status: int) -> None:
    got, body = ask(plain, "GET", path)
    assert got == status
    assert b"root:" not in body


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "DELETE", "PUT"])
def test_methods_on_what_takes_none(plain: HttpFront, method: str) -> None:
    assert ask(plain, method, "/api/v1")[0] == 405
    assert ask(plain, method, "/version")[0] == 405


# HTTP itself


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (head("POST", MAPS, JSON + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n") + b"0\r\n\r\nGET /x", 400),
        (head("POST", MAPS, JSON + "Content-Length: 5\r\nContent-Length: 6\r\n") + b"abcdef", 400),
        (head("POST", MAPS, JSON + "Transfer-Encoding: chunked, identity\r\n") + b"0\r\n\r\n", 400),
        (head("POST", MAPS, JSON + "Transfer-Encoding: xchunked\r\n") + b"0\r\n\r\n", 400),
        (head("POST", MAPS, JSON + "Transfer-Encoding: chunked\r\n") + b"zz\r\n", 400),
        (head("POST", MAPS, JSON + "Content-Length: -5\r\n"), 400),
        (head("POST", MAPS, JSON + "Content-Length: 1e3\r\n"), 400),
        (b"GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n", 400),
        (b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n", 400),
        (b"FOO /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(100), 400),
        (b"\x00" * 100, 400),
        (head("GET", "/healthz", "".join(f"X-{i}: y\r\n" for i in range(5000))), 431),
        (head("GET", "/healthz", "X: " + "y" * 100_000 + "\r\n"), 431),
        (head("GET", "/healthz", "X: " + "y" * 30_000 + "\r\n"), 200),
        (head("GET", "/healthz", version="HTTP/1.0"), 200),
    ],
)
def test_shapes_of_requests(plain: HttpFront, data: bytes, status: int) -> None:
    assert parsed(raw(plain, data))[0] == status


def test_pipelined_requests_are_answered_in_order(plain: HttpFront) -> None:
    one = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
    out = raw(plain, one * 20 + head("GET", "/healthz"), 21)
    assert out.count(b"HTTP/1.1 200 OK") == 21
    assert out.endswith(b"ok")


def test_a_request_that_never_ends_is_given_up(cluster: EmbeddedCluster) -> None:
    with HttpFront(cluster.api, tls=False, lock=cluster.lock) as front:
        front.patience = 0.05
        data = f"POST {MAPS} HTTP/1.1\r\nHost: x\r\n{JSON}Content-Length: 100\r\n\r\n{{".encode()
        status, body = parsed(raw(front, data))
        assert status == 504
        assert told(body) == ("Timeout", "Timeout: request did not complete within the allotted timeout")


def test_who_leaves_in_the_middle_leaves_nothing_behind(plain: HttpFront, cluster: EmbeddedCluster) -> None:
    before = cluster.store.rv
    for data in (b"G", b"GET /", f"POST {MAPS} HTTP/1.1\r\nHost: x\r\n{JSON}Content-Length: 100\r\n\r\nabc".encode()):
        for _ in range(20):
            with connect(plain) as sock:
                sock.sendall(data)
                # No goodbye: the connection is reset.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert cluster.store.rv == before


def test_many_connections_at_once(plain: HttpFront) -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = min(2000, (soft - 200) // 2)
    with ExitStack() as stack:
        socks = [stack.enter_context(connect(plain)) for _ in range(room)]
        for sock in socks[::2]:  # half of them say nothing at all
            sock.sendall(head("GET", "/healthz"))
        for sock in socks[::2]:
            assert parsed(read_all(sock)) == (200, b"ok")
        assert ask(plain, "GET", "/readyz") == (200, b"ok")


# TLS


def test_what_is_no_tls(cluster: EmbeddedCluster) -> None:
    with HttpFront(cluster.api, lock=cluster.lock) as front:
        for data in (head("GET", "/healthz"), bytes(1000), b"\x16\x03\x01\xff\xff" + bytes(300), b"\x16"):
            with connect(front) as sock:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                assert b"200" not in read_all(sock)
        assert front.identity is not None
        trusting = ssl.create_default_context(cadata=front.identity.ca.decode())
        with trusting.wrap_socket(connect(front), server_hostname="127.0.0.1") as secure:
            secure.sendall(head("GET", "/healthz"))
            assert parsed(read_all(secure)) == (200, b"ok")


def test_it_listens_on_loopback_only(cluster: EmbeddedCluster) -> None:
    for host in ("0.0.0.0", "::", "10.0.0.1", "example.com", ""):
        with pytest.raises(HttpError, match="loopback addresses only"):
            HttpFront(cluster.api, host=host, lock=cluster.lock).start()


# watches


def test_a_reader_of_a_watch_that_reads_nothing_is_cut_off(
    plain: HttpFront, cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "BACKLOG", 20)
    made: list[Any] = []
    start = watch.Watch.start
    monkeypatch.setattr(watch.Watch, "start", lambda self, *a: (made.append(self), start(self, *a))[1])
    with connect(plain) as slow, connect(plain) as quick:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = f"GET {MAPS}?watch=1&resourceVersion={cluster.store.rv} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        for sock in (slow, quick):
            sock.sendall(request)
            while b"\r\n\r\n" not in sock.recv(65536):
                pass
        stop = threading.Event()
        got = []

        def drink() -> None:
            while not stop.is_set():
                got.append(quick.recv(1 << 20))

        drinker = threading.Thread(target=drink)
        drinker.start()
        text = "x" * 500_000
        for number in range(200):
            obj = {"metadata": {"name": "big", "namespace": "default"}, "data": {"t": text, "n": str(number)}}
            method, path = ("POST", MAPS) if number == 0 else ("PUT", f"{MAPS}/big")
            assert ask(plain, method, path, JSON, json.dumps(obj).encode())[0] in (200, 201)
            if any(w.overrun for w in made):
                break
        assert [w.overrun for w in made] == [True, False], "the one is cut off, and the other is not"
        for _ in range(1000):
            if len(plain._open) == 1:
                break
            assert ask(plain, "GET", "/healthz")[0] == 200
        assert len(plain._open) == 1, "nobody goes on writing to it"
        assert len(made[0]._events) == 0
        stop.set()
        assert ask(plain, "DELETE", f"{MAPS}/big")[0] == 200
        drinker.join(PATIENCE)
        assert not drinker.is_alive()
        assert sum(map(len, got)) > 1_000_000


def test_watches_of_clients_that_are_gone_are_forgotten(plain: HttpFront, cluster: EmbeddedCluster) -> None:
    followers = len(cluster.store._subscribers)
    for path in (f"{MAPS}?watch=1", f"{CORE}/pods/p/log?follow=true"):
        for _ in range(10):
            with connect(plain) as sock:
                sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                sock.recv(10)
    # Whoever is gone is noticed at the latest when there is something to say.
    done = threading.Event()
    for number in range(50):
        body = json.dumps({"metadata": {"name": f"n{number}"}}).encode()
        assert ask(plain, "POST", MAPS, JSON, body)[0] == 201
        if len(cluster.store._subscribers) <= followers:
            done.set()
            break
    assert done.is_set()
    assert not cluster.api._followers


# WebSockets

UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
SHELL = f"{CORE}/pods/p/exec?command=cat&stdin=true&stdout=true"


def upgraded(front: HttpFront, path: str = SHELL, protocol: str = "v5.channel.k8s.io") -> socket.socket:
    sock = connect(front)
    text = f"GET {path} HTTP/1.1\r\nHost: x\r\n{UPGRADE}Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
    sock.sendall(text.encode())
    top = b""
    while not top.endswith(b"\r\n\r\n"):
        top += sock.recv(1)
    assert b" 101 " in top, top
    return sock


def frame(opcode: int, data: bytes, *, masked: bool = True, length: int | None = None) -> bytes:
    size = len(data) if length is None else length
    top = bytes([0x80 | opcode])
    mark = 0x80 if masked else 0
    if size < 126:
        top += bytes([mark | size])
    elif size < 65536:
        top += bytes([mark | 126]) + size.to_bytes(2, "big")
    else:
        top += bytes([mark | 127]) + size.to_bytes(8, "big")
    return top + (b"\0\0\0\0" if masked else b"") + data


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(5, b"x"), 1002),
        (frame(2, b"\0x")[:1].replace(b"\x82", b"\xf2") + frame(2, b"\0x")[1:], 1002),
        (frame(9, b"x" * 200), 1002),
        (frame(2, b"", length=1 << 40), 1009),
        (frame(2, b"\0" + b"x" * (4 << 20)), 1009),
    ],
)
def test_frames_that_are_none(plain: HttpFront, data: bytes, code: int) -> None:
    with upgraded(plain) as sock:
        sender = threading.Thread(target=_send, args=(sock, data))
        sender.start()
        answer = read_all(sock)
        sender.join()
        assert answer[:1] in (b"\x88", b""), "a goodbye, or none"
        if answer:
            assert struct.unpack(">H", answer[2:4])[0] == code


def test_messages_on_channels_that_are_none(plain: HttpFront) -> None:
    with upgraded(plain) as sock:
        for data in (b"", b"\x01fake output", b"\x03fake status", b"\x09x", b"\xff", b"\xff\x07", b"\x04{", b"\x04[]"):
            sock.sendall(frame(2, data))
        sock.sendall(frame(1, b"not\xffutf8"[:3]))
        sock.sendall(frame(2, b"\0hello") + frame(2, b"\xff\0"))
        answer = b""
        while b'"Success"' not in answer:
            answer += sock.recv(65536)
        assert b"\x01hello" in answer


def test_sockets_that_never_say_anything_do_no_harm(plain: HttpFront, cluster: EmbeddedCluster) -> None:
    with ExitStack() as stack:
        for _ in range(80):  # more than there are threads for requests
            stack.enter_context(upgraded(plain))
        assert ask(plain, "GET", "/healthz") == (200, b"ok")


def test_upgrades_that_are_none(plain: HttpFront) -> None:
    status, body = ask(plain, "GET", SHELL)
    assert status == 400
    assert "unable to upgrade: missing upgrade headers in request" in told(body)[1]
    text = UPGRADE.replace("Version: 13", "Version: 12")
    assert parsed(raw(plain, head("GET", SHELL, text).replace(b"Connection: close\r\n", b"")))[0] in (400, 426)
    strange = UPGRADE + "Sec-WebSocket-Protocol: v9.nonsense\r\n"
    assert parsed(raw(plain, head("GET", SHELL, strange).replace(b"Connection: close\r\n", b"", 1)))[0] == 403
    spdy = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v99\r\n"
    assert parsed(raw(plain, head("POST", SHELL, spdy).replace(b"Connection: close\r\n", b"", 1)))[0] == 403


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n" + bytes(70_000),
        struct.pack(">HHI", 0x8003, 1, 10) + bytes(10),
        struct.pack(">HHI", 0x8003, 1, 30) + bytes(10) + b"no zlib at all here!",
        struct.pack(">HHI", 0x8009, 1, 0),
        struct.pack(">II", 1, 0xFFFFFF),
    ],
)
def test_spdy_that_is_none(plain: HttpFront, data: bytes) -> None:
    spdy = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n"
    with connect(plain) as sock:
        sock.sendall(f"POST {SHELL} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n{spdy}\r\n".encode())
        top = b""
        while not top.endswith(b"\r\n\r\n"):
            top += sock.recv(1)
        assert b" 101 " in top
        _send(sock, data)
        sock.shutdown(socket.SHUT_WR)
        assert len(read_all(sock)) < 200
    with upgraded(plain, f"{CORE}/pods/p/portforward", "SPDY/3.1+portforward.k8s.io") as sock:
        _send(sock, frame(2, data))
        sock.shutdown(socket.SHUT_WR)
        assert len(read_all(sock)) < 200
