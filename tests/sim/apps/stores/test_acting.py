"""What people do to servers by exec decides what the application's users get."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stratus.sim.cluster import EmbeddedCluster
from stratus.sim.runtime import ExecResult

from ..building import NS, application, errors, program, started, tick, workload

Obj = dict[str, Any]
USER = {"user": {"env": "DB_USER", "default": "app"}, "password": {"env": "DB_PASSWORD", "default": "pw"}}


def server(name: str, image: str, port: int, protocol: str, datastore: Obj, **more: Any) -> tuple[Obj, list[Obj]]:
    """Return a program that is a datastore, and its objects."""
    spec = {
        "image": f"docker.io/library/{image}", "ports": [port], "protocol": protocol, "startup": {"seconds": 0.5},
        "operations": {"get": {"cpu_ms": 0.1}, "set": {"cpu_ms": 0.1}, "select": {"cpu_ms": 0.5},
        "insert": {"cpu_ms": 0.5}},
        "datastore": datastore, "memory": 10, **more,
    }  # fmt: skip
    objects = workload(name, cpu="1", memory="128Mi")
    objects[0]["spec"]["ports"] = [{"port": port, "targetPort": port}]
    container = objects[1]["spec"]["template"]["spec"]["containers"][0]
    container |= {"image": f"{image}:1", "env": [{"name": "POSTGRES_PASSWORD", "value": "r"}]}
    return spec, objects


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    cache, cache_objects = server("cache", "redis", 6379, "redis", {"kind": "redis"}, warm=60)
    mem, mem_objects = server("mem", "memcached", 11211, "memcached", {"kind": "memcached"}, warm=60)
    database, database_objects = server(
        "db", "postgres", 5432, "postgresql",
        {
            "kind": "postgresql", "auth": True, "names": ["shop"],
            "accounts": [{"name": "root", "password": "r", "roles": ["superuser"]},
                         {"name": "app", "password": "pw", "roles": ["readWrite@shop"]}],
            "tables": {"shop.public.things": {"columns": {"id": "text", "name": "text"}, "rows": [["a", "A"]]}},
        },
    )  # fmt: skip
    calls = [
        {"to": "cache", "operation": "get"},
        {"to": "cache", "operation": "set", "on_error": "ignore"},
        {"to": "mem", "operation": "get", "on_error": "miss"},
        {"to": "db", "operation": "select", "missed": "mem"},
        {"to": "db", "operation": "insert", "share": 0.1},
    ]
    targets = {
        "cache": {"address": {"default": "cache:6379"}, "protocol": "redis", "timeout": 1},
        "mem": {"address": {"default": "mem:11211"}, "protocol": "memcached", "timeout": 1, "hit": 0.5},
        "db": {"address": {"default": "db:5432"}, "protocol": "postgresql", "timeout": 1,
               "login": {**USER, "database": "shop"}},
    }  # fmt: skip
    programs = {
        "cache": cache, "mem": mem, "db": database,
        "front": program("front", {"get": {"cpu_ms": 0.5, "calls": calls}}, targets=targets),
    }  # fmt: skip
    objects = [*workload("front", cpu="2"), *cache_objects, *mem_objects, *database_objects]
    folder = tmp_path_factory.mktemp("stores")
    with started(Path(folder), application(programs, objects, rate=40.0), warmup=240.0) as cluster:
        yield cluster


@pytest.fixture
def shop(base: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    with base.fork() as cluster:
        yield cluster


def run(cluster: EmbeddedCluster, name: str, script: str) -> ExecResult:
    """Run a script in the pod of a workload."""
    pod = next(p for p in cluster.store.list("pods", NS) if p["metadata"]["name"].startswith(f"{name}-"))
    return cluster._exec(NS, pod["metadata"]["name"], name, ["sh", "-c", script], b"")


def lines(cluster: EmbeddedCluster, name: str) -> str:
    pod = next(p for p in cluster.store.list("pods", NS) if p["metadata"]["name"].startswith(f"{name}-"))
    return cluster._logs(NS, pod["metadata"]["name"], name, False, 20, None, False)


def rate_of(cluster: EmbeddedCluster, callee: str, operation: str) -> float:
    """Return the calls per second of an operation of a server."""
    return sum(link.calls for key, link in tick(cluster).links.items() if key[3] == callee and key[4] == operation)


def test_at_first_all_is_well(shop: EmbeddedCluster) -> None:
    assert errors(shop) < 0.01
    assert "connected_clients:" in run(shop, "cache", "redis-cli info clients").stdout
    assert run(shop, "db", "psql -U root -d shop -Atc 'select count(*) from things'").stdout == "1\n"


def test_a_password_that_the_program_does_not_know(shop: EmbeddedCluster) -> None:
    assert run(shop, "cache", "redis-cli config set requirepass secret").stdout == "OK\n"
    shop.advance(20)
    assert errors(shop) > 0.99
    assert "NOAUTH Authentication required." in lines(shop, "front")
    run(shop, "cache", "redis-cli -a secret config set requirepass ''")
    shop.advance(20)
    assert errors(shop) < 0.01


def test_a_restart_takes_a_password_back_that_was_set_by_hand(shop: EmbeddedCluster) -> None:
    run(shop, "cache", "redis-cli config set requirepass secret")
    pod = next(p for p in shop.store.list("pods", NS) if p["metadata"]["name"].startswith("cache-"))
    shop.control.kubelet.restart_container((NS, pod["metadata"]["name"]), "cache", reason="Error", exit_code=1)
    shop.advance(60)
    assert errors(shop) < 0.01


def test_keys_without_end_kill_the_server_in_the_end(shop: EmbeddedCluster) -> None:
    run(shop, "cache", "for n in 1 2 3; do redis-cli setrange big$n 60000000 x; done")
    shop.advance(30)
    pod = next(p for p in shop.store.list("pods", NS) if p["metadata"]["name"].startswith("cache-"))
    status = pod["status"]["containerStatuses"][0]
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["reason"] == "OOMKilled"
    shop.advance(60)
    assert run(shop, "cache", "redis-cli dbsize").stdout == "0\n"


def test_a_flushed_cache_sends_its_callers_to_the_database(shop: EmbeddedCluster) -> None:
    before = rate_of(shop, "db", "select")
    assert run(shop, "mem", "echo flush_all | nc localhost 11211").stdout == "OK\r\n"
    shop.advance(10)
    assert rate_of(shop, "db", "select") > 1.5 * before
    shop.advance(300)
    assert rate_of(shop, "db", "select") < 1.2 * before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER ROLE app PASSWORD 'other'", 'password authentication failed for user "app"'),
        ("REVOKE SELECT ON things FROM app", "permission denied for table things"),
        ("ALTER DATABASE shop RENAME TO store", 'database "shop" does not exist'),
    ],
)
def test_rights_taken_away_in_the_database(shop: EmbeddedCluster, change: str, said: str) -> None:
    told = run(
        shop,
        "db",
        f'psql -U root -d postgres -c "{change}"' if "DATABASE" in change else f'psql -U root -d shop -c "{change}"',
    )
    assert told.exit_code == 0
    shop.advance(20)
    assert errors(shop) > 0.4
    assert said.replace('"', "") in lines(shop, "front").replace('"', "").replace("\\", "")


def test_a_lock_in_the_database_is_found_and_ended(shop: EmbeddedCluster) -> None:
    run(shop, "db", "(echo 'BEGIN; LOCK TABLE things;'; sleep 3600) | psql -U root -d shop")
    shop.advance(30)
    assert errors(shop) > 0.4
    waiting = run(shop, "db", 'psql -U root -d shop -Atc "select count(*) > 0 from pg_locks where not granted"')
    assert waiting.stdout == "t\n"
    end = "select pg_terminate_backend(pid) from pg_stat_activity where state = 'idle in transaction'"
    assert run(shop, "db", f'psql -U root -d shop -Atc "{end}"').stdout == "t\n"
    shop.advance(30)
    assert errors(shop) < 0.01


def test_reads_by_exec_change_no_figures(shop: EmbeddedCluster) -> None:
    with shop.fork() as other:
        for script in ("redis-cli info", "redis-cli keys '*'"):
            run(shop, "cache", script)
        run(shop, "db", "psql -U root -d shop -c 'select * from pg_stat_activity'")
        shop.advance(60)
        other.advance(60)
        assert tick(shop).services == tick(other).services
        assert repr(shop.runtime.databases) == repr(other.runtime.databases)


def test_images_that_nobody_described_are_servers_too(lab: Any) -> None:
    for name, image in (("r", "redis:7"), ("p", "postgres:16"), ("m", "memcached:1.6"), ("g", "mongo:7")):
        env = [{"name": "POSTGRES_PASSWORD", "value": "x"}] if name == "p" else []
        container = {"name": "c", "image": image, "env": env}
        meta = {"name": name, "namespace": "default"}
        lab.apply({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container]}})
    lab.advance(30)

    def inside(name: str, script: str) -> str:
        pod = lab.store.get("pods", "default", name)
        result: ExecResult = lab.runtime.exec(pod, pod["spec"]["containers"][0], ["sh", "-c", script], "")
        return result.stdout + result.stderr

    assert inside("r", "redis-cli set a 1; redis-cli get a") == "OK\n1\n"
    assert inside("p", "psql -U postgres -Atc 'select 1 + 1'") == "2\n"
    address = lab.store.get("pods", "default", "m")["status"]["podIP"]
    assert inside("r", f"echo version | nc {address} 11211") == "VERSION 1.6.18\r\n"
    assert inside("g", "mongosh --quiet --eval 'db.x.insertOne({a: 1}); print(db.x.countDocuments())'") == "1\n"
    assert inside("r", "psql -c 'select 1'").endswith("psql: not found\n")
