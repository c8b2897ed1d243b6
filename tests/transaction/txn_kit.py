"""Engines on the fake cluster with a scripted health, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from txn_fake import FakeCluster

from stratus.kit.clock import VirtualClock
from stratus.model.health import HealthVector, ServiceHealth
from stratus.settings import HealthSettings, Settings
from stratus.transaction.engine import TransactionEngine
from stratus.transaction.essence import essence
from stratus.transaction.memory import MemoryJournal
from stratus.transaction.sqlite import SqliteJournal
from stratus.transaction.verdict import Conditions

SETTINGS = Settings(health=HealthSettings(samples=2, sample_interval=1.0, settle_min=0.0, settle_max=30.0, quiet=2.0))
PATIENT = SETTINGS.model_copy(update={"health": SETTINGS.health.model_copy(update={"settle_max": 300.0})})
INCIDENT = Conditions(services=("shop/web",))


class Died(BaseException):
    """A process that ends here and now."""


class ScriptedProbe:
    """Health as a test says: ill until the cluster satisfies `healed`."""

    def __init__(self, cluster: FakeCluster, healed: Any = lambda cluster: False) -> None:
        self.cluster, self.healed = cluster, healed
        self.looks, self.ran = 0, 0.0

    def sample(self, namespaces: tuple[str, ...] = ()) -> HealthVector:
        self.looks += 1
        good = self.healed(self.cluster)
        service = ServiceHealth(
            service="web", namespace="shop", availability=1.0 if good else 0.5, ready=2 if good else 1, desired=2,
            endpoints=2 if good else 1, crashing=0 if good else 1, score=0.5 if good else 0.1,
        )  # fmt: skip
        return HealthVector(at=self.cluster.clock.now(), services=(service,))

    def settled(self, namespaces: tuple[str, ...] = ()) -> bool:
        return True

    def patience(self, namespaces: tuple[str, ...] = ()) -> float:
        return self.ran


class Tripwire:
    """Notes every step; dies at the n-th."""

    def __init__(self, at: int | None = None) -> None:
        self.at, self.names = at, []

    def __call__(self, name: str) -> None:
        self.names.append(name)
        if self.at is not None and len(self.names) - 1 == self.at:
            raise Died(name)


def engine_on(
    cluster: FakeCluster,
    journal: SqliteJournal,
    *,
    identity: str = "engine-1",
    healed: Any = lambda cluster: False,
    tripwire: Any = lambda name: None,
    settings: Settings = SETTINGS,
    clock: Any = None,
    executor: Any = None,
) -> TransactionEngine:
    """Build an engine."""
    return TransactionEngine(
        reader=cluster,
        writer=cluster,
        journal=journal,
        clock=clock or cluster.clock,
        probe=ScriptedProbe(cluster, healed),
        settings=settings,
        identity=identity,
        tripwire=tripwire,
        executor=executor,
    )


def plain(cluster: FakeCluster) -> dict[Any, Any]:
    """Return what the cluster's objects are, without server-managed fields; leases apart."""
    return {key: essence(obj) for key, obj in cluster.snapshot().items()}


def walked(tmp_path: Path | None = None) -> tuple[VirtualClock, FakeCluster, MemoryJournal]:
    """Build clock, cluster and a journal in memory."""
    clock = VirtualClock(1_767_600_000.0)
    return clock, FakeCluster(clock), MemoryJournal()


def fresh(tmp_path: Path, name: str = "journal.db") -> tuple[VirtualClock, FakeCluster, SqliteJournal]:
    """Build clock, cluster and journal for one of many runs in a test."""
    clock = VirtualClock(1_767_600_000.0)
    return clock, FakeCluster(clock), SqliteJournal(tmp_path / name)
