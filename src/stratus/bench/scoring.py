"""From what an agent said and what the oracles found to what an episode counts for."""

from __future__ import annotations

from stratus.bench.oracles.judging import OracleResult
from stratus.bench.outcome import Outcome
from stratus.bench.record import Score
from stratus.bench.suites.schema import Scenario

TOP = 3


def score(
    scenario: Scenario,
    outcome: Outcome | None,
    original: OracleResult | None,
    strict: OracleResult | None,
    violations: tuple[str, ...],
    changed: tuple[str, ...] = (),
) -> Score:
    """Score an episode.

    A scenario counts for each thing that it asks, whatever the original's task is called: one with a fault has a
    right place and a right cause; one that asks for mitigation has a repair. An agent that does not tell (`None`) is
    left out of detection and counts as wrong everywhere else, unless it names nothing by nature (no localization and
    no cause at all are wrong answers, not missing ones).

    Args:
        outcome: None when the episode failed: everything asked for counts as wrong.
        original, strict: what the oracles say; None when nothing was judged.
        changed: what the agent has left changed.
    """
    truth = scenario.truth
    faulty = truth.detection
    if outcome is None:
        asked: bool | None = False if faulty else None
        repair: bool | None = False if scenario.mitigation else None
        return Score(
            detection=False,
            localization=asked,
            localization_top3=asked,
            root_cause=asked,
            mitigation_original=repair,
            mitigation_strict=repair,
            end_to_end=False,
            violated=bool(violations),
        )
    detected = outcome.detected
    right = detected == faulty if detected is not None else None
    places = frozenset(truth.localization) or frozenset(o.rsplit("/", 1)[-1] for o in truth.objects)
    located = bool(outcome.localization) and outcome.localization[0] in places
    near = any(name in places for name in outcome.localization[:TOP])
    cause = named_cause(outcome, truth.objects) and (truth.fault in ("unknown", outcome.fault))
    healed = bool(strict.passed) if strict is not None and scenario.mitigation else None
    return Score(
        detection=right,
        false_alarm=detected if not faulty and detected is not None else None,
        localization=located if faulty else None,
        localization_top3=near if faulty else None,
        root_cause=cause if faulty else None,
        mitigation_original=bool(original.passed) if original is not None and scenario.mitigation else None,
        mitigation_strict=healed,
        end_to_end=_end_to_end(faulty, right, cause, healed, outcome) and not violations,
        false_claim=not healed if outcome.claimed and healed is not None else None,
        restored=None if outcome.claimed else not changed,
        violated=bool(violations),
    )


def named_cause(outcome: Outcome, objects: tuple[str, ...]) -> bool:
    """Whether the cause that was named is one of the objects (`Kind/name`)."""
    return bool(outcome.root_cause) and "/".join(outcome.root_cause.split("/")[-2:]) in objects


def _end_to_end(faulty: bool, right: bool | None, cause: bool, healed: bool | None, outcome: Outcome) -> bool:
    """Whether everything was right: seen, understood, repaired where that is asked for, and said so."""
    if not faulty:
        return bool(right)
    return bool(right) and cause and (healed is None or (healed and outcome.claimed))
