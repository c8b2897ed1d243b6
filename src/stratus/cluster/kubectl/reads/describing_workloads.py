"""Descriptions of pods and of what makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stratus.cluster.kubectl.reads.base import Look
from stratus.cluster.kubectl.reads.podtext import (
    Lines,
    containers,
    notes,
    placement,
    pod_template,
    several,
    volumes,
)
from stratus.cluster.kubectl.reads.spans import written
from stratus.errors import ClusterError
from stratus.kit.kube import controller, dig
from stratus.model.base import Json


def _head(obj: Json, *, created: bool = False) -> Lines:
    meta = obj["metadata"]
    lines = [f"Name:\t{meta['name']}", f"Namespace:\t{meta.get('namespace', '')}"]
    return [*lines, f"CreationTimestamp:\t{written(meta.get('creationTimestamp'))}"] if created else lines


def _marks(obj: Json) -> Lines:
    meta = obj["metadata"]
    return [*several("Labels", meta.get("labels")), *notes(meta.get("annotations"))]


def selector_text(selector: Json | None) -> str:
    """Return a label selector in one line."""
    parts = [f"{k}={v}" for k, v in sorted(((selector or {}).get("matchLabels") or {}).items())]
    for rule in (selector or {}).get("matchExpressions") or ():
        values = ",".join(sorted(rule.get("values") or ()))
        words = {"In": f"{rule['key']} in ({values})", "NotIn": f"{rule['key']} notin ({values})"}
        words |= {"Exists": rule["key"], "DoesNotExist": f"!{rule['key']}"}
        parts.append(words.get(rule["operator"], str(rule)))
    return ",".join(parts) or "<none>"


def _conditions(obj: Json, *, reasons: bool = True) -> Lines:
    found = dig(obj, "status", "conditions", default=[])
    if not found:
        return []
    lines = ["Conditions:", "  Type\tStatus\tReason" if reasons else "  Type\tStatus"]
    lines += ["  ----\t------\t------"] if reasons else []
    for c in found:
        lines.append(
            f"  {c['type']}\t{c['status']}\t{c.get('reason', '')}" if reasons else f"  {c['type']}\t{c['status']} "
        )
    return lines


def _owner(obj: Json) -> Lines:
    owner = controller(obj)
    return [f"Controlled By:\t{owner[0]}/{owner[1]}"] if owner else []


def _listed(look: Look, kind: str, obj: Json) -> list[Json]:
    """Return the objects of a kind that this one's selector chooses and that it controls."""
    selector = selector_text(dig(obj, "spec", "selector"))
    try:
        found = look.reader.list(kind, obj["metadata"].get("namespace"), label_selector=selector)
    except ClusterError:
        return []
    uid = obj["metadata"].get("uid")
    return [o for o in found if (owner := controller(o)) is not None and owner[2] == uid]


def _pods_status(look: Look, obj: Json) -> str:
    phases = [str(dig(p, "status", "phase", default="")) for p in _listed(look, "v1/Pod", obj)]
    running, waiting, done, failed = (phases.count(p) for p in ("Running", "Pending", "Succeeded", "Failed"))
    return f"Pods Status:\t{running} Running / {waiting} Waiting / {done} Succeeded / {failed} Failed"


