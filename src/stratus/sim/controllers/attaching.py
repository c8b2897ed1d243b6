"""Attaches network volumes to nodes, one node at a time where a volume allows no more; makes claims of pods' own."""

from __future__ import annotations

import hashlib
from typing import ClassVar

from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.binding import claim_names
from stratus.sim.controllers.common import has_claims, key_of, owner_reference, pod_finished
from stratus.sim.controllers.volumes import BUILT_IN, CLAIMS, DRIVERS, VOLUMES
from stratus.sim.store import Change, Obj

ATTACHMENTS = "volumeattachments.storage.k8s.io"
#: Seconds that attaching or detaching takes, and after which a kubelet says what it waits for.
ATTACHING, PATIENCE = 1.0, 123.0
SHARED = frozenset({"ReadWriteMany", "ReadOnlyMany"})


class AttachController(Controller):
    """Pods on nodes (keys are theirs) and the volumes they need there.

    `state` holds the node each volume is attached to by ("on", volume), when attaching it began by ("at", volume), the
    pods that were told of another node by ("told", pod, volume), and pods whose volumes their kubelet waits for.
    """

    name: ClassVar[str] = "attach"
    component: ClassVar[str] = "attachdetach-controller"
    resources: ClassVar[tuple[str, ...]] = ("pods", CLAIMS, VOLUMES)

    @classmethod
    def minds(cls, change: str, owner: str, claims: bool) -> bool:
        """Pods with claims."""
        return claims

    def on_change(self, change: Change) -> None:
        """Pods with claims, and what such pods wait for."""
        obj = change.object
        if change.resource != "pods":
            for key in [k[1] for k in self.state if k[0] == "waits"]:
                self.enqueue(key)
            return
        if not has_claims(obj):
            return
        before = change.previous
        if change.type == "MODIFIED" and before is not None:
            moved = before["spec"].get("nodeName") != obj["spec"].get("nodeName")
            if not moved and pod_finished(before) == pod_finished(obj):
                return
        if change.type == "DELETED" or pod_finished(obj):
            self.state.pop(("waits", key_of(obj)), None)
            for volume in self._attachable(obj):
                if ("on", volume["metadata"]["name"]) in self.state:
                    self.wake(("", volume["metadata"]["name"]), self.clock.now() + ATTACHING, "detach")
            return
        self.enqueue(key_of(obj))

    # what the kubelet asks

    def hinders(self, pod: Obj) -> str | None:
        """Return what keeps a pod's claims from being mounted, None when nothing does; its kubelet hears of a change.

        The text is the kubelet's, for when it has waited long enough.
        """
        names = claim_names(pod)
        if not names:
            return None
        space = pod["metadata"]["namespace"]
        for name in names:
            claim = self.store.get(CLAIMS, space, name)
            volume = self.store.get(VOLUMES, "", (claim or {"spec": {}})["spec"].get("volumeName") or "")
            bound = claim is not None and (claim.get("status") or {}).get("phase") == "Bound"
            why = ""
            if claim is None:
                why = f'failed to fetch PVC from API server: persistentvolumeclaims "{name}" not found'
            elif not bound:
                why = "PVC is not bound"
            elif volume is None:
                gone = claim["spec"]["volumeName"]
                why = f'failed to fetch PV {gone} from API server: persistentvolumes "{gone}" not found'
            if why:
                self.state["waits", key_of(pod)] = True
                return self._unmounted(pod, f"error processing PVC {space}/{name}: {why}", failed=True)
        for volume in self._attachable(pod):
            name = volume["metadata"]["name"]
            if self.state.get(("on", name)) != pod["spec"].get("nodeName"):
                self.state["waits", key_of(pod)] = True
                return self._unmounted(pod, "context deadline exceeded", failed=False)
        self.state.pop(("waits", key_of(pod)), None)
        return None

    @staticmethod
    def _unmounted(pod: Obj, why: str, *, failed: bool) -> str:
        claimed = [
            v["name"] for v in pod["spec"].get("volumes") or () if v.get("persistentVolumeClaim") or v.get("ephemeral")
        ]
        shown = " ".join(claimed)
        return (
            f"Unable to attach or mount volumes: unmounted volumes=[{shown}], unattached volumes=[], "
            f"failed to process volumes=[{shown if failed else ''}]: {why}"
        )

    # attaching

    def _attachable(self, pod: Obj) -> list[Obj]:
        """Return the volumes of a pod that have to be attached to its node."""
        found = []
        for name in claim_names(pod):
            claim = self.store.get(CLAIMS, pod["metadata"]["namespace"], name)
            volume = self.store.get(VOLUMES, "", (claim or {"spec": {}})["spec"].get("volumeName") or "")
            driver = ((volume or {"spec": {}})["spec"].get("csi") or {}).get("driver", "")
            if volume is None or not driver or driver in BUILT_IN:
                continue
            described = self.store.get(DRIVERS, "", driver)
            if described is None or described["spec"].get("attachRequired", True):
                found.append(volume)
        return found

    def sync(self, key: Key) -> None:
        """See that one pod's volumes come to its node."""
        if not key[0]:
            self._detach(key[1])
            return
        pod = self.store.get("pods", *key)
        if pod is None or pod_finished(pod) or "deletionTimestamp" in pod["metadata"]:
            return
        self._ephemeral(pod)
        node = pod["spec"].get("nodeName")
        if not node:
            return
        for volume in self._attachable(pod):
            self._attach(pod, volume, node)
        if ("waits", key) in self.state and self.hinders(pod) is None:
            self.control.enqueue("kubelet", key)

    def _attach(self, pod: Obj, volume: Obj, node: str) -> None:
        name = volume["metadata"]["name"]
        there = self.state.get(("on", name))
        shared = bool(set(volume["spec"].get("accessModes") or ()) & SHARED)
        if there == node:
            return
        if there is not None and not shared:
            told = ("told", key_of(pod), name)
            if told not in self.state:
                self.state[told] = True
                others = self._others(pod, name, there)
                text = (
                    f"Volume is already used by pod(s) {', '.join(others)}"
                    if others
                    else "Volume is already exclusively attached to one node and can't be attached to another"
                )
                whole = f'Multi-Attach error for volume "{name}" {text}'
                self.event(pod, "Warning", "FailedAttachVolume", whole)
            return
        now = self.clock.now()
        began = self.state.setdefault(("at", name), now)
        if now < began + ATTACHING - 1e-6:
            self.wake(key_of(pod), began + ATTACHING, "attach")
            return
        del self.state["at", name]
        self.state["on", name] = node
        driver = volume["spec"]["csi"]["driver"]
        handle = f"{volume['spec']['csi'].get('volumeHandle', name)}{driver}{node}"
        self.store.create(
            ATTACHMENTS,
            {
                "kind": "VolumeAttachment",
                "apiVersion": "storage.k8s.io/v1",
                "metadata": {"name": f"csi-{hashlib.sha256(handle.encode()).hexdigest()}"},
                "spec": {"attacher": driver, "nodeName": node, "source": {"persistentVolumeName": name}},
                "status": {"attached": True},
            },
        )
        self.event(pod, "Normal", "SuccessfulAttachVolume", f'AttachVolume.Attach succeeded for volume "{name}" ')

    def _others(self, pod: Obj, volume: str, node: str) -> list[str]:
        """Return the pods of the same namespace that use a volume on another node."""
        found = []
        for other in self.control.index.in_namespace(pod["metadata"]["namespace"]):
            if other["spec"].get("nodeName") == node and any(
                v["metadata"]["name"] == volume for v in self._attachable(other)
            ):
                found.append(other["metadata"]["name"])
        return found

    def on_timer(self, key: Key, tag: str) -> None:
        """Attaching or detaching is done."""
        self.enqueue(key)

    def _detach(self, name: str) -> None:
        node = self.state.get(("on", name))
        if node is None:
            return
        for pod in self.control.index.by_node.get(node, {}).values():
            if not pod_finished(pod) and any(v["metadata"]["name"] == name for v in self._attachable(pod)):
                return
        del self.state["on", name]
        for attachment in self.store.list(ATTACHMENTS):
            if attachment["spec"]["source"].get("persistentVolumeName") == name:
                self.store.delete(ATTACHMENTS, "", attachment["metadata"]["name"])
        for told in [k for k in self.state if k[0] == "told" and k[2] == name]:
            del self.state[told]
        for key in [k[1] for k in self.state if k[0] == "waits"]:
            self.enqueue(key)

    # ephemeral volumes

    def _ephemeral(self, pod: Obj) -> None:
        """Make the claims of a pod's generic ephemeral volumes."""
        meta = pod["metadata"]
        for volume in pod["spec"].get("volumes") or ():
            template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
            name = f"{meta['name']}-{volume['name']}"
            if not template or self.store.get(CLAIMS, meta["namespace"], name) is not None:
                continue
            head = {k: v for k, v in (template.get("metadata") or {}).items() if k in ("labels", "annotations")}
            self.store.create(
                CLAIMS,
                {
                    "kind": "PersistentVolumeClaim",
                    "apiVersion": "v1",
                    "metadata": {
                        **head,
                        "name": name,
                        "namespace": meta["namespace"],
                        "ownerReferences": [owner_reference(pod)],
                        "finalizers": ["kubernetes.io/pvc-protection"],
                    },
                    "spec": {"volumeMode": "Filesystem", **template["spec"]},
                    "status": {"phase": "Pending"},
                },
            )
