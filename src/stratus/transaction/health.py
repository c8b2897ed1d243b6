"""Health from objects and request figures: one entry for each service of the namespaces in scope.

An entry stands for a Service with the workloads it selects, or for a workload that no Service of its name covers.
What is unknown is None, and nothing that is wanted zero times is available.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from stratus.kit.clock import parse_iso
from stratus.kit.drift import strayed
from stratus.model.base import Json
from stratus.model.evidence import SeriesPoint
from stratus.model.health import ServiceHealth
from stratus.settings import HealthSettings

Key = tuple[str, str]
"""(namespace, name) of a service."""
TRIAL = 1.5
"""Times as long as it ran before it failed that a container has to run to count as well."""
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


@cache
def _states() -> dict[str, Any]:
    states: dict[str, Any] = json.loads(
        resources.files(__package__).joinpath("states.json").read_text(encoding="utf-8")
    )
    return states


@dataclass(frozen=True)
class _Workload:
    obj: Json
    pods: tuple[Json, ...]
    desired: int


def assess(
    objects: Mapping[str, Iterable[Json]],
    points: Mapping[Key, SeriesPoint],
    *,
    now: float,
    settings: HealthSettings,
) -> tuple[ServiceHealth, ...]:
    """Score every service.

    Args:
        objects: by kind (Deployment, StatefulSet, DaemonSet, Pod, Service, EndpointSlice); a kind that could not be
            read is absent.
        points: the latest request figures, by namespace and service.
        now: epoch seconds of the look.
    """
    pods = list(objects.get("Pod", ()))
    workloads: dict[Key, list[_Workload]] = {}
    for kind in WORKLOADS:
        for obj in objects.get(kind, ()):
            workloads.setdefault(_key(obj), []).append(_workload(kind, obj, pods))
    services = {_key(s): s for s in objects.get("Service", ()) if (s.get("spec") or {}).get("selector")}
    slices = objects.get("EndpointSlice")
    found: dict[Key, ServiceHealth] = {}
    for key, service in services.items():
        group = [w for k, row in workloads.items() for w in row if k == key or _selects(service, w.obj)]
        reach = None if slices is None else _reach(service, list(slices), pods)
        found[key] = _entry(key, group, points.get(key), reach, now, settings, service)
    for key, row in workloads.items():
        if key not in found:
            found[key] = _entry(key, row, points.get(key), None, now, settings, None)
    for key, point in points.items():
        if key not in found:
            found[key] = _figures(ServiceHealth(namespace=key[0], service=key[1]), point, settings)
    return tuple(found[key] for key in sorted(found))


def settled(objects: Mapping[str, Iterable[Json]]) -> bool:
    """Tell whether every rollout has converged: the controllers have seen the last change and finished it."""
    return all(_converged(kind, obj) for kind in WORKLOADS for obj in objects.get(kind, ()))


def patience(objects: Mapping[str, Iterable[Json]]) -> float:
    """Return for how many seconds the most long-lived of the containers that failed ran before it did; 0.0: none.

    A container that runs for a minute before it fails looks healthy for a minute after any change.
    """
    longest = 0.0
    for pod in objects.get("Pod", ()):
        for status in _statuses(pod) if _live(pod) else ():
            for state in (status.get("state") or {}, status.get("lastState") or {}):
                ended = state.get("terminated") or {}
                if ended.get("exitCode") and ended.get("startedAt") and ended.get("finishedAt"):
                    longest = max(longest, _at(ended["finishedAt"]) - _at(ended["startedAt"]))
    return longest


def _entry(
    key: Key,
    group: list[_Workload],
    point: SeriesPoint | None,
    reach: tuple[int, float] | None,
    now: float,
    settings: HealthSettings,
    service: Json | None,
) -> ServiceHealth:
    pods = list({p["metadata"]["name"]: p for w in group for p in w.pods}.values())
    desired = sum(w.desired for w in group)
    ready = sum(1 for pod in pods if _ready(pod))
    # Pods that exist beyond what is wanted count too: a rollout that hangs leaves one that never gets ready.
    share: float | None = min(1.0, ready / max(desired, len(pods))) if desired else 0.0
    if not group:
        share = None if service is None or reach is None else float(reach[0] > 0)
    if share is not None and reach is not None:
        count, ports = reach
        share = min(share, count / desired if desired else share) * ports
    faults = sum(_container_faults(pod, now, settings) for pod in pods)
    health = ServiceHealth(
        service=key[1],
        namespace=key[0],
        availability=share,
        ready=ready,
        desired=desired,
        endpoints=None if reach is None else reach[0],
        crashing=faults + sum(_workload_faults(w.obj) for w in group),
        restarts=sum(_restarts(pod) for pod in pods),
    )
    return _figures(health, point, settings)


def _figures(health: ServiceHealth, point: SeriesPoint | None, settings: HealthSettings) -> ServiceHealth:
    """Add request figures and the score; without them failure is taken to be what is not available."""
    change: dict[str, Any] = {}
    if point is not None and (point.rate, point.error_rate, point.latency_p99) != (None, None, None):
        change = {
            "request_rate": point.rate,
            "error_rate": point.error_rate,
            "latency_p99": point.latency_p99,
            "source": "telemetry",
        }
    if health.availability is not None:
        error, latency = change.get("error_rate"), change.get("latency_p99") or 0.0
        error = 1 - health.availability if error is None else error
        asked = settings.of(f"{health.namespace}/{health.service}")
        change["score"] = score(health.availability, error, latency, asked)
    return health.model_copy(update=change)


def score(availability: float, error_rate: float, latency_p99: float, settings: HealthSettings) -> float:
    """Return the health formula with the weights of the settings; the mission's own with the default ones."""
    return (
        settings.weight_availability * availability
        - settings.weight_error_rate * error_rate
        - settings.weight_latency * latency_term(latency_p99, settings)
    )


