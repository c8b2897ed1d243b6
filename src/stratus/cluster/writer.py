"""The port that changes a cluster; the import contract keeps it away from everything that plans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from stratus.model.actions import ApiWrite
from stratus.model.base import Json

WRITE_SECONDS = 10.0
"""Time after which the server itself gives a write up: it is stored by then, or never.

A Lease has two thirds of its life left at least when a write is sent (20 s of 30 s), so a write is stored or dead
before anybody else can take the Lease over and look."""


@runtime_checkable
class ClusterWriter(Protocol):
    """Writing. Only the transaction engine is ever handed one."""

    def write(self, write: ApiWrite) -> Json:
        """Send one write and return the server's answer.

        Never retried here: whether a lost answer means a lost write is the caller's question.

        Raises:
            ClusterError: the server refused, nothing was changed (except `InDoubt`: nobody knows).
            ClusterUnreachable: the request never left (connection refused, TLS failure): nothing was changed.
        """
        ...


@dataclass(frozen=True)
class CommandResult:
    """What a command in a container wrote, and its exit code."""

    stdout: str
    stderr: str
    exit_code: int


@runtime_checkable
class ClusterExecutor(Protocol):
    """Running commands in containers: a power of its own. Only the transaction engine is ever handed one."""

    def run(self, namespace: str, pod: str, container: str, argv: tuple[str, ...], stdin: str = "") -> CommandResult:
        """Run one command, send it its input, and return how it ended.

        Never repeated here. The command's own words bound how long it may take (`WRITE_SECONDS` at most).

        Raises:
            ClusterUnreachable: the request never left.
            InDoubt: it was sent, and nobody said how the command ended.
            ClusterError: the server refused, or the command could not be started.
        """
        ...
