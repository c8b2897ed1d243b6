"""What an undo costs, in requests, rollouts, seconds and losses."""

from __future__ import annotations

import pytest
from txn_fake import create, delete, deployment, obj, planned, ref, request, scale, set_data, set_image
from txn_kit import engine_on

from stratus.transaction.cost import UndoCost, cost_of, cost_of_plan, start_seconds, undo_cost


def pod(created: str, ready: str | None, restarts: int = 0):
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": ready}] if ready else []
    return {
        "metadata": {"name": "p", "creationTimestamp": created},
        "status": {"conditions": conditions, "containerStatuses": [{"restartCount": restarts}]},
    }


def rolled(replicas: int, **spec):
    before = deployment("web", replicas=replicas)
    before["spec"].update(spec)
    after = deployment("web", image="web:2", replicas=replicas)
    return set_image("web", "web:2"), before, after, ""


@pytest.mark.parametrize(
    ("replicas", "spec", "seconds"),
    [
        (1, {}, 10.0),
        (4, {}, 20.0),  # one more and one less at a time
        (10, {}, 20.0),  # three more, two less
        (10, {"strategy": {"type": "Recreate"}}, 10.0),
        (10, {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}}, 100.0),
        (10, {"strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}}, 10.0),
        (2, {"minReadySeconds": 30}, 80.0),
        (0, {}, 0.0),
    ],
)
def test_a_rollout_takes_its_batches_one_after_the_other(replicas, spec, seconds):
    found = undo_cost([rolled(replicas, **spec)], lambda workload: 10.0)
    assert (found.patches, found.rollouts, found.seconds, found.pods) == (1, 1, seconds, replicas)
    assert found.loses == ("names and addresses of the pods that are replaced",)


def test_stateful_sets_and_daemon_sets_go_pod_by_pod():
    before = {"kind": "StatefulSet", "metadata": {}, "spec": {"replicas": 3, "template": {"a": 1}}}
    after = {"kind": "StatefulSet", "metadata": {}, "spec": {"replicas": 3, "template": {"a": 2}}}
    write = request("PATCH", "StatefulSet", "db", {})
    assert undo_cost([(write, before, after, "")], lambda w: 10.0).seconds == 30.0
    before = {
        "kind": "DaemonSet",
        "metadata": {},
        "spec": {"template": {"a": 1}},
        "status": {"desiredNumberScheduled": 5},
    }
    write = request("PATCH", "DaemonSet", "agent", {})
    assert undo_cost([(write, before, {**before, "spec": {"template": {"a": 2}}}, "")], lambda w: 4.0).seconds == 20.0


def test_what_is_scaled_down_has_to_start_again_and_what_is_scaled_up_has_not():
    few, many = deployment("web", replicas=1), deployment("web", replicas=4)
    down = undo_cost([(scale("web", 1), many, few, "")], lambda w: 12.0)
    assert (down.pods, down.seconds, down.rollouts) == (3, 12.0, 0)
    assert down.text() == "1 patch, 3 pods to start, about 15 s, loses nothing"
    up = undo_cost([(scale("web", 4), few, many, "")], lambda w: 12.0)
    assert up == UndoCost(patches=1)
    assert up.text() == "1 patch, loses nothing"


def test_requests_are_counted_by_what_the_undo_does():
    conf = obj("ConfigMap", "conf", data={"a": "b"})
    found = undo_cost(
        [
            (create(obj("ConfigMap", "new")), None, conf, ""),
            (delete("ConfigMap", "conf"), conf, None, "the order of its keys."),
            (set_data("conf", x="y"), conf, conf, ""),
            (set_data("conf", z="y"), conf, conf, ""),  # two changes of one object are one patch
            (delete("Pod", "web-1"), obj("Pod", "web-1"), None, "not identical after an undo: the pod's name"),
        ],
        lambda w: None,
    )
    assert (found.patches, found.creates, found.deletes, found.pods) == (1, 1, 1, 0)
    assert found.text() == (
        "1 patch, 1 create, 1 delete, loses the order of its keys; not identical after an undo: the pod's name"
    )


def test_workloads_roll_side_by_side_and_the_time_is_rounded_up():
    slow = rolled(4)
    other = (slow[0].model_copy(update={"target": ref("Deployment", "other")}), slow[1], slow[2], "")
    found = undo_cost([slow, other], lambda w: 31.0 if w.name == "web" else 3.0)
    assert (found.rollouts, found.seconds) == (2, 62.0)
    assert "2 rollouts of about 70 s" in found.text()
    assert UndoCost().text() == "nothing to send, loses nothing"


def test_start_time_is_that_of_pods_that_came_up_at_once():
    pods = [
        pod("2026-01-05T09:00:00Z", "2026-01-05T09:00:08Z"),
        pod("2026-01-05T09:00:00Z", "2026-01-05T09:00:10Z"),
        pod("2026-01-05T09:00:00Z", "2026-01-05T09:00:12Z"),
        pod("2026-01-05T09:00:00Z", "2026-01-05T11:00:00Z", restarts=3),
        pod("2026-01-05T09:00:00Z", None),
    ]
    assert start_seconds(pods) == 10.0
    assert start_seconds(pods[3:]) is None
    assert start_seconds([]) is None
    assert undo_cost([rolled(1)], lambda w: None).seconds == 15.0  # nobody knows: said, not zero


def test_plan_and_journal_cost_the_same(cluster, journal):
    cluster.put(deployment("web"))
    cluster.put(obj("ConfigMap", "conf", data={"a": "b"}))
    writes = (planned(set_image("web", "web:2")), planned(set_data("conf", a="c")))
    before = [cluster.get(w.write.target) for w in writes]
    engine = engine_on(cluster, journal)
    done = engine.begin("i", "t1", writes, "shop")
    rehearsed = tuple(
        w.model_copy(update={"pre_image": b, "dry_run": r.after})
        for w, b, r in zip(writes, before, done.writes, strict=True)
    )
    found = cost_of(done, lambda w: 10.0)
    assert found == cost_of_plan(rehearsed, lambda w: 10.0)
    assert (found.patches, found.rollouts) == (2, 1)
    assert cost_of(engine.undo("t1", "enough"), lambda w: 10.0) == UndoCost()  # nothing is left to take back
