"""Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs, CronJobs and what hangs on them."""

from __future__ import annotations

from typing import Any

import pytest

from stratus.sim.controllers.common import content_hash, scaled
from stratus.sim.controllers.cronjob import Schedule


def workload(kind: str, name: str = "w", image: str = "nginx:1.25", **spec: Any) -> dict[str, Any]:
    container = {"name": "app", "image": image, **spec.pop("container", {})}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], **spec.pop("pod", {})}}
    body = {"selector": {"matchLabels": {"app": name}}, "template": template, **spec}
    if kind == "StatefulSet":
        body.setdefault("serviceName", name)
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": body}


def job(**spec: Any) -> dict[str, Any]:
    script = spec.pop("script", "true")
    container = {"name": "c", "image": "busybox:1.36", "command": ["sh", "-c", script]}
    template = {"spec": {"restartPolicy": spec.pop("restart", "Never"), "containers": [container]}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": template, **spec}}


def conditions(obj: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c.get("reason", "")) for c in obj["status"].get("conditions", ())}


def sets(lab: Any, name: str = "w") -> list[dict[str, Any]]:
    return [rs for rs in lab.store.list("replicasets.apps", "default") if rs["metadata"]["name"].startswith(name + "-")]


def test_a_rollout_never_leaves_its_bounds(lab: Any) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 1}}
    lab.apply(workload("Deployment", replicas=5, strategy=strategy))
    lab.advance(20)
    lab.history.clear()
    alive: dict[str, bool] = {p["metadata"]["uid"]: True for p in lab.pods()}
    lab.kubectl(["set", "image", "deploy/w", "app=nginx:1.26"], "default")
    lab.advance(60)
    moment = 0.0
    for at, change in [*lab.history, (float("inf"), None)]:
        if at > moment:
            # The controllers have come to rest between two moments.
            assert len(alive) <= 7
            assert sum(alive.values()) >= 4
            moment = at
        if change is None or change.resource != "pods":
            continue
        pod = change.object
        if change.type == "DELETED" or "deletionTimestamp" in pod["metadata"]:
            alive.pop(pod["metadata"]["uid"], None)
        else:
            alive[pod["metadata"]["uid"]] = conditions(pod).get("Ready", ("", ""))[0] == "True"
    assert {p["spec"]["containers"][0]["image"] for p in lab.pods()} == {"nginx:1.26"}
    assert conditions(lab.get("Deployment", "w")) == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }


