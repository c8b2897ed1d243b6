"""Spans of traces reduced to calls between services, with self time and where an error began; pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from stratus.model.evidence import CallEdge

_EXITS = frozenset({"client", "producer"})


@dataclass(frozen=True)
class Span:
    """One span.

    Attributes:
        id, parent: ids within the trace; the parent is empty for a root.
        service, namespace: who made it; the namespace is empty when not told.
        kind: server, client, producer, consumer, internal, or empty.
        start, duration: seconds.
        failed: whether it ended with an error, and what it said.
        peer: for an exit, the service it says it calls.
    """

    id: str
    parent: str
    service: str
    operation: str
    start: float
    duration: float
    namespace: str = ""
    kind: str = ""
    failed: bool = False
    message: str = ""
    peer: str = ""


@dataclass
class _Sum:
    calls: int = 0
    errors: int = 0
    durations: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    message: str = ""


def edges_of(traces: Iterable[Sequence[Span]], namespaces: tuple[str, ...] = ()) -> tuple[CallEdge, ...]:
    """Aggregate calls by caller, callee and operation.

    A call is a span whose parent belongs to another service, a root span (its caller is empty), or an exit that names
    a peer and has no span of that peer below it (an uninstrumented or unreachable one). With namespaces given, calls
    whose callee is known to be elsewhere are left out.
    """
    sums: dict[tuple[str, str, str], _Sum] = defaultdict(_Sum)
    for trace in traces:
        by_id = {span.id: span for span in trace}
        below: dict[str, list[Span]] = defaultdict(list)
        for span in trace:
            if span.parent in by_id:
                below[span.parent].append(span)
        for span in trace:
            if namespaces and span.namespace and span.namespace not in namespaces:
                continue
            parent = by_id.get(span.parent)
            if parent is None or parent.service != span.service:
                caller = parent.service if parent is not None else ""
                _count(sums[caller, span.service, span.operation], span, below)
            foreign = any(child.service != span.service for child in below[span.id])
            if span.kind in _EXITS and span.peer and span.peer != span.service and not foreign:
                _count(sums[span.service, span.peer, span.operation], span, below, exits=True)
    return tuple(
        CallEdge(
            caller=caller,
            callee=callee,
            operation=operation,
            calls=total.calls,
            errors=total.errors,
            latency_p99=p99(total.durations),
            self_time_p99=p99(total.own),
            message=total.message,
        )
        for (caller, callee, operation), total in sorted(sums.items())
    )


def _count(total: _Sum, span: Span, below: Mapping[str, list[Span]], *, exits: bool = False) -> None:
    total.calls += 1
    total.durations.append(span.duration)
    total.own.append(span.duration if exits else _self_time(span, below))
    if span.failed:
        total.errors += 1
        origin = _origin(span, below)
        total.message = total.message or (origin.message if origin is not None else "")


def _self_time(span: Span, below: Mapping[str, list[Span]]) -> float:
    """Return the time not spent waiting for other services: internal work of the same service is its own time."""
    waits: list[tuple[float, float]] = []
    open_spans = list(below.get(span.id, ()))
    while open_spans:
        child = open_spans.pop()
        if child.service != span.service or child.kind in _EXITS:
            waits.append((child.start, child.start + child.duration))
        else:
            open_spans += below.get(child.id, ())
    return max(0.0, span.duration - _covered(waits, span.start, span.start + span.duration))


def _covered(intervals: list[tuple[float, float]], start: float, end: float) -> float:
    covered = 0.0
    reached = start
    for low, high in sorted(intervals):
        low, high = max(low, reached), min(high, end)
        if high > low:
            covered += high - low
            reached = high
    return covered


def _origin(span: Span, below: Mapping[str, list[Span]]) -> Span | None:
    """Return the failed span without failed children in the same service; None when the failure came from others."""
    failed = [child for child in below.get(span.id, ()) if child.failed]
    if not failed:
        return span
    own = [child for child in failed if child.service == span.service]
    return _origin(own[0], below) if own and len(own) == len(failed) else None


def p99(values: Sequence[float]) -> float:
    """Return the 99th percentile by rank; 0.0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(0.99 * len(ordered)) - 1)] if ordered else 0.0
