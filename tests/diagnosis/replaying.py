"""Observations out of recorded lifecycles of a real cluster: the world as it was at a moment of a recording."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

from stratus.kit.clock import parse_iso
from stratus.model.evidence import Observation

GOLDEN = Path(os.environ.get("STRATUS_GOLDEN") or Path(__file__).resolve().parents[3] / "shared" / "data" / "golden")
KINDS = (
    "Pod", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ControllerRevision", "Service", "EndpointSlice",
    "ConfigMap", "Event", "Job", "HorizontalPodAutoscaler", "PersistentVolumeClaim", "ResourceQuota", "Node",
)  # fmt: skip


def available() -> bool:
    """Whether the recordings are there."""
    return (GOLDEN / "lifecycles" / "index.json").is_file()


def recording(name: str) -> list[dict[str, Any]]:
    """Read one lifecycle."""
    with gzip.open(GOLDEN / "lifecycles" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def observed(name: str, at: float) -> Observation:
    """Return what a look at the cluster would have shown `at` seconds into a recording."""
    state: dict[tuple[str, str], dict[str, Any]] = {}
    began = None
    for record in recording(name):
        kind = record.get("kind")
        if kind not in KINDS or "object" not in record:
            continue
        if began is None and record["type"] == "ADDED" and kind in ("Deployment", "StatefulSet", "Pod", "Job"):
            began = parse_iso(record["object"]["metadata"]["creationTimestamp"]) - record["t"]
        if record["t"] > at:
            continue
        key = (kind, record["name"])
        if record["type"] == "DELETED":
            state.pop(key, None)
        else:
            state[key] = {"kind": kind, **record["object"]}
    objects: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for (kind, _), obj in sorted(state.items()):
        objects[kind].append(obj)
    namespace = f"lc-{name}"
    return Observation(
        at=(began or 0.0) + at,
        window=300,
        namespaces=(namespace,),
        objects={k: tuple(v) for k, v in objects.items()},
        missing={"metrics": "no metrics source is configured"},
    )
