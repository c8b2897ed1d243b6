"""Pods placed as they were recorded go on running: their kubelets find the containers that their status tells of."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stratus.kit.clock import iso, parse_iso

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane
    from stratus.sim.kubelet.state import ContainerState, Instance

Json = dict[str, Any]


REVISION = "deployment.kubernetes.io/revision"


def with_replica_sets(objects: Iterable[Json]) -> list[Json]:
    """Return objects, and for each Deployment that has a revision and none of its ReplicaSets the one it must have.

    A recording of changes does not hold a ReplicaSet that did not change; without it the controller would begin a new
    revision.
    """
    listed = list(objects)
    owners = {r["uid"] for o in listed if o["kind"] == "ReplicaSet" for r in o["metadata"].get("ownerReferences") or ()}
    return listed + [
        _replica_set(o)
        for o in listed
        if o["kind"] == "Deployment"
        and (o["metadata"].get("annotations") or {}).get(REVISION)
        and o["metadata"].get("uid") not in owners
        and not any(_matches(o, other) for other in listed)
        and "deletionTimestamp" not in o["metadata"]
    ]


def _matches(deployment: Json, other: Json) -> bool:
    """Tell whether something is an orphan that the Deployment will adopt."""
    if other["kind"] != "ReplicaSet" or other["metadata"].get("namespace") != deployment["metadata"].get("namespace"):
        return False
    wanted = deployment["spec"]["selector"].get("matchLabels") or {}
    return bool(wanted) and wanted.items() <= (other["metadata"].get("labels") or {}).items()


def _replica_set(deployment: Json) -> Json:
    meta, spec = deployment["metadata"], deployment["spec"]
    digest = uuid.uuid5(uuid.UUID(meta["uid"]), "ReplicaSet").hex.translate(_LETTERS)[:10]
    labels = {**(spec["template"]["metadata"].get("labels") or {}), "pod-template-hash": digest}
    template = {**spec["template"], "metadata": {**spec["template"]["metadata"], "labels": labels}}
    notes = {k: v for k, v in meta["annotations"].items() if k != "kubectl.kubernetes.io/last-applied-configuration"}
    owner = {
        "apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"], "uid": meta["uid"], "controller": True,
        "blockOwnerDeletion": True,
    }  # fmt: skip
    replicas = spec.get("replicas", 1)
    surge = {"deployment.kubernetes.io/desired-replicas": str(replicas)}
    status = deployment.get("status") or {}
    counts = {k: status[k] for k in ("replicas", "readyReplicas", "availableReplicas") if k in status}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{meta['name']}-{digest}",
            "namespace": meta["namespace"],
            "uid": str(uuid.uuid5(uuid.UUID(meta["uid"]), "uid")),
            "creationTimestamp": meta.get("creationTimestamp"),
            "generation": 1,
            "labels": labels,
            "annotations": {**notes, **surge},
            "ownerReferences": [owner],
        },
        "spec": {
            "replicas": replicas,
            "minReadySeconds": spec.get("minReadySeconds", 0),
            "selector": {"matchLabels": {**spec["selector"].get("matchLabels", {}), "pod-template-hash": digest}},
            "template": template,
        },
        "status": {"observedGeneration": 1, "fullyLabeledReplicas": counts.get("replicas", 0), **counts},
    }


def with_pods(objects: Iterable[Json], moment: float) -> list[Json]:
    """Return objects, and the running pods that ReplicaSets and StatefulSets say they have and that were not recorded.

    Pods that did not change during any recorded command are in no recording of changes; without them controllers would
    begin by making them.
    """
    listed = list(objects)
    owned: dict[str, int] = {}
    names = {o["metadata"]["name"] for o in listed if o["kind"] == "Pod"}
    for obj in listed:
        for ref in obj["metadata"].get("ownerReferences") or () if obj["kind"] == "Pod" else ():
            owned[ref.get("uid", "")] = owned.get(ref.get("uid", ""), 0) + 1
    found = list(listed)
    for obj in listed:
        if obj["kind"] not in ("ReplicaSet", "StatefulSet") or "uid" not in obj["metadata"]:
            continue
        wanted = min(obj["spec"].get("replicas", 1), (obj.get("status") or {}).get("replicas", 0))
        for number in range(owned.get(obj["metadata"]["uid"], 0), wanted):
            pod = running_pod(obj, number, moment)
            if pod["metadata"]["name"] not in names:
                found.append(pod)
    return found


def with_references(objects: Iterable[Json]) -> list[Json]:
    """Return objects, and the ConfigMaps and Secrets without which the pods among them could not have run."""
    listed = list(objects)
    there = {(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in listed}
    missing: dict[tuple[str, str, str], set[str]] = {}
    for pod in listed:
        if pod["kind"] == "Pod" and (pod.get("status") or {}).get("phase") == "Running":
            for kind, name, keys in _references(pod["spec"]):
                missing.setdefault((kind, pod["metadata"]["namespace"], name), set()).update(keys)
    return listed + [
        {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {
                "name": name,
                "namespace": space,
                "uid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{space} {name}")),
            },
            "data": dict.fromkeys(sorted(keys), "dmFsdWU=" if kind == "Secret" else "value"),
        }
        for (kind, space, name), keys in missing.items()
        if (kind, space, name) not in there
    ]


def _references(spec: Json) -> Iterator[tuple[str, str, list[str]]]:
    """Yield kind, name and keys of what a pod's containers and volumes insist on."""
    for container in [*(spec.get("initContainers") or ()), *spec["containers"]]:
        for entry in container.get("env") or ():
            source = entry.get("valueFrom") or {}
            for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                if field in source and not source[field].get("optional"):
                    yield kind, source[field]["name"], [source[field]["key"]]
        for entry in container.get("envFrom") or ():
            for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if field in entry and not entry[field].get("optional"):
                    yield kind, entry[field]["name"], []
    for volume in spec.get("volumes") or ():
        for field, kind, name in (("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")):
            if field in volume and not volume[field].get("optional"):
                yield kind, volume[field][name], [item["key"] for item in volume[field].get("items") or ()]


