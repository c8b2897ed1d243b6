"""Turns a capsule into a scenario: healthy is what the repair brought about, and the fault is what it took back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from stratus.bench.capsules.nouns import Capsule
from stratus.errors import UsageError
from stratus.model.base import Json

KINDS = (
    "ServiceAccount", "ConfigMap", "Secret", "PersistentVolumeClaim", "ResourceQuota", "LimitRange", "Role",
    "RoleBinding", "Service", "NetworkPolicy", "Ingress", "Deployment", "StatefulSet", "DaemonSet", "CronJob",
    "HorizontalPodAutoscaler", "PodDisruptionBudget",
)  # fmt: skip
"""Kinds that make up an application, in the order in which they are created."""
_OWN = (("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default"))
"""What every namespace has of itself."""
_SERVER = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink", "ownerReferences")
_CONTROLLED = "deployment.kubernetes.io/revision"


def to_scenario(capsule: Capsule, folder: Path, *, suite: str = "incidents") -> Path:
    """Write a suite of one scenario into a folder.

    On an embedded cluster it is the fault that was injected. Else the application is made of the objects observed, and
    the fault of what the verified repair changed, backwards. What its programs do is not known: its containers listen,
    answer probes, and fail as their objects make them fail.

    Returns:
        The scenario's file.

    Raises:
        UsageError: no repair was verified, so that nothing tells what healthy is; or a file cannot be written.
    """
    name = capsule.incident
    truth = _truth(capsule)
    if capsule.app and capsule.fault:
        body: Json = {"app": capsule.app, "faults": [{"fault": capsule.fault}]}
        return _write(folder, suite, name, body, truth, {})
    last = capsule.rounds[-1].case.observation
    changes = repaired(capsule)
    if not changes:
        raise UsageError(
            f"incident {name} has no verified repair in its journal: nothing tells what its healthy state is"
        )
    objects = {(o["kind"], _space(o), o["metadata"]["name"]): o for kind in KINDS for o in last.of(kind)}
    steps = []
    for key, (before, after) in changes.items():
        objects[key] = after
        steps.append({"do": "patch", "kind": key[0], "name": key[2], "namespace": key[1],
                      "patch": merge_patch(bare(after), bare(before))})  # fmt: skip
    spaces = sorted({space for _, space, _ in changes})
    kept = [
        bare(o) for key, o in sorted(objects.items(), key=_order) if key[1] in spaces and (key[0], key[2]) not in _OWN
    ]
    app: Json = {"name": name, "description": f"Made of incident {name}.", "namespace": spaces[0], "objects": kept}
    fault: Json = {"id": f"{name}-fault", "description": "What the repair took back.", "steps": steps}
    body = {"app": f"apps/{name}.yaml", "faults": [{"fault": fault["id"]}]}
    files: dict[str, Json] = {f"apps/{name}.yaml": app, "faults.yaml": {"faults": [fault]}}
    return _write(folder, suite, name, body, truth, files)


def repaired(capsule: Capsule) -> dict[tuple[str, str, str], tuple[Json, Json]]:
    """Return (before, after) of each object that committed transactions changed, by kind, namespace and name."""
    committed = {row.txn for row in capsule.journal if row.kind == "committed"}
    found: dict[tuple[str, str, str], tuple[Json, Json]] = {}
    pre: dict[tuple[str, int], Json] = {}
    for row in capsule.journal:
        if row.txn not in committed:
            continue
        if row.kind == "intended" and isinstance(row.body.get("before"), dict):
            pre[(row.txn, row.index)] = row.body["before"]
        after = row.body.get("after")
        before = pre.get((row.txn, row.index))
        if isinstance(after, dict) and before and after.get("kind") in KINDS:
            key = (str(after["kind"]), _space(after), str(after["metadata"]["name"]))
            found[key] = (found[key][0] if key in found else before, after)
    return found


def bare(obj: Json) -> Json:
    """Return an object as one would write it: without status and what the server adds."""
    meta = {k: v for k, v in obj["metadata"].items() if k not in _SERVER and k != "finalizers"}
    marks = {k: v for k, v in (meta.get("annotations") or {}).items() if k != _CONTROLLED and "last-applied" not in k}
    meta.pop("annotations", None)
    if marks:
        meta["annotations"] = marks
    found = {k: v for k, v in obj.items() if k not in ("status", "metadata")} | {"metadata": meta}
    if obj["kind"] == "Service":
        spec = dict(found["spec"])
        if spec.get("clusterIP") != "None":
            spec.pop("clusterIP", None)
            spec.pop("clusterIPs", None)
        found["spec"] = spec
    return found


def merge_patch(old: Any, new: Any) -> Any:
    """Return the JSON merge patch that leads from one document to another."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    patch: Json = {k: None for k in old if k not in new}
    for key, value in new.items():
        if key not in old:
            patch[key] = value
        elif old[key] != value:
            patch[key] = merge_patch(old[key], value)
    return patch


def _truth(capsule: Capsule) -> Json:
    cause = capsule.report.root_cause if capsule.report is not None else None
    if cause is None:
        return {"detection": True}
    kind, _, name = cause.object.partition("/")[2].partition("/")
    return {"objects": [f"{kind}/{name}"], "fault": cause.fault, "text": cause.summary}


def _write(folder: Path, suite: str, name: str, body: Json, truth: Json, files: dict[str, Json]) -> Path:
    scenario: Json = {
        "id": name, "title": truth.get("text") or f"Incident {name}", **body, "family": truth.get("fault", "unknown"),
        "tasks": {"detection": name, "localization": name, "mitigation": name}, "truth": truth,
        "original": [{"check": "all_ready"}, {"check": "alerts_cleared"}],
    }  # fmt: skip
    documents: dict[str, Json] = {
        "suite.yaml": {"name": suite, "title": "Incidents of our own", "source": "capsules"},
        f"{name}.yaml": {"scenarios": [scenario]},
        **files,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, document in documents.items():
            if file == "suite.yaml" and (folder / file).exists():
                continue
            if file == "faults.yaml" and (folder / file).exists():
                had = yaml.safe_load((folder / file).read_text(encoding="utf-8")) or {}
                others = [f for f in had.get("faults", ()) if f["id"] != f"{name}-fault"]
                document = {"faults": [*others, *document["faults"]]}
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"the scenario cannot be written to {folder}: {error.strerror}") from error
    return folder / f"{name}.yaml"


def _space(obj: Json) -> str:
    return str(obj["metadata"].get("namespace", ""))


def _order(item: tuple[tuple[str, str, str], Json]) -> tuple[int, str, str]:
    (kind, space, name), _ = item
    return KINDS.index(kind), space, name
