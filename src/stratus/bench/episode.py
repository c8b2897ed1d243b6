"""One episode: a scenario in an arena, an agent let in through its doors, and the oracles' word; all in one record."""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stratus.bench.outcome import Budget, Doors, Outcome, Solver
from stratus.bench.record import Job, Point, Record, packed, unpacked
from stratus.bench.scoring import score
from stratus.bench.suites.schema import Scenario, Suite
from stratus.errors import UsageError
from stratus.model.base import Json
from stratus.settings import Settings

if TYPE_CHECKING:
    from stratus.bench.arena import Arena
    from stratus.knowledge.base import KnowledgeBase
    from stratus.model.diagnosis import Citation, FaultClass
    from stratus.model.knowledge import Runbook, Ticket
    from stratus.sim.cluster import EmbeddedCluster

log = logging.getLogger(__name__)

BEFORE = 240.0
"""Seconds before the fault with which the picture of an episode begins."""
STEP = 15.0
SEEN = ("healthy", "broken", "after", "alone")
"""Snapshots in the evidence; the first is what the others are packed against."""


def play(
    job: Job,
    suite: Suite,
    agent: Solver,
    *,
    budget: Budget,
    model: Any = None,
    knowledge: KnowledgeBase | None = None,
    wall: Callable[[], float] = time.monotonic,
    cpu: Callable[[], float] = time.process_time,
) -> Record:
    """Play one episode from a fresh cluster to its score.

    Args:
        job: what is played; suite: where its scenario is.
        agent: who works on it; it sees the doors of the cluster and nothing of the scenario.
        model: a chat model in place of the one that `job.reasoner` names.
        knowledge: open runbooks; nothing is learned from one episode for the next.

    Returns:
        The record; an episode that could not be played has an `error`, and counts as a failure.

    Raises:
        UsageError: the agent cannot be run like this at all.
    """
    from stratus.bench.arena import Arena

    scenario = suite.scenario(job.scenario)
    began, used = wall(), cpu()
    base = Record(job=job, scenario=scenario.model_dump(mode="json"), versions=versions(), budget=budget)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(mode="auto", reasoner=job.reasoner, seed=job.seed, state_dir=Path(folder))
        try:
            with Arena.open(scenario, seed=job.seed, noise=job.noise, suite=suite) as arena:
                arena.inject()
                done = _worked_on(arena, agent, settings, budget, model, knowledge, wall, base)
        except Exception as error:  # a bug of an agent is its failure, and not the end of all the other episodes
            if isinstance(error, UsageError):
                raise
            log.debug("%s could not be played", job.name, exc_info=True)
            done = base.model_copy(update={"error": f"{type(error).__name__}: {error}"})
            done = done.model_copy(update={"score": score(scenario, None, None, None, ())})
    return done.model_copy(update={"seconds": round(wall() - began, 3), "cpu": round(cpu() - used, 3)})


def _worked_on(
    arena: Arena,
    agent: Solver,
    settings: Settings,
    budget: Budget,
    model: Any,
    knowledge: KnowledgeBase | None,
    wall: Callable[[], float],
    base: Record,
) -> Record:
    from stratus.wiring.sources import embedded_source

    cluster, scenario = arena.cluster, arena.scenario
    started = cluster.clock.now()
    doors = Doors(embedded_source(cluster), settings, wall, model, knowledge)
    outcome = agent.solve(doors, budget)
    ended = cluster.clock.now()
    aftermath = arena.finish(given_up=given_up(outcome))
    seen = zip(SEEN, (arena.healthy, arena.broken, aftermath.after, aftermath.alone), strict=True)
    judged = base.model_copy(
        update={
            "outcome": outcome,
            "injected_at": arena.injected_at,
            "began_at": started,
            "ended_at": ended,
            "health": health(cluster, arena.injected_at - BEFORE, cluster.clock.now()),
            "evidence": packed({name: s.model_dump(mode="json", exclude_defaults=True) for name, s in seen}),
            "violations": aftermath.violations,
            "changed": aftermath.touched,
        }
    )
    return rejudged(judged, scenario)


def given_up(outcome: Outcome) -> bool:
    """Whether an agent says, in effect, that everything is as it found it: nothing repaired, and nothing kept."""
    return outcome.state in ("unresolved", "healthy", "needs_human") and all(a.undone for a in outcome.attempts)


def rejudged(record: Record, scenario: Scenario | None = None) -> Record:
    """Return a record with what the oracles say of its snapshots now; nothing is run.

    Args:
        scenario: in place of the one in the record, when the truth or the oracle was mended since.
    """
    from stratus.bench.oracles import judge_records
    from stratus.bench.snapshot import Snapshot

    asked = scenario or Scenario.model_validate(record.scenario)
    if not record.evidence:
        return record.model_copy(update={"score": score(asked, record.outcome, None, None, record.violations)})
    whole = unpacked(record.evidence)
    seen = [Snapshot.model_validate(whole[name]) for name in SEEN]
    said = judge_records(asked, *seen)
    marks = score(asked, record.outcome, said.original, said.strict, record.violations, record.changed)
    return record.model_copy(update={"original": said.original, "strict": said.strict, "score": marks})


def health(cluster: EmbeddedCluster, start: float, end: float) -> tuple[Point, ...]:
    """Return the application's worst error rate and whole request rate over time."""
    metrics = cluster.telemetry().metrics
    if metrics is None:
        return ()
    errors: dict[float, float] = {}
    rates: dict[float, float] = {}
    for series in metrics.service_series((), start, end, STEP):
        for point in series.points:
            if point.error_rate is not None:
                errors[point.at] = max(errors.get(point.at, 0.0), point.error_rate)
            if point.rate is not None:
                rates[point.at] = rates.get(point.at, 0.0) + point.rate
    return tuple(
        Point(
            at=at,
            errors=round(errors[at], 4) if at in errors else None,
            rate=round(rates[at], 3) if at in rates else None,
        )
        for at in sorted(errors.keys() | rates.keys())
    )


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Return the versions of what an episode runs on."""
    from importlib.metadata import PackageNotFoundError, version

    import stratus

    found = {"stratus": stratus.__version__, "python": sys.version.split()[0]}
    for name in ("langgraph", "langchain-core", "kubernetes", "pydantic", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


class Library:
    """Knowledge that is read and never added to, so that one episode teaches the next nothing."""

    def __init__(self, knowledge: KnowledgeBase) -> None:
        self._knowledge = knowledge
        self._books: tuple[Runbook, ...] | None = None

    def search(
        self, query: str, *, limit: int = 5, kinds: tuple[str, ...] = ("runbook", "ticket", "log")
    ) -> tuple[Citation, ...]:
        """Search."""
        return self._knowledge.search(query, limit=limit, kinds=kinds)

    def runbooks(self, fault: FaultClass | None = None) -> tuple[Runbook, ...]:
        """Return runbooks."""
        if self._books is None:
            self._books = self._knowledge.runbooks()
        return self._books if fault is None else self._knowledge.runbooks(fault)

    def add_ticket(self, ticket: Ticket) -> None:
        """Forget it."""


def timeless(record: Record) -> Json:
    """Return a record without what the machine's speed decides: two runs of the same episode agree on the rest."""
    text: Json = record.model_dump(mode="json", exclude={"seconds": True, "cpu": True, "outcome": {"real"}})
    return text
