"""Verification of alerts: does what we see ourselves bear one out, refute it, or leave it open?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median

from stratus.detection.detectors.series import recent
from stratus.kit.kube import name_of, namespace_of, pod_finished, pod_ready
from stratus.model.alerts import Alert
from stratus.model.diagnosis import Anomaly
from stratus.model.evidence import Observation, Usage

_ABOUT_REQUESTS = re.compile(r"(?i)error|latency|slow|request|5xx|availab|traffic|success|p9\d|http|grpc")
_ABOUT_LOAD = re.compile(
    r"(?i)(?:high|many|surge|spike|flood|unusual).*(?:rate|load|traffic|requests|throughput|rps|qps)"
)
_ABOUT_FAILING = re.compile(r"(?i)error|latency|slow|5xx|availab|success|p9\d")
_ABOUT_PODS = re.compile(r"(?i)pod|container|replica|rollout|crash|deployment|statefulset|daemonset|restart")
_ABOUT_RESOURCES = re.compile(r"(?i)throttl|cpu|memory(?!.*killed)|saturat")

BUSIER = 1.5
"""Times the usual requests from which on an alert about load is borne out."""
USUAL = 1.15
"""Times the usual requests up to which it is refuted."""
THROTTLED, FULL, IDLE = 0.1, 0.8, 0.5
"""Share of throttled periods, and of a limit in use, that bear out an alert about resources; share below which both are
to be for refuting it."""


def verified(alert: Alert, observation: Observation, anomalies: Sequence[Anomaly], well: set[tuple[str, str]]) -> Alert:
    """Say whether what we see ourselves bears an alert out; None when we cannot tell.

    Args:
        anomalies: what detectors found that has weight.
        well: services whose requests are seen and succeed, as (namespace, service).
    """
    if alert.verified is not None or alert.status != "firing":
        return alert
    named = {alert.service, *(alert.labels.get(k, "") for k in ("pod", "deployment", "service", "workload"))} - {""}
    same = [a for a in anomalies if not alert.namespace or a.namespace in ("", alert.namespace)]
    if named:
        same = [a for a in same if a.service in named or (a.object is not None and a.object.name in named)]
    if same:
        return alert.model_copy(update={"verified": True})
    return alert.model_copy(update={"verified": _judged(alert, observation, named, well)})


def _judged(alert: Alert, observation: Observation, named: set[str], well: set[tuple[str, str]]) -> bool | None:
    """Weigh an alert that no anomaly bears out by the figures it speaks of."""
    if named and _ABOUT_LOAD.search(alert.name) and not _ABOUT_FAILING.search(alert.name):
        return _load(alert, observation, named)
    if named and _ABOUT_REQUESTS.search(alert.name):
        return False if any((alert.namespace, name) in well for name in named) else None
    if alert.labels.get("pod") and _ABOUT_RESOURCES.search(alert.name):
        return _resources(alert, observation.usage)
    if alert.labels.get("pod") and _ABOUT_PODS.search(alert.name) and "Pod" not in observation.missing:
        return _pod(alert, observation)
    return None


def _load(alert: Alert, observation: Observation, named: set[str]) -> bool | None:
    """Compare the requests of now with those before the window: that all of them succeed is no answer."""
    ratios = []
    for series in observation.series:
        if series.service not in named or (alert.namespace and series.namespace != alert.namespace):
            continue
        now = recent(series.points, lambda p: p.rate)
        before = [p.rate for p in series.points if p.rate is not None and p.at < observation.at - observation.window]
        if now is not None and len(before) >= 3:
            ratios.append(now / max(median(before), 1e-6))
    if not ratios:
        return None
    return True if max(ratios) >= BUSIER else False if max(ratios) <= USUAL else None


def _resources(alert: Alert, usage: Sequence[Usage]) -> bool | None:
    """Look at the figures of the container: that its pod is ready is no answer."""
    container = alert.labels.get("container", "")
    mine = [
        u for u in usage
        if u.pod == alert.labels["pod"] and (not alert.namespace or u.namespace == alert.namespace)
        and container in ("", u.container)
    ]  # fmt: skip
    shares: list[float] = []
    for u in mine:
        if (u.throttled or 0.0) >= THROTTLED:
            return True
        shares += [u.cpu_cores / u.cpu_limit] if u.cpu_cores is not None and u.cpu_limit else []
        shares += [u.memory_bytes / u.memory_limit] if u.memory_bytes is not None and u.memory_limit else []
    if not shares:
        return None
    return True if max(shares) >= FULL else False if max(shares) < IDLE else None


def _pod(alert: Alert, observation: Observation) -> bool | None:
    """An alert about a pod that is gone, or that is well now, has outlived its cause."""
    there = [
        p
        for p in observation.of("Pod", alert.namespace or None)
        if name_of(p) == alert.labels["pod"] and (not alert.namespace or namespace_of(p) == alert.namespace)
    ]
    looked_there = not observation.namespaces or alert.namespace in observation.namespaces
    return False if looked_there and all(pod_ready(p) or pod_finished(p) for p in there) else None
