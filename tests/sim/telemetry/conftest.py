"""A cluster with Hotel Reservation after its warm-up; tests work on forks of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stratus.sim.cluster import EmbeddedCluster

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def _base() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster() as cluster:
        yield cluster


@pytest.fixture
def hotel(_base: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    """A cluster of the test's own."""
    with _base.fork() as cluster:
        yield cluster
