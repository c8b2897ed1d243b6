"""Records events as the real recorder does: repeats are counted, similar ones combined, floods dropped."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from stratus.kit.clock import Clock, iso, parse_iso
from stratus.sim.store import Obj, Store

#: A source may write this many events of one type about one object at once, then one per REFILL seconds.
BURST, REFILL = 25, 300.0
#: From this many different messages with one reason on, events are combined for WINDOW seconds.
SIMILAR, WINDOW = 10, 600.0
#: A series of repeats is over after QUIET seconds without one, and written at least every REFRESH seconds.
QUIET, REFRESH = 360.0, 1800.0
#: Seconds an event is kept.
TTL = 3600.0


def reference(obj: Obj, field_path: str = "") -> Obj:
    """Return the `involvedObject` naming a stored object, or one container of it."""
    meta = obj["metadata"]
    ref: Obj = {"kind": obj.get("kind", "")}
    if meta.get("namespace"):
        ref["namespace"] = meta["namespace"]
    ref["name"] = meta["name"]
    if meta.get("uid"):
        ref["uid"] = meta["uid"]
    ref["apiVersion"] = obj.get("apiVersion", "v1")
    if meta.get("resourceVersion"):
        ref["resourceVersion"] = meta["resourceVersion"]
    if field_path:
        ref["fieldPath"] = field_path
    return ref


@lru_cache(maxsize=256)
def micro(moment: float) -> str:
    """Format epoch seconds as a MicroTime: `2026-01-05T09:00:00.250000Z`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(slots=True)
class Series:
    """Repeats of one event of the newer kind."""

    namespace: str
    name: str
    last: float
    written: float
    count: int = 1
    shown: int = 1


