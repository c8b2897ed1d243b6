"""Grows volumes whose claims ask for more: first the volume, then, on the node of a pod, its file system."""

from __future__ import annotations

from typing import ClassVar

from stratus.kit.clock import iso
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.binding import claim_names, size_of, wanted_size
from stratus.sim.controllers.common import key_of, with_status
from stratus.sim.controllers.volumes import CLAIMS, VOLUMES, runs
from stratus.sim.store import Change, Obj

#: Seconds that resizing a volume, and growing a file system, take.
RESIZING, GROWING = 1.0, 2.0
IGNORED = (
    "Ignoring the PVC: didn't find a plugin capable of expanding the volume; waiting for an external controller to "
    "process this PVC."
)
PENDING = "Waiting for user to (re-)start a pod to finish file system resize of volume on node."


class ResizeController(Controller):
    """Bound claims; `state` holds when a step of one began, by (claim, step)."""

    name: ClassVar[str] = "resize"
    component: ClassVar[str] = "volume_expand"
    resources: ClassVar[tuple[str, ...]] = (CLAIMS, "pods")

    @classmethod
    def minds(cls, change: str, owner: str, claims: bool) -> bool:
        """Pods with claims."""
        return claims

    def on_change(self, change: Change) -> None:
        """A claim that changed, or a pod of one that waits for its file system."""
        obj = change.object
        if change.resource == CLAIMS:
            if change.type == "DELETED":
                for step in ("resize", "grow", "told"):
                    self.state.pop((key_of(obj), step), None)
            elif (obj.get("status") or {}).get("phase") == "Bound":
                self.enqueue(key_of(obj))
            return
        phase = (obj.get("status") or {}).get("phase")
        before = change.previous
        if phase == "Running" and (before is None or (before.get("status") or {}).get("phase") != phase):
            for name in claim_names(obj):
                self.enqueue((obj["metadata"]["namespace"], name))

    def sync(self, key: Key) -> None:
        """One step with one claim."""
        claim = self.store.get(CLAIMS, *key)
        if claim is None or "deletionTimestamp" in claim["metadata"]:
            return
        volume = self.store.get(VOLUMES, "", claim["spec"].get("volumeName") or "")
        if volume is None:
            return
        status = claim.get("status") or {}
        if any(c["type"] == "FileSystemResizePending" for c in status.get("conditions") or ()):
            self._grow(claim, volume, key)
        elif wanted_size(claim) > size_of({"spec": {"capacity": status.get("capacity") or {}}}) + 0.5:
            self._resize(claim, volume, key, status)

    def _resize(self, claim: Obj, volume: Obj, key: Key, status: Obj) -> None:
        driver = (volume["spec"].get("csi") or {}).get("driver") or ""
        now = self.clock.now()
        if not runs(self.store, driver):
            if (key, "told") not in self.state:
                self.state[key, "told"] = now
                self.event(claim, "Warning", "ExternalExpanding", IGNORED)
            return
        name = volume["metadata"]["name"]
        began = self.state.get((key, "resize"))
        if began is None:
            self.state[key, "resize"] = now
            text = f"External resizer is resizing volume {name}"
            self.control.events.record(claim, "Normal", "Resizing", text, driver)
            self._condition(claim, status, "Resizing", "")
            self.wake(key, now + RESIZING, "resize")
            return
        if now < began + RESIZING - 1e-6:
            return
        self.state.pop((key, "resize"), None)
        wanted = claim["spec"]["resources"]["requests"]["storage"]
        self.store.update(VOLUMES, {**volume, "spec": {**volume["spec"], "capacity": {"storage": wanted}}})
        current = self.store.get(CLAIMS, *key)
        if current is None:
            return
        if volume["spec"].get("volumeMode") == "Block":
            done = {k: v for k, v in status.items() if k != "conditions"}
            current = self.store.update(CLAIMS, with_status(current, {**done, "capacity": {"storage": wanted}}))
            self.control.events.record(current, "Normal", "VolumeResizeSuccessful", "Resize volume succeeded", driver)
            return
        self._condition(current, status, "FileSystemResizePending", PENDING)
        text = "Require file system resize of volume on node"
        self.control.events.record(current, "Normal", "FileSystemResizeRequired", text, driver)

    def _grow(self, claim: Obj, volume: Obj, key: Key) -> None:
        """The kubelet of a node where the volume is mounted grows the file system."""
        users = [
            p
            for p in self.control.index.in_namespace(key[0])
            if (p.get("status") or {}).get("phase") == "Running" and key[1] in claim_names(p)
        ]
        if not users:
            self.state.pop((key, "grow"), None)
            return
        now = self.clock.now()
        began = self.state.setdefault((key, "grow"), now)
        if now < began + GROWING - 1e-6:
            self.wake(key, began + GROWING, "grow")
            return
        self.state.pop((key, "grow"), None)
        status = {k: v for k, v in (claim.get("status") or {}).items() if k != "conditions"}
        status["capacity"] = volume["spec"].get("capacity")
        current = self.store.update(CLAIMS, with_status(claim, status))
        node = users[0]["spec"]["nodeName"]
        text = f'MountVolume.NodeExpandVolume succeeded for volume "{volume["metadata"]["name"]}" {node}'
        for obj in (users[0], current):
            self.control.events.record(obj, "Normal", "FileSystemResizeSuccessful", text, "kubelet", host=node)

    def _condition(self, claim: Obj, status: Obj, type_: str, message: str) -> None:
        found: Obj = {
            "type": type_,
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": iso(self.clock.now()),
        }
        if message:
            found["message"] = message
        self.store.update(CLAIMS, with_status(claim, {**status, "conditions": [found]}))
