"""What a Deployment's status says: replica counts, availability, and whether the rollout moves, is done or is stuck."""

from __future__ import annotations

from typing import Any

from stratus.kit.clock import iso, parse_iso
from stratus.sim.controllers.common import condition, with_status
from stratus.sim.store import Obj

#: A deadline of the largest int32 means none.
NO_DEADLINE = 2147483647


def has_deadline(deployment: Obj) -> bool:
    """Tell whether progress is watched."""
    seconds = deployment["spec"].get("progressDeadlineSeconds", 600)
    return seconds is not None and seconds != NO_DEADLINE


def progressing(deployment: Obj) -> Obj | None:
    """Return the Progressing condition."""
    return condition(deployment, "Progressing")


def put_condition(conditions: list[Obj], type_: str, status: str, reason: str, message: str, now: float) -> list[Obj]:
    """Return conditions with one set: unchanged when status and reason are the same, else moved to the end."""
    current = next((c for c in conditions if c["type"] == type_), None)
    if current is not None and current["status"] == status and current.get("reason") == reason:
        return conditions
    since = current["lastTransitionTime"] if current is not None and current["status"] == status else iso(now)
    entry = {
        "type": type_,
        "status": status,
        "lastUpdateTime": iso(now),
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    }
    return [*(c for c in conditions if c["type"] != type_), entry]


def set_condition(deployment: Obj, type_: str, status: str, reason: str, message: str, now: float) -> Obj:
    """Return a copy of a Deployment with one condition set."""
    old = deployment.get("status") or {}
    conditions = put_condition(list(old.get("conditions") or ()), type_, status, reason, message, now)
    return with_status(deployment, {**old, "conditions": conditions})


def complete(deployment: Obj, status: dict[str, Any]) -> bool:
    """Tell whether every replica is new and available, and the status is about the present spec."""
    wanted = deployment["spec"].get("replicas", 1)
    return bool(
        status.get("updatedReplicas", 0) == wanted
        and status.get("replicas", 0) == wanted
        and status.get("availableReplicas", 0) == wanted
        and status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 1)
    )


def calculate(deployment: Obj, sets: list[Obj], new: Obj | None, unavailable: int, now: float) -> dict[str, Any]:
    """Return counts and the Available condition from the ReplicaSets' statuses."""
    old = deployment.get("status") or {}
    # Most of a long history has no pods: what counts nothing is left out of the counting.
    statuses = [s for rs in sets if (s := rs.get("status") or {}).get("replicas") or s.get("terminatingReplicas")]

    def total(field: str) -> int:
        return sum(status.get(field, 0) for status in statuses)

    available = total("availableReplicas")
    missing = max(0, sum(rs["spec"].get("replicas", 0) for rs in sets) - available)
    status: dict[str, Any] = {"observedGeneration": deployment["metadata"].get("generation", 1)}
    counts = {
        "replicas": total("replicas"),
        "updatedReplicas": (new.get("status") or {}).get("replicas", 0) if new is not None else 0,
        "readyReplicas": total("readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": missing,
    }
    status |= {field: count for field, count in counts.items() if count}
    status["terminatingReplicas"] = total("terminatingReplicas")
    if old.get("collisionCount"):
        status["collisionCount"] = old["collisionCount"]
    conditions = list(old.get("conditions") or ())
    if available >= deployment["spec"].get("replicas", 1) - unavailable:
        text = "Deployment has minimum availability."
        conditions = put_condition(conditions, "Available", "True", "MinimumReplicasAvailable", text, now)
    else:
        text = "Deployment does not have minimum availability."
        conditions = put_condition(conditions, "Available", "False", "MinimumReplicasUnavailable", text, now)
    status["conditions"] = conditions
    return status


def judge(deployment: Obj, status: dict[str, Any], sets: list[Obj], new: Obj | None, now: float) -> dict[str, Any]:
    """Return the status with Progressing and ReplicaFailure set from what moved since the last one."""
    conditions: list[Obj] = status["conditions"]
    old = deployment.get("status") or {}
    current = next((c for c in conditions if c["type"] == "Progressing"), None)
    settled = (
        status.get("replicas", 0) == status.get("updatedReplicas", 0)
        and current is not None
        and current.get("reason") == "NewReplicaSetAvailable"
    )
    subject = (
        f'ReplicaSet "{new["metadata"]["name"]}"'
        if new is not None
        else (f'Deployment "{deployment["metadata"]["name"]}"')
    )
    if not has_deadline(deployment):
        conditions = [c for c in conditions if c["type"] != "Progressing"]
    elif not settled:
        if complete(deployment, status):
            text = f"{subject} has successfully progressed."
            conditions = put_condition(conditions, "Progressing", "True", "NewReplicaSetAvailable", text, now)
        elif _moved(old, status):
            since = current["lastTransitionTime"] if current and current["status"] == "True" else iso(now)
            entry = {
                "type": "Progressing",
                "status": "True",
                "lastUpdateTime": iso(now),
                "lastTransitionTime": since,
                "reason": "ReplicaSetUpdated",
                "message": f"{subject} is progressing.",
            }
            conditions = [*(c for c in conditions if c["type"] != "Progressing"), entry]
        elif _timed_out(deployment, current, now):
            text = f"{subject} has timed out progressing."
            conditions = put_condition(conditions, "Progressing", "False", "ProgressDeadlineExceeded", text, now)
    failure = _failure(sets, new)
    if failure is not None:
        conditions = put_condition(
            conditions, "ReplicaFailure", failure["status"], failure["reason"], failure["message"], now
        )
    else:
        conditions = [c for c in conditions if c["type"] != "ReplicaFailure"]
    return {**status, "conditions": conditions}


def _moved(old: dict[str, Any], new: dict[str, Any]) -> bool:
    def stale(status: dict[str, Any]) -> int:
        return int(status.get("replicas", 0) - status.get("updatedReplicas", 0))

    return (
        new.get("updatedReplicas", 0) > old.get("updatedReplicas", 0)
        or stale(new) < stale(old)
        or new.get("readyReplicas", 0) > old.get("readyReplicas", 0)
        or new.get("availableReplicas", 0) > old.get("availableReplicas", 0)
    )


def _timed_out(deployment: Obj, current: Obj | None, now: float) -> bool:
    if current is None or current.get("reason") == "NewReplicaSetAvailable":
        return False
    if current.get("reason") == "ProgressDeadlineExceeded":
        return True
    deadline: float = deployment["spec"].get("progressDeadlineSeconds", 600)
    return parse_iso(current["lastUpdateTime"]) + deadline < now


def _failure(sets: list[Obj], new: Obj | None) -> Obj | None:
    if new is not None:
        found = condition(new, "ReplicaFailure")
        if found is not None:
            return found
    for rs in sets:
        found = condition(rs, "ReplicaFailure")
        if found is not None:
            return found
    return None
