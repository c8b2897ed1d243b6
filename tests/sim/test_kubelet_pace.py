"""Statuses that wait for their turn, steps that are held back, and probes of a pod on its way out."""

from __future__ import annotations

import random
from typing import Any

import pytest

from stratus.sim.answering import unanswered
from stratus.sim.kubelet.pace import Pace
from stratus.sim.store import Obj

WEB = "registry.local/demo/app:v1"


@pytest.fixture
def lab(lab: Any) -> Any:
    """Return the cluster with the image on every node."""
    lab.control.kubelet.preload(WEB)
    return lab


class Slow(Pace):
    """Lets statuses through at given moments only, seconds from now on; the last for good."""

    def __init__(self, lab: Any, *turns: float, follow: int = 0) -> None:
        self.begin = lab.clock.now()
        self.turns = list(turns)
        self.follow = follow
        self.skipped: list[Obj] = []

    def write(self, pod: Obj, at: float) -> float:
        return max(at, self.begin + self.turns[0]) if self.turns else at

    def wrote(self, pod: Obj, at: float) -> int:
        if self.turns:
            self.turns.pop(0)
        return self.follow

    def passed_over(self, pod: Obj, status: Obj) -> None:
        self.skipped.append(status)


def pod(name: str = "p", **container: Any) -> dict[str, Any]:
    entry = {"name": "c", "image": WEB, **container}
    spec = {"terminationGracePeriodSeconds": 2, "containers": [entry]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def seen(lab: Any) -> list[str]:
    """Return what the pod's container was seen to be, in order."""
    found: list[str] = []
    for _, change in lab.history:
        if change.resource != "pods":
            continue
        for entry in change.object["status"].get("containerStatuses") or ():
            state, detail = next(iter(entry["state"].items()))
            word = str(detail.get("reason", state)) + ("+ready" if entry["ready"] else "")
            if not found or found[-1] != word:
                found.append(word)
    return found


def unhealthy(lab: Any) -> list[str]:
    return [e["message"] for e in lab.events(reason="Unhealthy")]


def web(**probe: Any) -> dict[str, Any]:
    return {"readinessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1, **probe}}


# statuses


def test_at_its_own_pace_every_status_is_seen(lab: Any) -> None:
    lab.apply(pod(**web()))
    lab.advance(5)
    assert seen(lab) == ["ContainerCreating", "running", "running+ready"]


def test_a_status_that_is_replaced_before_its_turn_is_never_seen(lab: Any) -> None:
    lab.control.kubelet.pace = pace = Slow(lab, 3.0)
    lab.apply(pod())
    lab.advance(2.9)
    assert seen(lab) == []
    assert lab.control.kubelet.instance(("default", "p"), "c").running
    lab.advance(2.0)
    assert seen(lab) == ["running+ready"]
    assert [s["phase"] for s in pace.skipped] == ["Pending", "Pending"]


def test_turns_that_follow_at_once_show_one_status_each(lab: Any) -> None:
    lab.control.kubelet.pace = pace = Slow(lab, 3.0, follow=5)
    lab.apply(pod())
    lab.advance(5)
    assert seen(lab) == ["ContainerCreating", "running+ready"]
    assert pace.skipped == []


def test_a_status_that_waits_is_what_the_next_one_is_compared_with(lab: Any) -> None:
    lab.control.kubelet.pace = Slow(lab, 3.0)
    lab.apply(pod())
    lab.advance(2.0)
    lab.control.kubelet.report(lab.get("Pod", "p"))
    lab.control.kubelet.report(lab.get("Pod", "p"))
    assert len(lab.control.kubelet.pods["default", "p"].unwritten) == 3
    lab.advance(3.0)
    assert lab.control.kubelet.pods["default", "p"].unwritten == ()


def test_conditions_of_others_survive_a_status_that_waited(lab: Any) -> None:
    lab.control.kubelet.pace = Slow(lab, 3.0)
    lab.apply(pod())
    lab.advance(2.0)
    target = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
    stored = lab.get("Pod", "p")
    conditions = [*stored["status"]["conditions"], target]
    lab.store.update("pods", {**stored, "status": {**stored["status"], "conditions": conditions}})
    lab.advance(3.0)
    status = lab.get("Pod", "p")["status"]
    assert status["phase"] == "Running"
    assert [c["type"] for c in status["conditions"]].count("DisruptionTarget") == 1


def test_a_deleted_pod_goes_when_its_last_status_is_written(lab: Any) -> None:
    lab.apply(pod())
    lab.advance(5)
    lab.control.kubelet.pace = Slow(lab, 0.0, 4.0)
    lab.delete("Pod", "p")
    lab.advance(3.9)
    assert lab.get("Pod", "p") is not None
    lab.advance(1.0)
    assert lab.get("Pod", "p") is None
    assert seen(lab)[-1] == "Completed"


def test_a_pod_that_is_gone_leaves_no_status_behind(lab: Any) -> None:
    lab.control.kubelet.pace = Slow(lab, 3.0)
    lab.apply(pod())
    lab.advance(2.0)
    lab.delete("Pod", "p", gracePeriodSeconds=0)
    lab.apply(pod())
    lab.control.kubelet.pace = Pace()
    lab.advance(10.0)
    assert lab.get("Pod", "p")["status"]["phase"] == "Running"
    assert lab.control.kubelet.pods["default", "p"].unwritten == ()


def test_a_fork_writes_what_waited_and_leaves_its_origin_alone(lab: Any) -> None:
    lab.control.kubelet.pace = Slow(lab, 3.0)
    lab.apply(pod())
    lab.advance(2.0)
    clock = type(lab.clock)(lab.clock.now())
    store = lab.store.fork(clock, random.Random(1))
    twin = lab.control.fork(store, clock, random.Random(1))
    clock.advance(3.0)
    assert store.get("pods", "default", "p")["status"]["phase"] == "Running"
    assert len(lab.control.kubelet.pods["default", "p"].unwritten) == 3
    assert seen(lab) == []
    twin.close()


# steps


class Held(Pace):
    """Holds one kind of step back by some seconds."""

    def __init__(self, what: str, seconds: float) -> None:
        self.what, self.seconds = what, seconds
        self.due: dict[str, float] = {}

    def _held(self, what: str, at: float) -> float:
        return self.due.setdefault(what, at + self.seconds) if what == self.what else at

    def sandbox(self, pod: Obj, at: float, least: float) -> float:
        return self._held("sandbox", at)

    def start(self, pod: Obj, container: str, at: float) -> float:
        return self._held("start", at)

    def stop(self, pod: Obj, at: float) -> float:
        return self._held("stop", at)


def moment(lab: Any, reason: str) -> float:
    return next(at for at, c in lab.history if c.resource == "events" and c.object["reason"] == reason)


def test_a_sandbox_may_take_long(lab: Any) -> None:
    lab.control.kubelet.pace = Held("sandbox", 4.0)
    lab.apply(pod())
    lab.advance(4.3)
    assert lab.events(reason="Pulled") == []
    lab.advance(1.0)
    assert lab.get("Pod", "p")["status"]["phase"] == "Running"


def test_between_image_and_start_time_may_pass_in_which_no_pass_is_made(lab: Any) -> None:
    lab.control.kubelet.pace = Held("start", 3.0)
    lab.apply(pod())
    lab.advance(2.0)
    assert len(lab.events(reason="Pulled")) == 1
    before = lab.get("Pod", "p")["metadata"]["resourceVersion"]
    lab.control.kubelet.enqueue(("default", "p"))
    lab.control.drain()
    assert lab.get("Pod", "p")["metadata"]["resourceVersion"] == before
    lab.advance(3.0)
    assert moment(lab, "Started") - moment(lab, "Pulled") == pytest.approx(3.0)
    assert [e["count"] for e in lab.events(reason="Pulled")] == [1]
    assert lab.get("Pod", "p")["status"]["phase"] == "Running"


def test_a_container_that_is_killed_while_the_next_is_made_is_not_told_to_have_ended(lab: Any) -> None:
    probe = {"httpGet": {"path": "/nope", "port": 80}, "periodSeconds": 1, "failureThreshold": 1}
    lab.apply(pod(livenessProbe={**probe, "initialDelaySeconds": 4}))
    lab.advance(3.0)
    lab.control.kubelet.pace = Held("start", 3.0)
    lab.advance(4.0)
    assert len(lab.events(reason="Killing")) == 1
    assert [e["count"] for e in lab.events(reason="Started")] == [1]
    lab.advance(2.0)
    assert [e["count"] for e in lab.events(reason="Started")] == [2]
    assert seen(lab) == ["ContainerCreating", "running+ready"]


def test_a_kubelet_may_notice_a_deletion_late(lab: Any) -> None:
    lab.apply(pod())
    lab.advance(5)
    lab.control.kubelet.pace = Held("stop", 1.5)
    lab.delete("Pod", "p")
    lab.advance(1.4)
    assert lab.events(reason="Killing") == []
    lab.advance(4.0)
    assert lab.get("Pod", "p") is None
    assert moment(lab, "Killing") == pytest.approx(6.5)


# probes


def test_no_probe_before_the_status_knows_that_the_container_runs(lab: Any) -> None:
    # The worker's beat, a second from the pod's arrival on, comes 10 ms after the start.
    class Timed(Pace):
        def sandbox(self, pod: Obj, at: float, least: float) -> float:
            return begun + 0.99

    begun = lab.clock.now()
    lab.control.kubelet.pace = Timed()
    lab.apply(pod(**web()))
    lab.advance(5)
    assert seen(lab) == ["ContainerCreating", "running", "running+ready"]


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (-0.1, []),
        (0.05, ["connection refused"]),
        (0.25, ["connection refused"]),
        (0.45, ["context deadline exceeded"]),
        (0.55, []),
    ],
)
def test_a_last_probe_is_refused_and_hangs_once_the_network_is_gone(
    lab: Any, offset: float, expected: list[str]
) -> None:
    class Timed(Pace):
        """The end of a stopped pod is told half a second after it was deleted."""

        def notice(self, pod: Obj, at: float, least: float, waiting: int = 0) -> float:
            return max(at, deleted + 0.5)

    lab.apply(pod(**web(periodSeconds=10)))
    lab.advance(5)
    worker = lab.control.kubelet.pods["default", "p"].containers["c"].probes["readiness"]
    deleted = worker.base + 10.0 - offset
    lab.control.kubelet.pace = Timed()
    lab.advance(deleted - lab.clock.now())
    lab.delete("Pod", "p")
    lab.advance(4.0)
    assert lab.get("Pod", "p") is None
    assert len(unhealthy(lab)) == len(expected)
    assert all(text in message for text, message in zip(expected, unhealthy(lab), strict=True))


