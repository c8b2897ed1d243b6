"""Descriptions of Services, configuration, access rights, claims and autoscalers."""

from __future__ import annotations

from collections.abc import Callable

from stratus.cluster.kubectl.reads.base import Look, size
from stratus.cluster.kubectl.reads.podtext import Lines, notes, several
from stratus.cluster.kubectl.reads.spans import written
from stratus.errors import ClusterError
from stratus.kit.kube import dig, quantity
from stratus.model.base import Json


def _head(obj: Json) -> Lines:
    meta = obj["metadata"]
    space = [f"Namespace:\t{meta['namespace']}"] if meta.get("namespace") else []
    return [
        f"Name:\t{meta['name']}",
        *space,
        *several("Labels", meta.get("labels")),
        *notes(meta.get("annotations")),
    ]


def service(look: Look, obj: Json) -> Lines:
    """Describe a Service with the addresses behind it."""
    spec = obj["spec"]
    lines = [*_head(obj), *several("Selector", None), f"Type:\t{spec.get('type', '')}"]
    chosen = ",".join(f"{k}={v}" for k, v in sorted((spec.get("selector") or {}).items()))
    lines[-2] = f"Selector:\t{chosen or '<none>'}"
    if spec.get("ipFamilyPolicy"):
        lines.append(f"IP Family Policy:\t{spec['ipFamilyPolicy']}")
    lines.append(f"IP Families:\t{','.join(spec.get('ipFamilies') or ()) or '<none>'}")
    lines += [f"IP:\t{spec.get('clusterIP', '')}", f"IPs:\t{','.join(spec.get('clusterIPs') or ()) or '<none>'}"]
    for title, key in (("External IPs", "externalIPs"), ("External Name", "externalName")):
        if spec.get(key):
            lines.append(f"{title}:\t{','.join(spec[key]) if isinstance(spec[key], list) else spec[key]}")
    behind = _addresses(look, obj)
    for port in spec.get("ports") or ():
        name, protocol = port.get("name") or "<unset>", port.get("protocol", "TCP")
        lines.append(f"Port:\t{name}  {port['port']}/{protocol}")
        lines.append(f"TargetPort:\t{port.get('targetPort', port['port'])}/{protocol}")
        if port.get("nodePort"):
            lines.append(f"NodePort:\t{name}  {port['nodePort']}/{protocol}")
        lines.append(f"Endpoints:\t{behind(port)}")
    lines.append(f"Session Affinity:\t{spec.get('sessionAffinity', '')}")
    for title, key in (
        ("External Traffic Policy", "externalTrafficPolicy"),
        ("Internal Traffic Policy", "internalTrafficPolicy"),
    ):
        if spec.get(key):
            lines.append(f"{title}:\t{spec[key]}")
    return lines


def _addresses(look: Look, obj: Json) -> Callable[[Json], str]:
    meta = obj["metadata"]
    try:
        slices = look.reader.list(
            "discovery.k8s.io/v1/EndpointSlice",
            meta.get("namespace"),
            label_selector=f"kubernetes.io/service-name={meta['name']}",
        )
    except ClusterError as error:
        said = f"<unknown: {error}>"
        return lambda port: said

    def behind(port: Json) -> str:
        found = []
        for one in slices:
            numbers = [
                p.get("port") for p in one.get("ports") or () if (p.get("name") or "") == (port.get("name") or "")
            ]
            for endpoint in one.get("endpoints") or ():
                if (endpoint.get("conditions") or {}).get("ready", True):
                    found += [f"{a}:{n}" for a in endpoint.get("addresses") or () for n in numbers]
        more = f" + {len(found) - 3} more..." if len(found) > 3 else ""
        return ",".join(found[:3]) + more

    return behind


