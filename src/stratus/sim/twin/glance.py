"""Looks into a twin without going through its API: what health is read from many times over."""

from __future__ import annotations

from typing import Any

from stratus.model.base import Json
from stratus.model.refs import ApiResource, ClusterIdentity, ObjectRef
from stratus.sim.cluster import EmbeddedCluster
from stratus.sim.twin.snapshot import stored_as


class Glance:
    """A `ClusterReader` that lists what is stored, whole and unfiltered; what else a reader can do, it cannot."""

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self._cluster = cluster

    def list(
        self, kind: str, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> list[Json]:
        """Return all objects of a kind; to be read only."""
        if label_selector or field_selector:
            raise NotImplementedError("a glance takes in everything: filter what it returns")
        return self._cluster.store.list(stored_as(kind), namespace)

    def get(self, ref: ObjectRef) -> Json | None:
        """Return one object."""
        return self._cluster.store.get(stored_as(ref.kind), ref.namespace, ref.name)

    def identity(self) -> ClusterIdentity:
        """Say that this is a twin."""
        return ClusterIdentity(server="twin", embedded=True)

    def resources(self) -> tuple[ApiResource, ...]:
        """Return nothing: no discovery."""
        return ()

    def resource(self, word: str) -> ApiResource:
        """Resolve nothing."""
        raise NotImplementedError(f"a glance does not resolve {word!r}")

    def logs(self, namespace: str, pod: str, **_: Any) -> str:
        """Return nothing: a twin's containers write nothing."""
        return ""

    def can_i(self, verb: str, resource: str, namespace: str = "", *, subresource: str = "") -> bool:
        """Return no: a glance does nothing."""
        return False
