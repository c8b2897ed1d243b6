"""What goes on between a client and a command in a container, whatever carries it: input, output, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from stratus.sim.filesystem import to_bytes, to_text
from stratus.sim.runtime import ExecResult
from stratus.sim.streams import input as stdin
from stratus.sim.streams.channels import STDERR, STDOUT
from stratus.sim.streams.terminal import END, INTERRUPT, Terminal, shown

Obj = dict[str, Any]
#: What a command that reads to the end may be sent.
INPUT_LIMIT = 64 * 1024 * 1024
_OCI = "OCI runtime exec failed"


@dataclass(frozen=True, slots=True)
class Ran:
    """What one piece of input made an interpreter write.

    `more` asks for the rest of an unfinished command; `exit_code` is set when the interpreter has ended.
    """

    stdout: str = ""
    stderr: str = ""
    exit_code: int | None = None
    more: bool = False
    busy: bool = False


class Interpreter(Protocol):
    """A shell in a container that is sent its commands piece by piece."""

    def prompt(self) -> str:
        """Return what it shows when it waits for a command on a terminal."""
        ...

    def run(self, text: str) -> Ran:
        """Take some lines."""
        ...

    def end(self) -> Ran:
        """Its input ends."""
        ...


def exit_status(result: ExecResult, exec_id: str = "") -> Obj:
    """Return the Status that ends an exec."""
    if result.exit_code == 0:
        return {"metadata": {}, "status": "Success"}
    if result.stderr.startswith(_OCI):
        # The command never ran: that is no exit code of a command, but an error of the runtime.
        why = (
            f'error executing command in container: failed to exec in container: failed to start exec "{exec_id}": '
            f"{result.stderr.strip()}"
        )
        return internal_status(why)
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {result.exit_code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(result.exit_code)}]},
    }


def internal_status(why: str) -> Obj:
    """Return the Status of a stream that broke."""
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: {why}",
        "reason": "InternalError",
        "details": {"causes": [{"message": why}]},
        "code": 500,
    }


class Conversation:
    """The base: collects output; subclasses say what input does.

    Attributes:
        status: the Status it ended with; None while it goes on.
        on_ready: called, from whatever thread, when there is something to take without having been fed.
    """

    def __init__(self, *, tty: bool = False) -> None:
        self.tty = tty
        self.status: Obj | None = None
        self.on_ready: Callable[[], None] | None = None
        self._out: list[tuple[int, bytes]] = []

    def begin(self) -> None:
        """The client is there."""

    def feed(self, data: bytes) -> None:
        """Take input."""

    def end(self) -> None:
        """The input has ended, or the client is gone."""

    def resize(self, data: bytes) -> None:
        """The client's terminal has another size (JSON with Width and Height)."""

    def take(self) -> list[tuple[int, bytes]]:
        """Return (channel, data) of what is to be sent."""
        out, self._out = self._out, []
        return out

    def close(self) -> None:
        """Release what it holds."""

    def say(self, channel: int, text: str) -> None:
        """Put output on a channel; a terminal has only one."""
        if text:
            self._out.append((STDOUT, to_bytes(shown(text))) if self.tty else (channel, to_bytes(text)))

    def finish(self, result: ExecResult, exec_id: str = "") -> None:
        """Note how it ended."""
        self.status = exit_status(result, exec_id)


