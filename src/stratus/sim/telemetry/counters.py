"""Adds up what every tick of traffic did: calls, durations, CPU time, messages."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stratus.sim.apps.figures import Tick
from stratus.sim.apps.schema import TRACED
from stratus.sim.telemetry.exporters import Stores
from stratus.sim.telemetry.samples import LabelKey, Sample

#: Upper bounds of the duration histograms, in milliseconds, as the span-metrics connector has them.
BOUNDS = (2.0, 4.0, 6.0, 8.0, 10.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1000.0, 1400.0, 2000.0, 5000.0, 10000.0, 15000.0)
_LIMITS = np.log(np.array(BOUNDS) / 1000.0)
SPANS = "traces_span_metrics_"
MESH = "istio_"
SERVER, CLIENT = "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT"
PRODUCER, CONSUMER = "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER"
OK, ERROR = "STATUS_CODE_UNSET", "STATUS_CODE_ERROR"
#: CPU periods per second.
PERIODS = 10.0

SpanKey = tuple[str, str, str, str]
"""(namespace, service, operation, kind)."""
CallKey = tuple[str, str, str]
"""(namespace, caller, callee)."""
Histogram = NDArray[np.float64]


@dataclass
class Durations:
    """How long requests took: seconds in all, and how many by bucket. Neither ever goes down."""

    seconds: float = 0.0
    buckets: Histogram = field(default_factory=lambda: np.zeros(len(BOUNDS)))

    def copy(self) -> Durations:
        """Return an independent copy."""
        return Durations(self.seconds, self.buckets.copy())


@dataclass
class Tally:
    """Requests of one kind: how many ended well and badly, and how long those of each sort took."""

    good: float = 0.0
    bad: float = 0.0
    well: Durations = field(default_factory=Durations)
    badly: Durations = field(default_factory=Durations)

    def copy(self) -> Tally:
        """Return an independent copy."""
        return Tally(self.good, self.bad, self.well.copy(), self.badly.copy())


class Counters:
    """Everything counted up to a moment.

    Attributes:
        touched: keys of containers in the newest tick; those that are not have ended.
    """

    def __init__(self) -> None:
        self.spans: dict[SpanKey, Tally] = {}
        self.calls: dict[CallKey, Tally] = {}
        self.users: dict[tuple[str, str], Tally] = {}
        self.use: dict[tuple[str, str, str], list[float]] = {}
        self.gauges: dict[tuple[str, str, str], tuple[float, float]] = {}
        self.queues: dict[tuple[str, str, str, str], tuple[float, float, int]] = {}
        self.stores = Stores()

    def copy(self) -> Counters:
        """Return an independent copy."""
        twin = Counters()
        twin.spans = {k: t.copy() for k, t in self.spans.items()}
        twin.calls = {k: t.copy() for k, t in self.calls.items()}
        twin.users = {k: t.copy() for k, t in self.users.items()}
        twin.use = {k: list(v) for k, v in self.use.items()}
        twin.gauges = dict(self.gauges)
        twin.queues = dict(self.queues)
        twin.stores = self.stores.copy()
        return twin

    def add(self, ticks: Iterable[Tick]) -> None:
        """Count some ticks."""
        owners: list[Durations] = []
        weights: list[float] = []
        means: list[float] = []
        spreads: list[float] = []

        def count(tally: Tally, seconds: float, total: float, bad: float, parts: Any) -> None:
            tally.bad += bad * seconds
            tally.good += max(total - bad, 0.0) * seconds
            failed = min(bad / total, 1.0) if total > 0 else 0.0
            for owner, share in ((tally.well, 1.0 - failed), (tally.badly, failed)):
                for weight, (mean, variance) in parts if share > 0 else ():
                    owners.append(owner)
                    weights.append(weight * share * seconds)
                    means.append(mean)
                    spreads.append(variance)

        for tick in ticks:
            for (namespace, service, operation), span in tick.spans.items():
                tally = self.spans.setdefault((namespace, service, operation, SERVER), Tally())
                count(tally, tick.seconds, span.rate, span.failed, span.parts)
            for (namespace, caller, callee, operation), edge in tick.edges.items():
                if caller:
                    tally = self.spans.setdefault((namespace, caller, operation, CLIENT), Tally())
                    count(tally, tick.seconds, edge.calls, edge.errors, edge.parts)
                tally = self.calls.setdefault((namespace, caller, callee), Tally())
                count(tally, tick.seconds, edge.calls, edge.errors, edge.parts)
            for (namespace, caller, _, _, asked, protocol), link in tick.links.items():
                if caller and protocol not in TRACED:
                    kind = PRODUCER if protocol == "kafka" else CLIENT
                    name = asked if kind == PRODUCER else protocol
                    tally = self.spans.setdefault((namespace, caller, name, kind), Tally())
                    count(tally, tick.seconds, link.calls, link.errors, ((link.calls, (link.mean, link.mean**2 / 4)),))
            for user, (asked_for, failed_for) in tick.users.items():
                count(self.users.setdefault(user, Tally()), tick.seconds, asked_for, failed_for, ())
            self._use(tick)
        if owners:
            _spread(owners, np.array(weights), np.array(means), np.array(spreads))

    def _use(self, tick: Tick) -> None:
        self.gauges = {}
        for use in tick.use:
            key = (use.namespace, use.pod, use.container)
            total = self.use.setdefault(key, [0.0, 0.0, 0.0, 0.0])
            total[0] += use.cpu * tick.seconds
            if use.cpu_limit:
                total[1] += PERIODS * tick.seconds
                total[2] += PERIODS * tick.seconds * use.throttled
                total[3] += tick.seconds * use.throttled * use.cpu_limit
            self.gauges[key] = (use.memory, use.cpu_limit)
        if len(self.use) > 2 * len(self.gauges) + 64:
            self.use = {k: v for k, v in self.use.items() if k in self.gauges}
        self.stores.add(tick)
        self.queues = {(q.namespace, q.broker, q.topic, q.group): (q.written, q.lag, q.members) for q in tick.queues}

    # what they come to

    def samples(self, places: dict[tuple[str, str], str], meshed: frozenset[str]) -> list[Sample]:
        """Return all samples.

        Args:
            places: the node of each pod.
            meshed: namespaces in a service mesh.
        """
        found: list[Sample] = []
        for (namespace, service, operation, kind), tally in self.spans.items():
            base = {"namespace": namespace, "service_name": service, "span_kind": kind, "span_name": operation}
            for status, part, took in ((OK, tally.good, tally.well), (ERROR, tally.bad, tally.badly)):
                if math.floor(part + 0.5) >= 1:
                    labels = _key({**base, "status_code": status})
                    found.append((f"{SPANS}calls_total", labels, whole(part)))
                    found += _histogram(f"{SPANS}duration_milliseconds", labels, took, part)
        for (namespace, operation), tally in self.users.items():
            method, space, path = operation.partition(" ")
            if not space or not path.startswith("/"):
                method, path = "GET", f"/{operation}"
            labels = _key({"namespace": namespace, "method": method, "name": path})
            found.append(("locust_requests_num_requests", labels, whole(tally.good + tally.bad)))
            found.append(("locust_requests_num_failures", labels, whole(tally.bad)))
        for (namespace, caller, callee), tally in self.calls.items():
            if namespace in meshed:
                found += _mesh(namespace, caller, callee, tally)
        for key, (memory, limit) in self.gauges.items():
            found += _container(key, self.use[key], memory, limit, places.get(key[:2], ""))
        for queue, (written, lag, members) in self.queues.items():
            found += _queue(queue, written, lag, members)
        return found + self.stores.samples()


def whole(value: float) -> float:
    """Return a count as a whole number."""
    return math.floor(value + 0.5)


def _key(labels: dict[str, str]) -> LabelKey:
    return tuple(sorted((k, v) for k, v in labels.items() if v))


def _with(labels: LabelKey, name: str, value: str) -> LabelKey:
    return tuple(sorted((*labels, (name, value))))


def _histogram(name: str, labels: LabelKey, took: Durations, total: float) -> list[Sample]:
    counts = np.minimum(np.floor(took.buckets + 0.5), whole(total)).tolist()
    found: list[Sample] = [
        (f"{name}_bucket", _with(labels, "le", f"{bound:g}"), count)
        for bound, count in zip(BOUNDS, counts, strict=True)
    ]
    found.append((f"{name}_bucket", _with(labels, "le", "+Inf"), whole(total)))
    found.append((f"{name}_sum", labels, round(took.seconds * 1000.0, 3)))
    found.append((f"{name}_count", labels, whole(total)))
    return found


def _mesh(namespace: str, caller: str, callee: str, tally: Tally) -> list[Sample]:
    source = caller or "unknown"
    base = {
        "reporter": "source",
        "source_workload": source,
        "source_canonical_service": source,
        "source_workload_namespace": namespace,
        "destination_canonical_service": callee,
        "destination_workload": callee,
        "destination_workload_namespace": namespace,
        "destination_service_name": callee,
        "destination_service_namespace": namespace,
    }
    found: list[Sample] = []
    total = tally.good + tally.bad
    for code, part, took in (("200", tally.good, tally.well), ("503", tally.bad, tally.badly)):
        if whole(part) >= 1:
            labels = _key({**base, "response_code": code})
            found.append((f"{MESH}requests_total", labels, whole(part)))
            found += _histogram(f"{MESH}request_duration_milliseconds", labels, took, part)
            own = _key({"namespace": namespace, "destination_app": callee, "response_code": code})
            if caller:
                found.append(("request_result_total", _with(own, "source_app", caller), whole(part)))
    found.append((f"{MESH}tcp_connections_opened_total", _key(base), whole(total)))
    return found


def _container(key: tuple[str, str, str], total: list[float], memory: float, limit: float, node: str) -> list[Sample]:
    namespace, pod, container = key
    labels = _key({"namespace": namespace, "pod": pod, "container": container, "instance": node})
    found: list[Sample] = [
        ("container_cpu_usage_seconds_total", labels, round(total[0], 6)),
        ("container_memory_working_set_bytes", labels, whole(memory)),
        ("container_memory_usage_bytes", labels, whole(memory * 1.06)),
        ("container_memory_rss", labels, whole(memory * 0.97)),
    ]
    if limit:
        found += [
            ("container_cpu_cfs_periods_total", labels, whole(total[1])),
            ("container_cpu_cfs_throttled_periods_total", labels, whole(total[2])),
            ("container_cpu_cfs_throttled_seconds_total", labels, round(total[3], 6)),
        ]
    return found


def _queue(key: tuple[str, str, str, str], written: float, lag: float, members: int) -> list[Sample]:
    namespace, broker, topic, group = key
    names = {"namespace": namespace, "topic": topic, "broker": broker}
    found: list[Sample] = [("kafka_topic_partition_current_offset", _key({**names, "partition": "0"}), whole(written))]
    if group:
        labels = _key({**names, "group": group, "consumergroup": group})
        one = _with(labels, "partition", "0")
        took = {"namespace": namespace, "service_name": group, "span_kind": CONSUMER, "span_name": f"receive {topic}"}
        found += [
            (f"{SPANS}calls_total", _key({**took, "status_code": OK}), whole(written - lag)),
            ("kafka_consumergroup_lag", one, whole(lag)),
            ("kafka_consumergroup_current_offset", one, whole(written - lag)),
            ("kafka_consumer_group_lag_sum_ratio", labels, whole(lag)),
            ("kafka_consumer_group_members", labels, members),
        ]
    return found


def _spread(owners: list[Durations], weights: Histogram, means: Histogram, variances: Histogram) -> None:
    """Give each owner its requests by duration: shares of log-normal distributions below the bounds, all at once."""
    safe = np.maximum(means, 1e-9)
    sigma2 = np.log1p(variances / (safe * safe))
    sigma = np.sqrt(np.maximum(sigma2, 1e-12))
    mu = np.log(safe) - sigma2 / 2
    below = _normal((_LIMITS[np.newaxis, :] - mu[:, np.newaxis]) / sigma[:, np.newaxis]) * weights[:, np.newaxis]
    spent = weights * means
    for place, owner in enumerate(owners):
        owner.buckets += below[place]
        owner.seconds += float(spent[place])


def _normal(z: Histogram) -> Histogram:
    """Return the normal distribution function, to seven digits (Abramowitz and Stegun 26.2.17)."""
    x = np.minimum(np.abs(z), 38.0)
    t = 1.0 / (1.0 + 0.2316419 * x)
    poly = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail = np.exp(-x * x / 2) * 0.3989422804014327 * poly
    return np.where(z > 0, 1.0 - tail, tail)
