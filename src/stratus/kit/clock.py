"""Clocks: the system's, and a virtual one that moves only when told to."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    """What every timed part of Stratus is given instead of the time module."""

    def now(self) -> float:
        """Return seconds since the Unix epoch (UTC)."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed on this clock."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        """Return seconds since the Unix epoch (UTC)."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Block the calling thread for `seconds` (nothing for zero or less)."""
        if seconds > 0:
            time.sleep(seconds)


class Timer:
    """A call waiting on a virtual clock; `cancel()` makes it never happen."""

    __slots__ = ("at", "cancelled", "fn")

    def __init__(self, at: float, fn: Callable[[], None]) -> None:
        self.at = at
        self.fn = fn
        self.cancelled = False

    def cancel(self) -> None:
        """Drop the call; harmless when it already ran."""
        self.cancelled = True


class VirtualClock:
    """Time as a number with a heap of timers; `advance` runs what falls due, in order of time, then of scheduling."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()

    def now(self) -> float:
        """Return the present moment in seconds since the Unix epoch."""
        return self._now

    def call_at(self, at: float, fn: Callable[[], None]) -> Timer:
        """Run `fn` when the clock reaches `at`; a moment already past runs at the next advance."""
        timer = Timer(at, fn)
        heapq.heappush(self._heap, (at, next(self._order), timer))
        return timer

    def call_later(self, delay: float, fn: Callable[[], None]) -> Timer:
        """Run `fn` after `delay` seconds."""
        return self.call_at(self._now + delay, fn)

    def next_timer(self) -> float | None:
        """Return the moment of the next live timer, or None when nothing waits."""
        while self._heap and self._heap[0][2].cancelled:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds`, running each due timer at its own moment.

        Raises:
            ValueError: for a negative duration; time does not run backwards.
        """
        if seconds < 0:
            raise ValueError(f"cannot advance a clock by {seconds} s: time does not run backwards")
        self.advance_to(self._now + seconds)

    def advance_to(self, moment: float) -> None:
        """Move forward to `moment`; a moment in the past changes nothing but still runs overdue timers."""
        while (due := self.next_timer()) is not None and due <= max(moment, self._now):
            _, _, timer = heapq.heappop(self._heap)
            self._now = max(self._now, due)
            timer.fn()
        self._now = max(self._now, moment)

    def sleep(self, seconds: float) -> None:
        """Advance by `seconds`: on a virtual clock waiting costs nothing."""
        self.advance(max(0.0, seconds))


def iso(moment: float) -> str:
    """Format epoch seconds as RFC 3339 UTC with whole seconds, as Kubernetes does: `2026-01-05T09:00:00Z`."""
    return _second(int(moment))


# A virtual clock stands still while much happens: the same few moments are written and read again and again.
@lru_cache(maxsize=4096)
def _second(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=4096)
def parse_iso(text: str) -> float:
    """Read an RFC 3339 timestamp (with `Z` or an offset, with or without fractions) as epoch seconds.

    Raises:
        ValueError: when the text is not a timestamp.
    """
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
