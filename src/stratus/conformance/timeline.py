"""What every object was before each recorded command, pieced together from the recorded changes."""

from __future__ import annotations

import uuid
from typing import Any

from stratus.kit.clock import parse_iso

Json = dict[str, Any]
#: (group, kind, namespace, name)
Key = tuple[str, str, str, str]
#: An object that only the namespaces with a workload began with.
_MARK = ("ResourceQuota", "quota")


def key_of(obj: Json) -> Key:
    """Return what names an object."""
    meta = obj["metadata"]
    return (obj["apiVersion"].rpartition("/")[0], obj["kind"], meta.get("namespace") or "", meta["name"])


class Timeline:
    """The objects of a recording over time.

    Args:
        sessions: the recorded commands, in order, with their `changes`.
    """

    def __init__(self, sessions: list[Json]) -> None:
        self._states: dict[Key, list[tuple[int, Json | None, Json | None]]] = {}
        for at, session in enumerate(sessions):
            for change in session.get("changes") or ():
                known = change["before"] or change["after"]
                self._states.setdefault(key_of(known), []).append((at, change["before"], change["after"]))
        #: By the identity of objects that `_states` keeps alive.
        self._stamps: dict[int, float] = {}
        #: Namespaces that began with the same workload, and what they began with.
        self._alike: set[str] = set()
        begun: dict[tuple[str, str, str], list[Json]] = {}
        for (group, kind, space, name), changes in self._states.items():
            first = changes[0][1]
            if first is None or not space:
                continue
            if (kind, name) == _MARK:
                self._alike.add(space)
            meta = first["metadata"]
            if not meta.get("ownerReferences") and "generateName" not in meta and kind not in ("Endpoints", "Event"):
                # Where one never changed, nothing tells of it but its likes in other namespaces.
                begun.setdefault((group, kind, name), []).append(first)
        richest = max(
            self._alike,
            key=lambda s: sum(o["metadata"]["namespace"] == s for f in begun.values() for o in f),
            default="",
        )
        self._common = {
            key: found[0]
            for key, found in begun.items()
            if len(found) > 1 or found[0]["metadata"]["namespace"] == richest
        }

    def seconds(self, moment: int) -> float:
        """Return when session number `moment` began: just after the latest write that was seen until then."""
        latest = 0.0
        for changes in self._states.values():
            for at, before, after in changes:
                known = (after or before) if at < moment else before if at == moment else None
                latest = max(latest, self._stamp(known) if known is not None else 0.0)
        return latest

    def _stamp(self, obj: Json) -> float:
        """Return when an object of the recording was last written, read from it once."""
        known = self._stamps.get(id(obj))
        if known is None:
            known = self._stamps[id(obj)] = written(obj)
        return known

    def at(self, moment: int) -> dict[Key, Json]:
        """Return the objects that exist just before session number `moment`."""
        found = {}
        now = self.seconds(moment)
        for key, changes in self._states.items():
            here = [before for at, before, _ in changes if at == moment]
            earlier = [after for at, _, after in changes if at < moment]
            later = [before for at, before, _ in changes if at > moment]
            state = here[0] if here else earlier[-1] if earlier else later[0]
            # What was made between two recorded commands shows only later.
            young = not here and not earlier and now and state is not None and created(state) > now + 1.0
            if state is not None and not young:
                found[key] = state
        for space in sorted(self._alike):
            for (group, kind, name), obj in self._common.items():
                key = (group, kind, space, name)
                if key not in self._states:
                    found[key] = transplanted(obj, space)
        return found


def created(obj: Json) -> float:
    """Return when an object was made, 0 when it does not say."""
    stamp = obj["metadata"].get("creationTimestamp")
    return parse_iso(stamp) if stamp else 0.0


def written(obj: Json) -> float:
    """Return the latest moment at which an object says it was written, 0 when it says none."""
    meta = obj["metadata"]
    stamps = [meta.get("creationTimestamp"), *(e.get("time") for e in meta.get("managedFields") or ())]
    return max((parse_iso(s) for s in stamps if s), default=0.0)


def transplanted(obj: Json, namespace: str) -> Json:
    """Return the like of an object in another namespace, with a uid of its own."""
    uid = str(uuid.uuid5(uuid.UUID(obj["metadata"]["uid"]), namespace))
    return {**obj, "metadata": {**obj["metadata"], "namespace": namespace, "uid": uid}}
