"""What kube-state-metrics and the kubelet tell of pods and their containers."""

from __future__ import annotations

from typing import Any

from stratus.kit.clock import parse_iso
from stratus.sim.quantity import parse_quantity
from stratus.sim.store import Obj
from stratus.sim.telemetry.samples import Emitter, Sample, conditions, created

_PHASES = ("Pending", "Succeeded", "Failed", "Unknown", "Running")
_REASONS = ("Evicted", "NodeAffinity", "NodeLost", "Shutdown", "UnexpectedAdmissionError")
_CLASSES = ("Guaranteed", "Burstable", "BestEffort")
_TRUTH = ("true", "false", "unknown")
_UNITS = {"cpu": "core", "memory": "byte", "ephemeral_storage": "byte"}
#: The kernel's scheduling period, in microseconds.
PERIOD = 100_000.0


def pod_samples(pod: Obj) -> list[Sample]:
    """Return the samples of a pod."""
    meta, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    emit = Emitter(namespace=meta["namespace"], pod=meta["name"], uid=meta["uid"])
    owner = next((o for o in meta.get("ownerReferences") or () if o.get("controller")), None)
    emit.info(
        "kube_pod_info",
        host_ip=status.get("hostIP", ""),
        pod_ip=status.get("podIP", ""),
        node=spec.get("nodeName", ""),
        created_by_kind=owner["kind"] if owner else "",
        created_by_name=owner["name"] if owner else "",
        priority_class=spec.get("priorityClassName", ""),
        host_network=str(bool(spec.get("hostNetwork"))).lower(),
    )
    if owner:
        emit.info("kube_pod_owner", owner_kind=owner["kind"], owner_name=owner["name"], owner_is_controller="true")
    created(emit, "pod", pod)
    emit.moment("kube_pod_start_time", status.get("startTime"))
    emit.moment("kube_pod_deletion_timestamp", meta.get("deletionTimestamp"))
    emit.info("kube_pod_restart_policy", type=spec.get("restartPolicy", "Always"))
    phase = status.get("phase", "Pending")
    emit.choices("kube_pod_status_phase", "phase", phase, _PHASES)
    emit.choices("kube_pod_status_reason", "reason", status.get("reason", ""), _REASONS)
    emit.choices("kube_pod_status_qos_class", "qos_class", status.get("qosClass", ""), _CLASSES)
    for kind, state in conditions(pod):
        if kind == "Ready":
            emit.choices("kube_pod_status_ready", "condition", state, _TRUTH)
        elif kind == "PodScheduled":
            emit.choices("kube_pod_status_scheduled", "condition", state, _TRUTH)
            if state == "false":
                emit("kube_pod_status_unschedulable", 1)
    for volume in spec.get("volumes") or ():
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if claim:
            emit.info(
                "kube_pod_spec_volumes_persistentvolumeclaims_info", volume=volume["name"], persistentvolumeclaim=claim
            )
    _containers(emit, spec.get("containers") or (), status.get("containerStatuses") or (), "kube_pod_container")
    _containers(
        emit,
        spec.get("initContainers") or (),
        status.get("initContainerStatuses") or (),
        "kube_pod_init_container",
    )
    for container in spec.get("containers") or ():
        _resources(emit, container, spec.get("nodeName", ""))
    return [*emit.samples, *_kubelet(pod)]


def _containers(emit: Emitter, specs: Any, statuses: Any, head: str) -> None:
    images = {c["name"]: c.get("image", "") for c in specs}
    for entry in statuses:
        name = entry["name"]
        state = entry.get("state") or {}
        emit.info(
            f"{head}_info",
            container=name,
            image=entry.get("image", ""),
            image_id=entry.get("imageID", ""),
            image_spec=images.get(name, ""),
            container_id=entry.get("containerID", ""),
        )
        emit(f"{head}_status_ready", bool(entry.get("ready")), container=name)
        emit(f"{head}_status_restarts_total", entry.get("restartCount", 0), container=name)
        for kind in ("waiting", "running", "terminated"):
            emit(f"{head}_status_{kind}", kind in state, container=name)
        for kind in ("waiting", "terminated"):
            reason = (state.get(kind) or {}).get("reason")
            if reason:
                emit.info(f"{head}_status_{kind}_reason", container=name, reason=reason)
        last = (entry.get("lastState") or {}).get("terminated")
        if last:
            if last.get("reason"):
                emit.info(f"{head}_status_last_terminated_reason", container=name, reason=last["reason"])
            emit(f"{head}_status_last_terminated_exitcode", last.get("exitCode"), container=name)
            emit.moment(f"{head}_status_last_terminated_timestamp", last.get("finishedAt"), container=name)
        emit.moment(f"{head}_state_started", (state.get("running") or {}).get("startedAt"), container=name)


def _resources(emit: Emitter, container: Obj, node: str) -> None:
    resources = container.get("resources") or {}
    for kind in ("requests", "limits"):
        for resource, value in (resources.get(kind) or {}).items():
            name = resource.replace("-", "_").replace("/", "_").replace(".", "_")
            emit(
                f"kube_pod_container_resource_{kind}",
                parse_quantity(value),
                container=container["name"],
                node=node,
                resource=name,
                unit=_UNITS.get(name, "integer"),
            )


def _kubelet(pod: Obj) -> list[Sample]:
    """Return what the kubelet's cAdvisor tells of containers that run and what they may use."""
    meta, spec = pod["metadata"], pod["spec"]
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    running = {
        e["name"]: e["state"]["running"].get("startedAt") for e in statuses if (e.get("state") or {}).get("running")
    }
    emit = Emitter(namespace=meta["namespace"], pod=meta["name"], instance=spec.get("nodeName", ""))
    for container in spec.get("containers") or ():
        name = container["name"]
        if name not in running:
            continue
        limits = (container.get("resources") or {}).get("limits") or {}
        asked = (container.get("resources") or {}).get("requests") or {}
        cpu = parse_quantity(limits.get("cpu"))
        more = {"container": name}
        emit("container_start_time_seconds", parse_iso(running[name]) if running[name] else None, **more)
        emit("container_spec_cpu_period", PERIOD, **more)
        emit("container_spec_cpu_quota", cpu * PERIOD if cpu else None, **more)
        emit("container_spec_cpu_shares", max(2.0, parse_quantity(asked.get("cpu")) * 1024), **more)
        emit("container_spec_memory_limit_bytes", parse_quantity(limits.get("memory")), **more)
    return emit.samples
