"""A served cluster with an application, the real kubectl before it, and the rows of the table of its commands."""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stratus.sim.api import Request
from stratus.sim.cluster import EmbeddedCluster
from stratus.sim.http import HttpFront

KUBECTL = Path(sys.executable).parent / "kubectl"
PATIENCE = 40
"""Seconds after which a process counts as hanging."""
APP = "hotel-reservation"
SPEED = 20.0
"""Seconds of the cluster per second of the wall, so that nobody waits for image pulls."""
Obj = dict[str, Any]


class Mismatch(AssertionError):
    """Output or state is not what a real cluster gives."""


def same(got: Any, want: Any, what: str = "got") -> None:
    """Two values are equal."""
    if got != want:
        raise Mismatch(f"{what}: {got!r} instead of {want!r}")


def holds(condition: Any, what: str) -> None:
    """Something is true."""
    if not condition:
        raise Mismatch(what)


@dataclass(frozen=True)
class Done:
    """What a command gave."""

    command: str
    code: int
    out: str
    err: str

    def says(self, *texts: str) -> Done:
        """Its output has each text (runs of blanks count as one)."""
        for text in texts:
            holds(squeezed(text) in squeezed(self.out), f"`{self.command}` does not say {text!r}: {self.out!r}")
        return self

    def is_(self, text: str) -> Done:
        """Its whole output is this, white space at the ends aside."""
        same(self.out.strip(), text.strip(), f"`{self.command}`")
        return self

    def warns(self, *texts: str) -> Done:
        """Its error output has each text."""
        for text in texts:
            holds(squeezed(text) in squeezed(self.err), f"`{self.command}` does not warn {text!r}: {self.err!r}")
        return self

    def lacks(self, *texts: str) -> Done:
        """Its output has none of the texts."""
        for text in texts:
            holds(text not in self.out, f"`{self.command}` says {text!r}: {self.out!r}")
        return self

    @property
    def json(self) -> Any:
        """Return the output as JSON."""
        return json.loads(self.out)

    @property
    def yaml(self) -> Any:
        """Return the output as YAML."""
        return yaml.safe_load(self.out)

    @property
    def lines(self) -> list[str]:
        """Return the lines of the output."""
        return self.out.splitlines()

    @property
    def table(self) -> list[dict[str, str]]:
        """Return the rows of a table by the names of its columns."""
        head, *rows = self.lines
        starts = [(m.group(), m.start()) for m in re.finditer(r"\S+(?: \S+)*", head)]
        ends = [at for _, at in starts[1:]] + [None]
        return [{name: row[at:end].strip() for (name, at), end in zip(starts, ends, strict=True)} for row in rows]


def squeezed(text: str) -> str:
    """Return a text with every run of blanks as one."""
    return re.sub(r"[ \t]+", " ", text)


class Bench:
    """The cluster, served; rows run on it one after another, each in a namespace of its own."""

    def __init__(self, cluster: EmbeddedCluster, front: HttpFront, folder: Path) -> None:
        self.cluster = cluster
        self.front = front
        self.folder = folder
        self.config = folder / "kubeconfig"
        self.config.write_text(front.kubeconfig())
        self._count = 0

    def row(self) -> Kube:
        """Return a fresh namespace to run a row in."""
        self._count += 1
        kube = Kube(self, f"row{self._count}")
        kube.post("/api/v1/namespaces", {"metadata": {"name": kube.namespace}})
        return kube