def pod(look: Look, obj: Json) -> Lines:
    """Describe a Pod."""
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    lines = _head(obj)
    if "priority" in spec:
        lines.append(f"Priority:\t{spec['priority']}")
    if spec.get("priorityClassName"):
        lines.append(f"Priority Class Name:\t{spec['priorityClassName']}")
    if spec.get("runtimeClassName"):
        lines.append(f"Runtime Class Name:\t{spec['runtimeClassName']}")
    lines.append(f"Service Account:\t{spec.get('serviceAccountName', '')}")
    lines.append(f"Node:\t{spec['nodeName']}/{status.get('hostIP', '')}" if spec.get("nodeName") else "Node:\t<none>")
    if status.get("startTime"):
        lines.append(f"Start Time:\t{written(status['startTime'])}")
    lines += _marks(obj)
    if meta.get("deletionTimestamp"):
        lines.append(f"Status:\tTerminating (since {written(meta['deletionTimestamp'])})")
        lines.append(f"Termination Grace Period:\t{meta.get('deletionGracePeriodSeconds', 0)}s")
    else:
        lines.append(f"Status:\t{status.get('phase', '')}")
    for title, key in (("Reason", "reason"), ("Message", "message")):
        if status.get(key):
            lines.append(f"{title}:\t{status[key]}")
    lines.append(f"IP:\t{status.get('podIP', '')}")
    addresses = [f"  IP:\t{a['ip']}" for a in status.get("podIPs") or ()]
    lines += ["IPs:", *addresses] if addresses else ["IPs:\t<none>"]
    lines += _owner(obj)
    for title, field, held in (
        ("Init Containers", "initContainers", "initContainerStatuses"),
        ("Containers", "containers", "containerStatuses"),
        ("Ephemeral Containers", "ephemeralContainers", "ephemeralContainerStatuses"),
    ):
        if spec.get(field):
            statuses = {s["name"]: s for s in status.get(held) or ()}
            lines += [f"{title}:", *containers(spec[field], statuses)]
    lines += _conditions(obj, reasons=False)
    lines += ["  ".join(("", line[1:])) if line.startswith(" ") and not line.startswith("  ") else line
              for line in volumes(spec)]  # fmt: skip
    lines.append(f"QoS Class:\t{status.get('qosClass', '')}")
    return [*lines, *placement(spec)]


def deployment(look: Look, obj: Json) -> Lines:
    """Describe a Deployment."""
    spec, status = obj["spec"], obj.get("status") or {}
    counts = [status.get(k, 0) for k in ("updatedReplicas", "replicas", "availableReplicas", "unavailableReplicas")]
    lines = [*_head(obj, created=True), *_marks(obj), f"Selector:\t{selector_text(spec.get('selector'))}"]
    lines.append(
        f"Replicas:\t{spec.get('replicas', 1)} desired | {counts[0]} updated | {counts[1]} total | "
        f"{counts[2]} available | {counts[3]} unavailable"
    )
    if spec.get("paused"):
        lines.append("Paused:\ttrue (changes of the template are not rolled out)")
    strategy = spec.get("strategy") or {}
    lines += [f"StrategyType:\t{strategy.get('type', '')}", f"MinReadySeconds:\t{spec.get('minReadySeconds', 0)}"]
    rolling = strategy.get("rollingUpdate")
    if rolling:
        lines.append(
            f"RollingUpdateStrategy:\t{rolling.get('maxUnavailable')} max unavailable, "
            f"{rolling.get('maxSurge')} max surge"
        )
    lines += [*pod_template(spec.get("template") or {}), *_conditions(obj)]
    revision = (obj["metadata"].get("annotations") or {}).get(_REVISION)
    sets = sorted(_listed(look, "apps/v1/ReplicaSet", obj), key=_number)
    new = [rs for rs in sets if (rs["metadata"].get("annotations") or {}).get(_REVISION) == revision and revision]
    old = [rs for rs in sets if rs not in new]
    lines.append(f"OldReplicaSets:\t{', '.join(map(_created, old)) or '<none>'}")
    return [*lines, f"NewReplicaSet:\t{', '.join(map(_created, new)) or '<none>'}"]


_REVISION = "deployment.kubernetes.io/revision"


def _number(rs: Json) -> int:
    text = str((rs["metadata"].get("annotations") or {}).get(_REVISION, ""))
    return int(text) if text.isdigit() else 0


def _created(rs: Json) -> str:
    held = dig(rs, "status", "replicas", default=0)
    return f"{rs['metadata']['name']} ({held}/{dig(rs, 'spec', 'replicas', default=1)} replicas created)"


