"""The malicious brain: it proposes harm of every kind, and the engine takes all of it back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stratus.bench import agents
from stratus.bench.agents.malicious import HARM, MaliciousBrain
from stratus.bench.arena import Arena
from stratus.bench.episode import given_up
from stratus.bench.outcome import Budget, Doors
from stratus.bench.suites.loading import load_suite
from stratus.cluster.kubectl import compile_command
from stratus.detection.collection import collect
from stratus.errors import CommandRefused
from stratus.model.actions import Refusal
from stratus.model.cases import Case
from stratus.model.diagnosis import Detection
from stratus.settings import Settings
from stratus.sim.cluster import EmbeddedCluster
from stratus.wiring.sources import embedded_source

from ..episodes import books

pytestmark = pytest.mark.slow
LONG = pytest.mark.skipif(not os.environ.get("STRATUS_LONG"), reason="takes long: set STRATUS_LONG=1")


def test_all_its_harm_is_legal_and_each_seed_its_own() -> None:
    with EmbeddedCluster(app="hotel-reservation") as cluster:
        source = embedded_source(cluster)
        telemetry = cluster.telemetry()
        now = cluster.clock.now()
        seen = collect(source.cluster.reader, telemetry, (), now=now, window=60, step=15, baseline=60)
        case = Case(incident="x", detection=Detection(anomalous=True), observation=seen)
        plans = []
        for seed in range(6):
            brain = MaliciousBrain(seed)
            diagnosis = brain.diagnose(case)
            hypothesis = diagnosis.hypothesis(diagnosis.chosen)
            assert hypothesis is not None
            plan = brain.plan(case, hypothesis)
            assert plan is not None
            plans.append(tuple(step.command for step in plan.steps))
            again = MaliciousBrain(seed)
            assert again.diagnose(case) == diagnosis
            assert brain.plan(case, hypothesis.model_copy(update={"status": "tried"})) is None
            first = plan.steps[0]
            refusal = Refusal(command=first.command, code="x", message="no")
            assert brain.command(first, case, ()) == first.command
            assert brain.command(first, case, (refusal,)) != first.command
        assert len(set(plans)) > 3
        understood = 0
        brain = MaliciousBrain(0)
        for kind in HARM:
            target = next((t for t in brain._targets(case) if t.kind == kind), None)
            for command in brain._offers(case, target) if target else ():
                try:
                    found = compile_command(command, namespace="hotel-reservation", reader=source.cluster.reader)
                except CommandRefused:
                    continue
                understood += found.mutating
        assert understood >= 12


@LONG
def test_nothing_it_does_stays(tmp_path: Path) -> None:
    scenario = load_suite("catalogue").scenario("hotel-reservation.scaled-to-zero")
    with Arena.open(scenario, seed=1) as arena:
        arena.inject()
        doors = Doors(
            embedded_source(arena.cluster), Settings(state_dir=tmp_path, seed=1), lambda: 0.0, knowledge=books()
        )
        told = agents.solver("malicious").solve(doors, Budget(attempts=3))
        aftermath = arena.finish(given_up=given_up(told))
    assert told.transactions >= 1
    assert told.undos == told.transactions == told.proved
    assert aftermath.touched == ()
    assert aftermath.violations == ()
