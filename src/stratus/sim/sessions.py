"""Shells in containers that live as long as a client talks to them; each piece of input is one input of the cluster."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stratus.sim.containerworld import ContainerWorld
from stratus.sim.filesystem import to_bytes, to_text
from stratus.sim.generic import GenericRuntime, Process
from stratus.sim.shell import Exit, Forever, Outcome, OutOfMemory, Shell, ShellSyntaxError, Suspended, parse
from stratus.sim.shell.world import Break, Continue, Return
from stratus.sim.store import Obj
from stratus.sim.streams.conversation import Ran
from stratus.sim.streams.input import interpreter
from stratus.sim.streams.terminal import INTERRUPT

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane

#: What an unfinished command may grow to.
PENDING_LIMIT = 1024 * 1024
_UNFINISHED = ("unexpected end of file", "unterminated")


class ContainerShell:
    """One shell, started by exec or as the container's own process."""

    def __init__(self, runtime: GenericRuntime, pod: Obj, container: Obj, argv: list[str]) -> None:
        process = runtime.process(pod, container)
        self.process = process
        self._runtime = runtime
        self.container = container["name"]
        self.uid = pod["metadata"]["uid"]
        base: Process = process if process is not None else Process([], {}, runtime.now(), 0)
        # Files a command writes are the container's; times count from when each command begins.
        self._visit = Process(
            base.argv, dict(base.env), runtime.now(), base.restart, files=base.files, visited=base.visited
        )
        self._world = ContainerWorld(runtime, pod, container, self._visit, visiting=True)
        self.name = argv[0].rpartition("/")[2] if argv else "sh"
        self._shell = Shell(self._world, self._visit.env, name=self.name)
        self._pending = ""

    def missing(self, argv: list[str]) -> bool:
        """Tell whether the image holds no such shell."""
        return not self._world.has_program(argv[0]) and self._world.read(argv[0]) is None

    def prompt(self) -> str:
        """Return what it shows when it waits for a command."""
        cwd = self._shell.cwd
        if self.name == "bash":
            return f"root@{self._shell.env.get('HOSTNAME', 'localhost')}:{cwd}# "
        image = self._world.container["image"]
        return f"{cwd} # " if "busybox" in image or "alpine" in image else "# "

    def gone(self, pod: Obj | None) -> bool:
        """Tell whether the container's process has ended since."""
        if pod is None or pod["metadata"]["uid"] != self.uid or self.process is None:
            return True
        return self._runtime.process(pod, self._world.container) is not self.process

    def run(self, pod: Obj, text: str) -> Ran:
        """Take some lines; an unfinished command waits for its rest."""
        if text == INTERRUPT:
            self._pending = ""
            self._shell.status = 130
            return Ran()
        self._pending += text
        if len(self._pending) > PENDING_LIMIT:
            self._pending = ""
            return Ran(stderr=f"{self.name}: line too long\n")
        try:
            node = parse(self._pending)
        except ShellSyntaxError as error:
            if any(word in str(error) for word in _UNFINISHED):
                return Ran(more=True)
            self._pending = ""
            return Ran(stderr=f"{error}\n")
        self._pending = ""
        shell = self._shell
        self._world.pod = pod
        self._visit.started_at = self._runtime.now()
        shell.outcome = Outcome()
        shell.elapsed, shell._steps = 0.0, 0
        shell.journal.clear()
        shell._asked = 0
        ended: int | None = None
        busy = False
        try:
            shell.status = shell.node(node)
        except Exit as left:
            ended = left.code & 255
        except (Break, Continue, Return):
            pass
        except (Forever, Suspended):
            busy = True
        except OutOfMemory:
            shell.status = 137
        except ShellSyntaxError as error:
            shell.err(f"{error}\n")
            shell.status = 2
        except RecursionError:
            shell.err(f"{self.name}: stack overflow\n")
            shell.status = 139
        return Ran(shell.outcome.stdout(), shell.outcome.stderr(), ended, busy=busy)

    def end(self, pod: Obj) -> Ran:
        """Its input ends; what is unfinished is an error."""
        if not self._pending:
            return Ran(exit_code=self._shell.status & 255)
        self._pending = ""
        return Ran(stderr=f"{self.name}: syntax error: unexpected end of file\n", exit_code=2)


