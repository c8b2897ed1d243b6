"""What one request meets: outcomes, hops and failures, with how they add up."""

from __future__ import annotations

from dataclasses import dataclass, field

from stratus.sim.apps.latency import Span, mixed
from stratus.sim.apps.process import Proc
from stratus.sim.apps.schema import TRACED, Protocol, Target


@dataclass(slots=True)
class Fail:
    """A way in which a share of requests fails; `here` until it has been told as an edge's own message."""

    weight: float
    span: Span
    message: str
    here: bool = True


@dataclass(slots=True)
class Hop:
    """One kind of call within an operation: what it did per request.

    Attributes:
        calls: calls per request, retries included; `errors` of them fail.
        label: (namespace, service) that was called, as addressed.
        branches: (share, program) the calls are spread over.
        span, own: duration, and the callee's own part of it, of a call.
        message: the commonest error born between caller and callee, or in the callee; `text` what the caller reads.
        topic: where the calls put messages, if they do.
    """

    target: str
    label: tuple[str, str]
    operation: str
    traced: bool
    calls: float
    errors: float
    span: list[tuple[float, Span]]
    own: list[tuple[float, Span]]
    message: str
    text: str
    branches: list[tuple[float, Proc]]
    topic: str = ""

    @property
    def span_name(self) -> str:
        """Return what the operation goes by in traces."""
        for _, callee in self.branches:
            spec = callee.program.operations.get(self.operation)
            if spec is not None and spec.span:
                return spec.span
        return self.operation


@dataclass(slots=True)
class Outcome:
    """What becomes of one request for an operation of a program.

    Attributes:
        ok, fails: shares of those that succeed and fail; `silent`: of those that are never answered.
        cpu: CPU seconds, and `held` seconds during which it is worked on (waiting for a worker not counted).
    """

    ok: float
    span: Span
    fails: list[Fail]
    own: Span
    cpu: float
    hops: list[Hop] = field(default_factory=list)
    silent: float = 0.0
    held: float = 0.0

    def parts(self) -> list[tuple[float, Span]]:
        """Return durations of all requests by how they end."""
        return [(self.ok, self.span), *((f.weight, f.span) for f in self.fails)]


@dataclass(slots=True)
class Answer:
    """What a caller gets: successes, failures, and the callee's own time; `starved`: share that got no connection."""

    ok: float
    span: Span
    fails: list[Fail]
    own: list[tuple[float, Span]]
    branches: list[tuple[float, Proc]]
    label: tuple[str, str]
    starved: float = 0.0


def _rank(fail: Fail) -> tuple[float, str]:
    return fail.weight, fail.message


def again(broken: float, retries: int, budget: float | None) -> float:
    """Return the further attempts per call, when a share of all attempts fails."""
    more = sum(broken**n for n in range(1, retries + 1))
    return more if budget is None else min(more, budget)


def hop_of(name: str, target: Target, operation: str, answer: Answer, calls: float, retries: int = 0) -> Hop:
    traced = target.protocol in TRACED
    if not answer.fails:
        span = [(answer.ok, answer.span)]
        return Hop(name, answer.label, operation, traced, calls, 0.0, span, answer.own, "", "", answer.branches)
    broken = min(sum(f.weight for f in answer.fails), 1.0)
    tries = 1.0 + again(broken, retries, target.retry_budget)
    born = [f for f in answer.fails if f.here]
    message = max(born, key=_rank).message if born else ""
    text = max(answer.fails, key=_rank).message if answer.fails else ""
    span = [(answer.ok, answer.span), *((f.weight, f.span) for f in answer.fails)]
    return Hop(
        name,
        answer.label,
        operation,
        traced,
        calls * tries,
        calls * tries * broken,
        [p for p in span if p[0] > 0],
        answer.own,
        message,
        text,
        answer.branches,
    )


def capped(span: Span, limit: float) -> Span:
    if span[0] <= limit:
        return span
    return limit, 0.0


def worded(protocol: Protocol, message: str) -> str:
    """Return a callee's own error as its caller gets to read it."""
    if protocol == "grpc" and not message.startswith("rpc error"):
        return f"rpc error: code = Unknown desc = {message}"
    return message


def merged(fails: list[Fail]) -> list[Fail]:
    """Join failures of the same text; keep the four commonest."""
    if not fails:
        return fails
    groups: dict[tuple[str, bool], list[Fail]] = {}
    for fail in fails:
        if fail.weight > 1e-9:
            groups.setdefault((fail.message, fail.here), []).append(fail)
    found = [
        same[0]
        if len(same) == 1
        else Fail(sum(f.weight for f in same), mixed([(f.weight, f.span) for f in same]), message, here)
        for (message, here), same in groups.items()
    ]
    found.sort(key=lambda f: (-f.weight, f.message))
    if len(found) > 4:
        rest = found[3:]
        found = [
            *found[:3],
            Fail(sum(f.weight for f in rest), mixed([(f.weight, f.span) for f in rest]), rest[0].message, rest[0].here),
        ]
    return found
