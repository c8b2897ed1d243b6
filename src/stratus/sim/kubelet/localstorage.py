"""Which pods have written more to their node's disk than they may, in the words of the kubelet's evictions."""

from __future__ import annotations

from typing import Protocol

from stratus.sim.quantity import format_bytes, parse_quantity
from stratus.sim.store import Obj

STORAGE = "ephemeral-storage"


class Written(Protocol):
    """Tells the bytes that a container has written beside its image, or that a volume of a pod's own holds."""

    def __call__(self, pod: Obj, *, container: str = "", volume: str = "") -> float:
        """Return the bytes."""
        ...


def _limit(container: Obj) -> str | None:
    found: str | None = ((container.get("resources") or {}).get("limits") or {}).get(STORAGE)
    return found


def _on_disk(pod: Obj) -> list[Obj]:
    """Return the emptyDir volumes of a pod that lie on its node's disk."""
    volumes = pod["spec"].get("volumes") or ()
    return [v for v in volumes if v.get("emptyDir") is not None and v["emptyDir"].get("medium") in (None, "")]


def limited(pod: Obj) -> bool:
    """Tell whether a pod has limits on what it writes."""
    if any((v.get("emptyDir") or {}).get("sizeLimit") for v in pod["spec"].get("volumes") or ()):
        return True
    return any(_limit(c) for c in pod["spec"].get("containers") or ())


def exceeded(pod: Obj, written: Written) -> str:
    """Return why a pod is evicted for what it has written, nothing while it keeps its limits."""
    for volume in pod["spec"].get("volumes") or ():
        size = (volume.get("emptyDir") or {}).get("sizeLimit")
        if size and written(pod, volume=volume["name"]) > parse_quantity(size):
            return f'Usage of EmptyDir volume "{volume["name"]}" exceeds the limit "{size}". '
    containers = pod["spec"].get("containers") or ()
    limits = [_limit(c) for c in containers]
    if all(limits):
        total = sum(parse_quantity(limit) for limit in limits)
        used = sum(written(pod, container=c["name"]) for c in containers)
        used += sum(written(pod, volume=v["name"]) for v in _on_disk(pod))
        if used > total:
            shown = format_bytes(total)
            return f"Pod ephemeral local storage usage exceeds the total limit of containers {shown}. "
    for container in containers:
        limit = _limit(container)
        if limit and written(pod, container=container["name"]) > parse_quantity(limit):
            return f'Container {container["name"]} exceeded its local ephemeral storage limit "{limit}". '
    return ""
