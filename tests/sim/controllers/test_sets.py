"""StatefulSets and DaemonSets in their less usual settings."""

from __future__ import annotations

from typing import Any


def workload(kind: str, name: str = "w", image: str = "nginx:1.25", **spec: Any) -> dict[str, Any]:
    container = {"name": "app", "image": image, **spec.pop("container", {})}
    pod = {"terminationGracePeriodSeconds": 1, "containers": [container], **spec.pop("pod", {})}
    template = {"metadata": {"labels": {"app": name}}, "spec": pod}
    body = {"selector": {"matchLabels": {"app": name}}, "template": template, **spec}
    if kind == "StatefulSet":
        body.setdefault("serviceName", name)
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": body}


def names(lab: Any) -> list[str]:
    return [p["metadata"]["name"] for p in lab.pods()]


def images(lab: Any) -> dict[str, str]:
    return {p["metadata"]["name"]: p["spec"]["containers"][0]["image"] for p in lab.pods()}


def birth_order(lab: Any) -> list[str]:
    return [c.object["metadata"]["name"] for _, c in lab.history if c.resource == "pods" and c.type == "ADDED"]


def most_away(lab: Any, total: int) -> int:
    """Return how many of the pods were missing or on their way out at worst, from what the store saw."""
    ready: dict[str, bool] = {f"w-{number}": True for number in range(total)}
    worst = 0
    moment = None
    for at, change in lab.history:
        if change.resource != "pods":
            continue
        if moment is not None and at > moment:
            worst = max(worst, total - sum(ready.values()))
        moment = at
        pod = change.object
        good = any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))
        gone = change.type == "DELETED" or "deletionTimestamp" in pod["metadata"]
        ready[pod["metadata"]["name"]] = good and not gone
    return worst


def test_parallel_sets_start_all_at_once(lab: Any) -> None:
    lab.apply(workload("StatefulSet", replicas=4, podManagementPolicy="Parallel"))
    assert names(lab) == ["w-0", "w-1", "w-2", "w-3"]
    lab.advance(20)
    lab.patch("StatefulSet", "w", {"spec": {"replicas": 1}}, how="merge")
    assert sum("deletionTimestamp" in p["metadata"] for p in lab.pods()) == 3
    lab.advance(10)
    assert names(lab) == ["w-0"]


def test_numbers_may_start_elsewhere(lab: Any) -> None:
    lab.apply(workload("StatefulSet", replicas=2, ordinals={"start": 5}))
    lab.advance(20)
    assert names(lab) == ["w-5", "w-6"]
    assert lab.get("StatefulSet", "w")["status"]["readyReplicas"] == 2


def test_an_update_goes_from_the_highest_number_down(lab: Any) -> None:
    lab.apply(workload("StatefulSet", replicas=3))
    lab.advance(30)
    lab.history.clear()
    lab.kubectl(["set", "image", "sts/w", "app=nginx:1.26"], "default")
    lab.advance(60)
    assert birth_order(lab) == ["w-2", "w-1", "w-0"]
    assert set(images(lab).values()) == {"nginx:1.26"}
    assert most_away(lab, 3) == 1
    status = lab.get("StatefulSet", "w")["status"]
    assert status["currentRevision"] == status["updateRevision"]


def test_several_may_be_away_at_once(lab: Any) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "50%", "partition": 1}}
    lab.apply(workload("StatefulSet", replicas=5, podManagementPolicy="Parallel", updateStrategy=rolling))
    lab.advance(30)
    lab.history.clear()
    lab.kubectl(["set", "image", "sts/w", "app=nginx:1.26"], "default")
    # Half of five, rounded down.
    assert sum("deletionTimestamp" in p["metadata"] for p in lab.pods()) == 2
    lab.advance(60)
    assert images(lab) == {"w-0": "nginx:1.25"} | dict.fromkeys(["w-1", "w-2", "w-3", "w-4"], "nginx:1.26")
    assert most_away(lab, 5) == 2


def test_available_comes_after_ready(lab: Any) -> None:
    lab.apply(workload("StatefulSet", replicas=2, minReadySeconds=20))
    lab.advance(10)
    assert names(lab) == ["w-0"]
    status = lab.get("StatefulSet", "w")["status"]
    assert (status["readyReplicas"], status["availableReplicas"]) == (1, 0)
    lab.advance(20)
    assert names(lab) == ["w-0", "w-1"]
    lab.advance(30)
    assert lab.get("StatefulSet", "w")["status"]["availableReplicas"] == 2


