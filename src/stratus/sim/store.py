"""The objects of an embedded cluster: versioned, indexed, watched, and forked by sharing what nobody mutates."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

from stratus.errors import StratusError
from stratus.kit.clock import Clock, iso

Obj = dict[str, Any]
Key = tuple[str, str, str]
# Named here because inside Store the word `list` means its method.
Objs = list[Obj]
Owned = list[tuple[str, Obj]]
Changes = list["Change"]

#: Resources whose objects carry `metadata.generation`; a change of `spec` raises it.
GENERATED = frozenset(
    {
        "pods",
        "podtemplates",
        "replicationcontrollers",
        "deployments.apps",
        "replicasets.apps",
        "statefulsets.apps",
        "daemonsets.apps",
        "jobs.batch",
        "cronjobs.batch",
        "endpointslices.discovery.k8s.io",
        "ingresses.networking.k8s.io",
        "ingressclasses.networking.k8s.io",
        "networkpolicies.networking.k8s.io",
        "poddisruptionbudgets.policy",
        "priorityclasses.scheduling.k8s.io",
        "customresourcedefinitions.apiextensions.k8s.io",
        "runtimeclasses.node.k8s.io",
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "validatingadmissionpolicies.admissionregistration.k8s.io",
        "mutatingadmissionpolicies.admissionregistration.k8s.io",
    }
)

#: Resources whose ownerless objects a controller with a matching selector takes over.
ADOPTABLE = frozenset({"replicasets.apps", "pods"})

#: Generated resources without a `spec`: any change of content outside metadata and status counts.
_WITHOUT_SPEC = frozenset(
    {
        "endpointslices.discovery.k8s.io",
        "priorityclasses.scheduling.k8s.io",
        "runtimeclasses.node.k8s.io",
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    }
)

Reason = Literal["AlreadyExists", "Conflict", "NotFound"]


class StoreConflict(StratusError):
    """A write does not fit what is stored.

    Attributes:
        reason: `AlreadyExists` (create), `Conflict` (another version is stored) or `NotFound` (update of nothing).
    """

    def __init__(self, reason: Reason, key: Key) -> None:
        resource, namespace, name = key
        hint = {
            "AlreadyExists": "it exists already; update it instead",
            "Conflict": "it has another resourceVersion by now; read it again and repeat the change",
            "NotFound": "it is not there; create it first",
        }[reason]
        super().__init__(f"{resource} {namespace + '/' if namespace else ''}{name}: {hint}")
        self.reason: Reason = reason
        self.key = key


class StoreExpired(StratusError):
    """The log of changes no longer reaches back to the version asked for; list again."""

    def __init__(self, rv: int, oldest: int) -> None:
        super().__init__(
            f"changes since version {rv} are no longer kept (oldest is {oldest}); list again and go on from there"
        )
        self.rv = rv
        self.oldest = oldest


class Change(NamedTuple):
    """One step of one object; `previous` is None for ADDED, `object` of DELETED is its last state at version `rv`."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    resource: str
    object: Obj
    previous: Obj | None
    rv: int


def _wants_otherwise(resource: str, obj: Obj, previous: Obj) -> bool:
    """Tell whether two versions of an object differ in what is wanted, which is what generations count."""
    if resource in _WITHOUT_SPEC:
        return _less(obj, "metadata", "status") != _less(previous, "metadata", "status")
    spec, before = obj.get("spec"), previous.get("spec")
    if spec is before:
        return False
    if resource == "pods" and isinstance(spec, dict) and isinstance(before, dict):
        # Being bound to a node is no change of what is wanted.
        return _less(spec, "nodeName") != _less(before, "nodeName")
    return bool(spec != before)


def _less(value: Obj, *fields: str) -> Obj:
    return {k: v for k, v in value.items() if k not in fields}


def _removable(resource: str, obj: Obj) -> bool:
    """Tell whether a stored object marked for deletion has nothing left that holds it."""
    meta = obj["metadata"]
    if "deletionTimestamp" not in meta or meta.get("finalizers") or meta.get("deletionGracePeriodSeconds"):
        return False
    return not (resource == "namespaces" and obj.get("spec", {}).get("finalizers"))


