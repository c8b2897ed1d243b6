"""Stratus as a measured agent: the outcome is read off its report, and each ablation really takes its part away."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stratus.bench import agents
from stratus.bench.outcome import Budget, Doors, Outcome
from stratus.errors import UnknownNameError, UsageError
from stratus.settings import Settings
from stratus.sim.cluster import EmbeddedCluster
from stratus.wiring.ablation import PARTS
from stratus.wiring.sources import embedded_source, show_fault

from ..episodes import books

pytestmark = pytest.mark.slow
LONG = pytest.mark.skipif(not os.environ.get("STRATUS_LONG"), reason="takes long: set STRATUS_LONG=1")


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[Doors]:
    """A fault whose first diagnosis misleads, so that something has to be undone."""
    with EmbeddedCluster(app="hotel-reservation") as cluster:
        source = embedded_source(cluster)
        show_fault(source, "misleading-rollout")
        ticks = itertools.count()
        yield Doors(source, Settings(state_dir=tmp_path), lambda: float(next(ticks)), knowledge=books())


def solved(name: str, doors: Doors, **budget: int) -> Outcome:
    return agents.solver(name).solve(doors, Budget(**budget))


def test_the_outcome_is_what_the_report_says(broken: Doors) -> None:
    told = solved("stratus", broken)
    assert (told.state, told.claimed, told.detected) == ("resolved", True, True)
    assert (told.transactions, told.undos, told.proved) == (2, 1, 1)
    assert [a.undone for a in told.attempts] == [True, False]
    assert told.localization[0] == told.root_cause.rsplit("/", 1)[1]
    assert told.fault is not None
    simulated = told.simulated
    assert simulated.detected is not None
    assert simulated.located is not None
    assert simulated.mitigated is not None
    assert simulated.detected <= simulated.located < simulated.mitigated
    assert told.real.mitigated is not None
    assert told.touched
    assert told.commands
    assert told.report is not None
    assert "mttr" not in told.report  # it has real seconds in it
    assert told.model_calls == 0


def test_without_the_gate_the_first_change_is_the_cure(broken: Doors) -> None:
    told = solved("stratus-no-tnr", broken)
    assert told.claimed
    assert (told.transactions, told.undos) == (1, 0)
    assert any("would have been REGRESSED" in line.text for line in told.transcript)


@LONG
def test_without_undo_what_failed_stays(broken: Doors) -> None:
    told = solved("stratus-no-undo", broken)
    assert told.transactions >= 2
    assert told.undos == 0
    assert any("kept although" in line.text for line in told.transcript)


@LONG
def test_one_attempt_is_one_attempt(broken: Doors) -> None:
    told = solved("stratus", broken, attempts=1)
    assert (told.state, told.transactions, told.undos) == ("unresolved", 1, 1)


def test_every_part_has_a_name_and_a_sentence() -> None:
    for part in PARTS:
        agent = agents.solver(f"stratus-no-{part}")
        assert agent.name == f"stratus-no-{part}"
        assert agent.about == f"Stratus, and {PARTS[part]}"
    assert set(agents.AGENTS) <= set(agents.names())
    for name in agents.names():
        assert agents.solver(name).name == name
        assert agents.about(name)


def test_an_unknown_name_tells_the_known_ones() -> None:
    for name in ("nobody", "stratus-no-nothing"):
        with pytest.raises(UnknownNameError, match="restart-pods"):
            agents.solver(name)


def test_rules_cannot_be_taken_from_those_who_have_nothing_else(broken: Doors) -> None:
    with pytest.raises(UsageError, match="name a model"):
        solved("stratus-no-rules", broken)