class EventRecorder:
    """Writes events of the control plane and the kubelets into the store.

    All state is plain data, so `copy_state` makes a fork's recorder go on exactly where this one is.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self._serial = 0
        self._known: dict[tuple[Any, ...], tuple[str, str]] = {}
        self._similar: dict[tuple[Any, ...], tuple[dict[str, None], float]] = {}
        self._tokens: dict[tuple[Any, ...], tuple[float, float]] = {}
        self._series: dict[tuple[Any, ...], Series] = {}
        #: Called with a moment at which `end_series` has something to write.
        self.arm: Callable[[float], None] | None = None
        self._expiry: deque[tuple[float, str, str]] = deque()

    def copy_state(self, other: EventRecorder) -> None:
        """Take over the counters of another recorder."""
        self._serial = other._serial
        self._known = dict(other._known)
        self._similar = {k: (dict(names), at) for k, (names, at) in other._similar.items()}
        self._tokens = dict(other._tokens)
        self._series = {key: copy.copy(series) for key, series in other._series.items()}
        self._expiry = deque(other._expiry)

    def _closed(self, obj: Obj) -> bool:
        """Tell whether an object's namespace takes nothing new because it is being deleted."""
        home = self.store.get("namespaces", "", obj["metadata"].get("namespace") or "")
        return home is not None and "deletionTimestamp" in home["metadata"]

    def record(
        self,
        obj: Obj,
        type_: str,
        reason: str,
        message: str,
        component: str,
        *,
        host: str = "",
        field_path: str = "",
    ) -> None:
        """Record an event of the older kind, with `count`, `firstTimestamp` and `lastTimestamp`."""
        if self._closed(obj):
            return
        now = self.clock.now()
        involved = reference(obj, field_path)
        kind, uid = involved["kind"], involved.get("uid")
        if not self._allowed((component, host, kind, uid, type_), now):
            return
        group = (component, host, kind, uid, field_path, type_, reason)
        key: tuple[Any, ...] = (*group, message)
        names, last = self._similar.get(group, ({}, now))
        if now - last > WINDOW:
            names = {}
        names[message] = None
        if len(names) >= SIMILAR:
            key = group
            message = "(combined from similar events): " + message
            names.pop(next(iter(names)))
        self._similar[group] = (names, now)
        known = self._known.get(key)
        stored = self.store.get("events", *known) if known else None
        if stored is not None and now - self._seen(stored) <= WINDOW * 6:
            self.store.update(
                "events", {**stored, "count": stored.get("count", 1) + 1, "lastTimestamp": iso(now), "message": message}
            )
            return
        namespace = involved.get("namespace", "default")
        name = self._name(involved["name"], now)
        self._known[key] = (namespace, name)
        source = {"component": component, "host": host} if host else {"component": component}
        stamp = iso(now)
        self._create(
            namespace,
            name,
            {
                "involvedObject": involved,
                "reason": reason,
                "message": message,
                "source": source,
                "firstTimestamp": stamp,
                "lastTimestamp": stamp,
                "count": 1,
                "type": type_,
                "eventTime": None,
                "reportingComponent": component,
                "reportingInstance": host,
            },
            now,
        )

    def record_new(
        self,
        obj: Obj,
        type_: str,
        reason: str,
        message: str,
        component: str,
        action: str,
        instance: str,
        *,
        related: Obj | None = None,
    ) -> None:
        """Record an event of the newer kind (the scheduler's): `eventTime`, and a `series` once it repeats.

        Repeats are those about one version of an object. The first is written as a series of two; further ones are
        counted, and written when there were none for six minutes (or half an hour has passed).
        """
        if self._closed(obj):
            return
        now = self.clock.now()
        involved = reference(obj)
        version = involved.get("resourceVersion", "")
        key = ("new", component, involved["kind"], involved.get("uid"), version, type_, reason, action)
        series = self._series.get(key)
        if series is not None and now - series.last <= QUIET:
            series.count += 1
            series.last = now
            if series.count == 2 or now - series.written >= REFRESH:
                self._write_series(series, now)
            elif self.arm is not None:
                self.arm(now + QUIET)
            return
        namespace = involved.get("namespace", "default")
        name = self._name(involved["name"], now)
        self._series[key] = Series(namespace, name, now, now)
        body: Obj = {
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "source": {},
            "firstTimestamp": None,
            "lastTimestamp": None,
            "type": type_,
            "eventTime": micro(now),
            "action": action,
            "reportingComponent": component,
            "reportingInstance": instance,
        }
        if related is not None:
            body["related"] = reference(related)
        self._create(namespace, name, body, now)

    def _write_series(self, series: Series, now: float) -> None:
        stored = self.store.get("events", series.namespace, series.name)
        if stored is not None:
            shown = {"count": series.count, "lastObservedTime": micro(series.last)}
            self.store.update("events", {**stored, "series": shown})
        series.shown, series.written = series.count, now

    def end_series(self, now: float) -> float | None:
        """Write what was counted of series that have gone quiet, and forget them; return when to look again."""
        for key, series in list(self._series.items()):
            if now - series.last >= QUIET:
                if series.count > max(series.shown, 1):
                    self._write_series(series, now)
                del self._series[key]
        return min((s.last + QUIET for s in self._series.values() if s.count > max(s.shown, 1)), default=None)

    def expire(self) -> float | None:
        """Drop events that are over an hour old; return when the next one will be."""
        now = self.clock.now()
        self.end_series(now)
        while self._expiry and self._expiry[0][0] <= now:
            _, namespace, name = self._expiry.popleft()
            stored = self.store.get("events", namespace, name)
            if stored is None:
                continue
            lives_until = self._seen(stored) + TTL
            if lives_until > now:
                self._expiry.append((lives_until, namespace, name))
            else:
                self.store.delete("events", namespace, name)
        return self._expiry[0][0] if self._expiry else None

    def _create(self, namespace: str, name: str, body: Obj, now: float) -> None:
        space = self.store.get("namespaces", "", namespace)
        if space is not None and "deletionTimestamp" in space["metadata"]:
            # Nothing new may be made in a namespace that is being deleted.
            return
        event = {"kind": "Event", "apiVersion": "v1", "metadata": {"name": name, "namespace": namespace}, **body}
        self._expiry.append((now + TTL, namespace, name))
        self.store.create("events", event)

    @staticmethod
    def _seen(event: Obj) -> float:
        return parse_iso(
            (event.get("series") or {}).get("lastObservedTime") or event.get("lastTimestamp") or event["eventTime"]
        )

    def _name(self, subject: str, now: float) -> str:
        self._serial += 1
        return f"{subject}.{int(now * 1e6) * 1000 + self._serial % 1000000:016x}"

    def _allowed(self, key: tuple[Any, ...], now: float) -> bool:
        tokens, since = self._tokens.get(key, (float(BURST), now))
        tokens = min(float(BURST), tokens + (now - since) / REFILL)
        allowed = tokens >= 1.0
        self._tokens[key] = (tokens - 1.0 if allowed else tokens, now)
        return allowed
