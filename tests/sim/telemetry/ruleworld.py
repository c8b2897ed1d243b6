"""The public rule files beside this repository, and clusters that evaluate them together with the shipped rules."""

from __future__ import annotations

import os
from pathlib import Path

import jinja2
import pytest

from stratus.sim.api import Request, Response
from stratus.sim.cluster import EmbeddedCluster
from stratus.sim.telemetry.rules import Rules, parse_rules, rule_file, shipped_rules

NS = "hotel-reservation"
FILES = ("itbench_book_info_prometheusrules.j2", "itbench_otel_demo_prometheusrules.j2", "sregym_rules.yaml")


def folder() -> Path:
    """Return the folder of the public rule files; skip where it is not there."""
    beside = Path(__file__).parents[4] / "shared" / "data" / "alerts"
    found = Path(os.environ.get("STRATUS_ALERTS", beside))
    if not found.is_dir():
        pytest.skip(f"no public rule files in {found}; name their folder in STRATUS_ALERTS")
    return found


def rendered(name: str, namespace: str = NS) -> str:
    text = (folder() / name).read_text(encoding="utf-8")
    if not name.endswith(".j2"):
        return text
    environment = jinja2.Environment(
        variable_start_string="[[", variable_end_string="]]", undefined=jinja2.StrictUndefined, autoescape=False
    )
    releases = {"book_info": {"namespace": namespace}, "opentelemetry_demo": {"namespace": namespace}}
    made = environment.from_string(text).render(applications_releases=releases)
    # Prometheus adds up series in no fixed order, so the last digits of a sum are not the same from run to run.
    return made.replace("{{ $value }}", "{{ $value | printf `%.6f` }}")


def public_rules() -> list[Rules]:
    return [parse_rules(rendered(name), name) for name in FILES]


def together(*more: Rules) -> Rules:
    return Rules(groups=tuple(group for rules in more for group in rules.groups), source="together")


def world(path: Path, *, at_once: bool = False, shipped: bool = True, epoch: float | None = None) -> EmbeddedCluster:
    """Return a cluster in a service mesh with the public rules, and the shipped ones if wanted.

    Args:
        at_once: let alerts fire as soon as their conditions hold.
    """
    rules = together(*([shipped_rules()] if shipped else []), *public_rules())
    if at_once:
        groups = tuple(
            g.model_copy(update={"rules": tuple(r.model_copy(update={"wait": 0.0}) for r in g.rules)})
            for g in rules.groups
        )
        rules = Rules(groups=groups, source=rules.source)
    path.write_text(rule_file(rules), encoding="utf-8")
    cluster = EmbeddedCluster(rules=path, warmup=300.0, epoch=epoch)
    answer = cluster.api.handle(
        Request(
            "PATCH",
            f"/api/v1/namespaces/{NS}",
            {"content-type": "application/merge-patch+json"},
            body=b'{"metadata":{"labels":{"istio-injection":"enabled"}}}',
        )
    )
    assert isinstance(answer, Response)
    assert answer.status == 200
    cluster.advance(60)
    return cluster