def test_a_probe_that_hangs_is_told_when_its_time_is_over_though_the_pod_is_gone(lab: Any) -> None:
    lab.apply(pod(**web(periodSeconds=10, timeoutSeconds=3)))
    lab.advance(5)
    stored = lab.get("Pod", "p")
    lab.control.kubelet.prober._hangs(
        stored, stored["spec"]["containers"][0], lab.control.kubelet.pods["default", "p"].containers["c"], "readiness"
    )
    lab.delete("Pod", "p", gracePeriodSeconds=0)
    lab.advance(2.9)
    assert unhealthy(lab) == []
    lab.advance(0.2)
    (event,) = lab.events(reason="Unhealthy")
    assert event["message"].startswith("Readiness probe failed: Get")
    assert event["involvedObject"]["fieldPath"] == "spec.containers{c}"
    assert lab.control.kubelet.prober.hanging == {}


def test_a_probe_that_hangs_is_told_nowhere_when_its_namespace_is_gone(lab: Any) -> None:
    lab.request("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}})
    lab.apply(pod(**web(periodSeconds=10)), "n")
    lab.advance(5)
    stored = lab.get("Pod", "p", "n")
    lab.control.kubelet.prober._hangs(
        stored, stored["spec"]["containers"][0], lab.control.kubelet.pods["n", "p"].containers["c"], "readiness"
    )
    lab.store.delete("namespaces", "", "n")
    lab.advance(3)
    assert [e for e in lab.store.list("events", "n") if e["reason"] == "Unhealthy"] == []


def test_what_nobody_answers_reads_as_the_protocol_has_it() -> None:
    found = {"status": {"podIP": "10.244.1.2"}}
    container = {"ports": [{"name": "web", "containerPort": 80}]}
    get = {"httpGet": {"path": "healthz", "port": "web", "scheme": "HTTPS"}}
    assert unanswered(found, container, get) == (
        'Get "https://10.244.1.2:80/healthz": context deadline exceeded '
        "(Client.Timeout exceeded while awaiting headers)"
    )
    assert unanswered(found, container, {"tcpSocket": {"port": 80}}) == "dial tcp 10.244.1.2:80: i/o timeout"
    assert unanswered(found, container, {"grpc": {"port": 80}, "timeoutSeconds": 2}) == (
        'timeout: failed to connect service "10.244.1.2:80" within 2s: context deadline exceeded'
    )
    assert unanswered(found, container, {"exec": {"command": ["true"]}}) == ""
