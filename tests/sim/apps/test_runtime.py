"""Programs in containers: how they start, what stops them, what they serve and write."""

from __future__ import annotations

from typing import Any

import pytest

from stratus.sim.cluster import EmbeddedCluster

NS = "hotel-reservation"


def pod_of(cluster: EmbeddedCluster, workload: str) -> dict[str, Any]:
    found = [p for p in cluster.store.list("pods", NS) if p["metadata"]["labels"]["io.kompose.service"] == workload]
    return max(found, key=lambda p: p["metadata"]["creationTimestamp"])


def run(cluster: EmbeddedCluster, workload: str, *argv: str) -> Any:
    pod = pod_of(cluster, workload)
    container = pod["spec"]["containers"][0]["name"]
    return cluster.api.exec_backend(NS, pod["metadata"]["name"], container, list(argv), b"")


def log(cluster: EmbeddedCluster, workload: str, *, previous: bool = False) -> str:
    pod = pod_of(cluster, workload)
    container = pod["spec"]["containers"][0]["name"]
    return cluster.api.log_backend(NS, pod["metadata"]["name"], container, previous, None, None, False)


def state(cluster: EmbeddedCluster, workload: str) -> dict[str, Any]:
    return pod_of(cluster, workload)["status"]["containerStatuses"][0]


def test_every_program_serves_after_the_start_without_a_restart(hotel: EmbeddedCluster) -> None:
    pods = hotel.store.list("pods", NS)
    assert len(pods) == 19
    for pod in pods:
        entry = pod["status"]["containerStatuses"][0]
        assert entry["ready"], pod["metadata"]["name"]
        assert entry["restartCount"] == 0, pod["metadata"]["name"]
        container = pod["spec"]["containers"][0]
        declared = {p["containerPort"] for p in container["ports"]}
        assert hotel.runtime.listens(pod, container) == declared


def test_programs_write_what_their_kind_writes(hotel: EmbeddedCluster) -> None:
    lines = log(hotel, "geo").splitlines()
    assert lines[0] == "2026-01-05T09:00:0" + lines[0][18] + "Z INF cmd/geo/main.go:24 > Tuning setup..."
    assert any("Starting server..." in line for line in lines)
    assert '"msg":"Waiting for connections"' in log(hotel, "mongodb-user")


def test_a_program_waits_for_its_database_and_then_gives_up(hotel: EmbeddedCluster) -> None:
    hotel.inject("any-scaled-to-zero", workload="mongodb-recommendation")
    hotel.advance(10)
    hotel.inject("any-bad-image", workload="recommendation", image="yinfangchen/hotelreservation:v1.4.9")
    hotel.advance(20)
    assert "running" in state(hotel, "recommendation")["state"]
    assert "Starting server" not in log(hotel, "recommendation")
    hotel.advance(25)
    assert state(hotel, "recommendation")["restartCount"] >= 1
    assert "connecting to mongodb-recommendation at mongodb-recommendation:27017" in log(
        hotel, "recommendation", previous=True
    )


def test_a_program_that_waits_serves_once_its_database_is_back(hotel: EmbeddedCluster) -> None:
    hotel.inject("any-scaled-to-zero", workload="mongodb-user")
    hotel.advance(10)
    hotel.inject("bad-env-address")
    hotel.inject("any-bad-image", workload="user", image="yinfangchen/hotelreservation:v1.4.9")
    hotel.advance(12)
    pod = pod_of(hotel, "user")
    assert not hotel.runtime.listens(pod, pod["spec"]["containers"][0])
    hotel.heal("any-scaled-to-zero")
    hotel.advance(12)
    pod = pod_of(hotel, "user")
    assert hotel.runtime.listens(pod, pod["spec"]["containers"][0]) == {8086}
    assert state(hotel, "user")["restartCount"] == 0


@pytest.mark.parametrize(
    ("fault", "workload", "said", "code"),
    [
        ("geo-wrong-image", "geo", "panic: runtime error", 2),
        ("bad-build-config", "search", "unknown field", 1),
        ("bad-env-value", "user", "cannot parse JAEGER_SAMPLE_RATIO all", 2),
        ("revoke-mongo-role-geo", "geo", "not authorized on geo-db", 2),
        ("wrong-database-address", "reservation", "lookup mongodb-reserve", 2),
    ],
)
def test_a_start_that_fails_says_why_and_ends_with_its_code(
    hotel: EmbeddedCluster, fault: str, workload: str, said: str, code: int
) -> None:
    hotel.inject(fault)
    hotel.advance(70)
    entry = state(hotel, workload)
    assert entry["restartCount"] >= 1
    ended = (entry["state"].get("terminated") or entry["lastState"]["terminated"])["exitCode"]
    assert ended == code
    assert said in log(hotel, workload, previous=True) + log(hotel, workload)


