"""The log of one episode: everything needed to judge it again, in one file that is written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from stratus.bench.oracles.judging import OracleResult
from stratus.bench.outcome import Budget, Outcome
from stratus.errors import UsageError
from stratus.model.base import Json, Noun
from stratus.sim.faults.noise import Level

RUN = "run.json"
EPISODES = "episodes"


class Job(Noun):
    """What is to be played: one scenario, one agent, one seed."""

    suite: str
    scenario: str
    solver: str
    reasoner: str
    seed: int
    noise: Level

    @property
    def name(self) -> str:
        """A name that is a file name, too."""
        reasoner = "".join(c if c.isalnum() or c in "-_." else "_" for c in self.reasoner)
        return f"{self.suite}--{self.scenario}--{self.solver}--{reasoner}--{self.noise}--s{self.seed}"


class Point(Noun):
    """The application's figures at a moment.

    Attributes:
        errors: worst error rate of any service; rate: requests a second of all.
    """

    at: float
    errors: float | None = None
    rate: float | None = None


class Score(Noun):
    """What an episode counts for; None: the scenario does not ask, or the agent does not tell."""

    detection: bool | None = None
    false_alarm: bool | None = None
    localization: bool | None = None
    localization_top3: bool | None = None
    root_cause: bool | None = None
    mitigation_original: bool | None = None
    mitigation_strict: bool | None = None
    end_to_end: bool | None = None
    false_claim: bool | None = None
    restored: bool | None = None
    violated: bool = False


class Record(Noun):
    """One episode.

    Attributes:
        scenario: as it was played, the truth included.
        versions: of Stratus and of what it runs on.
        injected_at, began_at, ended_at: cluster time, epoch seconds: the fault, the agent's start and its end.
        seconds: real seconds of the whole episode; cpu: processor seconds.
        health: figures from before the fault to after the end.
        evidence: snapshots that the oracles read; they are enough to judge again.
        violations: ways in which the system ended worse than before the agent and worse than without it.
        changed: objects that differ from before the agent, and would not if nobody had acted.
        error: why the episode could not be played; then there is no outcome.
    """

    version: Literal["1"] = "1"
    job: Job
    scenario: Json
    versions: dict[str, str] = Field(default_factory=dict)
    budget: Budget = Budget()
    outcome: Outcome | None = None
    injected_at: float = 0.0
    began_at: float = 0.0
    ended_at: float = 0.0
    seconds: float = 0.0
    cpu: float = 0.0
    health: tuple[Point, ...] = ()
    evidence: Json = Field(default_factory=dict)
    violations: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    original: OracleResult | None = None
    strict: OracleResult | None = None
    score: Score = Score()
    error: str = ""
    emulated: Literal[True] = True


class Plan(Noun):
    """What a run consists of; written before its first episode, so that it can be taken up again."""

    version: Literal["1"] = "1"
    suites: tuple[str, ...]
    solvers: tuple[str, ...]
    reasoner: str = "rules"
    seeds: int = Field(default=1, ge=1)
    first_seed: int = 0
    noise: Level = "off"
    renamed: int | None = None
    only: tuple[str, ...] = ()
    fraction: int = Field(default=1, ge=1)
    budget: Budget = Budget()
    command: str = ""
    machine: str = ""
    jobs: tuple[Job, ...] = ()
    coverage: dict[str, dict[str, int]] = Field(default_factory=dict)
    """By suite: `scenarios` of the original, `covered` here."""


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there as a whole or not at all, even when the process is killed meanwhile.

    Raises:
        UsageError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}): give another --out") from error


def packed(snapshots: dict[str, Json]) -> Json:
    """Return snapshots with what the later ones share with the first left out: most objects never change."""
    first = next(iter(snapshots))
    base = snapshots[first].get("objects", {})
    slim: Json = {first: snapshots[first]}
    for name, snapshot in snapshots.items():
        if name != first:
            objects = snapshot.get("objects", {})
            news = {key: objects.get(key) for key in base.keys() | objects.keys() if objects.get(key) != base.get(key)}
            slim[name] = {**snapshot, "objects": dict(sorted(news.items()))}
    return slim


def unpacked(slim: Json) -> dict[str, Json]:
    """Return the snapshots that were packed."""
    first = next(iter(slim))
    base = slim[first].get("objects", {})
    whole = {first: slim[first]}
    for name, snapshot in slim.items():
        if name != first:
            objects = {**base, **snapshot["objects"]}
            whole[name] = {**snapshot, "objects": {k: v for k, v in sorted(objects.items()) if v is not None}}
    return whole


def file_of(out: Path, job: Job) -> Path:
    """Return where an episode's log is."""
    return out / EPISODES / f"{job.name}.json"


def save(out: Path, record: Record) -> None:
    """Write an episode's log."""
    write_whole(file_of(out, record.job), record.model_dump_json(exclude_defaults=True) + "\n")


def read_record(path: Path) -> Record:
    """Read an episode's log.

    Raises:
        UsageError: it is not one.
    """
    try:
        return Record.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"the log {path} cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its beginning"
        raise UsageError(
            f"{path} is not the log of an episode ({where}: {first['msg']}): remove it and run `stratus bench resume`"
        ) from error


def read_plan(out: Path) -> Plan:
    """Read what a run consists of.

    Raises:
        UsageError: there is no run.
    """
    path = out / RUN
    if not path.is_file():
        raise UsageError(f"no run in {out}: there is no {RUN}; start one with `stratus bench run --out {out}`")
    try:
        return Plan.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise UsageError(f"{path} does not describe a run: {error.errors()[0]['msg']}") from error


def records(out: Path) -> Iterator[Record]:
    """Read all logs of a run, in order of their names.

    Raises:
        UsageError: there is none.
    """
    paths = sorted((out / EPISODES).glob("*.json"))
    if not paths:
        raise UsageError(f"no episodes in {out}: run some with `stratus bench run --out {out}`")
    for path in paths:
        yield read_record(path)
