"""Two agents, or two runs, side by side: episode against episode, with intervals of the difference."""

from __future__ import annotations

from collections.abc import Iterable

from stratus.bench.intervals import Mean, paired
from stratus.bench.record import Record, Score
from stratus.errors import UsageError
from stratus.model.base import Noun

MARKS = (
    "detection",
    "localization",
    "root_cause",
    "mitigation_original",
    "mitigation_strict",
    "end_to_end",
    "false_claim",
    "violated",
)


class Difference(Noun):
    """One mark of two agents on the same episodes.

    Attributes:
        first, second: shares; `difference`: second minus first, with an interval of 95 % that excludes 0 or not.
        ratio: second by first; None where the first is 0.
        only_first, only_second: episodes in which only one of them hit.
        n: pairs of episodes in which both count.
    """

    mark: str
    n: int
    first: float | None = None
    second: float | None = None
    difference: Mean = Mean()
    ratio: float | None = None
    only_first: int = 0
    only_second: int = 0

    @property
    def decided(self) -> bool:
        """Whether the interval leaves no doubt which is larger."""
        low, high = self.difference.low, self.difference.high
        return low is not None and high is not None and (low > 0 or high < 0)


def agents_in(found: Iterable[Record]) -> tuple[str, ...]:
    """Return the names of the agents in a set of episodes."""
    return tuple(sorted({r.job.solver for r in found}))


def chosen(found: Iterable[Record], solver: str, where: str) -> dict[tuple[str, str, int, str], Record]:
    """Return one agent's episodes by suite, scenario, seed and noise.

    Args:
        solver: empty: the only one there is.
        where: for the message.

    Raises:
        UsageError: it is not there, or there are several and none is named.
    """
    rows = list(found)
    known = agents_in(rows)
    if not solver and len(known) > 1:
        raise UsageError(f"{where} has several solvers ({', '.join(known)}): say which")
    name = solver or known[0]
    if name not in known:
        raise UsageError(f"{where} has no solver {name!r}; it has {', '.join(known)}")
    return {(r.job.suite, r.job.scenario, r.job.seed, r.job.noise): r for r in rows if r.job.solver == name}


def compare(
    first: dict[tuple[str, str, int, str], Record], second: dict[tuple[str, str, int, str], Record]
) -> list[Difference]:
    """Compare what both have played.

    Raises:
        UsageError: they have no episode in common.
    """
    common = sorted(first.keys() & second.keys())
    if not common:
        raise UsageError("these two have no episode in common: the same suites, scenarios, seeds and noise are needed")
    return [_difference(mark, [(k, first[k].score, second[k].score) for k in common]) for mark in MARKS]


def _difference(mark: str, pairs: list[tuple[tuple[str, str, int, str], Score, Score]]) -> Difference:
    both = [
        (f"{key[0]}/{key[1]}", float(a), float(b))
        for key, one, other in pairs
        if (a := getattr(one, mark)) is not None and (b := getattr(other, mark)) is not None
    ]
    if not both:
        return Difference(mark=mark, n=0)
    n = len(both)
    share_a, share_b = sum(a for _, a, _ in both) / n, sum(b for _, _, b in both) / n
    return Difference(
        mark=mark,
        n=n,
        first=round(share_a, 4),
        second=round(share_b, 4),
        difference=paired(both),
        ratio=round(share_b / share_a, 3) if share_a else None,
        only_first=sum(a > b for _, a, b in both),
        only_second=sum(b > a for _, a, b in both),
    )
