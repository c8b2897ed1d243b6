"""`kubectl rollout undo|restart|pause|resume`."""

from __future__ import annotations

import copy

from stratus.cluster.kubectl.context import (
    JSON_PATCH,
    STRATEGIC,
    Context,
    Found,
    Outcome,
    refuse,
    rules,
    strategic_type,
)
from stratus.cluster.kubectl.targets import find
from stratus.kit.clock import iso
from stratus.kit.kube import controller, dig
from stratus.kit.patches import same, strategic_apply
from stratus.model.actions import ApiWrite
from stratus.model.base import Json

_REVISION = "deployment.kubernetes.io/revision"
_HASH = "pod-template-hash"
_OWN_ANNOTATIONS = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        _REVISION,
        "deployment.kubernetes.io/revision-history",
        "deployment.kubernetes.io/desired-replicas",
        "deployment.kubernetes.io/max-replicas",
        "deprecated.deployment.rollback.to",
    }
)
"""Annotations that stay the Deployment's own when it goes back to an older template."""

_RESTARTABLE = ("Deployment", "DaemonSet", "StatefulSet")


def compile_verb(ctx: Context) -> Outcome:
    """Compile the changing `rollout` verbs."""
    verb = {
        "rollout undo": _undo,
        "rollout restart": _restart,
        "rollout pause": _pause,
        "rollout resume": _resume,
    }[ctx.parsed.verb]
    writes: list[ApiWrite] = []
    for found in find(ctx, ctx.parsed.words, bare=True):
        if found.resource.group != "apps" or found.resource.kind not in _RESTARTABLE:
            raise refuse("not_applicable", f"{found} has no rollout", f"name one of {', '.join(_RESTARTABLE)}")
        writes += verb(ctx, found)
    return Outcome(writes=tuple(writes))


def _restart(ctx: Context, found: Found) -> list[ApiWrite]:
    if dig(found.obj, "spec", "paused"):
        raise refuse("precondition", f"{found} is paused and cannot be restarted", "first `kubectl rollout resume`")
    annotations = {"kubectl.kubernetes.io/restartedAt": iso(ctx.clock.now())}
    return [ctx.patch(found, STRATEGIC, {"spec": {"template": {"metadata": {"annotations": annotations}}}})]


def _pause(ctx: Context, found: Found) -> list[ApiWrite]:
    _pausable(found)
    if dig(found.obj, "spec", "paused"):
        raise refuse("precondition", f"{found} is paused already", "leave the command out")
    return [ctx.patch(found, STRATEGIC, {"spec": {"paused": True}})]


def _resume(ctx: Context, found: Found) -> list[ApiWrite]:
    _pausable(found)
    if not dig(found.obj, "spec", "paused"):
        raise refuse("precondition", f"{found} is not paused", "leave the command out")
    return [ctx.patch(found, STRATEGIC, {"spec": {"paused": None}})]


def _pausable(found: Found) -> None:
    if found.resource.kind != "Deployment":
        raise refuse("not_applicable", f"The rollout of {found} cannot be paused", "name a deployment")


def _undo(ctx: Context, found: Found) -> list[ApiWrite]:
    wanted = ctx.number("to-revision", default=0, least=0)
    return (
        _undo_deployment(ctx, found, wanted) if found.resource.kind == "Deployment" else _undo_set(ctx, found, wanted)
    )


def _undo_deployment(ctx: Context, found: Found, wanted: int) -> list[ApiWrite]:
    """Put the template of an older ReplicaSet back, and the annotations that came with it."""
    if dig(found.obj, "spec", "paused"):
        raise refuse("precondition", f"{found} is paused and cannot go back", "first `kubectl rollout resume`")
    history = {
        int(number): rs
        for rs in _owned(ctx, found, "apps/v1/ReplicaSet")
        if (number := str(dig(rs, "metadata", "annotations", _REVISION, default=""))).isdigit()
    }
    old = _chosen(found, history, wanted)
    template = copy.deepcopy(old["spec"]["template"])
    labels = template.get("metadata", {}).get("labels") or {}
    labels.pop(_HASH, None)
    template.get("metadata", {}).pop("creationTimestamp", None)
    current = copy.deepcopy(found.obj["spec"]["template"])
    current.get("metadata", {}).pop("creationTimestamp", None)
    if same(template, current):
        return []  # kubectl skips it: the template is that of the revision already
    annotations = {
        **{k: v for k, v in _annotations(found.obj).items() if k in _OWN_ANNOTATIONS},
        **{k: v for k, v in _annotations(old).items() if k not in _OWN_ANNOTATIONS},
    }
    body = [
        {"op": "replace", "path": "/spec/template", "value": template},
        {"op": "replace", "path": "/metadata/annotations", "value": annotations},
    ]
    return [ctx.patch(found, JSON_PATCH, body)]


def _undo_set(ctx: Context, found: Found, wanted: int) -> list[ApiWrite]:
    """Apply the patch that a ControllerRevision keeps for going back to it."""
    history = {int(r["revision"]): r for r in _owned(ctx, found, "apps/v1/ControllerRevision")}
    patch = _chosen(found, history, wanted)["data"]
    if same(strategic_apply(found.obj, patch, rules(), strategic_type(found.ref)), found.obj):
        return []
    return [ctx.patch(found, STRATEGIC, patch)]


def _owned(ctx: Context, found: Found, kind: str) -> list[Json]:
    selector = dig(found.obj, "spec", "selector", "matchLabels", default={})
    text = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    uid = found.obj["metadata"].get("uid")
    listed = ctx.reader.list(kind, found.ref.namespace, label_selector=text)
    return [o for o in listed if (owner := controller(o)) is not None and owner[2] == uid]


def _chosen(found: Found, history: dict[int, Json], wanted: int) -> Json:
    """Return the wanted revision; 0 is the one before the newest."""
    numbers = sorted(history)
    if wanted:
        if wanted not in history:
            known = ", ".join(map(str, numbers)) or "none"
            raise refuse("not_found", f"{found} has no revision {wanted}", f"its revisions are: {known}")
        return history[wanted]
    if len(numbers) < 2:
        raise refuse("not_found", f"{found} has no earlier revision to go back to", "set the wanted fields instead")
    return history[numbers[-2]]


def _annotations(obj: Json) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}
