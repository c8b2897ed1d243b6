"""Every shipped fault shows, raises the alerts it names, blames what is there, and can be taken back."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from stratus.sim.apps.loader import load_application, shipped
from stratus.sim.apps.stores.base import State
from stratus.sim.cluster import EmbeddedCluster
from stratus.sim.faults.engine import FaultEngine, FaultSpec
from stratus.sim.faults.engine import shipped as shipped_faults
from stratus.sim.faults.takeback import decided

NS = "hotel-reservation"
#: Whether to wait after each healing until the last alert is gone, too.
LONG = os.environ.get("STRATUS_LONG") == "1"
#: Of the largest application, only what the others do not show is tried each time; all of it with STRATUS_LONG=1.
SAMPLED = {
    "astronomy-shop": {
        "cache-password-set", "flag-failed-readiness-probe", "flag-kafka-queue-problems", "http-tamper",
        "partition-fraud-kafka", "port-not-told",
    },
}  # fmt: skip
#: What `make oracles` tries as well, each in a scenario of a benchmark.
RARELY = {
    "drop-mongo-user-rate", "garbage-collected-all-the-time", "probe-not-served", "request-too-large-database",
    "revoke-mongo-role-rate", "route-reflector-unselected", "volume-released",
}  # fmt: skip
FAULTS = [
    pytest.param(
        app,
        fault,
        id=f"{app}:{fault.id}",
        marks=[]
        if LONG or fault.id in SAMPLED.get(app, {fault.id} - RARELY)
        else pytest.mark.skip(reason="set STRATUS_LONG=1 for all faults of this application"),
    )
    for app in shipped()
    for fault in FaultEngine.load(load_application(app)).known()
    if not fault.id.startswith("any-")
]
#: Faults that change nothing which somebody decided: harmless ones, and what a server forgets when it starts again.
NO_CHANGE = {"noise", "cache-flooded"}


@pytest.fixture(scope="module")
def bases() -> Iterator[Callable[[str], EmbeddedCluster]]:
    made: dict[str, EmbeddedCluster] = {}

    def base(app: str) -> EmbeddedCluster:
        if app not in made:
            made[app] = EmbeddedCluster(app=app)
        return made[app]

    yield base
    for cluster in made.values():
        cluster.close()


@pytest.fixture
def hotel(bases: Callable[[str], EmbeddedCluster]) -> Iterator[EmbeddedCluster]:
    with bases(NS).fork() as cluster:
        yield cluster


def firing(cluster: EmbeddedCluster) -> set[str]:
    alerts = cluster.telemetry().alerts
    assert alerts is not None
    return {a.name for a in alerts.firing()}


#: What servers note of their own life: who is connected, what they have done, since when and where they run.
OWN = {
    "analyzed", "backends", "callers", "changes", "commands", "connections", "dead", "dirty", "emptied", "errors",
    "evicted", "expired", "hits", "misses", "next_pid", "peak", "reloaded", "scans", "slow", "stalled", "started",
    "transactions", "vacuumed", "work",
}  # fmt: skip


def settled(state: Any) -> Any:
    """What somebody decided inside a datastore."""
    if dataclasses.is_dataclass(state):
        names = [f.name for f in dataclasses.fields(state) if f.name not in OWN]
        if isinstance(state, State):
            # The pod that it runs in, and when it last wrote its memory down.
            names = [n for n in names if (n != "name" and not isinstance(getattr(state, n), float)) or n == "cost"]
        return {n: settled(getattr(state, n)) for n in names}
    if isinstance(state, dict):
        return {k: settled(v) for k, v in state.items()}
    return [settled(v) for v in state] if isinstance(state, list) else state


def wanted_state(cluster: EmbeddedCluster) -> dict[str, object]:
    """What somebody decided: everything but what follows from it, and the state no object shows."""
    derived = {
        "pods", "events", "endpoints", "endpointslices.discovery.k8s.io", "replicasets.apps", "jobs.batch",
        "controllerrevisions.apps", "persistentvolumes", "leases.coordination.k8s.io", "events.events.k8s.io",
        "customresourcedefinitions.apiextensions.k8s.io", "apiservices.apiregistration.k8s.io",
    }  # fmt: skip
    found: dict[str, object] = {}
    for resource in cluster.store.resources():
        for obj in cluster.store.list(resource) if resource not in derived else ():
            plain = decided(obj)
            notes = dict(plain["metadata"].get("annotations") or {})
            for own in ("deployment.kubernetes.io/revision", "pv.kubernetes.io/bind-completed"):
                notes.pop(own, None)
            plain["metadata"] = {**plain["metadata"], "annotations": notes}
            # Node taints of the node controller come and go with the node.
            if resource == "nodes":
                taints = [
                    t for t in plain["spec"].get("taints") or () if not t["key"].startswith("node.kubernetes.io/")
                ]
                plain["spec"] = {**plain["spec"], "taints": taints}
            found[f"{resource}/{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"] = plain
    found["databases"] = {k: settled(d) for k, d in cluster.runtime.databases.items()}
    found["surge"] = cluster.traffic.surge
    for image in ("yinfangchen/hotelreservation:v1.4.0", "quay.io/acme/checkout-arm:2.2.0"):
        found[f"image {image}"] = cluster.registry.exists(image)
    found["silent"] = dict(cluster.control.kubelet.silent)
    return found


def test_there_are_enough_of_them() -> None:
    for app in shipped():
        assert len([p for p in FAULTS if p.values[0] == app and p.values[1].alerts]) >= 14, app  # type: ignore[union-attr]


@pytest.mark.parametrize(("app", "fault"), FAULTS)
def test_a_fault_shows_and_healing_puts_everything_back(
    bases: Callable[[str], EmbeddedCluster], app: str, fault: FaultSpec
) -> None:
    with bases(app).fork() as cluster:
        before = wanted_state(cluster)
        cluster.inject(fault.id)
        seen: set[str] = set()
        for _ in range(20):
            cluster.advance(30)
            seen |= firing(cluster)
            if fault.alerts and set(fault.alerts) <= seen:
                break
        assert not set(fault.alerts) - seen
        injection = cluster.faulting.active[fault.id]
        assert not injection.problems
        assert not [due for due in injection.pending if due[1] == "step"] or fault.alerts
        assert fault.id in NO_CHANGE or wanted_state(cluster) != before
        check_truth(cluster, fault)
        if not fault.truth:
            assert not seen, "what is no fault raises no alert"
        cluster.heal(fault.id)
        assert not injection.problems
        cluster.advance(60)
        assert differences(before, wanted_state(cluster)) == {}
        assert cluster.injected() == ()
        if not LONG:
            return
        for _ in range(15):
            cluster.advance(60)
            if not firing(cluster):
                break
        assert firing(cluster) == set()
        assert differences(before, wanted_state(cluster)) == {}
        tick = cluster.history.last(cluster.clock.now())
        assert tick is not None
        assert max(s.error_rate for s in tick.services.values()) < 0.05


#: The faults for any workload, with arguments for Hotel Reservation.
ANY: dict[str, dict[str, Any]] = {
    "any-autoscaler": {"workload": "geo"},
    "any-bad-command": {"workload": "geo"},
    "any-bad-env": {"workload": "search", "env": "RATE_ADDR", "value": "elsewhere:1"},
    "any-bad-image": {"workload": "geo", "image": "nginx:missing"},
    "any-chaos": {"kind": "HTTPChaos", "label": "io.kompose.service", "value": "frontend",
                  "spec": {"target": "Request", "port": 5000, "path": "*", "abort": True}},
    "any-cpu-limit": {"workload": "rate", "limit": "20m"},
    "any-flag": {"flag": "slow", "variant": "on"},
    "any-image-gone": {"image": "docker.io/library/mongo:*"},
    "any-impossible-request": {"workload": "geo"},
    "any-init-container-fails": {"workload": "geo"},
    "any-init-container-hangs": {"workload": "geo"},
    "any-liveness-probe": {"workload": "geo"},
    "any-memory-limit": {"workload": "geo", "limit": "4Mi"},
    "any-missing-env": {"workload": "rate", "env": "MEMC_TIMEOUT"},
    "any-network-delay": {"label": "io.kompose.service", "value": "geo"},
    "any-network-deny": {"label": "io.kompose.service", "value": "geo"},
    "any-network-loss": {"label": "io.kompose.service", "value": "geo"},
    "any-node-not-ready": {"node": "node3"},
    "any-node-selector": {"workload": "geo"},
    "any-readiness-probe": {"workload": "geo"},
    "any-scaled-to-zero": {"workload": "geo"},
    "any-scheduled-chaos": {"name": "kills", "kind": "PodChaos", "label": "io.kompose.service", "value": "user",
                            "spec": {"action": "pod-kill"}},
    "any-config-key": {"config_map": "flagd-config", "key": "demo.flagd.json", "old": "slow", "new": "fast",
                       "label": "io.kompose.service", "value": "geo"},
    "any-unbound-claim": {"workload": "geo", "claim": "geo-data", "class": "none"},
    "any-secret": {"secret": "token", "key": "password"},
    "any-service-missing": {"service": "geo"},
    "any-surge": {"factor": 3},
    "any-tainted-node": {"node": "node1"},
    "any-wrong-architecture": {"workload": "geo"},
    "any-wrong-selector": {"service": "geo"},
    "any-wrong-target-port": {"service": "geo"},
}  # fmt: skip
FLAGS = '{"flags": {"slow": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off"}}}'


@pytest.mark.parametrize("fault", [f for f in shipped_faults("generic") if f.id != "any-surge"], ids=lambda f: f.id)
def test_a_fault_for_any_workload(hotel: EmbeddedCluster, fault: FaultSpec) -> None:
    hands = hotel.faulting.hands
    flags = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flagd-config"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}, "data": {"password": "eA=="}}
    hands.create({**flags, "data": {"demo.flagd.json": FLAGS}}, NS)
    hands.create(secret, NS)
    before, rules = wanted_state(hotel), hotel.registry.exists("mongo:4.4.6")
    hotel.inject(fault.id, **ANY[fault.id])
    hotel.advance(150)
    if fault.id == "any-image-gone":
        assert not hotel.registry.exists("mongo:4.4.6")
    else:
        assert wanted_state(hotel) != before
    if fault.truth is not None:
        truth = fault.expected(ANY[fault.id])
        assert truth is not None
        kind, _, name = truth.object.partition("/")
        assert (hands.find(kind, NS, name) is None) is (fault.id == "any-service-missing")
    assert not set(fault.alerts) - firing(hotel)
    hotel.heal(fault.id)
    hotel.advance(60)
    assert differences(before, wanted_state(hotel)) == {}
    assert hotel.registry.exists("mongo:4.4.6") == rules


def test_a_surge_is_seen(hotel: EmbeddedCluster) -> None:
    before = hotel.history.last(hotel.clock.now())
    hotel.inject("any-surge", factor=3)
    hotel.advance(30)
    after = hotel.history.last(hotel.clock.now())
    assert before is not None
    assert after is not None
    assert after.services[NS, "frontend"].rate > 2.5 * before.services[NS, "frontend"].rate


def test_injecting_and_healing_cost_milliseconds(hotel: EmbeddedCluster) -> None:
    begun = time.process_time()
    for _ in range(10):
        hotel.inject("wrong-target-port")
        hotel.heal("wrong-target-port")
    assert (time.process_time() - begun) / 20 < 0.02


def differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    keys = {k for k in {*before, *after} if before.get(k) != after.get(k)}
    return {k: (before.get(k), after.get(k)) for k in sorted(keys)}


def check_truth(cluster: EmbeddedCluster, fault: FaultSpec) -> None:
    """The object to blame is there while the fault is, unless the fault is that it is not."""
    truth = fault.expected()
    if truth is None:
        assert not fault.alerts
        return
    kind, _, name = truth.object.partition("/")
    gone = any(s["do"] == "delete" and (s["kind"], s["name"]) == (kind, name) for s in fault.steps)
    space = "kube-system" if name == "coredns" else cluster.namespace
    assert (cluster.faulting.hands.find(kind, space, name) is None) is gone


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
