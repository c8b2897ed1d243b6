"""Rules of storage: claims, volumes, storage classes, CSI drivers."""

from __future__ import annotations

from typing import Any

from stratus.sim.api import fieldrules, internals
from stratus.sim.api.fieldrules import maybe_one_of, one_of
from stratus.sim.api.names import qualified_problems
from stratus.sim.api.podplacement import node_selector
from stratus.sim.api.podvolumes import csi_driver_name, host_path, nfs
from stratus.sim.api.rulebase import IMMUTABLE, Change, Rule, label_selector
from stratus.sim.api.status import Problems
from stratus.sim.schema import types
from stratus.sim.schema.quantity import parse

Obj = dict[str, Any]
_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_CLAIM_SPEC = "io.k8s.api.core.v1.PersistentVolumeClaimSpec"
_VOLUME_SPEC = "io.k8s.api.core.v1.PersistentVolumeSpec"
_POSITIVE = "must be greater than zero"


def _modes(path: str, modes: list[str], detail: str, problems: Problems) -> None:
    if not modes:
        problems.required(path, detail)
    for mode in modes:
        if mode not in _MODES:
            problems.unsupported(path, mode, _MODES)
    if "ReadWriteOncePod" in modes and any(m != "ReadWriteOncePod" and m in _MODES for m in modes):
        problems.forbidden(path, "may not use ReadWriteOncePod with other access modes")


def claim_spec(path: str, spec: Obj, problems: Problems) -> None:
    """Check the spec of a claim, or of a template of one."""
    _modes(f"{path}.accessModes", spec.get("accessModes") or [], "at least 1 access mode is required", problems)
    if spec.get("selector") is not None:
        label_selector(f"{path}.selector", spec["selector"], problems)
    here = f"{path}.resources[storage]"
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if size is None:
        problems.required(here)
    elif parse(size) <= 0:
        problems.invalid(here, size, _POSITIVE)
    if spec.get("storageClassName"):
        fieldrules.subdomain(f"{path}.storageClassName", spec["storageClassName"], problems)
    maybe_one_of(f"{path}.volumeMode", spec.get("volumeMode"), ("Block", "Filesystem"), problems)
    for field in ("dataSource", "dataSourceRef"):
        source = spec.get(field)
        if source is None:
            continue
        for part in ("name", "kind"):
            if not source.get(part):
                problems.required(f"{path}.{field}.{part}")
        group = source.get("apiGroup") or ""
        if not group and source.get("kind") and source["kind"] != "PersistentVolumeClaim":
            text = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
            problems.invalid(f"{path}.{field}", source["kind"], text)
    if spec.get("volumeAttributesClassName"):
        fieldrules.subdomain(f"{path}.volumeAttributesClassName", spec["volumeAttributesClassName"], problems)


def _claim(o: Obj, problems: Problems) -> None:
    claim_spec("spec", o["spec"], problems)


_CLAIM_TEXT = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
)


def _claim_update(o: Obj, old: Obj, problems: Problems) -> None:
    new, was = o["spec"], old["spec"]
    bound = (old.get("status") or {}).get("phase") == "Bound"
    free = {"volumeAttributesClassName"} if bound else set()
    if not was.get("volumeName"):
        free.add("volumeName")  # the binder sets it once
    if was.get("storageClassName") is None:
        free.add("storageClassName")
    same = {k: v for k, v in new.items() if k not in free}
    same.update({k: was[k] for k in free if k in was})
    if bound and was.get("resources") is not None:
        same["resources"] = {**(new.get("resources") or {}), "requests": (was["resources"] or {}).get("requests")}
    if internals.dump(_CLAIM_SPEC, same) != internals.dump(_CLAIM_SPEC, was):
        problems.forbidden("spec", f"{_CLAIM_TEXT}\n{internals.difference(_CLAIM_SPEC, same, was)}")
    want, have = (((x.get("resources") or {}).get("requests") or {}).get("storage") for x in (new, was))
    if bound and want is not None and have is not None and parse(want) < parse(have):
        real = ((old.get("status") or {}).get("capacity") or {}).get("storage")
        if real is None or parse(want) < parse(real):
            text = "field can not be less than status.capacity"
            problems.forbidden("spec.resources.requests.storage", text)


_VOLUME_PLAIN = frozenset(
    {
        "capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName", "mountOptions",
        "volumeMode", "nodeAffinity", "volumeAttributesClassName",
    }
)  # fmt: skip


def _sources(spec: Obj) -> list[str]:
    return [k for k in spec if k not in _VOLUME_PLAIN and spec[k] is not None]


