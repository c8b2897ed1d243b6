"""The port that changes a cluster; the import contract keeps it away from everything that plans."""

from __future__ import annotations

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
