"""Fields that can be set back but whose consequences cannot: found on the objects before and after."""

from __future__ import annotations

from collections.abc import Iterator

from stratus.model.actions import ApiWrite
from stratus.model.base import Json


def losses(write: ApiWrite, before: Json | None, after: Json | None) -> Iterator[str]:
    """Yield what would be lost for good, in words; nothing when the change can be taken back as a whole.

    Args:
        write: the write.
        before: the object now; None when it does not exist.
        after: the object as the dry run shows it; None when it would be gone.
    """
    if before is None:
        return
    kind = write.target.kind
    if kind == "StatefulSet":
        yield from _volumes(before, after)
    if after is None:
        finalizers = (before.get("metadata") or {}).get("finalizers") or []
        if finalizers and write.method == "DELETE":
            yield f"finalizers {', '.join(finalizers)} would hold the object half deleted"
        return
    old_meta, new_meta = before.get("metadata") or {}, after.get("metadata") or {}
    if (old_meta.get("ownerReferences") or []) != (new_meta.get("ownerReferences") or []):
        yield "with another owner, the garbage collector may delete the object"
    if set(old_meta.get("finalizers") or []) != set(new_meta.get("finalizers") or []):
        yield "finalizers decide what is cleaned up when the object goes"
    if write.target.custom and (before.get("status") or {}) != (after.get("status") or {}):
        # Where a CRD has no status subresource, a plain write reaches it; the undo leaves every status alone.
        yield "the status of a custom resource is what its operator goes by"
    if kind in ("ConfigMap", "Secret") and after.get("immutable") and not before.get("immutable"):
        yield "an object made immutable cannot be made mutable again"
    old, new = before.get("spec") or {}, after.get("spec") or {}
    if kind in ("Deployment", "StatefulSet", "DaemonSet"):
        kept, keeps = _history(old), _history(new)
        if keeps < kept:
            yield f"with a history of {keeps} instead of {kept}, older revisions are deleted"
    if kind in ("Job", "CronJob"):
        for field in (
            "ttlSecondsAfterFinished",
            "activeDeadlineSeconds",
            "successfulJobsHistoryLimit",
            "failedJobsHistoryLimit",
        ):
            if old.get(field) != new.get(field):
                yield f"{field} lets finished or running Jobs be deleted"


def _history(spec: Json) -> int:
    limit = spec.get("revisionHistoryLimit")
    return 10 if limit is None else int(limit)  # the server's default


def _volumes(before: Json, after: Json | None) -> Iterator[str]:
    held, spec = before.get("spec") or {}, (after or {}).get("spec") or {}
    policy = held.get("persistentVolumeClaimRetentionPolicy") or {}
    wanted = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    fewer = after is not None and (spec.get("replicas") or 0) < (held.get("replicas") or 0)
    if (fewer and policy.get("whenScaled") == "Delete") or (after is None and policy.get("whenDeleted") == "Delete"):
        yield "its volumes are deleted with the pods (persistentVolumeClaimRetentionPolicy)"
    for when in ("whenScaled", "whenDeleted"):
        if after is not None and wanted.get(when) == "Delete" and policy.get(when) != "Delete":
            yield f"{when}: Delete lets its volumes be deleted later"
