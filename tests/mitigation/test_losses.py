"""Changes that look reversible and are not."""

from __future__ import annotations

from typing import Any

import pytest

from .world import World, blames, codes, lint_one, make, pods, scale, web, write

RETAIN = {"whenScaled": "Retain", "whenDeleted": "Retain"}
GONE = {"whenScaled": "Delete", "whenDeleted": "Delete"}


def database(retention: dict[str, str]) -> dict[str, Any]:
    inner = pods({"name": "db", "image": "registry.local/db:1"})
    return make("StatefulSet", "db", spec={"replicas": 3, "persistentVolumeClaimRetentionPolicy": retention, **inner})


@pytest.mark.parametrize(
    ("kind", "held", "patch"),
    [
        ("ConfigMap", {"data": {"a": "1"}}, {"immutable": True}),
        ("Secret", {"data": {}}, {"immutable": True}),
        ("ConfigMap", {}, {"metadata": {"ownerReferences": [{"kind": "Pod", "name": "gone", "uid": "0"}]}}),
        ("ConfigMap", {}, {"metadata": {"finalizers": ["example.com/hold"]}}),
        ("ConfigMap", {"metadata": {"finalizers": ["example.com/hold"]}}, {"metadata": {"finalizers": None}}),
        ("Deployment", {"spec": {"replicas": 1}}, {"spec": {"revisionHistoryLimit": 0}}),
        ("CronJob", {"spec": {}}, {"spec": {"successfulJobsHistoryLimit": 0}}),
        ("Job", {"spec": {}}, {"spec": {"ttlSecondsAfterFinished": 0}}),
    ],
)
def test_fields_with_consequences_are_left_alone(kind: str, held: dict[str, Any], patch: dict[str, Any]) -> None:
    plan = lint_one(
        World(make(kind, "x", **held)), "patch", write("PATCH", kind, "x", patch), hypothesis=blames(kind, "x")
    )
    assert codes(plan) == ["irreversible"]
    assert "cannot be taken back as a whole" in plan.refusals[0].message


def test_volumes_that_go_with_their_pods() -> None:
    smaller, larger = scale("db", 1, "StatefulSet"), scale("db", 4, "StatefulSet")
    assert codes(lint_one(World(database(GONE)), "scale", smaller)) == ["irreversible"]
    assert lint_one(World(database(GONE)), "scale", larger).executable
    assert lint_one(World(database(RETAIN)), "scale", smaller).executable
    orphan = write("DELETE", "StatefulSet", "db", {"propagationPolicy": "Orphan"})
    assert codes(lint_one(World(database(GONE)), "delete", orphan)) == ["irreversible"]
    assert lint_one(World(database(RETAIN)), "delete", orphan).executable
    parked = write("DELETE", "StatefulSet", "db")
    assert codes(lint_one(World(database(GONE)), "delete", parked)) == ["irreversible"]
    later = write("PATCH", "StatefulSet", "db", {"spec": {"persistentVolumeClaimRetentionPolicy": GONE}})
    assert codes(lint_one(World(database(RETAIN)), "patch", later)) == ["irreversible", "irreversible"]


def test_a_longer_history_is_harmless() -> None:
    change = write("PATCH", "Deployment", "web", {"spec": {"revisionHistoryLimit": 20}})
    assert lint_one(World(web()), "patch", change).executable


def test_an_object_held_by_finalizers_is_not_deleted() -> None:
    held = make("ConfigMap", "c", metadata={"finalizers": ["example.com/hold"]}, data={})
    assert codes(lint_one(World(held), "delete", write("DELETE", "ConfigMap", "c"))) == ["irreversible"]
