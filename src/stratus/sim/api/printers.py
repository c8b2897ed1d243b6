"""Rows of workloads, networks and configuration as `kubectl get` shows them; and the printer of each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stratus.kit.clock import parse_iso
from stratus.sim.api.clusterprinters import CLUSTER_PRINTERS
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
    return write_labels(selector or {}) or "<none>"


def _few(items: list[str]) -> str:
    """Write three items at most, and how many more there are."""
    text = ",".join(items[:3])
    return f"{text} + {len(items) - 3} more..." if len(items) > 3 else text


def _n(value: Any) -> int:
    return int(value or 0)


def _deployment(o: Obj, now: float) -> Row:
    spec, status = o["spec"], o.get("status") or {}
    ready = f"{_n(status.get('readyReplicas'))}/{_n(spec.get('replicas'))}"
    updated, available = _n(status.get("updatedReplicas")), _n(status.get("availableReplicas"))
    return [_name(o), ready, updated, available, _age(o, now), *_images(o), _selector(spec.get("selector"))]


def _replicas(o: Obj, now: float) -> Row:
    return [*_counts(o, now), _selector(o["spec"].get("selector"))]


def _replication_controller(o: Obj, now: float) -> Row:
    return [*_counts(o, now), _labels(o["spec"].get("selector"))]


def _counts(o: Obj, now: float) -> Row:
    spec, status = o["spec"], o.get("status") or {}
    counts = [_n(spec.get("replicas")), _n(status.get("replicas")), _n(status.get("readyReplicas"))]
    return [_name(o), *counts, _age(o, now), *_images(o)]


def _stateful_set(o: Obj, now: float) -> Row:
    ready = f"{_n((o.get('status') or {}).get('readyReplicas'))}/{_n(o['spec'].get('replicas'))}"
    return [_name(o), ready, _age(o, now), *_images(o)]


def _daemon_set(o: Obj, now: float) -> Row:
    status, spec = (o.get("status") or {}), o["spec"]
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
    spec, status = o["spec"], o.get("status") or {}
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
    spec, status = o["spec"], o.get("status") or {}
    last = since(status["lastScheduleTime"], now) if status.get("lastScheduleTime") else "<none>"
    job = spec.get("jobTemplate") or {}
    suspended = {True: "True", False: "False"}.get(spec.get("suspend"), "<unset>")
    return [
        _name(o), spec.get("schedule", ""), spec.get("timeZone") or "<none>", suspended,
        len(status.get("active") or ()), last, _age(o, now), *_images(job),
        _selector((job.get("spec") or {}).get("selector") or {}),
    ]  # fmt: skip


def _balanced(o: Obj) -> list[str]:
    """Return the addresses a load balancer gave, sorted."""
    ingress = ((o.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return sorted({shown for i in ingress if (shown := i.get("ip") or i.get("hostname"))})


def _service(o: Obj, now: float) -> Row:
    spec = o["spec"]
    kind = spec.get("type", "ClusterIP")
    outside = list(spec.get("externalIPs") or ())
    if kind == "LoadBalancer":
        outside = _balanced(o) + outside
        shown = ",".join(outside) if outside else "<pending>"
    elif kind == "ExternalName":
        shown = spec.get("externalName", "")
    else:
        shown = ",".join(outside) if outside else "<none>"
    ports = []
    for port in spec.get("ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        ports.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    ip = next(iter(spec.get("clusterIPs") or ()), None) or spec.get("clusterIP") or "<none>"
    selector = _labels(spec.get("selector"))
    return [_name(o), kind, ip, shown, ",".join(ports) or "<none>", _age(o, now), selector]


def _endpoints(o: Obj, now: float) -> Row:
    subsets = o.get("subsets") or ()
    pairs = []
    for subset in subsets:
        for port in subset.get("ports") or [None]:
            for address in subset.get("addresses") or ():
                ip = f"[{address['ip']}]" if ":" in address["ip"] and port else address["ip"]
                pairs.append(f"{ip}:{port['port']}" if port else ip)
    return [_name(o), _few(pairs) if subsets else "<none>", _age(o, now)]


def _endpoint_slice(o: Obj, now: float) -> Row:
    ports = [
        str(p["port"]) if p.get("port") is not None else p["name"] if p.get("name") is not None else "*"
        for p in o.get("ports") or ()
    ]
    addresses = [a for e in o.get("endpoints") or () for a in e.get("addresses") or ()]
    return [_name(o), o.get("addressType", ""), _few(ports) or "<unset>", _few(addresses) or "<unset>", _age(o, now)]


def _event(o: Obj, now: float) -> Row:
    series = o.get("series") or {}
    first = since(o.get("firstTimestamp") or o.get("eventTime"), now)
    last = since(o["lastTimestamp"], now) if o.get("lastTimestamp") else first
    if series:
        last = since(series.get("lastObservedTime"), now)
    subject, source = o.get("involvedObject") or {}, o.get("source") or {}
    component = source.get("component") or o.get("reportingComponent") or ""
    host = source.get("host") or o.get("reportingInstance") or ""
    count = series.get("count", 0) if series else o.get("count") or 1
    kind = subject.get("kind", "").lower()
    return [
        last, o.get("type", ""), o.get("reason", ""), f"{kind}/{subject['name']}" if subject.get("name") else kind,
        subject.get("fieldPath", ""), f"{component}, {host}" if host else component, o.get("message", "").strip(),
        first, count, _name(o),
    ]  # fmt: skip


def _autoscaler(o: Obj, now: float) -> Row:
    spec, status = o["spec"], o.get("status") or {}
    ref, low = spec["scaleTargetRef"], spec.get("minReplicas")
    shown = _targets(spec.get("metrics") or [], status.get("currentMetrics") or [])
    return [
        _name(o), f"{ref['kind']}/{ref['name']}", shown,
        "<unset>" if low is None else str(low), spec.get("maxReplicas", 0), _n(status.get("currentReplicas")),
        _age(o, now),
    ]  # fmt: skip


def _targets(metrics: list[Obj], current: list[Obj]) -> str:
    out = []
    for index, metric in enumerate(metrics):
        field = metric["type"][:1].lower() + metric["type"][1:]
        source = metric.get(field) or {}
        target = source.get("target") or {}
        now = ((current[index].get(field) or {}) if index < len(current) else {}).get("current") or {}
        named = metric["type"] in ("Resource", "ContainerResource")
        prefix = f"{source.get('name', '')}: " if named else ""
        average = " (avg)" if metric["type"] in ("External", "Object") else ""
        if target.get("averageValue") is not None or metric["type"] == "Pods":
            out.append(f"{prefix}{now.get('averageValue') or '<unknown>'}/{target.get('averageValue', '0')}{average}")
        elif named:
            have, want = now.get("averageUtilization"), target.get("averageUtilization")
            shown = "<auto>" if want is None else f"{want}%"
            out.append(f"{prefix}{'<unknown>' if have is None else f'{have}%'}/{shown}")
        else:
            out.append(f"{now.get('value') or '<unknown>'}/{target.get('value', '<nil>')}")
    if not out:
        return "<none>"
    if len(out) > 2:
        return f"{', '.join(out[:2])} + {len(out) - 2} more..."
    return ", ".join(out)


def _budget(o: Obj, now: float) -> Row:
    spec = o["spec"]
    low, high = spec.get("minAvailable"), spec.get("maxUnavailable")
    allowed = _n((o.get("status") or {}).get("disruptionsAllowed"))
    return [_name(o), "N/A" if low is None else str(low), "N/A" if high is None else str(high), allowed, _age(o, now)]


def _quota(o: Obj, now: float) -> Row:
    status = o.get("status") or {}
    hard, used = status.get("hard") or {}, status.get("used") or {}
    requests: list[str] = []
    limits: list[str] = []
    for name in sorted(hard):
        text = f"{name}: {used.get(name, '0')}/{hard[name]}"
        (limits if name.startswith("limits.") else requests).append(text)
    return [_name(o), ", ".join(requests), ", ".join(limits), _age(o, now)]


def _ingress(o: Obj, now: float) -> Row:
    spec = o.get("spec") or {}
    hosts: list[str] = []
    more = False
    for rule in spec.get("rules") or ():
        more = more or len(hosts) == 3
        if rule.get("host") and not more:
            hosts.append(rule["host"])
    shown = ",".join(hosts) or "*"
    if more:
        # Rules without a host count among the rest as well.
        shown += f" + {len(spec['rules']) - 3} more..."
    ports = "80, 443" if spec.get("tls") else "80"
    return [_name(o), spec.get("ingressClassName") or "<none>", shown, ",".join(_balanced(o)), ports, _age(o, now)]


def _ingress_class(o: Obj, now: float) -> Row:
    spec = o.get("spec") or {}
    params = spec.get("parameters")
    shown = "<none>"
    if params:
        kind = f"{params['kind']}.{params['apiGroup']}" if params.get("apiGroup") is not None else params["kind"]
        shown = f"{kind}/{params['name']}"
    return [_name(o), spec.get("controller", ""), shown, _age(o, now)]


def _network_policy(o: Obj, now: float) -> Row:
    return [_name(o), _selector((o.get("spec") or {}).get("podSelector") or {}), _age(o, now)]


def _secret(o: Obj, now: float) -> Row:
    return [_name(o), o.get("type", ""), len(o.get("data") or ()), _age(o, now)]


def _config_map(o: Obj, now: float) -> Row:
    return [_name(o), len(o.get("data") or ()) + len(o.get("binaryData") or ()), _age(o, now)]


def _namespace(o: Obj, now: float) -> Row:
    return [_name(o), (o.get("status") or {}).get("phase", ""), _age(o, now)]


def _named(o: Obj, now: float) -> Row:
    return [_name(o), _age(o, now)]


def _pod_template(o: Obj, now: float) -> Row:
    names, images = _images({"spec": o})
    return [_name(o), names, images, _labels((o.get("template", {}).get("metadata") or {}).get("labels"))]


PRINTERS: dict[str, Callable[[Obj, float], Row]] = {
    **CLUSTER_PRINTERS,
    "Pod": pod_row,
    "PodTemplate": _pod_template,
    "Deployment": _deployment,
    "ReplicaSet": _replicas,
    "ReplicationController": _replication_controller,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "CronJob": _cron_job,
    "Service": _service,
    "Endpoints": _endpoints,
    "EndpointSlice": _endpoint_slice,
    "Event": _event,
    "HorizontalPodAutoscaler": _autoscaler,
    "PodDisruptionBudget": _budget,
    "ResourceQuota": _quota,
    "Ingress": _ingress,
    "IngressClass": _ingress_class,
    "NetworkPolicy": _network_policy,
    "Secret": _secret,
    "ConfigMap": _config_map,
    "Namespace": _namespace,
    "ServiceAccount": _named,
}
