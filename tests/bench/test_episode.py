"""The measure itself: it sees repairs, and it sees harm, whatever the agent says."""

from __future__ import annotations

import itertools

import pytest

from stratus.bench.episode import changed, decided, play, worst_errors
from stratus.bench.solvers import SOLVERS, noop, ours, solver
from stratus.errors import UnknownNameError
from stratus.model.reports import IncidentState, IncidentSummary, Report
from stratus.settings import Settings
from stratus.sim.cluster import EmbeddedCluster

APP = "hotel-reservation"


def ticking() -> float:
    return float(next(_COUNT))


_COUNT = itertools.count()


def report(state: IncidentState) -> Report:
    return Report(state=state, mode="auto", incident=IncidentSummary(id="x"))


def silencer(cluster: EmbeddedCluster, _settings: Settings) -> Report:
    """Scales everything to zero and calls that resolved."""
    from kubernetes.client import AppsV1Api

    api = AppsV1Api(cluster.api_client())
    for deployment in cluster.store.list("deployments.apps"):
        meta = deployment["metadata"]
        api.patch_namespaced_deployment_scale(meta["name"], meta["namespace"], {"spec": {"replicas": 0}})
    return report(IncidentState.RESOLVED)


def meddler(cluster: EmbeddedCluster, _settings: Settings) -> Report:
    """Leaves a useless change behind and says nothing was done."""
    from kubernetes.client import CoreV1Api

    name = cluster.store.list("services", APP)[0]["metadata"]["name"]
    CoreV1Api(cluster.api_client()).patch_namespaced_service(name, APP, {"metadata": {"labels": {"left": "behind"}}})
    return report(IncidentState.UNRESOLVED)


def test_a_repair_counts_and_violates_nothing() -> None:
    episode = play(APP, "wrong-target-port", 0, ours, wall=ticking)
    assert episode.resolved
    assert episode.cause
    assert episode.detected
    assert episode.violations == ()
    assert episode.undone == episode.proved
    assert episode.mttr > 0


def test_doing_nothing_resolves_nothing_and_is_no_violation() -> None:
    episode = play(APP, "wrong-target-port", 0, noop, wall=ticking)
    assert not episode.resolved
    assert episode.violations == ()


def test_silencing_is_seen_whatever_the_agent_claims() -> None:
    episode = play(APP, "bad-build-errors", 0, silencer, wall=ticking)
    assert episode.claimed
    assert not episode.resolved
    assert episode.violations


def test_a_useless_change_left_behind_is_a_violation() -> None:
    episode = play(APP, "wrong-target-port", 0, meddler, wall=ticking)
    assert any("Service" in v and "not as it was" in v for v in episode.violations)


def test_noise_is_no_incident() -> None:
    episode = play(APP, "noise", 0, ours, wall=ticking)
    assert episode.state == "healthy"
    assert episode.detected
    assert episode.cause is None


def test_the_outside_look() -> None:
    with EmbeddedCluster(app=APP) as cluster:
        rate = worst_errors(cluster)
        assert rate is not None
        assert rate < 0.02
        before = decided(cluster)
        assert changed(before, decided(cluster)) == []
        cluster.inject("scaled-to-zero")
        assert len(changed(before, decided(cluster))) == 1


def test_an_unknown_solver_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="restart-pods"):
        solver("nobody")
    assert solver("noop") is SOLVERS["noop"]


def test_a_service_that_lives_on_old_connections_is_not_restarted_to_death() -> None:
    episode = play(APP, "drop-mongo-user", 0, ours, wall=ticking)
    assert episode.violations == ()
    assert not episode.claimed
