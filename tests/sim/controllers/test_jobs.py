"""Jobs of every kind: indexed ones, their policies for failure and success, and how they are counted."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from stratus.sim.controllers.jobrules import indexes, intervals, judge, success_rule


def job(script: str, name: str = "j", restart: str = "Never", **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "busybox:1.36", "command": ["sh", "-c", script]}
    pod = {"restartPolicy": restart, "terminationGracePeriodSeconds": 1, "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {**spec, "template": {"spec": pod}},
    }


def conditions(lab: Any, name: str = "j") -> list[tuple[str, str, str]]:
    found = lab.get("Job", name)["status"].get("conditions") or []
    return [(c["type"], c["reason"], c["message"]) for c in found]


def status(lab: Any, name: str = "j") -> dict[str, Any]:
    return dict(lab.get("Job", name)["status"])


def by_index(lab: Any) -> list[str]:
    return sorted(p["metadata"]["labels"].get("batch.kubernetes.io/job-completion-index", "") for p in lab.pods())


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([0], "0"), ([0, 1], "0-1"), ([3, 1, 2, 7], "1-3,7"), ([5, 5, 9, 8, 1], "1,5,8-9")],
)
def test_intervals(numbers: list[int], text: str) -> None:
    assert intervals(numbers) == text
    assert indexes(text) == set(numbers)


def test_indexed_pods_know_their_index(lab: Any) -> None:
    script = 'echo "I am $JOB_COMPLETION_INDEX"; test $JOB_COMPLETION_INDEX != 9'
    lab.apply(job(script, completionMode="Indexed", completions=3, parallelism=2))
    assert by_index(lab) == ["0", "1"]
    pods = {p["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]: p for p in lab.pods()}
    assert pods["1"]["spec"]["hostname"] == "j-1"
    assert pods["1"]["metadata"]["name"].startswith("j-1-")
    lab.advance(3)
    assert lab.logs(pods["1"]["metadata"]["name"]) == ["I am 1"]
    lab.advance(20)
    assert (status(lab)["completedIndexes"], status(lab)["succeeded"]) == ("0-2", 3)
    assert [c[0] for c in conditions(lab)] == ["SuccessCriteriaMet", "Complete"]


def test_an_index_that_fails_too_often_does_not_stop_the_others(lab: Any) -> None:
    script = "test $JOB_COMPLETION_INDEX != 1"
    lab.apply(job(script, completionMode="Indexed", completions=3, parallelism=3, backoffLimitPerIndex=1))
    lab.advance(5)
    assert status(lab)["completedIndexes"] == "0,2"
    assert not conditions(lab)
    lab.advance(40)
    assert (status(lab)["completedIndexes"], status(lab)["failedIndexes"]) == ("0,2", "1")
    assert conditions(lab)[-1] == ("Failed", "FailedIndexes", "Job has failed indexes")
    counts = sorted(
        p["metadata"]["annotations"]["batch.kubernetes.io/job-index-failure-count"]
        for p in lab.pods()
        if p["status"]["phase"] == "Failed"
    )
    assert counts == ["0", "1"]
    assert status(lab)["failed"] == 2


def test_too_many_failed_indexes(lab: Any) -> None:
    entry = job(
        "exit 3",
        completionMode="Indexed",
        completions=10,
        parallelism=5,
        backoffLimitPerIndex=0,
        maxFailedIndexes=2,
    )
    lab.apply(entry)
    lab.advance(30)
    text = "Job has exceeded the specified maximal number of failed indexes"
    assert conditions(lab)[-1] == ("Failed", "MaxFailedIndexesExceeded", text)


def test_a_policy_ends_the_job_at_once(lab: Any) -> None:
    rules = [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]
    lab.apply(job("exit 42", backoffLimit=6, podFailurePolicy={"rules": rules}))
    lab.advance(10)
    (pod,) = lab.pods()
    name = pod["metadata"]["name"]
    text = f"Container c for pod default/{name} failed with exit code 42 matching FailJob rule at index 0"
    assert conditions(lab) == [
        ("FailureTarget", "PodFailurePolicy", text),
        ("Failed", "PodFailurePolicy", text),
    ]
    (event,) = lab.events(reason="PodFailurePolicy")
    assert (event["type"], event["message"]) == ("Warning", text)


def test_ignored_failures_are_not_counted(lab: Any) -> None:
    rules = [{"action": "Ignore", "onExitCodes": {"operator": "NotIn", "values": [1]}}]
    lab.apply(job("exit 7", backoffLimit=0, podFailurePolicy={"rules": rules}))
    lab.advance(20)
    assert not conditions(lab)
    assert "failed" not in status(lab)
    assert len(lab.pods()) > 2


def test_a_disruption_can_be_ignored() -> None:
    pod = {
        "metadata": {"name": "p", "namespace": "n"},
        "status": {"phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True"}]},
    }
    policy = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]}
    said = judge(pod, policy)
    assert (said.action, said.message) == (
        "Ignore",
        "Pod n/p has condition DisruptionTarget matching Ignore rule at index 0",
    )
    assert judge(pod, None).action == "Count"


def test_a_success_policy_stops_the_rest(lab: Any) -> None:
    script = "if [ $JOB_COMPLETION_INDEX = 0 ]; then exit 0; fi; sleep 600"
    rules = [{"succeededIndexes": "0", "succeededCount": 1}]
    lab.apply(job(script, completionMode="Indexed", completions=3, parallelism=3, successPolicy={"rules": rules}))
    lab.advance(20)
    assert conditions(lab) == [
        ("SuccessCriteriaMet", "SuccessPolicy", "Matched rules at index 0"),
        ("Complete", "SuccessPolicy", "Matched rules at index 0"),
    ]
    assert status(lab)["completedIndexes"] == "0"
    assert len(lab.events(reason="SuccessfulDelete")) == 2
    assert not [p for p in lab.pods() if p["status"]["phase"] == "Running"]
    assert success_rule({"rules": [{"succeededCount": 2}]}, {4}, 5) is None
    assert success_rule({"rules": [{"succeededCount": 2}]}, {4, 0}, 5) == 0


def test_replacement_waits_until_the_old_pod_has_failed(lab: Any) -> None:
    entry = job("trap '' TERM; sleep 600", podReplacementPolicy="Failed", backoffLimit=6)
    entry["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 20
    lab.apply(entry)
    lab.advance(3)
    (pod,) = lab.pods()
    lab.delete("Pod", pod["metadata"]["name"])
    lab.advance(10)
    assert len(lab.pods()) == 1
    assert status(lab)["terminating"] == 1
    lab.advance(40)
    assert [p for p in lab.pods() if p["status"]["phase"] == "Running"]
    assert status(lab)["failed"] == 1


def test_failures_wait_ten_twenty_forty_seconds(lab: Any) -> None:
    lab.apply(job("exit 1", backoffLimit=3))
    lab.advance(120)
    made = sorted(p["metadata"]["creationTimestamp"][14:19] for p in lab.pods())
    seconds = [int(t[:2]) * 60 + int(t[3:]) for t in made]
    gaps = [b - a for a, b in itertools.pairwise(seconds)]
    assert len(gaps) == 3
    for gap, least in zip(gaps, (10, 20, 40), strict=True):
        assert least <= gap <= least + 5
    assert conditions(lab)[-1][:2] == ("Failed", "BackoffLimitExceeded")
    assert status(lab)["failed"] == 4


def test_who_has_ended_is_written_before_it_is_counted(lab: Any) -> None:
    lab.apply(job("exit 0"))
    lab.advance(10)
    uid = lab.pods()[0]["metadata"]["uid"]
    seen = [
        (c.object["status"].get("uncountedTerminatedPods"), c.object["status"].get("succeeded", 0))
        for _, c in lab.history
        if c.object["kind"] == "Job" and c.type == "MODIFIED"
    ]
    assert ({"succeeded": [uid]}, 0) in seen
    assert seen[-1] == ({}, 1)


def test_a_finished_job_goes_with_its_pods_first(lab: Any) -> None:
    lab.apply(job("exit 0", ttlSecondsAfterFinished=5))
    lab.advance(8)
    assert status(lab)["succeeded"] == 1
    lab.advance(10)
    assert lab.get("Job", "j") is None
    assert not lab.pods()
    marked = [c.object for _, c in lab.history if c.object["kind"] == "Job"]
    assert any("foregroundDeletion" in (o["metadata"].get("finalizers") or ()) for o in marked)


def test_suspending_takes_the_pods_away_and_resuming_starts_again(lab: Any) -> None:
    lab.apply(job("sleep 600", parallelism=2, completions=2))
    lab.advance(3)
    lab.patch("Job", "j", {"spec": {"suspend": True}}, how="merge")
    lab.advance(10)
    assert not lab.pods()
    assert conditions(lab) == [("Suspended", "JobSuspended", "Job suspended")]
    assert "startTime" not in status(lab)
    lab.patch("Job", "j", {"spec": {"suspend": False}}, how="merge")
    lab.advance(5)
    assert len(lab.pods()) == 2
    assert conditions(lab) == [("Suspended", "JobResumed", "Job resumed")]
    assert [e["reason"] for e in lab.events() if e["reason"] in ("Suspended", "Resumed")] == ["Suspended", "Resumed"]


def cron(policy: str, script: str = "sleep 90", **spec: Any) -> dict[str, Any]:
    template = job(script)["spec"]
    body = {"schedule": "* * * * *", "concurrencyPolicy": policy, "jobTemplate": {"spec": template}, **spec}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "cj"}, "spec": body}


def told(lab: Any) -> list[str]:
    return [e["reason"] for e in lab.events() if e["involvedObject"]["kind"] == "CronJob"]


def alive(lab: Any) -> list[str]:
    return [j["metadata"]["name"] for j in lab.store.list("jobs.batch", "default") if not j["status"].get("conditions")]


def test_forbidding_waits_for_the_one_that_runs(lab: Any) -> None:
    lab.apply(cron("Forbid"))
    lab.advance(130)
    assert (told(lab), len(alive(lab))) == (["SuccessfulCreate", "JobAlreadyActive"], 1)
    lab.advance(40)
    # What was missed meanwhile is made up for as soon as the first has ended.
    assert told(lab)[-2:] == ["SawCompletedJob", "SuccessfulCreate"]


def test_a_deadline_forgives_what_was_missed(lab: Any) -> None:
    lab.apply(cron("Forbid", startingDeadlineSeconds=15))
    lab.advance(170)
    assert "SawCompletedJob" in told(lab)
    assert told(lab).count("SuccessfulCreate") == 1
    lab.advance(20)
    assert told(lab).count("SuccessfulCreate") == 2


def test_replacing_ends_the_one_that_runs(lab: Any) -> None:
    lab.apply(cron("Replace"))
    lab.advance(130)
    assert told(lab) == ["SuccessfulCreate", "SuccessfulDelete", "SuccessfulCreate"]
    assert len(alive(lab)) == 1


def test_allowing_lets_them_pile_up(lab: Any) -> None:
    lab.apply(cron("Allow", "sleep 600"))
    lab.advance(190)
    assert len(alive(lab)) == 3
    assert len(lab.get("CronJob", "cj")["status"]["active"]) == 3
    lab.patch("CronJob", "cj", {"spec": {"suspend": True}}, how="merge")
    lab.advance(180)
    assert len(alive(lab)) == 3


def test_a_job_that_somebody_takes_away_is_missed(lab: Any) -> None:
    lab.apply(cron("Allow", "sleep 600"))
    lab.advance(65)
    (name,) = alive(lab)
    lab.delete("Job", name)
    lab.advance(5)
    (event,) = lab.events(reason="MissingJob")
    assert (event["type"], event["message"]) == ("Normal", f"Active job went missing: {name}")
    assert "active" not in lab.get("CronJob", "cj")["status"]
