"""Commands in containers: over HTTPS and in process alike, and every way in which nobody knows what became of one."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from stratus.cluster.kube import KubeCluster, executing
from stratus.cluster.kube.executing import KubeExecutor
from stratus.cluster.writer import ClusterExecutor, ClusterWriter
from stratus.errors import ClusterError, ClusterUnreachable, Forbidden, InDoubt, Invalid, NotFound
from stratus.sim.cluster import EmbeddedCluster

MONGO = ("timeout", "10", "sh", "-c", 'exec mongo --quiet -u "$MONGO_INITDB_ROOT_USERNAME" '
         '-p "$MONGO_INITDB_ROOT_PASSWORD" --authenticationDatabase admin admin')  # fmt: skip
WHO = 'db.runCommand({usersInfo: "admin"}).users.forEach(u => u.roles.forEach(r => print(r.role + "@" + r.db)));\n'
ROLES = ["userAdminAnyDatabase@admin", "readWrite@geo-db", "readWrite@rate-db"]


@pytest.fixture(scope="module")
def embedded() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(app="hotel-reservation", seed=0, warmup=5.0) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def kubes(embedded: EmbeddedCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, KubeCluster]]:
    path = tmp_path_factory.mktemp("kube") / "config"
    with embedded.serve(follow_wall_clock=False) as server:
        path.write_text(server.kubeconfig(), encoding="utf-8")
        with KubeCluster.from_kubeconfig(path) as served, KubeCluster(embedded.api_client()) as inside:
            yield {"https": served, "in process": inside}


@pytest.fixture(params=["https", "in process"])
def kube(request: pytest.FixtureRequest, kubes: dict[str, KubeCluster]) -> KubeCluster:
    return kubes[request.param]


def database(kube: KubeCluster) -> tuple[str, str, str]:
    pods = kube.reader.list("pods", "hotel-reservation", label_selector="io.kompose.service=mongodb-rate")
    return "hotel-reservation", pods[0]["metadata"]["name"], "hotel-reserv-rate-mongo"


def test_what_a_command_writes_and_how_it_ends(kube: KubeCluster) -> None:
    done = kube.executor.run(*database(kube), ("sh", "-c", "echo out; echo err >&2; exit 3"))
    assert (done.stdout, done.stderr, done.exit_code) == ("out\n", "err\n", 3)


def test_input_is_sent_to_its_end(kube: KubeCluster) -> None:
    done = kube.executor.run(*database(kube), MONGO, WHO)
    assert done.stdout.splitlines() == ROLES
    assert done.exit_code == 0


def test_words_arrive_as_they_are(kube: KubeCluster) -> None:
    words = ("printf", "%s|", "a b", "$HOME", "ä&c=d", "", "x;y")
    assert kube.executor.run(*database(kube), words).stdout == "a b|$HOME|ä&c=d||x;y|"


def test_long_output_is_whole(kube: KubeCluster) -> None:
    done = kube.executor.run(*database(kube), ("sh", "-c", "seq 1 40000"))
    assert done.stdout.split() == [str(n) for n in range(1, 40001)]


def test_what_cannot_be_run_is_an_error_and_no_exit_code(kube: KubeCluster) -> None:
    space, pod, container = database(kube)
    with pytest.raises(NotFound):
        kube.executor.run(space, "nobody", container, ("true",))
    with pytest.raises(Invalid, match="is not valid for pod"):
        kube.executor.run(space, pod, "other", ("true",))
    with pytest.raises(ClusterError, match="no-such-program") as caught:
        kube.executor.run(space, pod, container, ("no-such-program",))
    assert caught.value.status == 500
    with pytest.raises(Invalid, match="cannot be a name"):
        kube.executor.run(space, f"{pod}/../other", container, ("true",))


def test_a_command_changes_what_the_database_holds(kube: KubeCluster) -> None:
    at = database(kube)
    kube.executor.run(*at, MONGO, 'db.createUser({user: "guest", pwd: "x", roles: []});')
    assert kube.executor.run(*at, MONGO, 'print(db.runCommand({usersInfo: "guest"}).users.length)').stdout == "1\n"
    kube.executor.run(*at, MONGO, 'db.dropUser("guest");')
    assert kube.executor.run(*at, MONGO, 'print(db.runCommand({usersInfo: "guest"}).users.length)').stdout == "0\n"


def test_running_commands_is_a_power_of_its_own(kubes: dict[str, KubeCluster]) -> None:
    kube = kubes["https"]
    assert isinstance(kube.executor, ClusterExecutor)
    assert not isinstance(kube.writer, ClusterExecutor)
    assert not isinstance(kube.executor, ClusterWriter)
    assert not isinstance(kube.reader, ClusterExecutor)
    assert not isinstance(kube.rehearser, ClusterExecutor)


def test_who_may_not_is_refused_before_anything_runs(embedded: EmbeddedCluster) -> None:
    from stratus.sim.api import User

    nobody = KubeCluster(embedded.api_client(user=User("nobody", ())))
    admin = KubeCluster(embedded.api_client())
    with nobody, admin, pytest.raises(Forbidden):
        nobody.executor.run(*database(admin), ("true",))


# ── a connection that breaks: what became of the command is not known ──


class Socket:
    """A WebSocket of the official client that says what it is told to."""

    def __init__(self, told: dict[int, bytes], *, breaks: Exception | None = None) -> None:
        self._channels, self._breaks, self._open = told, breaks, True
        self.sent: list[tuple[int, bytes]] = []
        self.closed: list[int] = []

    def write_channel(self, channel: int, data: bytes) -> None:
        self.sent.append((channel, data))

    def close_channel(self, channel: int) -> None:
        self.closed.append(channel)

    def is_open(self) -> bool:
        return self._open

    def update(self, timeout: float) -> None:
        if self._breaks is not None:
            raise self._breaks
        self._open = False

    def read_channel(self, channel: int) -> bytes:
        return self._channels.pop(channel)

    def close(self) -> None:
        self._open = False


@contextmanager
def answering(monkeypatch: pytest.MonkeyPatch, what: Any) -> Iterator[KubeExecutor]:
    """An executor whose connection is what is given, or fails with it."""
    from kubernetes.stream import ws_client

    def connect(*args: object, **more: object) -> Any:
        if isinstance(what, Exception):
            raise what
        return what

    monkeypatch.setattr(ws_client, "WSClient", connect)
    client = SimpleNamespace(
        rest_client=SimpleNamespace(pool_manager=object()), configuration=SimpleNamespace(host="https://k")
    )
    channel: Any = SimpleNamespace(upgrade=lambda url: (client, {}, f"https://k{url}"))
    yield KubeExecutor(channel)


def bad_status(code: int, message: str) -> Exception:
    import websocket

    body = f'{{"kind":"Status","message":"{message}","reason":"x","code":{code}}}'.encode()
    return websocket.WebSocketBadStatusException("Handshake status %d %s", code, "no", {}, body)


def closed() -> Exception:
    import websocket

    return websocket.WebSocketConnectionClosedException("Connection to remote host was lost.")


@pytest.mark.parametrize(
    ("what", "error"),
    [
        (lambda: bad_status(403, "pods may not be entered"), Forbidden),
        (lambda: bad_status(404, "pod is gone"), NotFound),
        (lambda: bad_status(500, "container not found"), ClusterError),
        (lambda: ConnectionRefusedError("refused"), ClusterUnreachable),
        (lambda: ssl.SSLError("certificate verify failed"), ClusterUnreachable),
        (closed, InDoubt),
        (lambda: ConnectionResetError("reset"), InDoubt),
        (lambda: TimeoutError(), InDoubt),
        (lambda: Socket({}), InDoubt),
        (lambda: Socket({1: b"half an out"}), InDoubt),
        (lambda: Socket({3: b"no json"}), InDoubt),
        (lambda: Socket({}, breaks=ConnectionResetError("reset")), InDoubt),
    ],
)
def test_refused_unreachable_or_in_doubt(monkeypatch: pytest.MonkeyPatch, what: Any, error: type[Exception]) -> None:
    with answering(monkeypatch, what()) as executor, pytest.raises(error) as caught:
        executor.run("shop", "db-0", "db", ("true",), "secret input")
    if error is not InDoubt:
        assert not isinstance(caught.value, InDoubt)
    assert "secret input" not in str(caught.value)


def test_a_time_limit_of_the_library_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    import websocket

    seen: list[object] = []

    class Looking(Exception):
        pass

    from kubernetes.stream import ws_client

    def connect(*args: object, **more: object) -> Any:
        seen.append(websocket.getdefaulttimeout())
        raise Looking

    with answering(monkeypatch, Looking()) as executor:
        monkeypatch.setattr(ws_client, "WSClient", connect)
        with pytest.raises(InDoubt):
            executor.run("shop", "db-0", "db", ("true",))
    assert seen == [5.0]
    assert websocket.getdefaulttimeout() is None


def test_an_answer_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 0.0, 0.0, 100.0, 100.0])
    monkeypatch.setattr(executing.time, "monotonic", lambda: next(times))

    class Silent(Socket):
        def update(self, timeout: float) -> None:
            assert timeout <= executing.WRITE_SECONDS + executing.GRACE

    with answering(monkeypatch, Silent({})) as executor, pytest.raises(InDoubt):
        executor.run("shop", "db-0", "db", ("true",))


def test_input_goes_to_its_channel_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    socket = Socket({1: b"\xc3\xa4\xff", 3: b'{"status":"Success"}'})
    with answering(monkeypatch, socket) as executor:
        done = executor.run("shop", "db-0", "db", ("cat",), "hello")
    assert socket.sent == [(0, b"hello")]
    assert socket.closed == [0]
    assert done.stdout == "ä\ufffd"
