"""The machinery under the controllers: what one looks like, the pod index, and timers kept as plain data."""

from __future__ import annotations

import copy
import heapq
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from stratus.kit.clock import Timer, VirtualClock
from stratus.sim.controllers.common import key_of, matches
from stratus.sim.store import Change, Obj

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane

Key = tuple[str, str]
#: Seconds after a first failure, and at most, until a key is tried again.
AGAIN_FIRST, AGAIN_MOST = 0.005, 1000.0


class Controller:
    """One reconcile loop: changes become keys, keys become writes.

    `state` holds whatever must survive between two passes, as plain data: a fork copies it.
    """

    name: ClassVar[str] = ""
    component: ClassVar[str] = ""
    resources: ClassVar[tuple[str, ...]] = ()

    def __init__(self, control: ControlPlane) -> None:
        self.control = control
        self.store = control.store
        self.clock = control.clock
        self.state: dict[Any, Any] = {}

    @classmethod
    def minds(cls, change: str, owner: str, claims: bool) -> bool:
        """Tell whether a change of a pod can matter at all; `on_change` is called only if so.

        Args:
            change: ADDED, MODIFIED or DELETED.
            owner: kind of the pod's controller, before and after the change; empty for none.
            claims: whether it has volumes that are claims.
        """
        return True

    def on_change(self, change: Change) -> None:
        """Turn a change of one of `resources` into keys; the default takes the object itself."""
        self.enqueue(key_of(change.object))

    def sync(self, key: Key) -> None:
        """Bring what the key names one step nearer to its spec."""
        raise NotImplementedError

    def on_timer(self, key: Key, tag: str) -> None:
        """A timer set with `wake` has gone off; the default reconciles its key."""
        self.enqueue(key)

    def enqueue(self, key: Key) -> None:
        """Have `key` reconciled in the current drain."""
        self.control.enqueue(self.name, key)

    def wake(self, key: Key, at: float, tag: str = "") -> None:
        """Call `on_timer(key, tag)` at a moment; a later call for the same key and tag replaces this one."""
        self.control.timers.set((self.name, key, tag), at)

    def must_wait(self, key: Key) -> bool:
        """Tell whether what failed for a key is not to be tried again yet."""
        return bool(self.clock.now() < self.state.get((key, "again"), (0, 0.0))[1])

    def again(self, key: Key) -> None:
        """Something failed for a key: try again after 5 ms, doubled each time, up to a quarter of an hour and more."""
        failures = self.state.get((key, "again"), (0, 0.0))[0] + 1
        due = self.clock.now() + min(AGAIN_MOST, AGAIN_FIRST * 2.0 ** (failures - 1))
        self.state[key, "again"] = (failures, due)
        self.wake(key, due, "again")

    def went_well(self, key: Key) -> None:
        """Nothing failed for a key this time."""
        self.state.pop((key, "again"), None)

    def event(self, obj: Obj, type_: str, reason: str, message: str) -> None:
        """Record an event about an object in this controller's name."""
        self.control.events.record(obj, type_, reason, message, self.component)

    def adopt_state(self, other: Controller) -> None:
        """Become a copy of another cluster's controller of the same class."""
        self.state = copy.deepcopy(other.state)


class Timers:
    """Named moments on a virtual clock, as data: the clock only ever holds one call, for the earliest."""

    def __init__(self, clock: VirtualClock, fire: Callable[[tuple[str, Key, str]], None]) -> None:
        self._clock = clock
        self._fire = fire
        self._heap: list[tuple[float, int, tuple[str, Key, str]]] = []
        self._current: dict[tuple[str, Key, str], int] = {}
        self._serial = 0
        self._armed: Timer | None = None
        self._running = False

    def set(self, name: tuple[str, Key, str], at: float) -> None:
        """Let `name` fire at `at` instead of whenever it was set for."""
        self._serial += 1
        self._current[name] = self._serial
        heapq.heappush(self._heap, (at, self._serial, name))
        if not self._running:
            self._arm()

    def cancel(self, name: tuple[str, Key, str]) -> None:
        """Forget a moment; harmless when it was not set."""
        self._current.pop(name, None)

    def cancel_key(self, controller: str, key: Key, tags: Iterable[str]) -> None:
        """Forget several moments of one key."""
        for tag in tags:
            self._current.pop((controller, key, tag), None)

    def copy_from(self, other: Timers) -> None:
        """Take over another clock's moments and arm the earliest here."""
        live = [entry for entry in other._heap if other._current.get(entry[2]) == entry[1]]
        self._heap = sorted(live)
        self._current = dict(other._current)
        self._serial = other._serial
        self._arm()

    def __len__(self) -> int:
        return len(self._current)

    def __contains__(self, name: object) -> bool:
        return name in self._current

    def _arm(self) -> None:
        while self._heap and self._current.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)
        if not self._heap:
            return
        at = self._heap[0][0]
        if self._armed is not None and not self._armed.cancelled:
            if self._armed.at <= at:
                return
            self._armed.cancel()
        self._armed = self._clock.call_at(at, self._run)

    def _run(self) -> None:
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None
        now = self._clock.now()
        # What is set meanwhile is armed when all that is due has been told.
        self._running = True
        try:
            while self._heap and self._heap[0][0] <= now:
                _, serial, name = heapq.heappop(self._heap)
                if self._current.get(name) != serial:
                    continue
                del self._current[name]
                self._fire(name)
        finally:
            self._running = False
            self._arm()

    def stop(self) -> None:
        """Take the call off the clock (the cluster is closed)."""
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None
        self._heap.clear()
        self._current.clear()


