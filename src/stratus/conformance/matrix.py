"""The result of a replay: which cases agree, per file, per measure and per kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Noun(BaseModel):
    """Frozen, and without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Outcome(Noun):
    """One replayed case.

    Attributes:
        case: its id, unique within its file.
        kind: what it is counted under: a Kubernetes kind, or a group of commands.
        passed: everything that its file measures agrees.
        reason: where it differs, shortened; why it was left out, for one out of scope.
        measures: what was measured apart, by name.
        parts: what was counted within the case, by name: how much of it agrees, and how much there is.
        out_of_scope: it is not counted; `reason` argues why.
    """

    case: str
    kind: str
    passed: bool
    reason: str = ""
    measures: Mapping[str, bool] = Field(default_factory=dict)
    parts: Mapping[str, tuple[int, int]] = Field(default_factory=dict)
    out_of_scope: bool = False


class Score(Noun):
    """How many of some cases agree; `least` is the share asked for, when there is one."""

    total: int
    passed: int
    least: float | None = None

    @property
    def rate(self) -> float:
        """Return the share that agrees, 1.0 of nothing."""
        return self.passed / self.total if self.total else 1.0

    @property
    def met(self) -> bool:
        """Tell whether as many agree as is asked for."""
        return self.least is None or self.rate >= self.least

    def data(self) -> dict[str, Any]:
        """Return the score as JSON data."""
        found: dict[str, Any] = {"total": self.total, "passed": self.passed, "rate": round(self.rate, 4)}
        if self.least is not None:
            found |= {"least": self.least, "met": self.met}
        return found


class FileResult(Noun):
    """The replay of one file.

    Attributes:
        name: the file (or folder) as the recordings name it.
        outcomes: all cases, in order.
        least: share of passed cases that is asked for.
        measures: share asked for of each measure (None: it is only told).
        about: what is compared, in a sentence.
    """

    name: str
    about: str
    outcomes: tuple[Outcome, ...]
    least: float | None = None
    measures: Mapping[str, float | None] = Field(default_factory=dict)

    @property
    def counted(self) -> tuple[Outcome, ...]:
        """Return the cases that count."""
        return tuple(o for o in self.outcomes if not o.out_of_scope)

    @property
    def left_out(self) -> tuple[Outcome, ...]:
        """Return the cases out of scope."""
        return tuple(o for o in self.outcomes if o.out_of_scope)

    @property
    def score(self) -> Score:
        """Return how many cases pass."""
        return _score([o.passed for o in self.counted], self.least)

    def measured(self) -> dict[str, Score]:
        """Return the score of each measure, over the cases that have it."""
        return {
            name: _score([o.measures[name] for o in self.counted if name in o.measures], least)
            for name, least in self.measures.items()
        }

    def parts(self) -> dict[str, Score]:
        """Return what was counted within the cases, added up."""
        names = list(dict.fromkeys(name for o in self.counted for name in o.parts))
        found = {name: [o.parts[name] for o in self.counted if name in o.parts] for name in names}
        return {n: Score(total=sum(t for _, t in pairs), passed=sum(p for p, _ in pairs)) for n, pairs in found.items()}

    def kinds(self) -> dict[str, Score]:
        """Return the score of each kind, sorted by kind."""
        names = sorted({o.kind for o in self.counted})
        return {name: _score([o.passed for o in self.counted if o.kind == name], None) for name in names}

    @property
    def met(self) -> bool:
        """Tell whether all that is asked for is reached."""
        return self.score.met and all(s.met for s in self.measured().values())

    def data(self) -> dict[str, Any]:
        """Return the result as JSON data."""
        found: dict[str, Any] = {**self.score.data(), "about": self.about}
        measured = self.measured()
        if measured:
            found["measures"] = {name: score.data() for name, score in measured.items()}
        counted = self.parts()
        if counted:
            found["parts"] = {name: score.data() for name, score in counted.items()}
        found["kinds"] = {name: score.data() for name, score in self.kinds().items()}
        found["failing"] = [
            {
                "case": o.case,
                "kind": o.kind,
                "reason": o.reason,
                **({"measures": dict(o.measures)} if o.measures else {}),
            }
            for o in self.counted
            if not (o.passed and all(o.measures.values()))
        ]
        found["out_of_scope"] = [{"case": o.case, "kind": o.kind, "reason": o.reason} for o in self.left_out]
        return found


class Matrix(Noun):
    """The replay of a folder.

    Attributes:
        files: results, in the order of the folder's description.
        missing: files that the folder does not have.
        not_replayed: files that this right-hand side cannot be given, with the reason.
        against: what was on the right-hand side: `embedded` or `live`.
    """

    files: tuple[FileResult, ...]
    missing: tuple[str, ...] = ()
    not_replayed: Mapping[str, str] = Field(default_factory=dict)
    against: str = "embedded"

    @property
    def met(self) -> bool:
        """Tell whether every file reaches what is asked for."""
        return all(f.met for f in self.files)

    @property
    def score(self) -> Score:
        """Return how many of all cases pass."""
        return _score([o.passed for f in self.files for o in f.counted], None)

    def data(self) -> dict[str, Any]:
        """Return the matrix as JSON data; the keys are documented in docs/reference/conformance.md."""
        return {
            "schema": 1,
            "against": self.against,
            **self.score.data(),
            "met": self.met,
            "files": {f.name: f.data() for f in self.files},
            "missing": list(self.missing),
            "not_replayed": dict(self.not_replayed),
        }


def _score(results: Iterable[bool], least: float | None) -> Score:
    listed = list(results)
    return Score(total=len(listed), passed=sum(listed), least=least)
