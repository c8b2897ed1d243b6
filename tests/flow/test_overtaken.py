"""A plan that was overtaken while it waited for the lock is not executed; the incident is looked at again."""

from __future__ import annotations

from pathlib import Path

import pytest
from kubernetes.client import AppsV1Api

from stratus import EmbeddedCluster, Settings, respond
from stratus.transaction.engine import TransactionEngine
from stratus.wiring.sources import embedded_source, show_fault

APP = "hotel-reservation"


def broken() -> tuple[EmbeddedCluster, str]:
    cluster = EmbeddedCluster(app=APP)
    show_fault(embedded_source(cluster), "scaled-to-zero")
    (name,) = [d["metadata"]["name"] for d in cluster.store.list("deployments.apps") if d["spec"]["replicas"] == 0]
    return cluster, name


def meddle(monkeypatch: pytest.MonkeyPatch, cluster: EmbeddedCluster, name: str, replicas: int) -> None:
    """Let somebody else scale the Deployment while the first plan waits for the lock."""
    lock, turns = TransactionEngine._lock, iter([True])

    def late(engine: TransactionEngine, locks: object) -> None:
        if next(turns, False):
            AppsV1Api(cluster.api_client()).patch_namespaced_deployment_scale(
                name, APP, {"spec": {"replicas": replicas}}
            )
            cluster.advance(600)
        lock(engine, locks)  # type: ignore[arg-type]

    monkeypatch.setattr(TransactionEngine, "_lock", late)


def test_somebody_elses_repair_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cluster, name = broken()
    with cluster:
        meddle(monkeypatch, cluster, name, 1)
        report = respond(cluster=cluster, settings=Settings(mode="auto", state_dir=tmp_path))
        deployment = cluster.store.get("deployments.apps", APP, name)
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 1
    assert (report.state, report.exit_code) == ("healthy", 0)
    (attempt,) = report.attempts
    assert not attempt.executed
    assert attempt.commands == ()
    assert [r.code for r in attempt.refusals] == ["stale_plan"]


def test_what_is_still_broken_is_repaired_on_a_plan_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cluster, name = broken()
    with cluster:
        lock, turns = TransactionEngine._lock, iter([True])

        def late(engine: TransactionEngine, locks: object) -> None:
            if next(turns, False):
                labels = {"metadata": {"labels": {"touched": "by-somebody"}}}
                AppsV1Api(cluster.api_client()).patch_namespaced_deployment(name, APP, labels)
            lock(engine, locks)  # type: ignore[arg-type]

        monkeypatch.setattr(TransactionEngine, "_lock", late)
        report = respond(cluster=cluster, settings=Settings(mode="auto", state_dir=tmp_path))
        deployment = cluster.store.get("deployments.apps", APP, name)
    assert report.state == "resolved"
    assert [a.executed for a in report.attempts] == [False, True]
    assert deployment is not None
    assert deployment["metadata"]["labels"]["touched"] == "by-somebody", "a stranger's edit stays"