def config_map(look: Look, obj: Json) -> Lines:
    """Describe a ConfigMap with its data."""
    lines = [*_head(obj), "", "Data", "===="]
    for key, value in sorted((obj.get("data") or {}).items()):
        lines += [f"{key}:", "----", *str(value).replace("\t", "    ").split("\n"), "", ""]
    lines += ["", "BinaryData", "===="]
    return [*lines, *(f"{k}: {size(v)} bytes" for k, v in sorted((obj.get("binaryData") or {}).items())), ""]


def secret(look: Look, obj: Json) -> Lines:
    """Describe a Secret: the sizes of its values only."""
    lines = [*_head(obj), "", f"Type:\t{obj.get('type', '')}", "", "Data", "===="]
    return [*lines, *(f"{key}:\t{size(value)} bytes" for key, value in sorted((obj.get("data") or {}).items()))]


def role(look: Look, obj: Json) -> Lines:
    """Describe a Role or ClusterRole."""
    meta = obj["metadata"]
    lines = [f"Name:\t{meta['name']}", *several("Labels", meta.get("labels")), *notes(meta.get("annotations"))]
    lines += ["PolicyRule:", "  Resources\tNon-Resource URLs\tResource Names\tVerbs"]
    lines.append("  ---------\t-----------------\t--------------\t-----")
    return [*lines, *(f"  {line}" for line in rule_rows(obj.get("rules") or []))]


def rule_rows(rules: list[Json]) -> Lines:
    """Return a row for each resource of each rule, cells parted by tabs."""
    rows = []
    for rule in rules:
        rest = (rule.get("nonResourceURLs") or [], rule.get("resourceNames") or [], rule.get("verbs") or [])
        cells = "\t".join(f"[{' '.join(part)}]" for part in rest)
        for resource in rule.get("resources") or ([""] if rest[0] else []):
            for group in rule.get("apiGroups") or [""]:
                plural, slash, sub = resource.partition("/")
                rows.append(f"{plural}.{group}{slash}{sub}\t{cells}" if group and resource else f"{resource}\t{cells}")
    return sorted(rows)


def binding(look: Look, obj: Json) -> Lines:
    """Describe a RoleBinding or ClusterRoleBinding."""
    meta, ref = obj["metadata"], obj.get("roleRef") or {}
    lines = [f"Name:\t{meta['name']}", *several("Labels", meta.get("labels")), *notes(meta.get("annotations"))]
    lines += ["Role:", f"  Kind:\t{ref.get('kind', '')}", f"  Name:\t{ref.get('name', '')}", "Subjects:"]
    lines += ["  Kind\tName\tNamespace", "  ----\t----\t---------"]
    return [*lines, *(f"  {s['kind']}\t{s['name']}\t{s.get('namespace', '')}" for s in obj.get("subjects") or ())]


def claim(look: Look, obj: Json) -> Lines:
    """Describe a PersistentVolumeClaim with the pods that use it."""
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    try:
        pods = look.reader.list("v1/Pod", meta.get("namespace"))
    except ClusterError:
        pods = []
    users = [
        p["metadata"]["name"]
        for p in pods
        if any(
            dig(v, "persistentVolumeClaim", "claimName") == meta["name"] for v in dig(p, "spec", "volumes", default=[])
        )
    ]
    capacity = dig(status, "capacity", "storage", default="")
    lines = [f"Name:\t{meta['name']}", f"Namespace:\t{meta.get('namespace', '')}"]
    lines += [f"StorageClass:\t{spec.get('storageClassName', '')}", f"Status:\t{status.get('phase', '')}"]
    lines += [f"Volume:\t{spec.get('volumeName', '')}", *several("Labels", meta.get("labels"))]
    lines += [*notes(meta.get("annotations")), f"Finalizers:\t[{' '.join(meta.get('finalizers') or ())}]"]
    lines += [f"Capacity:\t{capacity}", f"Access Modes:\t{','.join(map(access_mode, status.get('accessModes') or ()))}"]
    lines += [f"VolumeMode:\t{spec.get('volumeMode', '')}"]
    shown = [f"Used By:\t{name}" if not at else f"\t{name}" for at, name in enumerate(users)]
    return [*lines, *(shown or ["Used By:\t<none>"])]