def claims(lab: Any) -> dict[str, list[str]]:
    found = lab.store.list("persistentvolumeclaims", "default")
    return {c["metadata"]["name"]: [r["kind"] for r in c["metadata"].get("ownerReferences", ())] for c in found}


def test_claims_go_where_the_policy_says(lab: Any) -> None:
    template = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    policy = {"whenDeleted": "Delete", "whenScaled": "Delete"}
    lab.apply(
        workload(
            "StatefulSet",
            replicas=2,
            volumeClaimTemplates=[template],
            persistentVolumeClaimRetentionPolicy=policy,
        )
    )
    lab.advance(60)
    assert claims(lab) == {"data-w-0": ["StatefulSet"], "data-w-1": ["StatefulSet"]}
    lab.patch("StatefulSet", "w", {"spec": {"replicas": 1}}, how="merge")
    lab.advance(60)
    assert list(claims(lab)) == ["data-w-0"]
    lab.delete("StatefulSet", "w")
    lab.advance(60)
    assert claims(lab) == {}


def test_claims_stay_by_default(lab: Any) -> None:
    template = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    lab.apply(workload("StatefulSet", replicas=1, volumeClaimTemplates=[template]))
    lab.advance(60)
    lab.delete("StatefulSet", "w")
    lab.advance(60)
    assert claims(lab) == {"data-w-0": []}


def test_what_is_refused_is_tried_again_ever_later(lab: Any) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "q"},
        "spec": {"hard": {"pods": "1"}},
    }
    lab.apply(quota)
    lab.advance(1)
    lab.apply(workload("StatefulSet", replicas=2))
    lab.advance(60)
    found = [e for e in lab.events(reason="FailedCreate") if e["involvedObject"]["kind"] == "StatefulSet"]
    assert found[0]["message"].startswith('Create Pod w-1 in StatefulSet w failed error: pods "w-1" is forbidden: ')
    assert 8 <= sum(e.get("count", 1) for e in found) <= 25
    lab.patch("ResourceQuota", "q", {"spec": {"hard": {"pods": "5"}}}, how="merge")
    lab.advance(120)
    assert names(lab) == ["w-0", "w-1"]


def test_a_failed_pod_of_a_set_is_made_anew(lab: Any) -> None:
    lab.apply(workload("StatefulSet", replicas=1))
    lab.advance(10)
    kubelet = lab.control.kubelet
    kubelet.evictor.evict(lab.pods()[0], kubelet.pods["default", "w-0"], "The node was low on resource: memory. ")
    lab.advance(10)
    (event,) = lab.events(reason="RecreatingFailedPod")
    assert (event["type"], event["message"]) == ("Warning", "StatefulSet default/w is recreating failed Pod w-0")
    assert lab.pods()[0]["status"]["phase"] == "Running"


def test_daemon_pods_can_surge(lab: Any) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    lab.apply(workload("DaemonSet", updateStrategy=strategy))
    lab.advance(20)
    assert len(names(lab)) == 3
    lab.kubectl(["set", "image", "ds/w", "app=nginx:1.26"], "default")
    assert len(names(lab)) == 4
    worst = 3
    for _ in range(60):
        lab.advance(0.5)
        served = {
            p["spec"]["nodeName"]
            for p in lab.pods()
            if any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", ()))
        }
        worst = min(worst, len(served))
    assert worst == 3
    assert set(images(lab).values()) == {"nginx:1.26"}
    assert len(names(lab)) == 3
    assert lab.get("DaemonSet", "w")["status"]["updatedNumberScheduled"] == 3


def test_daemon_pods_that_fail_are_replaced_ever_later(lab: Any) -> None:
    lab.apply(workload("DaemonSet", pod={"nodeSelector": {"kubernetes.io/hostname": "node1"}}))
    lab.advance(10)
    kubelet = lab.control.kubelet
    for _ in range(4):
        (pod,) = [p for p in lab.pods() if p["status"]["phase"] == "Running"]
        key = ("default", pod["metadata"]["name"])
        kubelet.evictor.evict(pod, kubelet.pods[key], "The node was low on resource: memory. ")
        lab.advance(20)
    events = lab.events(reason="FailedDaemonPod")
    assert len(events) == 4
    assert events[0]["message"].endswith("on node node1, will try to kill it")
    assert events[0]["message"].startswith("Found failed daemon pod default/w-")
