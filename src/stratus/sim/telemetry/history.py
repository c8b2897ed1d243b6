"""The last hour of traffic, tick by tick, and questions over stretches of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from stratus.sim.apps.figures import Edge, Tick

#: Seconds of traffic kept.
KEPT = 3900.0

Label = tuple[str, str]


class History:
    """Ticks in order of time; old ones are dropped. Ticks are never changed, so forks share them.

    Attributes:
        before_drop: called before old ticks are dropped, so that what is counted from the first tick on stays whole.
    """

    def __init__(self, ticks: Iterable[Tick] = ()) -> None:
        self._ticks: list[Tick] = list(ticks)
        self._ends: list[float] = [t.at for t in self._ticks]
        self.before_drop: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._ticks)

    def copy(self) -> History:
        """Return an independent history of the same ticks."""
        return History(self._ticks)

    def add(self, tick: Tick) -> None:
        """Append a tick."""
        self._ticks.append(tick)
        self._ends.append(tick.at)
        if self._ends[0] < tick.at - 1.1 * KEPT:
            if self.before_drop is not None:
                self.before_drop()
            cut = bisect_right(self._ends, tick.at - KEPT)
            del self._ticks[:cut], self._ends[:cut]

    def between(self, start: float, end: float) -> Sequence[Tick]:
        """Return the ticks that end after `start` and not after `end`."""
        return self._ticks[bisect_right(self._ends, start) : bisect_right(self._ends, end)]

    def last(self, at: float) -> Tick | None:
        """Return the newest tick that ended by a moment."""
        place = bisect_right(self._ends, at)
        return self._ticks[place - 1] if place else None

    def labels(self) -> list[Label]:
        """Return the services that were ever called in the time kept, sorted."""
        return sorted({label for tick in self._ticks for label in tick.services})


def service_point(ticks: Sequence[Tick], label: Label, level: str = "p99") -> tuple[float, float | None, float | None]:
    """Return (requests per second, share that failed, latency quantile) over some ticks; None without requests."""
    seconds = calls = failed = 0.0
    slow: list[tuple[float, float]] = []
    for tick in ticks:
        seconds += tick.seconds
        found = tick.services.get(label)
        if found is not None:
            count = found.rate * tick.seconds
            calls += count
            failed += count * found.error_rate
            slow.append((count, getattr(found, level)))
    if not seconds or calls <= 1e-6:
        return 0.0, None, None
    return calls / seconds, failed / calls, weighted(slow, 0.8)


def weighted(values: list[tuple[float, float]], level: float) -> float:
    """Return the value below which `level` of the weight lies: what a quantile over a whole stretch leans to."""
    total = sum(weight for weight, _ in values)
    if total <= 0.0:
        return 0.0
    passed = 0.0
    for weight, value in sorted(values, key=lambda v: v[1]):
        passed += weight
        if passed >= level * total:
            return value
    return max(value for _, value in values)


def edge_sums(ticks: Sequence[Tick], namespaces: tuple[str, ...]) -> dict[Edge, tuple[float, float, float, float, str]]:
    """Return per kind of call (calls, errors, p99, own p99, commonest message) over some ticks."""
    sums: dict[Edge, list[float]] = {}
    spans: dict[Edge, tuple[list[tuple[float, float]], list[tuple[float, float]]]] = {}
    said: dict[Edge, dict[str, float]] = {}
    for tick in ticks:
        for edge, found in tick.edges.items():
            if namespaces and edge[0] not in namespaces:
                continue
            total = sums.setdefault(edge, [0.0, 0.0])
            count = found.calls * tick.seconds
            total[0] += count
            total[1] += found.errors * tick.seconds
            whole, own = spans.setdefault(edge, ([], []))
            whole.append((count, found.p99))
            own.append((count, found.own_p99))
            if found.message:
                words = said.setdefault(edge, {})
                words[found.message] = words.get(found.message, 0.0) + found.errors * tick.seconds
    result = {}
    for edge in sorted(sums):
        words = said.get(edge, {})
        message = max(sorted(words), key=lambda m: words[m]) if words else ""
        whole, own = spans[edge]
        calls, errors = sums[edge]
        result[edge] = (calls, errors, weighted(whole, 0.9), weighted(own, 0.9), message)
    return result