def replica_set(look: Look, obj: Json) -> Lines:
    """Describe a ReplicaSet or ReplicationController."""
    spec = obj["spec"]
    chosen = spec.get("selector")
    plain = obj["kind"] == "ReplicationController"
    selector = selector_text({"matchLabels": chosen} if plain else chosen)
    lines = [*_head(obj), f"Selector:\t{selector}", *_marks(obj), *_owner(obj)]
    held = dig(obj, "status", "replicas", default=0)
    lines.append(f"Replicas:\t{held} current / {spec.get('replicas', 1)} desired")
    target = {**obj, "spec": {**spec, "selector": {"matchLabels": chosen}}} if plain else obj
    lines += [_pods_status(look, target), *pod_template(spec.get("template") or {})]
    return [*lines, *_conditions(obj)]


def stateful_set(look: Look, obj: Json) -> Lines:
    """Describe a StatefulSet."""
    spec = obj["spec"]
    lines = [*_head(obj, created=True), f"Selector:\t{selector_text(spec.get('selector'))}", *_marks(obj)]
    if spec.get("serviceName"):
        lines.append(f"Service Name:\t{spec['serviceName']}")
    if spec.get("podManagementPolicy"):
        lines.append(f"Pod Management Policy:\t{spec['podManagementPolicy']}")
    held = dig(obj, "status", "replicas", default=0)
    lines.append(f"Replicas:\t{spec.get('replicas', 1)} desired | {held} total")
    strategy = spec.get("updateStrategy") or {}
    lines.append(f"Update Strategy:\t{strategy.get('type', '')}")
    if strategy.get("rollingUpdate"):
        lines.append(f"  Partition:\t{strategy['rollingUpdate'].get('partition', 0)}")
    retention = spec.get("persistentVolumeClaimRetentionPolicy")
    if retention:
        lines.append("Persistent Volume Claim Retention Policy:")
        lines += [f"  {k[0].upper()}{k[1:]}:\t{v}" for k, v in sorted(retention.items())]
    lines += [_pods_status(look, obj), *pod_template(spec.get("template") or {})]
    claims = spec.get("volumeClaimTemplates") or []
    lines.append("Volume Claims:" if claims else "Volume Claims:\t<none>")
    for claim in claims:
        asked = claim.get("spec") or {}
        lines += [f"  Name:\t{claim['metadata']['name']}", f"  StorageClass:\t{asked.get('storageClassName', '')}"]
        lines += [f"  {line}" for line in _marks(claim)]
        lines.append(f"  Capacity:\t{dig(asked, 'resources', 'requests', 'storage', default='')}")
        lines.append(f"  Access Modes:\t[{' '.join(asked.get('accessModes') or ())}]")
    return lines


def daemon_set(look: Look, obj: Json) -> Lines:
    """Describe a DaemonSet."""
    spec, status = obj["spec"], obj.get("status") or {}
    chosen = dig(spec, "template", "spec", "nodeSelector")
    lines = [*_head(obj), f"Selector:\t{selector_text(spec.get('selector'))}"]
    lines.append(f"Node-Selector:\t{selector_text({'matchLabels': chosen or {}})}")
    lines += _marks(obj)
    for title, key in (
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ):
        lines.append(f"{title}: {status.get(key, 0)}")
    return [*lines, _pods_status(look, obj), *pod_template(spec.get("template") or {})]


