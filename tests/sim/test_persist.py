"""The log of inputs: what was answered survives a kill, byte for byte."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import sqlite3
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from stratus.errors import UsageError
from stratus.sim.api import Request
from stratus.sim.cluster import EmbeddedCluster, dump
from stratus.sim.persist import InputLog

NS = "hotel-reservation"
SCALE = f"/apis/apps/v1/namespaces/{NS}/deployments/rate/scale"


def everything(cluster: EmbeddedCluster) -> bytes:
    """The store, the telemetry and the generator, as bytes."""
    sources = cluster.telemetry()
    assert sources.metrics
    assert sources.traces
    assert sources.logs
    assert sources.alerts
    now = cluster.clock.now()
    parts: list[Any] = [
        sources.metrics.service_series((), now - 600, now, 15),
        sources.metrics.usage((), now),
        sources.traces.edges((), now - 600, now),
        sources.logs.tail(NS, limit=5000),
        sources.alerts.firing(),
    ]
    shown = [[one.model_dump_json() for one in part] for part in parts]
    state = [now, repr(cluster._rng.getstate()), sorted(map(repr, cluster.runtime.databases.items()))]
    return dump(cluster) + json.dumps([shown, state]).encode()


def patch(cluster: EmbeddedCluster, replicas: int) -> None:
    body = json.dumps({"spec": {"replicas": replicas}}).encode()
    cluster.api.handle(Request("PATCH", SCALE, {"content-type": "application/merge-patch+json"}, body))


def live_through_something(cluster: EmbeddedCluster) -> None:
    cluster.advance(12.5)
    patch(cluster, 3)
    cluster.inject("network-delay", delay="300ms")
    cluster.advance(33)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "made-"}, "data": {"a": "1"}}
    cluster.api.handle(Request("POST", f"/api/v1/namespaces/{NS}/configmaps", obj=body))
    cluster.inject("misleading-rollout")
    cluster.advance(9)
    pod = next(
        p["metadata"]["name"] for p in cluster.store.list("pods", NS) if p["metadata"]["name"].startswith("mongodb-geo")
    )
    argv = ["mongo", "admin", "-u", "root", "-p", "root", "--eval", "db.dropUser('admin')"]
    assert cluster.api.exec_backend(NS, pod, "hotel-reserv-geo-mongo", argv, b"").exit_code == 0
    cluster.advance(70)
    cluster.heal("network-delay")
    cluster.api.handle(Request("DELETE", f"/api/v1/namespaces/{NS}/services/nothing"))
    cluster.advance(40)


def test_opening_the_file_again_gives_the_same_cluster(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with EmbeddedCluster(state_file=path, warmup=120) as first:
        live_through_something(first)
        wanted = everything(first)
    with EmbeddedCluster(state_file=path, warmup=120) as second:
        assert everything(second) == wanted
        assert second.injected() == ("misleading-rollout",)
        second.advance(60)
        later = everything(second)
    with EmbeddedCluster(state_file=path, warmup=120) as third:
        assert everything(third) == later


def test_without_a_file_the_same_inputs_give_the_same_cluster(tmp_path: Path) -> None:
    with EmbeddedCluster(state_file=tmp_path / "s.db", warmup=120) as one, EmbeddedCluster(warmup=120) as two:
        live_through_something(one)
        live_through_something(two)
        assert everything(one) == everything(two)


def test_reads_and_dry_runs_are_not_written_down(tmp_path: Path) -> None:
    with EmbeddedCluster(state_file=tmp_path / "state.db", warmup=0) as cluster:
        assert cluster._log is not None
        before = len(list(cluster._log.inputs()))
        cluster.api.handle(Request("GET", "/api/v1/pods"))
        body = json.dumps({"spec": {"replicas": 5}}).encode()
        headers = {"content-type": "application/merge-patch+json"}
        cluster.api.handle(Request("PATCH", f"{SCALE}?dryRun=All", headers, body))
        everything(cluster)
        assert len(list(cluster._log.inputs())) == before
        patch(cluster, 2)
        assert len(list(cluster._log.inputs())) == before + 1


def test_a_file_belongs_to_one_cluster_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with (
        EmbeddedCluster(app=None, state_file=path),
        pytest.raises(UsageError, match="another process has it open"),
    ):
        EmbeddedCluster(app=None, state_file=path)
    EmbeddedCluster(app=None, state_file=path).close()


def test_a_refused_fault_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with EmbeddedCluster(state_file=path, warmup=0) as cluster:
        with pytest.raises(UsageError):
            cluster.inject("any-scaled-to-zero", workload="nothing")
        with pytest.raises(UsageError):
            cluster.heal("scaled-to-zero")
        wanted = everything(cluster)
    with EmbeddedCluster(state_file=path, warmup=0) as cluster:
        assert everything(cluster) == wanted


def test_following_the_wall_clock_is_written_down_before_the_next_input(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with EmbeddedCluster(state_file=path, warmup=0) as cluster:
        start = cluster.clock.now()
        for step in range(1, 9):
            cluster._follow(start + 0.05 * step)
        patch(cluster, 2)
        for step in range(9, 40):
            cluster._follow(start + 0.05 * step)
        wanted = everything(cluster)
    log = InputLog(path)
    kinds = [kind for kind, _ in log.inputs()]
    log.close()
    assert kinds[:3] == ["made", "advance", "request"]
    assert len(kinds) <= 6
    with EmbeddedCluster(state_file=path, warmup=0) as cluster:
        assert everything(cluster) == wanted


def _child(path: str, pipe: Connection) -> None:
    cluster = EmbeddedCluster(state_file=Path(path), warmup=30)
    number = 0
    while True:
        number += 1
        patch(cluster, 1 + number % 3)
        cluster.advance(3.5)
        pipe.send((number, cluster.clock.now(), cluster.store.rv))


@pytest.mark.parametrize("after", [1, 4, 7])
def test_a_killed_process_loses_nothing_that_was_answered(tmp_path: Path, after: int) -> None:
    path = tmp_path / "state.db"
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(str(path), there), daemon=True)
    child.start()
    there.close()
    answered = (0, 0.0, 0)
    while answered[0] < after:
        assert here.poll(60)
        answered = here.recv()
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join(30)
    while here.poll(0):
        try:
            answered = here.recv()
        except EOFError:
            break
    here.close()
    with EmbeddedCluster(state_file=path, warmup=30) as cluster:
        assert cluster.clock.now() >= answered[1]
        assert cluster.store.rv >= answered[2]
        wanted = everything(cluster)
    with EmbeddedCluster(state_file=path, warmup=30) as cluster:
        assert everything(cluster) == wanted


def _digest(pipe: Connection) -> None:
    with EmbeddedCluster(warmup=120) as cluster:
        live_through_something(cluster)
        pipe.send(hashlib.sha256(everything(cluster)).hexdigest())


def test_another_process_with_another_hash_seed_comes_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    context = multiprocessing.get_context("spawn")
    found = []
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        here, there = context.Pipe(duplex=False)
        child = context.Process(target=_digest, args=(there,), daemon=True)
        child.start()
        there.close()
        assert here.poll(60)
        found.append(here.recv())
        child.join(30)
        here.close()
    assert found[0] == found[1]


def test_a_file_of_another_cluster_is_refused_and_says_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    EmbeddedCluster(app=None, seed=1, state_file=path).close()
    with pytest.raises(UsageError, match="seed: 1, asked for 2"):
        EmbeddedCluster(app=None, seed=2, state_file=path)
    with pytest.raises(UsageError, match="app: None, asked for 'hotel-reservation'"):
        EmbeddedCluster(seed=1, state_file=path)
    EmbeddedCluster(app=None, seed=1, state_file=path).close()


def test_files_that_are_no_log_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_text("this is not a database, but it is long enough to look like something else entirely" * 30)
    with pytest.raises(UsageError, match="cannot be used"):
        EmbeddedCluster(app=None, state_file=path)
    with pytest.raises(UsageError, match="cannot be used"):
        EmbeddedCluster(app=None, state_file=tmp_path / "no" / "folder" / "state.db")


def test_a_damaged_log_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with EmbeddedCluster(app=None, state_file=path) as cluster:
        cluster.advance(5)
    db = sqlite3.connect(path)
    db.execute("UPDATE inputs SET data = '{' WHERE n = 2")
    db.commit()
    db.close()
    with pytest.raises(UsageError, match="damaged"):
        EmbeddedCluster(app=None, state_file=path)
    db = sqlite3.connect(path)
    db.execute("UPDATE inputs SET kind = 'other', data = '{}' WHERE n = 2")
    db.commit()
    db.close()
    with pytest.raises(UsageError, match="unknown kind 'other'"):
        EmbeddedCluster(app=None, state_file=path)


def test_a_log_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with EmbeddedCluster(app=None, state_file=path) as cluster:
        cluster.advance(5)
    db = sqlite3.connect(path)
    assert [k for (k,) in db.execute("SELECT kind FROM inputs ORDER BY n")] == ["made", "advance", "mark"]
    db.execute("UPDATE inputs SET data = ? WHERE n = 2", (json.dumps({"to": 1767603606.0}),))
    db.commit()
    db.close()
    with pytest.raises(UsageError, match="another version of the emulation wrote it"):
        EmbeddedCluster(app=None, state_file=path)


def test_only_its_owner_can_read_the_file(tmp_path: Path) -> None:
    EmbeddedCluster(app=None, state_file=tmp_path / "state.db").close()
    assert (tmp_path / "state.db").stat().st_mode & 0o077 == 0


def test_an_input_that_cannot_be_written_down_does_not_take_effect(tmp_path: Path) -> None:
    with EmbeddedCluster(app=None, state_file=tmp_path / "state.db") as cluster:
        before = dump(cluster), cluster.clock.now()
        assert cluster._log is not None
        cluster._log._db.execute("PRAGMA query_only=ON")
        with pytest.raises(UsageError, match="nothing was changed"):
            cluster.advance(10)
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
        with pytest.raises(UsageError, match="nothing was changed"):
            cluster.api.handle(Request("POST", "/api/v1/namespaces/default/configmaps", obj=body))
        assert (dump(cluster), cluster.clock.now()) == before
        cluster._log._db.execute("PRAGMA query_only=OFF")
