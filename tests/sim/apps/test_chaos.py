"""Chaos objects act from their creation until they end, on the pods chosen at the start, and say so in their status."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stratus.sim.apps.chaos.selection import duration, share, size
from stratus.sim.cluster import EmbeddedCluster
from stratus.sim.faults.chaosmesh import PLURALS, definition

from .building import NS, Obj, application, edge, errors, procs, program, started, tick, workload


def shop() -> Obj:
    to = {"back": {"address": {"default": "back:80"}, "protocol": "http", "timeout": 2}}
    to["api"] = {"address": {"default": "api.pay.com:443"}, "protocol": "http", "timeout": 2}
    calls = [{"to": "back", "operation": "get"}, {"to": "api", "operation": "pay", "share": 0.1}]
    programs = {
        "front": program("front", {"get": {"path": "/get", "cpu_ms": 1, "calls": calls}}, targets=to),
        "back": program("back", {"get": {"path": "/items", "cpu_ms": 2}}),
    }
    return application(
        programs, [*workload("front"), *workload("back", replicas=2)], 40.0, externals={"api.pay.com": {"wait_ms": 30}}
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    with started(tmp_path_factory.mktemp("chaos"), shop()) as cluster:
        for kind in PLURALS:
            cluster.faulting.hands.send(
                "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition(kind)
            )
        yield cluster


@pytest.fixture
def cluster(base: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    with base.fork() as twin:
        yield twin


BACK = {"mode": "all", "selector": {"labelSelectors": {"app": "back"}}}


def path(kind: str, name: str = "") -> str:
    return f"/apis/chaos-mesh.org/v1alpha1/namespaces/{NS}/{PLURALS[kind]}{'/' + name if name else ''}"


def begin(cluster: EmbeddedCluster, kind: str, spec: Obj, name: str = "chaos", seconds: float = 20) -> None:
    meta = {"name": name, "namespace": NS}
    body = {"apiVersion": "chaos-mesh.org/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}
    cluster.faulting.hands.send("POST", path(kind), body)
    cluster.advance(seconds)


def end(cluster: EmbeddedCluster, kind: str, name: str = "chaos", seconds: float = 20) -> None:
    cluster.faulting.hands.send("DELETE", path(kind, name))
    cluster.advance(seconds)


def stored(cluster: EmbeddedCluster, kind: str, name: str = "chaos") -> Obj | None:
    return cluster.store.get(f"{PLURALS[kind]}.chaos-mesh.org", NS, name)


def conditions(obj: Obj | None) -> dict[str, bool]:
    assert obj is not None
    return {c["type"]: c["status"] == "True" for c in obj["status"]["conditions"]}


def reasons(cluster: EmbeddedCluster, name: str = "chaos") -> list[str]:
    events = cluster.store.list("events", NS)
    return [e["reason"] for e in events if e["involvedObject"]["name"] == name]


def test_status_events_and_finalizer_tell_the_whole_story(cluster: EmbeddedCluster) -> None:
    begin(cluster, "NetworkChaos", {**BACK, "action": "delay", "delay": {"latency": "500ms"}, "duration": "60s"})
    obj = stored(cluster, "NetworkChaos")
    assert obj is not None
    assert obj["metadata"]["finalizers"] == ["chaos-mesh/records"]
    assert conditions(obj) == {"Selected": True, "AllInjected": True, "AllRecovered": False, "Paused": False}
    records = obj["status"]["experiment"]["containerRecords"]
    assert [r["phase"] for r in records] == ["Injected"] * 2
    assert {r["id"] for r in records} == {f"{NS}/{p.pod[1]}" for p in procs(cluster, "back")}
    assert edge(cluster, "front", "back").p99 > 0.5
    cluster.advance(60)
    assert conditions(stored(cluster, "NetworkChaos"))["AllRecovered"]
    assert edge(cluster, "front", "back").p99 < 0.1
    assert {"FinalizerInited", "Started", "Applied", "TimeUp", "Recovered"} <= set(reasons(cluster))
    end(cluster, "NetworkChaos")
    assert stored(cluster, "NetworkChaos") is None


def test_deletion_ends_it_and_a_fork_goes_on_with_it(cluster: EmbeddedCluster) -> None:
    begin(cluster, "NetworkChaos", {**BACK, "action": "loss", "loss": {"loss": "100"}, "duration": "50s"})
    assert errors(cluster) == 1.0
    with cluster.fork() as twin:
        twin.advance(60)
        assert errors(twin) == 0
    end(cluster, "NetworkChaos")
    assert errors(cluster) == 0


def test_an_annotation_pauses_it(cluster: EmbeddedCluster) -> None:
    begin(cluster, "NetworkChaos", {**BACK, "action": "loss", "loss": {"loss": "100"}})
    for value, failing in (("true", 0.0), ("false", 1.0)):
        note = {"metadata": {"annotations": {"experiment.chaos-mesh.org/pause": value}}}
        media = "application/merge-patch+json"
        cluster.faulting.hands.send("PATCH", path("NetworkChaos", "chaos"), note, media)
        cluster.advance(10)
        assert errors(cluster) == failing
        assert conditions(stored(cluster, "NetworkChaos"))["Paused"] == (value == "true")


def test_one_of_two_pods_is_hit_and_pods_that_come_later_are_not(cluster: EmbeddedCluster) -> None:
    begin(cluster, "NetworkChaos", {**BACK, "mode": "one", "action": "loss", "loss": {"loss": "100"}})
    assert errors(cluster) == pytest.approx(0.5, abs=0.01)
    obj = stored(cluster, "NetworkChaos")
    assert obj is not None
    (record,) = obj["status"]["experiment"]["containerRecords"]
    cluster.faulting.hands.send("DELETE", f"/api/v1/namespaces/{NS}/pods/{record['id'].split('/')[1]}")
    cluster.advance(40)
    assert errors(cluster) == 0


def test_a_target_limits_chaos_to_what_passes_between_the_two(cluster: EmbeddedCluster) -> None:
    other = {"mode": "all", "selector": {"labelSelectors": {"app": "nobody"}}}
    begin(cluster, "NetworkChaos", {**BACK, "action": "partition", "direction": "both", "target": other})
    assert errors(cluster) == 0
    front = {"mode": "all", "selector": {"labelSelectors": {"app": "front"}}}
    begin(cluster, "NetworkChaos", {**BACK, "action": "partition", "direction": "both", "target": front}, "second")
    assert errors(cluster) == 1.0
    assert edge(cluster, "front", "back").p99 == pytest.approx(2, rel=0.05)


def test_only_the_way_outside_is_disturbed(cluster: EmbeddedCluster) -> None:
    front = {"mode": "all", "selector": {"labelSelectors": {"app": "front"}}}
    spec = {
        **front,
        "action": "delay",
        "delay": {"latency": "1s"},
        "externalTargets": ["api.pay.com"],
        "direction": "to",
    }
    begin(cluster, "NetworkChaos", spec)
    assert edge(cluster, "front", "back").p99 < 0.1
    assert edge(cluster, "front", "api.pay.com").p99 > 1.0


def test_names_do_not_resolve(cluster: EmbeddedCluster) -> None:
    front = {"mode": "all", "selector": {"labelSelectors": {"app": "front"}}}
    begin(cluster, "DNSChaos", {**front, "action": "error", "patterns": ["back*"]})
    assert "no such host" in edge(cluster, "front", "back").message
    end(cluster, "DNSChaos")
    assert errors(cluster) == 0


def test_a_failed_pod_runs_an_image_that_does_nothing(cluster: EmbeddedCluster) -> None:
    begin(cluster, "PodChaos", {**BACK, "action": "pod-failure", "duration": "40s"})
    pods = [p for p in cluster.store.list("pods", NS) if p["metadata"]["labels"]["app"] == "back"]
    assert {p["spec"]["containers"][0]["image"] for p in pods} == {"registry.k8s.io/pause:3.9"}
    assert errors(cluster) == 1.0
    assert "connection refused" in edge(cluster, "front", "back").message
    cluster.advance(60)
    pods = [p for p in cluster.store.list("pods", NS) if p["metadata"]["labels"]["app"] == "back"]
    assert {p["spec"]["containers"][0]["image"] for p in pods} == {"acme/back:1.0.0"}
    assert min(p["status"]["containerStatuses"][0]["restartCount"] for p in pods) >= 1
    assert errors(cluster) == 0


def test_pods_and_containers_are_killed_once(cluster: EmbeddedCluster) -> None:
    before = {p.pod[1] for p in procs(cluster, "back")}
    begin(cluster, "PodChaos", {**BACK, "action": "pod-kill", "mode": "one"})
    after = {p.pod[1] for p in procs(cluster, "back")}
    assert len(before & after) == 1
    assert len(after) == 2
    begin(cluster, "PodChaos", {**BACK, "action": "container-kill", "containerNames": ["back"]}, "second")
    pods = [p for p in cluster.store.list("pods", NS) if p["metadata"]["labels"]["app"] == "back"]
    assert [p["status"]["containerStatuses"][0]["restartCount"] for p in pods] == [1, 1]
    assert [p["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] for p in pods] == [137, 137]
    cluster.advance(120)
    assert {p.pod[1] for p in procs(cluster, "back")} == after


def test_stress_takes_cpu_and_memory(cluster: EmbeddedCluster) -> None:
    before = next(u for u in tick(cluster).use if u.container == "back")
    stressors = {"cpu": {"workers": 2, "load": 100}, "memory": {"workers": 1, "size": "100MB"}}
    begin(cluster, "StressChaos", {**BACK, "stressors": stressors})
    after = next(u for u in tick(cluster).use if u.container == "back")
    assert after.cpu > 0.9
    assert after.throttled > 0.8
    assert after.memory - before.memory == pytest.approx(100 * 2**20, rel=0.05)
    begin(cluster, "StressChaos", {**BACK, "stressors": {"memory": {"workers": 1, "size": "600MB"}}}, "second")
    pods = [p for p in cluster.store.list("pods", NS) if p["metadata"]["labels"]["app"] == "back"]
    terminated = [p["status"]["containerStatuses"][0]["lastState"].get("terminated", {}) for p in pods]
    assert {t.get("reason") for t in terminated} == {"OOMKilled"}


@pytest.mark.parametrize(
    ("kind", "spec", "failing", "slow", "said"),
    [
        ("HTTPChaos", {"target": "Response", "port": 8080, "path": "/items", "replace": {"code": 503}}, 1, 0, "503"),
        ("HTTPChaos", {"target": "Request", "port": 8080, "path": "*", "abort": True}, 1, 0, "connection reset"),
        ("HTTPChaos", {"target": "Request", "port": 8080, "path": "/items", "delay": "700ms"}, 0, 0.7, ""),
        ("HTTPChaos", {"target": "Request", "port": 9999, "path": "*", "abort": True}, 0, 0, ""),
        ("HTTPChaos", {"target": "Request", "port": 8080, "path": "/other", "abort": True}, 0, 0, ""),
        (
            "JVMChaos",
            {"action": "exception", "method": "get", "exception": "java.io.IOException(x)"},
            1,
            0,
            "IOException",
        ),
        ("JVMChaos", {"action": "latency", "method": "other", "latency": 600}, 0, 0.6, ""),
        ("JVMChaos", {"action": "gc"}, 0, 0.1, ""),
        ("IOChaos", {"action": "fault", "errno": 28, "percent": 40, "volumePath": "/data"}, 0.4, 0, "no space left"),
        ("IOChaos", {"action": "latency", "delay": "800ms", "percent": 50}, 0, 0.4, ""),
    ],
)
def test_what_a_program_suffers(
    cluster: EmbeddedCluster, kind: str, spec: Obj, failing: float, slow: float, said: str
) -> None:
    begin(cluster, kind, {**BACK, **spec})
    found = edge(cluster, "front", "back")
    assert found.errors / found.calls == pytest.approx(failing, abs=0.02)
    assert said in found.message
    assert (found.p99 > slow) if slow else (found.p99 < 0.1)
    end(cluster, kind)
    found = edge(cluster, "front", "back")
    assert (found.errors, found.p99 < 0.1) == (0, True)


def test_what_needs_a_kernel_says_that_it_is_not_covered(cluster: EmbeddedCluster) -> None:
    begin(cluster, "TimeChaos", {**BACK, "timeOffset": "-10m"})
    assert not conditions(stored(cluster, "TimeChaos"))["AllInjected"]
    assert "Failed" in reasons(cluster)
    begin(cluster, "StressChaos", {"mode": "all", "selector": {"labelSelectors": {"app": "x"}}}, "nobody")
    assert not conditions(stored(cluster, "StressChaos", "nobody"))["Selected"]


def test_a_schedule_makes_chaos_again_and_again_and_keeps_a_short_history(cluster: EmbeddedCluster) -> None:
    inner = {**BACK, "action": "delay", "delay": {"latency": "300ms"}, "duration": "20s"}
    spec = {"schedule": "@every 60s", "type": "NetworkChaos", "historyLimit": 1, "networkChaos": inner}
    begin(cluster, "Schedule", spec, seconds=70)
    first = cluster.store.list("networkchaos.chaos-mesh.org", NS)
    assert len(first) == 1
    assert first[0]["metadata"]["ownerReferences"][0]["kind"] == "Schedule"
    assert edge(cluster, "front", "back").p99 > 0.3
    cluster.advance(20)
    assert edge(cluster, "front", "back").p99 < 0.1
    cluster.advance(220)
    kept = cluster.store.list("networkchaos.chaos-mesh.org", NS)
    assert len(kept) <= 2
    assert first[0]["metadata"]["name"] not in {c["metadata"]["name"] for c in kept}
    assert reasons(cluster).count("Spawned") >= 1
    end(cluster, "Schedule")
    assert cluster.store.list("networkchaos.chaos-mesh.org", NS) == []
    cluster.advance(120)
    assert cluster.store.list("networkchaos.chaos-mesh.org", NS) == []


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("NetworkChaos", {"selector": ["a"], "mode": "all"}),
        ("NetworkChaos", {**BACK, "delay": "10s"}),
        ("NetworkChaos", {**BACK, "mode": "fixed", "value": "many", "loss": 3}),
        ("StressChaos", {**BACK, "stressors": {"cpu": {"workers": "two"}}}),
        ("HTTPChaos", {**BACK, "port": "http", "replace": 5}),
        ("Schedule", {"schedule": "whenever", "type": "PodChaos"}),
        ("Schedule", {"schedule": "@every 1s", "type": "Nothing"}),
        ("PodChaos", {}),
    ],
)
def test_a_spec_that_makes_no_sense_does_nothing_and_breaks_nothing(
    cluster: EmbeddedCluster, kind: str, spec: Obj
) -> None:
    begin(cluster, kind, spec)
    assert errors(cluster) == 0
    assert cluster.store.list(f"{PLURALS[kind]}.chaos-mesh.org", NS)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1m30s", 90.0), ("250ms", 0.25), ("10", 0.0), ("", 0.0), (None, 0.0), ("1.5s", 1.5)]
)
def test_durations(text: Any, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


def test_sizes_and_shares() -> None:
    assert size("256MB", 1.0) == 256 * 2**20
    assert size("1GiB", 1.0) == 2**30
    assert size("50%", 1000.0) == 500.0
    assert (share("25"), share("25%"), share("x"), share(None)) == (0.25, 0.25, 0.0, 0.0)
