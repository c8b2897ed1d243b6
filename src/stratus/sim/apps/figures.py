"""What one tick of traffic comes to: per service and operation, per kind of call, and per container."""

from __future__ import annotations

from dataclasses import dataclass, field

Parts = tuple[tuple[float, tuple[float, float]], ...]
"""How long requests took: (requests per second, (mean, variance)), by how they ended."""


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """One service in one tick: requests per second, the share that failed, and quantiles in seconds."""

    rate: float
    error_rate: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class EdgeFigures:
    """One kind of call in one tick, per second."""

    calls: float
    errors: float
    p99: float
    own_p99: float
    message: str
    parts: Parts = ()


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
