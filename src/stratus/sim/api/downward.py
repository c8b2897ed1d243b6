"""References to a pod's own fields and resources, in variables and files."""

from __future__ import annotations

import re
from typing import Any

from stratus.sim.api.names import qualified_problems
from stratus.sim.api.status import Problems
from stratus.sim.schema.quantity import parse

Obj = dict[str, Any]
_ENV = ("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
        "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs")  # fmt: skip
_FILES = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_KNOWN = frozenset(
    {*_ENV, *_FILES, "spec.restartPolicy", "spec.schedulerName", "spec.hostNetwork", "status.phase",
     "status.nominatedNodeName"}
)  # fmt: skip
_SUBSCRIPTED = re.compile(r"(.*)\['(.*)'\]")
_RESOURCES = ("limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage",
              "requests.memory")  # fmt: skip
_BYTES = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")


def field_ref(path: str, ref: Obj, problems: Problems, *, volume: bool = False) -> None:
    """Check a reference to a field; files may hold more of them than variables."""
    if not ref.get("apiVersion"):
        problems.required(f"{path}.apiVersion")
        return
    place = ref.get("fieldPath", "")
    if not place:
        problems.required(f"{path}.fieldPath")
        return
    match = _SUBSCRIPTED.fullmatch(place)
    if match:
        holder, key = match[1], match[2]
        if holder not in ("metadata.annotations", "metadata.labels"):
            text = f"error converting fieldPath: field label does not support subscript: {place}"
            problems.invalid(f"{path}.fieldPath", place, text)
            return
        for problem in qualified_problems(key.lower() if holder.endswith("annotations") else key):
            problems.invalid(path, key.lower() if holder.endswith("annotations") else key, problem)
        return
    if place not in _KNOWN:
        text = f"error converting fieldPath: field label not supported: {place}"
        problems.invalid(f"{path}.fieldPath", place, text)
    elif place not in (_FILES if volume else _ENV):
        problems.unsupported(f"{path}.fieldPath", place, _FILES if volume else _ENV)


def resource_ref(path: str, ref: Obj, problems: Problems, *, volume: bool = False) -> None:
    """Check a reference to a container's requests or limits."""
    name = ref.get("resource", "")
    if volume and not ref.get("containerName"):
        problems.required(f"{path}.containerName")
    elif not name:
        problems.required(f"{path}.resource")
    elif name not in _RESOURCES and not name.startswith(("limits.hugepages-", "requests.hugepages-")):
        problems.unsupported(f"{path}.resource", name, _RESOURCES)
    _divisor(f"{path}.divisor", name, ref.get("divisor"), problems)


def _divisor(path: str, name: str, divisor: Any, problems: Problems) -> None:
    if divisor is None or parse(divisor) == 0:
        return
    if name in ("limits.cpu", "requests.cpu"):
        if str(divisor) not in ("1m", "1"):
            problems.invalid(path, name, "only divisor's values 1m and 1 are supported with the cpu resource")
    elif name.partition(".")[2] in ("memory", "ephemeral-storage") and str(divisor) not in _BYTES:
        word = "memory" if name.endswith("memory") else "local ephemeral storage"
        problems.invalid(
            path, name, f"only divisor's values {', '.join(_BYTES)} are supported with the {word} resource"
        )
