"""The page about application files agrees with the schema, and its example works."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from stratus.sim.apps import schema
from stratus.sim.apps.annotations import annotated_load, annotated_program
from stratus.sim.apps.reference import PARTS, page
from stratus.sim.cluster import EmbeddedCluster

from .building import edge, errors, procs, tick

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
NS = "my-shop"


def test_the_page_is_up_to_date() -> None:
    found = (REFERENCE / "applications.md").read_text()
    assert found == page(), "run python docs/generate.py"


def test_every_part_and_every_field_is_explained() -> None:
    known = {p for p in vars(schema).values() if isinstance(p, type) and issubclass(p, schema.Part)} - {schema.Part}
    assert known == set(PARTS)
    empty = [line for line in page().splitlines() if line.endswith("|  |")]
    assert empty == []


def test_the_examples_of_annotations_on_the_page_are_understood() -> None:
    blocks = [yaml.safe_load(b.split("```")[0]) for b in page().split("```yaml")[1:]]
    notes = {k: v for b in blocks for k, v in b["metadata"]["annotations"].items()}
    container = {"name": "x"}
    pod = {"metadata": {"annotations": notes}, "spec": {"containers": [container]}}
    found = annotated_program(pod, container)
    assert isinstance(found, schema.Program)
    assert found.operations["get"].error_rate == 0.001
    service = {"metadata": {"name": "x", "annotations": notes}, "spec": {"ports": [{"port": 80}]}}
    load = annotated_load(service)
    assert load is not None
    assert load.rate == 20


@pytest.fixture(scope="module")
def base() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(app=REFERENCE / "my-app.yaml", warmup=120) as cluster:
        yield cluster


@pytest.fixture
def shop(base: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    with base.fork() as twin:
        yield twin


def test_the_example_runs_as_it_says(shop: EmbeddedCluster) -> None:
    assert all(p["status"]["containerStatuses"][0]["ready"] for p in shop.store.list("pods", NS))
    assert errors(shop, "web", NS) < 0.001
    assert edge(shop, "orders", "tax.example-api.com").p99 > 0.06
    assert tick(shop).queues[0].lag == pytest.approx(0, abs=1e-6)
    flags = json.loads(shop.store.get("configmaps", NS, "flags")["data"]["flags.json"])  # type: ignore[index]
    flags["flags"]["newCheckout"]["defaultVariant"] = "on"
    shop.faulting.hands.patch("ConfigMap", NS, "flags", {"data": {"flags.json": json.dumps(flags)}})
    shop.advance(10)
    found = {op: e for (_, a, b, op), e in tick(shop).edges.items() if (a, b) == ("", "web")}
    assert found["buy"].errors / found["buy"].calls == pytest.approx(0.3, abs=0.01)
    assert found["browse"].errors == 0


def test_a_setting_without_default_is_asked_for_by_name(shop: EmbeddedCluster) -> None:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "web", "env": None}]}}}}
    shop.faulting.hands.patch("Deployment", NS, "web", patch, "application/strategic-merge-patch+json")
    shop.advance(20)
    lines = [text for p in procs(shop, "web") for _, text in p.lines]
    lines += [text for p in shop.runtime.past.values() for _, text in p.lines]
    assert any("FATAL no value for ORDERS_ADDR" in line for line in lines)
