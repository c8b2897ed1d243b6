"""Alerts: they wait, fire, keep their start, and end."""

from __future__ import annotations

import random
from typing import Any

import pytest

from stratus.kit.clock import VirtualClock, iso
from stratus.sim.apps.figures import ServiceFigures, Tick, UseFigures
from stratus.sim.store import Store
from stratus.sim.telemetry.alerting import Alerting
from stratus.sim.telemetry.history import History
from stratus.sim.telemetry.rules import parse_rules

START = 1_000_000.0


class Scene:
    """Rules over a store and a history that a test fills by hand."""

    def __init__(self, rules: str) -> None:
        self.clock = VirtualClock(START)
        self.store = Store(self.clock, random.Random(0))
        self.history = History()
        self.alerting = Alerting(parse_rules(f"rules:\n  - {{{rules}}}\n", "x"), self.store, self.history)

    def go(self, seconds: float = 15.0) -> list[Any]:
        self.clock.advance(seconds)
        self.alerting.evaluate(self.clock.now())
        return self.alerting.firing(self.clock.now())

    def traffic(self, rate: float, errors: float = 0.0, p95: float = 0.1, *, ticks: int = 3) -> list[Any]:
        for _ in range(ticks):
            self.clock.advance(5.0)
            services = {("ns", "web"): ServiceFigures(rate, errors, p95, 2 * p95)} if rate else {}
            use = (UseFigures("ns", "web-1", "web", 0.1, 0.1, errors, 1.0, 0.0),)
            self.history.add(Tick(self.clock.now(), 5.0, services, {}, use))
        return self.go(0.0)

    def pod(self, phase: str = "Running", *, ready: bool = True, **status: Any) -> None:
        conditions = [{"type": "Ready", "status": "True" if ready else "False"}, *status.pop("conditions", [])]
        obj = {
            "metadata": {"name": "web-1", "namespace": "ns", "uid": "u"},
            "spec": {},
            "status": {"phase": phase, "conditions": conditions, **status},
        }
        if self.store.get("pods", "ns", "web-1") is None:
            self.store.create("pods", obj)
        else:
            self.store.update("pods", obj)


def test_an_alert_fires_once_its_condition_has_held_long_enough_and_ends_with_it() -> None:
    scene = Scene("alert: E, over: requests, figure: error_rate, above: 0.1, window: 30, for: 30, severity: critical")
    assert scene.traffic(10, 0.0) == []
    assert scene.traffic(10, 0.9) == []
    began = scene.clock.now()
    assert scene.traffic(10, 0.9) == []
    (alert,) = scene.traffic(10, 0.9)
    assert alert.name == "E"
    assert alert.severity == "critical"
    assert alert.labels == {"alertname": "E", "namespace": "ns", "service": "web", "severity": "critical"}
    assert alert.starts_at == began
    (later,) = scene.traffic(10, 0.9)
    assert later.starts_at == began
    assert later.fingerprint == alert.fingerprint
    scene.traffic(10, 0.0)
    assert scene.traffic(10, 0.0) == []


def test_a_condition_that_is_interrupted_starts_anew() -> None:
    scene = Scene("alert: L, over: requests, figure: p95, above: 1, window: 15, for: 20")
    assert scene.traffic(10, p95=2) == []
    assert scene.traffic(10, p95=0.1) == []
    assert scene.traffic(10, p95=2) == []
    assert scene.traffic(10, p95=2) == []
    assert len(scene.traffic(10, p95=2)) == 1


def test_little_traffic_says_nothing_about_errors() -> None:
    scene = Scene("alert: E, over: requests, figure: error_rate, above: 0.1, window: 15, min_rate: 1")
    assert scene.traffic(0.5, 1.0) == []
    assert len(scene.traffic(5, 1.0)) == 1


def test_traffic_that_stops_is_noticed_only_where_there_was_some() -> None:
    scene = Scene("alert: N, over: requests, figure: rate, below: 0.001, window: 30")
    assert scene.traffic(0, ticks=6) == []
    assert scene.traffic(10) == []
    assert scene.traffic(0) == []
    (alert,) = scene.traffic(0, ticks=6)
    assert alert.service == "web"


