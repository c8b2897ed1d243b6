"""The programs a container's shell knows: files, text, processes, names and connections, and small servers."""

from __future__ import annotations

from stratus.sim.shellcommands import (
    archives,
    awk,
    files,
    filters,
    kafka,
    looking,
    mongo,
    names,
    net,
    process,
    psql,
    rediscli,
    servers,
    status,
    streams,
    values,
)
from stratus.sim.shellcommands.base import COMMANDS

__all__ = [
    "COMMANDS",
    "archives",
    "awk",
    "files",
    "filters",
    "kafka",
    "known_programs",
    "looking",
    "mongo",
    "names",
    "net",
    "process",
    "psql",
    "rediscli",
    "servers",
    "status",
    "streams",
    "values",
]


def known_programs() -> frozenset[str]:
    """Return the names of all programs."""
    return frozenset(COMMANDS)
