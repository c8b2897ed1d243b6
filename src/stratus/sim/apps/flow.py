"""The second pass over the call graph: rates go in at the users' end, figures come out everywhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from stratus.sim.apps.figures import (
    Edge,
    EdgeFigures,
    Link,
    LinkFigures,
    Parts,
    Served,
    ServiceFigures,
    SpanFigures,
)
from stratus.sim.apps.latency import Span
from stratus.sim.apps.paths import Hop, Outcome
from stratus.sim.apps.process import Proc

DEPTH = 24


@dataclass(slots=True)
class Sum:
    """Requests added up."""

    rate: float = 0.0
    failed: float = 0.0
    parts: list[tuple[float, Span]] = field(default_factory=list)
    own: list[tuple[float, Span]] = field(default_factory=list)
    messages: dict[str, float] = field(default_factory=dict)


class Flow:
    """Sends rates along the hops and adds up.

    Attributes:
        demand: CPU cores asked for, `served`: requests per second, `asked`: the same by operation; by id of program.
        lines: (program, target, operation, message) -> failures per second worth a log line.
        held: requests under way, by id of program; `pooled`: (calls per second wanted, connections in use) of its
            targets with a pool.
        produced: messages per second by (id of broker, topic) and the label of who wrote them.
        users: requests and failures per second by (namespace, operation), as those see them who make the load.
    """

    def __init__(
        self,
        outcomes: dict[tuple[int, str], Outcome],
    ) -> None:
        self.outcomes = outcomes
        self.spans: dict[Served, Sum] = {}
        self.edges: dict[Edge, Sum] = {}
        self.links: dict[Link, list[float]] = {}
        self.told: dict[Link, str] = {}
        self.demand: dict[int, float] = {}
        self.served: dict[int, float] = {}
        self.asked: dict[int, dict[str, float]] = {}
        self.lines: dict[tuple[int, str, str, str], float] = {}
        self.held: dict[int, float] = {}
        self.pooled: dict[tuple[int, str], list[float]] = {}
        self.produced: dict[tuple[int, str], dict[tuple[str, str], float]] = {}
        self.users: dict[tuple[str, str], tuple[float, float]] = {}

    def services(self) -> dict[tuple[str, str], Sum]:
        """Return what was asked of each service, all operations together."""
        found: dict[tuple[str, str], Sum] = {}
        for (namespace, service, _), one in self.spans.items():
            whole = found.setdefault((namespace, service), Sum())
            whole.rate += one.rate
            whole.failed += one.failed
            whole.parts += one.parts
        return found

    def follow(
        self, caller: Proc | None, label: tuple[str, str], hop: Hop, rate: float, depth: int, operation: str = ""
    ) -> None:
        """Send `rate` requests per second of a caller's operation into one of its hops."""
        calls = rate * hop.calls
        if calls <= 1e-9 or depth > DEPTH:
            return
        self._link(caller, label[1], operation, hop, calls, rate * hop.errors)
        if hop.traced:
            space = hop.label[0]
            edge = self.edges.setdefault((space, label[1], hop.label[1], hop.span_name), Sum())
            edge.rate += calls
            edge.failed += rate * hop.errors
            edge.parts += [(calls * w, s) for w, s in hop.span]
            edge.own += [(calls * w, s) for w, s in hop.own]
            if hop.message:
                edge.messages[hop.message] = edge.messages.get(hop.message, 0.0) + rate * hop.errors
        if caller is not None and hop.errors > 0 and hop.text:
            key = (id(caller), hop.target, hop.operation, hop.text)
            self.lines[key] = self.lines.get(key, 0.0) + rate * hop.errors
        target = caller.program.targets.get(hop.target) if caller is not None else None
        if caller is not None and target is not None and target.pool:
            self._pool(caller, hop, calls)
        for share, proc in hop.branches:
            if hop.topic:
                wrote = self.produced.setdefault((id(proc), hop.topic), {})
                wrote[label] = wrote.get(label, 0.0) + calls * share
            self.serve(proc, hop, calls * share, depth)

    def _link(self, caller: Proc | None, name: str, operation: str, hop: Hop, calls: float, errors: float) -> None:
        """Note which operation asked for what, with how long it took as the caller sees it."""
        target = caller.program.targets.get(hop.target) if caller is not None else None
        protocol = target.protocol if target is not None else "http"
        asked = f"publish {hop.topic}" if hop.topic else hop.span_name
        key = (hop.label[0], name, operation, hop.label[1], asked, protocol)
        total = self.links.get(key)
        if total is None:
            total = self.links[key] = [0.0, 0.0, 0.0]
        total[0] += calls
        total[1] += errors
        total[2] += calls * sum(w * s[0] for w, s in hop.span)
        if errors > 0 and hop.text:
            self.told[key] = hop.text

    def _pool(self, caller: Proc, hop: Hop, calls: float) -> None:
        """Note how many connections a caller's target takes: calls that get one, times how long they keep it."""
        waited, starved = caller.pools.get(hop.target, (0.0, 0.0))
        whole = sum(w for w, _ in hop.span)
        mean = sum(w * s[0] for w, s in hop.span) / whole if whole else 0.0
        kept = max(mean - starved * caller.program.targets[hop.target].pool_wait - (1.0 - starved) * waited, 0.0)
        use = self.pooled.setdefault((id(caller), hop.target), [0.0, 0.0])
        use[0] += calls
        use[1] += calls * kept

    def serve(self, proc: Proc, hop: Hop, rate: float, depth: int) -> None:
        outcome = self.outcomes.get((id(proc), hop.operation))
        mine = id(proc)
        self.served[mine] = self.served.get(mine, 0.0) + rate
        ops = self.asked.setdefault(mine, {})
        ops[hop.operation] = ops.get(hop.operation, 0.0) + rate
        if outcome is None:
            if hop.traced:
                found = self.spans.setdefault((*hop.label, hop.span_name), Sum())
                found.rate += rate
                found.failed += rate
                found.parts.append((rate, (0.002, 1e-6)))
            return
        self.demand[mine] = self.demand.get(mine, 0.0) + rate * outcome.cpu
        if outcome.held:
            self.held[mine] = self.held.get(mine, 0.0) + rate * outcome.held
        if hop.traced:
            found = self.spans.setdefault((*hop.label, hop.span_name), Sum())
            found.rate += rate
            failed = sum(f.weight for f in outcome.fails) + outcome.silent
            found.failed += rate * failed
            found.parts += [(rate * w, s) for w, s in outcome.parts()]
        for fail in outcome.fails:
            if fail.here and fail.message in proc.told():
                key = (mine, "", hop.operation, fail.message)
                self.lines[key] = self.lines.get(key, 0.0) + rate * fail.weight
        for inner in outcome.hops:
            self.follow(proc, hop.label, inner, rate * proc.through, depth + 1, hop.span_name)


