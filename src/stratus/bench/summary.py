"""Many episodes in few numbers, under keys that stay: `docs/reference/benchmarks.md` explains each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pydantic import Field

from stratus.bench.intervals import Mean, Rate, mean, pass_hat_k, rate
from stratus.bench.record import Plan, Record, Score, read_plan, records
from stratus.model.base import Noun


class Figures(Noun):
    """What a set of episodes gives; rates and means with intervals of 95 %.

    Attributes:
        episodes: played; `scenarios`: different ones; `errors`: those that could not be played (count as failures).
        covered: scenarios here, of those of the original suites; empty for parts of a suite.
        mitigation_original, mitigation_strict: repaired, by the original's oracle and by the strict one.
        end_to_end: seen, cause right, repaired (strict), said so, and no violation.
        false_claims: of the episodes whose agent says `resolved`, those that are not.
        restored: of the episodes that are not claimed to be repaired, those whose system is as it was.
        tnr_violations: episodes that ended worse; `violations`: their number.
        undo_fidelity: undos proved by reading, of all undos.
        transactions, undos, refused, rewritten: their number; `blast_radius`: objects written, a mean over episodes.
        steps, model_calls, tokens, money: means over episodes.
        ttd, ttl, ttm: seconds of cluster time from the agent's start to detection, first diagnosis, claimed repair.
        mttr: seconds of cluster time from the fault to the end, of episodes repaired by the strict oracle.
        real_ttd, real_ttl, real_ttm, real: real seconds; `real` of whole episodes, `cpu` processor seconds.
        pass_k: by k, chance that k seeds of a scenario are all repaired (strict).
    """

    episodes: int = 0
    scenarios: int = 0
    errors: int = 0
    covered: Rate = Rate()
    detection: Rate = Rate()
    false_alarms: Rate = Rate()
    localization: Rate = Rate()
    localization_top3: Rate = Rate()
    root_cause: Rate = Rate()
    mitigation_original: Rate = Rate()
    mitigation_strict: Rate = Rate()
    end_to_end: Rate = Rate()
    false_claims: Rate = Rate()
    restored: Rate = Rate()
    violations: int = 0
    tnr_violations: Rate = Rate()
    undo_fidelity: Rate = Rate()
    transactions: int = 0
    undos: int = 0
    refused: int = 0
    rewritten: int = 0
    blast_radius: Mean = Mean()
    steps: Mean = Mean()
    model_calls: Mean = Mean()
    tokens: Mean = Mean()
    money: Mean = Mean()
    ttd: Mean = Mean()
    ttl: Mean = Mean()
    ttm: Mean = Mean()
    mttr: Mean = Mean()
    real_ttd: Mean = Mean()
    real_ttl: Mean = Mean()
    real_ttm: Mean = Mean()
    real: Mean = Mean()
    cpu: Mean = Mean()
    pass_k: dict[str, float] = Field(default_factory=dict)


class Block(Figures):
    """One agent on one suite (or on all), and its parts.

    Attributes:
        by: `family`, `app`, `complexity`, `noise` -> value -> figures.
    """

    solver: str
    reasoner: str
    by: dict[str, dict[str, Figures]] = Field(default_factory=dict)


class Summary(Noun):
    """A whole run.

    Attributes:
        suites: suite -> agent -> figures; `all` of them together under `overall`.
    """

    version: str = "1"
    emulated: bool = True
    command: str = ""
    machine: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    seeds: int = 1
    noise: str = "off"
    suites: dict[str, dict[str, Block]] = Field(default_factory=dict)
    overall: dict[str, Block] = Field(default_factory=dict)


PARTS: dict[str, Callable[[Record], str]] = {
    "family": lambda r: str(r.scenario.get("family", "")),
    "app": lambda r: str(r.scenario.get("app", "")),
    "complexity": lambda r: str(r.scenario.get("complexity", "medium")),
    "noise": lambda r: str(r.scenario.get("noise") or r.job.noise),
}


def agent_of(record: Record) -> str:
    """Return under which name an episode's agent is listed: with its reasoner when that is not the rules."""
    job = record.job
    return job.solver if job.reasoner == "rules" else f"{job.solver} ({job.reasoner})"


def summarise(plan: Plan, found: Iterable[Record]) -> Summary:
    """Count."""
    episodes = list(found)
    by_suite: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    by_agent: dict[str, list[Record]] = defaultdict(list)
    for record in episodes:
        by_suite[record.job.suite][agent_of(record)].append(record)
        by_agent[agent_of(record)].append(record)
    whole = {key: sum(c.get(key, 0) for c in plan.coverage.values()) for key in ("scenarios", "covered")}
    return Summary(
        command=plan.command,
        machine=plan.machine,
        versions=episodes[0].versions if episodes else {},
        seeds=plan.seeds,
        noise=plan.noise,
        suites={
            suite: {name: block(rows, plan.coverage.get(suite, {})) for name, rows in sorted(agents.items())}
            for suite, agents in sorted(by_suite.items())
        },
        overall={name: block(rows, whole) for name, rows in sorted(by_agent.items())},
    )


