"""Keeps the used figures of ResourceQuotas."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from stratus.sim.api.quotas import GROWING, QUOTAS, Ledger, written
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import key_of, with_status
from stratus.sim.schema.quantity import parse
from stratus.sim.store import Change

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane


class QuotaController(Controller):
    """ResourceQuotas and what they count."""

    name: ClassVar[str] = "quota"
    component: ClassVar[str] = "resource-quota-controller"
    resources: ClassVar[tuple[str, ...]] = ("*",)

    def __init__(self, control: ControlPlane) -> None:
        super().__init__(control)
        self._ledger = Ledger(control.store)

    def on_change(self, change: Change) -> None:
        """A quota, or all quotas of the namespace in which something was made, changed or removed."""
        if change.resource == QUOTAS:
            self.enqueue(key_of(change.object))
        if (change.type == "MODIFIED" and change.resource not in GROWING) or not self.store.count(QUOTAS):
            return
        namespace = change.object["metadata"].get("namespace")
        if namespace:
            for quota in self.store.list(QUOTAS, namespace):
                self.enqueue(key_of(quota))

    def sync(self, key: Key) -> None:
        """One pass over one quota."""
        quota = self.store.get(QUOTAS, *key)
        if quota is None:
            return
        hard, used = quota["spec"].get("hard") or {}, written(quota, self._ledger.used(quota))
        old = quota.get("status") or {}
        same = old.get("hard") == hard and {k: parse(v) for k, v in (old.get("used") or {}).items()} == {
            k: parse(v) for k, v in used.items()
        }
        if not same:
            self.store.update(QUOTAS, with_status(quota, {"hard": hard, "used": used}))
