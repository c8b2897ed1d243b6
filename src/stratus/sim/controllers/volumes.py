"""Binds claims to volumes, provisions what a storage class can provision, reclaims and resizes volumes."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from stratus.kit.clock import iso
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.binding import best, claim_names, is_for, mismatch
from stratus.sim.controllers.common import has_claims, key_of, pod_finished, with_meta, with_status
from stratus.sim.store import Change, Obj, Store

#: Seconds between two looks at everything that waits, and that provisioning takes.
RESYNC, PROVISIONING = 15.0, 1.0
DEFAULT = "storageclass.kubernetes.io/is-default-class"
PROTECTION = "kubernetes.io/pvc-protection"
VOLUME_PROTECTION = "kubernetes.io/pv-protection"
SELECTED = "volume.kubernetes.io/selected-node"
PROVISIONED, BOUND_HERE = "pv.kubernetes.io/provisioned-by", "pv.kubernetes.io/bound-by-controller"
COMPLETED = "pv.kubernetes.io/bind-completed"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
#: Provisioners that run here; any other runs when there is a CSIDriver object of its name.
BUILT_IN = frozenset({"emulated.stratus.dev/local", "rancher.io/local-path", "k8s.io/minikube-hostpath"})
#: A StorageClass annotation with the error its provisioner answers every request with.
BROKEN = "sim.stratus.dev/provisioning-error"
NONE = "kubernetes.io/no-provisioner"
CLAIMS, VOLUMES, CLASSES = "persistentvolumeclaims", "persistentvolumes", "storageclasses.storage.k8s.io"
DRIVERS = "csidrivers.storage.k8s.io"
#: The one place whose directories the deleter of host paths removes.
SCRATCH = "/tmp/"  # noqa: S108
UNBOUND = "no persistent volumes available for this claim and no storage class is set"
EXTERNAL = (
    "Waiting for a volume to be created either by the external provisioner '{}' or manually by the system "
    "administrator. If volume creation is delayed, please verify that the provisioner is running and correctly "
    "registered."
)


class VolumeController(Controller):
    """PersistentVolumeClaims (key with a namespace) and PersistentVolumes (key without).

    `state` holds claims that wait, by when they were told so last, and when provisioning and resizing began.
    """

    name: ClassVar[str] = "volume"
    component: ClassVar[str] = "persistentvolume-controller"
    resources: ClassVar[tuple[str, ...]] = (CLAIMS, VOLUMES, CLASSES, DRIVERS, "pods")

    @classmethod
    def minds(cls, change: str, owner: str, claims: bool) -> bool:
        """Pods with claims."""
        return claims

    def on_change(self, change: Change) -> None:
        """Claims and volumes; a class or a free volume concerns every waiting claim."""
        obj = change.object
        if change.resource == CLAIMS:
            self.enqueue(key_of(obj))
            if change.type == "DELETED":
                for key in [k for k in self.state if k == key_of(obj) or k[:2] == ("at", key_of(obj))]:
                    del self.state[key]
                if obj["spec"].get("volumeName"):
                    self.enqueue(("", obj["spec"]["volumeName"]))
        elif change.resource == "pods":
            self._pod(change)
        else:
            if change.resource == VOLUMES:
                self.enqueue(("", obj["metadata"]["name"]))
            for claim in self.store.list(CLAIMS):
                if not claim["spec"].get("volumeName") or change.type == "DELETED":
                    self.enqueue(key_of(claim))

    def _pod(self, change: Change) -> None:
        """Pods that come, go, or start matter to the claims they name."""
        pod = change.object
        if not has_claims(pod):
            return
        before = change.previous
        if change.type == "MODIFIED" and before is not None:
            same = before["spec"].get("nodeName") == pod["spec"].get("nodeName")
            if same and (before.get("status") or {}).get("phase") == (pod.get("status") or {}).get("phase"):
                return
        for name in claim_names(pod):
            self.enqueue((pod["metadata"]["namespace"], name))

    def sync(self, key: Key) -> None:
        """One pass over a claim or a volume."""
        if not key[0]:
            self._volume(key[1])
            return
        claim = self.store.get(CLAIMS, *key)
        if claim is None:
            return
        if "deletionTimestamp" in claim["metadata"]:
            self._let_go(claim)
            return
        claim = self._protected(CLAIMS, claim, PROTECTION)
        bound = COMPLETED in (claim["metadata"].get("annotations") or {})
        if bound and claim["spec"].get("volumeName"):
            self._bound(claim)
            return
        if (claim.get("status") or {}).get("phase") != "Pending":
            claim = self.store.update(CLAIMS, with_status(claim, {"phase": "Pending"}))
        if claim["spec"].get("volumeName"):
            self._named(claim, key)
        else:
            self._bind(claim, key)

    def _protected(self, resource: str, obj: Obj, finalizer: str) -> Obj:
        """Return an object with the finalizer that keeps it while it is in use; somebody may have taken it off."""
        finalizers = obj["metadata"].get("finalizers") or []
        if finalizer in finalizers:
            return obj
        return self.store.update(resource, with_meta(obj, finalizers=[*finalizers, finalizer]))

    # claims

    def _users(self, namespace: str, name: str) -> list[Obj]:
        """Return the pods that name a claim and have not ended."""
        return [p for p in self.control.index.in_namespace(namespace) if not pod_finished(p) and name in claim_names(p)]

    def _let_go(self, claim: Obj) -> None:
        used = any(p["spec"].get("nodeName") for p in self._users(*key_of(claim)))
        finalizers = claim["metadata"].get("finalizers") or []
        if not used and PROTECTION in finalizers:
            rest = [f for f in finalizers if f != PROTECTION]
            self.store.update(CLAIMS, with_meta(claim, finalizers=rest or None))
            left = self.store.get(CLAIMS, *key_of(claim))
            if left is not None and not rest:
                self.store.delete(CLAIMS, *key_of(claim))

    def _bound(self, claim: Obj) -> None:
        volume = self.store.get(VOLUMES, "", claim["spec"]["volumeName"])
        phase = (claim.get("status") or {}).get("phase")
        if volume is None:
            if phase != "Lost":
                text = "Bound claim has lost its PersistentVolume. Any data on the volume is lost!"
                self.event(claim, "Warning", "ClaimLost", text)
                self.store.update(CLAIMS, with_status(claim, {"phase": "Lost"}))
            return
        ref = volume["spec"].get("claimRef")
        if ref and not is_for(volume, claim):
            if phase != "Lost":
                text = "Two claims are bound to the same volume, this one is bound incorrectly"
                self.event(claim, "Warning", "ClaimMisbound", text)
                self.store.update(CLAIMS, with_status(claim, {"phase": "Lost"}))
            return
        if phase != "Bound" or not (ref or {}).get("uid"):
            self._join(claim, volume)

    def _named(self, claim: Obj, key: Key) -> None:
        """A claim that asks for one volume by its name."""
        name = claim["spec"]["volumeName"]
        volume = self.store.get(VOLUMES, "", name)
        if volume is None:
            self._beat(key)
            return
        if volume["spec"].get("claimRef") and not is_for(volume, claim):
            text = f'volume "{name}" already bound to a different claim.'
            self._wait(claim, key, "Warning", "FailedBinding", text)
            return
        why = mismatch(claim, volume)
        if why:
            self._wait(claim, key, "Warning", "VolumeMismatch", f'Cannot bind to requested volume "{name}": {why}')
            return
        self._join(claim, volume)

    def _bind(self, claim: Obj, key: Key) -> None:
        name = claim["spec"].get("storageClassName")
        if name is None:
            name = self._default_class()
            if name is not None:
                claim = self.store.update(CLAIMS, {**claim, "spec": {**claim["spec"], "storageClassName": name}})
        kind = self.store.get(CLASSES, "", name) if name else None
        delayed = kind is not None and kind.get("volumeBindingMode") == "WaitForFirstConsumer"
        chosen = (claim["metadata"].get("annotations") or {}).get(SELECTED)
        if not delayed or chosen:
            node = self.store.get("nodes", "", chosen) if chosen else None
            volume = best(claim, self.store.list(VOLUMES), name or "", node)
            if volume is not None:
                self._join(claim, volume)
                return
        if not name:
            self._wait(claim, key, "Normal", "FailedBinding", UNBOUND)
        elif kind is None:
            text = f'storageclass.storage.k8s.io "{name}" not found'
            self._wait(claim, key, "Warning", "ProvisioningFailed", text)
        elif delayed and not chosen:
            waiting = [p["metadata"]["name"] for p in self._users(*key) if not p["spec"].get("nodeName")]
            if waiting:
                text = f"waiting for pod {waiting[0]} to be scheduled"
                if len(waiting) > 1:
                    text = f"waiting for pods {','.join(waiting)} to be scheduled"
                self._wait(claim, key, "Normal", "WaitForPodScheduled", text)
            else:
                text = "waiting for first consumer to be created before binding"
                self._wait(claim, key, "Normal", "WaitForFirstConsumer", text)
        elif kind.get("provisioner") == NONE:
            self._wait(claim, key, "Normal", "FailedBinding", UNBOUND)
        else:
            self._provision(claim, key, kind, chosen)

    def _default_class(self) -> str | None:
        """Return the default class: of several the newest, and the first by name among those."""
        found = [
            c
            for c in self.store.list(CLASSES)
            if (c["metadata"].get("annotations") or {}).get(DEFAULT) == "true"
            and "deletionTimestamp" not in c["metadata"]
        ]
        if not found:
            return None
        newest = max(c["metadata"]["creationTimestamp"] for c in found)
        return min(str(c["metadata"]["name"]) for c in found if c["metadata"]["creationTimestamp"] == newest)

    def _beat(self, key: Key) -> None:
        """Look again when all that waits is looked at."""
        self.wake(key, (math.floor(self.clock.now() / RESYNC + 1e-9) + 1) * RESYNC, "resync")

    def _wait(self, claim: Obj, key: Key, type_: str, reason: str, text: str) -> None:
        """Tell why a claim waits: at once when that is new, then with every beat."""
        now = self.clock.now()
        at, said = self.state.get(key, (-RESYNC, ""))
        beat = math.floor(now / RESYNC + 1e-9) * RESYNC
        if said != text or at < beat - 1e-6:
            self.state[key] = (now, text)
            self.event(claim, type_, reason, text)
        self._beat(key)

    # provisioning

    def _runs(self, provisioner: str) -> bool:
        return runs(self.store, provisioner)

    def _provision(self, claim: Obj, key: Key, kind: Obj, node: str | None) -> None:
        driver = str(kind.get("provisioner", ""))
        annotations = claim["metadata"].get("annotations") or {}
        if annotations.get(PROVISIONER) != driver:
            marks = {"volume.beta.kubernetes.io/storage-provisioner": driver, PROVISIONER: driver}
            claim = self.store.update(CLAIMS, with_meta(claim, annotations={**annotations, **marks}))
        text = EXTERNAL.format(driver)
        if not self._runs(driver):
            self._wait(claim, key, "Normal", "ExternalProvisioning", text)
            return
        now = self.clock.now()
        place = ("at", key, "provision")
        began = self.state.get(place)
        if began is None:
            self.state[place] = now
            self._say(claim, "Normal", "ExternalProvisioning", text)
            whole = f'External provisioner is provisioning volume for claim "{"/".join(key)}"'
            self.control.events.record(claim, "Normal", "Provisioning", whole, driver)
            self.wake(key, now + PROVISIONING, "provision")
            return
        if now < began + PROVISIONING - 1e-6:
            return
        why = str((kind["metadata"].get("annotations") or {}).get(BROKEN, ""))
        if claim["spec"].get("selector"):
            why = "claim Selector is not supported"
        if why:
            text = f'failed to provision volume with StorageClass "{kind["metadata"]["name"]}": {why}'
            self.control.events.record(claim, "Warning", "ProvisioningFailed", text, driver)
            self.state[place] = now
            self.wake(key, now + RESYNC, "provision")
            self.state[place] = now + RESYNC - PROVISIONING
            return
        self.state.pop(place, None)
        volume = self.store.create(VOLUMES, self._made(claim, kind, driver, node))
        current = self.store.get(CLAIMS, *key)
        if current is not None:
            told = f"Successfully provisioned volume {volume['metadata']['name']}"
            self.control.events.record(current, "Normal", "ProvisioningSucceeded", told, driver)
            self._join(current, volume)

    def _say(self, claim: Obj, type_: str, reason: str, text: str) -> None:
        key = key_of(claim)
        if self.state.get(key, (0.0, ""))[1] != text:
            self.state[key] = (self.clock.now(), text)
            self.event(claim, type_, reason, text)

    def _made(self, claim: Obj, kind: Obj, driver: str, node: str | None) -> Obj:
        name = f"pvc-{claim['metadata']['uid']}"
        requests = (claim["spec"].get("resources") or {}).get("requests") or {}
        spec: dict[str, Any] = {
            "capacity": {"storage": requests.get("storage", "1Gi")},
            "accessModes": claim["spec"].get("accessModes") or ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": kind.get("reclaimPolicy", "Delete"),
            "storageClassName": kind["metadata"]["name"],
            "volumeMode": claim["spec"].get("volumeMode", "Filesystem"),
            "csi": {"driver": driver, "volumeHandle": name},
        }
        if kind.get("mountOptions"):
            spec["mountOptions"] = kind["mountOptions"]
        if node and driver in BUILT_IN:
            # What the built-in provisioners make lies on one node.
            term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
            spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}}
        return {
            "kind": "PersistentVolume",
            "apiVersion": "v1",
            "metadata": {"name": name, "annotations": {PROVISIONED: driver}, "finalizers": [VOLUME_PROTECTION]},
            "spec": spec,
            "status": {"phase": "Pending", "lastPhaseTransitionTime": iso(self.clock.now())},
        }

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
        annotations = dict(volume["metadata"].get("annotations") or {})
        if not volume["spec"].get("claimRef"):
            annotations[BOUND_HERE] = "yes"
        held = with_meta(volume, annotations=annotations or None)
        held = {**held, "spec": {**volume["spec"], "claimRef": ref}}
        self.store.update(VOLUMES, with_status(held, self._phase(volume, "Bound")))
        notes = {**(meta.get("annotations") or {}), COMPLETED: "yes"}
        if not claim["spec"].get("volumeName"):
            notes[BOUND_HERE] = "yes"
        changed = with_meta(claim, annotations=notes)
        changed = {**changed, "spec": {**claim["spec"], "volumeName": volume["metadata"]["name"]}}
        status = {
            "phase": "Bound",
            "accessModes": volume["spec"].get("accessModes"),
            "capacity": volume["spec"].get("capacity"),
        }
        self.state.pop(key_of(claim), None)
        self.store.update(CLAIMS, with_status(changed, status))

    # volumes

    def _phase(self, volume: Obj, phase: str, message: str = "") -> Obj:
        old = volume.get("status") or {}
        if old.get("phase") == phase and old.get("message", "") == message:
            return old
        status = {"phase": phase, "lastPhaseTransitionTime": iso(self.clock.now())}
        return {**status, "message": message} if message else status

    def _set(self, volume: Obj, phase: str, message: str = "") -> None:
        status = self._phase(volume, phase, message)
        if status is not volume.get("status"):
            self.store.update(VOLUMES, with_status(volume, status))

    def _volume(self, name: str) -> None:
        volume = self.store.get(VOLUMES, "", name)
        if volume is None:
            return
        ref = volume["spec"].get("claimRef")
        phase = (volume.get("status") or {}).get("phase")
        claim = self.store.get(CLAIMS, ref["namespace"], ref["name"]) if ref else None
        held = claim is not None and ref is not None and claim["metadata"]["uid"] == ref.get("uid")
        if "deletionTimestamp" in volume["metadata"] and not held:
            rest = [f for f in volume["metadata"].get("finalizers") or () if f != VOLUME_PROTECTION]
            if rest != (volume["metadata"].get("finalizers") or []):
                volume = self.store.update(VOLUMES, with_meta(volume, finalizers=rest or None))
            if not rest and self.store.get(VOLUMES, "", name) is not None:
                self.store.delete(VOLUMES, "", name)
            return
        volume = self._protected(VOLUMES, volume, VOLUME_PROTECTION)
        if not ref or not ref.get("uid"):
            self._set(volume, "Available")
        elif held:
            if phase != "Bound" and claim is not None and claim["spec"].get("volumeName") == name:
                self._set(volume, "Bound")
        else:
            self._reclaim(volume, name, phase)

    def _reclaim(self, volume: Obj, name: str, phase: str | None) -> None:
        """The claim of a volume is gone."""
        policy = volume["spec"].get("persistentVolumeReclaimPolicy")
        if policy != "Delete":
            if policy == "Recycle":
                self._fail(volume, "VolumeFailedRecycle", "No recycler plugin found for the volume!", phase)
            else:
                self._set(volume, "Released")
            return
        driver = (volume["metadata"].get("annotations") or {}).get(PROVISIONED, "")
        path = (volume["spec"].get("hostPath") or {}).get("path", "")
        if driver and self._runs(driver):
            self.store.delete(VOLUMES, "", name)
        elif driver:
            self._set(volume, "Released")
        elif path:
            if path.startswith(SCRATCH):
                self.store.delete(VOLUMES, "", name)
                return
            text = f"host_path deleter only supports {SCRATCH}.+ but received provided {path}"
            self._fail(volume, "VolumeFailedDelete", text, phase)
        else:
            text = f'error getting deleter volume plugin for volume "{name}": no deletable volume plugin matched'
            self._fail(volume, "VolumeFailedDelete", text, phase)

    def _fail(self, volume: Obj, reason: str, text: str, phase: str | None) -> None:
        if phase == "Failed":
            return
        self._set(volume, "Failed", text)
        current = self.store.get(VOLUMES, "", volume["metadata"]["name"])
        if current is not None:
            self.event(current, "Warning", reason, text)


def runs(store: Store, provisioner: str) -> bool:
    """Tell whether a provisioner is at work in the cluster."""
    return provisioner in BUILT_IN or store.get(DRIVERS, "", provisioner) is not None
