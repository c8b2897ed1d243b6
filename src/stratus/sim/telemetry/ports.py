"""The telemetry ports, answered from the computed figures. Asking changes nothing."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from stratus.kit.clock import iso
from stratus.model.alerts import Alert
from stratus.model.evidence import CallEdge, LogLine, SeriesPoint, ServiceSeries, Usage
from stratus.sim.apps.runtime import AppRuntime, workload_of
from stratus.sim.quantity import parse_quantity
from stratus.sim.store import Obj
from stratus.sim.telemetry.history import History, edge_sums, service_point
from stratus.sim.telemetry.observatory import Observatory
from stratus.sim.telemetry.rules import Group, Rule
from stratus.telemetry.alertdata import alert_of
from stratus.telemetry.base import Telemetry

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane

#: Seconds that a point of a series looks back on at least.
LOOK_BACK = 15.0
#: A series holds this many points at most, the newest, as with Prometheus.
MOST_POINTS = 11_000
RULE_FAILURES = "PrometheusRuleFailures"


class EmbeddedMetrics:
    """Request figures from spans and resource use from containers."""

    def __init__(self, history: History, control: ControlPlane, runtime: AppRuntime, lock: threading.RLock) -> None:
        self._history = history
        self._control = control
        self._runtime = runtime
        self._lock = lock

    def service_series(
        self, namespaces: tuple[str, ...], start: float, end: float, step: float
    ) -> tuple[ServiceSeries, ...]:
        """Return request rate, error rate and p99 of every service that was called."""
        with self._lock:
            history = self._history
            moments = []
            count = min(int((end - start) / step + 1e-9), MOST_POINTS - 1)
            for number in range(count + 1):
                at = end - (count - number) * step
                moments.append((at, history.between(at - max(step, LOOK_BACK), at)))
            found = []
            for namespace, service in history.labels():
                if namespaces and namespace not in namespaces:
                    continue
                points = []
                for at, ticks in moments:
                    if not ticks:
                        points.append(SeriesPoint(at=at))
                        continue
                    rate, errors, latency = service_point(ticks, (namespace, service))
                    points.append(SeriesPoint(at=at, rate=rate, error_rate=errors, latency_p99=latency))
                found.append(ServiceSeries(namespace=namespace, service=service, points=tuple(points)))
            return tuple(found)

    def usage(self, namespaces: tuple[str, ...], at: float) -> tuple[Usage, ...]:
        """Return CPU and memory use of containers at a moment."""
        with self._lock:
            tick = self._history.last(at)
            known = {(u.namespace, u.pod, u.container): u for u in (tick.use if tick is not None else ())}
            found = []
            for key in sorted(self._control.kubelet.pods):
                if namespaces and key[0] not in namespaces:
                    continue
                pod = self._control.store.get("pods", *key)
                if pod is None:
                    continue
                for container in self._control.kubelet.serving(key):
                    name = container["name"]
                    measured = known.get((*key, name))
                    if measured is not None:
                        found.append(_usage(key, name, measured.cpu, measured.memory, container, measured.throttled))
                    elif self._runtime.proc_in(pod, container) is None:
                        cpu, memory = self._runtime.usage(pod, container)
                        found.append(_usage(key, name, cpu, memory, container, 0.0))
            return tuple(found)


def _usage(key: tuple[str, str], name: str, cpu: float, memory: float, container: Obj, throttled: float) -> Usage:
    limits = (container.get("resources") or {}).get("limits") or {}
    return Usage(
        namespace=key[0],
        pod=key[1],
        container=name,
        cpu_cores=cpu,
        cpu_limit=parse_quantity(limits.get("cpu")) or None,
        throttled=throttled,
        memory_bytes=memory,
        memory_limit=parse_quantity(limits.get("memory")) or None,
    )


class EmbeddedTraces:
    """The call graph of the requests."""

    def __init__(self, history: History, lock: threading.RLock) -> None:
        self._history = history
        self._lock = lock

    def edges(self, namespaces: tuple[str, ...], start: float, end: float) -> tuple[CallEdge, ...]:
        """Return aggregated calls in the window."""
        with self._lock:
            sums = edge_sums(self._history.between(start, end), namespaces)
        return tuple(
            CallEdge(
                caller=caller,
                callee=callee,
                operation=operation,
                calls=max(round(calls), 1 if calls > 0 else 0),
                errors=round(errors),
                latency_p99=p99,
                self_time_p99=own,
                message=message if round(errors) else "",
            )
            for (_, caller, callee, operation), (calls, errors, p99, own, message) in sums.items()
        )


class EmbeddedLogs:
    """Container logs, of present and previous runs."""

    def __init__(self, control: ControlPlane, runtime: AppRuntime, lock: threading.RLock) -> None:
        self._control = control
        self._runtime = runtime
        self._lock = lock

    def tail(
        self,
        namespace: str,
        *,
        pod: str = "",
        service: str = "",
        start: float = 0.0,
        end: float = 0.0,
        limit: int = 200,
    ) -> tuple[LogLine, ...]:
        """Return the newest `limit` lines in the window, oldest first; `end` 0 means now."""
        with self._lock:
            found: list[LogLine] = []
            for one in self._pods(namespace, pod, service):
                for container in one["spec"].get("containers", ()):
                    for previous in (True, False):
                        lines = self._runtime.logs(one, container, previous=previous, since=start or None, limit=limit)
                        found += [
                            LogLine(
                                at=at,
                                namespace=namespace,
                                pod=one["metadata"]["name"],
                                container=container["name"],
                                text=text,
                            )
                            for at, text in lines
                            if not end or at <= end
                        ]
            found.sort(key=lambda line: line.at)
            return tuple(found[-limit:]) if limit > 0 else ()

    def _pods(self, namespace: str, pod: str, service: str) -> list[Obj]:
        pods = self._control.index.in_namespace(namespace)
        if pod:
            return [p for p in pods if p["metadata"]["name"] == pod]
        if service:
            found = self._control.store.get("services", namespace, service)
            selector = found["spec"].get("selector") if found is not None else None
            chosen = {p["metadata"]["name"] for p in self._control.index.select_labels(namespace, selector)}
            return [p for p in pods if p["metadata"]["name"] in chosen or workload_of(p) == service]
        return pods


class EmbeddedAlerts:
    """The rules' firing alerts. A rule that cannot be evaluated fires as `PrometheusRuleFailures`: what it would have
    told is unknown.
    """

    def __init__(self, observatory: Observatory, lock: threading.RLock) -> None:
        self._observatory = observatory
        self._lock = lock

    def firing(self, namespaces: tuple[str, ...] = ()) -> tuple[Alert, ...]:
        """Return alerts firing now."""
        with self._lock:
            found = [a for a in self._observatory.alerting.active(self._observatory.now()) if a.fired is not None]
            made = [alert_of(dict(a.labels), a.annotations(), iso(a.since), "prometheus") for a in found]
            made += [_failure(*one) for one in self._observatory.alerting.failures()]
        named = [a.model_copy(update={"labels": {"alertname": a.name, **a.labels}}) for a in made]
        return tuple(a for a in named if not namespaces or not a.namespace or a.namespace in namespaces)


def _failure(group: Group, rule: Rule, why: str, since: float) -> Alert:
    """Return the alert about a rule that cannot be evaluated."""
    name = rule.alert or rule.record
    labels = {"alertname": RULE_FAILURES, "severity": "critical", "rule_group": group.name, "rule": name}
    where = f"Rule {name} of group {group.name}"
    words = {
        "summary": f"Rule {name} cannot be evaluated",
        "description": f"{where} cannot be evaluated: {why}. Whether it should fire is unknown.",
    }
    return alert_of(labels, words, iso(since), "prometheus")


def embedded_telemetry(
    history: History, observatory: Observatory, control: ControlPlane, runtime: AppRuntime, lock: threading.RLock
) -> Telemetry:
    """Return all ports over one cluster's figures."""
    return Telemetry(
        metrics=EmbeddedMetrics(history, control, runtime, lock),
        logs=EmbeddedLogs(control, runtime, lock),
        traces=EmbeddedTraces(history, lock),
        alerts=EmbeddedAlerts(observatory, lock),
        names=dict.fromkeys(("metrics", "logs", "traces", "alerts"), "embedded"),
    )
