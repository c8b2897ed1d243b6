"""`kubectl scale`: a merge patch of the scale subresource."""

from __future__ import annotations

from stratus.cluster.kubectl.context import MERGE, Context, Found, Outcome, refuse
from stratus.cluster.kubectl.targets import find
from stratus.model.actions import ApiWrite

_BUILT_IN = frozenset({"Deployment", "ReplicaSet", "StatefulSet", "ReplicationController"})


def compile_verb(ctx: Context) -> Outcome:
    """Compile `scale`."""
    replicas = ctx.number("replicas", least=0)
    return Outcome(writes=tuple(_write(ctx, found, replicas) for found in find(ctx, ctx.parsed.words)))


def check_scalable(found: Found) -> None:
    """Refuse what has no scale; of a custom resource the server has to say it."""
    if "." not in found.resource.group and found.resource.kind not in _BUILT_IN:
        raise refuse(
            "not_applicable", f"{found} cannot be scaled", f"only {', '.join(sorted(_BUILT_IN))} can be scaled"
        )


def _write(ctx: Context, found: Found, replicas: int) -> ApiWrite:
    check_scalable(found)
    version = found.obj["metadata"].get("resourceVersion", "")
    wanted = ctx.parsed.one("resource-version")
    if wanted and wanted != version:
        raise refuse("precondition", f"{found} is at version {version}, not {wanted}", "leave --resource-version out")
    if "current-replicas" in ctx.parsed:
        now = int((found.obj.get("spec") or {}).get("replicas", 1))
        expected = ctx.number("current-replicas")
        if expected not in (-1, now):
            raise refuse("precondition", f"{found} has {now} replicas, not {expected}", "leave --current-replicas out")
        wanted = version if expected != -1 else wanted
    body = {"spec": {"replicas": replicas}}
    return ctx.patch(found, MERGE, body, subresource="scale", expect_version=wanted)
