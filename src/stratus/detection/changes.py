"""Who wrote what and when: change records out of managedFields, which themselves are too large to keep."""

from __future__ import annotations

from collections.abc import Iterable

from stratus.kit.kube import created, dig, meta, moment, name_of, namespace_of
from stratus.model.base import Json

WATCHED = (
    "Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Service", "ConfigMap", "Secret", "NetworkPolicy",
    "HorizontalPodAutoscaler", "ResourceQuota", "LimitRange", "ServiceAccount", "Ingress", "Node",
    "PersistentVolumeClaim", "PodDisruptionBudget",
)  # fmt: skip
"""Kinds whose writes by people and tools matter; controllers write the rest all the time."""

_SYSTEM = ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-apiserver", "cloud-controller-manager")
_FIELDS = 16


def change_records(objects: Iterable[Json]) -> tuple[Json, ...]:
    """Return one record a write that managedFields still remember, oldest first.

    A record has `kind`, `namespace`, `name` (also below `metadata`, so that it can be found as an object), `manager`,
    `operation`, `time` (epoch seconds), `created` (whether it is the object's creation), `fields` (dotted paths).
    Status writes and those of Kubernetes' own components are left out.
    """
    records = []
    for obj in objects:
        kind = obj.get("kind", "")
        if kind not in WATCHED:
            continue
        born = created(obj)
        for entry in meta(obj).get("managedFields") or ():
            manager = str(entry.get("manager", ""))
            if entry.get("subresource") == "status" or manager.startswith(_SYSTEM):
                continue
            at = moment(entry.get("time"))
            if not at:
                continue
            records.append(
                {
                    "kind": kind,
                    "namespace": namespace_of(obj),
                    "name": name_of(obj),
                    "metadata": {"name": name_of(obj), "namespace": namespace_of(obj)},
                    "manager": manager,
                    "operation": entry.get("operation", ""),
                    "time": at,
                    "created": at <= born + 1.0,
                    "fields": field_paths(dig(entry, "fieldsV1", default={})),
                }
            )
    return tuple(sorted(records, key=lambda r: (r["time"], r["kind"], r["namespace"], r["name"], r["manager"])))


def field_paths(fields: Json) -> list[str]:
    """Return the leaves of a fieldsV1 tree as dotted paths below spec and data, at most a handful.

    `k:{"name":"web"}` becomes `[web]`; metadata is left out, as nobody's outage comes from a label of a record.
    """
    found: list[str] = []

    def walk(tree: object, path: str) -> None:
        if len(found) >= _FIELDS:
            return
        below = {k: v for k, v in tree.items() if k != "."} if isinstance(tree, dict) else {}
        if not below:
            if path:
                found.append(path)
            return
        for key, value in below.items():
            what, _, text = str(key).partition(":")
            if what == "f":
                walk(value, f"{path}.{text}" if path else text)
            elif what == "k":
                walk(value, f"{path}[{_label(text)}]")
            elif path and path not in found:
                found.append(path)

    walk({k: v for k, v in fields.items() if k not in ("f:metadata", "f:status")}, "")
    return found[:_FIELDS]


def _label(text: str) -> str:
    """Shorten `{"name":"web"}` to `web`."""
    inner = text.strip("{}")
    first = inner.split(",")[0].partition(":")[2]
    return first.strip('"') or inner
