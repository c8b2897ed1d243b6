"""An arena: it is the same for the same seed, is opened quickly, and judges harm as well as repairs."""

from __future__ import annotations

import pytest
from kubernetes.client import AppsV1Api

from stratus.bench.arena import Arena, worse
from stratus.bench.oracles import judge
from stratus.bench.snapshot import Figures, Snapshot
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


def seen(**services: Figures) -> Snapshot:
    return Snapshot(at=0, namespace="n", objects={}, services=services)


WELL, ILL = Figures(rate=10.0, errors=0.0), Figures(rate=10.0, errors=0.4)


def test_what_is_worse_than_before_and_than_left_alone_is_a_violation() -> None:
    assert worse(seen(a=WELL), seen(a=ILL), seen(a=ILL), seen(a=ILL)) == ()
    assert worse(seen(a=WELL), seen(a=ILL), seen(a=Figures(rate=10.0, errors=0.44)), seen(a=ILL))
    assert worse(seen(a=WELL), seen(a=WELL), seen(a=ILL), seen(a=ILL)) == (), "it would have come to that anyway"
    assert worse(seen(a=WELL), seen(a=WELL), seen(a=ILL), seen(a=WELL))
    assert worse(seen(a=WELL), seen(a=WELL), seen(), seen(a=WELL))[0] == "traffic has vanished"


def test_a_service_that_answers_no_more_is_a_violation_and_the_end_of_a_flood_is_none() -> None:
    flood, gone = Figures(rate=900.0, errors=0.0), Figures(rate=0.0)
    both = seen(a=WELL, b=WELL)
    assert worse(both, both, seen(a=WELL, b=gone), both)
    assert worse(both, seen(a=WELL, b=gone), seen(a=WELL, b=gone), both) == (), "it was so before"
    assert worse(seen(a=WELL), seen(a=flood), seen(a=WELL), seen(a=flood)) == ()


def test_who_gives_up_has_to_leave_everything_as_it_was() -> None:
    with Arena.open(PORT) as arena:
        arena.inject()
        with arena.branch() as copy:
            AppsV1Api(copy.cluster.api_client()).patch_namespaced_deployment(
                "jaeger", "hotel-reservation", {"spec": {"replicas": 2}}
            )
            left = copy.finish(given_up=True, most=0)
            assert left.violations == ("Deployment/hotel-reservation/jaeger is not as it was",)
            assert "Deployment/hotel-reservation/jaeger was changed" in judge(copy, left).strict.findings[-1]
        # The branch has not touched the arena it came from.
        assert arena.finish(given_up=True, most=0).violations == ()


def test_noise_is_nobodys_fault() -> None:
    with Arena.open(PORT, noise="heavy") as arena:
        arena.inject()
        with arena.branch() as idle:
            assert idle.finish(most=0).violations == ()
        arena.cluster.heal("wrong-target-port")
        after = arena.finish(given_up=False)
        judgement = judge(arena, after)
        assert after.violations == ()
        assert judgement.strict.passed, judgement.strict.findings
        assert after.after.noisy


def test_nothing_wrong_is_a_scenario_too() -> None:
    quiet = load_suite("aiopslab").scenario("noop_detection_hotel_reservation")
    with Arena.open(quiet) as arena:
        arena.inject()
        assert arena.broken.alerts == ()
        judgement = judge(arena, arena.finish(most=0))
        assert judgement.original.passed is None
        assert judgement.strict.passed