@pytest.mark.parametrize(
    ("condition", "pod", "held"),
    [
        ("failed", {"phase": "Failed"}, True),
        ("failed", {"phase": "Running"}, False),
        ("pending", {"phase": "Pending", "ready": False}, True),
        ("not-ready", {"ready": False}, True),
        ("not-ready", {"phase": "Succeeded", "ready": False}, False),
        ("not-ready", {}, False),
        (
            "unschedulable",
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"}]},
            True,
        ),
    ],
)
def test_conditions_of_pods(condition: str, pod: dict[str, Any], held: bool) -> None:
    scene = Scene(f"alert: P, over: pods, condition: {condition}")
    scene.pod(**pod)
    found = scene.go()
    assert bool(found) is held
    if held:
        assert found[0].labels["pod"] == "web-1"


def container(**state: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "web", **state}]}


def test_conditions_of_containers() -> None:
    waiting = Scene("alert: W, over: containers, condition: waiting")
    waiting.pod(ready=False, **container(state={"waiting": {"reason": "ContainerCreating"}}))
    assert waiting.go() == []
    waiting.pod(ready=False, **container(state={"waiting": {"reason": "ImagePullBackOff"}}))
    (alert,) = waiting.go()
    assert alert.labels["container"] == "web"


def test_a_crash_loop_is_remembered_between_its_restarts() -> None:
    scene = Scene("alert: C, over: containers, condition: crash-looping, window: 60")
    scene.pod(ready=False, **container(state={"waiting": {"reason": "CrashLoopBackOff"}}))
    assert len(scene.go()) == 1
    scene.pod(**container(state={"running": {}}))
    assert len(scene.go(45)) == 1
    assert scene.go(45) == []


def test_a_kill_for_want_of_memory_is_told_for_a_while() -> None:
    scene = Scene("alert: O, over: containers, condition: oom-killed, window: 60")
    ended = {"terminated": {"reason": "OOMKilled", "finishedAt": iso(START)}}
    scene.pod(**container(state={"running": {}}, lastState=ended))
    assert len(scene.go(30)) == 1
    assert scene.go(60) == []


def test_throttling_comes_from_the_last_tick() -> None:
    scene = Scene("alert: T, over: containers, condition: throttled, above: 0.25")
    assert scene.traffic(1, errors=0.2) == []
    (alert,) = scene.traffic(1, errors=0.9)
    assert alert.labels["container"] == "web"


@pytest.mark.parametrize(
    ("condition", "wanted", "available", "held"),
    [
        ("replicas-mismatch", 3, 2, True),
        ("replicas-mismatch", 3, 3, False),
        ("none-available", 1, 0, True),
        ("none-available", 0, 0, False),
        ("none-available", 2, 1, False),
    ],
)
def test_conditions_of_deployments(condition: str, wanted: int, available: int, held: bool) -> None:
    scene = Scene(f"alert: D, over: deployments, condition: {condition}, description: '{{deployment}}: {{value}}'")
    status = {"availableReplicas": available} if available else {}
    obj = {"metadata": {"name": "web", "namespace": "ns"}, "spec": {"replicas": wanted}, "status": status}
    scene.store.create("deployments.apps", obj)
    found = scene.go()
    assert bool(found) is held
    if held:
        assert found[0].annotations["description"] == f"web: {available} of {wanted}"


def test_a_copy_goes_on_where_the_original_was() -> None:
    scene = Scene("alert: P, over: pods, condition: pending, for: 30")
    scene.pod("Pending", ready=False)
    scene.go()
    began = scene.clock.now()
    twin = Alerting(scene.alerting.rules, scene.store, scene.history)
    twin.copy_state(scene.alerting)
    twin.evaluate(began + 30)
    (alert,) = twin.firing(began + 30)
    assert alert.starts_at == began
    assert scene.alerting.firing(began + 15) == []


def test_a_node_that_is_not_ready_is_told_without_a_namespace() -> None:
    scene = Scene("alert: N, over: nodes, condition: node-not-ready, for: 30")
    for name, status in (("a", "True"), ("b", "Unknown")):
        conditions = [{"type": "Ready", "status": status}]
        scene.store.create("nodes", {"metadata": {"name": name}, "spec": {}, "status": {"conditions": conditions}})
    assert scene.go() == []
    (alert,) = scene.go(30)
    assert alert.labels["node"] == "b"
    assert alert.namespace == ""