class Beside:
    """A command that runs beside the row."""

    def __init__(self, command: str, process: subprocess.Popen[str]) -> None:
        self.command = command
        self._process = process
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def line(self) -> str:
        """Return the next line of its output, waiting for it; nothing at its end."""
        try:
            return self._lines.get(timeout=PATIENCE)
        except queue.Empty:
            raise Mismatch(f"`{self.command}` says no more") from None

    def write(self, text: str) -> None:
        """Write to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def end(self) -> None:
        """End it."""
        self._process.terminate()
        self._reader.join(PATIENCE)
        self._process.wait(PATIENCE)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


class Kube:
    """kubectl in one namespace, and the state behind it."""

    def __init__(self, bench: Bench, namespace: str) -> None:
        self.bench = bench
        self.cluster = bench.cluster
        self.namespace = namespace
        self.folder = bench.folder / namespace
        self.folder.mkdir()
        self.config = bench.config

    # commands

    def argv(self, command: str | list[str]) -> list[str]:
        """Return the command line of a command."""
        words = command if isinstance(command, list) else command.split()
        where = ["--kubeconfig", str(self.config), "--cache-dir", str(self.bench.folder / "cache")]
        return [str(KUBECTL), *where, "-n", self.namespace, *words]

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment commands run in."""
        path = f"{KUBECTL.parent}:{os.environ.get('PATH', '')}"
        return {"HOME": str(self.bench.folder), "PATH": path, "KUBERC": "off", **more}

    def __call__(self, command: str | list[str], *, stdin: str = "", code: int = 0, **env: str) -> Done:
        """Run a command to its end; its exit code must be `code`."""
        done = subprocess.run(
            self.argv(command), input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False,
            env=self.environment(**env), cwd=self.folder,
        )  # fmt: skip
        shown = command if isinstance(command, str) else " ".join(command)
        found = Done(shown, done.returncode, done.stdout, done.stderr)
        same(found.code, code, f"exit code of `{shown}` ({found.out.strip()} {found.err.strip()})")
        return found

    @contextmanager
    def running(self, command: str | list[str], *, watch: bool = False, **env: str) -> Iterator[Beside]:
        """Run a command beside the row, until it watches where that is said; it is ended with the block."""
        before = self._watches()
        process = subprocess.Popen(
            self.argv(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=self.environment(**env), cwd=self.folder,
        )  # fmt: skip
        beside = Beside(command if isinstance(command, str) else " ".join(command), process)
        try:
            if watch:
                self.until(lambda: self._watches() - before, "a watch")
            yield beside
        finally:
            beside.end()

    def _watches(self) -> set[object]:
        return set(self.bench.front._open)

    def file(self, name: str, content: str | Obj | list[Obj]) -> str:
        """Write a file into the working directory; objects as YAML documents."""
        if not isinstance(content, str):
            content = yaml.safe_dump_all(content if isinstance(content, list) else [content], sort_keys=False)
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return name

    # state

    def request(self, method: str, path: str, body: Any = None, media: str = "application/json") -> Obj:
        """Ask the API in process."""
        data = b"" if body is None else json.dumps(body).encode()
        with self.cluster.lock:
            answer = self.cluster.api.handle(Request(method, path, {"content-type": media}, data))
        holds(answer.status < 300, f"{method} {path}: {getattr(answer, 'obj', answer)}")  # type: ignore[union-attr]
        found: Obj = json.loads(answer.body)  # type: ignore[union-attr]
        return found

    def post(self, path: str, body: Obj) -> Obj:
        """Create an object in process."""
        return self.request("POST", path, body)

    def settle(self, seconds: float = 20.0) -> None:
        """Let time pass in the cluster."""
        self.cluster.advance(seconds)

    def find(self, resource: str, name: str, namespace: str | None = None) -> Obj | None:
        """Return a stored object, or None."""
        with self.cluster.lock:
            return self.cluster.store.get(resource, self.namespace if namespace is None else namespace, name)

    def get(self, resource: str, name: str, namespace: str | None = None) -> Obj:
        """Return a stored object, which must be there."""
        found = self.find(resource, name, namespace)
        holds(found is not None, f"no {resource} {name}")
        assert found is not None
        return found

    def gone(self, resource: str, name: str, namespace: str | None = None) -> None:
        """There is no such object."""
        holds(self.find(resource, name, namespace) is None, f"{resource} {name} is still there")

    def all(self, resource: str, namespace: str | None = None) -> list[Obj]:
        """Return all stored objects of the namespace."""
        with self.cluster.lock:
            return list(self.cluster.store.list(resource, self.namespace if namespace is None else namespace))

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until something is true; the cluster's time passes by itself meanwhile."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if found := condition():
                return found
            time.sleep(0.02)
        raise Mismatch(f"never happened: {what}")

    # what rows begin with

    def web(self, name: str = "web", replicas: int = 2, image: str = "nginx:1.27", **spec: Any) -> Obj:
        """Create a Deployment and let it become ready."""
        container = {"name": "nginx", "image": image, "ports": [{"containerPort": 80}]}
        body = {
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
                **spec,
            },
        }
        made = self.post(f"/apis/apps/v1/namespaces/{self.namespace}/deployments", body)
        self.settle()
        return made

    def pod(self, name: str = "solo", image: str = "nginx:1.27", **container: Any) -> Obj:
        """Create a Pod and let it start."""
        entry = {"name": name, "image": image, **container}
        body = {"metadata": {"name": name, "labels": {"run": name}}, "spec": {"containers": [entry]}}
        made = self.post(f"/api/v1/namespaces/{self.namespace}/pods", body)
        self.settle()
        return made

    def config_map(self, name: str = "settings", **data: str) -> Obj:
        """Create a ConfigMap."""
        return self.post(f"/api/v1/namespaces/{self.namespace}/configmaps", {"metadata": {"name": name}, "data": data})

    def image(self, name: str = "web") -> str:
        """Return the image of a Deployment's first container."""
        return str(self.get("deployments.apps", name)["spec"]["template"]["spec"]["containers"][0]["image"])


Check = Callable[[Kube], None]


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        section: heading it stands under.
        command: as typed, without `kubectl`.
        what: what is looked at.
        quick: it is among those every test run checks.
        fails: why it fails, where that is known.
    """

    section: str
    command: str
    what: str
    check: Check
    quick: bool = False
    fails: str = ""


@dataclass
class Section:
    """Rows under one heading."""

    title: str
    rows: list[Row] = field(default_factory=list)

    def __call__(self, command: str, what: str, *, quick: bool = False, fails: str = "") -> Callable[[Check], Check]:
        """Return a decorator that makes a check a row."""

        def keep(check: Check) -> Check:
            self.rows.append(Row(self.title, command, what, check, quick, fails))
            return check

        return keep


@contextmanager
def served() -> Iterator[Bench]:
    """Serve a cluster with an application running."""
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedCluster(app=APP, seed=7, warmup=120.0) as cluster,
        cluster.serve(speed=SPEED) as front,
    ):
        yield Bench(cluster, front, Path(folder))


def outcome(bench: Bench, row: Row) -> str:
    """Run a row; return what went wrong, or nothing."""
    try:
        row.check(bench.row())
    except AssertionError as error:
        return str(error) or "an assertion failed"
    except (subprocess.TimeoutExpired, ValueError, KeyError, IndexError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return ""
