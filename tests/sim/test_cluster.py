"""The assembled cluster: quick to start, deterministic, reachable, forkable, and clean at its end."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stratus.errors import UnknownNameError, UsageError
from stratus.sim.api import Request, Response
from stratus.sim.cluster import ClusterClosed, EmbeddedCluster, dump

NS = "hotel-reservation"


@pytest.fixture(scope="module")
def base() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster() as cluster:
        yield cluster


@pytest.fixture
def hotel(base: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    with base.fork() as cluster:
        yield cluster


def figures(cluster: EmbeddedCluster) -> Any:
    """Everything telemetry can say, as comparable data."""
    sources = cluster.telemetry()
    now = cluster.clock.now()
    assert sources.metrics
    assert sources.traces
    assert sources.logs
    assert sources.alerts
    return (
        sources.metrics.service_series((), now - 900, now, 15),
        sources.metrics.usage((), now),
        sources.traces.edges((), now - 300, now),
        sources.logs.tail(NS, limit=2000),
        sources.alerts.firing(),
    )


def request(cluster: EmbeddedCluster, method: str, path: str, body: Any = None, media: str = "application/json") -> Any:
    data = b"" if body is None else json.dumps(body).encode()
    answer = cluster.api.handle(Request(method, path, {"content-type": media}, data))
    assert isinstance(answer, Response)
    return answer


def test_a_fresh_cluster_is_healthy_after_its_warm_up(base: EmbeddedCluster) -> None:
    sources = base.telemetry()
    assert sources.names["metrics"] == "embedded"
    assert sources.alerts is not None
    assert sources.metrics is not None
    assert sources.alerts.firing() == ()
    now = base.clock.now()
    series = sources.metrics.service_series((NS,), now - 300, now, 15)
    assert {s.service for s in series} == {
        "frontend", "search", "geo", "rate", "profile", "recommendation", "reservation", "user",
    }  # fmt: skip
    for one in series:
        assert len(one.points) == 21
        assert all(p.rate and p.error_rate == 0 and p.latency_p99 and p.latency_p99 < 0.2 for p in one.points)


def test_the_same_seed_gives_the_same_cluster_and_another_seed_another(base: EmbeddedCluster) -> None:
    with EmbeddedCluster() as again, EmbeddedCluster(seed=1) as other:
        assert dump(again) == dump(base)
        assert figures(again) == figures(base)
        assert dump(other) != dump(base)
        assert figures(other) != figures(base)


def test_asking_changes_nothing(base: EmbeddedCluster) -> None:
    before = dump(base), base._rng.getstate()
    first = figures(base)
    for path in ("/api/v1/pods", f"/apis/apps/v1/namespaces/{NS}/deployments/rate", "/apis", "/openapi/v3"):
        assert request(base, "GET", path).status == 200
    assert figures(base) == first
    assert (dump(base), base._rng.getstate()) == before


def test_the_step_width_does_not_matter(base: EmbeddedCluster) -> None:
    with base.fork() as one, base.fork() as many:
        for cluster in (one, many):
            cluster.inject("geo-wrong-image")
        one.advance(300)
        for _ in range(300):
            many.advance(1.0)
        assert dump(one) == dump(many)
        assert figures(one) == figures(many)


def test_a_fork_goes_on_exactly_as_the_original_would(hotel: EmbeddedCluster) -> None:
    hotel.inject("misleading-rollout")
    hotel.advance(7)
    with hotel.fork() as twin:
        hotel.advance(400)
        twin.advance(400)
        assert dump(twin) == dump(hotel)
        assert figures(twin) == figures(hotel)


def test_what_is_tried_on_a_fork_does_not_happen_in_the_original(hotel: EmbeddedCluster) -> None:
    before, seen = dump(hotel), figures(hotel)
    with hotel.fork() as twin:
        for fault in ("revoke-mongo-role", "scaled-to-zero", "misleading-rollout", "network-delay"):
            twin.inject(fault)
        twin.advance(200)
        assert dump(twin) != before
    assert dump(hotel) == before
    assert figures(hotel) == seen
    assert hotel.registry.exists("yinfangchen/hotelreservation:v1.4.0")


def test_an_empty_cluster_has_no_load_and_takes_any_workload() -> None:
    with EmbeddedCluster(app=None, nodes=1) as cluster:
        assert cluster.store.count("nodes") == 1
        assert cluster.store.list("pods", "default") == []
        names = [p["metadata"]["generateName"] for p in cluster.store.list("pods", "kube-system")]
        assert names == ["coredns-" + names[0][8:], names[0], "kube-proxy-"]
        assert cluster.clock.now() % 60 == 0
        labels = {"app": "x"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "labels": labels}}
        body = {**pod, "spec": {"containers": [{"name": "x", "image": "nginx"}]}}
        assert request(cluster, "POST", "/api/v1/namespaces/default/pods", body).status == 201
        cluster.advance(60)
        assert cluster.store.get("pods", "default", "x")["status"]["phase"] == "Running"  # type: ignore[index]
        sources = cluster.telemetry()
        assert sources.metrics is not None
        assert sources.metrics.service_series((), 0, cluster.clock.now(), 600) == ()
        assert [u.pod for u in sources.metrics.usage((), cluster.clock.now()) if u.namespace == "default"] == ["x"]


def test_the_application_lives_in_the_namespace_asked_for() -> None:
    with EmbeddedCluster(namespace="test-hotel", warmup=60) as cluster:
        spaces = {p["metadata"]["namespace"] for p in cluster.store.list("pods")}
        assert spaces == {"kube-system", "test-hotel"}
        cluster.inject("wrong-target-port")
        cluster.advance(60)
        tick = cluster.history.last(cluster.clock.now())
        assert tick is not None
        assert tick.services["test-hotel", "search"].error_rate == 1.0


def test_an_application_of_ones_own_runs_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text("""
name: web
namespace: web
load: {host: web, port: 80, rate: 10, mix: [{operation: home, share: 1}]}
programs:
  web: {image: "docker.io/acme/web", ports: [80], protocol: http, operations: {home: {cpu_ms: 2}}}
