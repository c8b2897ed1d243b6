"""Collects what has lost its owners, and carries out foreground and orphan deletion."""

from __future__ import annotations

from typing import ClassVar

from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import begin_deletion, with_meta
from stratus.sim.store import Change, Obj

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"


class GarbageCollector(Controller):
    """Owner references across all resources; keys are (uid of an owner, "") and (resource, namespace/name)."""

    name: ClassVar[str] = "gc"
    component: ClassVar[str] = "garbage-collector-controller"
    resources: ClassVar[tuple[str, ...]] = ("*",)

    def on_change(self, change: Change) -> None:
        """Owners that go or are marked, and dependents that come with an owner nobody knows."""
        obj = change.object
        meta = obj["metadata"]
        uid = meta["uid"]
        if change.type == "DELETED":
            self.state.pop(uid, None)
            self.enqueue((uid, ""))
            for ref in meta.get("ownerReferences") or ():
                # A foreground deletion of the owner may have waited for this one.
                if ref["uid"] in self.state and self.state[ref["uid"]][3]:
                    self.enqueue((ref["uid"], ""))
            return
        held = [f for f in meta.get("finalizers") or () if f in (FOREGROUND, ORPHAN)]
        marked = bool("deletionTimestamp" in meta and held)
        self.state[uid] = (change.resource, meta.get("namespace", ""), meta["name"], marked)
        if marked:
            self.enqueue((uid, ""))
        owners = meta.get("ownerReferences")
        if owners and (change.previous is None or change.previous["metadata"].get("ownerReferences") != owners):
            if any(ref["uid"] not in self.state for ref in owners):
                self.wake((f"{change.resource} {meta.get('namespace', '')}", meta["name"]), self.clock.now() + 1.0)
            for ref in owners:
                if ref["uid"] in self.state and self.state[ref["uid"]][3]:
                    self.enqueue((ref["uid"], ""))

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
                self._forget(resource, obj, key[0])
            self._release(known[0], owner, ORPHAN)
        elif FOREGROUND in finalizers:
            blocking = []
            for resource, obj in dependents:
                ref = next(r for r in obj["metadata"]["ownerReferences"] if r["uid"] == key[0])
                if ref.get("blockOwnerDeletion"):
                    blocking.append(obj)
                if "deletionTimestamp" not in obj["metadata"]:
                    self._foreground(resource, obj)
            if not [
                o
                for r, o in self.store.owned_by(key[0])
                if o["metadata"]["uid"] in {b["metadata"]["uid"] for b in blocking}
            ]:
                self._release(known[0], owner, FOREGROUND)

    def _foreground(self, resource: str, obj: Obj) -> None:
        if resource != "pods" and self.store.owned_by(obj["metadata"]["uid"]):
            obj = with_meta(obj, finalizers=[*(obj["metadata"].get("finalizers") or ()), FOREGROUND])
            obj = self.store.update(resource, obj)
        begin_deletion(self.store, resource, obj, self.clock.now())

    def _collect(self, resource: str, obj: Obj) -> None:
        owners = obj["metadata"].get("ownerReferences") or ()
        if not owners or ("deletionTimestamp" in obj["metadata"] and resource != "pods"):
            return
        living = [ref for ref in owners if ref["uid"] in self.state]
        if living:
            if len(living) < len(owners):
                self.store.update(resource, with_meta(obj, ownerReferences=living))
            return
        begin_deletion(self.store, resource, obj, self.clock.now())

    def _forget(self, resource: str, obj: Obj, uid: str) -> None:
        others = [ref for ref in obj["metadata"].get("ownerReferences") or () if ref["uid"] != uid]
        self.store.update(resource, with_meta(obj, ownerReferences=others or None))

    def _release(self, resource: str, owner: Obj, finalizer: str) -> None:
        rest = [f for f in owner["metadata"].get("finalizers") or () if f != finalizer]
        meta = owner["metadata"]
        changed = with_meta(owner, finalizers=rest or None)
        current = self.store.update(resource, changed)
        if not rest and self.store.get(resource, meta.get("namespace", ""), meta["name"]) is current:
            self.store.delete(resource, meta.get("namespace", ""), meta["name"])
