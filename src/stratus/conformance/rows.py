"""Objects of which a recorded table is the only witness, rebuilt from its rows as far as the rows tell."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from stratus.kit.clock import iso

Json = dict[str, Any]
_AGO = re.compile(r"(\d+) \((?:(\d+)m)?(?:(\d+)s)? ago\)")
#: Words of the STATUS column that are phases; the others are reasons of a waiting or ended container.
_PHASES = frozenset({"Running", "Pending", "Succeeded", "Failed", "Unknown"})


def rebuilt(kind: str, columns: list[str], row: Json, now: float) -> Json | None:
    """Return an object that prints as a row does, None for a kind whose rows tell too little.

    Args:
        kind: of the objects in the table.
        columns: names of the columns.
        row: with its cells and the metadata of its object.
        now: present moment, from which ages count.
    """
    make = _MAKERS.get(kind)
    meta = (row.get("object") or {}).get("metadata")
    if make is None or not meta:
        return None
    cells = dict(zip(columns, row["cells"], strict=False))
    version = "v1"
    group = _GROUPS.get(kind, "")
    found: Json = {"apiVersion": f"{group}/{version}" if group else version, "kind": kind, "metadata": meta}
    return {**found, **make(cells, now)}


def _namespace(cells: Json, now: float) -> Json:
    return {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": cells["Status"]}}


def _priority_class(cells: Json, now: float) -> Json:
    found = {"value": cells["Value"], "preemptionPolicy": cells.get("PreemptionPolicy", "PreemptLowerPriority")}
    return {**found, **({"globalDefault": True} if cells.get("Global-Default") else {})}


def _role(cells: Json, now: float) -> Json:
    return {"rules": []}


def _binding(cells: Json, now: float) -> Json:
    group = "rbac.authorization.k8s.io"
    kind, _, name = cells["Role"].partition("/")
    subjects: list[Json] = []
    for column, subject in (("Users", "User"), ("Groups", "Group")):
        subjects += [
            {"kind": subject, "apiGroup": group, "name": word} for word in (cells.get(column) or "").split(", ") if word
        ]
    for word in (cells.get("ServiceAccounts") or "").split(", "):
        if word:
            space, _, account = word.partition("/")
            subjects.append({"kind": "ServiceAccount", "name": account, "namespace": space})
    found: Json = {"roleRef": {"apiGroup": group, "kind": kind, "name": name}}
    return {**found, **({"subjects": subjects} if subjects else {})}


def _api_service(cells: Json, now: float) -> Json:
    version, _, group = cells["Name"].partition(".")
    spec = {"group": group, "version": version, "groupPriorityMinimum": 1000, "versionPriority": 1}
    available = {"type": "Available", "status": cells["Available"], "reason": cells["Service"], "message": ""}
    return {"spec": spec, "status": {"conditions": [available]}}


def _pod(cells: Json, now: float) -> Json:
    ready, _, total = cells["Ready"].partition("/")
    spec: Json = {"containers": [{"name": f"c{n}", "image": "image"} for n in range(int(total))]}
    if cells.get("Node") not in (None, "<none>"):
        spec["nodeName"] = cells["Node"]
    status: Json = {"phase": "Running"}
    if cells.get("IP") not in (None, "<none>"):
        status["podIP"], status["podIPs"] = cells["IP"], [{"ip": cells["IP"]}]
    statuses = [
        {"name": c["name"], "ready": n < int(ready), "restartCount": 0, "state": {"running": {}}}
        for n, c in enumerate(spec["containers"])
    ]
    if spec.get("nodeName"):
        status["containerStatuses"] = statuses
    obj: Json = {"spec": spec, "status": status}
    return as_printed(obj, cells, now)


def as_printed(pod: Json, cells: Json, now: float) -> Json:
    """Return a pod whose containers are in the state that the STATUS and RESTARTS columns of a row tell."""
    word, status = str(cells["Status"]), dict(pod.get("status") or {})
    statuses = [dict(s) for s in status.get("containerStatuses") or ()]
    if not statuses and word in _PHASES:
        return {**pod, "status": {**status, "phase": word}}
    if not statuses or word in ("Terminating",) or word.startswith("Init"):
        return pod
    first, ready = statuses[0], int(str(cells["Ready"]).partition("/")[0])
    match = _AGO.fullmatch(str(cells["Restarts"]))
    restarts = int(match[1]) if match else int(str(cells["Restarts"]).partition(" ")[0])
    ended = {"exitCode": 1, "reason": "Error"}
    if match:
        ago = 60 * int(match[2] or 0) + int(match[3] or 0)
        ended |= {"finishedAt": iso(now - ago), "startedAt": iso(now - ago)}
        first["lastState"] = {"terminated": ended}
    first["restartCount"] = restarts
    if word in _PHASES:
        status["phase"] = word
        if word == "Running":
            first["state"] = {"running": (first.get("state") or {}).get("running") or {"startedAt": iso(now)}}
    elif word in ("Completed", "Error", "OOMKilled"):
        code = 0 if word == "Completed" else 1
        first["state"] = {"terminated": {**ended, "exitCode": code, "reason": word}}
        status["phase"] = "Succeeded" if word == "Completed" and ready == 0 and not restarts else status.get("phase")
    else:
        first["state"] = {"waiting": {"reason": word}}
    if len(statuses) == 1:
        first["ready"] = ready == 1
    status["containerStatuses"] = statuses
    return {**pod, "status": status}


_GROUPS = {
    "PriorityClass": "scheduling.k8s.io",
    "ClusterRole": "rbac.authorization.k8s.io",
    "ClusterRoleBinding": "rbac.authorization.k8s.io",
    "APIService": "apiregistration.k8s.io",
}
_MAKERS: dict[str, Callable[[Json, float], Json]] = {
    "Namespace": _namespace,
    "PriorityClass": _priority_class,
    "ClusterRole": _role,
    "ClusterRoleBinding": _binding,
    "APIService": _api_service,
    "Pod": _pod,
}
