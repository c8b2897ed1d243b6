"""What a script can see around it, what running one gives, and the ways in which a script stops."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from stratus.sim.filesystem import Node


class World(Protocol):
    """What a script can see and touch around it. `ask` answers what may change with time."""

    def ask(self, question: str, *details: Any) -> Any:
        """Answer a question about the outside (`connect`, `http`, `resolve`, `mounted`); plain data."""
        ...

    def read(self, path: str) -> str | None:
        """Return a file's text, or None."""
        ...

    def write(self, path: str, text: str, append: bool) -> str:
        """Write a file; return an error text, empty when it worked."""
        ...

    def remove(self, path: str) -> bool:
        """Remove a file or directory; return whether it was there."""
        ...

    def mkdir(self, path: str, mode: int = 0o755) -> str:
        """Make a directory and its parents; return an error text, empty when it worked."""
        ...

    def lookup(self, path: str) -> Node | None:
        """Return what is at a path, a link itself and not what it leads to."""
        ...

    def stat(self, path: str) -> Node | None:
        """Return what is at a path, links followed."""
        ...

    def put(self, path: str, node: Node) -> str:
        """Put a file, directory or link at a path; return an error text, empty when it worked."""
        ...

    def is_dir(self, path: str) -> bool:
        """Tell whether a path is a directory."""
        ...

    def list_dir(self, path: str) -> list[str]:
        """Return the names in a directory, sorted."""
        ...

    def follow(self, path: str) -> str:
        """Return where a path leads when all links are followed."""
        ...

    def shown_mode(self, path: str, node: Node) -> Node:
        """Return a node with the permission bits it is shown with."""
        ...

    def birth(self) -> float:
        """Return when the container's own process was started."""
        ...

    def usage(self) -> list[tuple[str, str, float, float]]:
        """Return (device, mount point, bytes, used bytes) of what is mounted."""
        ...

    def has_program(self, name: str) -> bool:
        """Tell whether a program exists (a name in PATH or a path)."""
        ...

    def serves(self, argv: list[str]) -> frozenset[int] | None:
        """Return the ports a program of the image serves when run; None when it is not a server of the image."""
        ...

    def now(self) -> float:
        """Return the present moment."""
        ...


class Exit(Exception):
    """`exit`: the script ends with a code."""

    def __init__(self, code: int) -> None:
        self.code = code


class Break(Exception):
    """`break`: so many loops end."""

    def __init__(self, levels: int = 1) -> None:
        self.levels = levels


class Continue(Exception):
    """`continue`: the next round of a loop, so many levels up."""

    def __init__(self, levels: int = 1) -> None:
        self.levels = levels


class Return(Exception):
    """`return`: a function ends with a code."""

    def __init__(self, code: int) -> None:
        self.code = code


class Forever(Exception):
    """The script goes on without an end from here."""


class Suspended(Exception):
    """What happens next depends on a moment that is still to come."""


class OutOfMemory(Exception):
    """The process wants more memory than there is."""


@dataclass(slots=True)
class Outcome:
    """What a script does, as far as can be said now.

    Attributes:
        lines: (seconds after the start, stream, text), streams `out` and `err`.
        exit_code: None while it runs.
        elapsed: seconds after the start at which it ends, waits, or begins to go on forever.
        waits: it is at a point where it asks about its surroundings again at `elapsed`.
        ports: ports it serves from `served_from` seconds on.
        ignores_term: SIGTERM does not end it.
        repeat: (start, period, lines per round) of an endless loop.
    """

    lines: list[tuple[float, str, str]] = field(default_factory=list)
    exit_code: int | None = None
    elapsed: float = 0.0
    waits: bool = False
    ports: frozenset[int] = frozenset()
    served_from: float = 0.0
    root: str = ""
    ignores_term: bool = False
    term_code: int | None = None
    oom: bool = False
    program: str = ""
    repeat: tuple[float, float, list[tuple[float, str, str]]] | None = None

    def stdout(self) -> str:
        """Return what went to standard output."""
        return "".join(text for _, stream, text in self.lines if stream == "out")

    def stderr(self) -> str:
        """Return what went to standard error."""
        return "".join(text for _, stream, text in self.lines if stream == "err")
