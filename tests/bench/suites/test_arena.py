"""An arena: it is the same for the same seed, is opened quickly, and judges harm as well as repairs."""

from __future__ import annotations

import pytest

from stratus.bench.arena import Arena
from stratus.bench.oracles import judge
from stratus.bench.suites import load_suite
from stratus.errors import StratusError

CATALOGUE = load_suite("catalogue")
PORT = CATALOGUE.scenario("hotel-reservation.wrong-target-port")


def test_the_injected_state_fails_both_oracles_and_the_repaired_one_passes_both() -> None:
    with Arena.open(PORT) as arena:
        arena.inject()
        untouched = arena.finish(most=0)
        judgement = judge(arena, untouched)
        assert judgement.original.passed is False
        assert judgement.strict.passed is False
        assert untouched.touched == untouched.violations == ()
    with Arena.open(PORT) as arena:
        arena.inject()
        arena.cluster.heal("wrong-target-port")
        repaired = arena.finish()
        judgement = judge(arena, repaired)
        assert judgement.original.passed, judgement.original.findings
        assert judgement.strict.passed, judgement.strict.findings
        assert repaired.touched == ("Service/hotel-reservation/geo",)
        assert repaired.settled < 300


def test_two_arenas_of_one_seed_see_the_same() -> None:
    seen = []
    for _ in range(2):
        with Arena.open(PORT, seed=3) as arena:
            arena.inject()
            seen.append((arena.healthy, arena.broken))
    assert seen[0] == seen[1]


def test_before_the_injection_there_is_no_broken_state() -> None:
    with Arena.open(PORT) as arena:
        with pytest.raises(StratusError, match="inject"):
            _ = arena.broken
        with pytest.raises(StratusError, match="inject"):
            _ = arena.twin
