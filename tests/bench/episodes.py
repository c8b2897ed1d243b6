"""Records made up for tests of what is done with records."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from stratus.bench.oracles.judging import OracleResult
from stratus.bench.outcome import Attempted, Moments, Outcome
from stratus.bench.record import Job, Plan, Point, Record
from stratus.bench.scoring import score
from stratus.bench.suites.checks import Served
from stratus.bench.suites.schema import Scenario, Truth
from stratus.knowledge.memory import InMemoryKnowledge


@lru_cache(maxsize=1)
def books() -> InMemoryKnowledge:
    """The shipped runbooks, searched by words: no model has to be loaded."""
    return InMemoryKnowledge.shipped()


TASKS: Any = {"detection": "d-1", "localization": "l-1", "mitigation": "m-1"}


def scenario(name: str = "one", **changes: Any) -> Scenario:
    """A scenario with a fault on a Deployment."""
    base: dict[str, Any] = {
        "id": name,
        "suite": "test",
        "title": "Something breaks",
        "app": "hotel-reservation",
        "family": "scaling",
        "faults": ({"fault": "scaled-to-zero"},),
        "tasks": TASKS,
        "truth": Truth(objects=("Deployment/geo",), localization=("geo",), fault="scaled_to_zero"),
        "original": (Served(),),
    }
    return Scenario.model_validate({**base, **changes})


def calm(name: str = "calm") -> Scenario:
    """A scenario in which nothing is wrong."""
    return scenario(
        name, faults=(), family="noop", tasks={"detection": "d-0"}, truth=Truth(detection=False), original=()
    )


def outcome(**changes: Any) -> Outcome:
    """What a good agent would say."""
    base: dict[str, Any] = {
        "state": "resolved",
        "detected": True,
        "localization": ("geo", "search"),
        "root_cause": "hotel/Deployment/geo",
        "fault": "scaled_to_zero",
        "transactions": 1,
        "touched": ("hotel/Deployment/geo",),
        "steps": 9,
        "simulated": Moments(detected=1.0, located=2.0, mitigated=30.0),
        "real": Moments(detected=0.1, located=0.2, mitigated=0.9),
        "attempts": (Attempted(started_at=1050.0, ended_at=1080.0, summary="Scale geo", verdict="RESOLVED"),),
    }
    return Outcome.model_validate({**base, **changes})


def record(
    asked: Scenario | None = None,
    told: Outcome | None = None,
    *,
    solver: str = "stratus",
    seed: int = 0,
    original: bool = True,
    strict: bool = True,
    violations: tuple[str, ...] = (),
    **changes: Any,
) -> Record:
    """A record as an episode would leave it, scored by the real rules."""
    one = asked or scenario()
    said = told if told is not None or "error" in changes else outcome()
    first = OracleResult(passed=original, findings=() if original else ("geo answers nothing",))
    second = OracleResult(passed=strict, findings=() if strict else ("alert Down",))
    base: dict[str, Any] = {
        "job": Job(suite=one.suite, scenario=one.id, solver=solver, reasoner="rules", seed=seed, noise="off"),
        "scenario": one.model_dump(mode="json"),
        "outcome": said,
        "injected_at": 1000.0,
        "began_at": 1040.0,
        "ended_at": 1090.0,
        "seconds": 2.0,
        "cpu": 1.5,
        "health": tuple(Point(at=t, errors=0.4 if 1000 < t < 1080 else 0.0, rate=50.0) for t in range(800, 1200, 15)),
        "original": first,
        "strict": second,
        "violations": violations,
        "score": score(one, said, first, second, violations, changes.get("changed", ())),
        "versions": {"stratus": "0"},
    }
    return Record(**{**base, **changes})


def plan(*found: Record, **changes: Any) -> Plan:
    """A plan that these could have come from."""
    base: dict[str, Any] = {
        "suites": tuple(sorted({r.job.suite for r in found})),
        "solvers": tuple(sorted({r.job.solver for r in found})),
        "jobs": tuple(r.job for r in found),
        "coverage": {"test": {"scenarios": 4, "covered": 3}},
        "command": "stratus bench run",
        "machine": "2 cores",
    }
    return Plan(**{**base, **changes})
