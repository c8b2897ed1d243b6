"""Counts, for each PodDisruptionBudget, how many of its pods are healthy and how many may be disrupted."""

from __future__ import annotations

from typing import Any, ClassVar

from stratus.kit.clock import iso, parse_iso
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import condition, controller_ref, is_true, key_of, matches, scaled, with_status
from stratus.sim.store import Change, Obj

RESOURCE = "poddisruptionbudgets.policy"
SCALED = {
    "ReplicaSet": "replicasets.apps",
    "StatefulSet": "statefulsets.apps",
    "Deployment": "deployments.apps",
    "ReplicationController": "replicationcontrollers",
}
#: Seconds after which an evicted pod that is still there counts again.
PATIENCE = 120.0
UNMANAGED = (
    "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a result, the status of "
    "the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please "
    'set ".spec.minAvailable" field of the PDB to an integer value.'
)


class _NoController(Exception):
    pass


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
        if not pods:
            self.event(budget, "Normal", "NoPods", "No matching pods found")
        spec = budget["spec"]
        now = self.clock.now()
        disrupted, again = self._disrupted(budget, pods, now)
        problem = ""
        expected = desired = 0
        try:
            if spec.get("maxUnavailable") is not None:
                expected = self._expected(budget, pods)
                desired = max(0, expected - scaled(spec["maxUnavailable"], expected, up=True))
            elif isinstance(spec.get("minAvailable"), int):
                desired, expected = spec["minAvailable"], len(pods)
            elif spec.get("minAvailable") is not None:
                expected = self._expected(budget, pods)
                desired = scaled(spec["minAvailable"], expected, up=True)
        except _NoController as error:
            problem = str(error)
        healthy = sum(
            1
            for p in pods
            if is_true(p, "Ready")
            and "deletionTimestamp" not in p["metadata"]
            and p["metadata"]["name"] not in disrupted
        )
        allowed = max(0, healthy - desired) if expected > 0 and not problem else 0
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
                    "reason": "SyncFailed" if problem else "SufficientPods" if allowed else "InsufficientPods",
                    "message": problem,
                }
            ],
        }
        if disrupted:
            status["disruptedPods"] = disrupted
        if again is not None:
            self.wake(key, again, "disrupted")
        if problem:
            # What was counted before is kept; only that nothing may go is sure.
            for field in ("currentHealthy", "desiredHealthy", "expectedPods"):
                status[field] = old.get(field, 0)
            text = f"Failed to calculate the number of expected pods: {problem}"
            self.event(budget, "Warning", "CalculateExpectedPodCountFailed", text)
        if old != status:
            self.store.update(RESOURCE, with_status(budget, status))

    def _disrupted(self, budget: Obj, pods: list[Obj], now: float) -> tuple[dict[str, str], float | None]:
        """Return the pods that were evicted and have still to go, and when the next of them is given up."""
        there = {p["metadata"]["name"]: p for p in pods}
        kept: dict[str, str] = {}
        again: float | None = None
        for name, moment in ((budget.get("status") or {}).get("disruptedPods") or {}).items():
            pod = there.get(name)
            if pod is None or "deletionTimestamp" in pod["metadata"]:
                continue
            end = parse_iso(moment) + PATIENCE
            if end <= now + 1e-6:
                meta = budget["metadata"]
                text = f"Pod was expected by PDB {meta['namespace']}/{meta['name']} to be deleted but it wasn't"
                self.event(pod, "Warning", "NotDeleted", text)
                continue
            kept[name] = moment
            again = end if again is None else min(again, end)
        return kept, again

    def _expected(self, budget: Obj, pods: list[Obj]) -> int:
        """Return how many pods there should be: what their controllers want; those without one are not counted.

        Raises:
            _NoController: a pod's controller cannot be found or has no scale.
        """
        total = 0
        seen: set[str] = set()
        unmanaged = False
        for pod in pods:
            owner = controller_ref(pod)
            if owner is None:
                unmanaged = True
                continue
            namespace = pod["metadata"]["namespace"]
            plural = SCALED.get(owner["kind"]) or self._custom(owner)
            holder = self.store.get(plural, namespace, owner["name"]) if plural else None
            if holder is None or holder["metadata"]["uid"] != owner["uid"]:
                raise _NoController(f'found no controllers for pod "{pod["metadata"]["name"]}"')
            top = controller_ref(holder)
            if top is not None and top["kind"] == "Deployment":
                holder = self.store.get("deployments.apps", namespace, top["name"]) or holder
            if holder["metadata"]["uid"] not in seen:
                seen.add(holder["metadata"]["uid"])
                total += int(holder["spec"].get("replicas", 1))
        if unmanaged:
            selector = budget["spec"].get("selector") or {}
            self.event(budget, "Warning", "UnmanagedPods", UNMANAGED.format(_shown(selector)))
        return total

    def _custom(self, owner: Obj) -> str:
        """Return the resource of a custom owner that has a scale."""
        group = owner.get("apiVersion", "").rpartition("/")[0]
        for crd in self.store.list("customresourcedefinitions.apiextensions.k8s.io"):
            spec = crd["spec"]
            scales = any((v.get("subresources") or {}).get("scale") for v in spec["versions"])
            if scales and spec["group"] == group and spec["names"]["kind"] == owner["kind"]:
                return str(crd["metadata"]["name"])
        return ""


def _shown(selector: Obj) -> str:
    labels = " ".join(f"{k}: {v}," for k, v in sorted((selector.get("matchLabels") or {}).items()))
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{}},}}"
    )
