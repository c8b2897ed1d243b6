"""The cluster under test, and a namespace with a healthy workload in it."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from target import KUBECONFIG, Target, embedded_target, real_target
from workload import manifests


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One cluster for the whole run."""
    folder = tmp_path_factory.mktemp("cluster")
    with real_target(folder) if KUBECONFIG else embedded_target(folder) as found:
        yield found


@pytest.fixture
def namespace(target: Target) -> Iterator[str]:
    """A fresh namespace in which `web` (2 replicas) and `bystander` (1) serve."""
    name = f"stratus-e2e-{uuid.uuid4().hex[:6]}"
    target.kubectl("create", "namespace", name)
    target.kubectl("apply", "-f", "-", stdin=manifests(name))
    target.until(lambda: target.serves(name, "web", 2) and target.serves(name, "bystander", 1), "workload serves")
    yield name
    target.kubectl("delete", "namespace", name, "--wait=false")
