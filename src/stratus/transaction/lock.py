"""The writer's lock: one Kubernetes Lease per scope, with a fencing token that is checked before every write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from stratus.cluster.base import ClusterReader
from stratus.cluster.writer import ClusterWriter
from stratus.errors import AlreadyExists, ClusterError, Conflict, InDoubt, LeaseLost, NotFound, UnreachableError
from stratus.kit.clock import Clock, parse_iso
from stratus.model.actions import ApiWrite
from stratus.model.base import Json
from stratus.model.refs import ObjectRef
from stratus.settings import Settings
from stratus.transaction.essence import version

API_VERSION = "coordination.k8s.io/v1"
LEASE_NAME = "stratus-writer"
CLUSTER_SCOPE = "cluster"
"""Lock scope of objects that have no namespace."""


@dataclass(frozen=True)
class Token:
    """What proves that the lock is still ours: nobody else has written the Lease since.

    Attributes:
        transitions: how often the Lease has changed hands.
        renewed: the `renewTime` we wrote last, as text.
        version: the Lease's resourceVersion after that.
        at: the same moment in epoch seconds.
    """

    transitions: int
    renewed: str
    version: str
    at: float


class LeaseLock:
    """The lock of one scope.

    A Lease whose holder is silent for longer than its lifetime is taken over with the resourceVersion it was read
    with, so of several who try exactly one succeeds. Each holding is told apart by the transition count, also from an
    earlier life with the same identity.

    Args:
        namespace, name: where the Lease stands.
        identity: name of this writer; should be unique to the process.
        seconds: lifetime of the Lease without renewal.
    """

    def __init__(
        self,
        *,
        reader: ClusterReader,
        writer: ClusterWriter,
        clock: Clock,
        namespace: str,
        identity: str,
        seconds: float,
        name: str = LEASE_NAME,
    ) -> None:
        self._reader, self._writer, self._clock = reader, writer, clock
        self._identity, self._seconds = identity, seconds
        self.ref = ObjectRef(api_version=API_VERSION, kind="Lease", namespace=namespace, name=name)
        self.token: Token | None = None

    @property
    def held(self) -> bool:
        """Whether we hold the lock as far as we know; only `check` asks the cluster."""
        return self.token is not None

    def acquire(self, wait: float = 0.0) -> None:
        """Take the lock, waiting up to `wait` seconds for its holder to release it or to fall silent.

        Raises:
            LeaseLost: somebody else holds it and is alive.
        """
        if self.token is not None:
            self.check()
            return
        deadline = self._clock.now() + wait
        seen, since = "", 0.0
        while True:
            lease = self._reader.get(self.ref)
            if version(lease) != seen:
                seen, since = version(lease), self._clock.now()
            left = _remaining(lease, since, self._clock.now())
            if left <= 0 and self._take(lease):
                return
            pause = max(min(left, deadline - self._clock.now()), 0.0)
            if pause <= 0 and self._clock.now() >= deadline:
                raise LeaseLost(
                    f"{holder(lease) or 'another writer'} holds the lock {self.ref}; exactly one engine may write "
                    "there: wait until it has finished, or stop it"
                )
            self._clock.sleep(pause + 0.001)

    def check(self) -> None:
        """Make sure that the lock is ours now and for two thirds of its life at least, renewing it where needed.

        Raises:
            LeaseLost: it is not ours any more, or the API is too slow to keep it; nothing may be written.
        """
        for _ in range(3):
            self._check()
            # Asking takes time, too: what was true when the server said so may be long ago.
            if self.token is not None and self._clock.now() - self.token.at <= self._seconds / 3:
                return
        raise LeaseLost(
            f"the API answers too slowly to keep the lock {self.ref} of {self._seconds:g} s; nothing more is written: "
            "raise lease_seconds, or try again when the API is faster"
        )

    def _check(self) -> None:
        token = self.token
        if token is None:
            raise LeaseLost(f"the lock {self.ref} is not held; acquire it before writing")
        lease = self._reader.get(self.ref)
        spec = (lease or {}).get("spec") or {}
        ours = (
            holder(lease) == self._identity
            and int(spec.get("leaseTransitions") or 0) == token.transitions
            and _moment(spec.get("renewTime")) == token.at
        )
        if not ours:
            self.token = None
            raise LeaseLost(
                f"the lock {self.ref} was taken over by {holder(lease) or 'nobody (it is gone)'}; this engine has "
                "stopped before its next write and leaves the transaction to the new holder"
            )
        age = self._clock.now() - token.at
        if age < 0 or age > self._seconds / 3:
            assert lease is not None
            if not self._put(lease, token.transitions):
                self.token = None
                raise LeaseLost(f"the lock {self.ref} was written by somebody else while it was being renewed")

    def release(self) -> None:
        """Give the lock back if it is still ours; when that fails it runs out by itself."""
        try:
            self.check()
            lease = self._reader.get(self.ref)
            if lease is not None and self.token is not None and version(lease) == self.token.version:
                spec = {k: v for k, v in lease["spec"].items() if k != "holderIdentity"}
                self._writer.write(self._request("PUT", {**lease, "spec": spec}, version(lease)))
        except (LeaseLost, ClusterError, UnreachableError):
            pass
        self.token = None

    def _take(self, lease: Json | None) -> bool:
        if lease is None:
            return self._put(None, 0)
        return self._put(lease, int((lease.get("spec") or {}).get("leaseTransitions") or 0) + 1)

    def _put(self, lease: Json | None, transitions: int) -> bool:
        """Write our name and a new moment; False when somebody else was quicker."""
        last = self.token.at if self.token else 0.0
        # Never the same moment twice: a write that changes nothing keeps the resourceVersion and would lock nobody out.
        at = round(max(self._clock.now(), last + 1e-6), 6)
        spec: Json = {
            **((lease or {}).get("spec") or {}),
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._seconds)),
            "leaseTransitions": transitions,
            "renewTime": _micro(at),
        }
        if self.token is None:
            spec["acquireTime"] = _micro(at)
        if lease is None:
            meta = {"name": self.ref.name, "namespace": self.ref.namespace}
            body: Json = {"apiVersion": API_VERSION, "kind": "Lease", "metadata": meta, "spec": spec}
            request = self._request("POST", body, "")
        else:
            request = self._request("PUT", {**lease, "spec": spec}, version(lease))
        try:
            answer = self._writer.write(request)
        except (Conflict, AlreadyExists, NotFound):
            return False
        except InDoubt:
            found = self._reader.get(self.ref)
            wrote = (found or {}).get("spec") or {}
            if holder(found) != self._identity or wrote.get("renewTime") != spec["renewTime"]:
                return False
            answer = found or {}
        self.token = Token(transitions, spec["renewTime"], version(answer), _moment(spec["renewTime"]))
        return True

    def _request(self, method: Literal["POST", "PUT"], body: Json, expect: str) -> ApiWrite:
        return ApiWrite(
            method=method,
            target=self.ref,
            plural="leases",
            body=body,
            field_manager="stratus-lock",
            expect_version=expect,
        )


class LockSet:
    """All locks that one transaction needs, taken in a fixed order so that two engines cannot block each other."""

    def __init__(self, locks: Sequence[LeaseLock]) -> None:
        self._locks = sorted(locks, key=lambda lock: str(lock.ref))

    @property
    def held(self) -> bool:
        """Whether all are held as far as we know."""
        return bool(self._locks) and all(lock.held for lock in self._locks)

    def acquire(self, wait: float = 0.0) -> None:
        """Take all or none. Raises `LeaseLost` when one is held by somebody who is alive."""
        try:
            for lock in self._locks:
                lock.acquire(wait)
        except BaseException:
            self.release()
            raise

    def check(self) -> None:
        """Check (and renew) each. Raises `LeaseLost` when one is not ours any more."""
        for lock in self._locks:
            lock.check()

    def release(self) -> None:
        """Give back those that are held."""
        for lock in self._locks:
            if lock.held:
                lock.release()

    def forget(self) -> None:
        """Drop the locks without a word to the cluster, as a process that dies does."""
        for lock in self._locks:
            lock.token = None


def locks_for(
    namespaces: Sequence[str],
    wide: bool,
    *,
    reader: ClusterReader,
    writer: ClusterWriter,
    clock: Clock,
    settings: Settings,
    identity: str,
) -> LockSet:
    """Return the locks of a scope, not yet taken: one for each namespace, and one for objects without any.

    Args:
        wide: whether such objects are written to.
    """
    home = settings.lease_namespace
    places = [(home or space, f"{LEASE_NAME}-{space}" if home else LEASE_NAME) for space in namespaces]
    if wide or not places:
        places.append((home or "default", f"{LEASE_NAME}-{CLUSTER_SCOPE}"))
    return LockSet(
        [
            LeaseLock(
                reader=reader,
                writer=writer,
                clock=clock,
                namespace=namespace,
                name=name,
                identity=identity,
                seconds=settings.lease_seconds,
            )
            for namespace, name in places
        ]
    )


def holder(lease: Json | None) -> str:
    """Return who holds a Lease, or empty."""
    return str(((lease or {}).get("spec") or {}).get("holderIdentity") or "")


def _remaining(lease: Json | None, since: float, now: float) -> float:
    """Return for how many seconds a Lease, seen as it is since `since`, still binds others; <= 0 when it is free."""
    if lease is None or not holder(lease):
        return 0.0
    spec = lease["spec"]
    renewed = _moment(spec.get("renewTime") or spec.get("acquireTime"))
    # A renewal ahead of our clock (one of the two is wrong) counts from when we saw it, or it would bind us for ever.
    return min(renewed, since) + float(spec.get("leaseDurationSeconds") or 0) - now


def _micro(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _moment(text: object) -> float:
    try:
        return parse_iso(str(text))
    except ValueError:
        return 0.0
