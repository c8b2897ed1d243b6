"""Tries things from within a copy of the cluster: a connection, a command, another pod."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING

from stratus.model.base import Json

if TYPE_CHECKING:
    from stratus.sim.cluster import EmbeddedCluster


def running_pod(cluster: EmbeddedCluster, workload: str) -> Json | None:
    """Return a running pod of a workload (`Kind/name` in the application's namespace), ready ones first."""
    kind, _, name = workload.partition("/")
    resource = {"Deployment": "deployments.apps", "StatefulSet": "statefulsets.apps", "DaemonSet": "daemonsets.apps"}
    owner = cluster.store.get(resource.get(kind, kind), cluster.namespace, name)
    if owner is None:
        return None
    labels = (owner["spec"].get("selector") or {}).get("matchLabels") or {}
    pods = [
        p
        for p in cluster.store.list("pods", cluster.namespace)
        if labels.items() <= (p["metadata"].get("labels") or {}).items() and p["status"].get("phase") == "Running"
    ]

    def unready(pod: Json) -> bool:
        told = pod["status"].get("containerStatuses") or ()
        return not all(c.get("ready") for c in told)

    return min(pods, key=unready, default=None)


def reach(cluster: EmbeddedCluster, pod: Json, host: str, port: int) -> str:
    """Return `ok` when a name resolves from a pod and its port answers, otherwise what happened."""
    from stratus.sim.network import Reached

    outcome = cluster.control.network.connect(pod, host, port)
    return "ok" if isinstance(outcome, Reached) else f"{type(outcome).__name__}: {host}:{port}"


def execute(cluster: EmbeddedCluster, pod: Json, command: tuple[str, ...], output: str | None) -> str:
    """Return `ok` when a command ends well in a pod's first container (and prints a text), otherwise what happened."""
    result = cluster.runtime.exec(pod, pod["spec"]["containers"][0], list(command), "")
    if result.exit_code:
        return f"code {result.exit_code}: {(result.stderr or result.stdout).strip()[:200]}"
    if output is not None and result.stdout.strip() != output:
        return f"printed {result.stdout.strip()[:200]!r}"
    return "ok"


def admit(cluster: EmbeddedCluster, pod: Json, bare: bool) -> str:
    """Return `ok` when the API would create another pod like one, otherwise its refusal."""
    from stratus.sim.api import ApiServer, Request, Response

    spec = copy.deepcopy(pod["spec"])
    for name in ("nodeName", "serviceAccountName", "serviceAccount"):
        spec.pop(name, None)
    token = [v["name"] for v in spec.get("volumes") or () if v["name"].startswith("kube-api-access")]
    spec["volumes"] = [v for v in spec.get("volumes") or () if v["name"] not in token]
    for container in spec["containers"]:
        mounts = container.get("volumeMounts") or ()
        container["volumeMounts"] = [m for m in mounts if m["name"] not in token]
        if bare:
            container.pop("resources", None)
    meta = {"name": "oracle-probe", "namespace": cluster.namespace, "labels": pod["metadata"].get("labels") or {}}
    body = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}).encode()
    path = f"/api/v1/namespaces/{cluster.namespace}/pods?dryRun=All"
    answer = ApiServer.handle(cluster.api, Request("POST", path, {"content-type": "application/json"}, body))
    if isinstance(answer, Response) and answer.status < 300:
        return "ok"
    return str((answer.obj or {}).get("message", answer.status) if isinstance(answer, Response) else "a stream")[:300]
