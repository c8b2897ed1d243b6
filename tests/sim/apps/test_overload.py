"""Overload arises by itself: storms of retries that outlive their cause, taken workers and connections, lost memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from stratus.sim.cluster import EmbeddedCluster

from .building import NS, Obj, application, edge, errors, procs, program, rate, started, tick, two, workload


def surge(cluster: EmbeddedCluster, factor: float, seconds: float) -> None:
    cluster.traffic.surge = factor
    cluster.advance(seconds)


def test_a_storm_of_retries_outlives_the_surge_that_began_it_until_load_is_shed(tmp_path: Path) -> None:
    with started(tmp_path, two({"retries": 2})) as cluster:
        assert errors(cluster) == 0
        assert rate(cluster, "back") == pytest.approx(rate(cluster, "front"))
        surge(cluster, 2.0, 60)
        assert errors(cluster) > 0.95
        surge(cluster, 1.0, 600)
        # The users ask for no more than before, for which there was room; their calls are three times as many.
        assert rate(cluster, "front") < 170
        assert rate(cluster, "back") == pytest.approx(3 * rate(cluster, "front"), rel=0.02)
        assert errors(cluster) > 0.95
        assert "deadline exceeded" in edge(cluster, "front", "back").message
        surge(cluster, 0.3, 60)
        assert errors(cluster) < 0.01
        surge(cluster, 1.0, 120)
        assert errors(cluster) < 0.01


@pytest.mark.parametrize(
    "target", [{"retries": 0}, {"retries": 2, "retry_budget": 0.1}, {"retries": 2, "pool": 20, "pool_wait": 0.2}]
)
def test_without_retries_or_with_bounds_on_them_the_system_recovers_by_itself(tmp_path: Path, target: Obj) -> None:
    with started(tmp_path, two(target)) as cluster:
        surge(cluster, 2.0, 60)
        assert errors(cluster) > 0.3
        surge(cluster, 1.0, 120)
        assert errors(cluster) < 0.01


def test_capacity_ends_a_storm_as_well(tmp_path: Path) -> None:
    with started(tmp_path, two({"retries": 2})) as cluster:
        surge(cluster, 2.0, 60)
        surge(cluster, 1.0, 60)
        assert errors(cluster) > 0.95
        cluster.faulting.hands.patch("Deployment", NS, "back", {"spec": {"replicas": 4}})
        cluster.advance(120)
        assert errors(cluster) < 0.01


def test_users_that_try_again_make_a_storm_too(tmp_path: Path) -> None:
    app = two()
    app["load"] |= {"timeout": 0.4, "retries": 3}
    with started(tmp_path, app) as cluster:
        surge(cluster, 2.0, 60)
        surge(cluster, 1.0, 300)
        assert rate(cluster, "front") == pytest.approx(4 * 140, rel=0.2)
        assert errors(cluster) > 0.95


def test_work_beyond_the_queue_is_never_answered_and_its_callers_wait_in_vain(tmp_path: Path) -> None:
    with started(tmp_path, two({"timeout": 3}, back={"queue": 0.5})) as cluster:
        surge(cluster, 2.0, 120)
        (back,) = procs(cluster, "back")
        assert back.backlog == pytest.approx(0.5)
        # A little less than 300 come in a second, 200 are done.
        assert errors(cluster, "back") == pytest.approx(1 - 200 / rate(cluster, "back"), abs=0.06)
        assert edge(cluster, "front", "back").p99 == pytest.approx(3, rel=0.05)


def test_slow_answers_take_all_workers_and_further_requests_are_turned_away(tmp_path: Path) -> None:
    front = {"workers": 16, "waiting": 40}
    with started(tmp_path, two({"timeout": 2}, front)) as cluster:
        assert errors(cluster) == 0
        (proc,) = procs(cluster, "front")
        assert proc.shed == 0
        chaos = {
            "action": "delay",
            "mode": "all",
            "selector": {"labelSelectors": {"app": "back"}},
            "delay": {"latency": "1s"},
        }
        make_chaos(cluster, "NetworkChaos", chaos)
        cluster.advance(60)
        # Sixteen workers, a second each.
        assert rate(cluster, "back") == pytest.approx(16, rel=0.15)
        assert errors(cluster) == pytest.approx(1 - 16 / rate(cluster, "front"), abs=0.03)
        assert edge(cluster, "", "front").message == "503 Service Unavailable: too many requests waiting"
        (proc,) = procs(cluster, "front")
        assert proc.line == 40
        assert proc.cpu < 0.1


def test_connections_of_a_pool_are_kept_while_calls_last_and_then_run_out(tmp_path: Path) -> None:
    with started(tmp_path, two({"timeout": 2, "pool": 10, "pool_wait": 0.3})) as cluster:
        assert errors(cluster) == 0
        chaos = {
            "action": "delay",
            "mode": "all",
            "selector": {"labelSelectors": {"app": "back"}},
            "delay": {"latency": "1s"},
        }
        make_chaos(cluster, "NetworkChaos", chaos)
        cluster.advance(60)
        assert rate(cluster, "back") == pytest.approx(10, rel=0.15)
        assert (
            "connection pool of back exhausted: none of 10 free within 0.3 s" in edge(cluster, "front", "back").message
        )


def make_chaos(cluster: EmbeddedCluster, kind: str, spec: Obj) -> None:
    from stratus.sim.faults.chaosmesh import definition

    hands = cluster.faulting.hands
    hands.send("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition(kind))
    meta = {"name": "chaos", "namespace": NS}
    body = {"apiVersion": "chaos-mesh.org/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}
    hands.send("POST", f"/apis/chaos-mesh.org/v1alpha1/namespaces/{NS}/{kind.lower()}", body)


def test_memory_that_is_lost_ends_in_the_kubelet_killing_the_container_again_and_again(tmp_path: Path) -> None:
    app = application(
        {"front": program("front", {"get": {"cpu_ms": 1}}, memory=40, leak=2)}, workload("front", memory="100Mi"), 60.0
    )
    with started(tmp_path, app, warmup=60) as cluster:
        first = tick(cluster).use[0].memory
        cluster.advance(120)
        grown = tick(cluster).use[0].memory - first
        # Two MiB for each thousand requests, sixty requests a second.
        assert grown / 2**20 == pytest.approx(2 * 0.06 * 120, rel=0.15)
        cluster.advance(900)
        (pod,) = cluster.store.list("pods", NS)
        status = pod["status"]["containerStatuses"][0]
        assert status["restartCount"] >= 1
        assert status["lastState"]["terminated"]["reason"] == "OOMKilled"
        assert tick(cluster).use[0].memory < 100 * 2**20


def test_an_overloaded_process_fails_its_probes_is_killed_and_the_others_get_its_load(tmp_path: Path) -> None:
    probe = {"httpGet": {"path": "/", "port": 8080}, "timeoutSeconds": 1, "periodSeconds": 5, "failureThreshold": 3}
    app = two({"timeout": 3})
    app["objects"] = [*workload("front", cpu="4"), *workload("back", container={"livenessProbe": probe})]
    with started(tmp_path, app) as cluster:
        surge(cluster, 2.0, 90)
        (pod,) = [p for p in cluster.store.list("pods", NS) if p["metadata"]["labels"]["app"] == "back"]
        assert pod["status"]["containerStatuses"][0]["restartCount"] >= 1
        told = [e["message"] for e in cluster.store.list("events", NS) if e["reason"] == "Unhealthy"]
        assert any("context deadline exceeded (Client.Timeout exceeded while awaiting headers)" in m for m in told)


def test_requests_under_way_weigh_too(tmp_path: Path) -> None:
    app = two({"timeout": 4}, back={"memory_per_waiting": 0.2})
    with started(tmp_path, app) as cluster:
        before = next(u.memory for u in tick(cluster).use if u.container == "back")
        surge(cluster, 2.0, 60)
        after = next(u.memory for u in tick(cluster).use if u.container == "back")
        assert after > before + 150 * 2**20


def test_a_new_process_is_slow_at_first_and_then_is_not(tmp_path: Path) -> None:
    app = two(back={"cold": 3, "cold_seconds": 30})
    with started(tmp_path, app, warmup=300) as cluster:
        warm = procs(cluster, "back")[0].demand
        cluster.control.kubelet.restart_container(procs(cluster, "back")[0].pod, "back", reason="Error")
        cluster.advance(10)
        assert procs(cluster, "back")[0].demand > 1.5 * warm
        cluster.advance(240)
        assert procs(cluster, "back")[0].demand == pytest.approx(warm, rel=0.15)


def test_a_crash_between_two_looks_costs_the_calls_that_were_on_their_way(tmp_path: Path) -> None:
    with started(tmp_path, two(), warmup=122) as cluster:
        assert errors(cluster) == 0
        cluster.control.kubelet.restart_container(procs(cluster, "back")[0].pod, "back", reason="Error")
        cluster.control.drain()
        cluster.advance(3)
        found = edge(cluster, "front", "back")
        assert 0.05 < found.errors / found.calls < 0.6
        assert "connection reset by peer" in found.message
        cluster.advance(5)
        assert errors(cluster) == 0


def test_a_pod_that_is_deleted_finishes_what_it_began(tmp_path: Path) -> None:
    app = two()
    app["objects"] = [*workload("front", cpu="4"), *workload("back", replicas=3)]
    with started(tmp_path, app, warmup=122) as cluster:
        name = procs(cluster, "back")[0].pod[1]
        cluster.faulting.hands.send("DELETE", f"/api/v1/namespaces/{NS}/pods/{name}")
        cluster.advance(3)
        assert errors(cluster) == 0
        assert len(procs(cluster, "back")) >= 2


def test_the_same_storm_twice_is_the_same_to_the_last_digit(tmp_path: Path) -> None:
    figures = []
    for _ in range(2):
        with started(tmp_path, two({"retries": 2})) as cluster:
            surge(cluster, 2.0, 60)
            with cluster.fork() as twin:
                surge(twin, 1.0, 30)
                figures.append(tick(twin))
            surge(cluster, 1.0, 30)
            figures.append(tick(cluster))
    assert figures[0] == figures[1] == figures[2] == figures[3]