def running_pod(owner: Json, number: int, moment: float) -> Json:
    """Return a pod of a ReplicaSet or StatefulSet that has run for a minute."""
    meta, template = owner["metadata"], owner["spec"]["template"]
    uid = uuid.uuid5(uuid.UUID(meta["uid"]), f"pod {number}")
    ordinal = owner["kind"] == "StatefulSet"
    name = f"{meta['name']}-{number if ordinal else uid.hex.translate(_LETTERS)[:5]}"
    labels = dict(template["metadata"].get("labels") or {})
    if ordinal:
        hashed = (owner.get("status") or {}).get("currentRevision", "")
        labels |= {"apps.kubernetes.io/pod-index": str(number), "controller-revision-hash": hashed}
        labels |= {"statefulset.kubernetes.io/pod-name": name}
    reference = {
        "apiVersion": "apps/v1", "kind": owner["kind"], "name": meta["name"], "uid": meta["uid"], "controller": True,
        "blockOwnerDeletion": True,
    }  # fmt: skip
    began = iso(moment - 60.0)
    ready = [
        {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": began}
        for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    ]
    node = number % 2 + 1
    statuses = [
        {
            "name": c["name"], "ready": True, "started": True, "restartCount": 0, "image": c["image"], "imageID": "",
            "containerID": f"containerd://{uid.hex}", "state": {"running": {"startedAt": began}},
        }
        for c in template["spec"]["containers"]
    ]  # fmt: skip
    address = f"10.244.{node}.{100 + uid.int % 150}"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "generateName": f"{meta['name']}-",
            "namespace": meta["namespace"],
            "uid": str(uid),
            "creationTimestamp": began,
            "generation": 1,
            "labels": labels,
            "ownerReferences": [reference],
        },
        "spec": {**template["spec"], "nodeName": f"node{node}", "enableServiceLinks": True},
        "status": {
            "phase": "Running", "hostIP": f"10.199.0.1{node}", "podIP": address, "podIPs": [{"ip": address}],
            "startTime": began, "qosClass": "BestEffort", "conditions": ready, "containerStatuses": statuses,
        },
    }  # fmt: skip


_LETTERS = str.maketrans("0123456789abcdef", "bcdfghjklmnpqrst")