def job(look: Look, obj: Json) -> Lines:
    """Describe a Job."""
    spec, status = obj["spec"], obj.get("status") or {}
    lines = [*_head(obj), f"Selector:\t{selector_text(spec.get('selector'))}", *_marks(obj), *_owner(obj)]
    parallel, wanted = spec.get("parallelism"), spec.get("completions")
    lines.append(f"Parallelism:\t{'<unset>' if parallel is None else parallel}")
    lines.append(f"Completions:\t{'<unset>' if wanted is None else wanted}")
    for title, key in (("Completion Mode", "completionMode"), ("Suspend", "suspend")):
        if key in spec:
            value: Any = spec[key]
            lines.append(f"{title}:\t{str(value).lower() if isinstance(value, bool) else value}")
    lines.append(f"Backoff Limit:\t{spec.get('backoffLimit', 6)}")
    if spec.get("ttlSecondsAfterFinished") is not None:
        lines.append(f"TTL Seconds After Finished:\t{spec['ttlSecondsAfterFinished']}")
    for title, key in (("Start Time", "startTime"), ("Completed At", "completionTime")):
        if status.get(key):
            lines.append(f"{title}:\t{written(status[key])}")
    if spec.get("activeDeadlineSeconds") is not None:
        lines.append(f"Active Deadline Seconds:\t{spec['activeDeadlineSeconds']}s")
    ready = f" ({status['ready']} Ready)" if "ready" in status else ""
    counts = f"{status.get('active', 0)} Active{ready} / {status.get('succeeded', 0)} Succeeded"
    lines.append(f"Pods Statuses:\t{counts} / {status.get('failed', 0)} Failed")
    return [*lines, *pod_template(spec.get("template") or {}), *_failed(obj)]


def _failed(obj: Json) -> Lines:
    bad = [c for c in dig(obj, "status", "conditions", default=[]) if c.get("type") in ("Failed", "Suspended")]
    return [f"{c['type']}:\t{c['status']} {c.get('reason', '')}: {c.get('message', '')}" for c in bad]


def cron_job(look: Look, obj: Json) -> Lines:
    """Describe a CronJob."""
    spec, status = obj["spec"], obj.get("status") or {}
    made = dig(spec, "jobTemplate", "spec", default={})

    def said(value: object) -> object:
        return "<unset>" if value is None else value

    lines = [*_head(obj), *_marks(obj), f"Schedule:\t{spec.get('schedule', '')}"]
    lines.append(f"Time Zone:\t{said(spec.get('timeZone'))}")
    lines.append(f"Concurrency Policy:\t{spec.get('concurrencyPolicy', '')}")
    lines.append(f"Suspend:\t{bool(spec.get('suspend'))}")
    lines.append(f"Successful Job History Limit:\t{said(spec.get('successfulJobsHistoryLimit'))}")
    lines.append(f"Failed Job History Limit:\t{said(spec.get('failedJobsHistoryLimit'))}")
    deadline = spec.get("startingDeadlineSeconds")
    lines.append(f"Starting Deadline Seconds:\t{'<unset>' if deadline is None else f'{deadline}s'}")
    lines.append(f"Selector:\t{selector_text(made['selector']) if made.get('selector') else '<unset>'}")
    lines.append(f"Parallelism:\t{said(made.get('parallelism'))}")
    lines.append(f"Completions:\t{said(made.get('completions'))}")
    if made.get("activeDeadlineSeconds") is not None:
        lines.append(f"Active Deadline Seconds:\t{made['activeDeadlineSeconds']}s")
    lines += pod_template(made.get("template") or {})
    lines.append(f"Last Schedule Time:\t{written(status.get('lastScheduleTime'))}")
    active = ", ".join(str(one.get("name")) for one in status.get("active") or ())
    return [*lines, f"Active Jobs:\t{active or '<none>'}"]


DESCRIBERS: dict[tuple[str, str], Callable[[Look, Json], Lines]] = {
    ("", "Pod"): pod,
    ("apps", "Deployment"): deployment,
    ("apps", "ReplicaSet"): replica_set,
    ("", "ReplicationController"): replica_set,
    ("apps", "StatefulSet"): stateful_set,
    ("apps", "DaemonSet"): daemon_set,
    ("batch", "Job"): job,
    ("batch", "CronJob"): cron_job,
}
