"""Workloads that no application file knows, described by annotations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from stratus.sim.cluster import EmbeddedCluster

PROGRAM = {
    "ports": [8080],
    "protocol": "http",
    "operations": {"get": {"cpu_ms": 2, "calls": [{"to": "back", "operation": "ask"}]}},
    "targets": {"back": {"address": {"env": "BACK"}, "protocol": "http"}},
}


def deployment(name: str, image: str, annotations: dict[str, str], env: dict[str, str]) -> dict[str, Any]:
    labels = {"app": name}
    container = {"name": name, "image": image, "env": [{"name": k, "value": v} for k, v in env.items()]}
    template = {"metadata": {"labels": labels, "annotations": annotations}, "spec": {"containers": [container]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def service(name: str, port: int, annotations: dict[str, str]) -> dict[str, Any]:
    spec = {"selector": {"app": name}, "ports": [{"port": port, "targetPort": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "annotations": annotations}, "spec": spec}


@pytest.fixture
def empty() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(app=None, seed=3) as cluster:
        yield cluster


def make(cluster: EmbeddedCluster, *objects: dict[str, Any]) -> None:
    for obj in objects:
        group = obj["apiVersion"]
        root = "/apis/apps/v1" if group == "apps/v1" else "/api/v1"
        plural = {"Deployment": "deployments", "Service": "services"}[obj["kind"]]
        cluster.faulting.hands.send("POST", f"{root}/namespaces/default/{plural}", obj)


def web(program: str, load: str) -> tuple[dict[str, Any], ...]:
    return (
        deployment("web", "acme/web:1", {"sim.stratus.dev/program": program}, {"BACK": "back:80"}),
        deployment("back", "nginx:1.27", {}, {}),
        service("web", 8080, {"sim.stratus.dev/load": load}),
        service("back", 80, {}),
    )


def test_an_annotated_workload_has_traffic_series_and_edges(empty: EmbeddedCluster) -> None:
    make(empty, *web(json.dumps(PROGRAM), "{rate: 20, mix: [{operation: get, share: 1}]}"))
    empty.advance(120)
    tick = empty.history.last(empty.clock.now())
    assert tick is not None
    assert tick.services["default", "web"].rate == pytest.approx(20, rel=0.1)
    assert tick.services["default", "web"].error_rate == 0
    assert ("default", "web", "back", "ask") in tick.edges


def test_its_calls_break_when_what_it_calls_is_gone(empty: EmbeddedCluster) -> None:
    make(empty, *web(json.dumps(PROGRAM), "{rate: 20, mix: [{operation: get, share: 1}]}"))
    empty.advance(30)
    empty.inject("any-scaled-to-zero", workload="back")
    empty.advance(120)
    tick = empty.history.last(empty.clock.now())
    assert tick is not None
    assert tick.services["default", "web"].error_rate == pytest.approx(1.0)
    assert "connection refused" in tick.edges["default", "web", "back", "ask"].message
    names = {(a.name, a.service) for a in empty.telemetry().alerts.firing()}  # type: ignore[union-attr]
    assert ("HighRequestErrorRate", "web") in names


def test_an_annotation_that_cannot_be_read_is_told_in_the_log(empty: EmbeddedCluster) -> None:
    make(empty, *web("{ports: eighty}", "rate: many"))
    empty.advance(30)
    lines = empty.telemetry().logs.tail("default", service="web")  # type: ignore[union-attr]
    assert any("annotation sim.stratus.dev/program: ports" in line.text for line in lines)
    assert not empty.traffic.loads()
