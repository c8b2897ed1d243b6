"""Binds claims to volumes, provisions what a storage class can provision, and reclaims what is no longer claimed."""

from __future__ import annotations

from typing import Any, ClassVar

from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import key_of, matches, with_meta, with_status
from stratus.sim.quantity import parse_quantity
from stratus.sim.store import Change, Obj

#: Seconds after which a claim that waits is looked at (and told about) again, and that provisioning takes.
RESYNC, PROVISIONING = 15.0, 1.0
DEFAULT = "storageclass.kubernetes.io/is-default-class"
PROTECTION = "kubernetes.io/pvc-protection"
SELECTED = "volume.kubernetes.io/selected-node"


class VolumeController(Controller):
    """PersistentVolumeClaims (key with a namespace) and PersistentVolumes (key without)."""

    name: ClassVar[str] = "volume"
    component: ClassVar[str] = "persistentvolume-controller"
    resources: ClassVar[tuple[str, ...]] = (
        "persistentvolumeclaims",
        "persistentvolumes",
        "storageclasses.storage.k8s.io",
        "pods",
    )

    def on_change(self, change: Change) -> None:
        """Claims and volumes; a class or a free volume concerns every waiting claim."""
        obj = change.object
        if change.resource == "persistentvolumeclaims":
            self.enqueue(key_of(obj))
            if change.type == "DELETED" and obj["spec"].get("volumeName"):
                self.enqueue(("", obj["spec"]["volumeName"]))
        elif change.resource == "pods":
            if change.type == "DELETED":
                for volume in obj["spec"].get("volumes") or ():
                    name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
                    if name:
                        self.enqueue((obj["metadata"]["namespace"], name))
        else:
            if change.resource == "persistentvolumes":
                self.enqueue(("", obj["metadata"]["name"]))
            for claim in self.store.list("persistentvolumeclaims"):
                if not claim["spec"].get("volumeName") or change.type == "DELETED":
                    self.enqueue(key_of(claim))

    def sync(self, key: Key) -> None:
        """One pass over a claim or a volume."""
        if not key[0]:
            self._volume(key[1])
            return
        claim = self.store.get("persistentvolumeclaims", *key)
        if claim is None:
            return
        if "deletionTimestamp" in claim["metadata"]:
            self._let_go(claim)
            return
        if claim["spec"].get("volumeName"):
            self._bound(claim)
            return
        if (claim.get("status") or {}).get("phase") != "Pending":
            claim = self.store.update("persistentvolumeclaims", with_status(claim, {"phase": "Pending"}))
        self._bind(claim, key)

    # claims

    def _let_go(self, claim: Obj) -> None:
        namespace, name = key_of(claim)
        used = any(
            (v.get("persistentVolumeClaim") or {}).get("claimName") == name
            for pod in self.control.index.in_namespace(namespace)
            if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
            for v in pod["spec"].get("volumes") or ()
        )
        finalizers = claim["metadata"].get("finalizers") or []
        if not used and PROTECTION in finalizers:
            rest = [f for f in finalizers if f != PROTECTION]
            self.store.update("persistentvolumeclaims", with_meta(claim, finalizers=rest or None))

    def _bound(self, claim: Obj) -> None:
        volume = self.store.get("persistentvolumes", "", claim["spec"]["volumeName"])
        phase = (claim.get("status") or {}).get("phase")
        if volume is None:
            if phase == "Bound":
                self.event(
                    claim,
                    "Warning",
                    "ClaimLost",
                    "Bound claim has lost its PersistentVolume. Any data on the volume is lost!",
                )
                self.store.update("persistentvolumeclaims", with_status(claim, {"phase": "Lost"}))
            return
        if phase != "Bound":
            self._join(claim, volume)

    def _bind(self, claim: Obj, key: Key) -> None:
        spec = claim["spec"]
        name = spec.get("storageClassName")
        if name is None:
            default = next(
                (
                    c
                    for c in self.store.list("storageclasses.storage.k8s.io")
                    if (c["metadata"].get("annotations") or {}).get(DEFAULT) == "true"
                ),
                None,
            )
            if default is not None:
                name = default["metadata"]["name"]
                claim = self.store.update(
                    "persistentvolumeclaims", {**claim, "spec": {**spec, "storageClassName": name}}
                )
        kind = self.store.get("storageclasses.storage.k8s.io", "", name) if name else None
        delayed = kind is not None and kind.get("volumeBindingMode") == "WaitForFirstConsumer"
        chosen = (claim["metadata"].get("annotations") or {}).get(SELECTED)
        if not delayed or chosen:
            volume = self._match(claim, name or "")
            if volume is not None:
                self._join(claim, volume)
                return
        if not name:
            text = "no persistent volumes available for this claim and no storage class is set"
            self._wait(claim, key, "Normal", "FailedBinding", text)
        elif kind is None:
            text = f'storageclass.storage.k8s.io "{name}" not found'
            self._wait(claim, key, "Warning", "ProvisioningFailed", text)
        elif delayed and not chosen:
            text = "waiting for first consumer to be created before binding"
            self._wait(claim, key, "Normal", "WaitForFirstConsumer", text)
        elif kind.get("provisioner") == "kubernetes.io/no-provisioner":
            self._wait(
                claim,
                key,
                "Normal",
                "FailedBinding",
                "no persistent volumes available for this claim and no storage class is set",
            )
        else:
            self._provision(claim, key, kind, chosen)

    def _wait(self, claim: Obj, key: Key, type_: str, reason: str, text: str) -> None:
        now = self.clock.now()
        if self.state.get(key, -RESYNC) + RESYNC <= now + 1e-6:
            self.state[key] = now
            self.event(claim, type_, reason, text)
            self.wake(key, now + RESYNC, "resync")

    def _match(self, claim: Obj, kind: str) -> Obj | None:
        wanted = parse_quantity(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage"))
        modes = set(claim["spec"].get("accessModes") or ())
        fitting = []
        for volume in self.store.list("persistentvolumes"):
            spec = volume["spec"]
            ref = spec.get("claimRef")
            if ref and (ref.get("namespace"), ref.get("name")) != key_of(claim):
                continue
            if ref and ref.get("uid") and ref["uid"] != claim["metadata"]["uid"]:
                continue
            if (spec.get("storageClassName") or "") != kind or not modes <= set(spec.get("accessModes") or ()):
                continue
            size = parse_quantity((spec.get("capacity") or {}).get("storage"))
            if size < wanted or spec.get("volumeMode", "Filesystem") != claim["spec"].get("volumeMode", "Filesystem"):
                continue
            selector = claim["spec"].get("selector")
            if selector is not None and not matches(selector, volume["metadata"].get("labels")):
                continue
            fitting.append((not ref, size, volume["metadata"]["name"], volume))
        return min(fitting, key=lambda f: f[:3])[3] if fitting else None

    def _provision(self, claim: Obj, key: Key, kind: Obj, node: str | None) -> None:
        now = self.clock.now()
        began = self.state.get((key, "provision"))
        driver = kind.get("provisioner", "")
        if began is None:
            self.state[key, "provision"] = now
            text = (
                f"Waiting for a volume to be created either by the external provisioner '{driver}' or manually by the "
                "system administrator. If volume creation is delayed, please verify that the provisioner is running "
                "and correctly registered."
            )
            self.event(claim, "Normal", "ExternalProvisioning", text)
            self.wake(key, now + PROVISIONING, "provision")
            return
        if now < began + PROVISIONING - 1e-6:
            return
        self.state.pop((key, "provision"), None)
        name = f"pvc-{claim['metadata']['uid']}"
        spec: dict[str, Any] = {
            "capacity": {
                "storage": ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "1Gi")
            },
            "accessModes": claim["spec"].get("accessModes") or ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": kind.get("reclaimPolicy", "Delete"),
            "storageClassName": kind["metadata"]["name"],
            "volumeMode": claim["spec"].get("volumeMode", "Filesystem"),
            "csi": {"driver": driver, "volumeHandle": name},
        }
        if node:
            term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
            spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}}
        volume = self.store.create(
            "persistentvolumes",
            {
                "kind": "PersistentVolume",
                "apiVersion": "v1",
                "metadata": {
                    "name": name,
                    "annotations": {"pv.kubernetes.io/provisioned-by": driver},
                    "finalizers": ["kubernetes.io/pv-protection"],
                },
                "spec": spec,
                "status": {"phase": "Available"},
            },
        )
        current = self.store.get("persistentvolumeclaims", *key)
        if current is not None:
            self.control.events.record(
                current, "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {name}", driver
            )
            self._join(current, volume)

    def _join(self, claim: Obj, volume: Obj) -> None:
        meta = claim["metadata"]
        ref = {
            "kind": "PersistentVolumeClaim",
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
            "apiVersion": "v1",
            "resourceVersion": meta["resourceVersion"],
        }
        bound = {**volume, "spec": {**volume["spec"], "claimRef": ref}, "status": {"phase": "Bound"}}
        self.store.update("persistentvolumes", bound)
        annotations = {
            **(meta.get("annotations") or {}),
            "pv.kubernetes.io/bind-completed": "yes",
            "pv.kubernetes.io/bound-by-controller": "yes",
        }
        changed = with_meta(claim, annotations=annotations)
        changed = {**changed, "spec": {**claim["spec"], "volumeName": volume["metadata"]["name"]}}
        status = {
            "phase": "Bound",
            "accessModes": volume["spec"].get("accessModes"),
            "capacity": volume["spec"].get("capacity"),
        }
        self.state.pop(key_of(claim), None)
        self.store.update("persistentvolumeclaims", with_status(changed, status))

    # volumes

    def _volume(self, name: str) -> None:
        volume = self.store.get("persistentvolumes", "", name)
        if volume is None:
            return
        ref = volume["spec"].get("claimRef")
        phase = (volume.get("status") or {}).get("phase")
        if not ref:
            if phase != "Available":
                self.store.update("persistentvolumes", with_status(volume, {"phase": "Available"}))
        elif ref.get("uid"):
            claim = self.store.get("persistentvolumeclaims", ref["namespace"], ref["name"])
            if claim is None or claim["metadata"]["uid"] != ref["uid"]:
                if volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
                    self.store.delete("persistentvolumes", "", name)
                    return
                if phase != "Released":
                    self.store.update("persistentvolumes", with_status(volume, {"phase": "Released"}))
        if "deletionTimestamp" in volume["metadata"] and phase != "Bound":
            self.store.delete("persistentvolumes", "", name)
