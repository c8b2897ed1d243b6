"""Warnings a write is answered with: what is allowed, but seldom meant."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

Obj = dict[str, Any]


@cache
def _table() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(files("stratus.sim.schema").joinpath("warnings.json").read_text("utf-8"))
    return data


def warnings_of(obj: Obj) -> list[str]:
    """Return the warnings about an object, in the order the server gives them."""
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return []
    kind = obj.get("kind")
    if kind == "Service":
        return _service(spec)
    if kind == "Pod":
        return _pod("spec", spec, obj.get("metadata") or {}, "metadata")
    path = "spec.template"
    holder = spec
    if kind == "CronJob":
        holder, path = (spec.get("jobTemplate") or {}).get("spec") or {}, "spec.jobTemplate.spec.template"
    template = holder.get("template")
    if not isinstance(template, dict):
        return []
    inner = template.get("spec")
    if not isinstance(inner, dict) or "containers" not in inner:
        return []
    return _pod(f"{path}.spec", inner, template.get("metadata") or {}, f"{path}.metadata")


def _service(spec: Obj) -> list[str]:
    return [_table()["service"]["externalIPs"]] if spec.get("externalIPs") else []


def _pod(path: str, spec: Obj, meta: Obj, meta_path: str) -> list[str]:
    table = _table()
    out = []
    for key in spec.get("nodeSelector") or ():
        if text := table["labels"].get(key):
            out.append(f"{path}.nodeSelector[{key}]: {text}")
    for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        if constraint.get("labelSelector") is None:
            here = f"{path}.topologySpreadConstraints[{index}].labelSelector"
            out.append(f"{here}: a null labelSelector results in matching no pod")
    for key in meta.get("annotations") or ():
        if text := table["annotations"].get(key):
            out.append(f"{meta_path}.annotations[{key}]: {text}")
    for index, volume in enumerate(spec.get("volumes") or ()):
        for source, text in table["volumes"].items():
            if volume.get(source) is not None:
                out.append(f"{path}.volumes[{index}].{source}: {text}")
    for index, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if not secret.get("name"):
            out.append(f'{path}.imagePullSecrets[{index}].name: invalid empty name ""')
    return out + _containers(path, spec)


def _containers(path: str, spec: Obj) -> list[str]:
    out = []
    seen_ports: dict[tuple[Any, ...], str] = {}
    for group in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(group) or ()):
            here = f"{path}.{group}[{index}]"
            seen: set[str] = set()
            for at, entry in enumerate(container.get("env") or ()):
                name = entry.get("name", "")
                if name in seen:
                    text = f'hides previous definition of "{name}", which may be dropped when using apply'
                    out.append(f"{here}.env[{at}]: {text}")
                seen.add(name)
            if group == "containers":
                out += _ports(here, container, seen_ports)
    return out


def _ports(here: str, container: Obj, seen: dict[tuple[Any, ...], str]) -> list[str]:
    """Tell of ports declared twice: within a container, or by the same number in two."""
    out = []
    for at, port in enumerate(container.get("ports") or ()):
        key = (port.get("containerPort"), port.get("protocol"), port.get("hostPort"), port.get("hostIP"))
        where = f"{here}.ports[{at}]"
        if key in seen:
            out.append(f"{where}: duplicate port definition with {seen[key]}")
        else:
            seen[key] = where
    return out
