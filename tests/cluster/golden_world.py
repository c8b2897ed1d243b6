"""A reader over recordings: the objects of a real cluster as they were just before each recorded kubectl command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stratus.cluster.kube.discovery import Catalogue, aggregated_rows
from stratus.conformance.golden import Golden
from stratus.conformance.timeline import Key, Timeline
from stratus.errors import Forbidden
from stratus.model.refs import ApiResource, ClusterIdentity, ObjectRef

Json = dict[str, Any]
__all__ = ["Key", "RecordedReader", "Timeline", "recorded_catalogue", "recorded_sessions"]


def recorded_sessions(golden: Path) -> list[Json]:
    """Return the recorded kubectl commands in order."""
    return Golden(golden).records("kubectl.jsonl.gz")


def recorded_catalogue(golden: Path) -> Catalogue:
    """Return the recorded server's discovery."""
    rows: list[ApiResource] = []
    for name in ("api_aggregated_v2.json", "apis_aggregated_v2.json"):
        rows += aggregated_rows(json.loads((golden / "discovery" / name).read_text()))
    return Catalogue(rows)


class RecordedReader:
    """A `ClusterReader` over a fixed set of objects."""

    def __init__(self, catalogue: Catalogue, objects: dict[Key, Json], *, unreadable: bool = False) -> None:
        self._catalogue = catalogue
        self._objects = objects
        self._unreadable = unreadable

    def identity(self) -> ClusterIdentity:
        return ClusterIdentity(server="recorded", version="v1.36.2")

    def resources(self) -> tuple[ApiResource, ...]:
        return self._catalogue.preferred

    def resource(self, word: str) -> ApiResource:
        return self._catalogue.find(word)

    def get(self, ref: ObjectRef) -> Json | None:
        if self._unreadable:
            raise Forbidden("forbidden", status=403)
        return self._objects.get((ref.group, ref.kind, ref.namespace, ref.name))

    def list(
        self, kind: str, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> list[Json]:
        resource = self.resource(kind)
        found = [
            obj
            for (group, name, space, _), obj in sorted(self._objects.items())
            if (group, name) == (resource.group, resource.kind) and namespace in (None, space)
        ]
        for pair in filter(None, label_selector.split(",")):
            label, _, value = pair.partition("=")
            found = [o for o in found if (o["metadata"].get("labels") or {}).get(label) == value]
        for pair in filter(None, field_selector.split(",")):
            path, _, value = pair.partition("=")
            found = [o for o in found if _dig(o, path) == value]
        return found

    def logs(self, namespace: str, pod: str, **more: Any) -> str:
        return ""

    def can_i(self, verb: str, resource: str, namespace: str = "", *, subresource: str = "") -> bool:
        return True


def _dig(obj: Any, path: str) -> Any:
    for step in path.split("."):
        obj = (obj or {}).get(step)
    return obj
