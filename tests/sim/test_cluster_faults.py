"""Every shipped fault shows, raises the alerts it names, blames what is there, and can be taken back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stratus.sim.apps.loader import load_application
from stratus.sim.cluster import EmbeddedCluster
from stratus.sim.faults.engine import FaultEngine

NS = "hotel-reservation"
FAULTS = [f for f in FaultEngine.load(load_application(NS)).known() if not f.id.startswith("any-")]


@pytest.fixture(scope="module")
def base() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster() as cluster:
        yield cluster


@pytest.fixture
def hotel(base: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    with base.fork() as cluster:
        yield cluster


def firing(cluster: EmbeddedCluster) -> set[str]:
    alerts = cluster.telemetry().alerts
    assert alerts is not None
    return {a.name for a in alerts.firing()}


def test_there_are_enough_of_them() -> None:
    assert len([f for f in FAULTS if f.alerts]) >= 18


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.id)
def test_a_fault_raises_its_alerts_and_healing_clears_them(hotel: EmbeddedCluster, fault) -> None:  # type: ignore[no-untyped-def]
    hotel.inject(fault.id)
    seen: set[str] = set()
    for _ in range(24):
        hotel.advance(15)
        seen |= firing(hotel)
    assert not set(fault.alerts) - seen
    assert not hotel.faulting.active[fault.id].problems
    truth = fault.expected()
    if truth is not None:
        kind, _, name = truth.object.partition("/")
        gone = any(s["do"] == "delete" and s["name"] == name for s in fault.steps)
        assert (hotel.faulting.hands.find(kind, NS, name) is None) is gone
    if fault.alerts:
        assert fault.truth is not None
    else:
        assert not seen
    hotel.heal(fault.id)
    hotel.advance(420)
    assert firing(hotel) == set()
    assert hotel.injected() == ()


def test_the_misleading_rollout_is_misleading(hotel: EmbeddedCluster) -> None:
    """The suspect serves as well as before, rolling it back hurts, and more CPU for the real culprit heals."""
    hotel.inject("misleading-rollout")
    hotel.advance(150)
    hands = hotel.faulting.hands
    sources = hotel.telemetry()
    assert sources.traces is not None
    assert sources.metrics is not None
    now = hotel.clock.now()
    slowest = max(sources.traces.edges((NS,), now - 60, now), key=lambda e: e.self_time_p99)
    assert slowest.callee == "rate"
    throttled = [u.pod for u in sources.metrics.usage((NS,), now) if (u.throttled or 0) > 0.5]
    assert [p.rsplit("-", 2)[0] for p in throttled] == ["mongodb-rate"]

    image = {"spec": {"containers": [{"name": "hotel-reserv-rate", "image": "yinfangchen/hotelreservation:v1.4.0"}]}}
    with hotel.fork() as rolled_back:
        rolled_back.faulting.hands.patch(
            "Deployment", NS, "rate", {"spec": {"template": image}}, "application/strategic-merge-patch+json"
        )
        rolled_back.advance(150)
        assert {"HighRequestErrorRate", "KubeContainerWaiting"} <= firing(rolled_back)

    part = {"name": "hotel-reserv-rate-mongo", "resources": {"limits": {"cpu": "140m"}}}
    hands.patch(
        "Deployment", NS, "mongodb-rate", {"spec": {"template": {"spec": {"containers": [part]}}}},
        "application/strategic-merge-patch+json",
    )  # fmt: skip
    hotel.advance(180)
    assert firing(hotel) == set()


def test_the_good_image_of_the_misleading_rollout_is_no_worse_than_the_old_one(hotel: EmbeddedCluster) -> None:
    hotel.inject("any-bad-image", workload="rate", image="yinfangchen/hotelreservation:v1.4.2")
    hotel.advance(300)
    assert firing(hotel) == set()


def test_two_faults_can_be_there_at_once_and_be_healed_one_by_one(hotel: EmbeddedCluster) -> None:
    hotel.inject("wrong-target-port")
    hotel.inject("scaled-to-zero")
    hotel.advance(120)
    assert hotel.injected() == ("wrong-target-port", "scaled-to-zero")
    tick = hotel.history.last(hotel.clock.now())
    assert tick is not None
    assert tick.services[NS, "frontend"].error_rate > 0.95
    hotel.heal("scaled-to-zero")
    hotel.advance(60)
    tick = hotel.history.last(hotel.clock.now())
    assert tick is not None
    assert tick.services[NS, "frontend"].error_rate == pytest.approx(0.6, abs=0.02)
    assert hotel.injected() == ("wrong-target-port",)


def wanted_state(cluster: EmbeddedCluster) -> dict[str, object]:
    """What the objects ask for: specs and data of everything a fault may touch, and the state no object shows."""
    found: dict[str, object] = {}
    for resource in (
        "deployments.apps", "services", "configmaps", "secrets", "networkpolicies.networking.k8s.io", "nodes",
        "resourcequotas", "networkchaos.chaos-mesh.org", "persistentvolumeclaims",
    ):  # fmt: skip
        for obj in cluster.store.list(resource):
            name = f"{resource}/{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"
            found[name] = {k: v for k, v in obj.items() if k in ("spec", "data", "type")}
    found["databases"] = {k: repr(d) for k, d in cluster.runtime.databases.items()}
    found["surge"] = cluster.traffic.surge
    found["image"] = cluster.registry.exists("yinfangchen/hotelreservation:v1.4.0")
    found["silent"] = dict(cluster.control.kubelet.silent)
    return found


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.id)
def test_healing_puts_everything_back_as_it_was(hotel: EmbeddedCluster, fault) -> None:  # type: ignore[no-untyped-def]
    before = wanted_state(hotel)
    hotel.inject(fault.id)
    hotel.advance(75)
    assert fault.id == "noise" or wanted_state(hotel) != before
    hotel.heal(fault.id)
    hotel.advance(60)
    assert wanted_state(hotel) == before