class Command(Conversation):
    """A command that runs once: at once, or when the input that it reads has ended.

    Args:
        argv: the command.
        run: plays it with its input.
        wanted: the client sends input.
        exec_id: what a runtime's error calls it.
    """

    def __init__(
        self, argv: list[str], run: Callable[[bytes], ExecResult], *, wanted: bool, tty: bool, exec_id: str = ""
    ) -> None:
        super().__init__(tty=tty)
        self._argv = argv
        self._run = run
        self._id = exec_id
        self._waits = wanted and stdin.reads(argv)
        self._lines = tty and stdin.client(argv)
        self._terminal = Terminal() if tty else None
        self._input = bytearray()

    def begin(self) -> None:
        """Run what does not wait for input."""
        if not self._waits:
            self._go()

    def feed(self, data: bytes) -> None:
        """Collect input."""
        if self.status is not None or not self._waits:
            return
        if self._terminal is not None:
            self._typed(to_text(data))
            return
        self._input += data
        if len(self._input) > INPUT_LIMIT:
            self.status = internal_status(f"more than {INPUT_LIMIT} bytes of input")
        elif stdin.enough(self._argv, bytes(self._input)):
            self._go()

    def _typed(self, keys: str) -> None:
        assert self._terminal is not None
        pieces = self._terminal.type(keys)
        seen = self._terminal.seen()
        if seen:
            self._out.append((STDOUT, to_bytes(seen)))
        for piece in pieces:
            if self.status is not None:
                return
            if piece == INTERRUPT:
                self.finish(ExecResult(exit_code=130))
            elif self._lines:
                self._line(piece)
            elif piece == END:
                self._go()
            else:
                self._input += to_bytes(piece)
                if stdin.enough(self._argv, bytes(self._input)):
                    self._go()

    def _line(self, piece: str) -> None:
        """Let a client in a terminal carry out one line."""
        word = piece.strip().rstrip(";").lower()
        if piece == END or word in ("exit", "quit", "\\q", ".exit", "exit()", "quit()"):
            self.finish(ExecResult())
        elif word:
            result = self._run(to_bytes(piece))
            self.say(STDOUT, result.stdout)
            self.say(STDERR, result.stderr)

    def end(self) -> None:
        """Run with what has come."""
        if self.status is None:
            if self._lines:
                self.finish(ExecResult())
            else:
                self._go()

    def _go(self) -> None:
        result = self._run(bytes(self._input))
        self._input.clear()
        # Clients stop reading when the output that they want is whole: complaints come first.
        if not result.stderr.startswith(_OCI):
            self.say(STDERR, result.stderr)
        self.say(STDOUT, result.stdout)
        self.finish(result, self._id)


class Interactive(Conversation):
    """A shell that runs each command as it comes.

    Args:
        shell: runs the commands.
        tty: with a terminal in between: echo, prompts, Ctrl-C, Ctrl-D.
    """

    def __init__(self, shell: Interpreter, *, tty: bool) -> None:
        super().__init__(tty=tty)
        self._shell = shell
        self._terminal = Terminal() if tty else None
        self._rest = b""
        self._busy = False
        self.size: tuple[int, int] | None = None

    def begin(self) -> None:
        """Show the first prompt."""
        self._prompt()

    def _prompt(self, text: str | None = None) -> None:
        if self._terminal is not None and self.status is None:
            self._out.append((STDOUT, to_bytes(self._shell.prompt() if text is None else text)))

    def feed(self, data: bytes) -> None:
        """Run the lines that are whole."""
        if self.status is not None:
            return
        if self._terminal is None:
            whole, mark, rest = (self._rest + data).rpartition(b"\n")
            self._rest = rest
            if len(rest) > INPUT_LIMIT:
                self.status = internal_status(f"more than {INPUT_LIMIT} bytes in a line")
            elif mark and not self._busy:
                self._ran(self._shell.run(to_text(whole + mark)))
            return
        for piece in self._terminal.type(to_text(data)):
            seen = self._terminal.seen()
            if seen:
                self._out.append((STDOUT, to_bytes(seen)))
            if self.status is not None:
                return
            if piece == INTERRUPT:
                self._busy = False
                self._ran(self._shell.run(INTERRUPT))
            elif self._busy:
                continue
            elif piece == END:
                self._ran(self._shell.end())
            else:
                self._ran(self._shell.run(piece))
        seen = self._terminal.seen()
        if seen:
            self._out.append((STDOUT, to_bytes(seen)))

    def _ran(self, ran: Ran) -> None:
        self.say(STDOUT, ran.stdout)
        self.say(STDERR, ran.stderr)
        self._busy = ran.busy
        if ran.exit_code is not None:
            self.ended(ran.exit_code)
        elif ran.more:
            self._prompt("> ")
        elif not ran.busy:
            self._prompt()

    def ended(self, code: int) -> None:
        """The shell is gone."""
        self.finish(ExecResult(exit_code=code))

    def end(self) -> None:
        """Run what is left, and end the shell."""
        if self.status is not None:
            return
        if self._rest:
            self._ran(self._shell.run(to_text(self._rest)))
            self._rest = b""
        if self.status is None:
            self._ran(self._shell.end())

    def resize(self, data: bytes) -> None:
        """Note the size."""
        size = read_size(data)
        if size is not None:
            self.size = size


def read_size(data: bytes) -> tuple[int, int] | None:
    """Return (columns, rows) from a message of the resize channel; None when it says nothing of use."""
    try:
        told = json.loads(data)
        width, height = int(told["Width"]), int(told["Height"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return (width, height) if 0 < width < 65536 and 0 < height < 65536 else None
