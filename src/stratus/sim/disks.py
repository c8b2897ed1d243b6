"""Volumes that are full: what a claim holds already, and what a datastore on a full one tells who wants to write."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stratus.sim.quantity import parse_quantity
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.generic import GenericRuntime

#: A PersistentVolumeClaim annotation: how much of it is in use before anybody writes, a quantity or a share (`97%`).
USED = "sim.stratus.dev/used"
#: The share of a volume from which on writes fail.
FULL = 0.999
_WRITES = re.compile(
    r"(insert|update|delete|set|put|add|write|produce|publish|save|create|remove|store|compose|upload|register|make|"
    r"place|charge|empty|reserve|flush|push|incr|expire|append)",
    re.IGNORECASE,
)
_TEXTS = {
    "mongodb": "(OutOfDiskSpace) available disk space of 0 bytes is less than required minimum of 524288000",
    "postgresql": 'ERROR: could not extend file "base/16384/16396": No space left on device',
    "redis": "MISCONF Errors writing to the AOF file: No space left on device",
    "kafka": "org.apache.kafka.common.errors.KafkaStorageException: No space left on device",
}


def in_use(claim: Obj | None) -> float:
    """Return the bytes that are in use on a claim's volume from the start."""
    text = str(((claim or {"metadata": {}})["metadata"].get("annotations") or {}).get(USED, ""))
    if text.endswith("%"):
        size = (((claim or {}).get("status") or {}).get("capacity") or {}).get("storage")
        try:
            return parse_quantity(size) * float(text[:-1]) / 100.0
        except ValueError:
            return 0.0
    return parse_quantity(text) if text else 0.0


def filled(runtime: GenericRuntime, pod: Obj) -> float:
    """Return how full the fullest claimed volume of a pod is, as a share."""
    fullest = 0.0
    for volume in pod["spec"].get("volumes") or ():
        name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if not name:
            continue
        claim = runtime.store.get("persistentvolumeclaims", pod["metadata"]["namespace"], name)
        size = parse_quantity((((claim or {}).get("status") or {}).get("capacity") or {}).get("storage"))
        if size:
            written = runtime.volumes.get((f"pvc {pod['metadata']['namespace']}", name))
            held = in_use(claim) + (written.size() if written is not None else 0.0)
            fullest = max(fullest, held / size)
    return fullest


def no_space(runtime: GenericRuntime, pod: Obj, kind: str, operation: str) -> str:
    """Return what a datastore on a full volume answers to an operation; empty when it can do it."""
    if not _WRITES.match(operation) or filled(runtime, pod) < FULL:
        return ""
    return _TEXTS.get(kind, "write failed: No space left on device")