def _volume(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    _modes("spec.accessModes", spec.get("accessModes") or [], "", problems)
    capacity = spec.get("capacity") or {}
    if not capacity:
        problems.required("spec.capacity")
    if "storage" not in capacity or len(capacity) > 1:
        problems.unsupported("spec.capacity", capacity or None, ["storage"])
    for name, value in capacity.items():
        if parse(value) <= 0:
            problems.invalid(f"spec.capacity[{name}]", value, _POSITIVE)
    policy = spec.get("persistentVolumeReclaimPolicy")
    maybe_one_of("spec.persistentVolumeReclaimPolicy", policy, ("Delete", "Recycle", "Retain"), problems)
    affinity = (spec.get("nodeAffinity") or {}).get("required")
    if spec.get("nodeAffinity") is not None:
        if affinity is None:
            problems.required("spec.nodeAffinity.required", "must specify required node constraints")
        else:
            node_selector("spec.nodeAffinity.required", affinity, problems)
    _volume_source(spec, affinity, problems)
    path = (spec.get("hostPath") or {}).get("path", "")
    if path and path.rstrip("/") == "" and policy == "Recycle":
        text = "may not be 'recycle' for a hostPath mount of '/'"
        problems.forbidden("spec.persistentVolumeReclaimPolicy", text)
    if spec.get("storageClassName"):
        fieldrules.subdomain("spec.storageClassName", spec["storageClassName"], problems)
    maybe_one_of("spec.volumeMode", spec.get("volumeMode"), ("Block", "Filesystem"), problems)


def _volume_source(spec: Obj, affinity: Obj | None, problems: Problems) -> None:
    kinds = _sources(spec)
    for extra in kinds[1:]:
        problems.forbidden(f"spec.{extra}", "may not specify more than 1 volume type")
    if not kinds:
        problems.required("spec", "must specify a volume type")
        return
    kind, source = kinds[0], spec[kinds[0]]
    if kind == "hostPath":
        host_path("spec.hostPath", source, problems)
    elif kind == "nfs":
        nfs("spec.nfs", source, problems)
    elif kind == "local":
        if not source.get("path"):
            problems.required("spec.local.path")
        else:
            fieldrules.no_backsteps("spec.local.path", source["path"], problems)
        if affinity is None:
            problems.required("spec.nodeAffinity", "Local volume requires node affinity")
    elif kind == "csi":
        csi_driver_name("spec.csi.driver", source.get("driver", ""), problems)
        if not source.get("volumeHandle"):
            problems.required("spec.csi.volumeHandle")


def _volume_update(o: Obj, old: Obj, problems: Problems) -> None:
    new, was = o["spec"], old["spec"]
    order = [f.name for f in types.named(_VOLUME_SPEC).fields.values() if f.name not in _VOLUME_PLAIN]
    if {k: new.get(k) for k in order} != {k: was.get(k) for k in order}:
        shown = internals.difference(_VOLUME_SPEC, new, was, only=order)
        text = f"spec.persistentvolumesource is immutable after creation\n{shown}"
        problems.forbidden("spec.persistentvolumesource", text)
    if new.get("volumeMode") != was.get("volumeMode"):
        problems.invalid("spec.volumeMode", new.get("volumeMode"), IMMUTABLE)
    if was.get("nodeAffinity") is not None and new.get("nodeAffinity") != was["nodeAffinity"]:
        shown = internals.dump("io.k8s.api.core.v1.VolumeNodeAffinity", new.get("nodeAffinity"))
        problems.invalid("spec.nodeAffinity", shown, IMMUTABLE)


def _storage_class(o: Obj, problems: Problems) -> None:
    name = o.get("provisioner", "")
    if not name:
        problems.required("provisioner")
    else:
        for problem in qualified_problems(name.lower()):
            problems.invalid("provisioner", name, problem)
    for key in o.get("parameters") or ():
        if not key:
            problems.invalid("parameters", key, "field can not be empty.")
    if o.get("reclaimPolicy"):
        one_of("reclaimPolicy", o["reclaimPolicy"], ("Delete", "Retain"), problems)
    one_of("volumeBindingMode", o.get("volumeBindingMode"), ("Immediate", "WaitForFirstConsumer"), problems)


def _storage_class_update(o: Obj, old: Obj, problems: Problems) -> None:
    for field in ("parameters", "provisioner", "reclaimPolicy"):
        if (o.get(field) or None) != (old.get(field) or None):
            problems.forbidden(field, f"updates to {field} are forbidden.")
    if o.get("volumeBindingMode") != old.get("volumeBindingMode"):
        problems.invalid("volumeBindingMode", o.get("volumeBindingMode"), IMMUTABLE)


def _csi_driver(o: Obj, problems: Problems) -> None:
    csi_driver_name("name", o["metadata"].get("name") or "", problems)
    spec = o.get("spec") or {}
    policies = ("File", "None", "ReadWriteOnceWithFSType")
    maybe_one_of("spec.fsGroupPolicy", spec.get("fsGroupPolicy"), policies, problems)
    for mode in spec.get("volumeLifecycleModes") or ():
        maybe_one_of("spec.volumeLifecycleModes", mode, ("Ephemeral", "Persistent"), problems)


def _attachment(o: Obj, problems: Problems) -> None:
    spec = o.get("spec") or {}
    if not spec.get("attacher"):
        problems.required("spec.attacher")
    if not spec.get("nodeName"):
        problems.required("spec.nodeName")
    source = spec.get("source") or {}
    if not source.get("persistentVolumeName") and source.get("inlineVolumeSpec") is None:
        problems.required("spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName")


def _attributes(o: Obj, problems: Problems) -> None:
    if not o.get("driverName"):
        problems.required("driverName")
    if not o.get("parameters"):
        problems.required("parameters", "must contain at least one key/value pair")


def _attributes_update(o: Obj, old: Obj, problems: Problems) -> None:
    for field in ("driverName", "parameters"):
        if o.get(field) != old.get(field):
            problems.forbidden(field, f"updates to {field} are forbidden.")


CREATE: dict[str, Rule] = {
    "PersistentVolumeClaim": _claim,
    "PersistentVolume": _volume,
    "StorageClass": _storage_class,
    "CSIDriver": _csi_driver,
    "VolumeAttachment": _attachment,
    "VolumeAttributesClass": _attributes,
}
UPDATE: dict[str, Change] = {
    "PersistentVolumeClaim": _claim_update,
    "PersistentVolume": _volume_update,
    "StorageClass": _storage_class_update,
    "VolumeAttributesClass": _attributes_update,
}
