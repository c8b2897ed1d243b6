"""Empties a namespace that is being deleted: pods first, then the rest, and tells in its status what is in the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stratus.sim.controllers.common import begin_deletion, pod_finished
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.store import Store

#: Seconds after which something that holds a finalizer is looked at again (half of it, and one more).
HELD = 15.0
DISCOVERED = (
    "NamespaceDeletionDiscoveryFailure",
    "False",
    "ResourcesDiscovered",
    "All resources successfully discovered",
)
PARSED = (
    "NamespaceDeletionGroupVersionParsingFailure",
    "False",
    "ParsedGroupVersions",
    "All legacy kube types successfully parsed",
)
DELETED = (
    "NamespaceDeletionContentFailure",
    "False",
    "ContentDeleted",
    "All content successfully deleted, may be waiting on finalization",
)
REMOVED = ("NamespaceContentRemaining", "False", "ContentRemoved", "All content successfully removed")
FINISHED = (
    "NamespaceFinalizersRemaining",
    "False",
    "ContentHasNoFinalizers",
    "All content-preserving finalizers finished",
)
Condition = tuple[str, str, str, str]


@dataclass(slots=True)
class Pass:
    """What one pass over a namespace found.

    `estimate` is how many seconds what is left may need; `failed` what should have gone and has not.
    """

    remaining: dict[str, int] = field(default_factory=dict)
    finalizers: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    estimate: float = 0.0

    @property
    def done(self) -> bool:
        """Tell whether nothing is left."""
        return not self.remaining and not self.failed

    def conditions(self, undiscovered: list[str]) -> list[Condition]:
        """Return the namespace's conditions."""
        found = [DISCOVERED, PARSED, DELETED, REMOVED, FINISHED]
        if undiscovered:
            why = ", ".join(f"{gv}: stale GroupVersion discovery: {gv}" for gv in undiscovered)
            head = f"Discovery failed for some groups, {len(undiscovered)} failing"
            text = f"{head}: unable to retrieve the complete list of server APIs: {why}"
            found[0] = (DISCOVERED[0], "True", "DiscoveryFailed", text)
        if self.failed:
            text = f"Failed to delete all resource types, {len(self.failed)} remaining: {', '.join(self.failed)}"
            found[2] = (DELETED[0], "True", "ContentDeletionFailed", text)
        if self.remaining:
            parts = [f"{_shown(r)} has {n} resource instances" for r, n in sorted(self.remaining.items())]
            text = f"Some resources are remaining: {', '.join(parts)}"
            found[3] = (REMOVED[0], "True", "SomeResourcesRemain", text)
        if self.finalizers:
            parts = [f"{name} in {n} resource instances" for name, n in sorted(self.finalizers.items())]
            text = f"Some content in the namespace has finalizers remaining: {', '.join(parts)}"
            found[4] = (FINISHED[0], "True", "SomeFinalizersRemain", text)
        return found


def empty(store: Store, name: str, now: float, begun: float, version_of: dict[str, str]) -> Pass:
    """Delete what can be deleted in a namespace.

    Args:
        store: the cluster's objects.
        name: the namespace.
        now: the present moment; `begun`: when its deletion was asked for.
        version_of: served version by resource, for the texts.
    """
    found = Pass()
    if _sweep(store, "pods", name, now, begun, found, version_of):
        # As long as there are pods, what they live on stays.
        return found
    for resource in sorted(store.resources(), key=lambda r: (r != "events", r)):
        if resource != "pods":
            _sweep(store, resource, name, now, begun, found, version_of)
    return found


def _sweep(
    store: Store, resource: str, name: str, now: float, begun: float, found: Pass, version_of: dict[str, str]
) -> bool:
    """Delete one resource's objects; return whether any is left."""
    objs = store.list(resource, name)
    if not objs:
        return False
    estimate = 0.0
    if resource == "pods":
        estimate = max(
            (float(p["spec"].get("terminationGracePeriodSeconds", 30)) for p in objs if not pod_finished(p)),
            default=0.0,
        )
        if now - begun >= estimate:
            estimate = 0.0
    for obj in objs:
        if "deletionTimestamp" not in obj["metadata"]:
            begin_deletion(store, resource, obj, now)
    left = store.list(resource, name)
    if not left:
        return False
    held: dict[str, int] = {}
    for obj in left:
        for finalizer in obj["metadata"].get("finalizers") or ():
            held[finalizer] = held.get(finalizer, 0) + 1
    if estimate <= 0 and held:
        estimate = HELD
    if estimate <= 0:
        group_version = "/".join((resource.partition(".")[2], version_of.get(resource, "v1")))
        found.failed.append(
            f"unexpected items still remain in namespace: {name} for gvr: {group_version}, "
            f"Resource={resource.partition('.')[0]}"
        )
        return True
    found.estimate = max(found.estimate, estimate)
    found.remaining[resource] = len(left)
    for finalizer, count in held.items():
        found.finalizers[finalizer] = found.finalizers.get(finalizer, 0) + count
    return True


def undiscovered(store: Store) -> list[str]:
    """Return the group versions that an APIService promises and nobody serves."""
    found = []
    for service in store.list("apiservices.apiregistration.k8s.io"):
        spec = service["spec"]
        ref = spec.get("service")
        if not ref:
            continue
        conditions = (service.get("status") or {}).get("conditions") or ()
        said = next((c["status"] for c in conditions if c["type"] == "Available"), None)
        endpoints = store.get("endpoints", ref.get("namespace", ""), ref.get("name", ""))
        serves = any(s.get("addresses") for s in (endpoints or {}).get("subsets") or ())
        if said == "False" or (said is None and not serves):
            found.append(f"{spec['group']}/{spec['version']}")
    return sorted(found)


def _shown(resource: str) -> str:
    plural, _, group = resource.partition(".")
    return f"{plural}.{group}"


def merged(old: Obj, conditions: list[Condition], moment: str) -> list[Obj]:
    """Return the conditions as status holds them; a moment stays as long as what is said stays the same."""
    known = {c["type"]: c for c in old.get("conditions") or ()}
    found = []
    for type_, status, reason, message in conditions:
        before = known.get(type_)
        same = before is not None and (before["status"], before["reason"], before["message"]) == (
            status,
            reason,
            message,
        )
        since = before["lastTransitionTime"] if same and before is not None else moment
        found.append(
            {"type": type_, "status": status, "lastTransitionTime": since, "reason": reason, "message": message}
        )
    return found
