"""Counts, for each PodDisruptionBudget, how many of its pods are healthy and how many may be disrupted."""

from __future__ import annotations

from typing import Any, ClassVar

from stratus.kit.clock import iso
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import condition, controller_ref, is_true, key_of, matches, scaled, with_status
from stratus.sim.store import Change, Obj

RESOURCE = "poddisruptionbudgets.policy"


class DisruptionController(Controller):
    """PodDisruptionBudgets and the pods they select."""

    name: ClassVar[str] = "disruption"
    component: ClassVar[str] = "controllermanager"
    resources: ClassVar[tuple[str, ...]] = (RESOURCE, "pods")

    def on_change(self, change: Change) -> None:
        """A budget, or those that select a pod."""
        if change.resource == RESOURCE:
            self.enqueue(key_of(change.object))
            return
        for budget in self.store.list(RESOURCE, change.object["metadata"]["namespace"]):
            versions = [change.object, *([change.previous] if change.previous is not None else [])]
            if any(matches(budget["spec"].get("selector"), p["metadata"].get("labels")) for p in versions):
                self.enqueue(key_of(budget))

    def sync(self, key: Key) -> None:
        """One pass over one budget."""
        budget = self.store.get(RESOURCE, *key)
        if budget is None or "deletionTimestamp" in budget["metadata"]:
            return
        pods = [
            p
            for p in self.control.index.select(key[0], budget["spec"].get("selector"))
            if p.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        ]
        expected = self._expected(pods)
        spec = budget["spec"]
        if spec.get("maxUnavailable") is not None:
            desired = max(0, expected - scaled(spec["maxUnavailable"], expected, up=True))
        elif isinstance(spec.get("minAvailable"), int):
            desired, expected = spec["minAvailable"], len(pods)
        else:
            desired = scaled(spec.get("minAvailable", 0), expected, up=True)
        healthy = sum(1 for p in pods if is_true(p, "Ready") and "deletionTimestamp" not in p["metadata"])
        allowed = max(0, healthy - desired) if expected > 0 else 0
        old = budget.get("status") or {}
        found = condition(budget, "DisruptionAllowed")
        word = "True" if allowed else "False"
        since = found["lastTransitionTime"] if found and found["status"] == word else iso(self.clock.now())
        generation = budget["metadata"].get("generation", 1)
        status: dict[str, Any] = {
            "observedGeneration": generation,
            "disruptionsAllowed": allowed,
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "expectedPods": expected,
            "conditions": [
                {
                    "type": "DisruptionAllowed",
                    "status": word,
                    "observedGeneration": generation,
                    "lastTransitionTime": since,
                    "reason": "SufficientPods" if allowed else "InsufficientPods",
                    "message": "",
                }
            ],
        }
        if old != status:
            self.store.update(RESOURCE, with_status(budget, status))

    def _expected(self, pods: list[Obj]) -> int:
        """Return how many pods there should be: what their controllers want, bare pods counted one by one."""
        total = 0
        seen: set[str] = set()
        for pod in pods:
            owner = controller_ref(pod)
            if owner is None:
                total += 1
                continue
            namespace = pod["metadata"]["namespace"]
            plural = {"ReplicaSet": "replicasets.apps", "StatefulSet": "statefulsets.apps"}.get(owner["kind"])
            holder = self.store.get(plural, namespace, owner["name"]) if plural else None
            top = controller_ref(holder) if holder is not None else None
            if top is not None and top["kind"] == "Deployment":
                holder = self.store.get("deployments.apps", namespace, top["name"]) or holder
            if holder is None:
                total += 1
            elif holder["metadata"]["uid"] not in seen:
                seen.add(holder["metadata"]["uid"])
                total += holder["spec"].get("replicas", 1)
        return total
