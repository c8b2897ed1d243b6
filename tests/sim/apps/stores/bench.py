"""A shell in a world that holds one server, for tests of the servers' clients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from stratus.sim.apps.stores.brokers import Broker
from stratus.sim.apps.stores.topics import administer
from stratus.sim.filesystem import Node
from stratus.sim.shell import Outcome, Shell

NOW = 1767603600.0
RECORDED = Path(__file__).parent / "recorded"


def recorded(name: str) -> dict[str, Any]:
    """Return what a real server's client printed."""
    found: dict[str, Any] = yaml.safe_load((RECORDED / f"{name}.yaml").read_text())
    return found


class Bench:
    """A container with every program, and a server on a port."""

    def __init__(self, state: Any, port: int, host: str = "127.0.0.1") -> None:
        self.state = state
        self.port = port
        self.hosts = {host, "localhost", "server"}
        self.files: dict[str, str] = {}
        self.env: dict[str, str] = {}
        self.at = NOW
        self.peer = "127.0.0.1:41234"

    def run(self, script: str, stdin: str = "", *, tty: bool = False) -> Outcome:
        """Run a script."""
        shell = Shell(self, {"HOME": "/root", **self.env}, stdin=stdin, name="bash")
        shell.tty = tty
        return shell.run_script(script)

    def out(self, script: str, stdin: str = "") -> str:
        """Return what a script writes, both streams."""
        return "".join(text for _, _, text in self.run(script, stdin).lines)

    # the world of the shell

    def ask(self, question: str, *details: Any) -> Any:
        if question == "talk":
            host, port, _, request = details
            if host not in self.hosts:
                return "no-host", "", None
            if port != self.port:
                return "refused", "127.0.0.1", None
            if isinstance(self.state, Broker):
                return "reached", "127.0.0.1", administer(self.state, request, self.at, {"fraud-1": "10.244.1.9"})
            return "reached", "127.0.0.1", self.state.talk(request, self.at, self.peer)
        if question == "connect":
            host, port = details
            kind = "no-host" if host not in self.hosts else "reached" if port == self.port else "refused"
            return kind, "127.0.0.1", None
        if question == "say":
            return "reached", "127.0.0.1", self.state.talk({"text": details[2]}, self.at, self.peer)
        return {"address": "10.244.1.5", "processes": []}.get(question)

    def now(self) -> float:
        return self.at

    birth = now

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def write(self, path: str, text: str, append: bool) -> str:
        self.files[path] = self.files.get(path, "") + text if append else text
        return ""

    def remove(self, path: str) -> bool:
        return self.files.pop(path, None) is not None

    def mkdir(self, path: str, mode: int = 0o755) -> str:
        return ""

    def lookup(self, path: str) -> Node | None:
        return Node("file", self.files[path]) if path in self.files else None

    stat = lookup

    def put(self, path: str, node: Node) -> str:
        return self.write(path, node.text, False)

    def follow(self, path: str) -> str:
        return path

    def shown_mode(self, path: str, node: Node) -> Node:
        return node

    def usage(self) -> list[tuple[str, str, float, float]]:
        return [("overlay", "/", 1e9, 2e8)]

    def is_dir(self, path: str) -> bool:
        return path in ("/", "/tmp")

    def list_dir(self, path: str) -> list[str]:
        return sorted(p.rpartition("/")[2] for p in self.files)

    def has_program(self, name: str) -> bool:
        from stratus.sim.shellcommands import known_programs

        return name.rpartition("/")[2] in known_programs()

    def serves(self, argv: list[str]) -> frozenset[int] | None:
        return None
