"""Breakers end an incident with a person, nothing left half done, and say which one it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stratus import EmbeddedCluster, Settings, respond
from stratus.model.reports import IncidentState
from stratus.settings import LimitSettings

APP = "hotel-reservation"
FAULT = "scaled-to-zero"


@pytest.fixture(scope="module")
def broken() -> Iterator[EmbeddedCluster]:
    """An application with a fault that shows."""
    cluster = EmbeddedCluster(app=APP, seed=11)
    cluster.inject(FAULT)
    cluster.advance(180)
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(broken: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    """A copy of it for one test."""
    twin = broken.fork()
    yield twin
    twin.close()


def zeros(cluster: EmbeddedCluster) -> list[str]:
    found = cluster.store.list("deployments.apps", APP)
    return [d["metadata"]["name"] for d in found if d["spec"].get("replicas") == 0]


def test_the_limit_of_time_ends_with_a_person(cluster: EmbeddedCluster, tmp_path: Path) -> None:
    """A first attempt that does not help, and then the time is over: undone, and somebody is called."""
    before = zeros(cluster)
    assert before
    slow = Settings(
        state_dir=tmp_path, mode="auto", limits=LimitSettings(incident_seconds=1.0, transaction_seconds=1.0)
    )
    report = respond(cluster=cluster, settings=slow)
    assert report.state == IncidentState.NEEDS_HUMAN
    assert "s spent on the incident, the limit is 1 s" in report.timeline[-1].text
    assert zeros(cluster) == before
    assert all(a.undone for a in report.attempts if a.executed)


def test_a_limit_of_size_ends_with_a_person_and_nothing_sent(
    cluster: EmbeddedCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stratus.transaction import limits

    monkeypatch.setattr(limits, "unavailable", lambda planned: 1000)
    before = zeros(cluster)
    report = respond(cluster=cluster, settings=Settings(state_dir=tmp_path, mode="auto"))
    assert report.state == IncidentState.NEEDS_HUMAN
    assert "a breaker stopped the repair" in report.timeline[-1].text
    assert "unavailable" in report.timeline[-1].text
    assert zeros(cluster) == before
    assert not any(a.executed for a in report.attempts)


def test_a_to_and_fro_ends_with_a_person(cluster: EmbeddedCluster, tmp_path: Path) -> None:
    """Somebody scales it down again after each repair; three repairs are made, the fourth is not."""
    settings = Settings(state_dir=tmp_path, mode="auto")
    (victim,) = zeros(cluster)
    states = []
    for _ in range(4):
        report = respond(cluster=cluster, settings=settings)
        states.append(report.state)
        stored = cluster.store.get("deployments.apps", APP, victim)
        assert stored is not None
        cluster.store.update("deployments.apps", {**stored, "spec": {**stored["spec"], "replicas": 0}})
        cluster.control.drain()
        cluster.advance(180)
    assert states == [*[IncidentState.RESOLVED] * 3, IncidentState.NEEDS_HUMAN]
    assert "has been changed in the same way" in report.timeline[-1].text
    assert not any(a.executed for a in report.attempts)
