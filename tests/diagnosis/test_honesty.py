"""The rules know Kubernetes and no application: no name of a benchmark, a scenario or its services in their code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import stratus

ROOMS = ("detection", "diagnosis", "mitigation")
NAMES = (
    "hotel", "social-network", "socialnetwork", "astronomy", "train-ticket", "trainticket", "otel-demo", "bookinfo",
    "aiopslab", "sregym", "itbench", "mongodb-geo", "mongodb-rate", "user-service", "product-catalog", "flagd",
    # (of chaos-mesh.org only the API group: experiments are objects that a real cluster may have)
    r"chaos-mesh(?!\.org)", "valkey-cart", "url-shorten", "nginx-thrift", "consul", "memcached",
)  # fmt: skip


@pytest.mark.parametrize("room", ROOMS)
def test_no_benchmarks_names(room: str) -> None:
    folder = Path(stratus.__file__).parent / room
    for path in [*folder.rglob("*.py"), *folder.rglob("*.yaml"), *folder.rglob("*.md")]:
        text = path.read_text(encoding="utf-8").lower()
        for name in NAMES:
            assert not re.search(rf"\b{name}\b", text), f"{path.name} names {name}"