def test_a_command_that_the_image_lacks_is_a_start_error(hotel: EmbeddedCluster) -> None:
    hotel.inject("wrong-binary")
    hotel.heal("wrong-binary")
    patch = {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}
    hotel.faulting.hands.patch("Deployment", NS, "profile", patch)
    body = {"spec": {"template": {"spec": {"containers": [{"name": "hotel-reserv-profile", "command": ["profiles"]}]}}}}
    hotel.faulting.hands.patch("Deployment", NS, "profile", body, "application/strategic-merge-patch+json")
    hotel.advance(20)
    waiting = state(hotel, "profile")["state"].get("waiting") or state(hotel, "profile")["lastState"]["terminated"]
    assert 'exec: "profiles": executable file not found in $PATH' in waiting["message"]


def test_a_shell_in_the_applications_image_is_still_a_shell(hotel: EmbeddedCluster) -> None:
    assert run(hotel, "geo", "sh", "-c", "echo $HOSTNAME; ls /workspace/config").stdout.splitlines()[1] == "config.json"
    assert "mongodb-geo:27017" in run(hotel, "geo", "cat", "/workspace/config/config.json").stdout


def test_http_answers_follow_the_calls_behind_them(hotel: EmbeddedCluster) -> None:
    ask = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}")
    assert run(hotel, "search", *ask, "http://frontend:5000/hotels").stdout == "200"
    assert run(hotel, "search", *ask, "http://frontend:5000/nothing").stdout == "404"
    hotel.inject("wrong-target-port")
    assert run(hotel, "search", *ask, "http://frontend:5000/hotels").stdout == "500"
    assert run(hotel, "search", *ask, "http://frontend:5000/recommendations").stdout == "200"
    hotel.heal("wrong-target-port")
    assert run(hotel, "search", *ask, "http://frontend:5000/hotels").stdout == "200"


def test_the_database_client_repairs_a_revoked_role(hotel: EmbeddedCluster) -> None:
    hotel.inject("revoke-mongo-role")
    hotel.advance(120)
    assert hotel.telemetry().alerts.firing()  # type: ignore[union-attr]
    script = "db.grantRolesToUser('admin', [{role: 'readWrite', db: 'rate-db'}])"
    assert run(hotel, "mongodb-rate", "mongo", "admin", "-u", "root", "-p", "root", "--eval", script).exit_code == 0
    hotel.advance(120)
    assert hotel.telemetry().alerts.firing() == ()  # type: ignore[union-attr]
    assert "Checking authorization failed" in log(hotel, "mongodb-rate")


def test_users_of_a_database_outlive_its_pods(hotel: EmbeddedCluster) -> None:
    hotel.inject("drop-mongo-user")
    hotel.store.delete("pods", NS, pod_of(hotel, "mongodb-rate")["metadata"]["name"])
    hotel.control.drain()
    hotel.advance(30)
    assert state(hotel, "mongodb-rate")["ready"]
    assert "admin" not in hotel.runtime.databases[NS, "mongodb-rate"].users


def test_too_little_memory_ends_a_program_at_its_start(hotel: EmbeddedCluster) -> None:
    hotel.inject("memory-limit-cut")
    hotel.advance(30)
    entry = state(hotel, "profile")
    assert (entry["state"].get("terminated") or entry["lastState"]["terminated"])["reason"] == "OOMKilled"


def test_reading_changes_nothing(hotel: EmbeddedCluster) -> None:
    from stratus.sim.cluster import dump

    before = dump(hotel), hotel._rng.getstate()
    for pod in hotel.store.list("pods", NS):
        container = pod["spec"]["containers"][0]
        hotel.runtime.usage(pod, container)
        hotel.runtime.logs(pod, container, previous=False, since=None, limit=10)
        hotel.runtime.listens(pod, container)
    run(hotel, "search", "curl", "-s", "http://frontend:5000/hotels")
    assert (dump(hotel), hotel._rng.getstate()) == before
