"""How many replicas a metric calls for: the arithmetic of the autoscaler, over what pods use and ask for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from stratus.sim.controllers.common import condition
from stratus.sim.quantity import format_milli, parse_quantity
from stratus.sim.store import Obj

#: Seconds after a pod's start in which its CPU use does not count while it gets ready, and of one measurement.
WARMING, WINDOW, READY_DELAY = 300.0, 30.0, 30.0


class NoMetric(Exception):
    """A metric cannot be had; the text is the controller's."""


@dataclass(slots=True)
class Pods:
    """The pods of a target by how they count."""

    measured: dict[str, float] = field(default_factory=dict)
    unready: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    asked: dict[str, float] = field(default_factory=dict)
    ready: int = 0


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one metric calls for: replicas, what it is called, and its entry in status.currentMetrics."""

    replicas: int
    name: str
    current: Obj


def containers_of(pod: Obj, only: str) -> list[Obj]:
    """Return a pod's containers that count: all (sidecars too), or the one that is named."""
    sidecars = [c for c in pod["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"]
    found = [*pod["spec"].get("containers", ()), *sidecars]
    return [c for c in found if c["name"] == only] if only else found


def requests(pods: list[Obj], resource: str, only: str) -> dict[str, float]:
    """Return what each pod asks for.

    Raises:
        NoMetric: a container asks for nothing.
    """
    found = {}
    for pod in pods:
        total = 0.0
        chosen = containers_of(pod, only)
        if only and not chosen:
            raise NoMetric(f"container {only} not found in Pod {pod['metadata']['name']}")
        for container in chosen:
            request = ((container.get("resources") or {}).get("requests") or {}).get(resource)
            if request is None:
                raise NoMetric(
                    f"missing request for {resource} in container {container['name']} of Pod {pod['metadata']['name']}"
                )
            total += parse_quantity(request)
        found[pod["metadata"]["name"]] = total
    return found


def is_unready(pod: Obj, resource: str, started: float | None, ready_since: float | None, now: float) -> bool:
    """Tell whether a pod's use does not count yet."""
    if resource != "cpu":
        return False
    found = condition(pod, "Ready")
    if found is None or started is None:
        return True
    if started + WARMING > now:
        return found["status"] != "True" or now < (ready_since or now) + WINDOW
    return found["status"] != "True" and started + READY_DELAY > (ready_since or 0.0)


def by_utilization(pods: Pods, target: float, current: int, low: float, high: float) -> tuple[int, float, float]:
    """Return (replicas, use in percent of what is asked for, average use) for a target utilisation."""
    names = list(pods.measured)
    whole = sum(pods.asked.get(n, 0.0) for n in names)
    used = sum(pods.measured.values())
    if not whole:
        raise NoMetric("no metrics returned matched known pods")
    utilization = math.floor(used * 100 / whole + 1e-9)
    filler = {n: pods.asked.get(n, 0.0) * max(100.0, target) / 100.0 for n in pods.missing}
    count = _count(
        pods,
        utilization / target,
        current,
        filler,
        lambda use: sum(use.values()) * 100 / (sum(pods.asked.get(n, 0.0) for n in use) or 1.0) / target,
        (low, high),
    )
    return count, utilization, used / len(names)


def by_average(pods: Pods, target: float, current: int, low: float, high: float) -> tuple[int, float]:
    """Return (replicas, average use) for a target average."""
    used = sum(pods.measured.values())
    average = used / len(pods.measured)
    filler = dict.fromkeys(pods.missing, target)
    count = _count(
        pods,
        average / target,
        current,
        filler,
        lambda use: sum(use.values()) / len(use) / target,
        (low, high),
    )
    return count, average


def within(ratio: float, bounds: tuple[float, float]) -> bool:
    """Tell whether a ratio is near enough to one."""
    return 1.0 - bounds[0] - 1e-9 <= ratio <= 1.0 + bounds[1] + 1e-9


def _count(
    pods: Pods,
    ratio: float,
    current: int,
    filler: dict[str, float],
    again: Callable[[dict[str, float]], float],
    bounds: tuple[float, float],
) -> int:
    waiting = bool(pods.unready) and ratio > 1.0
    if not waiting and not pods.missing:
        return current if within(ratio, bounds) else math.ceil(ratio * pods.ready - 1e-9)
    use = dict(pods.measured)
    for name in pods.missing:
        # Those nobody has measured are taken for what makes the change smaller.
        use[name] = filler[name] if ratio < 1.0 else 0.0
    if waiting:
        use.update(dict.fromkeys(pods.unready, 0.0))
    new = again(use)
    if within(new, bounds) or (ratio < 1.0 < new) or (new < 1.0 < ratio):
        return current
    replicas = math.ceil(new * len(use) - 1e-9)
    if (new < 1.0 and replicas > current) or (new > 1.0 and replicas < current):
        return current
    return replicas


def shown(resource: str, value: float) -> str:
    """Write an average as status does."""
    return format_milli(math.ceil(value * 1000 - 1e-6) / 1000) if resource == "cpu" else str(int(value))
