"""Plays single requests from the figures of a tick: which spans one of them leaves, the same at every asking."""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from stratus.sim.apps.figures import Link, LinkFigures, SpanFigures, Tick
from stratus.sim.apps.latency import quantile
from stratus.sim.apps.schema import TRACED

#: Traces kept of each tick: what a sampler leaves of the requests.
SAMPLED = 12
DEPTH = 16
#: Spans of one trace at most.
MOST_SPANS = 400


@dataclass
class Played:
    """One span; times in seconds, `parent` is the id of the span it belongs under."""

    id: str
    parent: str
    namespace: str
    service: str
    operation: str
    kind: str
    start: float
    duration: float
    failed: bool
    message: str
    peer: str = ""
    protocol: str = ""


@dataclass
class Trace:
    """One request; the first span is the root."""

    id: str
    spans: list[Played] = field(default_factory=list)

    @property
    def start(self) -> float:
        """Return when it began."""
        return self.spans[0].start

    @property
    def services(self) -> set[str]:
        """Return the services that took part."""
        return {span.service for span in self.spans}


def _noise(*parts: object) -> float:
    return zlib.crc32("\x00".join(map(str, parts)).encode()) / 4294967296.0


@dataclass(frozen=True)
class _Shape:
    """A tick, looked up by who asks: calls below an operation, and all that are made to one."""

    entries: tuple[tuple[Link, LinkFigures], ...]
    below: dict[tuple[str, str, str], list[tuple[Link, LinkFigures]]]
    asked: dict[tuple[str, str, str], float]


@lru_cache(maxsize=64)
def _shape_of(tick: _Hashed) -> _Shape:
    entries, below, asked = [], {}, {}  # type: ignore[var-annotated]
    for link, figures in sorted(tick.tick.links.items()):
        namespace, caller, operation, callee, wanted, _ = link
        if not caller or not operation:
            # Begun by users, or by the load generator that stands for them.
            entries.append((link, figures))
        else:
            below.setdefault((namespace, caller, operation), []).append((link, figures))
        asked[namespace, callee, wanted] = asked.get((namespace, callee, wanted), 0.0) + figures.calls
    return _Shape(tuple(entries), below, asked)


class _Hashed:
    """A tick as a key: ticks are told apart by identity."""

    def __init__(self, tick: Tick) -> None:
        self.tick = tick

    def __hash__(self) -> int:
        return id(self.tick)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashed) and other.tick is self.tick


def traces_of(tick: Tick) -> Iterator[Trace]:
    """Return the traces of a tick, oldest first."""
    shape = _shape_of(_Hashed(tick))
    total = sum(figures.calls for _, figures in shape.entries) * tick.seconds
    ratio = min(1.0, SAMPLED / total) if total > 0 else 0.0
    made = []
    for place, (link, figures) in enumerate(shape.entries):
        wanted = figures.calls * tick.seconds * ratio
        count = int(wanted) + (_noise("count", tick.at, *link) < wanted - int(wanted))
        made += [(tick.at - tick.seconds * (1.0 - _noise("at", tick.at, place, n)), place, n) for n in range(count)]
    for at, place, number in sorted(made):
        yield _play(tick, shape, place, number, at)


def trace_id(tick: Tick, place: int, number: int) -> str:
    """Return an id that tells where to find the trace again."""
    digest = hashlib.sha256(f"{tick.at}/{place}/{number}".encode()).hexdigest()
    return f"{int(tick.at):010x}{place:03x}{number:03x}{digest[:16]}"


def moment_of(identifier: str) -> float | None:
    """Return the end of the tick that a trace belongs to."""
    try:
        return float(int(identifier[:10], 16))
    except ValueError:
        return None


def _play(tick: Tick, shape: _Shape, place: int, number: int, at: float) -> Trace:
    trace = Trace(trace_id(tick, place, number))
    link, figures = shape.entries[place]
    player = _Player(tick, shape, trace)
    failed = player.fails(link, figures, "root")
    if link[1]:
        player.call(link, figures, "", at, failed, 0)
    elif player.reached(link, failed, figures):
        player.serve(link, "", at, failed, 0)
    else:
        # Nobody answered the user: all that is left is the span of the load generator's side.
        player.leaf(link, "", at, figures, figures.message)
    return trace


