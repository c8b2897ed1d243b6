"""Alerts: they wait, fire, keep their start, and end; asked for early or late, they are the same."""

from __future__ import annotations

import random
from typing import Any

import pytest

from stratus.kit.clock import VirtualClock
from stratus.sim.apps.figures import Tick
from stratus.sim.apps.runtime import AppRuntime
from stratus.sim.cluster import EmbeddedCluster
from stratus.sim.registry import ImageRegistry
from stratus.sim.store import Store
from stratus.sim.telemetry.alerting import Active
from stratus.sim.telemetry.history import History
from stratus.sim.telemetry.observatory import Observatory
from stratus.sim.telemetry.rules import parse_rules

START = 1_000_005.0


class Scene:
    """Rules over a store that a test fills by hand."""

    def __init__(self, rule: str) -> None:
        self.clock = VirtualClock(START)
        self.store = Store(self.clock, random.Random(0))
        self.history = History()
        rules = parse_rules(f"groups: [{{name: g, rules: [{rule}]}}]", "x")
        runtime = AppRuntime(ImageRegistry())
        self.seen = Observatory(rules, self.store, self.history, runtime, self.clock.now, START)

    def go(self, seconds: float = 15.0) -> list[Active]:
        self.clock.advance(seconds)
        return list(self.seen.alerting.active(self.clock.now()))

    def states(self, seconds: float = 15.0) -> list[str]:
        return [a.state for a in self.go(seconds)]

    def replicas(self, count: int, name: str = "web") -> None:
        obj = {"metadata": {"name": name, "namespace": "ns"}, "spec": {"replicas": 2}, "status": {"replicas": count}}
        if self.store.get("deployments.apps", "ns", name) is None:
            self.store.create("deployments.apps", obj)
        else:
            self.store.update("deployments.apps", obj)


LOW = "expr: 'sum by (namespace, deployment) (kube_deployment_status_replicas) < 2'"


def test_an_alert_fires_once_its_condition_has_held_long_enough_and_ends_with_it() -> None:
    scene = Scene("{alert: Low, " + LOW + ", for: 30s, labels: {severity: critical, much: '{{ $value }}'}}")
    scene.replicas(2)
    assert scene.states() == []
    scene.replicas(1)
    assert scene.states() == ["pending"]
    assert scene.states() == ["pending"]
    (alert,) = scene.go()
    assert alert.state == "firing"
    assert dict(alert.labels) == {
        "alertname": "Low", "namespace": "ns", "deployment": "web", "severity": "critical", "much": "1",
    }  # fmt: skip
    assert alert.since == START + 30 - (START % 15)
    (later,) = scene.go(60)
    assert (later.since, later.fired, later.labels) == (alert.since, alert.fired, alert.labels)
    scene.replicas(2)
    assert scene.states() == []


def test_a_condition_that_is_interrupted_starts_anew() -> None:
    scene = Scene("{alert: Low, " + LOW + ", for: 30s}")
    for count, states in ((1, ["pending"]), (1, ["pending"]), (2, []), (1, ["pending"]), (1, ["pending"])):
        scene.replicas(count)
        assert scene.states() == states
    assert scene.states() == ["firing"]


def test_an_alert_may_go_on_for_a_while_after_its_condition() -> None:
    scene = Scene("{alert: Low, " + LOW + ", keep_firing_for: 40s}")
    scene.replicas(1)
    assert scene.states() == ["firing"]
    scene.replicas(2)
    assert [scene.states() for _ in range(4)] == [["firing"], ["firing"], [], []]


def test_every_series_has_an_alert_of_its_own() -> None:
    scene = Scene("{alert: Low, " + LOW + "}")
    scene.replicas(1, "a")
    scene.replicas(0, "b")
    assert {(dict(a.labels)["deployment"], a.value) for a in scene.go()} == {("a", 1.0), ("b", 0.0)}
    scene.store.delete("deployments.apps", "ns", "a")
    assert [dict(a.labels)["deployment"] for a in scene.go()] == ["b"]


def test_a_rule_that_cannot_be_evaluated_is_told_and_the_others_go_on() -> None:
    bad = "{alert: Bad, expr: 'up + on () group_left () kube_deployment_status_replicas'}"
    scene = Scene(bad + ", {alert: Low, " + LOW + "}")
    scene.store.create("nodes", {"metadata": {"name": "n"}, "spec": {}, "status": {}})
    scene.replicas(1, "a")
    scene.replicas(1, "b")
    scene.history.add(Tick(START, 5.0, {}, {}, ()))
    assert {a.rule.alert for a in scene.go()} == {"Low"}
    assert "many-to-many" in scene.seen.alerting.errors["g", 0]


def test_groups_are_evaluated_in_their_interval() -> None:
    scene = Scene("{alert: Low, " + LOW + "}")
    group = scene.seen.rules.groups[0].model_copy(update={"interval": 60.0})
    scene.seen.rules = scene.seen.rules.model_copy(update={"groups": (group,)})
    scene.replicas(1)
    found = [bool(scene.states()) for _ in range(5)]
    assert found.index(True) == [(START + 15 * n) // 60 > START // 60 for n in range(1, 6)].index(True)


def history(cluster: EmbeddedCluster) -> list[Any]:
    alerts = [
        (a.labels, a.state, a.since, a.fired, a.value) for a in cluster.observatory.alerting.active(_now(cluster))
    ]
    series = cluster.observatory.engine.instant("count_over_time(ALERTS[1h])", _now(cluster)).values()
    return [alerts, sorted((sorted(labels.items()), value) for labels, value in series)]


def _now(cluster: EmbeddedCluster) -> float:
    return cluster.clock.now()


def test_asking_often_late_or_in_a_copy_gives_the_same_alerts(hotel: EmbeddedCluster) -> None:
    with hotel.fork() as often, hotel.fork() as late:
        for cluster in (often, late):
            cluster.inject("wrong-target-port")
        copies = []
        for _ in range(22):
            often.advance(13)
            list(often.observatory.alerting.active(_now(often)))
            if len(copies) < 1 and _now(often) - _now(hotel) > 150:
                copies.append(often.fork())
        late.advance(22 * 13)
        (copy,) = copies
        with copy:
            copy.advance(_now(often) - _now(copy))
            assert history(often) == history(late) == history(copy)
        assert any(state == "firing" for _, state, *_ in history(late)[0])


def test_nothing_is_worked_out_while_nobody_asks(hotel: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    from stratus.sim.telemetry.recorder import Recorder

    def never(*_: Any) -> None:
        raise AssertionError("somebody looked")

    with hotel.fork() as cluster:
        monkeypatch.setattr(Recorder, "catch_up", never)
        cluster.inject("wrong-target-port")
        cluster.advance(300)
        monkeypatch.undo()
        assert list(cluster.observatory.alerting.active(_now(cluster)))
