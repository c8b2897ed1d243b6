"""Which episodes a run consists of, in an order that lets workers share what they have built."""

from __future__ import annotations

from collections.abc import Sequence

from stratus.bench import agents
from stratus.bench.record import Job, Plan
from stratus.bench.suites.loading import load_suite
from stratus.bench.suites.schema import Scenario, Suite
from stratus.errors import UnknownNameError


def suites_of(plan: Plan) -> dict[str, Suite]:
    """Load the suites of a run, renamed when that is asked for.

    Raises:
        UnknownNameError, UsageError: one is unknown or cannot be read.
    """
    found = [load_suite(name) for name in plan.suites]
    if plan.renamed is not None:
        from stratus.bench.suites.renaming import renamed

        found = [renamed(suite, plan.renamed) for suite in found]
    return {suite.name: suite for suite in found}


def planned(plan: Plan) -> Plan:
    """Return the plan with its episodes and its coverage filled in.

    Raises:
        UnknownNameError: a suite, a solver or a scenario is unknown.
    """
    for name in plan.solvers:
        agents.solver(name)
    suites = suites_of(plan)
    unknown = set(plan.only)
    jobs: list[tuple[tuple[str, ...], Job]] = []
    coverage = {}
    for suite in suites.values():
        names = {s.id for s in suite.scenarios} | {i for s in suite.scenarios for i in s.tasks.values()}
        unknown -= names
        chosen = [s for s in suite.scenarios if not plan.only or {s.id, *s.tasks.values()} & set(plan.only)]
        for scenario in part(chosen, plan.fraction):
            for solver in plan.solvers:
                for seed in range(plan.first_seed, plan.first_seed + plan.seeds):
                    job = Job(
                        suite=suite.name,
                        scenario=scenario.id,
                        solver=solver,
                        reasoner=plan.reasoner,
                        seed=seed,
                        noise=plan.noise,
                    )
                    jobs.append(((scenario.app, f"{seed:04d}", suite.name, scenario.id, solver), job))
        coverage[suite.name] = {
            "scenarios": len(suite.scenarios) + len(suite.not_covered),
            "covered": len(suite.scenarios),
        }
    if unknown:
        raise UnknownNameError(f"no scenario {', '.join(sorted(unknown))} in {', '.join(suites)}")
    ordered = tuple(job for _, job in sorted(jobs, key=lambda pair: pair[0]))
    return plan.model_copy(update={"jobs": ordered, "coverage": coverage})


def part(scenarios: Sequence[Scenario], fraction: int) -> list[Scenario]:
    """Return every n-th scenario after ordering by family and complexity: fixed, and every large family is in it."""
    ordered = sorted(scenarios, key=lambda s: (s.family, s.complexity, s.id))
    return ordered[fraction // 2 :: fraction] if len(ordered) > fraction // 2 else ordered[:1]
