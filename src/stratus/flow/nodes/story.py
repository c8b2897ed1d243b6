"""What nodes share: the timeline and the time spent."""

from __future__ import annotations

from typing import Literal

from stratus.flow.rooms import Rooms
from stratus.flow.state import State
from stratus.model.cases import Case
from stratus.model.reports import TimelineEntry

Phase = Literal["detect", "diagnose", "mitigate"]
Mood = Literal["info", "good", "warning", "bad"]


def told(state: State, rooms: Rooms, stage: str, *lines: str, severity: Mood = "info") -> tuple[TimelineEntry, ...]:
    """Return the timeline with further lines, stamped now."""
    now = rooms.clock.now()
    added = tuple(TimelineEntry(at=now, stage=stage, text=line, severity=severity) for line in lines)
    return (*state.get("timeline", ()), *added)


def spent(state: State, phase: Phase, seconds: float) -> dict[str, float]:
    """Return the time spent by phase, with `seconds` more on one of them."""
    times = dict(state.get("spent", {}))
    times[phase] = times.get(phase, 0.0) + seconds
    return times


def case_of(state: State, rooms: Rooms) -> Case:
    """Put together what a reasoner is shown."""
    return Case(
        incident=state["incident"],
        detection=state["detection"],
        observation=state["observation"],
        templates=state.get("templates", ()),
        citations=state.get("citations", ()),
        runbooks=rooms.knowledge().runbooks(),
        ledger=state.get("ledger", ()),
        attempts=state.get("attempts", ()),
        round=state.get("round", 1),
    )
