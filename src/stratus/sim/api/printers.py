"""One row of a table per kind: what `kubectl get` shows of an object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stratus.kit.clock import parse_iso
from stratus.sim.api.durations import human, since
from stratus.sim.api.podstatus import pod_row
from stratus.sim.api.selectors import write_labels

Obj = dict[str, Any]
Row = list[Any]


def _name(obj: Obj) -> str:
    return str(obj["metadata"]["name"])


def _age(obj: Obj, now: float) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


def _labels(labels: dict[str, str] | None) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted(labels.items())) if labels else "<none>"


def _images(obj: Obj) -> tuple[str, str]:
    containers = (((obj.get("spec") or {}).get("template") or {}).get("spec") or {}).get("containers") or []
    return ",".join(c["name"] for c in containers), ",".join(c.get("image", "") for c in containers)


def _selector(selector: Obj | None) -> str:
    if selector is None:
        return "<unset>"
    return write_labels(selector) or "<none>"


def _n(value: Any) -> int:
    return int(value or 0)


def _deployment(o: Obj, now: float) -> Row:
    spec, status = o["spec"], o.get("status", {})
    ready = f"{_n(status.get('readyReplicas'))}/{_n(spec.get('replicas'))}"
    updated, available = _n(status.get("updatedReplicas")), _n(status.get("availableReplicas"))
    return [_name(o), ready, updated, available, _age(o, now), *_images(o), _selector(spec.get("selector"))]


def _replicas(o: Obj, now: float) -> Row:
    spec, status = o["spec"], o.get("status", {})
    selector = spec.get("selector")
    shown = (
        _selector(selector) if o.get("kind") == "ReplicaSet" or "matchLabels" in (selector or {}) else _labels(selector)
    )
    counts = [_n(spec.get("replicas")), _n(status.get("replicas")), _n(status.get("readyReplicas"))]
    return [_name(o), *counts, _age(o, now), *_images(o), shown]


def _stateful_set(o: Obj, now: float) -> Row:
    ready = f"{_n(o.get('status', {}).get('readyReplicas'))}/{_n(o['spec'].get('replicas'))}"
    return [_name(o), ready, _age(o, now), *_images(o)]


def _daemon_set(o: Obj, now: float) -> Row:
    status, spec = o.get("status", {}), o["spec"]
    counts = [
        _n(status.get(k))
        for k in (
            "desiredNumberScheduled",
            "currentNumberScheduled",
            "numberReady",
            "updatedNumberScheduled",
            "numberAvailable",
        )
    ]
    nodes = _labels((spec["template"].get("spec") or {}).get("nodeSelector"))
    return [_name(o), *counts, nodes, _age(o, now), *_images(o), _selector(spec.get("selector"))]


def _job(o: Obj, now: float) -> Row:
    spec, status = o["spec"], o.get("status", {})
    done = _n(status.get("succeeded"))
    if spec.get("completions") is not None:
        completions = f"{done}/{spec['completions']}"
    elif _n(spec.get("parallelism")) > 1:
        completions = f"{done}/1 of {spec['parallelism']}"
    else:
        completions = f"{done}/1"
    duration = ""
    if status.get("startTime"):
        end = parse_iso(status["completionTime"]) if status.get("completionTime") else now
        duration = human(end - parse_iso(status["startTime"]))
    conditions = {c["type"]: c["status"] for c in status.get("conditions") or ()}
    word = "Running"
    for kind, shown in (("Complete", "Complete"), ("Failed", "Failed")):
        if conditions.get(kind) == "True":
            word = shown
            break
    else:
        if o["metadata"].get("deletionTimestamp"):
            word = "Terminating"
        elif conditions.get("Suspended") == "True":
            word = "Suspended"
        elif conditions.get("FailureTarget") == "True":
            word = "FailureTarget"
        elif conditions.get("SuccessCriteriaMet") == "True":
            word = "SuccessCriteriaMet"
    return [_name(o), word, completions, duration, _age(o, now), *_images(o), _selector(spec.get("selector"))]


def _cron_job(o: Obj, now: float) -> Row:
    spec, status = o["spec"], o.get("status", {})
    last = since(status["lastScheduleTime"], now) if status.get("lastScheduleTime") else "<none>"
    job = spec.get("jobTemplate") or {}
    suspended = "True" if spec.get("suspend") else "False"
    return [
        _name(o), spec.get("schedule", ""), spec.get("timeZone") or "<none>", suspended,
        len(status.get("active") or ()), last, _age(o, now), *_images(job),
        _selector((job.get("spec") or {}).get("selector") or {}),
    ]  # fmt: skip


def _service(o: Obj, now: float) -> Row:
    spec = o["spec"]
    kind = spec.get("type", "ClusterIP")
    ingress = (o.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
    outside = list(spec.get("externalIPs") or ())
    if kind == "LoadBalancer":
        outside = [i.get("ip") or i.get("hostname", "") for i in ingress] + outside
        shown = ",".join(outside) if outside else "<pending>"
    elif kind == "ExternalName":
        shown = spec.get("externalName", "")
    else:
        shown = ",".join(outside) if outside else "<none>"
    ports = []
    for port in spec.get("ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        ports.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    ip = spec.get("clusterIP") or "<none>"
    selector = _labels(spec.get("selector"))
    return [_name(o), kind, ip, shown, ",".join(ports) or "<none>", _age(o, now), selector]


def _endpoints(o: Obj, now: float) -> Row:
    pairs = []
    for subset in o.get("subsets") or ():
        ports = subset.get("ports") or []
        for port in ports or [None]:
            for address in subset.get("addresses") or ():
                pairs.append(address["ip"] if port is None else f"{address['ip']}:{port['port']}")
    text = ",".join(pairs[:3]) + (f" + {len(pairs) - 3} more..." if len(pairs) > 3 else "")
    return [_name(o), text or "<none>", _age(o, now)]


def _endpoint_slice(o: Obj, now: float) -> Row:
    ports = [str(p["port"]) if p.get("port") is not None else "*" for p in o.get("ports") or ()]
    addresses = [a for e in o.get("endpoints") or () for a in e.get("addresses") or ()]

    def some(items: list[str]) -> str:
        if not items:
            return "<unset>"
        return ",".join(items[:3]) + (f" + {len(items) - 3} more..." if len(items) > 3 else "")

    return [_name(o), o.get("addressType", ""), some(ports), some(addresses), _age(o, now)]


def _event(o: Obj, now: float) -> Row:
    series = o.get("series") or {}
    first = since(o.get("firstTimestamp") or o.get("eventTime") or o["metadata"].get("creationTimestamp"), now)
    last = first
    if series.get("lastObservedTime"):
        last = since(series["lastObservedTime"], now)
    elif o.get("lastTimestamp"):
        last = since(o["lastTimestamp"], now)
    if not o.get("firstTimestamp"):
        first = since(o.get("eventTime"), now)
    subject = o.get("involvedObject") or o.get("regarding") or {}
    source = o.get("source") or o.get("deprecatedSource") or {}
    component = source.get("component") or o.get("reportingComponent") or o.get("reportingController") or ""
    host = source.get("host") or o.get("reportingInstance") or ""
    count = series.get("count") or o.get("count") or o.get("deprecatedCount") or 1
    message = (o.get("message") or o.get("note") or "").strip()
    target = (
        f"{subject.get('kind', '').lower()}/{subject.get('name', '')}"
        if subject.get("kind")
        else subject.get("name", "")
    )
    return [
        last, o.get("type", ""), o.get("reason", ""), target, subject.get("fieldPath", ""),
        f"{component}, {host}" if host else component, message, first, count, _name(o),
    ]  # fmt: skip


def _node(o: Obj, now: float) -> Row:
    status = o.get("status", {})
    ready = next((c["status"] for c in status.get("conditions") or () if c["type"] == "Ready"), None)
    word = {"True": "Ready", None: "Unknown"}.get(ready, "NotReady")
    if o.get("spec", {}).get("unschedulable"):
        word += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    labels = o["metadata"].get("labels") or {}
    roles = {k[len(prefix) :] for k in labels if k.startswith(prefix) and k != prefix}
    if labels.get("kubernetes.io/role"):
        roles.add(labels["kubernetes.io/role"])
    found = {a["type"]: a["address"] for a in reversed(status.get("addresses") or [])}
    info = status.get("nodeInfo") or {}
    return [
        _name(o), word, ",".join(sorted(roles)) or "<none>", _age(o, now), info.get("kubeletVersion", ""),
        found.get("InternalIP", "<none>"), found.get("ExternalIP", "<none>"), info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>", info.get("containerRuntimeVersion") or "<unknown>",
    ]  # fmt: skip


_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _modes(modes: list[str] | None) -> str:
    have = list(dict.fromkeys(modes or ()))
    return ",".join(_MODES[m] for m in _MODES if m in have)


def _claim(o: Obj, now: float) -> Row:
    spec, status = o["spec"], o.get("status", {})
    phase = "Terminating" if o["metadata"].get("deletionTimestamp") else status.get("phase", "")
    volume, capacity, modes = spec.get("volumeName", ""), "", ""
    if volume:
        capacity = (status.get("capacity") or {}).get("storage", "")
        modes = _modes(status.get("accessModes"))
    old = (o["metadata"].get("annotations") or {}).get("volume.beta.kubernetes.io/storage-class")
    klass = old or spec.get("storageClassName") or ""
    attributes = spec.get("volumeAttributesClassName") or "<unset>"
    mode = spec.get("volumeMode") or "<unset>"
    return [_name(o), phase, volume, capacity, modes, klass, attributes, _age(o, now), mode]


def _volume(o: Obj, now: float) -> Row:
    spec, status = o["spec"], o.get("status", {})
    phase = "Terminating" if o["metadata"].get("deletionTimestamp") else status.get("phase", "")
    claim = spec.get("claimRef") or {}
    shown = f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else ""
    return [
        _name(o), (spec.get("capacity") or {}).get("storage", ""), _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""), phase, shown, spec.get("storageClassName") or "",
        spec.get("volumeAttributesClassName") or "<unset>", status.get("reason", ""), _age(o, now),
        spec.get("volumeMode") or "<unset>",
    ]  # fmt: skip


def _autoscaler(o: Obj, now: float) -> Row:
    spec, status = o["spec"], o.get("status", {})
    ref = spec["scaleTargetRef"]
    if "metrics" not in spec:
        current = status.get("currentCPUUtilizationPercentage")
        target = spec.get("targetCPUUtilizationPercentage")
        shown = (
            f"cpu: {'<unknown>' if current is None else f'{current}%'}/{'<auto>' if target is None else f'{target}%'}"
        )
    else:
        shown = _targets(spec["metrics"], status.get("currentMetrics") or [])
    low = spec.get("minReplicas")
    return [
        _name(o), f"{ref['kind']}/{ref['name']}", shown, "<unset>" if low is None else str(low),
        spec.get("maxReplicas", 0), _n(status.get("currentReplicas")), _age(o, now),
    ]  # fmt: skip


def _targets(metrics: list[Obj], current: list[Obj]) -> str:
    out = []
    for index, metric in enumerate(metrics):
        field = metric["type"][:1].lower() + metric["type"][1:]
        source = metric.get(field) or {}
        target = source.get("target") or {}
        now = ((current[index].get(field) or {}) if index < len(current) else {}).get("current") or {}
        prefix = f"{source.get('name', '')}: " if metric["type"] in ("Resource", "ContainerResource") else ""
        average = " (avg)" if metric["type"] in ("External", "Object") else ""
        if target.get("averageUtilization") is not None:
            have = now.get("averageUtilization")
            out.append(f"{prefix}{'<unknown>' if have is None else f'{have}%'}/{target['averageUtilization']}%")
        elif target.get("averageValue") is not None:
            out.append(f"{prefix}{now.get('averageValue') or '<unknown>'}/{target['averageValue']}{average}")
        else:
            out.append(f"{prefix}{now.get('value') or '<unknown>'}/{target.get('value', '<auto>')}")
    if not out:
        return "<none>"
    if len(out) > 2:
        return f"{', '.join(out[:2])} + {len(out) - 2} more..."
    return ", ".join(out)


def _budget(o: Obj, now: float) -> Row:
    spec = o["spec"]
    low, high = spec.get("minAvailable"), spec.get("maxUnavailable")
    allowed = _n(o.get("status", {}).get("disruptionsAllowed"))
    return [_name(o), "N/A" if low is None else str(low), "N/A" if high is None else str(high), allowed, _age(o, now)]


def _quota(o: Obj, now: float) -> Row:
    status = o.get("status", {})
    hard, used = status.get("hard") or {}, status.get("used") or {}
    requests: list[str] = []
    limits: list[str] = []
    for name in sorted(hard):
        text = f"{name}: {used.get(name, '0')}/{hard[name]}"
        (limits if name.startswith("limits.") else requests).append(text)
    return [_name(o), ", ".join(requests), ", ".join(limits), _age(o, now)]


def _ingress(o: Obj, now: float) -> Row:
    spec = o.get("spec") or {}
    hosts = list(dict.fromkeys(r["host"] for r in spec.get("rules") or () if r.get("host")))
    shown = ",".join(hosts[:3]) + (f" + {len(hosts) - 3} more..." if len(hosts) > 3 else "") if hosts else "*"
    lb = (o.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
    address = ",".join(i.get("ip") or i.get("hostname", "") for i in lb)
    return [
        _name(o),
        spec.get("ingressClassName") or "<none>",
        shown,
        address,
        "80, 443" if spec.get("tls") else "80",
        _age(o, now),
    ]


def _binding(o: Obj, now: float) -> Row:
    ref = o["roleRef"]
    by_kind: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for s in o.get("subjects") or ():
        name = f"{s.get('namespace', '')}/{s['name']}" if s["kind"] == "ServiceAccount" else s["name"]
        by_kind.setdefault(s["kind"], []).append(name)
    people = [", ".join(by_kind[k]) for k in ("User", "Group", "ServiceAccount")]
    return [_name(o), f"{ref['kind']}/{ref['name']}", _age(o, now), *people]


def _storage_class(o: Obj, now: float) -> Row:
    name = _name(o)
    if (o["metadata"].get("annotations") or {}).get("storageclass.kubernetes.io/is-default-class") == "true":
        name += " (default)"
    return [
        name, o["provisioner"], o.get("reclaimPolicy", "Delete"), o.get("volumeBindingMode", "Immediate"),
        bool(o.get("allowVolumeExpansion")), _age(o, now),
    ]  # fmt: skip


def _ingress_class(o: Obj, now: float) -> Row:
    spec = o.get("spec") or {}
    params = spec.get("parameters")
    shown = "<none>"
    if params:
        kind = f"{params['kind']}.{params['apiGroup']}" if params.get("apiGroup") else params["kind"]
        shown = f"{kind}/{params['name']}"
    return [_name(o), spec.get("controller", ""), shown, _age(o, now)]


def _controller_revision(o: Obj, now: float) -> Row:
    owner = next((r for r in o["metadata"].get("ownerReferences") or () if r.get("controller")), None)
    shown = "<none>"
    if owner:
        group = owner["apiVersion"].partition("/")[0] if "/" in owner["apiVersion"] else ""
        shown = (
            f"{owner['kind'].lower()}.{group}/{owner['name']}" if group else f"{owner['kind'].lower()}/{owner['name']}"
        )
    return [_name(o), shown, o.get("revision", 0), _age(o, now)]


def _priority_class(o: Obj, now: float) -> Row:
    policy = o.get("preemptionPolicy", "PreemptLowerPriority")
    return [_name(o), o.get("value", 0), bool(o.get("globalDefault")), _age(o, now), policy]


def _network_policy(o: Obj, now: float) -> Row:
    return [_name(o), _selector((o.get("spec") or {}).get("podSelector") or {}), _age(o, now)]


def _secret(o: Obj, now: float) -> Row:
    return [_name(o), o.get("type", ""), len(o.get("data") or ()), _age(o, now)]


def _config_map(o: Obj, now: float) -> Row:
    return [_name(o), len(o.get("data") or ()) + len(o.get("binaryData") or ()), _age(o, now)]


def _namespace(o: Obj, now: float) -> Row:
    return [_name(o), o.get("status", {}).get("phase", ""), _age(o, now)]


def _named(o: Obj, now: float) -> Row:
    return [_name(o), _age(o, now)]


def _lease(o: Obj, now: float) -> Row:
    return [_name(o), (o.get("spec") or {}).get("holderIdentity") or "", _age(o, now)]


def _webhooks(o: Obj, now: float) -> Row:
    return [_name(o), len(o.get("webhooks") or ()), _age(o, now)]


def _pod_template(o: Obj, now: float) -> Row:
    names, images = _images({"spec": o})
    return [_name(o), names, images, _labels((o.get("template", {}).get("metadata") or {}).get("labels"))]


def _policy(o: Obj, now: float) -> Row:
    spec = o.get("spec") or {}
    param = spec.get("paramKind")
    shown = f"{param['apiVersion']}/{param['kind']}" if param else "<unset>"
    return [_name(o), len(spec.get("validations") or spec.get("mutations") or ()), shown, _age(o, now)]


def _csi_driver(o: Obj, now: float) -> Row:
    spec = o.get("spec") or {}
    audiences = ",".join(t.get("audience", "") for t in spec.get("tokenRequests") or ()) or "<unset>"
    modes = ",".join(spec.get("volumeLifecycleModes") or ()) or "<none>"
    flags = [spec.get("attachRequired", True), spec.get("podInfoOnMount", False), spec.get("storageCapacity", False)]
    return [_name(o), *flags, audiences, spec.get("requiresRepublish", False), modes, _age(o, now)]


def _runtime_class(o: Obj, now: float) -> Row:
    return [_name(o), o.get("handler", ""), _age(o, now)]


PRINTERS: dict[str, Callable[[Obj, float], Row]] = {
    "Pod": pod_row,
    "PodTemplate": _pod_template,
    "Deployment": _deployment,
    "ReplicaSet": _replicas,
    "ReplicationController": _replicas,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "CronJob": _cron_job,
    "Service": _service,
    "Endpoints": _endpoints,
    "EndpointSlice": _endpoint_slice,
    "Event": _event,
    "Node": _node,
    "PersistentVolumeClaim": _claim,
    "PersistentVolume": _volume,
    "HorizontalPodAutoscaler": _autoscaler,
    "PodDisruptionBudget": _budget,
    "ResourceQuota": _quota,
    "Ingress": _ingress,
    "IngressClass": _ingress_class,
    "NetworkPolicy": _network_policy,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "StorageClass": _storage_class,
    "ControllerRevision": _controller_revision,
    "PriorityClass": _priority_class,
    "Secret": _secret,
    "ConfigMap": _config_map,
    "Namespace": _namespace,
    "ServiceAccount": _named,
    "Lease": _lease,
    "ValidatingWebhookConfiguration": _webhooks,
    "MutatingWebhookConfiguration": _webhooks,
    "ValidatingAdmissionPolicy": _policy,
    "CSIDriver": _csi_driver,
    "RuntimeClass": _runtime_class,
    "DeviceClass": _named,
    "ResourceClaimTemplate": _named,
}
