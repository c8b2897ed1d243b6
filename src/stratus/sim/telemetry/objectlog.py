"""Remembers which version of which object was there when, so that telemetry of the past can be worked out on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from stratus.sim.store import Change, Key, Obj, Store
from stratus.sim.telemetry.history import KEPT

#: Resources that metrics are made of.
WATCHED = frozenset(
    {
        "pods", "nodes", "namespaces", "services", "endpoints", "persistentvolumeclaims", "persistentvolumes",
        "resourcequotas", "configmaps", "deployments.apps", "replicasets.apps", "statefulsets.apps",
        "daemonsets.apps", "jobs.batch", "cronjobs.batch", "horizontalpodautoscalers.autoscaling",
        "poddisruptionbudgets.policy", "networkpolicies.networking.k8s.io", "ingresses.networking.k8s.io",
    }
)  # fmt: skip
#: Changes kept at most.
MOST = 20_000


class Version(NamedTuple):
    """From `at` on, an object was `now` (None: gone), and `before` until then."""

    at: float
    key: Key
    before: Obj | None
    now: Obj | None


class ObjectLog:
    """Changes of watched objects in order of time. Writing one down is all that a change costs.

    Attributes:
        dropped: how many of the oldest are no longer kept.
    """

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self.store = store
        self._now = now
        self._changes: list[Version] = []
        self.dropped = 0
        self._unsubscribe = store.subscribe(self._on_change, *WATCHED)

    def close(self) -> None:
        """Stop following the store."""
        self._unsubscribe()

    def take_over(self, other: ObjectLog) -> None:
        """Begin with what another log holds, for a copy of its cluster."""
        self._changes = list(other._changes)
        self.dropped = other.dropped

    def _on_change(self, change: Change) -> None:
        now = self._now()
        meta = change.object["metadata"]
        key = (change.resource, meta.get("namespace", ""), meta["name"])
        gone = change.type == "DELETED"
        before = change.object if gone else change.previous
        self._changes.append(Version(now, key, before, None if gone else change.object))
        if len(self._changes) > MOST + MOST // 10 or self._changes[0].at < now - 1.2 * KEPT:
            self._trim()

    def _trim(self) -> None:
        oldest = self._now() - KEPT
        cut = max(len(self._changes) - MOST, 0)
        while cut < len(self._changes) and self._changes[cut].at < oldest:
            cut += 1
        del self._changes[:cut]
        self.dropped += cut

    @property
    def length(self) -> int:
        """Return how many changes there ever were."""
        return self.dropped + len(self._changes)

    def since(self, number: int) -> list[Version]:
        """Return the changes after the first `number` ones, as far as they are kept."""
        return self._changes[max(number - self.dropped, 0) :]

    def first(self) -> Iterator[tuple[Key, Obj]]:
        """Return the objects as they were before the oldest change kept."""
        before: dict[Key, Obj | None] = {}
        for one in self._changes:
            before.setdefault(one.key, one.before)
        for resource in sorted(WATCHED):
            for obj in self.store.list(resource):
                meta = obj["metadata"]
                key = (resource, meta.get("namespace", ""), meta["name"])
                if key not in before:
                    yield key, obj
        for key, found in before.items():
            if found is not None:
                yield key, found