def access_mode(mode: str) -> str:
    """Return the short form of an access mode."""
    return {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}.get(
        mode, mode
    )


def autoscaler(look: Look, obj: Json) -> Lines:
    """Describe a HorizontalPodAutoscaler."""
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    target = spec.get("scaleTargetRef") or {}
    lines = [*_head(obj), f"CreationTimestamp:\t{written(meta.get('creationTimestamp'))}"]
    lines += [f"Reference:\t{target.get('kind')}/{target.get('name')}", "Metrics:\t( current / target )"]
    for at, metric in enumerate(spec.get("metrics") or ()):
        lines.append(_metric(metric, (status.get("currentMetrics") or [None] * (at + 1))[at : at + 1]))
    least = spec.get("minReplicas")
    lines += [f"Min replicas:\t{'<unset>' if least is None else least}", f"Max replicas:\t{spec.get('maxReplicas')}"]
    counts = f"{status.get('currentReplicas', 0)} current / {status.get('desiredReplicas', 0)} desired"
    lines.append(f"{target.get('kind')} pods:\t{counts}")
    found = status.get("conditions") or []
    if found:
        lines += ["Conditions:", "  Type\tStatus\tReason\tMessage", "  ----\t------\t------\t-------"]
        lines += [f"  {c['type']}\t{c['status']}\t{c.get('reason', '')}\t{c.get('message', '')}" for c in found]
    return lines


def _metric(metric: Json, current: list[Json | None]) -> str:
    now: Json = (current[0] if current else None) or {}
    if metric.get("type") != "Resource":
        return f"  {metric.get('type', '')}:\t<see -o yaml>"
    resource = metric["resource"]
    target, held = resource.get("target") or {}, dig(now, "resource", "current", default={})
    name = f"resource {resource.get('name')} on pods"
    if "averageUtilization" in target:
        value = held.get("averageUtilization")
        amount = f" ({held.get('averageValue')})" if value is not None else ""
        shown = "<unknown>" if value is None else f"{value}%{amount}"
        return f"  {name}  (as a percentage of request):\t{shown} / {target['averageUtilization']}%"
    return f"  {name}:\t{held.get('averageValue', '<unknown>')} / {target.get('averageValue')}"


def quota(look: Look, obj: Json) -> Lines:
    """Describe a ResourceQuota."""
    meta, status = obj["metadata"], obj.get("status") or {}
    hard, used = status.get("hard") or dig(obj, "spec", "hard", default={}), status.get("used") or {}
    lines = [f"Name:\t{meta['name']}", f"Namespace:\t{meta.get('namespace', '')}"]
    if dig(obj, "spec", "scopes"):
        lines.append(f"Scopes:\t{', '.join(obj['spec']['scopes'])}")
    lines += ["Resource\tUsed\tHard", "--------\t----\t----"]
    return [*lines, *(f"{key}\t{used.get(key, '0')}\t{value}" for key, value in sorted(hard.items()))]


def share(part: str, of: str | None) -> int:
    """Return a percentage of two amounts, cut to a whole number; 0 without a whole."""
    whole = quantity(of) or 0.0
    return int((quantity(part) or 0.0) * 100 / whole) if whole else 0


DESCRIBERS: dict[tuple[str, str], Callable[[Look, Json], Lines]] = {
    ("", "Service"): service,
    ("", "ConfigMap"): config_map,
    ("", "Secret"): secret,
    ("", "PersistentVolumeClaim"): claim,
    ("", "ResourceQuota"): quota,
    ("rbac.authorization.k8s.io", "Role"): role,
    ("rbac.authorization.k8s.io", "ClusterRole"): role,
    ("rbac.authorization.k8s.io", "RoleBinding"): binding,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): binding,
    ("autoscaling", "HorizontalPodAutoscaler"): autoscaler,
}
