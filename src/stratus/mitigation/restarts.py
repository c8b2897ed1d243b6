"""Restarts that could not be taken back: a running process has state that no template brings back.

A pod that still serves may only do so because of what it holds in memory: a connection made before a password changed,
a configuration read before it was broken. Restarting it destroys that, and undoing the restart starts yet another new
process. So a plan that only restarts is let through where nothing is at stake: no pod is ready, or the old pods stay
until new ones have proved themselves ready.
"""

from __future__ import annotations

from collections.abc import Sequence

from stratus.mitigation import podspec
from stratus.model.actions import PlannedWrite, Refusal
from stratus.model.base import Json

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
READ_AT_START = ("ConfigMap", "Secret", "ServiceAccount", "NetworkPolicy", "Service", "PersistentVolumeClaim")
"""Kinds whose change is a reason to start processes anew; a plan that changes one does not only restart."""


def lossy_restarts(writes: Sequence[PlannedWrite]) -> list[Refusal]:
    """Return a refusal for every restart of serving pods that an undo could not make good."""
    if any(planned.write.target.kind in READ_AT_START for planned in writes):
        return []
    return [refusal for planned in writes if (refusal := _judge(planned)) is not None]


def _judge(planned: PlannedWrite) -> Refusal | None:
    write, before, after = planned.write, planned.pre_image, planned.dry_run
    if before is None:
        return None
    if write.target.kind == "Pod" and (write.method == "DELETE" or write.subresource == "eviction"):
        return _refuse(planned, "the pod still serves") if _pod_ready(before) else None
    if write.target.kind not in WORKLOADS or after is None or podspec.pod_spec(before) != podspec.pod_spec(after):
        return None
    if _annotations(before) == _annotations(after):
        return None
    if not (before.get("status") or {}).get("readyReplicas") and not (before.get("status") or {}).get("numberReady"):
        return None
    if careful(before):
        return None
    return _refuse(planned, "its pods still serve, and nothing keeps them until new ones are known to be ready")


def careful(workload: Json) -> bool:
    """Tell whether a rollout keeps every old pod until a new one is ready: probes everywhere, none unavailable."""
    spec = workload.get("spec") or {}
    if workload.get("kind") != "Deployment" or (spec.get("strategy") or {}).get("type") == "Recreate":
        return False
    containers = podspec.pod_spec(workload).get("containers") or []
    if not containers or not all(c.get("readinessProbe") for c in containers):
        return False
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    most = rolling.get("maxUnavailable", "25%")
    replicas = int(spec.get("replicas", 1) or 0)
    if isinstance(most, str):
        most = int(replicas * int(most.rstrip("%") or 0) / 100) if most.endswith("%") else 1
    return int(most) == 0


def _annotations(workload: Json) -> Json:
    template = (workload.get("spec") or {}).get("template") or {}
    return dict((template.get("metadata") or {}).get("annotations") or {})


def _pod_ready(pod: Json) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _refuse(planned: PlannedWrite, why: str) -> Refusal:
    return Refusal(
        command=planned.command,
        code="lossy_restart",
        message=f"restarting {planned.write.target} could not be taken back: {why}",
        hint="change the cause instead; a restart alone is for pods that do not serve, or that readiness probes guard",
    )
