"""Descriptions of namespaces and what bounds them, and of volumes, storage classes and priorities."""

from __future__ import annotations

from collections.abc import Callable

from stratus.cluster.kubectl.reads.base import Look
from stratus.cluster.kubectl.reads.describing_services import access_mode, quota
from stratus.cluster.kubectl.reads.podtext import Lines, notes, several, volume_source
from stratus.errors import ClusterError
from stratus.kit.kube import dig
from stratus.model.base import Json

_BOUNDS = ("min", "max", "defaultRequest", "default", "maxLimitRequestRatio")
_BOUND_ROWS = [
    "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio",
    "----\t--------\t---\t---\t---------------\t-------------\t-----------------------",
]


def namespace(look: Look, obj: Json) -> Lines:
    """Describe a Namespace with its quotas and limits."""
    meta = obj["metadata"]
    lines = [f"Name:\t{meta['name']}", *several("Labels", meta.get("labels")), *notes(meta.get("annotations"))]
    lines.append(f"Status:\t{dig(obj, 'status', 'phase', default='')}")
    try:
        quotas = look.reader.list("v1/ResourceQuota", meta["name"])
        limits = look.reader.list("v1/LimitRange", meta["name"])
    except ClusterError as error:
        return [*lines, "", f"Bounds:\t<unknown: {error}>"]
    lines += ["", "Resource Quotas" if quotas else "No resource quota."]
    for one in quotas:
        rows = quota(look, one)
        cut = ["  --------\t---\t---" if row.startswith("----") else f"  {row}" for row in rows[2:]]
        lines += [f"  {rows[0]}", *cut]
    lines += ["", "Resource Limits" if limits else "No LimitRange resource."]
    if limits:
        lines += [f" {row}" for row in _BOUND_ROWS]
        lines += [f" {row}" for one in limits for row in _bounds(one)]
    return lines


def limit_range(look: Look, obj: Json) -> Lines:
    """Describe a LimitRange."""
    meta = obj["metadata"]
    return [f"Name:\t{meta['name']}", f"Namespace:\t{meta.get('namespace', '')}", *_BOUND_ROWS, *_bounds(obj)]


def _bounds(obj: Json) -> Lines:
    rows = []
    for limit in dig(obj, "spec", "limits", default=[]):
        resources = {name: None for bound in _BOUNDS for name in limit.get(bound) or {}}
        for name in resources:
            cells = [str((limit.get(bound) or {}).get(name, "-")) for bound in _BOUNDS]
            rows.append("\t".join((str(limit.get("type", "")), name, *cells)))
    return rows


def volume(look: Look, obj: Json) -> Lines:
    """Describe a PersistentVolume."""
    meta, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    claim = spec.get("claimRef")
    lines = [f"Name:\t{meta['name']}", *several("Labels", meta.get("labels")), *notes(meta.get("annotations"))]
    lines += [
        f"Finalizers:\t[{' '.join(meta.get('finalizers') or ())}]",
        f"StorageClass:\t{spec.get('storageClassName', '')}",
    ]
    lines.append(f"Status:\t{'Terminating' if meta.get('deletionTimestamp') else status.get('phase', '')}")
    lines.append(f"Claim:\t{claim['namespace']}/{claim['name']}" if claim else "Claim:\t")
    lines.append(f"Reclaim Policy:\t{spec.get('persistentVolumeReclaimPolicy', '')}")
    lines.append(f"Access Modes:\t{','.join(map(access_mode, spec.get('accessModes') or ()))}")
    lines += [
        f"VolumeMode:\t{spec.get('volumeMode', '')}",
        f"Capacity:\t{dig(spec, 'capacity', 'storage', default='')}",
    ]
    affinity = dig(spec, "nodeAffinity", "required", "nodeSelectorTerms", default=[])
    lines.append("Node Affinity:" if affinity else "Node Affinity:\t<none>")
    for at, term in enumerate(affinity):
        rules = [
            f"{r['key']} {str(r['operator']).lower()} [{', '.join(r.get('values') or ())}]"
            for r in term.get("matchExpressions") or ()
        ]
        lines.append(f"  Term {at}:\t{', '.join(rules)}")
    lines += [f"Message:\t{status.get('message', '')}", "Source:"]
    return [*lines, *volume_source(spec)]


def storage_class(look: Look, obj: Json) -> Lines:
    """Describe a StorageClass."""
    meta = obj["metadata"]
    default = (meta.get("annotations") or {}).get("storageclass.kubernetes.io/is-default-class") == "true"
    said = [f"{key}={value}" for key, value in sorted((meta.get("annotations") or {}).items())]
    expands = obj.get("allowVolumeExpansion")
    parameters = [f"{key}={value}" for key, value in sorted((obj.get("parameters") or {}).items())]
    return [
        f"Name:\t{meta['name']}",
        f"IsDefaultClass:\t{'Yes' if default else 'No'}",
        f"Annotations:\t{','.join(said) or '<none>'}",
        f"Provisioner:\t{obj.get('provisioner', '')}",
        f"Parameters:\t{','.join(parameters) or '<none>'}",
        f"AllowVolumeExpansion:\t{'<unset>' if expands is None else expands}",
        f"MountOptions:\t{', '.join(obj.get('mountOptions') or ()) or '<none>'}",
        f"ReclaimPolicy:\t{obj.get('reclaimPolicy', '')}",
        f"VolumeBindingMode:\t{obj.get('volumeBindingMode', '')}",
    ]


def priority_class(look: Look, obj: Json) -> Lines:
    """Describe a PriorityClass."""
    meta = obj["metadata"]
    lines = [f"Name:\t{meta['name']}", f"Value:\t{obj.get('value')}"]
    lines.append(f"GlobalDefault:\t{str(bool(obj.get('globalDefault'))).lower()}")
    lines.append(f"PreemptionPolicy:\t{obj.get('preemptionPolicy', '')}")
    return [*lines, f"Description:\t{obj.get('description', '')}", *notes(meta.get("annotations"))]


DESCRIBERS: dict[tuple[str, str], Callable[[Look, Json], Lines]] = {
    ("", "Namespace"): namespace,
    ("", "LimitRange"): limit_range,
    ("", "PersistentVolume"): volume,
    ("storage.k8s.io", "StorageClass"): storage_class,
    ("scheduling.k8s.io", "PriorityClass"): priority_class,
}