class Store:
    """Objects of one cluster by (resource, namespace, name); cluster-scoped objects have the namespace "".

    A stored dict is never changed after it went in: every write replaces it, so readers and forks may hold it
    without copying. Whoever changes an object copies the parts that differ and hands the result to `update`.
    """

    def __init__(self, clock: Clock, rng: random.Random, *, log_limit: int = 4096) -> None:
        self.clock = clock
        self.rng = rng
        self.rv = 1
        self._log_limit = log_limit
        self._objects: dict[str, dict[str, dict[str, Obj]]] = {}
        self._sorted: dict[str, list[Obj] | None] = {}
        self._sorted_in: dict[tuple[str, str], list[Obj]] = {}
        self._owned: dict[str, dict[Key, None]] = {}
        #: The same in order, until something of it changes.
        self._owned_order: dict[str, list[Key]] = {}
        #: Names of objects that no controller owns, of the resources that controllers adopt.
        self._free: dict[tuple[str, str], dict[str, None]] = {}
        self._log: dict[str, list[Change]] = {}
        self._dropped: dict[str, int] = {}
        self._subscribers: list[tuple[Callable[[Change], None], frozenset[str]]] = []
        self._listeners: dict[str, tuple[Callable[[Change], None], ...]] = {}
        self._pending: deque[Change] = deque()
        self._publishing = False

    # reading

    def get(self, resource: str, namespace: str, name: str) -> Obj | None:
        """Return the stored object (read only), or None."""
        try:
            return self._objects[resource][namespace][name]
        except KeyError:
            return None

    def list(self, resource: str, namespace: str | None = None) -> Objs:
        """Return the stored objects (read only) in order of (namespace, name); None means all namespaces."""
        spaces = self._objects.get(resource)
        if not spaces:
            return []
        if namespace is None:
            cached = self._sorted.get(resource)
            if cached is None:
                cached = [obj for space in sorted(spaces) for obj in self._in_namespace(resource, space)]
                self._sorted[resource] = cached
            return list(cached)
        return list(self._in_namespace(resource, namespace))

    def _in_namespace(self, resource: str, namespace: str) -> Objs:
        cached = self._sorted_in.get((resource, namespace))
        if cached is None:
            names = self._objects.get(resource, {}).get(namespace, {})
            cached = [names[name] for name in sorted(names)]
            self._sorted_in[resource, namespace] = cached
        return cached

    def resources(self) -> tuple[str, ...]:
        """Return the resources that hold at least one object, sorted."""
        return tuple(sorted(r for r, spaces in self._objects.items() if any(spaces.values())))

    def count(self, resource: str) -> int:
        """Return how many objects of a resource exist."""
        return sum(len(names) for names in self._objects.get(resource, {}).values())

    def owned_by(self, uid: str) -> Owned:
        """Return (resource, object) of everything with an ownerReference to `uid`, sorted by key."""
        order = self._owned_order.get(uid)
        if order is None:
            found = self._owned.get(uid)
            if not found:
                return []
            order = self._owned_order[uid] = sorted(found)
        objects = self._objects
        return [(key[0], objects[key[0]][key[1]][key[2]]) for key in order]

    def present(self, resource: str, objs: Iterable[Obj]) -> Objs:
        """Return the present versions of objects of one resource; those that are gone are left out."""
        spaces = self._objects.get(resource, {})
        metas = (obj["metadata"] for obj in objs)
        found = (spaces.get(meta.get("namespace", ""), {}).get(meta["name"]) for meta in metas)
        return [obj for obj in found if obj is not None]

    def without_controller(self, resource: str, namespace: str) -> Objs:
        """Return the objects of a namespace that no controller owns, sorted by name; for `ADOPTABLE` resources only."""
        names = self._free.get((resource, namespace))
        if not names:
            return []
        stored = self._objects[resource][namespace]
        return [stored[name] for name in sorted(names)]

    # writing

    def create(self, resource: str, obj: Obj) -> Obj:
        """Store a new object with fresh uid, creationTimestamp, resourceVersion and, where it applies, generation 1.

        A uid already set is kept, so that an API server can choose it before other fields depend on it.

        Raises:
            StoreConflict: `AlreadyExists`.
        """
        meta = dict(obj["metadata"])
        namespace, name = meta.get("namespace", ""), meta["name"]
        names = self._objects.setdefault(resource, {}).setdefault(namespace, {})
        if name in names:
            raise StoreConflict("AlreadyExists", (resource, namespace, name))
        if not meta.get("uid"):
            meta["uid"] = self.new_uid()
        meta["creationTimestamp"] = iso(self.clock.now())
        if resource in GENERATED or "generation" in meta:
            meta["generation"] = 1
        self.rv += 1
        meta["resourceVersion"] = str(self.rv)
        stored = {**obj, "metadata": meta}
        names[name] = stored
        self._index(resource, stored)
        self._publish(Change("ADDED", resource, stored, None, self.rv))
        return stored

    def load(self, resource: str, obj: Obj) -> None:
        """Enter an object as another cluster has it, with its own uid, version and times; nobody is told.

        For filling a store before anything follows it. Of two objects of one name the first stays.
        """
        meta = obj["metadata"]
        namespace, name = meta.get("namespace", ""), meta["name"]
        names = self._objects.setdefault(resource, {}).setdefault(namespace, {})
        if name in names:
            return
        names[name] = obj
        self._sorted[resource] = None
        self._sorted_in.pop((resource, namespace), None)
        self._index(resource, obj)
        version = str(meta.get("resourceVersion", ""))
        if version.isdigit():
            self.rv = max(self.rv, int(version))

    def update(self, resource: str, obj: Obj, *, expect_rv: str | None = None) -> Obj:
        """Replace an object; identical content changes nothing, not even the resourceVersion.

        uid and creationTimestamp stay as stored. A change of `spec` raises the generation. An object that is marked
        for deletion and by this write loses its last finalizer (or its grace period, for a pod) is removed.

        Raises:
            StoreConflict: `NotFound`, or `Conflict` when `expect_rv` is not the stored version.
        """
        given = obj["metadata"]
        namespace, name = given.get("namespace", ""), given["name"]
        previous = self.get(resource, namespace, name)
        if previous is None:
            raise StoreConflict("NotFound", (resource, namespace, name))
        old = previous["metadata"]
        if expect_rv and expect_rv != old["resourceVersion"]:
            raise StoreConflict("Conflict", (resource, namespace, name))
        if given is old and obj.get("spec") is previous.get("spec") and resource not in _WITHOUT_SPEC:
            return self._update_status(resource, obj, previous)
        meta = dict(given)
        for field in ("uid", "creationTimestamp", "resourceVersion"):
            meta[field] = old[field]
        if "generation" in old:
            grown = _wants_otherwise(resource, obj, previous)
            meta["generation"] = max(meta.get("generation") or 0, old["generation"] + grown)
        stored = {**obj, "metadata": meta}
        if stored == previous:
            return previous
        if _removable(resource, stored):
            return self._remove(resource, stored, previous)
        self.rv += 1
        meta["resourceVersion"] = str(self.rv)
        self._objects[resource][namespace][name] = stored
        if old.get("ownerReferences") != meta.get("ownerReferences"):
            self._unindex(resource, previous)
            self._index(resource, stored)
        self._publish(Change("MODIFIED", resource, stored, previous, self.rv))
        return stored

    def _update_status(self, resource: str, obj: Obj, previous: Obj) -> Obj:
        """Replace an object by one that shares metadata and spec with it, as most writes of controllers do."""
        if obj == previous:
            return previous
        self.rv += 1
        meta = {**previous["metadata"], "resourceVersion": str(self.rv)}
        stored = {**obj, "metadata": meta}
        self._objects[resource][meta.get("namespace", "")][meta["name"]] = stored
        self._publish(Change("MODIFIED", resource, stored, previous, self.rv))
        return stored

    def delete(self, resource: str, namespace: str, name: str) -> Obj | None:
        """Remove an object at once, whatever finalizers say; return its last state, or None when it is not there."""
        previous = self.get(resource, namespace, name)
        return None if previous is None else self._remove(resource, previous, previous)

    def _remove(self, resource: str, last: Obj, previous: Obj) -> Obj:
        meta = dict(last["metadata"])
        self.rv += 1
        meta["resourceVersion"] = str(self.rv)
        gone = {**last, "metadata": meta}
        del self._objects[resource][meta.get("namespace", "")][meta["name"]]
        self._unindex(resource, previous)
        self._publish(Change("DELETED", resource, gone, previous, self.rv))
        return gone

    def new_uid(self) -> str:
        """Draw the next uid from the cluster's generator."""
        # A UUID of version 4 and variant 1, written down without the detour over a UUID object.
        number = self.rng.getrandbits(128) & ~(0xF000 << 64 | 0xC000 << 48) | 4 << 76 | 0x8000 << 48
        digits = f"{number:032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    # watching

    def subscribe(self, fn: Callable[[Change], None], *resources: str) -> Callable[[], None]:
        """Call `fn` after each change, in the order of versions; the returned function ends that.

        What a subscriber itself writes is told when all have heard of the change it answers.

        Args:
            resources: those it wants to hear of; none: all.
        """
        entry = (fn, frozenset(resources))
        self._subscribers.append(entry)
        self._listeners.clear()

        def end() -> None:
            if entry in self._subscribers:
                self._subscribers.remove(entry)
                self._listeners.clear()

        return end

    def changes_since(self, rv: int, resource: str) -> Changes:
        """Return the changes of a resource after version `rv`, oldest first.

        Raises:
            StoreExpired: when the bounded log no longer holds all of them.
        """
        dropped = self._dropped.get(resource, 0)
        if rv < dropped:
            raise StoreExpired(rv, dropped)
        log = self._log.get(resource, [])
        return log[bisect_right(log, rv, key=lambda change: change.rv) :]

    def expire(self, resource: str | None = None) -> None:
        """Forget the log of changes (of one resource or of all), as a compaction does."""
        for name in [resource] if resource else sorted(self._log):
            if self._log.get(name):
                self._dropped[name] = self._log[name][-1].rv
                self._log[name] = []

    def fork(self, clock: Clock, rng: random.Random) -> Store:
        """Return an independent store with the same content and log; objects are shared, subscribers are not."""
        twin = Store(clock, rng, log_limit=self._log_limit)
        twin.rv = self.rv
        twin._objects = {r: {ns: dict(names) for ns, names in spaces.items()} for r, spaces in self._objects.items()}
        twin._sorted = dict(self._sorted)
        twin._sorted_in = dict(self._sorted_in)
        twin._owned = {uid: dict(keys) for uid, keys in self._owned.items()}
        twin._free = {place: dict(names) for place, names in self._free.items()}
        twin._log = {r: list(log) for r, log in self._log.items()}
        twin._dropped = dict(self._dropped)
        return twin

    # inside

    def _publish(self, change: Change) -> None:
        namespace = change.object["metadata"].get("namespace", "")
        self._sorted[change.resource] = None
        # Cached lists are replaced, never edited: a fork may share them.
        self._sorted_in.pop((change.resource, namespace), None)
        log = self._log.setdefault(change.resource, [])
        log.append(change)
        if len(log) >= 2 * self._log_limit:
            cut = len(log) - self._log_limit
            self._dropped[change.resource] = log[cut - 1].rv
            del log[:cut]
        if self._publishing:
            # A subscriber that writes must not let the others see its change before the one it answers.
            self._pending.append(change)
            return
        self._publishing = True
        told = change
        try:
            while True:
                listeners = self._listeners.get(told.resource)
                if listeners is None:
                    listeners = tuple(fn for fn, wanted in self._subscribers if not wanted or told.resource in wanted)
                    self._listeners[told.resource] = listeners
                for fn in listeners:
                    fn(told)
                if not self._pending:
                    break
                told = self._pending.popleft()
        finally:
            self._publishing = False
            self._pending.clear()

    @staticmethod
    def _owner_uids(obj: Obj) -> Iterator[str]:
        for ref in obj["metadata"].get("ownerReferences") or ():
            if ref.get("uid"):
                yield ref["uid"]

    def _index(self, resource: str, obj: Obj) -> None:
        meta = obj["metadata"]
        for uid in self._owner_uids(obj):
            self._owned.setdefault(uid, {})[resource, meta.get("namespace", ""), meta["name"]] = None
            self._owned_order.pop(uid, None)
        if resource in ADOPTABLE and not any(ref.get("controller") for ref in meta.get("ownerReferences") or ()):
            self._free.setdefault((resource, meta.get("namespace", "")), {})[meta["name"]] = None

    def _unindex(self, resource: str, obj: Obj) -> None:
        meta = obj["metadata"]
        for uid in self._owner_uids(obj):
            keys = self._owned.get(uid, {})
            keys.pop((resource, meta.get("namespace", ""), meta["name"]), None)
            self._owned_order.pop(uid, None)
            if not keys:
                self._owned.pop(uid, None)
        if resource in ADOPTABLE:
            self._free.get((resource, meta.get("namespace", "")), {}).pop(meta["name"], None)
