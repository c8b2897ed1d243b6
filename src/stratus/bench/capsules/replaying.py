"""Thinks an incident over again, offline: same evidence, today's code, and says where it differs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from stratus.bench.capsules.nouns import Capsule, Round
from stratus.diagnosis.base import Reasoner
from stratus.errors import ReasoningError
from stratus.model.base import Noun
from stratus.model.diagnosis import Diagnosis
from stratus.settings import Settings


class Replayed(Noun):
    """One round, then and now.

    Attributes:
        then, now: `class object` of the hypothesis acted on, or else of the first; empty: none.
        plan_then, plan_now: commands.
        error: why it could not be thought over.
    """

    round: int
    then: str
    now: str
    plan_then: tuple[str, ...] = ()
    plan_now: tuple[str, ...] = ()
    error: str = ""

    @property
    def same(self) -> bool:
        """Whether today's code comes to the same cause and the same commands."""
        return not self.error and (self.then, self.plan_then) == (self.now, self.plan_now)


def replay(capsule: Capsule, reasoner: Reasoner | None = None) -> tuple[Replayed, ...]:
    """Think each round over again; no cluster, no network.

    Args:
        reasoner: who thinks; None: as then, a model by its recorded turns, or by rules where none were recorded.
    """
    if reasoner is not None or not capsule.turns:
        from stratus.diagnosis.rules import RulesReasoner

        return tuple(_again(one, reasoner or RulesReasoner()) for one in capsule.rounds)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "turns.jsonl"
        path.write_text("".join(json.dumps(t, ensure_ascii=False) + "\n" for t in capsule.turns), encoding="utf-8")
        return tuple(again for again, _ in _by_turns(path, Settings(), capsule.rounds))


def _again(one: Round, reasoner: Reasoner) -> Replayed:
    from stratus.knowledge.memory import InMemoryKnowledge

    case = one.case
    if not case.runbooks:
        case = case.model_copy(update={"runbooks": InMemoryKnowledge.shipped().runbooks()})
    then = named(one.diagnosis)
    commands = tuple(s.command for s in one.plan.steps) if one.plan is not None else ()
    try:
        diagnosis = reasoner.diagnose(case)
        chosen = diagnosis.hypothesis(diagnosis.chosen) if diagnosis.chosen else None
        plan = reasoner.plan(case, chosen) if chosen is not None else None
    except ReasoningError as error:
        return Replayed(round=case.round, then=then, now="", plan_then=commands, error=str(error))
    now = tuple(s.command for s in plan.steps) if plan is not None else ()
    return Replayed(round=case.round, then=then, now=named(diagnosis), plan_then=commands, plan_now=now)


def named(diagnosis: Diagnosis) -> str:
    """Return the cause that a diagnosis acts on, or else thinks likeliest."""
    chosen = diagnosis.hypothesis(diagnosis.chosen) if diagnosis.chosen else None
    best = chosen or next(iter(diagnosis.hypotheses), None)
    return f"{best.fault} {best.object}" if best is not None else ""


def prompts(path: Path, settings: Settings, rounds: Sequence[Round]) -> set[str]:
    """Return which recorded prompts are asked for when these rounds are thought over again."""
    return {prompt for _, used in _by_turns(path, settings, rounds) for prompt in used}


def _by_turns(path: Path, settings: Settings, rounds: Sequence[Round]) -> Iterator[tuple[Replayed, set[str]]]:
    """Think rounds over with recorded answers only, and tell which were used; one that needs others is an error."""
    from stratus.llm.recorded import load_recording
    from stratus.wiring.compose import think

    silent = settings.model_copy(update={"model": settings.model.model_copy(update={"record": False})})
    for one in rounds:
        model = load_recording(path)
        again = _again(one, think(silent, model))
        if not model.used:
            again = again.model_copy(update={"error": "no recorded turn answers what is asked today"})
        yield again, set(model.used)
