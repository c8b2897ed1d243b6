"""The port that changes a cluster; the import contract keeps it away from everything that plans."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from stratus.model.actions import ApiWrite
from stratus.model.base import Json


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
