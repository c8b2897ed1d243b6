"""How containers and pods end: hooks, grace periods, the order of sidecars, restart rules, last words, refusals."""

from __future__ import annotations

from typing import Any

import pytest


def sh(script: str) -> dict[str, Any]:
    return {"command": ["sh", "-c", script]}


def pod(*containers: dict[str, Any], name: str = "p", **spec: Any) -> dict[str, Any]:
    entries = [{"name": f"c{n}", "image": "busybox:1.36", **c} for n, c in enumerate(containers)]
    meta = {"name": name, "labels": {"app": name}, **spec.pop("metadata", {})}
    spec.setdefault("terminationGracePeriodSeconds", 10)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": entries, **spec}}


def statuses(lab: Any, name: str = "p") -> dict[str, dict[str, Any]]:
    found = lab.get("Pod", name)["status"]
    entries = [*found.get("initContainerStatuses", ()), *found.get("containerStatuses", ())]
    return {c["name"]: c for c in entries}


def said(lab: Any, *reasons: str) -> list[tuple[str, str]]:
    return [(e["reason"], e["message"]) for e in lab.events() if e["reason"] in reasons]


def ends(lab: Any) -> dict[str, float]:
    """Return when each container was first seen to have ended."""
    found: dict[str, float] = {}
    for at, change in lab.history:
        if change.resource == "pods":
            status = change.object["status"]
            for entry in [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]:
                if "terminated" in entry["state"]:
                    found.setdefault(entry["name"], at)
    return found


def test_a_post_start_hook_that_fails(lab: Any) -> None:
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "echo no luck; exit 4"]}}}
    lab.apply(pod({**sh("trap 'exit 0' TERM; sleep 1000"), "lifecycle": hook}))
    lab.advance(2)
    assert said(lab, "FailedPostStartHook", "Killing")[:2] == [
        ("FailedPostStartHook", "PostStartHook failed"),
        ("Killing", "FailedPostStartHook"),
    ]
    lab.advance(8)
    entry = statuses(lab)["c0"]
    assert entry["restartCount"] >= 1
    assert not entry["ready"]
    waiting = [
        c.object["status"]["containerStatuses"][0]["state"]["waiting"]
        for _, c in lab.history
        if c.resource == "pods"
        and "waiting" in (c.object["status"].get("containerStatuses") or [{"state": {}}])[0]["state"]
    ]
    shown = next(w for w in waiting if w["reason"] == "PostStartHookError")
    assert "command 'sh -c echo no luck; exit 4' exited with 4" in shown["message"]
    lab.advance(60)
    assert any(e["reason"] == "BackOff" for e in lab.events())


def test_a_post_start_hook_holds_the_next_container_and_the_status(lab: Any) -> None:
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "sleep 5; echo ready > /tmp/warm"]}}}
    lab.apply(pod({"image": "nginx:1.25", "lifecycle": hook}, sh("sleep 1000")))
    lab.advance(4)
    assert [c["state"]["waiting"]["reason"] for c in statuses(lab).values()] == ["ContainerCreating"] * 2
    assert len(lab.events(reason="Started")) == 1
    lab.advance(6)
    assert len(lab.events(reason="Started")) == 2
    assert lab.get("Pod", "p")["status"]["phase"] == "Running"
    assert lab.exec("p", ["cat", "/tmp/warm"], container="c0").stdout == "ready\n"


def test_a_pre_stop_hook_takes_its_time_from_the_grace_period(lab: Any) -> None:
    hook = {"preStop": {"sleep": {"seconds": 5}}}
    lab.apply(pod({**sh("trap 'exit 0' TERM; sleep 1000"), "lifecycle": hook}))
    lab.advance(3)
    begin = lab.clock.now()
    lab.delete("Pod", "p")
    while lab.get("Pod", "p") is not None:
        lab.advance(0.1)
    assert 5.0 <= lab.clock.now() - begin <= 6.5