def service_figures(total: Sum) -> ServiceFigures:
    failed = min(total.failed / total.rate, 1.0) if total.rate else 0.0
    return ServiceFigures(total.rate, failed, parts=_parts(total.parts))


def edge_figures(total: Sum) -> EdgeFigures:
    message = max(sorted(total.messages), key=lambda m: total.messages[m]) if total.messages else ""
    failed = min(total.failed, total.rate)
    return EdgeFigures(total.rate, failed, message=message, parts=_parts(total.parts), own=_parts(total.own))


def link_figures(flow: Flow) -> dict[Link, LinkFigures]:
    return {
        key: LinkFigures(calls, min(errors, calls), seconds / calls if calls else 0.0, flow.told.get(key, ""))
        for key, (calls, errors, seconds) in flow.links.items()
    }


def span_figures(total: Sum) -> SpanFigures:
    return SpanFigures(total.rate, min(total.failed, total.rate), _parts(total.parts))


def _parts(found: list[tuple[float, Span]]) -> Parts:
    if len(found) == 1:
        return (found[0],) if found[0][0] > 1e-9 else ()
    weights: dict[Span, float] = {}
    for weight, span in found:
        if weight > 1e-9:
            weights[span] = weights.get(span, 0.0) + weight
    return tuple((weight, span) for span, weight in weights.items())
