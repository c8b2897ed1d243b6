"""The tree that a script is read into."""

from __future__ import annotations

from dataclasses import dataclass, field

from stratus.errors import StratusError


class ShellSyntaxError(StratusError):
    """The text is not a script this shell can read; the message is the shell's own."""


@dataclass(slots=True)
class Token:
    """A word (with its quoting kept) or an operator."""

    kind: str
    text: str


@dataclass(slots=True)
class Simple:
    """Assignments, a command with arguments, and redirections (fd, operator, word)."""

    assigns: list[tuple[str, str]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    redirects: list[tuple[int, str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Pipeline:
    """Commands joined by pipes; `negate` for a leading `!`."""

    commands: list[Tree]
    negate: bool = False


@dataclass(slots=True)
class Sequence:
    """(connector before, part): `;`, `&&`, `||`; a part run in the background has `background`."""

    parts: list[tuple[str, Tree, bool]]


@dataclass(slots=True)
class If:
    """Conditions with their branches, and the else branch."""

    branches: list[tuple[Tree, Tree]]
    otherwise: Tree | None = None


@dataclass(slots=True)
class Loop:
    """while (or until) CONDITION do BODY."""

    condition: Tree
    body: Tree
    until: bool = False


@dataclass(slots=True)
class For:
    """for NAME in WORDS do BODY; None means the positional parameters."""

    name: str
    words: list[str] | None
    body: Tree


@dataclass(slots=True)
class Case:
    """case WORD in PATTERNS) BODY ;; esac."""

    word: str
    branches: list[tuple[list[str], Tree]]


@dataclass(slots=True)
class Group:
    """{ ... } or ( ... ), with redirections."""

    body: Tree
    subshell: bool
    redirects: list[tuple[int, str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Function:
    """NAME() { ... }."""

    name: str
    body: Tree


Tree = Simple | Pipeline | Sequence | If | Loop | For | Case | Group | Function
