"""Validation of a pod's volumes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from stratus.sim.api import fieldrules
from stratus.sim.api.downward import field_ref, resource_ref
from stratus.sim.api.fieldrules import maybe_one_of
from stratus.sim.api.names import label_problems
from stratus.sim.api.status import Problems
from stratus.sim.schema.quantity import parse

Obj = dict[str, Any]
_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_HOST_TYPES = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")


def volumes(path: str, listed: list[Obj], problems: Problems) -> set[str]:
    """Check volumes; return the names containers may mount."""
    names: set[str] = set()
    for index, volume in enumerate(listed):
        here, name = f"{path}[{index}]", volume.get("name", "")
        found = Problems()
        _source(here, volume, found)
        if not name:
            found.required(f"{here}.name")
        else:
            for problem in label_problems(name):
                found.invalid(f"{here}.name", name, problem)
        if name in names:
            found.duplicate(f"{here}.name", name)
        if found:
            problems.causes += found.causes
        else:
            names.add(name)
    return names


def _source(here: str, volume: Obj, problems: Problems) -> None:
    seen = 0
    for kind in (k for k in volume if k != "name" and volume[k] is not None):
        if seen:
            problems.forbidden(f"{here}.{kind}", "may not specify more than 1 volume type")
            continue
        seen += 1
        rule = _RULES.get(kind)
        if rule is not None:
            rule(f"{here}.{kind}", volume[kind], problems)
    if not seen:
        problems.required(here, "must specify a volume type")


def _mode(path: str, mode: Any, problems: Problems) -> None:
    if mode is not None and not 0 <= mode <= 0o777:
        problems.invalid(path, mode, _MODE)


def _items(path: str, items: list[Obj], problems: Problems) -> None:
    for index, item in enumerate(items):
        here = f"{path}.items[{index}]"
        if not item.get("key"):
            problems.required(f"{here}.key")
        if not item.get("path"):
            problems.required(f"{here}.path")
        fieldrules.plain_path(f"{here}.path", item.get("path", ""), problems)
        _mode(f"{here}.mode", item.get("mode"), problems)


def _empty_dir(path: str, source: Obj, problems: Problems) -> None:
    limit = source.get("sizeLimit")
    if limit is not None and parse(limit) < 0:
        problems.forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")


def host_path(path: str, source: Obj, problems: Problems) -> None:
    """Check a hostPath."""
    if not source.get("path"):
        problems.required(f"{path}.path")
        return
    fieldrules.no_backsteps(f"{path}.path", source["path"], problems)
    maybe_one_of(f"{path}.type", source.get("type"), _HOST_TYPES, problems)


def _secret(path: str, source: Obj, problems: Problems) -> None:
    if not source.get("secretName"):
        problems.required(f"{path}.secretName")
    _mode(f"{path}.defaultMode", source.get("defaultMode"), problems)
    _items(path, source.get("items") or [], problems)


def _config_map(path: str, source: Obj, problems: Problems) -> None:
    if not source.get("name"):
        problems.required(f"{path}.name")
    _mode(f"{path}.defaultMode", source.get("defaultMode"), problems)
    _items(path, source.get("items") or [], problems)


def nfs(path: str, source: Obj, problems: Problems) -> None:
    """Check an NFS export."""
    if not source.get("server"):
        problems.required(f"{path}.server")
    if not source.get("path"):
        problems.required(f"{path}.path")
    if not source.get("path", "").startswith("/"):
        problems.invalid(f"{path}.path", source.get("path", ""), "must be an absolute path")


def _claim(path: str, source: Obj, problems: Problems) -> None:
    if not source.get("claimName"):
        problems.required(f"{path}.claimName")


def _downward_files(path: str, items: list[Obj], problems: Problems) -> None:
    for index, item in enumerate(items):
        here = f"{path}.items[{index}]"
        if not item.get("path"):
            problems.required(f"{here}.path")
        fieldrules.plain_path(f"{here}.path", item.get("path", ""), problems)
        field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
        if field is not None:
            field_ref(f"{here}.fieldRef", field, problems, volume=True)
            if resource is not None:
                text = "fieldRef and resourceFieldRef can not be specified simultaneously"
                problems.invalid(here, "resource", text)
        elif resource is not None:
            resource_ref(f"{here}.resourceFieldRef", resource, problems, volume=True)
        else:
            problems.required(here, "one of fieldRef and resourceFieldRef is required")
        _mode(f"{here}.mode", item.get("mode"), problems)


def _downward(path: str, source: Obj, problems: Problems) -> None:
    _mode(f"{path}.defaultMode", source.get("defaultMode"), problems)
    _downward_files(path, source.get("items") or [], problems)


def _projected(path: str, source: Obj, problems: Problems) -> None:
    _mode(f"{path}.defaultMode", source.get("defaultMode"), problems)
    taken: set[str] = set()
    for index, part in enumerate(source.get("sources") or ()):
        here = f"{path}.sources[{index}]"
        seen = 0
        for kind in ("secret", "configMap", "downwardAPI", "serviceAccountToken"):
            inner = part.get(kind)
            if inner is None:
                continue
            if seen:
                problems.forbidden(f"{here}.{kind}", "may not specify more than 1 volume type")
                continue
            seen += 1
            if kind in ("secret", "configMap"):
                if not inner.get("name"):
                    problems.required(f"{here}.{kind}.name")
                _items(f"{here}.{kind}", inner.get("items") or [], problems)
                shown = inner.get("name", "")
            elif kind == "downwardAPI":
                _downward_files(f"{here}.{kind}", inner.get("items") or [], problems)
                shown = ""
            else:
                _token(f"{here}.{kind}", inner, problems)
            for place in _places(kind, inner):
                if place in taken:
                    shown = place if kind in ("downwardAPI", "serviceAccountToken") else inner.get("name", "")
                    problems.invalid(f"{here}.{kind}"[: len(here)] or here, shown, "conflicting duplicate paths")
                taken.add(place)


def _places(kind: str, inner: Obj) -> list[str]:
    if kind == "serviceAccountToken":
        return [inner["path"]] if inner.get("path") else []
    return [item["path"] for item in inner.get("items") or () if item.get("path")]


def _token(path: str, inner: Obj, problems: Problems) -> None:
    seconds = inner.get("expirationSeconds")
    if seconds is not None and seconds < 600:
        problems.invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    elif seconds is not None and seconds > 1 << 32:
        text = "may not specify a duration larger than 2^32 seconds"
        problems.invalid(f"{path}.expirationSeconds", seconds, text)
    if not inner.get("path"):
        problems.required(f"{path}.path")
    else:
        fieldrules.plain_path(f"{path}.path", inner["path"], problems)


def csi_driver_name(path: str, name: str, problems: Problems) -> None:
    """Refuse what is no CSI driver's name."""
    if not name:
        problems.required(path)
    if len(name) > 63:
        problems.raw("FieldValueTooLong", path, "Too long: may not be more than 63 bytes")
    fieldrules.subdomain(path, name.lower(), problems)


