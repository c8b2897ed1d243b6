"""What a workload was before: its revisions, which of them once ran, and how two pod templates differ."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stratus.kit.kube import dig, spec_containers
from stratus.kit.text import line, secretive
from stratus.model.base import Json

_NOISE_ANNOTATIONS = ("kubectl.kubernetes.io/restartedAt",)
_NOISE_LABELS = ("pod-template-hash", "controller-revision-hash")
_SCHEDULING = ("nodeSelector", "affinity", "tolerations", "nodeName", "topologySpreadConstraints", "schedulerName",
               "priorityClassName", "runtimeClassName")  # fmt: skip
_CONTAINER_AREAS = {
    "image": "image", "imagePullPolicy": "image", "command": "command", "args": "command", "env": "env",
    "envFrom": "env", "resources": "resources", "readinessProbe": "probe", "livenessProbe": "probe",
    "startupProbe": "probe", "ports": "ports", "volumeMounts": "volumes", "workingDir": "command",
    "lifecycle": "command", "securityContext": "security",
}  # fmt: skip
MIN_REIGN = 30.0
"""Seconds a revision must have been the current one to count as having run, when no pod of it is left."""


@dataclass(frozen=True)
class Revision:
    """One stored version of a workload's pod template.

    Attributes:
        number: as `kubectl rollout undo --to-revision` takes it.
        name: the ReplicaSet or ControllerRevision that stores it.
        ready: pods of it that are ready now; 0 for one that was scaled down long ago.
        created: epoch seconds.
        reign: seconds it was the newest; the current one reigns until now.
    """

    number: int
    name: str
    template: Json
    ready: int
    replicas: int
    created: float
    reign: float


@dataclass(frozen=True)
class Difference:
    """One difference between two pod templates.

    Attributes:
        area: image, command, env, resources, probe, ports, volumes, scheduling, identity, security, container,
            annotation or other.
        path: such as `env LOG_LEVEL` or `readinessProbe`.
        old, new: values before and after; None where absent.
    """

    area: str
    container: str
    path: str
    old: Any
    new: Any

    def __str__(self) -> str:
        where = f"{self.path} of container {self.container}" if self.container else self.path
        if self.area == "container":
            return f"container {self.container} was {'added' if self.old is None else 'removed'}"
        if secretive(self.path):
            return line(f"{where}: changed [value not shown]", 200)
        return line(f"{where}: {_short(self.old)} -> {_short(self.new)}", 200)


def differences(old: Json, new: Json) -> list[Difference]:
    """Return how a pod template differs from an older one, least noise first; marks of a restart do not count."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    found: list[Difference] = []
    was = {c["name"]: c for c in spec_containers(before)}
    now = {c["name"]: c for c in spec_containers(after)}
    for name in [*now, *(n for n in was if n not in now)]:
        if name not in was or name not in now:
            found.append(Difference("container", name, "container", was.get(name), now.get(name)))
            continue
        found += _container(name, was[name], now[name])
    skip = {"containers", "initContainers"}
    for field in sorted((set(before) | set(after)) - skip):
        if before.get(field) == after.get(field):
            continue
        area = "scheduling" if field in _SCHEDULING else "volumes" if field == "volumes" else "other"
        if field in ("serviceAccountName", "serviceAccount"):
            if field == "serviceAccount" and "serviceAccountName" in after:
                continue
            area = "identity"
        found.append(Difference(area, "", field, before.get(field), after.get(field)))
    found += _metadata(old, new)
    return found


def _container(name: str, old: Json, new: Json) -> list[Difference]:
    found = []
    for field in sorted(set(old) | set(new)):
        if old.get(field) == new.get(field):
            continue
        if field == "env":
            was = {e["name"]: e for e in old.get("env") or ()}
            now = {e["name"]: e for e in new.get("env") or ()}
            for key in [*now, *(k for k in was if k not in now)]:
                if was.get(key) != now.get(key):
                    found.append(Difference("env", name, f"env {key}", _env(was.get(key)), _env(now.get(key))))
        else:
            found.append(Difference(_CONTAINER_AREAS.get(field, "other"), name, field, old.get(field), new.get(field)))
    return found


def _metadata(old: Json, new: Json) -> list[Difference]:
    found = []
    for field, noise in (("annotations", _NOISE_ANNOTATIONS), ("labels", _NOISE_LABELS)):
        was, now = dig(old, "metadata", field, default={}), dig(new, "metadata", field, default={})
        for key in sorted(set(was) | set(now)):
            if key not in noise and was.get(key) != now.get(key):
                found.append(Difference("annotation", "", f"{field[:-1]} {key}", was.get(key), now.get(key)))
    return found


def _env(entry: Json | None) -> Any:
    if entry is None:
        return None
    return entry["valueFrom"] if entry.get("valueFrom") else entry.get("value", "")


def _short(value: Any) -> str:
    if value is None:
        return "absent"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def container_of(template: Json, name: str) -> Json:
    """Return a container of a pod template by name, empty when it has none of that name."""
    return next((c for c in spec_containers(template.get("spec") or {}) if c.get("name") == name), {})


def once_ran(revisions: Sequence[Revision], current: Json) -> list[Revision]:
    """Return earlier revisions to go back to, best first: such with ready pods, then such that reigned for a while.

    Args:
        revisions: newest first; the first one is the current.
        current: the present pod template; revisions equal to it are no way back.
    """
    older = [r for r in revisions[1:] if differences(r.template, current)]
    return sorted(older, key=lambda r: (r.ready == 0, r.reign < MIN_REIGN, -r.number))


def references(spec: Json) -> set[tuple[str, str, str]]:
    """Return every (kind, name, key) a pod spec refers to; the key is empty for a whole object."""
    found: set[tuple[str, str, str]] = set()
    for c in spec_containers(spec):
        for env in c.get("env") or ():
            for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                ref = dig(env, "valueFrom", field)
                if ref:
                    found.add((kind, ref.get("name", ""), ref.get("key", "")))
        for env in c.get("envFrom") or ():
            for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if dig(env, field, "name"):
                    found.add((kind, env[field]["name"], ""))
    for volume in spec.get("volumes") or ():
        sources = [volume, *dig(volume, "projected", "sources", default=[])]
        for source in sources:
            for field, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
                ref = source.get(field)
                if not ref:
                    continue
                name = ref.get("name") or ref.get("secretName") or ""
                found.add((kind, name, ""))
                found |= {(kind, name, i.get("key", "")) for i in ref.get("items") or ()}
    return found
