"""Messages: what is produced is consumed at the pace consumers can keep, and the rest is lag."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stratus.sim.apps.stores.brokers import Broker
from stratus.sim.cluster import EmbeddedCluster

from .building import NS, Obj, application, errors, procs, program, rate, started, tick, workload


def shop(on_error: str = "skip") -> Obj:
    broker = {"address": {"default": "broker:80"}, "protocol": "kafka", "timeout": 2}
    store = {"address": {"default": "store:80"}, "protocol": "http", "timeout": 0.5}
    calls = [{"to": "broker", "operation": "publish", "topic": "orders"}]
    consumes = [{"broker": "broker", "topic": "orders", "group": "packing", "operation": "pack", "on_error": on_error}]
    pack = {"cpu_ms": 2, "wait_ms": 10, "calls": [{"to": "store", "operation": "put"}]}
    programs = {
        "front": program("front", {"get": {"cpu_ms": 1, "calls": calls}}, targets={"broker": broker}),
        "packer": program("packer", {"pack": pack}, targets={"broker": broker, "store": store}, consumes=consumes),
        "store": program("store", {"put": {"cpu_ms": 0.5}}),
        "broker": {
            **program("broker", {"publish": {"cpu_ms": 0.2}}), "protocol": "kafka",
            "datastore": {"kind": "kafka", "topics": {"orders": 4}},
        },
    }  # fmt: skip
    objects = [o for n in programs for o in workload(n)]
    return application(programs, objects, 40.0)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    with started(tmp_path_factory.mktemp("queues"), shop()) as cluster:
        yield cluster


@pytest.fixture
def cluster(base: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    with base.fork() as twin:
        yield twin


def lag(cluster: EmbeddedCluster) -> float:
    (queue,) = tick(cluster).queues
    assert (queue.broker, queue.topic, queue.group) == ("broker", "orders", "packing")
    return queue.lag


def test_consumers_keep_up_and_are_called_by_who_produced(cluster: EmbeddedCluster) -> None:
    assert lag(cluster) == pytest.approx(0, abs=1e-6)
    assert rate(cluster, "packer") == pytest.approx(rate(cluster, "front"), rel=0.01)
    assert rate(cluster, "store") == pytest.approx(rate(cluster, "packer"))
    assert (NS, "front", "packer", "pack") in tick(cluster).edges
    held = cluster.runtime.brokers[NS, "broker"]
    assert len(held.topics["orders"].ends) == 4
    assert held.members["packing", "orders"] == (procs(cluster, "packer")[0].pod[1],)


def test_without_consumers_messages_pile_up_and_are_worked_off_later(cluster: EmbeddedCluster) -> None:
    cluster.faulting.hands.patch("Deployment", NS, "packer", {"spec": {"replicas": 0}})
    cluster.advance(60)
    assert lag(cluster) > 40 * 40
    assert errors(cluster) == 0
    cluster.faulting.hands.patch("Deployment", NS, "packer", {"spec": {"replicas": 1}})
    cluster.advance(30)
    assert rate(cluster, "packer") > 1.5 * rate(cluster, "front")
    cluster.advance(120)
    assert lag(cluster) == pytest.approx(0, abs=1e-6)


def test_more_than_one_worker_can_do_is_lag_and_a_second_pod_takes_its_part(cluster: EmbeddedCluster) -> None:
    cluster.traffic.surge = 3.0
    cluster.advance(60)
    first = lag(cluster)
    cluster.advance(60)
    assert lag(cluster) > first + 1000 > 1000
    cluster.faulting.hands.patch("Deployment", NS, "packer", {"spec": {"replicas": 4}})
    cluster.advance(150)
    assert lag(cluster) == pytest.approx(0, abs=1e-6)
    assert len(cluster.runtime.brokers[NS, "broker"].members["packing", "orders"]) == 4


def test_a_broker_that_is_gone_fails_producers_and_stops_consumers(cluster: EmbeddedCluster) -> None:
    cluster.faulting.hands.patch("Deployment", NS, "broker", {"spec": {"replicas": 0}})
    cluster.advance(60)
    assert errors(cluster) == 1.0
    assert (NS, "packer") not in tick(cluster).services
    for name in ("front", "packer"):
        assert any("run out of available brokers" in text for _, text in procs(cluster, name)[0].lines)


def test_failed_work_is_skipped_or_stops_everything_behind_it(
    cluster: EmbeddedCluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cluster.faulting.hands.patch("Deployment", NS, "store", {"spec": {"replicas": 0}})
    cluster.advance(60)
    assert errors(cluster, "packer") == 1.0
    assert errors(cluster) == 0
    assert lag(cluster) == pytest.approx(0, abs=1e-6)
    with started(tmp_path_factory.mktemp("retry"), shop("retry")) as other:
        other.faulting.hands.patch("Deployment", NS, "store", {"spec": {"replicas": 0}})
        other.advance(60)
        assert errors(other, "packer") == 1.0
        assert lag(other) > 30 * 40
        other.faulting.hands.patch("Deployment", NS, "store", {"spec": {"replicas": 1}})
        other.advance(200)
        assert lag(other) == pytest.approx(0, abs=1e-6)


def test_a_fork_has_messages_of_its_own(cluster: EmbeddedCluster) -> None:
    cluster.faulting.hands.patch("Deployment", NS, "packer", {"spec": {"replicas": 0}})
    cluster.advance(30)
    before = lag(cluster)
    with cluster.fork() as twin:
        twin.advance(30)
        assert lag(twin) > before
    assert lag(cluster) == before


def test_a_broker_counts() -> None:
    broker = Broker(partitions=2)
    broker.produce("t", 4)
    assert broker.consume("g", "t", 10) == 0
    broker.produce("t", 6)
    assert broker.lag("g", "t") == 6
    assert broker.consume("g", "t", 4) == 4
    assert broker.committed("g", "t") == [4.0, 4.0]
    assert broker.lag("other", "t") == broker.lag("g", "none") == 0
    twin = broker.clone()
    twin.produce("t", 5)
    twin.consume("g", "t", 1)
    assert broker.lag("g", "t") == 2
    assert sum(broker.topics["t"].ends) == 10