class PodIndex:
    """Pods by node, by namespace and by label, kept up to date change by change."""

    def __init__(self) -> None:
        self.by_node: dict[str, dict[Key, Obj]] = {}
        self._by_namespace: dict[str, dict[str, Obj]] = {}
        self._by_label: dict[tuple[str, str, str], dict[str, Obj]] = {}
        self._by_ip: dict[str, Key] = {}
        #: Counts the changes of the pods of a node, so that sums over them can be kept.
        self.versions: dict[str, int] = {}
        #: Pods that keep others away from where they are (required anti-affinity).
        self.repelling: dict[Key, Obj] = {}

    def apply(self, change: Change) -> None:
        """Follow one change of a pod."""
        before, after = change.previous, change.object
        if change.type == "MODIFIED" and before is not None and self._replaced(before, after):
            return
        if before is not None:
            self._drop(before)
        if change.type != "DELETED":
            self.put(after)

    def _replaced(self, before: Obj, after: Obj) -> bool:
        """Put a version in the place of the one before, where it is found by the same marks; else say no."""
        old, new = before.get("status", {}), after.get("status", {})
        node = after.get("spec", {}).get("nodeName")
        if (
            before.get("spec") is not after.get("spec")
            or before["metadata"].get("labels") != after["metadata"].get("labels")
            or old.get("podIP") != new.get("podIP")
            or old.get("phase") != new.get("phase")
        ):
            return False
        namespace, name = key = key_of(after)
        if node:
            # As a removal and an entry would leave it: at the end of its node, two versions on.
            pods = self.by_node.setdefault(node, {})
            pods.pop(key, None)
            pods[key] = after
            self.versions[node] = self.versions.get(node, 0) + 2
            if key in self.repelling:
                self.repelling.pop(key)
                self.repelling[key] = after
        self._by_namespace.setdefault(namespace, {})[name] = after
        for label, value in (after["metadata"].get("labels") or {}).items():
            self._by_label.setdefault((namespace, label, value), {})[name] = after
        return True

    def put(self, pod: Obj) -> None:
        """Enter a pod."""
        namespace, name = key_of(pod)
        node = pod.get("spec", {}).get("nodeName")
        if node:
            self.by_node.setdefault(node, {})[namespace, name] = pod
            self.versions[node] = self.versions.get(node, 0) + 1
            if _repels(pod):
                self.repelling[namespace, name] = pod
        self._by_namespace.setdefault(namespace, {})[name] = pod
        for label, value in (pod["metadata"].get("labels") or {}).items():
            self._by_label.setdefault((namespace, label, value), {})[name] = pod
        ip = pod.get("status", {}).get("podIP")
        if ip and pod["status"].get("phase") in ("Pending", "Running") and not pod["spec"].get("hostNetwork"):
            self._by_ip[ip] = (namespace, name)

    def _drop(self, pod: Obj) -> None:
        namespace, name = key_of(pod)
        node = pod.get("spec", {}).get("nodeName")
        if node:
            self.by_node.get(node, {}).pop((namespace, name), None)
            self.versions[node] = self.versions.get(node, 0) + 1
            self.repelling.pop((namespace, name), None)
        self._by_namespace.get(namespace, {}).pop(name, None)
        for label, value in (pod["metadata"].get("labels") or {}).items():
            self._by_label.get((namespace, label, value), {}).pop(name, None)
        ip = pod.get("status", {}).get("podIP")
        if ip and self._by_ip.get(ip) == (namespace, name):
            del self._by_ip[ip]

    def in_namespace(self, namespace: str) -> list[Obj]:
        """Return the pods of a namespace, sorted by name."""
        return _sorted(self._by_namespace.get(namespace, {}))

    def select(self, namespace: str, selector: Obj | None) -> list[Obj]:
        """Return the pods a LabelSelector picks, sorted by name; the cost is that of the rarest label asked for."""
        if selector is None:
            return []
        wanted = selector.get("matchLabels") or {}
        if not wanted:
            pool = self._by_namespace.get(namespace, {})
        else:
            pools = [self._by_label.get((namespace, label, value), {}) for label, value in wanted.items()]
            pool = min(pools, key=len)
        if not pool:
            return []
        if len(wanted) == 1 and not selector.get("matchExpressions"):
            return _sorted(pool)
        return [p for p in _sorted(pool) if matches(selector, p["metadata"].get("labels"))]

    def select_labels(self, namespace: str, labels: dict[str, str] | None) -> list[Obj]:
        """Return the pods a Service selector picks (none for an empty one), sorted by name."""
        return self.select(namespace, {"matchLabels": labels}) if labels else []

    def by_ip(self, ip: str) -> Key | None:
        """Return the key of the pod that has an address."""
        return self._by_ip.get(ip)


def _repels(pod: Obj) -> bool:
    anti = (pod["spec"].get("affinity") or {}).get("podAntiAffinity") or {}
    return bool(anti.get("requiredDuringSchedulingIgnoredDuringExecution"))


def _sorted(pool: dict[str, Obj]) -> list[Obj]:
    return [pool[name] for name in sorted(pool)]
