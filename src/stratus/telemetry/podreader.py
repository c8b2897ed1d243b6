"""The part of a cluster reader that telemetry needs, said here so that this room does not depend on its neighbour."""

from __future__ import annotations

from typing import Protocol

from stratus.model.base import Json


class PodReader(Protocol):
    """Any `ClusterReader` is one."""

    def list(
        self, kind: str, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> list[Json]:
        """Return all objects of a kind."""
        ...

    def logs(
        self,
        namespace: str,
        pod: str,
        *,
        container: str = "",
        previous: bool = False,
        tail_lines: int = 200,
        since_seconds: int | None = None,
        timestamps: bool = False,
    ) -> str:
        """Return a container's log; empty when there is none."""
        ...
