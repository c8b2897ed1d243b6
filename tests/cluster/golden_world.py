"""A reader over recordings: the objects of a real cluster as they were just before each recorded kubectl command."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from stratus.cluster.kube.discovery import Catalogue, aggregated_rows
from stratus.errors import Forbidden
from stratus.model.refs import ApiResource, ClusterIdentity, ObjectRef

Json = dict[str, Any]
Key = tuple[str, str, str, str]


def recorded_sessions(golden: Path) -> list[Json]:
    """Return the recorded kubectl commands in order."""
    with gzip.open(golden / "kubectl.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def recorded_catalogue(golden: Path) -> Catalogue:
    """Return the recorded server's discovery."""
    rows: list[ApiResource] = []
    for name in ("api_aggregated_v2.json", "apis_aggregated_v2.json"):
        rows += aggregated_rows(json.loads((golden / "discovery" / name).read_text()))
    return Catalogue(rows)


def _key(obj: Json) -> Key:
    meta = obj["metadata"]
    return (obj["apiVersion"].rpartition("/")[0], obj["kind"], meta.get("namespace") or "", meta["name"])


class Timeline:
    """What every object was at every moment, pieced together from the recorded changes."""

    def __init__(self, sessions: list[Json]) -> None:
        self._states: dict[Key, list[tuple[int, Json | None, Json | None]]] = {}
        for at, session in enumerate(sessions):
            for change in session.get("changes") or ():
                known = change["before"] or change["after"]
                self._states.setdefault(_key(known), []).append((at, change["before"], change["after"]))
        self._common = self._in_every_namespace()

    def _in_every_namespace(self) -> dict[tuple[str, str, str], Json]:
        """Return the objects that every recorded namespace began with; where one never changed, nothing tells of it."""
        found = {}
        for (group, kind, space, name), changes in self._states.items():
            first = changes[0][1]
            if (
                first is not None
                and kind in ("Deployment", "StatefulSet", "DaemonSet", "ConfigMap")
                and space.startswith("shop")
            ):
                found.setdefault((group, kind, name), first)
        return {key: obj for key, obj in found.items() if key[2] in ("web", "api", "db", "agent", "app-config")}

    def at(self, moment: int) -> dict[Key, Json]:
        """Return the objects that exist just before session number `moment`."""
        found = {}
        for key, changes in self._states.items():
            here = [before for at, before, _ in changes if at == moment]
            earlier = [after for at, _, after in changes if at < moment]
            later = [before for at, before, _ in changes if at > moment]
            state = here[0] if here else earlier[-1] if earlier else later[0]
            if state is not None:
                found[key] = state
        for (group, kind, name), obj in self._common.items():
            for space in {key[2] for key in found if key[2].startswith("shop")}:
                key = (group, kind, space, name)
                if key not in self._states:
                    found[key] = {**obj, "metadata": {**obj["metadata"], "namespace": space}}
        return found


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
