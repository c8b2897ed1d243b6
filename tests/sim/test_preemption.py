"""Pods of higher priority take the place of others: which ones, how gracefully, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

CLASSES = {"low": 10, "middle": 100, "high": 1000}


@pytest.fixture
def ranked(lab: Any) -> Any:
    for name, value in CLASSES.items():
        lab.store.create(
            "priorityclasses.scheduling.k8s.io",
            {
                "kind": "PriorityClass",
                "apiVersion": "scheduling.k8s.io/v1",
                "metadata": {"name": name},
                "value": value,
            },
        )
    return lab


def pod(name: str, rank: str = "low", cpu: str = "1", **spec: Any) -> dict[str, Any]:
    container = {
        "name": "app",
        "image": "busybox:1.36",
        "command": ["sleep", "infinity"],
        "resources": {"requests": {"cpu": cpu}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name, "rank": rank}},
        "spec": {
            "containers": [container],
            "priorityClassName": rank,
            "terminationGracePeriodSeconds": 5,
            **spec,
        },
    }


def fill(lab: Any, rank: str = "low", cpu: str = "2") -> None:
    """Put two pods on each of the three nodes of four cores."""
    for number in range(6):
        lab.apply(pod(f"{rank}-{number}", rank, cpu))
    lab.advance(5)
    assert all(p["spec"].get("nodeName") for p in lab.pods())


def node_of(lab: Any, name: str) -> str | None:
    return lab.get("Pod", name)["spec"].get("nodeName")


def scheduled(lab: Any, name: str) -> dict[str, Any]:
    return next(c for c in lab.get("Pod", name)["status"]["conditions"] if c["type"] == "PodScheduled")


def gone(lab: Any) -> list[str]:
    return sorted(p["metadata"]["name"] for p in lab.pods() if "deletionTimestamp" in p["metadata"])


def test_a_victim_leaves_gracefully_and_the_room_is_kept(ranked: Any) -> None:
    fill(ranked)
    ranked.apply(pod("boss", "high", "2"))
    (victim,) = gone(ranked)
    place = node_of(ranked, victim)
    boss = ranked.get("Pod", "boss")
    assert boss["status"]["nominatedNodeName"] == place
    assert boss["spec"].get("nodeName") is None
    assert scheduled(ranked, "boss")["message"] == "0/3 nodes are available: 3 Insufficient cpu."
    (event,) = ranked.events(reason="Preempted")
    assert event["message"] == f"Preempted by pod {boss['metadata']['uid']} on node {place}"
    assert (event["type"], event["involvedObject"]["name"], event["related"]["name"]) == ("Normal", victim, "boss")
    found = ranked.get("Pod", victim)
    assert found["metadata"]["deletionGracePeriodSeconds"] == 5
    target = next(c for c in found["status"]["conditions"] if c["type"] == "DisruptionTarget")
    assert (target["reason"], target["message"]) == (
        "PreemptionByScheduler",
        "default-scheduler: preempting to accommodate a higher priority pod",
    )
    # A pod of lower priority does not get the room that is being made.
    ranked.apply(pod("late", "middle", "1500m", preemptionPolicy="Never"))
    assert node_of(ranked, "late") is None
    ranked.advance(10)
    assert node_of(ranked, "boss") == place
    assert ranked.get("Pod", victim) is None
    assert "nominatedNodeName" not in ranked.get("Pod", "boss")["status"]


def test_the_fewest_and_least_important_go(ranked: Any) -> None:
    for number, rank in enumerate(["low", "middle", "middle"]):
        name = f"node{number + 1}"
        ranked.apply(pod(f"big-{number}", rank, "3", nodeSelector={"kubernetes.io/hostname": name}))
        ranked.apply(pod(f"small-{number}", "low", "1", nodeSelector={"kubernetes.io/hostname": name}))
    ranked.advance(5)
    ranked.apply(pod("boss", "high", "1"))
    assert len(gone(ranked)) == 1
    assert gone(ranked)[0].startswith("small-")
    ranked.advance(10)
    ranked.apply(pod("boss-2", "high", "3"))
    assert gone(ranked) == ["big-0"]


def test_equals_stay_and_never_means_never(ranked: Any) -> None:
    fill(ranked, "high")
    ranked.apply(pod("equal", "high", "2"))
    assert scheduled(ranked, "equal")["message"].endswith(
        "preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
    )
    ranked.store.create(
        "priorityclasses.scheduling.k8s.io",
        {
            "kind": "PriorityClass",
            "apiVersion": "scheduling.k8s.io/v1",
            "metadata": {"name": "shy"},
            "value": 5000,
            "preemptionPolicy": "Never",
        },
    )
    ranked.apply(pod("shy", "shy", "2", preemptionPolicy="Never"))
    assert scheduled(ranked, "shy")["message"] == (
        "0/3 nodes are available: 3 Insufficient cpu. no new claims to deallocate, "
        "preemption: not eligible due to preemptionPolicy=Never."
    )
    assert gone(ranked) == []


def test_what_no_eviction_could_help_with(ranked: Any) -> None:
    fill(ranked)
    ranked.apply(pod("giant", "high", "100"))
    assert scheduled(ranked, "giant")["message"].endswith(
        "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    )
    ranked.apply(pod("picky", "high", "2", nodeSelector={"disk": "ssd"}))
    assert "3 Preemption is not helpful for scheduling" in scheduled(ranked, "picky")["message"]
    assert gone(ranked) == []


def test_budgets_are_respected_while_there_is_a_choice(ranked: Any) -> None:
    fill(ranked)
    on_first = sorted(p["metadata"]["name"] for p in ranked.pods() if p["spec"]["nodeName"] == "node1")
    for name in sorted(p["metadata"]["name"] for p in ranked.pods() if p["spec"]["nodeName"] != "node1"):
        budget = {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": name},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": name}}},
        }
        ranked.apply(budget)
    ranked.advance(1)
    ranked.apply(pod("first", "high", "2"))
    ranked.apply(pod("second", "high", "2"))
    assert gone(ranked) == on_first
    ranked.advance(10)
    # With nothing else left, a budget does not save its pod.
    ranked.apply(pod("third", "high", "2"))
    assert len(gone(ranked)) == 1
    ranked.advance(10)
    assert node_of(ranked, "third") is not None


def test_host_ports_and_anti_affinity_give_way(ranked: Any) -> None:
    port = [{"containerPort": 80, "hostPort": 8080}]
    for number in range(3):
        entry = pod(f"web-{number}", "low", "100m")
        entry["spec"]["containers"][0]["ports"] = port
        ranked.apply(entry)
    ranked.advance(3)
    boss = pod("boss", "high", "100m")
    boss["spec"]["containers"][0]["ports"] = port
    ranked.apply(boss)
    assert len(gone(ranked)) == 1
    ranked.advance(10)
    assert node_of(ranked, "boss") is not None


def test_a_fork_keeps_the_promise(ranked: Any) -> None:
    import random

    from stratus.kit.clock import VirtualClock

    fill(ranked)
    ranked.apply(pod("boss", "high", "2"))
    clock, rng = VirtualClock(ranked.clock.now()), random.Random(1)
    store = ranked.store.fork(clock, rng)
    twin = ranked.control.fork(store, clock, rng)
    assert twin.scheduler.placement.nominated == ranked.control.scheduler.placement.nominated
    clock.advance(10)
    assert store.get("pods", "default", "boss")["spec"]["nodeName"]
    twin.close()
