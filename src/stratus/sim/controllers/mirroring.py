"""Mirrors Endpoints that people write for Services without a selector into EndpointSlices."""

from __future__ import annotations

from typing import ClassVar

from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import key_of, owner_reference, suffix
from stratus.sim.controllers.slices import mirrored, plan
from stratus.sim.store import Change, Obj

SLICES = "endpointslices.discovery.k8s.io"
MANAGED, SERVICE = "endpointslice.kubernetes.io/managed-by", "kubernetes.io/service-name"
NAME = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class MirroringController(Controller):
    """Endpoints; keys are theirs and their Service's."""

    name: ClassVar[str] = "endpointslicemirroring"
    component: ClassVar[str] = "endpoint-slice-mirroring-controller"
    resources: ClassVar[tuple[str, ...]] = ("endpoints", "services")

    def on_change(self, change: Change) -> None:
        """Endpoints, or a Service that gains or loses its selector."""
        if change.resource == "endpoints":
            managed = (change.object["metadata"].get("labels") or {}).get("endpoints.kubernetes.io/managed-by")
            if managed != "endpoint-controller":
                self.enqueue(key_of(change.object))
            return
        before = change.previous
        had = bool(before is not None and before["spec"].get("selector"))
        has = change.type != "DELETED" and bool(change.object["spec"].get("selector"))
        if had != has or not has:
            self.enqueue(key_of(change.object))

    def sync(self, key: Key) -> None:
        """Bring the mirror of one Endpoints object up to date."""
        endpoints, service = self.store.get("endpoints", *key), self.store.get("services", *key)
        mine = [
            s
            for s in self.store.list(SLICES, key[0])
            if (s["metadata"].get("labels") or {}).get(MANAGED) == NAME
            and s["metadata"]["labels"].get(SERVICE) == key[1]
        ]
        if endpoints is None or service is None or service["spec"].get("selector") or not _mirrors(endpoints):
            for piece in mine:
                self.store.delete(SLICES, *key_of(piece))
            return
        groups = mirrored(endpoints)
        plans, spare = plan(groups, mine)
        meta = endpoints["metadata"]
        labels = {**(meta.get("labels") or {}), SERVICE: key[1], MANAGED: NAME}
        notes = {k: v for k, v in (meta.get("annotations") or {}).items() if k != LAST_APPLIED}
        for old, found, ports in plans:
            if found is None:
                if old is not None:
                    spare.append(old)
                continue
            body: Obj = {"endpoints": found, "ports": ports}
            if old is not None:
                changed = {**old, **body, "metadata": {**old["metadata"], "labels": labels}}
                if changed != old:
                    self.store.update(SLICES, changed)
                continue
            head: Obj = {
                "name": f"{key[1]}-{suffix(self.control.rng)}",
                "generateName": f"{key[1]}-",
                "namespace": key[0],
                "labels": labels,
                "ownerReferences": [owner_reference(endpoints)],
            }
            if notes:
                head["annotations"] = notes
            self.store.create(
                SLICES,
                {
                    "kind": "EndpointSlice",
                    "apiVersion": "discovery.k8s.io/v1",
                    "metadata": head,
                    "addressType": "IPv4",
                    **body,
                },
            )
        for piece in spare:
            self.store.delete(SLICES, *key_of(piece))


def _mirrors(endpoints: Obj) -> bool:
    meta = endpoints["metadata"]
    skipped = (meta.get("labels") or {}).get(SKIP) == "true"
    return not skipped and LEADER not in (meta.get("annotations") or {})