class _Player:
    def __init__(self, tick: Tick, shape: _Shape, trace: Trace) -> None:
        self.tick = tick
        self.shape = shape
        self.trace = trace

    def noise(self, *parts: object) -> float:
        return _noise(self.trace.id, len(self.trace.spans), *parts)

    def identifier(self) -> str:
        return hashlib.sha256(f"{self.trace.id}/{len(self.trace.spans)}".encode()).hexdigest()[:16]

    def fails(self, link: Link, figures: LinkFigures, *more: object) -> bool:
        return figures.errors > 0 and self.noise("fails", link, *more) < figures.errors / max(figures.calls, 1e-12)

    def reached(self, link: Link, failed: bool, figures: LinkFigures) -> bool:
        """Tell whether a call gets to its callee; one that does not has failed."""
        if not failed:
            return True
        key = (link[0], link[3], link[4])
        span = self.tick.spans.get(key)
        if span is None:
            return False
        lost = max(1.0 - span.rate / max(self.shape.asked.get(key, span.rate), 1e-12), 0.0)
        broken = figures.errors / max(figures.calls, 1e-12)
        return self.noise("reached", link) >= lost / max(broken, 1e-12)

    def serve(self, link: Link, parent: str, at: float, failed: bool, depth: int) -> Played:
        """Add the span of a callee and all below it."""
        namespace, caller, _, service, operation, protocol = link
        figures = self.tick.spans.get((namespace, service, operation))
        span = Played(
            self.identifier(), parent, namespace, service, operation, "server", at,
            _drawn(figures, self.noise("duration")), failed, "", protocol=protocol,
        )  # fmt: skip
        self.trace.spans.append(span)
        inner = at + 0.0001
        blamed = False
        share = figures.failed / figures.rate if figures is not None and figures.rate > 0 else 1.0
        links = self.shape.below.get((namespace, service, operation), ())
        worst = max(links, key=lambda entry: entry[1].errors / max(entry[1].calls, 1e-12), default=None)
        rate = figures.rate if figures is not None else 0.0
        for one, calls in links if depth < DEPTH else ():
            expected = calls.calls / rate if rate > 0 else 0.0
            count = int(expected) + (self.noise("calls", one) < expected - int(expected))
            broken = calls.errors / max(calls.calls, 1e-12)
            forced = failed and not blamed and worst is not None and one is worst[0] and broken > 0.5 * share
            if forced and count == 0:
                count = 1
            for number in range(min(count, 8)):
                if len(self.trace.spans) >= MOST_SPANS:
                    break
                # What fails below without failing this operation is what the program bears: as often as it does.
                bears = broken > 2.0 * share + 1e-9
                bad = (forced and number == 0) or (bears and self.fails(one, calls, number))
                done = self.call(one, calls, span.id, inner, bad, depth)
                blamed = blamed or (bad and not bears)
                inner = done.start + done.duration + 0.00005
        if failed and not blamed:
            edge = self.tick.edges.get((namespace, caller, service, operation))
            span.message = (edge.message if edge is not None else "") or "internal error"
        elif failed:
            span.message = next((s.message for s in reversed(self.trace.spans) if s.parent == span.id and s.failed), "")
        span.duration = max(span.duration, (inner - at) * 1.01)
        return span

    def call(self, link: Link, figures: LinkFigures, parent: str, at: float, failed: bool, depth: int) -> Played:
        """Add the span of a caller's call, and what the callee does."""
        exit_span = self.leaf(link, parent, at, figures, "")
        exit_span.failed = failed
        if link[5] in TRACED and self.reached(link, failed, figures):
            below = self.serve(link, exit_span.id, at + 0.0001, failed, depth + 1)
            exit_span.duration = max(below.duration + 0.0003, 0.0004)
            exit_span.message = below.message if failed else ""
        elif failed:
            exit_span.message = figures.message or "the call failed"
        return exit_span

    def leaf(self, link: Link, parent: str, at: float, figures: LinkFigures, message: str) -> Played:
        namespace, caller, _, callee, operation, protocol = link
        span = Played(
            self.identifier(), parent, namespace, caller or callee, operation,
            "producer" if protocol == "kafka" else "client" if caller else "server", at,
            max(figures.mean * (0.5 + self.noise("leaf")), 0.0001), bool(message), message,
            callee if caller else "", protocol,
        )  # fmt: skip
        self.trace.spans.append(span)
        return span


def _drawn(figures: SpanFigures | None, level: float) -> float:
    """Draw a duration."""
    if figures is None or not figures.parts:
        return 0.001
    total = sum(weight for weight, _ in figures.parts)
    passed = 0.0
    for weight, span in figures.parts:
        if (passed + weight) / total >= level or math.isclose(passed + weight, total):
            inside = (level * total - passed) / weight if weight > 0 else 0.5
            return max(quantile(span, min(max(inside, 0.001), 0.999)), 0.0001)
        passed += weight
    return max(figures.parts[-1][1][0], 0.0001)
