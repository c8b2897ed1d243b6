"""Evaluates alert rules on the figures and the objects, as Prometheus would: a condition must hold before it fires."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stratus.kit.clock import parse_iso
from stratus.model.alerts import Alert
from stratus.sim.apps.process import fill
from stratus.sim.controllers.common import condition as condition_of
from stratus.sim.store import Obj, Store
from stratus.sim.telemetry.history import History, service_point
from stratus.sim.telemetry.rules import Rule, Rules

#: Waiting reasons that are part of a normal start.
_STARTING = frozenset({"ContainerCreating", "PodInitializing"})

Key = tuple[int, tuple[tuple[str, str], ...]]


class Alerting:
    """The state of all rules.

    Attributes:
        since: when each condition that holds began to hold; `values` its latest value.
    """

    def __init__(self, rules: Rules, store: Store, history: History) -> None:
        self.rules = rules
        self.store = store
        self.history = history
        self.since: dict[Key, float] = {}
        self.values: dict[Key, str] = {}
        self.seen: dict[tuple[str, str, str, str], float] = {}

    def copy_state(self, other: Alerting) -> None:
        """Take over another cluster's state."""
        self.since = dict(other.since)
        self.values = dict(other.values)
        self.seen = dict(other.seen)

    def evaluate(self, now: float) -> None:
        """Look at all conditions once."""
        held: dict[Key, str] = {}
        for number, rule in enumerate(self.rules.rules):
            for labels, value in self._candidates(rule, now):
                if not rule.namespaces or labels.get("namespace") in rule.namespaces:
                    held[number, tuple(sorted(labels.items()))] = value
        self.since = {key: self.since.get(key, now) for key in held}
        self.values = held
        self.seen = {k: at for k, at in self.seen.items() if now - at < 3600.0}

    def firing(self, now: float) -> list[Alert]:
        """Return the alerts that fire at a moment."""
        found = []
        for key, since in self.since.items():
            rule = self.rules.rules[key[0]]
            if now - since < rule.wait - 1e-6:
                continue
            labels = dict(key[1])
            words = {**labels, "value": self.values.get(key, "")}
            found.append(
                Alert(
                    name=rule.alert,
                    severity=rule.severity,
                    labels={"alertname": rule.alert, **labels, "severity": rule.severity},
                    annotations={
                        name: fill(text, **words)
                        for name, text in (("summary", rule.summary), ("description", rule.description))
                        if text
                    },
                    starts_at=since,
                    source="prometheus",
                )
            )
        return found

    # conditions

    def _candidates(self, rule: Rule, now: float) -> Iterator[tuple[dict[str, str], str]]:
        if rule.over == "requests":
            yield from self._requests(rule, now)
        elif rule.over == "pods":
            for pod in self.store.list("pods"):
                value = _pod(pod, str(rule.condition))
                if value:
                    yield _pod_labels(pod), value
        elif rule.over == "deployments":
            for deployment in self.store.list("deployments.apps"):
                value = _deployment(deployment, str(rule.condition))
                if value:
                    meta = deployment["metadata"]
                    yield {"namespace": meta["namespace"], "deployment": meta["name"]}, value
        elif rule.over == "nodes":
            for node in self.store.list("nodes"):
                if (condition_of(node, "Ready") or {}).get("status") != "True":
                    yield {"node": node["metadata"]["name"]}, "not ready"
        elif rule.condition == "throttled":
            yield from self._throttled(rule, now)
        else:
            yield from self._containers(rule, now)

    def _requests(self, rule: Rule, now: float) -> Iterator[tuple[dict[str, str], str]]:
        ticks = self.history.between(now - rule.window, now)
        if not ticks:
            return
        level = rule.figure if rule.figure in ("p95", "p99") else "p99"
        known = ticks[0].at - ticks[0].seconds <= now - rule.window + 1e-6
        for namespace, service in self.history.labels():
            rate, errors, latency = service_point(ticks, (namespace, service), level)
            value = {"rate": rate, "error_rate": errors}.get(str(rule.figure), latency)
            if value is None or (rule.min_rate and rate < rule.min_rate):
                continue
            if rule.below is not None:
                holds = known and value < rule.below
            else:
                holds = rule.above is not None and value > rule.above
            if holds:
                shown = f"{value:.1%}" if rule.figure == "error_rate" else f"{value:.2f}"
                yield {"namespace": namespace, "service": service}, shown

    def _throttled(self, rule: Rule, now: float) -> Iterator[tuple[dict[str, str], str]]:
        tick = self.history.last(now)
        for use in tick.use if tick is not None else ():
            if use.throttled > (rule.above or 0.25):
                labels = {"namespace": use.namespace, "pod": use.pod, "container": use.container}
                yield labels, f"{use.throttled:.0%}"

    def _containers(self, rule: Rule, now: float) -> Iterator[tuple[dict[str, str], str]]:
        for pod in self.store.list("pods"):
            status = pod.get("status") or {}
            for entry in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
                value = _container(entry, str(rule.condition), now, rule.window)
                key = (str(rule.condition), pod["metadata"]["uid"], entry["name"], "")
                if value and rule.condition == "crash-looping":
                    self.seen[key] = now
                elif rule.condition == "crash-looping" and now - self.seen.get(key, -1e9) <= rule.window:
                    value = "CrashLoopBackOff"
                if value:
                    yield {**_pod_labels(pod), "container": entry["name"]}, value


def _pod_labels(pod: Obj) -> dict[str, str]:
    return {"namespace": pod["metadata"]["namespace"], "pod": pod["metadata"]["name"]}


def _pod(pod: Obj, condition: str) -> str:
    status = pod.get("status") or {}
    phase = status.get("phase", "Pending")
    if condition == "failed":
        return "Failed" if phase == "Failed" else ""
    if condition == "pending":
        return "Pending" if phase == "Pending" else ""
    if condition == "unschedulable":
        found = condition_of(pod, "PodScheduled") or {}
        return str(found.get("message", "")) if found.get("reason") == "Unschedulable" else ""
    ready = condition_of(pod, "Ready")
    if phase in ("Succeeded", "Failed") or "deletionTimestamp" in pod["metadata"]:
        return ""
    return "" if ready is not None and ready.get("status") == "True" else "not ready"


def _container(entry: dict[str, Any], condition: str, now: float, window: float) -> str:
    state = entry.get("state") or {}
    waiting = (state.get("waiting") or {}).get("reason", "")
    if condition == "waiting":
        return "" if waiting in _STARTING else waiting
    if condition == "crash-looping":
        return waiting if waiting == "CrashLoopBackOff" else ""
    for ended in (state.get("terminated"), (entry.get("lastState") or {}).get("terminated")):
        when = (ended or {}).get("finishedAt", "")
        if ended and ended.get("reason") == "OOMKilled" and when and now - parse_iso(when) <= window:
            return "OOMKilled"
    return ""


def _deployment(deployment: Obj, condition: str) -> str:
    wanted = deployment["spec"].get("replicas", 1)
    available = (deployment.get("status") or {}).get("availableReplicas", 0)
    if condition == "none-available":
        return f"0 of {wanted}" if wanted and not available else ""
    return f"{available} of {wanted}" if available != wanted else ""
