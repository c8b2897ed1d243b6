"""Where a command's input comes from and its output goes."""

from __future__ import annotations

from collections.abc import Callable

from stratus.sim.shell.builtins import Builtins
from stratus.sim.shell.core import Sink

_STREAMS = {1: "out", 2: "err"}
#: Places that are the streams themselves, or nothing.
_SPECIAL = {
    "/dev/null": "", "/dev/stdout": "out", "/proc/1/fd/1": "out", "/proc/self/fd/1": "out", "/dev/fd/1": "out",
    "/dev/stderr": "err", "/proc/1/fd/2": "err", "/proc/self/fd/2": "err", "/dev/fd/2": "err",
}  # fmt: skip


class Redirecting(Builtins):
    """A shell as far as redirections go."""

    def redirected(self, redirects: list[tuple[int, str, str]], body: Callable[[], int]) -> int:
        """Run something with its input and output redirected."""
        if not redirects:
            return body()
        sink: Sink = []
        saved = self.stdin
        targets: dict[str, tuple[str, str]] = {}
        for fd, operator, word in redirects:
            problem = self._redirect(fd, operator, self.expand_one(word), targets)
            if problem:
                self.complain(problem)
                self.stdin = saved
                return 1
        if not targets:
            try:
                return body()
            finally:
                self.stdin = saved
        # Only what is redirected is held back, so that a server's other lines keep their times.
        self._sinks.append(sink)
        try:
            return body()
        finally:
            self._sinks.pop()
            self.stdin = saved
            self._deliver(sink, targets)

    def _redirect(self, fd: int, operator: str, value: str, targets: dict[str, tuple[str, str]]) -> str:
        """Take one redirection in; return an error text."""
        if operator == "<<":
            self.stdin = value
        elif operator == "<<<":
            self.stdin = value + "\n"
        elif operator == "<":
            text = self.world.read(self.path(value))
            if text is None:
                return f"can't open {value}: no such file"
            self.stdin = text
        elif operator in (">", ">>", ">|", "&>", "&>>"):
            shown = "&" in operator
            mark = ">>" if operator.endswith(">>") else ">"
            for stream in ("out", "err") if shown else (_STREAMS.get(fd, "out"),):
                targets[stream] = (mark, value)
            if value not in _SPECIAL:
                problem = self.world.write(self.path(value), "", mark == ">>")
                if problem:
                    return f"can't create {value}: {problem}"
        elif operator == ">&":
            source = _STREAMS.get(fd, "out")
            if value == "-":
                targets[source] = (">", "/dev/null")
            elif value not in ("1", "2"):
                return f"bad fd number {value}" if value.isdigit() else self._redirect(1, "&>", value, targets)
            else:
                goal = _STREAMS[int(value)]
                targets[source] = targets.get(goal, ("&", goal))
        return ""

    def _deliver(self, sink: Sink, targets: dict[str, tuple[str, str]]) -> None:
        gathered: dict[str, list[str]] = {}
        for stream, text in sink:
            operator, value = targets.get(stream, ("&", stream))
            if operator == "&":
                self.emit(value, text)
            elif value in _SPECIAL:
                if _SPECIAL[value]:
                    self.emit(_SPECIAL[value], text)
            else:
                gathered.setdefault(value, []).append(text)
        for value, texts in gathered.items():
            problem = self.world.write(self.path(value), "".join(texts), True)
            if problem:
                self.err(f"{self.name}: write error: {problem}\n")
                self.status = 1
