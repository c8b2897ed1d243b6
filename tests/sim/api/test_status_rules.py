"""What may be reported of a kind: counts that are none or do not fit each other are refused."""

from typing import Any

import pytest

NEGATIVE = "must be greater than or equal to 0"
TEMPLATE = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
SELECTED = {"selector": {"matchLabels": {"app": "a"}}, "template": TEMPLATE}
APPS = "/apis/apps/v1/namespaces/default"
GOOD: dict[str, tuple[str, dict[str, Any]]] = {
    "Deployment": (f"{APPS}/deployments", {"spec": SELECTED}),
    "ReplicaSet": (f"{APPS}/replicasets", {"spec": SELECTED}),
    "StatefulSet": (f"{APPS}/statefulsets", {"spec": SELECTED}),
    "DaemonSet": (f"{APPS}/daemonsets", {"spec": SELECTED}),
    "Namespace": ("/api/v1/namespaces", {}),
    "Service": ("/api/v1/namespaces/default/services", {"spec": {"ports": [{"port": 80}]}}),
}
CASES: list[tuple[str, dict[str, Any], list[tuple[str, str]]]] = [
    ("Deployment", {"replicas": 2, "readyReplicas": 2, "availableReplicas": 1}, []),
    ("Deployment", {"unavailableReplicas": -1}, [("status.unavailableReplicas", f"Invalid value: -1: {NEGATIVE}")]),
    ("StatefulSet", {"replicas": -1, "readyReplicas": -1, "currentReplicas": -1, "updatedReplicas": -1},
     [("status.replicas", f"Invalid value: -1: {NEGATIVE}"),
      ("status.readyReplicas", f"Invalid value: -1: {NEGATIVE}"),
      ("status.currentReplicas", f"Invalid value: -1: {NEGATIVE}"),
      ("status.updatedReplicas", f"Invalid value: -1: {NEGATIVE}"),
      ("status.availableReplicas", "Invalid value: 0: cannot be greater than status.replicas"),
      ("status.availableReplicas", "Invalid value: 0: cannot be greater than status.readyReplicas")]),
    ("Deployment", {"replicas": 1, "readyReplicas": 2},
     [("status.readyReplicas", "Invalid value: 2: cannot be greater than status.replicas")]),
    ("Deployment", {"replicas": 1, "availableReplicas": 1},
     [("status.availableReplicas", "Invalid value: 1: cannot be greater than readyReplicas")]),
    ("ReplicaSet", {"replicas": 1, "fullyLabeledReplicas": 2},
     [("status.fullyLabeledReplicas", "Invalid value: 2: cannot be greater than status.replicas")]),
    ("StatefulSet", {"replicas": 1, "availableReplicas": 1},
     [("status.availableReplicas", "Invalid value: 1: cannot be greater than status.readyReplicas")]),
    ("DaemonSet", {"currentNumberScheduled": 1, "numberMisscheduled": 0, "desiredNumberScheduled": 1,
                   "numberReady": -2},
     [("status.numberReady", f"Invalid value: -2: {NEGATIVE}")]),
    ("Namespace", {"phase": "Terminating"},
     [("status.Phase", 'Invalid value: "Terminating": may only be \'Active\' if `deletionTimestamp` is empty')]),
    ("Service", {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "ipMode": "VIP"}]}},
     [("status.loadBalancer.ingress", "Forbidden: may only be used when `spec.type` is 'LoadBalancer'")]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "status", "want"), CASES)
def test_what_may_be_reported(call: Any, kind: str, status: dict[str, Any], want: list[tuple[str, str]]) -> None:
    path, body = GOOD[kind]
    code, made = call("POST", path, {"metadata": {"name": "ex"}, **body})
    assert code == 201, made
    code, answer = call("PUT", f"{path}/ex/status", {**made, "status": status})
    assert code == (422 if want else 200), answer
    assert [(c["field"], c["message"]) for c in (answer.get("details") or {}).get("causes") or ()] == want


def test_collisions_are_not_counted_down(call: Any) -> None:
    path, body = GOOD["Deployment"]
    made = call("POST", path, {"metadata": {"name": "ex"}, **body})[1]
    code, made = call("PUT", f"{path}/ex/status", {**made, "status": {"collisionCount": 2}})
    assert code == 200, made
    code, answer = call("PUT", f"{path}/ex/status", {**made, "status": {}})
    assert code == 422
    assert answer["details"]["causes"][0]["message"] == "Invalid value: 0: cannot be decremented"