def test_sigkill_never_comes_at_once(lab: Any) -> None:
    hook = {"preStop": {"sleep": {"seconds": 10}}}
    lab.apply(pod({**sh("trap '' TERM; sleep 1000"), "lifecycle": hook}, terminationGracePeriodSeconds=10))
    lab.advance(3)
    begin = lab.clock.now()
    lab.delete("Pod", "p")
    while lab.get("Pod", "p") is not None:
        lab.advance(0.1)
    # The hook has used the whole grace period up; two seconds are left all the same.
    assert 12.0 <= lab.clock.now() - begin <= 13.5


def test_a_pre_stop_hook_that_fails_is_told_and_no_more(lab: Any) -> None:
    hook = {"preStop": {"exec": {"command": ["false"]}}}
    lab.apply(pod({**sh("trap 'exit 0' TERM; sleep 1000"), "lifecycle": hook}))
    lab.advance(3)
    lab.delete("Pod", "p")
    assert said(lab, "FailedPreStopHook") == [("FailedPreStopHook", "PreStopHook failed")]
    lab.advance(3)
    assert lab.get("Pod", "p") is None


def test_sidecars_end_last_and_in_reverse(lab: Any) -> None:
    slow = sh("trap 'sleep 3; exit 0' TERM; while true; do sleep 1; done")
    sidecars = [{"name": name, "image": "nginx:1.25", "restartPolicy": "Always"} for name in ("first", "second")]
    lab.apply(pod({"image": "nginx:1.25"}, slow, initContainers=sidecars, terminationGracePeriodSeconds=30))
    lab.advance(10)
    assert statuses(lab)["second"]["state"].get("running")
    lab.history.clear()
    lab.delete("Pod", "p")
    assert len(said(lab, "Killing")) == 4
    kubelet = lab.control.kubelet
    gone: list[str] = []
    for _ in range(400):
        lab.advance(0.1)
        state = kubelet.pods.get(("default", "p"))
        if state is None:
            break
        for name, container in state.containers.items():
            if container.running is None and name not in gone:
                gone.append(name)
    assert gone[-2:] == ["second", "first"]
    assert set(gone[:2]) == {"c0", "c1"}


def test_rules_of_a_container_come_before_the_policy_of_its_pod(lab: Any) -> None:
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
    again = {**sh("exit 42"), "restartPolicy": "Never", "restartPolicyRules": rules}
    once = {**sh("exit 43"), "restartPolicy": "Never", "restartPolicyRules": rules}
    keep = sh("sleep 1000")
    lab.store.create(
        "pods",
        lab.control.admit_pod(
            {**pod(again, once, keep, restartPolicy="Never"), "metadata": {"name": "p", "namespace": "default"}}
        ),
    )
    lab.control.drain()
    lab.advance(60)
    found = statuses(lab)
    assert found["c0"]["restartCount"] >= 2
    assert (found["c1"]["restartCount"], found["c1"]["state"]["terminated"]["exitCode"]) == (0, 43)
    assert lab.get("Pod", "p")["status"]["phase"] == "Running"


@pytest.mark.parametrize(
    ("container", "message"),
    [
        (sh("echo bye > /dev/termination-log; exit 3"), "bye\n"),
        ({**sh("echo why > /tmp/end; exit 3"), "terminationMessagePath": "/tmp/end"}, "why\n"),
        (
            {**sh("echo one; echo two >&2; exit 3"), "terminationMessagePolicy": "FallbackToLogsOnError"},
            "one\ntwo\n",
        ),
        (sh("echo nothing to read; exit 3"), ""),
    ],
)
def test_last_words(lab: Any, container: dict[str, Any], message: str) -> None:
    lab.apply(pod(container, restartPolicy="Never"))
    lab.advance(5)
    ended = statuses(lab)["c0"]["state"]["terminated"]
    assert (ended["exitCode"], ended.get("message", "")) == (3, message)


