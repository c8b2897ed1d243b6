"""The blast radius of a plan: how many objects, namespaces and pods of one workload it may touch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from stratus.cluster.base import ClusterReader
from stratus.errors import ClusterError, UsageError
from stratus.mitigation.policy import unavailable_pods
from stratus.model.actions import PlannedWrite, Refusal
from stratus.model.base import Json
from stratus.model.refs import ObjectRef
from stratus.rules import BlastRadius

CODE = "blast_radius"


def check_radius(writes: Sequence[PlannedWrite], radius: BlastRadius, reader: ClusterReader) -> list[Refusal]:
    """Return the objections to what all writes of a plan touch together."""
    found = []
    objects = {planned.write.target.key for planned in writes}
    spaces = {planned.write.target.namespace for planned in writes} - {""}
    for count, most, what in (
        (len(objects), radius.objects, "objects"),
        (len(spaces), radius.namespaces, "namespaces"),
    ):
        if most is not None and count > most:
            found.append(_no(f"the plan would touch {count} {what}, at most {most} are allowed", "make a smaller plan"))
    for name, (down, wanted) in sorted(_workloads(writes, reader).items() if radius.share < 1 else ()):
        if down > radius.share * wanted:
            message = f"{down} of {wanted} pods of {name} may become unavailable at once, at most {radius.share:.0%}"
            found.append(_no(f"{message} are allowed", "use a rolling update, or take down fewer pods"))
    return found


def _workloads(writes: Sequence[PlannedWrite], reader: ClusterReader) -> dict[str, tuple[int, int]]:
    """Return by workload how many pods may go and how many there are; one that serves nothing has nothing to lose."""
    down: dict[str, int] = defaultdict(int)
    held: dict[str, Json] = {}
    for planned in writes:
        pods = unavailable_pods(planned.write, planned.pre_image, planned.dry_run)
        workload = planned.pre_image
        if planned.write.target.kind == "Pod" and pods:
            workload = _controller(planned.pre_image, reader)
        if pods and workload is not None:
            name = str(ObjectRef.of(workload))
            down[name] += pods
            held.setdefault(name, workload)
    found = {}
    for name, pods in down.items():
        wanted, ready = _size(held[name])
        if ready:
            found[name] = (min(pods, wanted), wanted)
    return found


def _controller(pod: Json | None, reader: ClusterReader) -> Json | None:
    meta = (pod or {}).get("metadata") or {}
    for owner in meta.get("ownerReferences") or ():
        if owner.get("controller"):
            ref = ObjectRef(
                api_version=owner.get("apiVersion", ""),
                kind=owner.get("kind", ""),
                name=owner.get("name", ""),
                namespace=meta.get("namespace", ""),
            )
            try:
                return reader.get(ref)
            except (ClusterError, UsageError):
                return None
    return None


def _size(workload: Json) -> tuple[int, int]:
    """Return the pods that are wanted, and those that are ready."""
    spec, status = workload.get("spec") or {}, workload.get("status") or {}
    if workload.get("kind") == "DaemonSet":
        return int(status.get("desiredNumberScheduled") or 0), int(status.get("numberReady") or 0)
    wanted = spec.get("replicas")
    return 1 if wanted is None else int(wanted), int(status.get("readyReplicas") or 0)


def _no(message: str, hint: str) -> Refusal:
    return Refusal(command="", code=CODE, message=message, hint=hint)
