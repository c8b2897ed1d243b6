"""What kube-state-metrics tells of workloads, nodes and the other objects."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from stratus.sim.quantity import parse_quantity
from stratus.sim.store import Obj
from stratus.sim.telemetry.kubepods import pod_samples
from stratus.sim.telemetry.samples import Emitter, Sample, conditions, created

_TRUTH = ("true", "false", "unknown")
_UNITS = {"cpu": "core", "memory": "byte", "ephemeral-storage": "byte", "storage": "byte"}


def samples_of(resource: str, obj: Obj) -> list[Sample]:
    """Return the samples that one object makes by itself."""
    maker = _MAKERS.get(resource)
    if maker is None:
        return []
    return maker(obj)


def _start(obj: Obj, label: str) -> Emitter:
    meta = obj["metadata"]
    space = {"namespace": meta["namespace"]} if meta.get("namespace") else {}
    return Emitter(**space, **{label: meta["name"]})


def _conditions(emit: Emitter, metric: str, obj: Obj) -> None:
    for kind, status in conditions(obj):
        emit.choices(metric, "status", status, _TRUTH, condition=kind)


def _owners(emit: Emitter, metric: str, obj: Obj) -> None:
    owners = obj["metadata"].get("ownerReferences") or ()
    for one in owners:
        told = str(bool(one.get("controller"))).lower()
        emit.info(metric, owner_kind=one["kind"], owner_name=one["name"], owner_is_controller=told)


def _counts(emit: Emitter, part: Obj, table: dict[str, str]) -> None:
    for field, metric in table.items():
        emit(metric, part.get(field, 0))


def _share(value: Any, whole: int, *, up: bool) -> int:
    text = str(value)
    if not text.endswith("%"):
        return int(text or 0)
    part = whole * int(text[:-1])
    return -(-part // 100) if up else part // 100


def _deployment(obj: Obj) -> list[Sample]:
    emit = _start(obj, "deployment")
    spec, status = obj["spec"], obj.get("status") or {}
    created(emit, "deployment", obj)
    head = "kube_deployment_"
    wanted = spec.get("replicas", 1)
    _counts(
        emit,
        status,
        {
            "replicas": f"{head}status_replicas",
            "readyReplicas": f"{head}status_replicas_ready",
            "availableReplicas": f"{head}status_replicas_available",
            "unavailableReplicas": f"{head}status_replicas_unavailable",
            "updatedReplicas": f"{head}status_replicas_updated",
            "observedGeneration": f"{head}status_observed_generation",
        },
    )
    emit(f"{head}spec_replicas", wanted)
    emit(f"{head}spec_paused", bool(spec.get("paused")))
    emit(f"{head}metadata_generation", obj["metadata"].get("generation", 0))
    rolling = (spec.get("strategy") or {}).get("rollingUpdate")
    if rolling:
        emit(
            f"{head}spec_strategy_rollingupdate_max_unavailable",
            _share(rolling.get("maxUnavailable", 0), wanted, up=False),
        )
        emit(f"{head}spec_strategy_rollingupdate_max_surge", _share(rolling.get("maxSurge", 0), wanted, up=True))
    _conditions(emit, f"{head}status_condition", obj)
    _owners(emit, f"{head}owner", obj)
    return emit.samples


def _replicaset(obj: Obj) -> list[Sample]:
    emit = _start(obj, "replicaset")
    created(emit, "replicaset", obj)
    head = "kube_replicaset_"
    _counts(
        emit,
        obj.get("status") or {},
        {
            "replicas": f"{head}status_replicas",
            "fullyLabeledReplicas": f"{head}status_fully_labeled_replicas",
            "readyReplicas": f"{head}status_ready_replicas",
            "observedGeneration": f"{head}status_observed_generation",
        },
    )
    emit(f"{head}spec_replicas", obj["spec"].get("replicas", 1))
    emit(f"{head}metadata_generation", obj["metadata"].get("generation", 0))
    _owners(emit, f"{head}owner", obj)
    return emit.samples


def _statefulset(obj: Obj) -> list[Sample]:
    emit = _start(obj, "statefulset")
    created(emit, "statefulset", obj)
    head, status = "kube_statefulset_", obj.get("status") or {}
    _counts(
        emit,
        status,
        {
            "replicas": f"{head}status_replicas",
            "availableReplicas": f"{head}status_replicas_available",
            "currentReplicas": f"{head}status_replicas_current",
            "readyReplicas": f"{head}status_replicas_ready",
            "updatedReplicas": f"{head}status_replicas_updated",
            "observedGeneration": f"{head}status_observed_generation",
        },
    )
    emit(f"{head}replicas", obj["spec"].get("replicas", 1))
    emit(f"{head}metadata_generation", obj["metadata"].get("generation", 0))
    for field, metric in (("currentRevision", "current_revision"), ("updateRevision", "update_revision")):
        if status.get(field):
            emit.info(f"{head}status_{metric}", revision=status[field])
    return emit.samples


def _daemonset(obj: Obj) -> list[Sample]:
    emit = _start(obj, "daemonset")
    created(emit, "daemonset", obj)
    head = "kube_daemonset_"
    _counts(
        emit,
        obj.get("status") or {},
        {
            "currentNumberScheduled": f"{head}status_current_number_scheduled",
            "desiredNumberScheduled": f"{head}status_desired_number_scheduled",
            "numberAvailable": f"{head}status_number_available",
            "numberMisscheduled": f"{head}status_number_misscheduled",
            "numberReady": f"{head}status_number_ready",
            "numberUnavailable": f"{head}status_number_unavailable",
            "updatedNumberScheduled": f"{head}status_updated_number_scheduled",
            "observedGeneration": f"{head}status_observed_generation",
        },
    )
    emit(f"{head}metadata_generation", obj["metadata"].get("generation", 0))
    return emit.samples


def _job(obj: Obj) -> list[Sample]:
    emit = _start(obj, "job_name")
    spec, status = obj["spec"], obj.get("status") or {}
    created(emit, "job", obj)
    emit.info("kube_job_info")
    emit("kube_job_spec_parallelism", spec.get("parallelism"))
    emit("kube_job_spec_completions", spec.get("completions"))
    emit("kube_job_spec_active_deadline_seconds", spec.get("activeDeadlineSeconds"))
    for field in ("active", "succeeded", "failed"):
        emit(f"kube_job_status_{field}", status.get(field, 0))
    emit.moment("kube_job_status_start_time", status.get("startTime"))
    emit.moment("kube_job_status_completion_time", status.get("completionTime"))
    for kind, state in conditions(obj):
        if kind in ("Complete", "Failed"):
            emit.choices(f"kube_job_{kind.lower()}", "condition", state, _TRUTH)
    _owners(emit, "kube_job_owner", obj)
    return emit.samples


def _cronjob(obj: Obj) -> list[Sample]:
    emit = _start(obj, "cronjob")
    spec, status = obj["spec"], obj.get("status") or {}
    created(emit, "cronjob", obj)
    policy = spec.get("concurrencyPolicy", "Allow")
    emit.info("kube_cronjob_info", schedule=spec.get("schedule", ""), concurrency_policy=policy)
    emit("kube_cronjob_spec_suspend", bool(spec.get("suspend")))
    emit("kube_cronjob_status_active", len(status.get("active") or ()))
    emit.moment("kube_cronjob_status_last_schedule_time", status.get("lastScheduleTime"))
    emit.moment("kube_cronjob_status_last_successful_time", status.get("lastSuccessfulTime"))
    return emit.samples


def _hpa(obj: Obj) -> list[Sample]:
    emit = _start(obj, "horizontalpodautoscaler")
    spec, status = obj["spec"], obj.get("status") or {}
    head, target = "kube_horizontalpodautoscaler_", spec.get("scaleTargetRef") or {}
    emit.info(f"{head}info", scaletargetref_kind=target.get("kind", ""), scaletargetref_name=target.get("name", ""))
    emit(f"{head}spec_max_replicas", spec.get("maxReplicas"))
    emit(f"{head}spec_min_replicas", spec.get("minReplicas", 1))
    emit(f"{head}status_current_replicas", status.get("currentReplicas", 0))
    emit(f"{head}status_desired_replicas", status.get("desiredReplicas", 0))
    for one in spec.get("metrics") or ():
        resource = one.get("resource") or {}
        goal = resource.get("target") or {}
        emit(
            f"{head}spec_target_metric",
            goal.get("averageUtilization"),
            metric_name=resource.get("name", ""),
            metric_target_type="utilization",
        )
    _conditions(emit, f"{head}status_condition", obj)
    return emit.samples


def _pdb(obj: Obj) -> list[Sample]:
    emit = _start(obj, "poddisruptionbudget")
    created(emit, "poddisruptionbudget", obj)
    head = "kube_poddisruptionbudget_status_"
    _counts(
        emit,
        obj.get("status") or {},
        {
            "currentHealthy": f"{head}current_healthy",
            "desiredHealthy": f"{head}desired_healthy",
            "disruptionsAllowed": f"{head}pod_disruptions_allowed",
            "expectedPods": f"{head}expected_pods",
            "observedGeneration": f"{head}observed_generation",
        },
    )
    return emit.samples


def _claim(obj: Obj) -> list[Sample]:
    emit = _start(obj, "persistentvolumeclaim")
    spec, status = obj["spec"], obj.get("status") or {}
    head = "kube_persistentvolumeclaim_"
    created(emit, "persistentvolumeclaim", obj)
    emit.info(
        f"{head}info",
        storageclass=spec.get("storageClassName", ""),
        volumename=spec.get("volumeName", ""),
        volumemode=spec.get("volumeMode", ""),
    )
    emit.choices(f"{head}status_phase", "phase", status.get("phase", "Pending"), ("Lost", "Bound", "Pending"))
    asked = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    emit(f"{head}resource_requests_storage_bytes", parse_quantity(asked) if asked else None)
    for mode in spec.get("accessModes") or ():
        emit.info(f"{head}access_mode", access_mode=mode)
    return emit.samples


def _volume(obj: Obj) -> list[Sample]:
    emit = _start(obj, "persistentvolume")
    spec, status = obj["spec"], obj.get("status") or {}
    head = "kube_persistentvolume_"
    emit.info(f"{head}info", storageclass=spec.get("storageClassName", ""))
    phases = ("Pending", "Available", "Bound", "Released", "Failed")
    emit.choices(f"{head}status_phase", "phase", status.get("phase", "Pending"), phases)
    emit(f"{head}capacity_bytes", parse_quantity((spec.get("capacity") or {}).get("storage")))
    claim = spec.get("claimRef")
    if claim:
        emit.info(f"{head}claim_ref", claim_namespace=claim.get("namespace", ""), name=claim.get("name", ""))
    return emit.samples


def _resource(name: str) -> tuple[str, str]:
    return re.sub(r"[^a-zA-Z0-9_]", "_", name), _UNITS.get(name, "integer")


def _node(obj: Obj) -> list[Sample]:
    emit = _start(obj, "node")
    spec, status = obj["spec"], obj.get("status") or {}
    about = status.get("nodeInfo") or {}
    created(emit, "node", obj)
    emit.info(
        "kube_node_info",
        kernel_version=about.get("kernelVersion", ""),
        os_image=about.get("osImage", ""),
        container_runtime_version=about.get("containerRuntimeVersion", ""),
        kubelet_version=about.get("kubeletVersion", ""),
        pod_cidr=spec.get("podCIDR", ""),
        internal_ip=next((a["address"] for a in status.get("addresses") or () if a["type"] == "InternalIP"), ""),
    )
    for label in obj["metadata"].get("labels") or {}:
        if label.startswith("node-role.kubernetes.io/"):
            emit.info("kube_node_role", role=label.partition("/")[2])
    emit("kube_node_spec_unschedulable", bool(spec.get("unschedulable")))
    for taint in spec.get("taints") or ():
        emit.info("kube_node_spec_taint", key=taint["key"], value=taint.get("value", ""), effect=taint["effect"])
    _conditions(emit, "kube_node_status_condition", obj)
    for part in ("capacity", "allocatable"):
        for name, value in (status.get(part) or {}).items():
            resource, unit = _resource(name)
            emit(f"kube_node_status_{part}", parse_quantity(value), resource=resource, unit=unit)
    return emit.samples


def _namespace(obj: Obj) -> list[Sample]:
    emit = _start(obj, "namespace")
    created(emit, "namespace", obj)
    phase = (obj.get("status") or {}).get("phase", "Active")
    emit.choices("kube_namespace_status_phase", "phase", phase, ("Active", "Terminating"))
    labels = obj["metadata"].get("labels") or {}
    emit.info("kube_namespace_labels", **{"label_" + re.sub(r"[^a-zA-Z0-9_]", "_", k): v for k, v in labels.items()})
    return emit.samples


def _service(obj: Obj) -> list[Sample]:
    emit = _start(obj, "service")
    spec = obj["spec"]
    created(emit, "service", obj)
    emit.info("kube_service_info", cluster_ip=spec.get("clusterIP", ""), external_name=spec.get("externalName", ""))
    emit.info("kube_service_spec_type", type=spec.get("type", "ClusterIP"))
    return emit.samples


def _endpoints(obj: Obj) -> list[Sample]:
    emit = _start(obj, "endpoint")
    created(emit, "endpoint", obj)
    emit.info("kube_endpoint_info")
    ready = late = 0
    for subset in obj.get("subsets") or ():
        for field, told in (("addresses", "true"), ("notReadyAddresses", "false")):
            for address in subset.get(field) or ():
                ready, late = (ready + 1, late) if told == "true" else (ready, late + 1)
                emit.info("kube_endpoint_address", ip=address["ip"], ready=told)
        for port in subset.get("ports") or ():
            emit.info(
                "kube_endpoint_ports",
                port_name=port.get("name", ""),
                port_protocol=port.get("protocol", "TCP"),
                port_number=port["port"],
            )
    emit("kube_endpoint_address_available", ready)
    emit("kube_endpoint_address_not_ready", late)
    return emit.samples


def _quota(obj: Obj) -> list[Sample]:
    emit = _start(obj, "resourcequota")
    created(emit, "resourcequota", obj)
    for part in ("hard", "used"):
        for name, value in ((obj.get("status") or {}).get(part) or {}).items():
            emit("kube_resourcequota", parse_quantity(value), resource=name, type=part)
    return emit.samples


def _plain(kind: str) -> Callable[[Obj], list[Sample]]:
    def make(obj: Obj) -> list[Sample]:
        emit = _start(obj, kind)
        emit.info(f"kube_{kind}_info")
        created(emit, kind, obj)
        return emit.samples

    return make


_MAKERS: dict[str, Callable[[Obj], list[Sample]]] = {
    "pods": pod_samples,
    "nodes": _node,
    "namespaces": _namespace,
    "services": _service,
    "endpoints": _endpoints,
    "persistentvolumeclaims": _claim,
    "persistentvolumes": _volume,
    "resourcequotas": _quota,
    "configmaps": _plain("configmap"),
    "networkpolicies.networking.k8s.io": _plain("networkpolicy"),
    "ingresses.networking.k8s.io": _plain("ingress"),
    "deployments.apps": _deployment,
    "replicasets.apps": _replicaset,
    "statefulsets.apps": _statefulset,
    "daemonsets.apps": _daemonset,
    "jobs.batch": _job,
    "cronjobs.batch": _cronjob,
    "horizontalpodautoscalers.autoscaling": _hpa,
    "poddisruptionbudgets.policy": _pdb,
}
