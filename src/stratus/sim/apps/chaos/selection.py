"""Which pods a chaos object is about, and what its words (durations, sizes, shares) mean."""

from __future__ import annotations

import math
import re
import zlib
from typing import Any

from stratus.sim.controllers.common import matches
from stratus.sim.quantity import parse_quantity
from stratus.sim.store import Obj, Store

GROUP = "chaos-mesh.org"
#: Kinds, their plurals, and the field of a Schedule that holds one.
KINDS = {
    "PodChaos": ("podchaos", "podChaos"), "NetworkChaos": ("networkchaos", "networkChaos"),
    "StressChaos": ("stresschaos", "stressChaos"), "HTTPChaos": ("httpchaos", "httpChaos"),
    "JVMChaos": ("jvmchaos", "jvmChaos"), "IOChaos": ("iochaos", "ioChaos"), "DNSChaos": ("dnschaos", "dnsChaos"),
    "TimeChaos": ("timechaos", "timeChaos"), "KernelChaos": ("kernelchaos", "kernelChaos"),
}  # fmt: skip
#: Kinds that need a kernel; they are taken, and say that nothing was injected.
NOT_COVERED = frozenset({"TimeChaos", "KernelChaos"})
RESOURCES = tuple(f"{plural}.{GROUP}" for plural, _ in KINDS.values())
SCHEDULES = f"schedules.{GROUP}"
#: What reading a spec that nobody validated may raise.
UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PIECE = re.compile(r"([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)")


def duration(text: Any) -> float:
    """Read a Go duration (`1m30s`); what is none is 0."""
    text = str(text or "").strip()
    pieces = _PIECE.findall(text)
    if "".join(n + u for n, u in pieces) != text:
        return 0.0
    return sum(float(number) * _UNITS[unit] for number, unit in pieces)


def share(text: Any) -> float:
    """Read a percentage, with or without its sign, as a number from 0 to 1."""
    try:
        return min(max(float(str(text or "0").rstrip("%")) / 100.0, 0.0), 1.0)
    except ValueError:
        return 0.0


def size(text: Any, whole: float) -> float:
    """Read an amount of memory in bytes (`256MB`, `1GiB`, `50%` of `whole`)."""
    text = str(text or "").strip()
    if text.endswith("%"):
        return share(text) * whole
    found = re.fullmatch(r"([0-9.]+)\s*([KMGT]?)(i?)B?", text, re.IGNORECASE)
    if found is None:
        return parse_quantity(text) if text else 0.0
    power = " KMGT".index(found.group(2).upper() or " ")
    # Chaos Mesh counts in powers of two either way.
    return float(found.group(1)) * 1024.0**power


def selected(store: Store, obj: Obj, spec: Obj) -> list[Obj]:
    """Return the pods that `selector`, `mode` and `value` choose, by name; the choice depends on the object's uid."""
    pods = [p for p in _candidates(store, obj, spec.get("selector") or {}) if _running(p)]
    mode = spec.get("mode", "all")
    if mode == "all" or not pods:
        return pods
    try:
        value = float(str(spec.get("value") or 1).rstrip("%"))
    except ValueError:
        value = 1.0
    count = 1
    if mode == "fixed":
        count = int(value)
    elif mode in ("fixed-percent", "random-max-percent"):
        count = math.floor(len(pods) * value / 100.0) if mode == "fixed-percent" else 1 + int(len(pods) * value / 200.0)
    uid = obj["metadata"].get("uid", "")
    pods.sort(key=lambda p: (zlib.crc32(f"{uid}/{p['metadata']['name']}".encode()), p["metadata"]["name"]))
    return sorted(pods[: max(count, 0)], key=lambda p: (p["metadata"]["namespace"], p["metadata"]["name"]))


def _running(pod: Obj) -> bool:
    return "deletionTimestamp" not in pod["metadata"] and (pod.get("status") or {}).get("phase") == "Running"


def _candidates(store: Store, obj: Obj, selector: Obj) -> list[Obj]:
    named = selector.get("pods") or {}
    spaces = selector.get("namespaces") or list(named) or [obj["metadata"].get("namespace", "")]
    wanted = {"matchLabels": selector.get("labelSelectors"), "matchExpressions": selector.get("expressionSelectors")}
    wanted = {k: v for k, v in wanted.items() if v}
    found = []
    for space in sorted(set(spaces)):
        for pod in store.list("pods", space):
            meta = pod["metadata"]
            if named and meta["name"] not in (named.get(space) or ()):
                continue
            if wanted and not matches(wanted, meta.get("labels")):
                continue
            noted = selector.get("annotationSelectors")
            if noted and not matches({"matchLabels": noted}, meta.get("annotations")):
                continue
            if selector.get("nodes") and pod["spec"].get("nodeName") not in selector["nodes"]:
                continue
            phases = selector.get("podPhaseSelectors")
            if phases and (pod.get("status") or {}).get("phase") not in phases:
                continue
            fields = selector.get("fieldSelectors") or {}
            if fields.get("metadata.name", meta["name"]) != meta["name"]:
                continue
            if selector.get("nodeSelectors"):
                node = store.get("nodes", "", pod["spec"].get("nodeName", ""))
                labels = node["metadata"].get("labels") if node is not None else {}
                if not matches({"matchLabels": selector["nodeSelectors"]}, labels):
                    continue
            found.append(pod)
    return found


def struck(obj: Obj) -> frozenset[tuple[str, str, str]]:
    """Return (namespace, pod, container or empty) that an object acts on now, from what is written in its status."""
    experiment = (obj.get("status") or {}).get("experiment") or {}
    found = set()
    for record in experiment.get("containerRecords") or ():
        if record.get("phase") == "Injected" and record.get("selectorKey", ".") == ".":
            parts = str(record.get("id", "")).split("/")
            found.add((parts[0], parts[1], parts[2] if len(parts) > 2 else ""))
    return frozenset(found)