def block(rows: Sequence[Record], coverage: dict[str, int]) -> Block:
    """Count one agent's episodes, whole and by part."""
    parts: dict[str, dict[str, Figures]] = {}
    for name, value_of in PARTS.items():
        groups: dict[str, list[Record]] = defaultdict(list)
        for row in rows:
            groups[value_of(row)].append(row)
        parts[name] = {value: figures(group) for value, group in sorted(groups.items())}
    whole = figures(rows)
    n, hits = coverage.get("scenarios", 0), coverage.get("covered", 0)
    covered = rate([(str(i), i < hits) for i in range(n)])
    job = rows[0].job
    return Block(
        **{**{name: getattr(whole, name) for name in Figures.model_fields}, "covered": covered},
        solver=job.solver,
        reasoner=job.reasoner,
        by=parts,
    )


def figures(rows: Sequence[Record]) -> Figures:
    """Count a set of episodes."""

    def cluster(r: Record) -> str:
        return f"{r.job.suite}/{r.job.scenario}"

    def share(value: Callable[[Score], bool | None]) -> Rate:
        pairs = ((cluster(r), value(r.score)) for r in rows)
        return rate((c, v) for c, v in pairs if v is not None)

    def average(value: Callable[[Record], float | None]) -> Mean:
        pairs = ((cluster(r), value(r)) for r in rows)
        return mean([(c, v) for c, v in pairs if v is not None])

    def moment(clock: str, name: str) -> Mean:
        return average(lambda r: getattr(getattr(r.outcome, clock), name) if r.outcome is not None else None)

    outcomes = [(cluster(r), r.outcome) for r in rows if r.outcome is not None]
    undos = [(c, i < o.proved) for c, o in outcomes for i in range(o.undos)]
    repaired: dict[str, list[bool]] = defaultdict(list)
    for r in rows:
        if r.score.mitigation_strict is not None:
            repaired[cluster(r)].append(r.score.mitigation_strict)
    most = max((len(group) for group in repaired.values()), default=0)
    chances = {str(k): pass_hat_k(list(repaired.values()), k) for k in range(1, most + 1)}
    return Figures(
        episodes=len(rows),
        scenarios=len({cluster(r) for r in rows}),
        errors=sum(bool(r.error) for r in rows),
        detection=share(lambda s: s.detection),
        false_alarms=share(lambda s: s.false_alarm),
        localization=share(lambda s: s.localization),
        localization_top3=share(lambda s: s.localization_top3),
        root_cause=share(lambda s: s.root_cause),
        mitigation_original=share(lambda s: s.mitigation_original),
        mitigation_strict=share(lambda s: s.mitigation_strict),
        end_to_end=share(lambda s: s.end_to_end),
        false_claims=share(lambda s: s.false_claim),
        restored=share(lambda s: s.restored),
        violations=sum(len(r.violations) for r in rows),
        tnr_violations=share(lambda s: s.violated),
        undo_fidelity=rate(undos),
        transactions=sum(o.transactions for _, o in outcomes),
        undos=len(undos),
        refused=sum(o.refused for _, o in outcomes),
        rewritten=sum(o.rewritten for _, o in outcomes),
        blast_radius=mean([(c, float(len(o.touched))) for c, o in outcomes]),
        steps=mean([(c, float(o.steps)) for c, o in outcomes]),
        model_calls=mean([(c, float(o.model_calls)) for c, o in outcomes]),
        tokens=mean([(c, float(o.tokens_in + o.tokens_out)) for c, o in outcomes]),
        money=mean([(c, o.money) for c, o in outcomes]),
        ttd=moment("simulated", "detected"),
        ttl=moment("simulated", "located"),
        ttm=moment("simulated", "mitigated"),
        mttr=average(lambda r: r.ended_at - r.injected_at if r.score.mitigation_strict else None),
        real_ttd=moment("real", "detected"),
        real_ttl=moment("real", "located"),
        real_ttm=moment("real", "mitigated"),
        real=average(lambda r: r.seconds),
        cpu=average(lambda r: r.cpu),
        pass_k={k: chance for k, chance in chances.items() if chance is not None},
    )


def merged(folders: Sequence[Path]) -> tuple[Plan, list[Record]]:
    """Read one run, or several as if they were one; what the first says of seeds and noise stands for all.

    Raises:
        UsageError: one is not a run, or has no episodes.
    """
    plans = [read_plan(folder) for folder in folders]
    found = [record for folder in folders for record in records(folder)]
    first = plans[0]
    coverage = {name: counts for plan in plans for name, counts in plan.coverage.items()}
    jobs = tuple(job for plan in plans for job in plan.jobs)
    command = "; ".join(dict.fromkeys(plan.command for plan in plans))
    return first.model_copy(update={"coverage": coverage, "jobs": jobs, "command": command}), found
