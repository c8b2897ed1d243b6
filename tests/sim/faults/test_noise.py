"""Noise: seeded, harmless to the application, away from what is broken, limited by its budget, taken back when off."""

from __future__ import annotations

from typing import Any

import pytest

from stratus.errors import UsageError
from stratus.sim.cluster import EmbeddedCluster, dump
from stratus.sim.faults.takeback import decided

NS = "hotel-reservation"


@pytest.fixture
def loud(hotel: EmbeddedCluster) -> EmbeddedCluster:
    hotel.set_noise("heavy")
    hotel.advance(1200)
    return hotel


def of_application(cluster: EmbeddedCluster) -> dict[str, Any]:
    found = {}
    for resource in ("deployments.apps", "services", "configmaps"):
        for obj in cluster.store.list(resource, NS):
            plain = decided(obj)
            plain["metadata"].get("annotations", {}).pop("deployment.kubernetes.io/revision", None)
            found[f"{resource}/{obj['metadata']['name']}"] = plain
    return found


def test_heavy_noise_is_of_every_sort_and_hurts_nobody(loud: EmbeddedCluster) -> None:
    reasons = {e["reason"] for e in loud.store.list("events")}
    assert {"FailedGetResourceMetric", "ImageGCFailed", "DNSConfigForming"} & reasons
    assert loud.faulting.noise.made >= 25
    assert {c.place[0] for c in loud.faulting.noise.before} >= {"Namespace", "Deployment", "ConfigMap"}
    restarts = [
        c["restartCount"] for p in loud.store.list("pods", "back-office") for c in p["status"]["containerStatuses"]
    ]
    assert sum(restarts) >= 3, "pods of bystanders come and go"
    worst = [max(s.error_rate for s in t.services.values()) for t in loud.history.between(0, loud.clock.now())[-120:]]
    assert max(worst) < 0.02
    alerts = loud.telemetry().alerts
    assert alerts is not None
    assert all(a.labels.get("namespace") != NS for a in alerts.firing())


def test_switching_it_off_takes_its_changes_back(hotel: EmbeddedCluster) -> None:
    before = of_application(hotel)
    hotel.set_noise("heavy")
    hotel.advance(400)
    assert of_application(hotel) != before
    hotel.set_noise("off")
    hotel.advance(60)
    assert of_application(hotel) == before
    assert hotel.store.get("namespaces", "", "back-office") is None
    made = hotel.faulting.noise.made
    hotel.advance(300)
    assert hotel.faulting.noise.made == made


def test_it_is_the_same_for_the_same_seed_and_another_for_another(hotel: EmbeddedCluster) -> None:
    with hotel.fork() as twin, hotel.fork() as other:
        other.seed = 99
        for cluster in (hotel, twin, other):
            cluster.set_noise("heavy")
            cluster.advance(200)
        assert dump(hotel) == dump(twin)
        assert dump(hotel) != dump(other)
        with hotel.fork() as later:
            later.advance(100)
            hotel.advance(100)
            assert dump(later) == dump(hotel)


def test_a_budget_is_kept(hotel: EmbeddedCluster) -> None:
    hotel.set_noise("heavy", 4)
    hotel.advance(600)
    assert (hotel.faulting.noise.made, hotel.faulting.noise.left) == (4, 0)


def test_it_stays_away_from_what_is_broken(hotel: EmbeddedCluster) -> None:
    hotel.inject("scaled-to-zero")
    hotel.inject("wrong-target-port")
    hotel.set_noise("heavy")
    hotel.advance(900)
    touched = {c.place[-1] for c in hotel.faulting.noise.before}
    assert not touched & {"recommendation", "geo"}
    assert len(touched) > 5


def test_faults_and_noise_are_taken_back_independently(hotel: EmbeddedCluster) -> None:
    before = of_application(hotel)
    hotel.set_noise("heavy")
    hotel.advance(200)
    for fault in ("cpu-limit-cut", "bad-env-address", "missing-config-key"):
        hotel.inject(fault)
    hotel.advance(200)
    for fault in hotel.injected():
        hotel.heal(fault)
    hotel.set_noise("off")
    assert of_application(hotel) == before


def test_it_changes_nothing_that_the_load_rests_on(loud: EmbeddedCluster) -> None:
    """Only labels, annotations and the annotations of templates."""
    for change in loud.faulting.noise.before:
        if change.what == "object":
            was, after = decided(change.was), decided(change.after)
            for part in (was, after):
                part["metadata"] = {k: v for k, v in part["metadata"].items() if k not in ("labels", "annotations")}
                template = (part.get("spec") or {}).get("template")
                if template:
                    part["spec"] = {**part["spec"], "template": {**template, "metadata": {}}}
            assert was == after


def test_a_level_there_is_not(hotel: EmbeddedCluster) -> None:
    with pytest.raises(UsageError, match="no noise level 'loud'; there are off, on, heavy"):
        hotel.set_noise("loud")  # type: ignore[arg-type]


def test_a_cluster_can_be_made_noisy(tmp_path: Any) -> None:
    with EmbeddedCluster(app=None, noise="on", noise_budget=2, state_file=tmp_path / "s") as cluster:
        cluster.advance(300)
        assert cluster.faulting.noise.made == 2
    with EmbeddedCluster(app=None, noise="on", noise_budget=2, state_file=tmp_path / "s") as again:
        assert again.faulting.noise.made == 2
    with pytest.raises(UsageError, match="made differently"):
        EmbeddedCluster(app=None, state_file=tmp_path / "s")
