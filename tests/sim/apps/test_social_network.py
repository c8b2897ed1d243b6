"""Social Network: its topology, and what the problems of the benchmarks do to it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from stratus.sim.apps.loader import load_application
from stratus.sim.cluster import EmbeddedCluster

from .building import edge, errors, procs, rate, tick

NS = "test-social-network"
SERVICES = (
    "compose-post", "home-timeline", "media", "post-storage", "social-graph", "text", "unique-id", "url-shorten",
    "user", "user-mention", "user-timeline",
)  # fmt: skip


@pytest.fixture(scope="module")
def base() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(app="social-network", warmup=180) as cluster:
        yield cluster


@pytest.fixture
def social(base: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    with base.fork() as twin:
        yield twin


def written(cluster: EmbeddedCluster, workload: str) -> str:
    return "\n".join(text for p in procs(cluster, workload) for _, text in p.lines)


def test_every_service_of_the_benchmark_is_there_with_its_port_and_label() -> None:
    objects = load_application("social-network").objects
    ports = {o["metadata"]["name"]: o["spec"]["ports"][0] for o in objects if o["kind"] == "Service"}
    wanted = {f"{n}-service": 9090 for n in SERVICES} | {"nginx-thrift": 8080, "media-frontend": 8081, "jaeger": 6831}
    wanted |= {f"{n}-mongodb": 27017 for n in ("media", "post-storage", "social-graph", "url-shorten", "user")}
    wanted |= {"user-timeline-mongodb": 27017}
    wanted |= {f"{n}-memcached": 11211 for n in ("media", "post-storage", "url-shorten", "user")}
    wanted |= {f"{n}-redis": 6379 for n in ("home-timeline", "social-graph", "user-timeline")}
    assert {n: p["port"] for n, p in ports.items()} == wanted
    assert ports["media-frontend"]["targetPort"] == 8080
    deployments = {o["metadata"]["name"]: o for o in objects if o["kind"] == "Deployment"}
    assert set(deployments) == set(wanted)
    for name, found in deployments.items():
        assert found["spec"]["template"]["metadata"]["labels"] == {"app": name}
        assert found["spec"]["replicas"] == 1


def test_everything_runs_and_calls_go_as_the_topology_says(social: EmbeddedCluster) -> None:
    pods = social.store.list("pods", NS)
    assert len(pods) == 27
    assert all(p["status"]["containerStatuses"][0]["ready"] for p in pods)
    found = tick(social)
    assert all(s.error_rate == 0 for s in found.services.values())
    edges = {(a, b) for _, a, b, _ in found.edges if a}
    short = {f"{n}-service" for n in SERVICES}
    assert edges >= {
        ("nginx-thrift", f"{n}-service") for n in ("compose-post", "home-timeline", "user-timeline", "user")
    }
    assert {b for a, b in edges if a == "compose-post-service"} == {
        f"{n}-service" for n in ("home-timeline", "media", "post-storage", "text", "unique-id", "user", "user-timeline")
    }
    assert {b for a, b in edges if a == "text-service"} == {"url-shorten-service", "user-mention-service"}
    assert {b for a, b in edges if a == "home-timeline-service"} == {"post-storage-service", "social-graph-service"}
    assert {b for _, b in edges} <= short
    targets = {n: set(p.targets) for n, p in social.runtime.app.programs.items()}  # type: ignore[union-attr]
    assert targets["user-service"] == {"user-memcached", "user-mongodb", "social-graph-service"}
    assert targets["post-storage-service"] == {"post-storage-memcached", "post-storage-mongodb"}


def test_calls_made_at_the_same_time_take_as_long_as_the_slowest(social: EmbeddedCluster) -> None:
    compose = edge(social, "nginx-thrift", "compose-post-service").p99
    inner = [e.p99 for (_, a, _, _), e in tick(social).edges.items() if a == "compose-post-service"]
    assert max(inner) < compose < sum(inner)


@pytest.mark.parametrize("service", ["user-service", "text-service", "post-storage-service"])
def test_a_wrong_target_port_makes_callers_log_thrift_errors(social: EmbeddedCluster, service: str) -> None:
    social.inject("any-wrong-target-port", service=service)
    social.advance(60)
    found = edge(social, "compose-post-service", service)
    assert found.errors == pytest.approx(found.calls)
    assert found.message == f"TTransportException: socket open() error: Connection refused (Host: {service} Port: 9090)"
    assert f"Failed to call {service}" in written(social, "compose-post-service")
    assert errors(social, "nginx-thrift", NS) > 0.25
    assert all(p["status"]["containerStatuses"][0]["ready"] for p in social.store.list("pods", NS))


def test_a_service_scaled_to_zero_fails_its_callers(social: EmbeddedCluster) -> None:
    social.inject("any-scaled-to-zero", workload="user-service")
    social.advance(90)
    assert (NS, "user-service") not in tick(social).services
    assert errors(social, "compose-post-service", NS) == 1.0
    assert errors(social, "home-timeline-service", NS) == 0


def test_a_service_that_is_gone_does_not_resolve(social: EmbeddedCluster) -> None:
    social.faulting.hands.send("DELETE", f"/api/v1/namespaces/{NS}/services/user-service")
    social.advance(30)
    assert edge(social, "compose-post-service", "user-service").message.endswith(
        "Could not resolve host for client socket."
    )


def test_a_database_that_demands_tls_keeps_its_service_from_starting(social: EmbeddedCluster) -> None:
    hands = social.faulting.hands
    config = social.store.get("configmaps", NS, "mongodb-config")
    assert config is not None
    text = config["data"]["url-shorten-mongodb.conf"].replace("mode: disabled", "mode: requireTLS")
    hands.patch("ConfigMap", NS, "mongodb-config", {"data": {"url-shorten-mongodb.conf": text}})
    restart = {"spec": {"template": {"metadata": {"annotations": {"restarted": "1"}}}}}
    hands.patch("Deployment", NS, "url-shorten-mongodb", restart)
    social.advance(60)
    assert edge(social, "text-service", "url-shorten-service").errors > 0
    assert "only allow SSL connections" in written(social, "url-shorten-mongodb")
    (pod,) = [p for p in social.store.list("pods", NS) if p["metadata"]["name"].startswith("url-shorten-service")]
    hands.send("DELETE", f"/api/v1/namespaces/{NS}/pods/{pod['metadata']['name']}")
    social.advance(120)
    (pod,) = [p for p in social.store.list("pods", NS) if p["metadata"]["name"].startswith("url-shorten-service")]
    status = pod["status"]["containerStatuses"][0]
    assert status["restartCount"] >= 1
    lines = social.runtime.logs(pod, pod["spec"]["containers"][0], previous=True, since=None, limit=-1)
    assert any("connection closed calling hello" in text for _, text in lines)
    assert errors(social, "text-service", NS) == 1.0
    assert errors(social, "user-service", NS) == 0


def test_a_wrong_address_in_the_config_breaks_who_starts_after_it(social: EmbeddedCluster) -> None:
    config = social.store.get("configmaps", NS, "service-config")
    assert config is not None
    document = json.loads(config["data"]["service-config.json"])
    document["media-service"]["port"] = 9091
    data = {"service-config.json": json.dumps(document)}
    social.faulting.hands.patch("ConfigMap", NS, "service-config", {"data": data})
    social.advance(60)
    assert errors(social, "compose-post-service", NS) == 0
    restart = {"spec": {"template": {"metadata": {"annotations": {"restarted": "1"}}}}}
    social.faulting.hands.patch("Deployment", NS, "compose-post-service", restart)
    social.advance(60)
    assert errors(social, "compose-post-service", NS) == 1.0
    # The Service has no such port, so nobody answers.
    message = edge(social, "compose-post-service", "media-service").message
    assert message == "TTransportException: open() timed out (Host: media-service Port: 9091)"


def test_a_leaking_build_is_killed_for_its_memory(social: EmbeddedCluster) -> None:
    image = "deathstarbench/social-network-microservices:1.1.0-rc3"
    container = {"name": "user-timeline-service", "image": image}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    social.faulting.hands.patch(
        "Deployment", NS, "user-timeline-service", patch, "application/strategic-merge-patch+json"
    )
    social.advance(420)
    (pod,) = [p for p in social.store.list("pods", NS) if p["metadata"]["name"].startswith("user-timeline-service")]
    assert pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["reason"] == "OOMKilled"


def test_no_alert_fires_in_normal_life(social: EmbeddedCluster) -> None:
    social.advance(600)
    alerts = social.telemetry().alerts
    assert alerts is not None
    assert alerts.firing() == ()
    assert rate(social, "nginx-thrift", NS) == pytest.approx(50, rel=0.15)