objects:
  - {apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}
  - apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web}
    spec:
      selector: {matchLabels: {app: web}}
      template:
        metadata: {labels: {app: web}}
        spec: {containers: [{name: web, image: "acme/web:1"}]}
""")
    with EmbeddedCluster(app=tmp_path / "web.yaml", warmup=60) as cluster:
        tick = cluster.history.last(cluster.clock.now())
        assert tick is not None
        assert tick.services["web", "web"].rate == pytest.approx(10, rel=0.1)
        assert tick.services["web", "web"].error_rate == 0
        assert [f.id for f in cluster.faults()] == [f.id for f in cluster.faults() if f.id.startswith("any-")]


def test_an_object_the_cluster_refuses_is_named(tmp_path: Path) -> None:
    obj = "{apiVersion: v1, kind: Service, metadata: {name: A_B}, spec: {ports: [{port: 1}]}}"
    text = f"name: a\nnamespace: a\nobjects:\n  - {obj}\n"
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"object 1 \(Service A_B\)"):
        EmbeddedCluster(app=tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text(text.replace("kind: Service", "kind: Serviette"))
    with pytest.raises(UsageError, match="serves no v1 Serviette"):
        EmbeddedCluster(app=tmp_path / "a.yaml")


def test_wrong_arguments_are_said_plainly(hotel: EmbeddedCluster) -> None:
    with pytest.raises(UnknownNameError):
        EmbeddedCluster(app="nothing-like-it")
    with pytest.raises(UsageError, match="at least one node"):
        EmbeddedCluster(app=None, nodes=0)
    with pytest.raises(UsageError, match="rules"):
        EmbeddedCluster(app=None, rules=Path("/nowhere/rules.yaml"))
    with pytest.raises(ValueError, match="backwards"):
        hotel.advance(-1)


def test_a_closed_cluster_says_so_and_closing_twice_is_harmless() -> None:
    cluster = EmbeddedCluster(app=None)
    cluster.close()
    cluster.close()
    for act in (lambda: cluster.advance(1), cluster.fork, lambda: request(cluster, "GET", "/api"), cluster.api_client):
        with pytest.raises(ClusterClosed):
            act()


def test_the_official_client_works_in_process(hotel: EmbeddedCluster) -> None:
    from kubernetes.client import AppsV1Api, CoreV1Api

    client = hotel.api_client()
    deployment = AppsV1Api(client).read_namespaced_deployment("rate", NS)
    assert deployment.status.ready_replicas == 1
    pods = CoreV1Api(client).list_namespaced_pod(NS, label_selector="io.kompose.service=rate").items
    text = CoreV1Api(client).read_namespaced_pod_log(pods[0].metadata.name, NS, tail_lines=1)
    assert "rate" in text
    usage = request(hotel, "GET", f"/apis/metrics.k8s.io/v1beta1/namespaces/{NS}/pods").obj
    assert len(usage["items"]) == 19


def test_served_over_https_reads_and_writes_reach_the_same_cluster(hotel: EmbeddedCluster, tmp_path: Path) -> None:
    from kubernetes import client, config

    before = set(threading.enumerate())  # another test's server may be up
    with hotel.serve(follow_wall_clock=False) as front:
        (tmp_path / "kubeconfig").write_text(front.kubeconfig())
        api = config.new_client_from_config(str(tmp_path / "kubeconfig"))
        try:
            apps = client.AppsV1Api(api)
            apps.patch_namespaced_deployment_scale("rate", NS, {"spec": {"replicas": 2}})
            hotel.advance(20)
            assert apps.read_namespaced_deployment("rate", NS).status.ready_replicas == 2
        finally:
            api.rest_client.pool_manager.clear()
            api.close()
    names = {t.name for t in set(threading.enumerate()) - before}
    assert not names & {"stratus-api", "stratus-clock"}


def test_following_the_wall_clock_moves_to_the_moment_asked_for_and_never_back(hotel: EmbeddedCluster) -> None:
    begin = hotel.clock.now()
    hotel._follow(begin + 2.5)
    assert hotel.clock.now() == begin + 2.5
    hotel._follow(begin + 1.0)
    assert hotel.clock.now() == begin + 2.5


def test_serving_with_the_wall_clock_lets_time_pass_and_stops_with_it(hotel: EmbeddedCluster) -> None:
    moved = threading.Event()
    begin = hotel.clock.now()
    hotel.clock.call_at(begin + 0.5, moved.set)
    with hotel.serve(speed=50.0):
        assert moved.wait(30)
    stopped = hotel.clock.now()
    assert stopped > begin
    assert hotel.clock.now() == stopped


def test_threads_do_not_get_into_each_others_way(hotel: EmbeddedCluster) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(5):
                body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number}-{turn}"}}
                assert request(hotel, "POST", f"/api/v1/namespaces/{NS}/configmaps", body).status == 201
                hotel.advance(1)
                figures(hotel)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    begin = hotel.clock.now()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert hotel.clock.now() == begin + 20
    assert sum(o["metadata"]["name"].startswith("c") for o in hotel.store.list("configmaps", NS)) == 20


def test_a_memory_hungry_container_is_killed_while_it_runs(hotel: EmbeddedCluster) -> None:
    proc = next(p for p in hotel.runtime.live() if p.workload == "frontend")
    proc.program = proc.program.model_copy(update={"memory_per_rps": 10.0})
    hotel.advance(10)
    pod = hotel.store.get("pods", *proc.pod)
    assert pod is not None
    entry = copy.deepcopy(pod["status"]["containerStatuses"][0])
    ended = entry["state"].get("terminated") or entry["lastState"].get("terminated")
    assert ended["reason"] == "OOMKilled"
    assert ended["exitCode"] == 137