def test_a_bad_image_stops_the_rollout_and_undo_repairs_it(lab: Any) -> None:
    lab.apply(workload("Deployment", replicas=4, progressDeadlineSeconds=30))
    lab.advance(20)
    lab.kubectl(["set", "image", "deploy/w", "app=nginx:does-not-exist"], "default")
    lab.advance(60)
    broken = lab.get("Deployment", "w")
    assert broken["status"]["availableReplicas"] == 3
    assert conditions(broken)["Progressing"] == ("False", "ProgressDeadlineExceeded")
    assert broken["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    lab.kubectl(["rollout", "undo", "deploy/w"], "default")
    lab.advance(60)
    healed = lab.get("Deployment", "w")
    assert healed["status"]["availableReplicas"] == 4
    assert healed["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    old = next(rs for rs in sets(lab) if rs["spec"]["replicas"] == 4)
    assert old["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"


def test_history_limit(lab: Any) -> None:
    lab.apply(workload("Deployment", revisionHistoryLimit=2))
    for number in range(5):
        lab.kubectl(["set", "env", "deploy/w", f"N={number}"], "default")
        lab.advance(20)
    assert len(sets(lab)) == 3


def test_pause_holds_a_change_back(lab: Any) -> None:
    lab.apply(workload("Deployment"))
    lab.advance(10)
    lab.patch("Deployment", "w", {"spec": {"paused": True}}, how="merge")
    lab.kubectl(["set", "image", "deploy/w", "app=nginx:1.27"], "default")
    lab.advance(10)
    assert len(sets(lab)) == 1
    assert conditions(lab.get("Deployment", "w"))["Progressing"] == ("Unknown", "DeploymentPaused")
    lab.kubectl(["scale", "deploy/w", "--replicas=3"], "default")
    lab.advance(10)
    assert len(lab.pods()) == 3
    lab.patch("Deployment", "w", {"spec": {"paused": None}}, how="merge")
    lab.advance(30)
    assert {p["spec"]["containers"][0]["image"] for p in lab.pods()} == {"nginx:1.27"}


def test_scaling_during_a_rollout_is_proportional(lab: Any) -> None:
    lab.apply(workload("Deployment", replicas=10, strategy={"rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}))
    lab.advance(20)
    lab.kubectl(["set", "image", "deploy/w", "app=nginx:nope"], "default")
    lab.advance(30)
    sizes = sorted(rs["spec"]["replicas"] for rs in sets(lab))
    assert sizes == [5, 8]
    lab.kubectl(["scale", "deploy/w", "--replicas=15"], "default")
    lab.advance(30)
    assert sorted(rs["spec"]["replicas"] for rs in sets(lab)) == [7, 11]


def test_a_replica_set_adopts_and_releases(lab: Any) -> None:
    lab.apply(workload("ReplicaSet", replicas=2))
    lab.advance(5)
    first = lab.pods()[0]
    lab.patch("Pod", first["metadata"]["name"], {"metadata": {"labels": {"app": "other"}}}, how="merge")
    lab.advance(5)
    assert len(lab.pods(app="w")) == 2
    assert "ownerReferences" not in lab.get("Pod", first["metadata"]["name"])["metadata"]
    lab.patch("Pod", first["metadata"]["name"], {"metadata": {"labels": {"app": "w"}}}, how="merge")
    lab.advance(5)
    assert len(lab.pods(app="w")) == 2


def test_quota_refuses_and_lets_go(lab: Any) -> None:
    lab.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "2"}}})
    lab.apply(workload("Deployment", replicas=4))
    lab.advance(5)
    assert len(lab.pods()) == 2
    assert conditions(lab.get("Deployment", "w"))["ReplicaFailure"] == ("True", "FailedCreate")
    assert lab.get("ResourceQuota", "q")["status"]["used"] == {"pods": "2"}
    lab.patch("ResourceQuota", "q", {"spec": {"hard": {"pods": "10"}}}, how="merge")
    lab.advance(120)
    assert len(lab.pods()) == 4
    assert "ReplicaFailure" not in conditions(lab.get("Deployment", "w"))


def test_stateful_sets_go_in_order(lab: Any) -> None:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    lab.apply(workload("StatefulSet", replicas=3, volumeClaimTemplates=[claim]))
    lab.advance(60)
    assert [p["metadata"]["name"] for p in lab.pods()] == ["w-0", "w-1", "w-2"]
    assert [c["metadata"]["name"] for c in lab.store.list("persistentvolumeclaims", "default")] == [
        "data-w-0",
        "data-w-1",
        "data-w-2",
    ]
    uid = lab.get("Pod", "w-1")["metadata"]["uid"]
    lab.delete("Pod", "w-1")
    lab.advance(30)
    assert lab.get("Pod", "w-1")["metadata"]["uid"] != uid
    lab.kubectl(["scale", "sts/w", "--replicas=1"], "default")
    lab.advance(30)
    assert [p["metadata"]["name"] for p in lab.pods()] == ["w-0"]
    assert len(lab.store.list("persistentvolumeclaims", "default")) == 3


def test_stateful_set_partition(lab: Any) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    lab.apply(workload("StatefulSet", replicas=3, updateStrategy=strategy))
    lab.advance(30)
    lab.kubectl(["set", "image", "sts/w", "app=nginx:1.26"], "default")
    lab.advance(60)
    assert [p["spec"]["containers"][0]["image"] for p in lab.pods()] == ["nginx:1.25", "nginx:1.25", "nginx:1.26"]


def test_daemon_sets_follow_the_nodes(lab: Any) -> None:
    lab.apply(workload("DaemonSet"))
    lab.advance(10)
    assert {p["spec"]["nodeName"] for p in lab.pods()} == {"node1", "node2", "node3"}
    lab.kubectl(["taint", "node", "node2", "gone=yes:NoExecute"], "default")
    lab.advance(60)
    assert {p["spec"]["nodeName"] for p in lab.pods()} == {"node1", "node3"}
    assert lab.get("DaemonSet", "w")["status"]["desiredNumberScheduled"] == 2


@pytest.mark.parametrize(
    ("spec", "ending"),
    [
        ({"script": "echo hi"}, ("Complete", "CompletionsReached")),
        ({"script": "exit 1", "backoffLimit": 1}, ("Failed", "BackoffLimitExceeded")),
        ({"script": "sleep 999", "activeDeadlineSeconds": 10}, ("Failed", "DeadlineExceeded")),
        ({"script": "exit 1", "restart": "OnFailure", "backoffLimit": 1}, ("Failed", "BackoffLimitExceeded")),
    ],
)
def test_jobs_end(lab: Any, spec: dict[str, Any], ending: tuple[str, str]) -> None:
    lab.apply(job(**spec))
    lab.advance(200)
    found = conditions(lab.get("Job", "j"))
    assert found[ending[0]] == ("True", ending[1])


def test_indexed_jobs(lab: Any) -> None:
    lab.apply(job(script="echo index $JOB_COMPLETION_INDEX", completions=3, parallelism=2, completionMode="Indexed"))
    lab.advance(60)
    stored = lab.get("Job", "j")
    assert (stored["status"]["succeeded"], stored["status"]["completedIndexes"]) == (3, "0-2")
    assert sorted(line for p in lab.pods() for line in lab.logs(p["metadata"]["name"])) == [
        "index 0",
        "index 1",
        "index 2",
    ]


def test_cron_jobs(lab: Any) -> None:
    template = job(script="echo hi")["spec"]
    cron = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "c"},
        "spec": {"schedule": "*/2 * * * *", "successfulJobsHistoryLimit": 2, "jobTemplate": {"spec": template}},
    }
    lab.apply(cron)
    lab.advance(11 * 60)
    jobs = lab.store.list("jobs.batch", "default")
    assert len(jobs) == 2
    assert len(lab.events(reason="SuccessfulCreate")) >= 5
    lab.patch("CronJob", "c", {"spec": {"suspend": True}}, how="merge")
    lab.advance(600)
    assert len(lab.store.list("jobs.batch", "default")) == 2


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("*/15 * * * *", "2026-01-05T09:01:00", "2026-01-05T09:15:00"),
        ("0 0 * * 1", "2026-01-05T09:01:00", "2026-01-12T00:00:00"),
        ("30 4 1,15 * *", "2026-01-05T09:01:00", "2026-01-15T04:30:00"),
        ("@hourly", "2026-01-05T09:01:00", "2026-01-05T10:00:00"),
        ("0 12 * feb mon-fri", "2026-01-05T09:01:00", "2026-02-02T12:00:00"),
        ("0 0 29 2 *", "2026-01-05T09:01:00", "2028-02-29T00:00:00"),
    ],
)
def test_schedules(text: str, after: str, expected: str) -> None:
    from datetime import UTC, datetime

    moment = Schedule(text).after(datetime.fromisoformat(after).replace(tzinfo=UTC))
    assert moment is not None
    assert moment.strftime("%Y-%m-%dT%H:%M:%S") == expected