def latency_term(latency_p99: float, settings: HealthSettings) -> float:
    """Map seconds of p99 to [0, 1): one half at the service's objective."""
    return latency_p99 / (latency_p99 + settings.latency_slo)


def _key(obj: Json) -> Key:
    return (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


def _workload(kind: str, obj: Json, pods: list[Json]) -> _Workload:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    wanted = status.get("desiredNumberScheduled", 0) if kind == "DaemonSet" else spec.get("replicas", 1)
    space = obj["metadata"].get("namespace", "")
    mine = [p for p in pods if p["metadata"].get("namespace", "") == space and _live(p)]
    selector = spec.get("selector") or {}
    return _Workload(obj, tuple(p for p in mine if _matches(selector, _labels(p))), int(wanted or 0))


def _live(pod: Json) -> bool:
    """Leave out pods that are on their way out or have finished: their failures are the past's."""
    phase = (pod.get("status") or {}).get("phase")
    reason = (pod.get("status") or {}).get("reason")
    return not pod["metadata"].get("deletionTimestamp") and phase != "Succeeded" and reason != "Evicted"


def _labels(obj: Json) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def _matches(selector: Json, labels: Mapping[str, str]) -> bool:
    wanted = selector.get("matchLabels") or {}
    rules = selector.get("matchExpressions") or ()
    if not wanted and not rules:
        return False
    return all(labels.get(k) == v for k, v in wanted.items()) and all(_holds(rule, labels) for rule in rules)


def _holds(rule: Json, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(rule["key"]), rule.get("values") or ()
    match rule.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return False


def _selects(service: Json, workload: Json) -> bool:
    if service["metadata"].get("namespace") != workload["metadata"].get("namespace"):
        return False
    template = ((workload.get("spec") or {}).get("template") or {}).get("metadata") or {}
    labels = template.get("labels") or {}
    return all(labels.get(k) == v for k, v in service["spec"]["selector"].items())


def _ready(pod: Json) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _statuses(pod: Json) -> list[Json]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _container_faults(pod: Json, now: float, settings: HealthSettings) -> int:
    """Count containers in an error state or that failed a moment ago, and the pod itself when no node takes it.

    A container that failed has to outlive its last run by half before it is taken to be well again, at least
    `quiet` and at most a quarter of `settle_max` seconds: one that runs for a while before it fails is in order then.
    """
    count = 0
    for status in _statuses(pod):
        state, last = status.get("state") or {}, (status.get("lastState") or {}).get("terminated") or {}
        waiting = (state.get("waiting") or {}).get("reason") in _states()["waiting"]
        failed = bool((state.get("terminated") or {}).get("exitCode"))
        began = _at((state.get("running") or {}).get("startedAt"))
        ran = _at(last.get("finishedAt")) - _at(last.get("startedAt")) if last.get("startedAt") else 0.0
        trial = began + min(TRIAL * ran, settings.settle_max / 4) if began else 0.0
        recent = bool(last.get("exitCode")) and now < max(_at(last.get("finishedAt")) + settings.quiet, trial)
        count += waiting or failed or recent
    conditions = (pod.get("status") or {}).get("conditions") or ()
    stuck = any(c.get("type") == "PodScheduled" and c.get("status") == "False" for c in conditions)
    return count + stuck


def _restarts(pod: Json) -> int:
    return sum(int(status.get("restartCount") or 0) for status in _statuses(pod))


def _workload_faults(obj: Json) -> int:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    rows = [row for row in _states()["conditions"] if row["kind"] == obj.get("kind")]
    return sum(any(c.get("type") == r["type"] and c.get("status") == r["status"] for c in conditions) for r in rows)


def _at(text: object) -> float:
    try:
        return parse_iso(str(text))
    except ValueError:
        return 0.0


def _reach(service: Json, slices: list[Json], pods: list[Json]) -> tuple[int, float]:
    """Return how many ready addresses stand behind a Service, and which share of its ports leads to an open door.

    A port leads nowhere when the slice does not resolve it, when the pod declares ports and this is none of them, or
    when it has strayed from the manifest that led where the pod's probes ask.
    """
    space, name = _key(service)
    by_name = {p["metadata"]["name"]: p for p in pods if p["metadata"].get("namespace") == space}
    wanted = (service.get("spec") or {}).get("ports") or ()
    addresses: set[str] = set()
    checks: list[bool] = []
    for item in slices:
        labels = _labels(item)
        if item["metadata"].get("namespace") != space or labels.get("kubernetes.io/service-name") != name:
            continue
        offered = {port.get("name") or "": port.get("port") for port in item.get("ports") or ()}
        for endpoint in item.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is False:
                continue
            pod = by_name.get((endpoint.get("targetRef") or {}).get("name", ""))
            declared = _declared(pod)
            spec = (pod or {}).get("spec") or {}
            doors = [
                _open(offered.get(port.get("name") or ""), declared) and not strayed(service, port, spec)
                for port in wanted
            ]
            checks += doors
            if any(doors) or not doors:
                addresses.update(endpoint.get("addresses") or ())
    return len(addresses), (sum(checks) / len(checks) if checks else 1.0)


def _open(number: int | None, declared: set[int]) -> bool:
    return number is not None and (not declared or number in declared)


def _declared(pod: Json | None) -> set[int]:
    spec = (pod or {}).get("spec") or {}
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return {int(p["containerPort"]) for c in containers for p in c.get("ports") or () if "containerPort" in p}


def _converged(kind: str, obj: Json) -> bool:
    spec, status, meta = obj.get("spec") or {}, obj.get("status") or {}, obj["metadata"]
    if int(status.get("observedGeneration") or 0) < int(meta.get("generation") or 0):
        return False
    if kind == "DaemonSet":
        wanted = int(status.get("desiredNumberScheduled") or 0)
        rolling = (spec.get("updateStrategy") or {}).get("type") != "OnDelete"
        updated = int(status.get("updatedNumberScheduled") or 0) if rolling else wanted
        return updated == wanted == int(status.get("numberReady") or 0)
    wanted = int(spec.get("replicas", 1) or 0)
    manual = spec.get("paused") or (spec.get("updateStrategy") or {}).get("type") == "OnDelete"
    updated = wanted if manual else int(status.get("updatedReplicas") or 0)
    total, ready = int(status.get("replicas") or 0), int(status.get("readyReplicas") or 0)
    return updated == wanted == total == ready