def test_a_node_refuses_what_it_cannot_have(lab: Any) -> None:
    big = {**sh("sleep 1000"), "resources": {"requests": {"cpu": "8"}}}
    lab.apply(pod(big, name="big", nodeName="node1"))
    lab.advance(1)
    status = lab.get("Pod", "big")["status"]
    text = "Node didn't have enough resource: cpu, requested: 8000, used: 0, capacity: 4000"
    assert (status["phase"], status["reason"], status["message"]) == ("Failed", "OutOfcpu", f"Pod was rejected: {text}")
    assert said(lab, "OutOfcpu") == [("OutOfcpu", text)]
    lab.apply(pod(sh("sleep 1000"), name="picky", nodeName="node1", nodeSelector={"disk": "ssd"}))
    lab.advance(1)
    status = lab.get("Pod", "picky")["status"]
    assert (status["reason"], status["message"]) == (
        "NodeAffinity",
        "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
    )
    lab.apply(pod(sh("sleep 1000"), name="fine", nodeName="node1"))
    lab.advance(3)
    assert lab.get("Pod", "fine")["status"]["phase"] == "Running"


def test_an_exec_probe_that_cannot_be_made_counts_neither_way(lab: Any) -> None:
    probe = {"exec": {"command": ["no-such-probe"]}, "periodSeconds": 1, "failureThreshold": 1}
    lab.apply(pod({**sh("sleep 1000"), "livenessProbe": probe}))
    lab.advance(20)
    assert statuses(lab)["c0"]["restartCount"] == 0
    texts = [e["message"] for e in lab.events(reason="Unhealthy")]
    assert texts[0].startswith(
        "Liveness probe errored and resulted in unknown state: rpc error: code = Unknown desc = failed to exec in "
    )
    assert texts[0].endswith('exec: "no-such-probe": executable file not found in $PATH: unknown')


def test_a_probe_may_give_less_time_than_its_pod(lab: Any) -> None:
    probe = {
        "exec": {"command": ["false"]},
        "periodSeconds": 2,
        "failureThreshold": 1,
        "terminationGracePeriodSeconds": 3,
    }
    lab.apply(pod({**sh("trap '' TERM; sleep 1000"), "livenessProbe": probe}, terminationGracePeriodSeconds=600))
    lab.advance(7)
    assert statuses(lab)["c0"]["restartCount"] == 1
    assert statuses(lab)["c0"]["lastState"]["terminated"]["exitCode"] == 137


def test_a_deadline_is_told_each_time_the_status_is_worked_out(lab: Any) -> None:
    lab.apply(pod(sh("trap '' TERM; sleep 1000"), activeDeadlineSeconds=5, terminationGracePeriodSeconds=2))
    lab.advance(20)
    status = lab.get("Pod", "p")["status"]
    text = "Pod was active on the node longer than the specified deadline"
    assert (status["phase"], status["reason"], status["message"]) == ("Failed", "DeadlineExceeded", text)
    (event,) = lab.events(reason="DeadlineExceeded")
    assert event["count"] == 4


def test_a_container_for_debugging_runs_once_beside_the_others(lab: Any) -> None:
    lab.apply(pod({"image": "nginx:1.25"}))
    lab.advance(5)
    extra = {"name": "dbg", "image": "busybox:1.36", **sh("sleep 5")}
    target = lab.path("Pod", "default", "p") + "/ephemeralcontainers"
    lab.request(
        "PATCH",
        target,
        {"spec": {"ephemeralContainers": [extra]}},
        kind="application/strategic-merge-patch+json",
    )
    lab.advance(3)
    (status,) = lab.get("Pod", "p")["status"]["ephemeralContainerStatuses"]
    assert "running" in status["state"]
    assert (status["ready"], status["restartCount"], "started" in status) == (False, 0, False)
    assert lab.get("Pod", "p")["status"]["conditions"][2]["status"] == "True"
    (event,) = [e for e in lab.events(reason="Started") if "dbg" in e["involvedObject"].get("fieldPath", "")]
    assert event["involvedObject"]["fieldPath"] == "spec.ephemeralContainers{dbg}"
    lab.advance(30)
    (status,) = lab.get("Pod", "p")["status"]["ephemeralContainerStatuses"]
    assert status["state"]["terminated"]["reason"] == "Completed"
    assert lab.get("Pod", "p")["status"]["phase"] == "Running"