@pytest.mark.parametrize("text", ["* * * *", "61 * * * *", "* * * * mon-", "a * * * *"])
def test_bad_schedules(text: str) -> None:
    with pytest.raises(ValueError):
        Schedule(text)


def test_foreground_deletion_waits_for_the_dependents(lab: Any) -> None:
    lab.apply(workload("Deployment", replicas=2))
    lab.advance(10)
    lab.delete("Deployment", "w", propagationPolicy="Foreground")
    assert "foregroundDeletion" in lab.get("Deployment", "w")["metadata"]["finalizers"]
    lab.advance(10)
    assert lab.get("Deployment", "w") is None
    assert sets(lab) == []
    assert lab.pods() == []


def test_orphans_stay_and_are_adopted_again(lab: Any) -> None:
    lab.apply(workload("Deployment", replicas=2))
    lab.advance(10)
    uids = {p["metadata"]["uid"] for p in lab.pods()}
    lab.delete("Deployment", "w", propagationPolicy="Orphan")
    lab.advance(10)
    assert {p["metadata"]["uid"] for p in lab.pods()} == uids
    lab.apply(workload("Deployment", replicas=2))
    lab.advance(10)
    assert {p["metadata"]["uid"] for p in lab.pods()} == uids
    assert len(sets(lab)) == 1


def test_a_namespace_goes_with_all_it_holds(lab: Any) -> None:
    lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
    lab.apply(workload("Deployment", replicas=2), "n")
    lab.advance(10)
    assert lab.get("ServiceAccount", "default", "n") is not None
    assert lab.get("ConfigMap", "kube-root-ca.crt", "n") is not None
    lab.delete("Namespace", "n")
    lab.advance(40)
    assert lab.get("Namespace", "n") is None
    assert [r for r in lab.store.resources() if lab.store.list(r, "n")] == []


def test_autoscaling(lab: Any) -> None:
    container = {"resources": {"requests": {"cpu": "1m"}}}
    lab.apply(workload("Deployment", image="ghcr.io/acme/app:1", container=container))
    hpa = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "w"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "w"},
            "minReplicas": 1,
            "maxReplicas": 3,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
                }
            ],
        },
    }
    lab.advance(10)
    lab.apply(hpa)
    lab.advance(60)
    assert lab.get("Deployment", "w")["spec"]["replicas"] == 3
    assert conditions(lab.get("HorizontalPodAutoscaler", "w"))["ScalingLimited"] == ("True", "TooManyReplicas")
    assert "SuccessfulRescale" in {e["reason"] for e in lab.events()}


def test_budgets(lab: Any) -> None:
    lab.apply(workload("Deployment", replicas=3))
    lab.apply({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"},
               "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "w"}}}})  # fmt: skip
    lab.advance(10)
    status = lab.get("PodDisruptionBudget", "b")["status"]
    assert (status["disruptionsAllowed"], status["desiredHealthy"], status["currentHealthy"]) == (1, 2, 3)


def test_small_arithmetic() -> None:
    assert scaled("25%", 4, up=True) == 1
    assert scaled("25%", 5, up=True) == 2
    assert scaled("25%", 5, up=False) == 1
    assert content_hash({"a": 1}) == content_hash({"a": 1}) != content_hash({"a": 2})
    assert content_hash({"a": 1}) != content_hash({"a": 1}, 1)