def _csi(path: str, source: Obj, problems: Problems) -> None:
    csi_driver_name(f"{path}.driver", source.get("driver", ""), problems)
    ref = source.get("nodePublishSecretRef")
    if ref is not None and not ref.get("name"):
        problems.required(f"{path}.nodePublishSecretRef.name")


def _ephemeral(path: str, source: Obj, problems: Problems) -> None:
    template = source.get("volumeClaimTemplate")
    if template is None:
        problems.required(f"{path}.volumeClaimTemplate")
        return
    from stratus.sim.api.storagerules import claim_spec

    claim_spec(f"{path}.volumeClaimTemplate.spec", template.get("spec") or {}, problems)


def _image(path: str, source: Obj, problems: Problems) -> None:
    if not source.get("reference"):
        problems.required(f"{path}.reference")
    maybe_one_of(f"{path}.pullPolicy", source.get("pullPolicy"), _PULL_POLICIES, problems)


def _git(path: str, source: Obj, problems: Problems) -> None:
    if not source.get("repository"):
        problems.required(f"{path}.repository")
    fieldrules.descending_path(f"{path}.directory", source.get("directory", ""), problems)


def _iscsi(path: str, source: Obj, problems: Problems) -> None:
    if not source.get("targetPortal"):
        problems.required(f"{path}.targetPortal")
    if not source.get("iqn"):
        problems.required(f"{path}.iqn")
    elif not re.match(r"(iqn\.|eui\.|naa\.)", source["iqn"]):
        problems.invalid(f"{path}.iqn", source["iqn"], "must be valid format starting with iqn, eui, or naa")
    if not 0 <= source.get("lun", 0) <= 255:
        problems.invalid(f"{path}.lun", source["lun"], "must be between 0 and 255, inclusive")


_RULES: dict[str, Callable[[str, Obj, Problems], None]] = {
    "emptyDir": _empty_dir, "hostPath": host_path, "secret": _secret, "configMap": _config_map, "nfs": nfs,
    "persistentVolumeClaim": _claim, "downwardAPI": _downward, "projected": _projected, "csi": _csi,
    "ephemeral": _ephemeral, "image": _image, "gitRepo": _git, "iscsi": _iscsi,
}  # fmt: skip
