"""What a pod asks for as a whole, and the class of service that follows from it."""

from __future__ import annotations

from stratus.sim.api.podspec import qos_class
from stratus.sim.quantity import parse_quantity
from stratus.sim.store import Obj


def pod_requests(spec: Obj, part: str = "requests") -> dict[str, float]:
    """Return what a pod asks for (or is limited to), sidecars and init containers counted as the scheduler does."""
    total: dict[str, float] = {}
    sidecars: dict[str, float] = {}
    peak: dict[str, float] = {}
    for container in spec.get("initContainers") or ():
        asked = {k: parse_quantity(v) for k, v in ((container.get("resources") or {}).get(part) or {}).items()}
        if container.get("restartPolicy") == "Always":
            for name, value in asked.items():
                sidecars[name] = sidecars.get(name, 0.0) + value
            for name, value in sidecars.items():
                peak[name] = max(peak.get(name, 0.0), value)
        else:
            for name, value in asked.items():
                peak[name] = max(peak.get(name, 0.0), value + sidecars.get(name, 0.0))
    for container in spec.get("containers", ()):
        for name, value in ((container.get("resources") or {}).get(part) or {}).items():
            total[name] = total.get(name, 0.0) + parse_quantity(value)
    for name, value in sidecars.items():
        total[name] = total.get(name, 0.0) + value
    for name, value in peak.items():
        total[name] = max(total.get(name, 0.0), value)
    for name, value in (spec.get("overhead") or {}).items():
        total[name] = total.get(name, 0.0) + parse_quantity(value)
    return total


__all__ = ["pod_requests", "qos_class"]
