"""Baselines: the same eyes and brain, a bare kubectl, and each its own way of going on after a failure."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stratus.bench import agents
from stratus.bench.agents.hand import Hand
from stratus.bench.outcome import Budget, Doors, Outcome
from stratus.settings import Settings
from stratus.sim.cluster import EmbeddedCluster
from stratus.wiring.sources import EmbeddedClock, embedded_source, show_fault

from ..episodes import books

pytestmark = pytest.mark.slow

APP = "hotel-reservation"
LONG = pytest.mark.skipif(not os.environ.get("STRATUS_LONG"), reason="takes long: set STRATUS_LONG=1")


@pytest.fixture(scope="module")
def faulty() -> Iterator[EmbeddedCluster]:
    """A fault whose first diagnosis misleads; tests work on copies."""
    with EmbeddedCluster(app=APP) as cluster:
        show_fault(embedded_source(cluster), "misleading-rollout")
        yield cluster


@pytest.fixture
def doors(faulty: EmbeddedCluster, tmp_path: Path) -> Iterator[Doors]:
    with faulty.fork() as cluster:
        ticks = itertools.count()
        settings = Settings(state_dir=tmp_path)
        yield Doors(embedded_source(cluster), settings, lambda: float(next(ticks)), knowledge=books())


Solve = Callable[..., Outcome]


@pytest.fixture
def solve(doors: Doors) -> Solve:
    return lambda name, **budget: agents.solver(name).solve(doors, Budget(**budget))


def test_no_retry_stops_after_one_and_leaves_it_there(solve: Solve, doors: Doors) -> None:
    told = solve("no-retry")
    assert (told.state, len(told.attempts), told.undos) == ("unresolved", 1, 0)
    assert told.commands
    assert told.touched
    assert told.root_cause
    assert told.simulated.mitigated is None
    assert told.simulated.detected is not None


@LONG
def test_naive_retry_goes_on_to_the_next_cause(solve: Solve) -> None:
    told = solve("naive-retry")
    assert len(told.attempts) >= 2
    assert len(set(told.commands)) == len(told.commands)
    assert not any(a.undone for a in told.attempts)
    if told.claimed:
        assert told.attempts[-1].verdict == "RESOLVED"
        assert told.simulated.mitigated is not None


@LONG
def test_planning_first_thinks_once(solve: Solve) -> None:
    told = solve("plan-execute")
    assert 1 <= len(told.attempts) <= 3
    assert sum(line.who == "diagnosis" for line in told.transcript) == 1


@LONG
def test_react_runs_one_command_a_turn(solve: Solve) -> None:
    told = solve("react", attempts=3)
    assert len(told.attempts) == len(told.commands) + told.refused
    assert sum(line.who == "diagnosis" for line in told.transcript) >= len(told.attempts)


@LONG
def test_a_budget_of_commands_is_kept(solve: Solve) -> None:
    assert len(solve("react", commands=1).commands) == 1


def test_restarting_restarts_pods_of_applications_only(solve: Solve) -> None:
    told = solve("restart-pods", attempts=1)
    assert told.touched
    assert not [name for name in told.touched if name.startswith("kube-")]
    assert told.state == "unresolved"
    assert told.detected


def test_those_who_do_nothing_do_nothing(solve: Solve, doors: Doors) -> None:
    version = doors.source.cluster.reader.list("deployments", APP)
    assert solve("noop").detected is None
    assert solve("always-healthy").detected is False
    assert doors.source.cluster.reader.list("deployments", APP) == version


@pytest.mark.parametrize("name", ["no-retry", "restart-pods"])
def test_nothing_is_done_where_nothing_is_wrong(name: str, tmp_path: Path) -> None:
    with EmbeddedCluster(app=APP) as cluster:
        told = agents.solver(name).solve(
            Doors(embedded_source(cluster), Settings(state_dir=tmp_path), lambda: 0.0, knowledge=books()), Budget()
        )
    assert (told.state, told.detected, told.commands) == ("healthy", False, ())


@pytest.fixture
def hand(doors: Doors) -> Hand:
    cluster = doors.source.embedded
    assert cluster is not None
    return Hand(doors.source.cluster, EmbeddedClock(cluster), APP)


def test_a_hand_reads(hand: Hand) -> None:
    worked, text = hand.run("kubectl get pods")
    assert worked
    assert "Pod/frontend" in text
    assert "1/1 Running restarts=0" in text
    assert "ports=" in hand.run("kubectl get svc frontend")[1]
    assert "Ready=True" in hand.run("kubectl get nodes")[1]
    assert "kind: Deployment" in hand.run("kubectl get deploy frontend -o yaml")[1]
    assert "managedFields" not in hand.run("kubectl get deploy frontend -o json")[1]
    assert "ScalingReplicaSet" in hand.run("kubectl describe deploy frontend")[1]
    assert hand.run("kubectl logs deploy/frontend")[1]
    assert hand.run("kubectl get events")[1]
    assert "No resources found" in hand.run("kubectl get pods -l app=nobody")[1]
    assert (hand.commands, hand.touched) == ([], set())


def test_a_hand_writes_at_once_and_remembers(hand: Hand) -> None:
    worked, text = hand.run("kubectl scale deploy/frontend --replicas=2")
    assert worked
    assert "deployment/frontend scale done" in text
    assert hand.commands == ["kubectl scale deploy/frontend --replicas=2"]
    assert hand.touched == {f"{APP}/Deployment/frontend"}
    assert "2" in hand.run("kubectl get deploy frontend -o json")[1]


def test_a_hand_reports_what_is_refused(hand: Hand) -> None:
    for line in ("kubectl get nothing", "kubectl scale deploy/ghost --replicas=1", "rm -rf /", "kubectl get 'pods"):
        worked, text = hand.run(line)
        assert not worked
        assert text.startswith("error: ")
    assert hand.refused == 4
    assert hand.commands == []
