"""Runs: what they consist of, several processes, interruptions, and judging again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from stratus.bench import runner
from stratus.bench.episode import timeless
from stratus.bench.record import EPISODES, RUN, Plan, Record, file_of, read_plan, read_record, records, save
from stratus.bench.runner import rescore, resume, run
from stratus.bench.selecting import part, planned
from stratus.bench.suites.loading import load_suite
from stratus.errors import UnknownNameError, UsageError

from .episodes import scenario

pytestmark = pytest.mark.slow
ONLY = ("hotel-reservation.scaled-to-zero", "hotel-reservation.noise")
LONG = pytest.mark.skipif(not os.environ.get("STRATUS_LONG"), reason="takes long: set STRATUS_LONG=1")


def a_plan(**changes: Any) -> Plan:
    base: dict[str, Any] = {"suites": ("catalogue",), "solvers": ("always-healthy",), "only": ONLY}
    return Plan(**{**base, **changes})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run in this process."""
    out = tmp_path_factory.mktemp("run") / "whole"
    run(a_plan(), out)
    return out


def test_a_plan_lists_every_episode_once() -> None:
    full = planned(a_plan(solvers=("noop", "always-healthy"), seeds=2, first_seed=5, noise="on"))
    assert len(full.jobs) == len({j.name for j in full.jobs}) == 2 * 2 * 2
    assert {j.seed for j in full.jobs} == {5, 6}
    assert {j.noise for j in full.jobs} == {"on"}
    seeds = [j.seed for j in full.jobs]
    assert seeds == sorted(seeds)  # neighbours share the healthy cluster that they are copied from
    suite = load_suite("catalogue")
    assert full.coverage == {"catalogue": {"scenarios": len(suite.scenarios), "covered": len(suite.scenarios)}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"suites": ("nothing",)}, "no suite 'nothing'"),
        ({"solvers": ("nobody",)}, "no solver 'nobody'"),
        ({"only": (*ONLY, "ghost")}, "no scenario ghost"),
    ],
)
def test_what_is_unknown_is_named_before_anything_is_played(tmp_path: Path, changes: dict, said: str) -> None:
    with pytest.raises(UnknownNameError, match=said):
        run(a_plan(**changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_part_is_fixed_and_spread_over_the_families() -> None:
    many = [scenario(f"{family}{i}", family=family) for family in ("a", "b", "c") for i in range(10)]
    chosen = part(many, 5)
    assert len(chosen) == 6
    assert {s.family for s in chosen} == {"a", "b", "c"}
    assert part(list(reversed(many)), 5) == chosen
    assert part(many, 1) == sorted(many, key=lambda s: (s.family, s.complexity, s.id))
    assert len(part(many[:1], 5)) == 1
    assert part([], 5) == []


def test_a_run_leaves_one_log_an_episode(whole: Path) -> None:
    plan = read_plan(whole)
    assert [p.name for p in sorted((whole / EPISODES).iterdir())] == sorted(f"{j.name}.json" for j in plan.jobs)
    found = list(records(whole))
    assert len(found) == 2
    assert not any(r.error for r in found)
    calm = next(r for r in found if "noise" in r.job.scenario and r.job.solver == "always-healthy")
    assert calm.score.end_to_end is True


def test_a_folder_is_used_for_one_run(whole: Path) -> None:
    with pytest.raises(UsageError, match="holds a run already"):
        run(a_plan(), whole)


def test_an_interrupted_run_goes_on_to_the_same_end(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "cut"
    told: list[Record] = []

    def after_one(record: Record) -> None:
        told.append(record)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(a_plan(), out, on_record=after_one)
    assert len(list((out / EPISODES).iterdir())) == 1
    # one log was being written, and another was cut off by a full disk
    (out / EPISODES / ".draft.json.1").write_text("{")
    file_of(out, told[0].job).write_text('{"version": "1", "job"')
    assert resume(out) == 2
    ours, theirs = ([timeless(r) for r in records(folder)] for folder in (out, whole))
    assert ours == theirs
    assert resume(out) == 0


def test_what_could_not_be_played_is_played_again(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    plan = read_plan(whole)
    (out / EPISODES).mkdir(parents=True)
    (out / RUN).write_text(plan.model_dump_json())
    for number, record in enumerate(records(whole)):
        save(out, record if number else record.model_copy(update={"error": "the model was away", "outcome": None}))
    assert resume(out) == 1
    assert [timeless(r) for r in records(out)] == [timeless(r) for r in records(whole)]


@LONG
def test_several_processes_give_the_same_as_one(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "many"
    told: list[str] = []
    assert run(a_plan(), out, processes=2, on_record=lambda r: told.append(r.job.name)) == 2
    assert len(set(told)) == 2
    assert [timeless(r) for r in records(out)] == [timeless(r) for r in records(whole)]


def test_a_worker_that_dies_does_not_take_the_rest_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import Future
    from concurrent.futures.process import BrokenProcessPool

    class Dying:
        def __init__(self, *_: object, **__: object) -> None:
            self.down = False

        def submit(self, *_: object) -> Future[Path]:
            future: Future[Path] = Future()
            future.set_exception(BrokenProcessPool("killed"))
            return future

        def shutdown(self, **_: object) -> None:
            self.down = True

    monkeypatch.setattr(runner, "ProcessPoolExecutor", Dying)
    with pytest.raises(runner.WorkerLost, match="resume"):
        run(a_plan(), tmp_path / "out", processes=2)
    assert (tmp_path / "out" / RUN).is_file()


def test_a_model_in_hand_stays_in_this_process(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="use one process"):
        run(a_plan(), tmp_path / "out", processes=2, model=object())


def test_judging_again_changes_nothing_until_the_oracle_does(whole: Path, tmp_path: Path) -> None:
    for record in records(whole):
        save(tmp_path, record)
    assert rescore(tmp_path) == (2, [])
    path = next(p for p in sorted((tmp_path / EPISODES).iterdir()) if "scaled-to-zero" in p.name)
    record = read_record(path)
    lenient = {**record.scenario, "original": [{"check": "endpoints", "service": "frontend"}]}
    save(tmp_path, record.model_copy(update={"scenario": lenient}))
    assert record.score.mitigation_original is False
    count, different = rescore(tmp_path)
    assert (count, different) == (2, [record.job.name])
    assert read_record(path).score.mitigation_original is True
    assert read_record(path).outcome == record.outcome


def test_nothing_to_run_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "planned", lambda plan: plan)
    with pytest.raises(UsageError, match="nothing to run"):
        run(a_plan(), tmp_path / "out")
