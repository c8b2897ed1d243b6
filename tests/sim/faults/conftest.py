"""A cluster with Hotel Reservation after its warm-up; tests work on forks of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stratus.sim.cluster import EmbeddedCluster


@pytest.fixture(scope="session")
def _base() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster() as cluster:
        yield cluster


@pytest.fixture
def hotel(_base: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    """A cluster of the test's own."""
    with _base.fork() as cluster:
        yield cluster
