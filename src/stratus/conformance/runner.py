"""Replays a folder: every file that is there, against one right-hand side."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from stratus.conformance.golden import Golden
from stratus.conformance.matrix import FileResult, Matrix
from stratus.conformance.suites import Suite, all_suites
from stratus.conformance.world import EmbeddedSide, Side
from stratus.errors import UnknownNameError


def replay(
    golden: Golden,
    side: Side | None = None,
    *,
    only: Collection[str] = (),
    case: str = "",
    suites: Sequence[Suite] | None = None,
    tell: Callable[[str, int, int], None] | None = None,
) -> Matrix:
    """Replay recordings.

    Args:
        golden: the folder.
        side: right-hand side; fresh embedded clusters when None.
        only: names of files, with or without their endings; all when empty.
        case: replay only cases whose id is this or begins with this and a slash; all when empty.
        suites: what can be replayed; everything known when None.
        tell: called after each file with its name, the passed and the counted cases.

    Raises:
        UnknownNameError: `only` names a file that nobody knows how to replay.
        UsageError: a record cannot be read.
    """
    known = all_suites() if suites is None else suites
    chosen = select(known, only)
    right = side or EmbeddedSide(golden)
    results, missing, not_replayed = [], [], {}
    for suite in chosen:
        if not golden.has(suite.name):
            missing.append(suite.name)
        elif right.live and not suite.live:
            not_replayed[suite.name] = "needs the recorded moments and objects, which a live cluster cannot be given"
        else:
            outcomes = tuple(suite.replay(golden, right, lambda name: _is(name, case)))
            result = FileResult(
                name=suite.name, about=suite.about, outcomes=outcomes, least=suite.least, measures=suite.measures
            )
            results.append(result)
            if tell is not None:
                tell(suite.name, result.score.passed, result.score.total)
    return Matrix(
        files=tuple(results),
        missing=tuple(missing),
        not_replayed=not_replayed,
        against="live" if right.live else "embedded",
    )


def select(known: Sequence[Suite], only: Collection[str]) -> list[Suite]:
    """Return the suites whose file is named (`kubectl`, `kubectl.jsonl` and `kubectl.jsonl.gz` name the same).

    Raises:
        UnknownNameError: a name fits none; the message lists what there is.
    """
    if not only:
        return list(known)
    wanted = {stem(name) for name in only}
    unknown = sorted(wanted - {stem(s.name) for s in known})
    if unknown:
        there = ", ".join(stem(s.name) for s in known)
        raise UnknownNameError(f"no file of recordings is called {unknown[0]!r}; there are {there}")
    return [s for s in known if stem(s.name) in wanted]


def stem(name: str) -> str:
    """Return a file's name without its endings."""
    return name.strip().rstrip("/").removesuffix(".gz").removesuffix(".jsonl")


def _is(name: str, case: str) -> bool:
    return not case or name == case or name.startswith(f"{case}/")
