"""What of a pod may change, and what a resize or a debug container may be."""

from __future__ import annotations

from typing import Any

from stratus.sim.api import internals
from stratus.sim.api.fieldrules import requirements
from stratus.sim.api.names import label_problems
from stratus.sim.api.podspec import qos_class
from stratus.sim.api.podvalidation import validate_pod
from stratus.sim.api.status import Problems

Obj = dict[str, Any]
_POD_SPEC = "io.k8s.api.core.v1.PodSpec"
_CHANGEABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def validate_pod_update(spec: Obj, old: Obj, problems: Problems) -> None:
    """Collect what a pod may not change of itself."""
    validate_pod(spec, problems)
    for field in ("containers", "initContainers"):
        if len(spec.get(field) or ()) != len(old.get(field) or ()):
            problems.forbidden(f"spec.{field}", "pod updates may not add or remove containers")
            return
        for index, container in enumerate(spec.get(field) or ()):
            if not container.get("image", "").strip():
                problems.required(f"spec.{field}[{index}].image")
    _deadline(spec.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds"), problems)
    _tolerations(spec.get("tolerations") or [], old.get("tolerations") or [], problems)
    before = [g.get("name") for g in old.get("schedulingGates") or ()]
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        if gate.get("name") not in before:
            text = f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'"
            problems.forbidden(f"spec.schedulingGates[{index}].name", text)
    same = dict(spec)
    for field in ("containers", "initContainers"):
        if old.get(field):
            same[field] = [{**c, "image": o.get("image")} for c, o in zip(spec[field], old[field], strict=True)]
    free = ["activeDeadlineSeconds", "ephemeralContainers", "tolerations", "schedulingGates"]
    if before:
        free += ["nodeSelector", "affinity"]
    if (old.get("terminationGracePeriodSeconds") or 0) < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        free.append("terminationGracePeriodSeconds")
    for field in free:
        same.pop(field, None)
        if field in old:
            same[field] = old[field]
    if same != old:
        problems.forbidden("spec", _CHANGEABLE + "\n" + internals.difference(_POD_SPEC, same, old))


def _deadline(new: int | None, old: int | None, problems: Problems) -> None:
    path = "spec.activeDeadlineSeconds"
    if new is None:
        if old is not None:
            problems.invalid(path, None, "must not update from a positive integer to nil value")
    elif old is not None and old < new:
        problems.invalid(path, new, "must be less than or equal to previous value")


def _tolerations(new: list[Obj], old: list[Obj], problems: Problems) -> None:
    def lasting(toleration: Obj) -> Obj:
        return {k: v for k, v in toleration.items() if k != "tolerationSeconds"}

    kept = [lasting(t) for t in new]
    for toleration in old:
        if lasting(toleration) not in kept:
            text = "existing toleration can not be modified except its tolerationSeconds"
            problems.forbidden("spec.tolerations", text)
            return


_NOT_EPHEMERAL = ("ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resizePolicy")


def validate_ephemeral(spec: Obj, old: Obj, problems: Problems) -> None:
    """Collect what is wrong with a pod's new debug containers; those it has stay as they are."""
    path = "spec.ephemeralContainers"
    entries, before = spec.get("ephemeralContainers") or [], old.get("ephemeralContainers") or []
    mains = [c.get("name") for f in ("containers", "initContainers") for c in old.get(f) or ()]
    names = set(mains)
    for index, entry in enumerate(entries):
        here, name = f"{path}[{index}]", entry.get("name", "")
        if not name:
            problems.required(f"{here}.name")
        else:
            for problem in label_problems(name):
                problems.invalid(f"{here}.name", name, problem)
            if name in names:
                problems.duplicate(f"{here}.name", name)
            names.add(name)
        if not entry.get("image"):
            problems.required(f"{here}.image")
        target = entry.get("targetContainerName")
        if target and target not in mains:
            problems.not_found(f"{here}.targetContainerName", target)
        for field in _NOT_EPHEMERAL:
            if entry.get(field):
                problems.forbidden(f"{here}.{field}", "cannot be set for an Ephemeral Container")
        if any((entry.get("resources") or {}).values()):
            problems.forbidden(f"{here}.resources", "cannot be set for an Ephemeral Container")
    given = {e.get("name"): (i, e) for i, e in enumerate(entries)}
    for was in before:
        name = was.get("name")
        if name not in given:
            problems.forbidden(path, f'existing ephemeral containers "{name}" may not be removed\n')
        elif given[name][1] != was:
            problems.forbidden(path, f'existing ephemeral containers "{name}" may not be changed\n')


_RESIZABLE = frozenset({"cpu", "memory"})


def validate_pod_resize(spec: Obj, old: Obj, problems: Problems) -> None:
    """Collect what a resize may not do: change the class of service, or anything but cpu and memory."""
    before, after = qos_class(old), qos_class(spec)
    if before != after:
        problems.invalid("spec", before, "Pod QOS Class may not change as a result of resizing")
    for field in ("containers", "initContainers"):
        for index, (new, was) in enumerate(zip(spec.get(field) or (), old.get(field) or (), strict=False)):
            here = f"spec.{field}[{index}].resources"
            a, b = new.get("resources") or {}, was.get("resources") or {}
            if a == b:
                continue
            requirements(here, a, problems)
            for part in ("limits", "requests"):
                x, y = a.get(part) or {}, b.get(part) or {}
                for name in sorted(set(x) | set(y)):
                    if name not in _RESIZABLE and x.get(name) != y.get(name):
                        problems.forbidden("spec", "only cpu and memory resources are mutable")
                    elif name in y and name not in x:
                        problems.forbidden(f"{here}.{part}", f"resource {part} cannot be removed")
