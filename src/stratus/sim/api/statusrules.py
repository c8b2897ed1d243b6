"""What the reported state of a kind must be like: numbers that are none, and that fit each other."""

from __future__ import annotations

from typing import Any

from stratus.sim.api.fieldrules import non_negative
from stratus.sim.api.rulebase import Change
from stratus.sim.api.status import Problems

Obj = dict[str, Any]
_REPLICAS = "cannot be greater than status.replicas"
#: The counts of a kind, in the order in which the real server looks at them.
_COUNTS: dict[str, tuple[str, ...]] = {
    "Deployment": (
        "observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas",
        "unavailableReplicas", "terminatingReplicas", "collisionCount",
    ),
    "ReplicaSet": (
        "replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "terminatingReplicas",
        "observedGeneration",
    ),
    "ReplicationController": (
        "replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration",
    ),
    "StatefulSet": (
        "replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas",
        "observedGeneration", "collisionCount",
    ),
    "DaemonSet": (
        "currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady",
        "observedGeneration", "updatedNumberScheduled", "numberAvailable", "numberUnavailable", "collisionCount",
    ),
    "Job": ("active", "succeeded", "failed", "ready", "terminating"),
    "HorizontalPodAutoscaler": ("currentReplicas", "desiredReplicas"),
    "PodDisruptionBudget": ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"),
}  # fmt: skip
#: The counts that are part of all replicas.
_PARTS: dict[str, tuple[str, ...]] = {
    "Deployment": ("updatedReplicas", "readyReplicas", "availableReplicas"),
    "ReplicaSet": ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"),
    "ReplicationController": ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"),
    "StatefulSet": ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"),
}
_COLLIDING = ("Deployment", "StatefulSet", "DaemonSet")


def _counted(kind: str) -> Change:
    def rule(o: Obj, old: Obj, problems: Problems) -> None:
        # what is not given counts as none: with fewer than no replicas, none is too many
        status, was = o.get("status") or {}, old.get("status") or {}
        for field in _COUNTS[kind]:
            non_negative(f"status.{field}", status.get(field), problems)
        parts = _PARTS.get(kind, ())
        for field in parts:
            if status.get(field, 0) > status.get("replicas", 0):
                problems.invalid(f"status.{field}", status.get(field, 0), _REPLICAS)
        if parts and status.get("availableReplicas", 0) > status.get("readyReplicas", 0):
            named = "status.readyReplicas" if kind == "StatefulSet" else "readyReplicas"
            text = f"cannot be greater than {named}"
            problems.invalid("status.availableReplicas", status["availableReplicas"], text)
        before, now = was.get("collisionCount"), status.get("collisionCount")
        if kind in _COLLIDING and before is not None and (now or 0) < before:
            problems.invalid("status.collisionCount", now or 0, "cannot be decremented")

    return rule


def _namespace(o: Obj, old: Obj, problems: Problems) -> None:
    phase = (o.get("status") or {}).get("phase") or ""
    if not o["metadata"].get("deletionTimestamp"):
        if phase != "Active":
            problems.invalid("status.Phase", phase, "may only be 'Active' if `deletionTimestamp` is empty")
    elif phase != "Terminating":
        problems.invalid("status.Phase", phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")


def _service(o: Obj, old: Obj, problems: Problems) -> None:
    listed = ((o.get("status") or {}).get("loadBalancer") or {}).get("ingress")
    if listed and o["spec"].get("type") != "LoadBalancer":
        text = "may only be used when `spec.type` is 'LoadBalancer'"
        problems.forbidden("status.loadBalancer.ingress", text)


STATUS: dict[str, Change] = {
    **{kind: _counted(kind) for kind in _COUNTS},
    "Namespace": _namespace,
    "Service": _service,
}
