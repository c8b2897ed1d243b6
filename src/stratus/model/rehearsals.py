"""Rehearsals: what was foretold of a plan before its first write, and how often that came true."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self, get_args

from pydantic import Field

from stratus.model.base import Noun
from stratus.model.health import ComponentChange, Verdict

Foretold = Literal["RESOLVED", "IMPROVED", "UNCHANGED", "REGRESSED", "UNKNOWN", "not rehearsed"]
GOOD: tuple[Verdict, ...] = ("RESOLVED", "IMPROVED")
"""Verdicts with which a change is kept."""


class Prediction(Noun):
    """What a plan did to a twin of the cluster; a forecast from objects, not a measurement.

    Attributes:
        rehearsed: the plan was run; else `reason` says why not, and nothing is known.
        verdict: what the gate said of the twin; UNKNOWN where that hangs on something the twin cannot know.
        best, worst: the verdict if all that is not known goes well, and if it goes badly.
        by_itself: all that gets worse also does when nothing is done.
        blind: what was not known and counts here, in words.
        changes: components of the twin's health that moved.
        undo: what taking it back would cost, in words.
        undo_rollouts, undo_requests, undo_seconds, undo_losses: the same as numbers; losses are things that do not
            come back as they were.
        undo_exact: whether taking it back left the twin as it was; None when it could not be tried.
        unavailable: pods at most that were ready before and were not meanwhile.
        unavailable_seconds: for how long any was.
        cpu: seconds of CPU that the rehearsal took.
    """

    rehearsed: bool = True
    verdict: Verdict = "UNKNOWN"
    best: Verdict | None = None
    worst: Verdict | None = None
    reason: str = ""
    by_itself: bool = False
    blind: tuple[str, ...] = ()
    changes: tuple[ComponentChange, ...] = ()
    undo: str = ""
    undo_rollouts: int = 0
    undo_requests: int = 0
    undo_seconds: float = 0.0
    undo_losses: int = 0
    undo_exact: bool | None = None
    unavailable: int = 0
    unavailable_seconds: float = 0.0
    cpu: float = 0.0

    @property
    def foretold(self) -> Foretold:
        """The verdict, or that there is none."""
        return self.verdict if self.rehearsed else "not rehearsed"

    def text(self) -> str:
        """Say it in a line, such as `RESOLVED: gone: ...; undo exact`."""
        if not self.rehearsed:
            return f"not rehearsed: {self.reason}"
        parts = [f"{self.verdict}: {self.reason}" if self.reason else self.verdict]
        if self.verdict == "UNKNOWN" and self.best is not None and self.best != self.worst:
            parts.append(f"at best {self.best}, at worst {self.worst}")
        if self.by_itself:
            parts.append("that comes by itself")
        if self.blind:
            parts.append("not known: " + "; ".join(self.blind[:2]))
        if self.unavailable:
            pods = "1 pod" if self.unavailable == 1 else f"{self.unavailable} pods"
            parts.append(f"{pods} unavailable for {self.unavailable_seconds:.0f} s")
        parts.append({True: "undo exact", False: "undo NOT exact", None: "undo not tried"}[self.undo_exact])
        return "; ".join(parts)


class Rehearsed(Noun):
    """One plan that was looked at, with what was foretold of it.

    Attributes:
        attempt: number of the attempt it was a candidate for.
        confidence: the planner's, in its hypothesis.
        chosen: it was taken.
        held_back: it was not, because it was foretold to make things worse.
    """

    attempt: int
    hypothesis: str
    summary: str
    commands: tuple[str, ...] = ()
    confidence: float = 0.0
    prediction: Prediction
    chosen: bool = False
    held_back: bool = False


class Agreement(Noun):
    """How predictions and outcomes went together: counts by foretold and by actual verdict."""

    counts: dict[str, dict[str, int]] = Field(default_factory=dict)

    @classmethod
    def of(cls, pairs: Iterable[tuple[Prediction | None, Verdict | None]]) -> Self:
        """Count pairs of a prediction and what happened; those of which either is missing are left out."""
        counts: dict[str, dict[str, int]] = {}
        for prediction, actual in pairs:
            if prediction is not None and actual is not None:
                row = counts.setdefault(prediction.foretold, {})
                row[actual] = row.get(actual, 0) + 1
        return cls(counts=counts)

    def __add__(self, other: Agreement) -> Agreement:
        counts = {foretold: dict(row) for foretold, row in self.counts.items()}
        for foretold, row in other.counts.items():
            mine = counts.setdefault(foretold, {})
            for actual, count in row.items():
                mine[actual] = mine.get(actual, 0) + count
        return Agreement(counts=counts)

    def count(self, foretold: Iterable[str], actual: Iterable[str]) -> int:
        """Return how often something was foretold and something happened."""
        rows, columns = tuple(foretold), tuple(actual)
        return sum(self.counts.get(f, {}).get(a, 0) for f in rows for a in columns)

    @property
    def total(self) -> int:
        """Executed attempts with a prediction, UNKNOWN and not rehearsed ones included."""
        return sum(sum(row.values()) for row in self.counts.values())

    @property
    def said(self) -> int:
        """Those of which something was foretold."""
        return sum(sum(self.counts.get(v, {}).values()) for v in get_args(Verdict) if v != "UNKNOWN")

    @property
    def exact(self) -> int:
        """Those that ended with just the verdict that was foretold."""
        return sum(self.count((v,), (v,)) for v in get_args(Verdict) if v != "UNKNOWN")

    @property
    def right(self) -> int:
        """Those that were kept or taken back as foretold."""
        bad = [v for v in get_args(Verdict) if v not in GOOD]
        return self.count(GOOD, GOOD) + self.count([v for v in bad if v != "UNKNOWN"], bad)

    def text(self) -> str:
        """Say it in a line."""
        if not self.total:
            return "no executed attempt was rehearsed"
        said = f"{self.said} of {self.total} foretold"
        return f"{said}, {self.right} kept or taken back as foretold, {self.exact} with the very verdict"

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table: a heading, then one row for each verdict that was foretold."""
        verdicts = get_args(Verdict)
        body = [(f, *(str(self.counts[f].get(v, 0)) for v in verdicts)) for f in get_args(Foretold) if f in self.counts]
        return [("foretold", *verdicts), *body] if body else []
