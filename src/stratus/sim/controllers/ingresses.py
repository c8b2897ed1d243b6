"""Gives Ingresses of a served class the address of their controller, as an ingress controller does."""

from __future__ import annotations

from typing import ClassVar

from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import key_of, with_status
from stratus.sim.ingress import ADDRESS, CLASSES, RESOURCE, IngressRouter
from stratus.sim.store import Change

#: Seconds after which an address is written into an Ingress.
PUBLISHED = 60.0


class IngressController(Controller):
    """Ingresses; keys are theirs."""

    name: ClassVar[str] = "ingress"
    component: ClassVar[str] = "nginx-ingress-controller"
    resources: ClassVar[tuple[str, ...]] = (RESOURCE, CLASSES)

    def on_change(self, change: Change) -> None:
        """An Ingress, or a class that any may be of."""
        if change.resource == CLASSES:
            for ingress in self.store.list(RESOURCE):
                self.enqueue(key_of(ingress))
        elif change.type != "DELETED":
            before = change.previous
            if before is None or before["spec"] != change.object["spec"]:
                self.state.pop(key_of(change.object), None)
            self.enqueue(key_of(change.object))
        else:
            self.state.pop(key_of(change.object), None)

    def sync(self, key: Key) -> None:
        """Take note of one Ingress, and in time give it an address."""
        ingress = self.store.get(RESOURCE, *key)
        if ingress is None or "deletionTimestamp" in ingress["metadata"]:
            return
        if IngressRouter(self.store).class_of(ingress) is None:
            return
        if key not in self.state:
            self.state[key] = self.clock.now()
            self.event(ingress, "Normal", "Sync", "Scheduled for sync")
        known = ((ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress")
        if known:
            return
        if self.clock.now() < self.state[key] + PUBLISHED - 1e-6:
            self.wake(key, self.state[key] + PUBLISHED, "publish")
            return
        status = {"loadBalancer": {"ingress": [{"ip": ADDRESS}]}}
        self.store.update(RESOURCE, with_status(ingress, status))
