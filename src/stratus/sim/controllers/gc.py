"""Collects what has lost its owners, and carries out foreground and orphan deletion."""

from __future__ import annotations

from typing import ClassVar

from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import begin_deletion, released, with_meta
from stratus.sim.store import Change, Obj

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
#: Seconds after which an owner nobody has heard of is taken for absent.
PATIENCE = 1.0


class GarbageCollector(Controller):
    """Owner references across all resources; keys are (uid of an owner, "") and (resource, namespace/name).

    `state` holds what is there, by uid: (resource, namespace, name, whether its deletion waits for dependents).
    """

    name: ClassVar[str] = "gc"
    component: ClassVar[str] = "garbage-collector-controller"
    resources: ClassVar[tuple[str, ...]] = ("*",)

    def on_change(self, change: Change) -> None:
        """Owners that go or are marked, and dependents that come with an owner nobody knows."""
        obj = change.object
        meta = obj["metadata"]
        uid = meta["uid"]
        owners = meta.get("ownerReferences")
        before = change.previous["metadata"].get("ownerReferences") if change.previous is not None else None
        if change.type == "MODIFIED" and "deletionTimestamp" not in meta and owners == before:
            # It is known as it was, and so is what it depends on.
            return
        if change.type == "DELETED":
            self.state.pop(uid, None)
            self.enqueue((uid, ""))
            for ref in owners or ():
                # A foreground deletion of the owner may have waited for this one.
                if self._waits(ref["uid"]):
                    self.enqueue((ref["uid"], ""))
            return
        held = [f for f in meta.get("finalizers") or () if f in (FOREGROUND, ORPHAN)]
        marked = bool("deletionTimestamp" in meta and held)
        self.state[uid] = (change.resource, meta.get("namespace", ""), meta["name"], marked)
        if marked:
            self.enqueue((uid, ""))
        if before == owners:
            return
        if any(not self._lives(ref, meta.get("namespace", "")) for ref in owners or ()):
            self.wake((f"{change.resource} {meta.get('namespace', '')}", meta["name"]), self.clock.now() + PATIENCE)
        for ref in (*(owners or ()), *(before or ())):
            if self._waits(ref["uid"]):
                self.enqueue((ref["uid"], ""))

    def _waits(self, uid: str) -> bool:
        return uid in self.state and self.state[uid][3]

    def _lives(self, ref: Obj, namespace: str) -> bool:
        """Tell whether an owner is there: under its name, and where its dependent may refer to it."""
        known = self.state.get(ref["uid"])
        return known is not None and known[2] == ref["name"] and known[1] in ("", namespace)

    def sync(self, key: Key) -> None:
        """Deal with the dependents of one owner, or with one dependent."""
        if key[1]:
            resource, _, namespace = key[0].partition(" ")
            obj = self.store.get(resource, namespace, key[1])
            if obj is not None:
                self._collect(resource, obj)
            return
        known = self.state.get(key[0])
        dependents = self.store.owned_by(key[0])
        if known is None:
            for resource, obj in dependents:
                self._collect(resource, obj)
            return
        owner = self.store.get(*known[:3])
        if owner is None or "deletionTimestamp" not in owner["metadata"]:
            return
        finalizers = owner["metadata"].get("finalizers") or []
        if ORPHAN in finalizers:
            for resource, obj in dependents:
                self._drop(resource, obj, {key[0]})
            self._release(known[0], owner, ORPHAN)
        elif FOREGROUND in finalizers:
            for resource, obj in dependents:
                if "deletionTimestamp" not in obj["metadata"]:
                    self._collect(resource, obj)
            if not any(_blocks(obj, key[0]) for _, obj in self.store.owned_by(key[0])):
                self._release(known[0], owner, FOREGROUND)

    def _collect(self, resource: str, obj: Obj) -> None:
        """Delete an object whose owners are all gone or going; drop the references to some when others stay."""
        meta = obj["metadata"]
        namespace = meta.get("namespace", "")
        owners = meta.get("ownerReferences") or ()
        if not owners or ("deletionTimestamp" in meta and resource != "pods"):
            return
        absent, waiting, solid = [], [], []
        for ref in owners:
            if not self._lives(ref, namespace):
                absent.append(ref)
                self._complain(obj, ref, namespace)
            elif self._waits(ref["uid"]) and FOREGROUND in self._finalizers(ref["uid"]):
                waiting.append(ref)
            else:
                solid.append(ref)
        if not namespace and any(self._is_namespaced(ref) for ref in absent):
            # An object of the whole cluster cannot belong to one of a namespace; it is left alone.
            return
        if solid:
            if absent or waiting:
                self._drop(resource, obj, {ref["uid"] for ref in (*absent, *waiting)})
            return
        # The owner waits, so the dependents of this one go before it does.
        if waiting and resource != "pods" and self.store.owned_by(meta["uid"]):
            if any(self._waits(o["metadata"]["uid"]) for _, o in self.store.owned_by(meta["uid"])):
                # A circle: somebody has to give way.
                owners = [{**ref, "blockOwnerDeletion": False} for ref in owners]
            finalizers = [*(meta.get("finalizers") or ()), FOREGROUND]
            obj = self.store.update(resource, with_meta(obj, finalizers=finalizers, ownerReferences=list(owners)))
        begin_deletion(self.store, resource, obj, self.clock.now())

    def _finalizers(self, uid: str) -> list[str]:
        owner = self.store.get(*self.state[uid][:3])
        return list((owner or {"metadata": {}})["metadata"].get("finalizers") or ())

    def _is_namespaced(self, ref: Obj) -> bool:
        known = self.state.get(ref["uid"])
        return known is not None and bool(known[1])

    def _complain(self, obj: Obj, ref: Obj, namespace: str) -> None:
        """An owner is there, but where this dependent cannot refer to it."""
        known = self.state.get(ref["uid"])
        if known is None or not known[1] or known[1] == namespace:
            return
        named = f"namespace: {namespace}, name: {ref['name']}, uid: {ref['uid']}"
        shown = f"[{ref.get('apiVersion', '')}/{ref['kind']}, {named}]"
        text = f'ownerRef {shown} does not exist in namespace "{namespace}"'
        self.event(obj, "Warning", "OwnerRefInvalidNamespace", text)

    def _drop(self, resource: str, obj: Obj, uids: set[str]) -> None:
        others = [ref for ref in obj["metadata"].get("ownerReferences") or () if ref["uid"] not in uids]
        changed = with_meta(obj, ownerReferences=others or None)
        if others:
            for uid in sorted(uids):
                changed = released(changed, "metadata", "ownerReferences", f'k:{{"uid":"{uid}"}}')
        else:
            changed = released(changed, "metadata", "ownerReferences")
        self.store.update(resource, changed)

    def _release(self, resource: str, owner: Obj, finalizer: str) -> None:
        rest = [f for f in owner["metadata"].get("finalizers") or () if f != finalizer]
        meta = owner["metadata"]
        changed = with_meta(owner, finalizers=rest or None)
        current = self.store.update(resource, changed)
        if not rest and self.store.get(resource, meta.get("namespace", ""), meta["name"]) is current:
            self.store.delete(resource, meta.get("namespace", ""), meta["name"])


def _blocks(obj: Obj, uid: str) -> bool:
    """Tell whether a dependent keeps its owner from going."""
    refs = obj["metadata"].get("ownerReferences") or ()
    return any(r["uid"] == uid and r.get("blockOwnerDeletion") for r in refs)
