"""A small POSIX shell on virtual time: what a container's script writes, when it ends, and what it waits for."""

from __future__ import annotations

from stratus.sim.shell.nodes import ShellSyntaxError
from stratus.sim.shell.parser import parse
from stratus.sim.shell.running import STEPS, Shell
from stratus.sim.shell.world import Exit, Forever, Outcome, OutOfMemory, Suspended, World

__all__ = [
    "STEPS",
    "Exit",
    "Forever",
    "OutOfMemory",
    "Outcome",
    "Shell",
    "ShellSyntaxError",
    "Suspended",
    "World",
    "parse",
]
