"""The cluster as it would stand after the writes planned so far: reads go through an overlay of dry-run results."""

from __future__ import annotations

from stratus.cluster.base import ClusterReader, ClusterRehearser
from stratus.errors import NotFound
from stratus.kit.patches import merge_apply
from stratus.mitigation.diffing import carried_over
from stratus.model.actions import ApiWrite
from stratus.model.base import Json
from stratus.model.refs import ApiResource, ClusterIdentity, ObjectRef

Overlay = dict[tuple[str, str, str], Json | None]


class NotRehearsable(Exception):
    """The server cannot dry-run a write because it depends on an earlier one of the same plan."""


class OverlayReader:
    """A `ClusterReader` that shows planned changes over the real state; a None in the overlay hides an object."""

    def __init__(self, reader: ClusterReader, overlay: Overlay | None = None) -> None:
        self._reader = reader
        self.overlay: Overlay = dict(overlay or {})

    def fork(self) -> OverlayReader:
        """Return a copy, for a command that may yet be refused."""
        return OverlayReader(self._reader, self.overlay)

    def real(self, ref: ObjectRef) -> Json | None:
        """Return the object as the cluster has it now."""
        return self._reader.get(ref)

    def put(self, ref: ObjectRef, obj: Json | None) -> None:
        """Show this object from now on, or none."""
        self.overlay[ref.key] = obj

    def identity(self) -> ClusterIdentity:
        """Say which cluster this is."""
        return self._reader.identity()

    def resources(self) -> tuple[ApiResource, ...]:
        """Return API discovery."""
        return self._reader.resources()

    def resource(self, word: str) -> ApiResource:
        """Resolve a resource name."""
        return self._reader.resource(word)

    def get(self, ref: ObjectRef) -> Json | None:
        """Return the object as it would be, or None."""
        return self.overlay[ref.key] if ref.key in self.overlay else self.real(ref)

    def list(
        self, kind: str, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> list[Json]:
        """Return objects of a kind as they would be; objects that only the overlay has come last, without selectors."""
        found = self._reader.list(kind, namespace, label_selector=label_selector, field_selector=field_selector)
        shown: list[Json] = []
        seen = set()
        for obj in found:
            key = ObjectRef.of(obj).key
            seen.add(key)
            kept = self.overlay.get(key, obj)
            if kept is not None:
                shown.append(kept)
        if not label_selector and not field_selector and self.overlay:
            row = self._reader.resource(kind)
            wanted = ObjectRef(api_version=row.api_version, kind=row.kind, name="").type_name
            for key, planned in self.overlay.items():
                fits = key[0] == wanted and namespace in (None, key[1])
                if fits and planned is not None and key not in seen:
                    shown.append(planned)
        return shown

    def logs(
        self,
        namespace: str,
        pod: str,
        *,
        container: str = "",
        previous: bool = False,
        tail_lines: int = 200,
        since_seconds: int | None = None,
        timestamps: bool = False,
    ) -> str:
        """Return a container's log."""
        return self._reader.logs(
            namespace,
            pod,
            container=container,
            previous=previous,
            tail_lines=tail_lines,
            since_seconds=since_seconds,
            timestamps=timestamps,
        )

    def can_i(self, verb: str, resource: str, namespace: str = "", *, subresource: str = "") -> bool:
        """Ask whether the identity may do something."""
        return self._reader.can_i(verb, resource, namespace, subresource=subresource)


def rehearse(write: ApiWrite, before: Json | None, reader: OverlayReader, rehearser: ClusterRehearser) -> Json | None:
    """Return the object as it would stand after the write and all that were planned before it; None when gone.

    Args:
        write: what is to be tried; only ever sent as a dry run.
        before: the object as the earlier planned writes would leave it.
        reader: knows both the planned and the real state.
        rehearser: the server's dry run.

    Raises:
        ClusterError: as the real write would.
        NotRehearsable: the write builds on a planned one in a way that cannot be tried.
    """
    planned = write.target.key in reader.overlay
    real = reader.real(write.target) if planned else before
    if planned and real is None and before is not None and write.method != "POST":
        if write.method == "PATCH" and write.patch_type == "application/merge-patch+json" and not write.subresource:
            merged = merge_apply(before, write.body)
            assert isinstance(merged, dict)
            return merged
        raise NotRehearsable(f"{write.target} would only be created by an earlier command of the plan")
    if planned and before is None and write.method != "POST":
        raise NotFound(f"{write.target} would have been deleted by an earlier command of the plan", status=404)
    if planned and before is None and real is not None:
        raise NotRehearsable(f"{write.target} would only be deleted by an earlier command of the plan")
    answer = rehearser.dry_run(write)
    if write.method == "DELETE" or write.subresource == "eviction":
        return None
    after = _whole(write, answer, real)
    if planned and real is not None and before is not None:
        return carried_over(real, after, before)
    return after


def _whole(write: ApiWrite, answer: Json, real: Json | None) -> Json:
    """Return the full object; the answer to a write of `scale` holds only the count."""
    if write.subresource != "scale" or real is None:
        return answer
    replicas = answer.get("spec", {}).get("replicas", 0)
    return {**real, "spec": {**real.get("spec", {}), "replicas": replicas}}
