"""The door through which a model looks at the cluster: kubectl commands that read, run over a reader alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stratus.cluster.base import ClusterReader
from stratus.cluster.kubectl.reads import UsageOf, run_command
from stratus.errors import CommandRefused, UnreachableError
from stratus.kit.clock import Clock
from stratus.kit.text import line

MOST_AT_ONCE = 3
"""Commands that one answer may ask for."""
_WIDTH = 220


@dataclass(frozen=True)
class LookingGlass:
    """Runs read commands for a model; it holds no way to write.

    Attributes:
        reader: where objects are read.
        clock: for ages.
        usage: figures for `kubectl top`; None when nothing measures them.
        most_lines: lines of one answer that are shown.
        times: how often a model may look before it has to decide.
    """

    reader: ClusterReader
    clock: Clock
    usage: UsageOf | None = None
    most_lines: int = 40
    times: int = 1

    def look(self, command: str, namespace: str) -> list[str]:
        """Run one command and return what it shows as short redacted lines, the command first.

        What is refused, fails or cannot be reached is told in a line: looking never ends a diagnosis.
        """
        shown = [f"$ {line(command, 200)}"]
        try:
            answer = run_command(
                command,
                namespace=namespace,
                reader=self.reader,
                clock=self.clock,
                usage=self.usage,
                most=self.most_lines * _WIDTH,
            )
        except CommandRefused as refused:
            return [*shown, line(f"refused: {refused}. {refused.hint}", 400)]
        except UnreachableError as error:
            return [*shown, line(f"unknown: {error}", 300)]
        lines = answer.shown.splitlines()
        if len(lines) > self.most_lines:
            tail = command.split()[:2] == ["kubectl", "logs"] or " logs " in command
            kept = lines[-self.most_lines :] if tail else lines[: self.most_lines]
            lines = [*kept, f"(cut: {len(lines) - self.most_lines} more lines)"]
        return shown + [_short(text) for text in lines]

    def look_at(self, commands: Sequence[str], namespace: str) -> list[str]:
        """Run the first few commands that a model asks for, each once."""
        asked = list(dict.fromkeys(" ".join(c.split()) for c in commands if c.strip()))[:MOST_AT_ONCE]
        return [text for command in asked for text in self.look(command, namespace)]


def _short(text: str) -> str:
    """Return a line with its indentation, the rest short and harmless."""
    indent = len(text) - len(text.lstrip())
    return " " * min(indent, 8) + line(text, _WIDTH)
