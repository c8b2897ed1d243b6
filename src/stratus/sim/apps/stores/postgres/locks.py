"""Locks of tables: their modes, and which of them exclude each other."""

from __future__ import annotations

#: From the weakest to the strongest.
MODES = (
    "AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock",
    "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
)  # fmt: skip
_EXCLUDE = {
    "AccessShareLock": {7}, "RowShareLock": {6, 7}, "RowExclusiveLock": {4, 5, 6, 7},
    "ShareUpdateExclusiveLock": {3, 4, 5, 6, 7}, "ShareLock": {2, 3, 5, 6, 7}, "ShareRowExclusiveLock": {2, 3, 4, 5, 6,
    7},
    "ExclusiveLock": {1, 2, 3, 4, 5, 6, 7}, "AccessExclusiveLock": {0, 1, 2, 3, 4, 5, 6, 7},
}  # fmt: skip
#: What LOCK TABLE calls them.
NAMES = {m.removesuffix("Lock").lower(): m for m in MODES}


def conflicts(held: str, wanted: str) -> bool:
    """Tell whether one lock keeps another from being taken."""
    return MODES.index(wanted) in _EXCLUDE[held]


def mode_of(letter: str) -> str:
    """Return the lock that a request takes that needs a right."""
    return "AccessShareLock" if letter == "r" else "AccessExclusiveLock" if letter == "D" else "RowExclusiveLock"
