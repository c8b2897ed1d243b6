"""Breakers over time: what the journal shows has been going to and fro is not moved once more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from stratus.errors import CommandRefused
from stratus.kit.jsondiff import MISSING, Path, dotted, leaves, same
from stratus.model.actions import PlannedWrite
from stratus.model.base import Json
from stratus.model.transactions import Transaction
from stratus.transaction.essence import essence, shape

OSCILLATION = "oscillation"
"""Code of the refusal of a change that would go on with a to and fro."""
TURNS = 2
"""Times that kept transactions have turned a value round (a to b, back, and forth again) before the next is refused."""
REPEATS = 3
"""Times that kept transactions have made one and the same change before the next is refused."""
LOOK_BACK = 100
"""Latest transactions of the journal that are looked at."""

Move = tuple[Any, Any]
"""A value before and after."""


def check_oscillation(history: Sequence[Transaction], writes: Iterable[PlannedWrite], *, since: float) -> None:
    """Refuse a plan that would turn a value round once more, or make once more a change that does not last.

    A value oscillates when kept transactions have changed it to and fro: two repairs undo each other's effect. A change
    does not last when kept transactions have made it again and again: somebody else takes it back each time. Doing it
    once more heals nothing; somebody has to look.

    Args:
        history: transactions of this cluster, oldest first.
        since: epoch seconds; what was kept before is forgotten.

    Raises:
        CommandRefused: with code `oscillation`, naming object, field, and the transactions.
    """
    kept = [t for t in history if t.state == "committed" and t.ended_at >= since and not t.wrapped]
    for planned in writes:
        if planned.compensable is not None:
            _check_commands(kept, planned)
            continue
        if planned.pre_image is None or planned.dry_run is None:
            continue
        past = _past(kept, planned)
        for path, move in _moves(planned.pre_image, planned.dry_run).items():
            made = past.get(path, [])
            turns = _run(made, move, turning=True)
            if len(turns) > TURNS:
                raise _refused(planned, path, "turned to and fro", turns[1:])
            repeats = _run(made, move, turning=False)
            if len(repeats) >= REPEATS:
                raise _refused(planned, path, "changed in the same way", repeats)


def _check_commands(kept: Sequence[Transaction], planned: PlannedWrite) -> None:
    """Refuse a command in a container that kept transactions have run again and again."""
    one = planned.compensable
    ran = [
        transaction.id
        for transaction in kept
        for record in transaction.writes
        if record.compensable is not None and one is not None
        if record.compensable.workload.key == one.workload.key and record.compensable.change == one.change
    ]
    if len(ran) >= REPEATS:
        raise CommandRefused(
            f"{planned.write.target}: {', '.join(ran)} ran the same command in it; once more heals nothing, something "
            "else takes it back",
            code=OSCILLATION,
            hint="find what changes it back; a person should look",
        )


def _past(kept: Sequence[Transaction], planned: PlannedWrite) -> dict[Path, list[tuple[Move, str]]]:
    """Return what kept transactions did to the object of a write, by place, oldest first."""
    found: dict[Path, list[tuple[Move, str]]] = {}
    for transaction in kept:
        for record in transaction.writes:
            if record.write.target.key == planned.write.target.key and record.before and record.after:
                for path, move in _moves(record.before, record.after).items():
                    found.setdefault(path, []).append((move, transaction.id))
    return found


def _run(made: list[tuple[Move, str]], move: Move, *, turning: bool) -> list[str]:
    """Return the latest transactions that belong to a run which `move` would go on with, oldest first."""
    run: list[str] = []
    was, became = move
    for (old, new), name in reversed(made):
        if turning:
            was, became = became, was
        if not (same(old, was) and same(new, became)):
            break
        run.insert(0, name)
    return run


def _refused(planned: PlannedWrite, path: Path, what: str, names: Sequence[str]) -> CommandRefused:
    return CommandRefused(
        f"{planned.write.target}: {dotted(path)} has been {what} by {', '.join(names)}; doing it once more heals "
        "nothing, something else pulls at it",
        code=OSCILLATION,
        hint="find what changes it back; a person should look",
    )


def _moves(before: Json, after: Json) -> dict[Path, Move]:
    """Return the smallest values that differ, by path."""
    old, new = leaves((essence(before), essence(after)), shape())
    places = {**old, **new}
    moved = {path: (old.get(path, MISSING), new.get(path, MISSING)) for path in places}
    return {path: pair for path, pair in moved.items() if not same(*pair)}
