"""What a running script is: its variables, its output, its clock, and the questions it asks."""

from __future__ import annotations

from typing import Any

from stratus.sim.shell.nodes import Tree
from stratus.sim.shell.world import Forever, Outcome, Suspended, World

Sink = list[tuple[str, str]]


class Core:
    """The state of one run of a script.

    Answers to questions about the outside are kept in `journal`: running the same script again with it takes the
    same way up to where the journal ends. `horizon` is how far (seconds after the start) the present is; a question
    later than that suspends the run. None means there is no such limit (exec, probes): sleeping costs nothing there.
    """

    def __init__(
        self,
        world: World,
        env: dict[str, str],
        *,
        horizon: float | None = None,
        journal: list[Any] | None = None,
        args: list[str] | None = None,
        stdin: str = "",
        name: str = "sh",
    ) -> None:
        self.world = world
        self.env = dict(env)
        self.exported = set(env)
        self.horizon = horizon
        self.journal = journal if journal is not None else []
        self.args = args or []
        self.name = name
        self.stdin = stdin
        self.outcome = Outcome()
        self.elapsed = 0.0
        self.status = 0
        self.cwd = env.get("PWD") or "/"
        self.functions: dict[str, Tree] = {}
        self.errexit = self.nounset = self.pipefail = False
        self._asked = 0
        self._steps = 0
        self._guarded = 0
        self._deep = 0
        self._sinks: list[Sink] = []
        #: What it writes goes to a terminal.
        self.tty = False
        #: For how many seconds what comes in on standard input is still being written.
        self.stdin_open = 0.0

    # output and questions

    def out(self, text: str) -> None:
        """Write to standard output."""
        self.emit("out", text)

    def err(self, text: str) -> None:
        """Write to standard error."""
        self.emit("err", text)

    def emit(self, stream: str, text: str) -> None:
        """Write to a stream, or to what collects it just now."""
        if not text:
            return
        if self._sinks:
            self._sinks[-1].append((stream, text))
        else:
            self.outcome.lines.append((self.elapsed, stream, text))

    def ask(self, question: str, *details: Any) -> Any:
        """Ask about the outside, at the script's own moment."""
        if self._asked < len(self.journal):
            answer = self.journal[self._asked]
        else:
            if self.horizon is not None and self.elapsed > self.horizon + 1e-9:
                raise Suspended
            answer = self.world.ask(question, *details)
            self.journal.append(answer)
        self._asked += 1
        return answer

    def sleep(self, seconds: float) -> None:
        """Let the script's time pass."""
        if seconds == float("inf"):
            raise Forever
        self.elapsed += seconds

    def serve(self, ports: frozenset[int], program: str, root: str = "") -> int:
        """Become a server for good."""
        self.outcome.ports = ports
        self.outcome.served_from = self.elapsed
        self.outcome.program = program
        self.outcome.root = root
        raise Forever

    def path(self, value: str) -> str:
        """Return an absolute, normalised path."""
        whole = value if value.startswith("/") else f"{self.cwd.rstrip('/')}/{value}"
        parts: list[str] = []
        for part in whole.split("/"):
            if part == "..":
                if parts:
                    parts.pop()
            elif part not in ("", "."):
                parts.append(part)
        return "/" + "/".join(parts)

    def complain(self, text: str) -> None:
        """Write an error of the shell itself."""
        self.err(f"{self.name}: {'line 1: ' if self.name == 'bash' else ''}{text}\n")

    # what the parts of a shell offer each other

    def node(self, node: Tree) -> int:
        """Run a part of the tree; return its exit code."""
        raise NotImplementedError

    def command(self, argv: list[str]) -> int:
        """Run a command given as words."""
        raise NotImplementedError