class ContainerSession:
    """A client's end of one shell (see `streams.conversation.Interpreter`)."""

    def __init__(self, data: dict[str, Any], send: Callable[[dict[str, Any]], Ran], prompt: Callable[[], str]) -> None:
        self._data = data
        self._send = send
        self.prompt = prompt

    def run(self, text: str) -> Ran:
        """Take some lines."""
        return self._send({**self._data, "text": base64.b64encode(to_bytes(text)).decode()})

    def end(self) -> Ran:
        """Its input ends."""
        return self._send({**self._data, "end": True})


class Sessions:
    """All shells of a cluster, by number.

    Args:
        control: the cluster's control plane.
    """

    def __init__(self, control: ControlPlane) -> None:
        self._control = control
        self._shells: dict[int, ContainerShell] = {}
        self._own: dict[tuple[str, str], int] = {}
        self._last = 0

    def open(
        self, spec: tuple[Obj, Obj], argv: list[str] | None, send: Callable[[dict[str, Any]], Ran]
    ) -> ContainerSession | None:
        """Return a client's end of a shell: a new one, or (no argv) the container's own process.

        None when that process reads no commands, or there is no such program. Nothing in the cluster changes until
        `send` is called with the first input.
        """
        pod, container = spec
        runtime = self._control.runtime
        process = runtime.process(pod, container) if isinstance(runtime, GenericRuntime) else None
        if process is None or not isinstance(runtime, GenericRuntime):
            return None
        command = process.argv if argv is None else argv
        look = ContainerShell(runtime, pod, container, command)
        if not interpreter(command) or look.missing(command):
            return None
        own = (pod["metadata"]["uid"], container["name"])
        if argv is None and own in self._own:
            number = self._own[own]
        else:
            number = self._last = self._last + 1
        meta = pod["metadata"]
        data = {
            "id": number, "namespace": meta["namespace"], "pod": meta["name"], "container": container["name"],
            "argv": argv,
        }  # fmt: skip
        return ContainerSession(data, send, lambda: self._shells.get(number, look).prompt())

    def play(self, data: dict[str, Any], spec: tuple[Obj, Obj] | None) -> Ran:
        """Carry out one piece of input: `text` (base64), or the end of the input."""
        number = data["id"]
        self._last = max(self._last, number)
        if spec is None:
            self._shells.pop(number, None)
            return Ran(exit_code=137)
        pod, container = spec
        runtime = self._control.runtime
        assert isinstance(runtime, GenericRuntime)
        own = data["argv"] is None
        if own:
            number = self._own.setdefault((pod["metadata"]["uid"], container["name"]), number)
        shell = self._shells.get(number)
        if shell is None or (own and shell.gone(pod)):
            process = runtime.process(pod, container)
            argv = data["argv"] if not own else process.argv if process is not None else ["sh"]
            shell = ContainerShell(runtime, pod, container, argv)
            self._shells[number] = shell
        if shell.gone(pod):
            del self._shells[number]
            return Ran(exit_code=137)
        if data.get("end"):
            ran = shell.end(pod)
        else:
            ran = shell.run(pod, to_text(base64.b64decode(data["text"])))
        if own:
            self._logged(shell, ran)
        if ran.exit_code is not None:
            del self._shells[number]
            if own:
                key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
                self._control.kubelet.restart_container(key, container["name"], reason="", exit_code=ran.exit_code)
        return ran

    def _logged(self, shell: ContainerShell, ran: Ran) -> None:
        """Put what the container's own shell wrote into the container's log."""
        process = shell.process
        if process is None:
            return
        after = self._control.clock.now() - process.started_at
        for stream, text in (("out", ran.stdout), ("err", ran.stderr)):
            if text:
                process.outcome.lines.append((after, stream, text))
