"""What the exporters beside datastores tell: whether each answers, connections, memory, requests."""

from __future__ import annotations

import math

from stratus.sim.apps.figures import StoreFigures, Tick
from stratus.sim.telemetry.samples import LabelKey, Sample

#: Connections that a PostgreSQL takes at most when nothing else is said.
_MOST = 100
Place = tuple[str, str, str]
"""(namespace, name, kind)."""


class Stores:
    """All datastores that were ever seen to answer; one that no longer does is down."""

    def __init__(self) -> None:
        self.seen: dict[Place, StoreFigures | None] = {}
        self.served: dict[Place, float] = {}

    def copy(self) -> Stores:
        """Return an independent copy."""
        twin = Stores()
        twin.seen, twin.served = dict(self.seen), dict(self.served)
        return twin

    def add(self, tick: Tick) -> None:
        """Take in one tick."""
        self.seen = dict.fromkeys(self.seen)
        for one in tick.stores:
            place = (one.namespace, one.name, one.kind)
            self.seen[place] = one
            self.served[place] = self.served.get(place, 0.0) + one.rate * tick.seconds

    def samples(self) -> list[Sample]:
        """Return all samples."""
        found: list[Sample] = []
        for place, now in self.seen.items():
            namespace, name, kind = place
            labels: LabelKey = (("namespace", namespace), ("service", name))
            head = {"redis": "redis", "valkey": "redis", "postgresql": "pg", "mongodb": "mongodb"}.get(kind, kind)
            found.append((f"{head}_up", labels, float(now is not None)))
            if now is None:
                continue
            served = math.floor(self.served[place] + 0.5)
            found += _told(head, labels, now, served)
        return found


def _told(head: str, labels: LabelKey, now: StoreFigures, served: float) -> list[Sample]:
    """Return what an exporter tells of a server that answers; servers know more than `redis_up`, but all know this."""
    if head == "redis":
        return [
            ("redis_connected_clients", labels, now.connections),
            ("redis_memory_used_bytes", labels, math.floor(now.held)),
            ("redis_memory_max_bytes", labels, now.limit),
            ("redis_commands_processed_total", labels, served),
        ]
    if head == "pg":
        idle = max(now.connections - now.busy, 0.0)
        return [
            ("pg_stat_activity_count", tuple(sorted((*labels, ("state", "active")))), min(now.busy, now.connections)),
            ("pg_stat_activity_count", tuple(sorted((*labels, ("state", "idle")))), idle),
            ("pg_settings_max_connections", labels, float(_MOST)),
            ("pg_stat_database_xact_commit", labels, served),
        ]
    if head == "mongodb":
        return [
            ("mongodb_connections", tuple(sorted((*labels, ("state", "current")))), now.connections),
            ("mongodb_op_counters_total", tuple(sorted((*labels, ("type", "command")))), served),
        ]
    return [
        (f"{head}_current_connections", labels, now.connections),
        (f"{head}_current_bytes", labels, math.floor(now.held)),
        (f"{head}_commands_total", labels, served),
    ]
