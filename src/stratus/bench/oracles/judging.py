"""Judges what came of a scenario: the original oracle and the strict one, from snapshots alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stratus.bench.oracles.original import failures
from stratus.bench.oracles.strict import strict
from stratus.bench.snapshot import Snapshot
from stratus.bench.suites.schema import Scenario
from stratus.model.base import Noun

if TYPE_CHECKING:
    from stratus.bench.arena import Aftermath, Arena


class OracleResult(Noun):
    """What an oracle says: `passed` is None where it has nothing to say, `findings` tell why it is not passed."""

    passed: bool | None
    findings: tuple[str, ...] = ()


class Judgement(Noun):
    """Both oracles' word."""

    original: OracleResult
    strict: OracleResult


def judge(arena: Arena, aftermath: Aftermath) -> Judgement:
    """Judge what an arena has come to."""
    return judge_records(arena.scenario, arena.healthy, arena.broken, aftermath.after, aftermath.alone)


def judge_records(
    scenario: Scenario, healthy: Snapshot, broken: Snapshot, after: Snapshot, alone: Snapshot
) -> Judgement:
    """Judge from what was recorded, without the cluster.

    A scenario that asks for no repair has no original oracle of one; the strict one then says whether the cluster is
    as it should be all the same.
    """
    said = tuple(f for check in scenario.original for f in failures(check, after, healthy))
    original = OracleResult(passed=not said if scenario.original else None, findings=said)
    wrong = tuple(strict(scenario, healthy, broken, after, alone))
    return Judgement(original=original, strict=OracleResult(passed=not wrong, findings=wrong))
