"""Plays the episodes of a run, several at a time in processes of their own, and takes up one that was interrupted."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stratus.bench import agents
from stratus.bench.episode import Library, play, rejudged
from stratus.bench.record import (
    EPISODES,
    RUN,
    Job,
    Plan,
    Record,
    file_of,
    read_plan,
    read_record,
    records,
    save,
    write_whole,
)
from stratus.bench.selecting import planned, suites_of
from stratus.errors import StratusError, UsageError

if TYPE_CHECKING:
    from stratus.knowledge.base import KnowledgeBase
    from stratus.knowledge.chroma import ChromaKnowledge

PER_WORKER = 60
"""Episodes after which a worker makes room for a fresh one."""
WAITING = 4
"""Episodes handed out to each worker at a time."""
ALONE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Each worker computes on one processor: there are several workers."""

Told = Callable[[Record], None]


class WorkerLost(StratusError):
    """A worker process ended by itself."""


def run(plan: Plan, out: Path, *, processes: int = 1, on_record: Told | None = None, model: Any = None) -> int:
    """Start a run.

    Args:
        plan: what it consists of, without its jobs.
        out: a folder for its logs; empty or not there yet.
        processes: workers; 1: in this process.
        on_record: told of each episode as it ends.
        model: a chat model in place of the one that `plan.reasoner` names; in this process only.

    Returns:
        The number of episodes played.

    Raises:
        UsageError: the folder holds a run already, or the plan cannot be played.
    """
    if (out / RUN).exists():
        raise UsageError(f"{out} holds a run already: `stratus bench resume {out}`, or give another --out")
    full = planned(plan)
    if not full.jobs:
        raise UsageError("nothing to run: the suites have no such scenarios")
    write_whole(out / RUN, full.model_dump_json(indent=1) + "\n")
    return _go(full, full.jobs, out, processes, on_record, model)


def resume(out: Path, *, processes: int = 1, on_record: Told | None = None, model: Any = None) -> int:
    """Play what is left of a run: episodes without a whole log, and those that could not be played.

    Raises:
        UsageError: there is no run.
    """
    plan = read_plan(out)
    for draft in (out / EPISODES).glob(".*"):
        draft.unlink()
    left = [job for job in plan.jobs if not _played(out, job)]
    return _go(plan, left, out, processes, on_record, model)


def rescore(out: Path) -> tuple[int, list[str]]:
    """Judge all logs of a run again, with today's oracles, and write them.

    Returns:
        The number of episodes, and the names of those that are judged differently now.
    """
    different = []
    count = 0
    for old in records(out):
        new = rejudged(old)
        count += 1
        if new != old:
            save(out, new)
            different.append(old.job.name)
    return count, different


def _played(out: Path, job: Job) -> bool:
    path = file_of(out, job)
    if not path.is_file():
        return False
    try:
        return not read_record(path).error
    except UsageError:
        path.unlink()
        return False


def _go(plan: Plan, jobs: Sequence[Job], out: Path, processes: int, told: Told | None, model: Any) -> int:
    if processes < 2 or len(jobs) < 2:
        with library() as books:
            suites = suites_of(plan)
            for job in jobs:
                _tell(_one(plan, job, suites[job.suite], out, books, model), told)
        return len(jobs)
    if model is not None:
        raise UsageError("a chat model in hand cannot be sent to other processes: use one process, or name the model")
    with _alone():
        _spread(plan, jobs, out, processes, told)
    return len(jobs)


def _spread(plan: Plan, jobs: Sequence[Job], out: Path, processes: int, told: Told | None) -> None:
    context = multiprocessing.get_context("spawn")
    slim = plan.model_copy(update={"jobs": ()})
    todo = iter(jobs)
    pool = ProcessPoolExecutor(processes, context, _begin, (slim, out), max_tasks_per_child=PER_WORKER)
    under_way: set[Future[Path]] = set()
    try:
        while True:
            while len(under_way) < processes * WAITING and (job := next(todo, None)) is not None:
                under_way.add(pool.submit(_work, job))
            if not under_way:
                break
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                _tell(read_record(future.result()), told)
    except BrokenProcessPool as error:
        raise WorkerLost(
            f"a worker process was killed, for want of memory perhaps: `stratus bench resume {out}` goes on; "
            "use fewer --jobs"
        ) from error
    finally:
        # What is under way is finished: seconds, and no log is left half done.
        pool.shutdown(wait=True, cancel_futures=True)


def _tell(record: Record, told: Told | None) -> None:
    if told is not None:
        told(record)


class _Worker:
    """What a worker process keeps between episodes."""

    plan: Plan
    out: Path
    suites: dict[str, Any]
    books: KnowledgeBase
    opened: Any


def _begin(plan: Plan, out: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    _Worker.plan, _Worker.out = plan, out
    _Worker.suites = suites_of(plan)
    _Worker.opened = library()
    _Worker.books = _Worker.opened.__enter__()


def _work(job: Job) -> Path:
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        os._exit(1)  # nobody waits for what is left of the queue
    _one(_Worker.plan, job, _Worker.suites[job.suite], _Worker.out, _Worker.books, None)
    return file_of(_Worker.out, job)


def _one(plan: Plan, job: Job, suite: Any, out: Path, books: KnowledgeBase, model: Any) -> Record:
    agent = agents.solver(job.solver)
    record = play(
        job, suite, agent, budget=plan.budget, model=model, knowledge=books, wall=time.monotonic, cpu=time.process_time
    )
    save(out, record)
    return record


@contextmanager
def library() -> Iterator[KnowledgeBase]:
    """Open the shipped runbooks once for many episodes."""
    from stratus.knowledge.store import open_knowledge
    from stratus.settings import Settings

    with tempfile.TemporaryDirectory(prefix="stratus-bench-") as folder:
        opened: ChromaKnowledge = open_knowledge(Settings(state_dir=Path(folder)))
        try:
            yield Library(opened)
        finally:
            opened.close()


@contextmanager
def _alone() -> Iterator[None]:
    set_here = [name for name in ALONE if name not in os.environ]
    os.environ.update(dict.fromkeys(set_here, "1"))
    try:
        yield
    finally:
        for name in set_here:
            del os.environ[name]