def test_pull_secrets_that_are_not_there_are_missed(lab: Any) -> None:
    lab.apply(pod(sh("sleep 1000"), imagePullSecrets=[{"name": "gone"}, {"name": "lost"}]))
    lab.advance(5)
    (event,) = lab.events(reason="FailedToRetrieveImagePullSecret")
    assert (event["type"], event["message"]) == (
        "Warning",
        "Unable to retrieve some image pull secrets (gone, lost); attempting to pull the image may not succeed.",
    )
    assert lab.get("Pod", "p")["status"]["phase"] == "Running"


@pytest.mark.parametrize(
    ("context", "why"),
    [
        ({"runAsNonRoot": True}, "container has runAsNonRoot and image will run as root"),
        ({"runAsNonRoot": True, "runAsUser": 0}, "container's runAsUser breaks non-root policy"),
    ],
)
def test_root_where_it_must_not_be(lab: Any, context: dict[str, Any], why: str) -> None:
    lab.apply(pod({"image": "nginx:1.25"}, securityContext=context))
    lab.apply(pod({"image": "nginx:1.25", "securityContext": {"runAsUser": 101}}, name="fine", securityContext=context))
    lab.advance(5)
    waiting = statuses(lab)["c0"]["state"]["waiting"]
    uid = lab.get("Pod", "p")["metadata"]["uid"]
    text = f'{why} (pod: "p_default({uid})", container: c0)'
    assert (waiting["reason"], waiting["message"]) == ("CreateContainerConfigError", text)
    assert ("Failed", f"Error: {text}") in said(lab, "Failed")
    assert lab.get("Pod", "fine")["status"]["phase"] == "Running"


def ready(lab: Any) -> tuple[str, str, str]:
    found = next(c for c in lab.get("Pod", "p")["status"]["conditions"] if c["type"] == "Ready")
    return found["status"], found.get("reason", ""), found.get("message", "")


def test_readiness_gates(lab: Any) -> None:
    lab.apply(pod({"image": "nginx:1.25"}, readinessGates=[{"conditionType": "example.com/gate"}]))
    lab.advance(5)
    assert ready(lab) == (
        "False",
        "ReadinessGatesNotReady",
        'corresponding condition of pod readiness gate "example.com/gate" does not exist.',
    )
    for value, expected in (
        (
            "False",
            (
                "False",
                "ReadinessGatesNotReady",
                'the status of pod readiness gate "example.com/gate" is not "True", but False',
            ),
        ),
        ("True", ("True", "", "")),
    ):
        gate = {"type": "example.com/gate", "status": value}
        target = lab.path("Pod", "default", "p") + "/status"
        body = {"status": {"conditions": [gate]}}
        lab.request("PATCH", target, body, kind="application/strategic-merge-patch+json")
        lab.advance(1)
        assert ready(lab) == expected


def test_a_plain_web_server_is_no_grpc_server(lab: Any) -> None:
    probe = {"grpc": {"port": 80}, "periodSeconds": 1, "failureThreshold": 2}
    lab.apply(pod({"image": "nginx:1.25", "readinessProbe": probe}))
    lab.advance(5)
    assert ready(lab)[0] == "False"
    text = lab.events(reason="Unhealthy")[0]["message"]
    assert text.startswith('Readiness probe failed: timeout: failed to connect service "')
    assert text.endswith(':80" within 1s: context deadline exceeded')


def test_a_pod_on_a_node_that_never_was_is_removed(lab: Any) -> None:
    lab.apply(pod(sh("sleep 1"), nodeName="nowhere"))
    lab.advance(30)
    assert lab.get("Pod", "p")["status"]["phase"] == "Pending"
    lab.advance(30)
    assert lab.get("Pod", "p") is None