def adopt(control: ControlPlane, pod: Json) -> None:
    """Let the kubelet of a pod's node take over the pod with the containers it had.

    A pod without a node, or one that has ended, is left as it is.
    """
    from stratus.sim.kubelet.state import ContainerState, PodState

    spec, status, meta = pod["spec"], pod.get("status") or {}, pod["metadata"]
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return
    told = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    if not told or not status.get("podIP"):
        return
    kubelet, now = control.kubelet, control.clock.now()
    containers: dict[str, ContainerState] = {}
    for entry in spec.get("initContainers") or ():
        sidecar = entry.get("restartPolicy") == "Always"
        containers[entry["name"]] = ContainerState(entry["name"], init=True, sidecar=sidecar)
    for entry in spec["containers"]:
        containers[entry["name"]] = ContainerState(entry["name"])
    started = parse_iso(status["startTime"]) if status.get("startTime") else now
    state = PodState(meta["uid"], spec["nodeName"], started, containers)
    state.ip, state.sandbox, state.mounted, state.workers_at = status["podIP"], True, True, now
    key = (meta["namespace"], meta["name"])
    kubelet.pods[key] = state
    specs = {entry["name"]: entry for entry in [*(spec.get("initContainers") or ()), *spec["containers"]]}
    for entry in told:
        container, wanted = containers.get(entry["name"]), specs.get(entry["name"])
        if container is None or wanted is None:
            continue
        kubelet.images.preload(wanted["image"], [spec["nodeName"]])
        container.last = _ended(entry, (entry.get("lastState") or {}).get("terminated"), entry["restartCount"] - 1)
        found = entry["state"]
        if "running" in found:
            _resume(control, pod, wanted, container, entry)
        elif "terminated" in found:
            container.current = _ended(entry, found["terminated"], entry["restartCount"])
        else:
            container.current, container.last = container.last, None
            waiting = found.get("waiting") or {}
            container.error = (waiting.get("reason", ""), waiting.get("message", ""))


def _resume(control: ControlPlane, pod: Json, spec: Json, container: ContainerState, told: Json) -> None:
    from stratus.sim.kubelet.environment import ConfigError, environment
    from stratus.sim.kubelet.state import Instance
    from stratus.sim.runtime import Run

    status, key = pod["status"], (pod["metadata"]["namespace"], pod["metadata"]["name"])
    try:
        env = environment(control.store, pod, spec, status["podIP"], status.get("hostIP", ""))
    except ConfigError:
        env = {}
    begun = parse_iso(told["state"]["running"]["startedAt"])
    instance = Instance(
        id=told.get("containerID", ""),
        restart=told["restartCount"],
        started_at=begun,
        run=Run(exit_after=None),
        image=told.get("image", ""),
        image_id=told.get("imageID", ""),
        started=bool(told.get("started", True)),
        ready=bool(told.get("ready")),
    )
    container.current = instance
    run = control.runtime.start(pod, spec, env, told["restartCount"])
    if run.reason == "StartError":
        return
    if run.exit_after is not None:
        # It has run for a while already.
        left = max(run.exit_after - (control.clock.now() - begun), 0.1)
        run = replace(run, exit_after=left)
    state = control.kubelet.pods[key]
    control.kubelet.prober.begin(pod, spec, state, container, instance)
    instance.started, instance.ready = bool(told.get("started", True)), bool(told.get("ready"))
    control.kubelet.reconsider(key, container.name, run)


def _ended(told: Json, end: Json | None, restart: int) -> Instance | None:
    from stratus.sim.kubelet.state import Instance
    from stratus.sim.runtime import Run

    if end is None:
        return None
    return Instance(
        id=end.get("containerID", ""),
        restart=max(restart, 0),
        started_at=parse_iso(end["startedAt"]) if end.get("startedAt") else 0.0,
        run=Run(exit_after=None),
        image=told.get("image", ""),
        image_id=told.get("imageID", ""),
        finished_at=parse_iso(end["finishedAt"]) if end.get("finishedAt") else 0.0,
        exit_code=end.get("exitCode", 0),
        reason=end.get("reason", ""),
        message=end.get("message", ""),
    )
