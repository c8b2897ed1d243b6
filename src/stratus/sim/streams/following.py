"""Following what a container writes: each line once, in order, until the container ends."""

from __future__ import annotations

from collections.abc import Callable

from stratus.kit.clock import iso

Line = tuple[float, str]
#: (previous instance, from this moment on or None for all) -> (moment, line), oldest first.
ReadLines = Callable[[bool, float | None], list[Line]]


class Follower:
    """Gives lines that were not given yet.

    Args:
        read: reads the container's lines.
        same: tells whether the container's present instance is still the one that is followed.
    """

    def __init__(self, read: ReadLines, same: Callable[[], bool]) -> None:
        self._read = read
        self._same = same
        self._at: float | None = None
        #: Lines of the very moment `_at` that were given.
        self._given = 0

    def new(self) -> list[Line]:
        """Return the lines since the last call; of the instance that is followed, even when it is gone meanwhile."""
        lines = self._read(not self._same(), self._at)
        again = 0
        while again < min(self._given, len(lines)) and lines[again][0] == self._at:
            again += 1
        fresh = lines[again:]
        if fresh:
            last = fresh[-1][0]
            count = sum(1 for at, _ in reversed(fresh) if at == last)
            self._given = count + (self._given if last == self._at else 0)
            self._at = last
        return fresh

    def skip(self) -> None:
        """Take what there is as given."""
        self.new()


def write_line(line: Line, timestamps: bool) -> str:
    """Write one line as the log of a container shows it."""
    at, text = line
    return f"{iso(at)[:-1] + '.000000000Z ' if timestamps else ''}{text}\n"


class LogStream:
    """Followed logs: what the container has written since the last look, until it ends (see `messages.Stream`).

    Args:
        follower: gives the lines.
        first: the lines to begin with, taken from what the follower has already given.
        alive: tells whether the container that is followed still runs.
        timestamps: lines begin with their moment.
        limit: bytes after which the stream ends.
    """

    status = 200
    content_type = "text/plain"

    def __init__(
        self,
        follower: Follower,
        first: list[Line],
        alive: Callable[[], bool],
        *,
        timestamps: bool = False,
        limit: int | None = None,
    ) -> None:
        self.timeout: float | None = None
        self.on_ready: Callable[[], None] | None = None
        self.on_close: Callable[[], None] = lambda: None
        self._follower = follower
        self._first = first
        self._alive = alive
        self._timestamps = timestamps
        self._left = limit
        self._ended = False

    def take(self) -> bytes:
        """Return what has been written since the last call."""
        if self._ended:
            return b""
        alive = self._alive()
        lines, self._first = [*self._first, *self._follower.new()], []
        data = "".join(write_line(line, self._timestamps) for line in lines).encode("utf-8", "surrogateescape")
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        if not alive or self._left == 0:
            self.close()
        return data

    @property
    def done(self) -> bool:
        """Tell whether the container has ended and all of it was read."""
        return self._ended

    def close(self) -> None:
        """Stop following."""
        self._ended = True
        self.on_close()
