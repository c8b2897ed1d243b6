"""Budgets: how many pods there should be, how many may go, and pods that were evicted and stayed."""

from __future__ import annotations

from typing import Any

import pytest


def budget(**spec: Any) -> dict[str, Any]:
    selector = {"matchLabels": {"app": "w"}}
    meta = {"name": "b"}
    body = {"selector": selector, **spec}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": body}


def workload(replicas: int, kind: str = "Deployment") -> dict[str, Any]:
    labels = {"app": "w"}
    container = {"name": "c", "image": "nginx:1.25"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec: dict[str, Any] = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    if kind == "StatefulSet":
        spec["serviceName"] = "w"
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "w"}, "spec": spec}


def status(lab: Any) -> Any:
    return lab.get("PodDisruptionBudget", "b")["status"]


def figures(lab: Any) -> tuple[int, int, int, int]:
    s = status(lab)
    return s["expectedPods"], s["currentHealthy"], s["desiredHealthy"], s["disruptionsAllowed"]


def evict(lab: Any, name: str) -> Any:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}}
    return lab.request("POST", lab.path("Pod", "default", name) + "/eviction", body, ok=False)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"minAvailable": 3}, (5, 5, 3, 2)),
        ({"minAvailable": 9}, (5, 5, 9, 0)),
        ({"minAvailable": "50%"}, (5, 5, 3, 2)),
        ({"maxUnavailable": 1}, (5, 5, 4, 1)),
        ({"maxUnavailable": "30%"}, (5, 5, 3, 2)),
        ({"maxUnavailable": 0}, (5, 5, 5, 0)),
        ({"minAvailable": 0}, (5, 5, 0, 5)),
        ({}, (0, 5, 0, 0)),
    ],
)
def test_how_many_may_go(lab: Any, spec: dict[str, Any], expected: tuple[int, ...]) -> None:
    lab.apply(workload(5))
    lab.apply(budget(**spec))
    lab.advance(15)
    assert figures(lab) == expected
    (condition,) = status(lab)["conditions"]
    word = "True" if expected[3] else "False"
    assert (condition["type"], condition["status"], condition["message"]) == ("DisruptionAllowed", word, "")
    assert condition["reason"] == ("SufficientPods" if expected[3] else "InsufficientPods")


def test_what_should_be_there_counts_not_what_is(lab: Any) -> None:
    body = workload(4, "StatefulSet")
    body["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:does-not-exist"
    lab.apply(body)
    lab.apply(budget(maxUnavailable=1))
    lab.advance(15)
    assert figures(lab) == (4, 0, 3, 0)


def test_pods_that_nobody_manages(lab: Any) -> None:
    for name in ("one", "two"):
        lab.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "w"}},
                   "spec": {"containers": [{"name": "c", "image": "nginx:1.25"}]}})  # fmt: skip
    lab.apply(budget(maxUnavailable=1))
    lab.advance(15)
    assert figures(lab) == (0, 2, 0, 0)
    (event,) = [e for e in lab.events() if e["reason"] == "UnmanagedPods"]
    assert event["message"].startswith(
        "Pods selected by this PodDisruptionBudget (selector: &LabelSelector{MatchLabels:map[string]string{app: w,},"
    )
    lab.patch("PodDisruptionBudget", "b", {"spec": {"maxUnavailable": None, "minAvailable": 1}}, how="merge")
    assert figures(lab) == (2, 2, 1, 1)


def test_pods_of_a_job_cannot_be_counted(lab: Any) -> None:
    container = {"name": "c", "image": "busybox:1.36", "command": ["sleep", "infinity"]}
    template = {"metadata": {"labels": {"app": "w"}}, "spec": {"restartPolicy": "Never", "containers": [container]}}
    lab.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": template}})
    lab.apply(budget(maxUnavailable=1))
    lab.advance(15)
    (condition,) = status(lab)["conditions"]
    pod = lab.pods(app="w")[0]["metadata"]["name"]
    why = f'found no controllers for pod "{pod}"'
    assert (condition["status"], condition["reason"], condition["message"]) == ("False", "SyncFailed", why)
    assert status(lab)["disruptionsAllowed"] == 0
    said = {e["reason"]: e["message"] for e in lab.events()}
    assert said["CalculateExpectedPodCountFailed"] == f"Failed to calculate the number of expected pods: {why}"


def test_no_pods(lab: Any) -> None:
    lab.apply(budget(minAvailable=1))
    assert figures(lab) == (0, 0, 1, 0)
    assert [e["message"] for e in lab.events(reason="NoPods")] == ["No matching pods found"]


def test_an_eviction_is_counted_until_its_pod_goes(lab: Any) -> None:
    lab.apply(workload(3))
    lab.apply(budget(maxUnavailable=1))
    lab.advance(15)
    first, second = [p["metadata"]["name"] for p in lab.pods(app="w")][:2]
    assert evict(lab, first)["status"] == "Success"
    refused = evict(lab, second)
    assert (refused["code"], refused["details"]["causes"][0]["reason"]) == (429, "DisruptionBudget")
    lab.advance(60)
    assert figures(lab) == (3, 3, 2, 1)
    assert "disruptedPods" not in status(lab)


def test_a_pod_that_was_evicted_and_stays_counts_again_after_two_minutes(lab: Any) -> None:
    lab.apply(workload(3))
    lab.apply(budget(maxUnavailable=1))
    lab.advance(15)
    name = lab.pods(app="w")[0]["metadata"]["name"]
    from stratus.kit.clock import iso

    stored = lab.get("PodDisruptionBudget", "b")
    held = {**stored["status"], "disruptionsAllowed": 0, "disruptedPods": {name: iso(lab.clock.now())}}
    lab.store.update("poddisruptionbudgets.policy", {**stored, "status": held})
    lab.control.drain()
    assert (figures(lab), list(status(lab)["disruptedPods"])) == ((3, 2, 2, 0), [name])
    lab.advance(121)
    assert (figures(lab), "disruptedPods" in status(lab)) == ((3, 3, 2, 1), False)
    assert [e["message"] for e in lab.events(reason="NotDeleted")] == [
        "Pod was expected by PDB default/b to be deleted but it wasn't"
    ]
