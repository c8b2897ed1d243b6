"""What one tick of traffic comes to: per service and operation, per kind of call, and per container."""

from __future__ import annotations

from dataclasses import dataclass, field

from stratus.sim.apps.latency import mixture_quantile

Parts = tuple[tuple[float, tuple[float, float]], ...]
"""How long requests took: (requests per second, (mean, variance)), by how they ended."""


class ServiceFigures:
    """One service in one tick: requests per second, the share that failed, and quantiles in seconds, which are worked
    out of the parts when somebody asks for them.
    """

    __slots__ = ("_p95", "_p99", "_parts", "error_rate", "rate")

    def __init__(
        self, rate: float, error_rate: float, p95: float | None = None, p99: float | None = None, parts: Parts = ()
    ) -> None:
        self.rate = rate
        self.error_rate = error_rate
        self._p95 = p95
        self._p99 = p99
        self._parts = parts

    @property
    def p95(self) -> float:
        """Return the seconds below which 95 % of the requests stay."""
        if self._p95 is None:
            self._p95 = mixture_quantile(list(self._parts), 0.95)
        return self._p95

    @property
    def p99(self) -> float:
        """Return the seconds below which 99 % of the requests stay."""
        if self._p99 is None:
            self._p99 = mixture_quantile(list(self._parts), 0.99)
        return self._p99

    def __repr__(self) -> str:
        return f"ServiceFigures(rate={self.rate}, error_rate={self.error_rate}, p95={self.p95}, p99={self.p99})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ServiceFigures) and repr(self) == repr(other)

    __hash__ = None  # type: ignore[assignment]


class EdgeFigures:
    """One kind of call in one tick, per second; `own_p99` is the callee's own part of `p99`. The quantiles are worked
    out when somebody asks for them.
    """

    __slots__ = ("_own", "_own_p99", "_p99", "calls", "errors", "message", "parts")

    def __init__(
        self,
        calls: float,
        errors: float,
        p99: float | None = None,
        own_p99: float | None = None,
        message: str = "",
        parts: Parts = (),
        own: Parts = (),
    ) -> None:
        self.calls = calls
        self.errors = errors
        self.message = message
        self.parts = parts
        self._p99 = p99
        self._own_p99 = own_p99
        self._own = own

    @property
    def p99(self) -> float:
        """Return the seconds below which 99 % of the calls stay."""
        if self._p99 is None:
            self._p99 = mixture_quantile(list(self.parts), 0.99)
        return self._p99

    @property
    def own_p99(self) -> float:
        """Return the seconds below which 99 % of the callee's own times stay."""
        if self._own_p99 is None:
            self._own_p99 = min(mixture_quantile(list(self._own), 0.99), self.p99)
        return self._own_p99

    def __repr__(self) -> str:
        told = f"calls={self.calls}, errors={self.errors}, p99={self.p99}, own_p99={self.own_p99}"
        return f"EdgeFigures({told}, message={self.message!r}, parts={self.parts})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EdgeFigures) and repr(self) == repr(other)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class SpanFigures:
    """One operation of a service, as the service itself sees it, per second."""

    rate: float
    failed: float
    parts: Parts


@dataclass(frozen=True, slots=True)
class UseFigures:
    """One container in one tick."""

    namespace: str
    pod: str
    container: str
    cpu: float
    cpu_limit: float
    throttled: float
    memory: float
    memory_limit: float


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """A topic of a broker as one consumer group sees it: messages ever written, how many it has yet to take, and by
    how many consumers.
    """

    namespace: str
    broker: str
    topic: str
    group: str
    written: float
    lag: float
    members: int = 0


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """A datastore that answers: connections to it (`busy` of them at work), requests per second, bytes it holds, and
    how many it may hold (0: no bound of its own).
    """

    namespace: str
    name: str
    kind: str
    connections: float
    busy: float
    rate: float
    held: float
    limit: float = 0.0


@dataclass(frozen=True, slots=True)
class LinkFigures:
    """What one operation of a service asked of another service, per second; `mean` is in seconds."""

    calls: float
    errors: float
    mean: float
    message: str


Edge = tuple[str, str, str, str]
"""(namespace, caller, callee, operation)."""

Served = tuple[str, str, str]
"""(namespace, service, operation)."""

Link = tuple[str, str, str, str, str, str]
"""(namespace, caller, its operation, callee, its operation, protocol); a user's caller and operation are empty."""


@dataclass(frozen=True, slots=True)
class Tick:
    """All figures of one tick; `at` is its end. `users` are requests and failures per second as those who make the load
    see them, by (namespace, operation).
    """

    at: float
    seconds: float
    services: dict[tuple[str, str], ServiceFigures]
    edges: dict[Edge, EdgeFigures]
    use: tuple[UseFigures, ...]
    queues: tuple[QueueFigures, ...] = ()
    spans: dict[Served, SpanFigures] = field(default_factory=dict)
    links: dict[Link, LinkFigures] = field(default_factory=dict)
    users: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    stores: tuple[StoreFigures, ...] = ()
