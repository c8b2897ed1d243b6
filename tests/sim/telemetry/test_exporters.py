"""What exporters and the API server tell of themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stratus.sim.apps.figures import StoreFigures, Tick
from stratus.sim.cluster import EmbeddedCluster
from stratus.sim.telemetry.apirequests import DURATION, NAMES, TOTAL
from stratus.sim.telemetry.exporters import Stores


def store(kind: str, name: str = "db", **more: float) -> StoreFigures:
    figures = {"connections": 12.0, "busy": 3.0, "rate": 4.0, "held": 2e6, **more}
    return StoreFigures("shop", name, kind, **figures)


def tick(*stores: StoreFigures) -> Tick:
    return Tick(0.0, 5.0, {}, {}, (), stores=stores)


def told(stores: Stores) -> dict[str, float]:
    return {f"{n}{{{dict(labels).get('state', '')}}}": v for n, labels, v in stores.samples()}


@pytest.mark.parametrize(
    ("kind", "up"),
    [("redis", "redis_up"), ("valkey", "redis_up"), ("postgresql", "pg_up"), ("mongodb", "mongodb_up"),
     ("memcached", "memcached_up")],
)  # fmt: skip
def test_a_store_is_up_while_it_answers_and_down_once_it_does_not(kind: str, up: str) -> None:
    stores = Stores()
    assert stores.samples() == []
    stores.add(tick(store(kind)))
    assert told(stores)[f"{up}{{}}"] == 1
    before = stores.copy()
    stores.add(tick())
    assert told(stores) == {f"{up}{{}}": 0}
    assert told(before)[f"{up}{{}}"] == 1, "a copy goes its own way"
    stores.add(tick(store(kind)))
    assert told(stores)[f"{up}{{}}"] == 1


def test_servers_tell_of_connections_memory_and_requests() -> None:
    stores = Stores()
    for _ in range(3):
        stores.add(tick(store("redis", limit=5e6), store("postgresql", "pg")))
    found = told(stores)
    assert found["redis_connected_clients{}"] == 12
    assert found["redis_memory_used_bytes{}"] == 2e6
    assert found["redis_memory_max_bytes{}"] == 5e6
    assert found["redis_commands_processed_total{}"] == 4 * 15
    assert (found["pg_stat_activity_count{active}"], found["pg_stat_activity_count{idle}"]) == (3, 9)
    assert found["pg_stat_database_xact_commit{}"] == 60


@pytest.fixture
def twin(_base: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    with _base.fork() as cluster:
        yield cluster


def asked(cluster: EmbeddedCluster, query: str) -> dict[str, float]:
    found = cluster.observatory.engine.instant(query, cluster.clock.now())
    rows = found.rows
    return {
        ",".join(v for k, v in sorted(labels.items()) if k not in ("__name__", "job", "instance")): float(values[0])
        for labels, values in zip(rows.labels, rows.values.tolist(), strict=True)
    }


def test_a_database_that_is_scaled_to_zero_is_down_in_the_series(twin: EmbeddedCluster) -> None:
    assert asked(twin, "sum(mongodb_up)") == {"": 6}
    twin.inject("database-down")
    twin.advance(60)
    assert asked(twin, "mongodb_up == 0") == {"hotel-reservation,mongodb-rate": 0}
    assert asked(twin, "mongodb_connections{service='mongodb-rate'}") == {}


def test_requests_to_the_api_server_are_counted_by_what_they_did(twin: EmbeddedCluster) -> None:
    twin.advance(60)
    quiet = asked(twin, f"sum by (verb) (increase({TOTAL}[1m]))")
    assert set(quiet) == {"GET", "PUT", "LIST", "WATCH", "PATCH", "POST"}
    assert quiet["POST"] == 0
    assert quiet["GET"] > 10
    twin.inject("any-bad-command", workload="geo")
    twin.advance(60)
    busy = asked(twin, f"sum by (verb) (increase({TOTAL}[1m]))")
    assert busy["POST"] >= 2, "a ReplicaSet and a Pod"
    assert busy["PATCH"] > quiet["PATCH"]
    pods = asked(twin, f"sum by (code) (increase({TOTAL}{{resource='pods',verb='POST'}}[2m]))")
    assert list(pods) == ["201"]
    slow = f"histogram_quantile(0.99, sum by (le) (rate({DURATION}_bucket{{verb!='WATCH'}}[5m])))"
    assert 0.005 < asked(twin, slow)[""] < 1


def test_looking_at_the_api_servers_series_changes_nothing(twin: EmbeddedCluster) -> None:
    twin.advance(30)
    first = asked(twin, f"sum({TOTAL})")
    for _ in range(3):
        twin.observatory.scrape()
    assert asked(twin, f"sum({TOTAL})") == first
    with twin.fork() as copy:
        assert asked(copy, f"sum({TOTAL})") == first
        copy.advance(60)
        twin.advance(60)
        assert asked(copy, f"sum({TOTAL})") == asked(twin, f"sum({TOTAL})")


def test_a_scraper_gets_the_same_names_as_a_query(twin: EmbeddedCluster) -> None:
    text = twin.observatory.scrape()
    for name in (*NAMES, "mongodb_up", "mongodb_connections"):
        assert f"\n{name}{{" in text
        assert name in twin.observatory.recorder.names()
    assert f"# TYPE {DURATION} histogram" in text
