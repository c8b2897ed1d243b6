"""Workloads that do not get the pods they want, Jobs that fail, autoscalers that cannot act."""

from __future__ import annotations

from stratus.detection.detectors.scene import RECENT, Scene, anomaly
from stratus.kit.kube import (
    condition,
    created,
    desired_replicas,
    dig,
    event_first,
    event_message,
    event_time,
    labels_of,
    moment,
    name_of,
    namespace_of,
    ready_replicas,
)
from stratus.model.alerts import Severity
from stratus.model.base import Json
from stratus.model.diagnosis import Anomaly

SETTLE = 60.0
FAILED_JOB = 1800.0


def find(scene: Scene) -> list[Anomaly]:
    """Return anomalies of workloads, Jobs and autoscalers."""
    found = []
    for kind in ("Deployment", "StatefulSet", "DaemonSet"):
        for workload in scene.observation.of(kind):
            found += _workload(scene, workload)
    for owner in (*scene.observation.of("ReplicaSet"), *scene.observation.of("StatefulSet"),
                  *scene.observation.of("DaemonSet"), *scene.observation.of("Job")):  # fmt: skip
        found += _refused(scene, owner)
    found += [a for job in scene.observation.of("Job") if (a := _job(scene, job)) is not None]
    found += [a for hpa in scene.observation.of("HorizontalPodAutoscaler") if (a := _autoscaler(scene, hpa))]
    return found


def _service(scene: Scene, workload: Json) -> str:
    labels = dig(workload, "spec", "template", "metadata", "labels", default={})
    return scene.service_of(namespace_of(workload), labels) or name_of(workload)


def _workload(scene: Scene, workload: Json) -> list[Anomaly]:
    kind, name = workload["kind"], name_of(workload)
    wanted, ready = desired_replicas(workload), ready_replicas(workload)
    service = _service(scene, workload)
    progressing, available = condition(workload, "Progressing"), condition(workload, "Available")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        since = moment(progressing.get("lastTransitionTime"))
        return [anomaly("rollout-stuck", f"{kind} {name}: the rollout has timed out ({ready} of {wanted} ready)",
                        workload, service=service, since=since)]  # fmt: skip
    if ready >= wanted or scene.now - created(workload) < SETTLE:
        return []
    since = moment(available.get("lastTransitionTime")) if available.get("status") == "False" else 0.0
    if since and scene.now - since >= SETTLE:
        severity: Severity = "critical" if ready == 0 else "warning"
        return [anomaly("unavailable", f"{kind} {name}: {ready} of {wanted} replicas ready", workload,
                        service=service, severity=severity, since=since)]  # fmt: skip
    if kind != "Deployment" and ready < wanted and not _moving(scene, workload):
        severity = "warning" if ready else "critical"
        return [anomaly("unavailable", f"{kind} {name}: {ready} of {wanted} pods ready", workload,
                        service=service, severity=severity)]  # fmt: skip
    return []


def _moving(scene: Scene, workload: Json) -> bool:
    """Whether a pod of the workload was made a moment ago, so that it may still be on its way."""
    name = name_of(workload)
    return any(
        scene.workload_of(pod) == (workload["kind"], name) and scene.now - created(pod) < SETTLE
        for pod in scene.observation.of("Pod", namespace_of(workload))
    )


def _refused(scene: Scene, owner: Json) -> list[Anomaly]:
    """Pods that admission does not let in."""
    if owner["kind"] == "ReplicaSet":
        short = int(dig(owner, "status", "replicas", default=0)) < desired_replicas(owner)
        if not short:
            return []
    else:
        wanted = desired_replicas(owner)
        if owner["kind"] != "Job" and ready_replicas(owner) >= wanted:
            return []
        if owner["kind"] == "Job" and (dig(owner, "status", "active") or dig(owner, "status", "completionTime")):
            return []
    events = scene.events(owner, "FailedCreate")
    failure = condition(owner, "ReplicaFailure")
    if failure.get("status") != "True" and (not events or scene.now - event_time(events[-1]) > RECENT):
        return []
    text = failure.get("message") or event_message(events[-1])
    since = moment(failure.get("lastTransitionTime")) or event_first(events[0])
    labels = dig(owner, "spec", "template", "metadata", "labels", default={}) or labels_of(owner)
    service = scene.service_of(namespace_of(owner), labels) or name_of(owner)
    return [anomaly("pods-refused", f"{owner['kind']} {name_of(owner)} cannot create pods: {text}", owner,
                    service=service, severity="critical", since=since, kind="event")]  # fmt: skip


def _job(scene: Scene, job: Json) -> Anomaly | None:
    failed = condition(job, "Failed")
    at = moment(failed.get("lastTransitionTime"))
    if failed.get("status") != "True" or scene.now - at > FAILED_JOB:
        return None
    text = f"Job {name_of(job)} failed: {failed.get('message') or failed.get('reason', '')}"
    return anomaly("job-failed", text, job, service=name_of(job), since=at)


def _autoscaler(scene: Scene, hpa: Json) -> Anomaly | None:
    target = dig(hpa, "spec", "scaleTargetRef", default={})
    kind, name, namespace = target.get("kind", ""), target.get("name", ""), namespace_of(hpa)
    known = scene.observation.objects.get(kind)
    readable = kind in ("Deployment", "StatefulSet") and known is not None and kind not in scene.observation.missing
    if readable and scene.observation.find(kind, namespace, name) is None:
        text = f"HorizontalPodAutoscaler {name_of(hpa)} scales {kind} {name}, which does not exist"
        return anomaly("autoscaler", text, hpa, service=name)
    able = condition(hpa, "AbleToScale")
    if able.get("status") == "False" and able.get("reason") == "FailedGetScale":
        return anomaly("autoscaler", f"HorizontalPodAutoscaler {name_of(hpa)}: {able.get('message', '')}", hpa,
                       service=name, since=moment(able.get("lastTransitionTime")))  # fmt: skip
    limited = condition(hpa, "ScalingLimited")
    if limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas":
        # at its maximum: a fact worth knowing, not an incident by itself
        return anomaly("autoscaler", f"HorizontalPodAutoscaler {name_of(hpa)} is at its maximum", hpa,
                       service=name, severity="info", since=moment(limited.get("lastTransitionTime")))  # fmt: skip
    return None
