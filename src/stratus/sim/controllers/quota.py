"""Keeps the used figures of ResourceQuotas."""

from __future__ import annotations

from typing import ClassVar

from stratus.sim.controllers.admission import namespace_pod_usage, quota_text
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import key_of, with_status
from stratus.sim.quantity import parse_quantity
from stratus.sim.store import Change, Obj

COUNTED = {
    "configmaps": "configmaps",
    "secrets": "secrets",
    "services": "services",
    "persistentvolumeclaims": "persistentvolumeclaims",
    "replicationcontrollers": "replicationcontrollers",
    "resourcequotas": "resourcequotas",
}


class QuotaController(Controller):
    """ResourceQuotas and what they count."""

    name: ClassVar[str] = "quota"
    component: ClassVar[str] = "resource-quota-controller"
    resources: ClassVar[tuple[str, ...]] = ("*",)

    def on_change(self, change: Change) -> None:
        """A quota, or all quotas of the namespace in which something was made, changed or removed."""
        if change.resource == "resourcequotas":
            self.enqueue(key_of(change.object))
            return
        if change.type == "MODIFIED" and change.resource != "pods":
            return
        namespace = change.object["metadata"].get("namespace")
        if namespace:
            for quota in self.store.list("resourcequotas", namespace):
                self.enqueue(key_of(quota))

    def sync(self, key: Key) -> None:
        """One pass over one quota."""
        quota = self.store.get("resourcequotas", *key)
        if quota is None:
            return
        hard = quota["spec"].get("hard") or {}
        pods = namespace_pod_usage(self.control.index.in_namespace(key[0]))
        used = {}
        for name in hard:
            used[name] = quota_text(
                name, pods.get(name, 0.0) if name in pods or self._of_pods(name) else self._count(key[0], name)
            )
        status = {"hard": hard, "used": used}
        old = quota.get("status") or {}
        same = old.get("hard") == hard and {k: parse_quantity(v) for k, v in (old.get("used") or {}).items()} == {
            k: parse_quantity(v) for k, v in used.items()
        }
        if not same:
            self.store.update("resourcequotas", with_status(quota, status))

    @staticmethod
    def _of_pods(name: str) -> bool:
        return name in ("pods", "count/pods", "cpu", "memory") or name.startswith(
            ("limits.", "requests.cpu", "requests.memory")
        )

    def _count(self, namespace: str, name: str) -> float:
        if name == "requests.storage":
            return sum(
                parse_quantity(((c["spec"].get("resources") or {}).get("requests") or {}).get("storage"))
                for c in self.store.list("persistentvolumeclaims", namespace)
            )
        if name.startswith("services."):
            wanted = {"services.nodeports": ("NodePort", "LoadBalancer"), "services.loadbalancers": ("LoadBalancer",)}
            kinds = wanted.get(name, ())
            return float(sum(1 for s in self._services(namespace) if s["spec"].get("type") in kinds))
        resource = name.removeprefix("count/") if name.startswith("count/") else COUNTED.get(name, name)
        return float(len(self.store.list(resource, namespace)))

    def _services(self, namespace: str) -> list[Obj]:
        return self.store.list("services", namespace)
