"""Keeps StatefulSets: pods with names and claims of their own, made, updated and removed in order."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import (
    AdmissionDenied,
    begin_deletion,
    controller_ref,
    is_true,
    key_of,
    matches,
    owner_reference,
    pod_available,
    pod_finished,
    pod_from_template,
    ready_since,
    scaled,
    with_meta,
    with_status,
)
from stratus.sim.controllers.revisions import current_revision, revisions_of, trim
from stratus.sim.store import Change, Obj

REVISION = "controller-revision-hash"
POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"


def ordinal(pod: Obj, name: str) -> int:
    """Return a pod's number in its set, -1 when its name is not of the set."""
    found = re.fullmatch(re.escape(name) + r"-(\d+)", pod["metadata"]["name"])
    return int(found.group(1)) if found else -1


class StatefulSetController(Controller):
    """StatefulSets, their pods and claims."""

    name: ClassVar[str] = "statefulset"
    component: ClassVar[str] = "statefulset-controller"
    resources: ClassVar[tuple[str, ...]] = ("statefulsets.apps", "pods")

    @classmethod
    def minds(cls, change: str, owner: str, claims: bool) -> bool:
        """Its own pods, and those without an owner."""
        return owner in ("", "StatefulSet")

    def on_change(self, change: Change) -> None:
        """A StatefulSet, or the owner of a pod."""
        if change.resource == "statefulsets.apps":
            self.enqueue(key_of(change.object))
            return
        namespace = change.object["metadata"]["namespace"]
        owner = controller_ref(change.object)
        if owner is not None:
            if owner["kind"] == "StatefulSet":
                self.enqueue((namespace, owner["name"]))
        elif change.type != "DELETED":
            for candidate in self.store.list("statefulsets.apps", namespace):
                if matches(candidate["spec"].get("selector"), change.object["metadata"].get("labels")):
                    self.enqueue(key_of(candidate))

    def sync(self, key: Key) -> None:
        """One pass over one StatefulSet."""
        sts = self.store.get("statefulsets.apps", *key)
        if sts is None or "deletionTimestamp" in sts["metadata"]:
            return
        update = current_revision(self.store, sts)["metadata"]["name"]
        known = {r["metadata"]["name"] for r in revisions_of(self.store, sts)}
        old = sts.get("status") or {}
        current = old.get("currentRevision") or update
        if current not in known:
            current = update
        pods = self._pods(sts)
        self._steps(sts, key, pods, current, update)
        self._retain(sts, key, pods)
        pods = self._pods(self.store.get("statefulsets.apps", *key) or sts)
        self._status(key, pods, current, update)
        trim(self.store, sts, {current, update, *(self._revision(p) for p in pods)})

    # reading

    @staticmethod
    def _revision(pod: Obj) -> str:
        return str((pod["metadata"].get("labels") or {}).get(REVISION, ""))

    def _pods(self, sts: Obj) -> list[Obj]:
        uid, name = sts["metadata"]["uid"], sts["metadata"]["name"]
        mine = []
        for resource, pod in self.store.owned_by(uid):
            if resource == "pods" and not matches(sts["spec"].get("selector"), pod["metadata"].get("labels")):
                others = [r for r in pod["metadata"]["ownerReferences"] if r["uid"] != uid]
                self.store.update("pods", with_meta(pod, ownerReferences=others or None))
        for pod in self.control.index.select(sts["metadata"]["namespace"], sts["spec"].get("selector")):
            if ordinal(pod, name) < 0:
                continue
            owner = controller_ref(pod)
            if owner is None and "deletionTimestamp" not in pod["metadata"]:
                refs = [*(pod["metadata"].get("ownerReferences") or ()), owner_reference(sts)]
                pod = self.store.update("pods", with_meta(pod, ownerReferences=refs))
            elif owner is None or owner["uid"] != uid:
                continue
            mine.append(pod)
        return sorted(mine, key=lambda p: ordinal(p, name))

    def _healthy(self, sts: Obj, pod: Obj) -> bool:
        if "deletionTimestamp" in pod["metadata"]:
            return False
        minimum = sts["spec"].get("minReadySeconds", 0)
        if pod_available(pod, minimum, self.clock.now()):
            return True
        since = ready_since(pod)
        if since is not None:
            self.wake(key_of(sts), since + minimum, "available")
        return False

    # acting

    def _steps(self, sts: Obj, key: Key, pods: list[Obj], current: str, update: str) -> None:
        """Do what may be done now: make and replace pods, then remove surplus ones, then update."""
        spec = sts["spec"]
        ordered = spec.get("podManagementPolicy", "OrderedReady") != "Parallel"
        start = (spec.get("ordinals") or {}).get("start", 0)
        wanted = range(start, start + spec.get("replicas", 1))
        rolling = (spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
        by_number = {ordinal(p, key[1]): p for p in pods}
        first_updated = start + rolling.get("partition", 0)
        for number in wanted:
            revision = update if number >= first_updated else current
            if self._blocks(sts, key, number, by_number, revision, update) and ordered:
                return
        surplus = sorted((n for n in by_number if n not in wanted), reverse=True)
        sick = [n for n, p in sorted(by_number.items()) if not self._healthy(sts, p)]
        for number in surplus:
            pod = by_number[number]
            if "deletionTimestamp" in pod["metadata"]:
                if ordered:
                    return
                continue
            if ordered and sick and sick[0] != number:
                return
            self._delete(sts, pod)
            if ordered:
                return
        if (spec.get("updateStrategy") or {}).get("type") != "OnDelete":
            self._update(sts, by_number, wanted, first_updated, update)

    def _blocks(self, sts: Obj, key: Key, number: int, by_number: dict[int, Obj], revision: str, update: str) -> bool:
        """See to one pod; tell whether an ordered set has to wait for it."""
        pod = by_number.get(number)
        if pod is None:
            self._create(sts, number, revision, update)
            return True
        if pod_finished(pod):
            if "deletionTimestamp" not in pod["metadata"]:
                failed = pod["status"]["phase"] == "Failed"
                reason, how = ("RecreatingFailedPod", "failed") if failed else ("RecreatingTerminatedPod", "terminated")
                text = f"StatefulSet {key[0]}/{key[1]} is recreating {how} Pod {pod['metadata']['name']}"
                self.event(sts, "Warning" if failed else "Normal", reason, text)
                self._delete(sts, pod)
            return True
        return not self._healthy(sts, pod)

    def _update(self, sts: Obj, by_number: dict[int, Obj], wanted: range, first: int, update: str) -> None:
        """Delete old pods from the highest number down, as many as may be away at once."""
        rolling = (sts["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
        room = max(1, scaled(rolling.get("maxUnavailable", 1), len(wanted), up=False))
        room -= sum(1 for n in wanted if n not in by_number or not self._healthy(sts, by_number[n]))
        for number in reversed(wanted):
            if room <= 0 or number < first:
                return
            pod = by_number.get(number)
            if pod is not None and self._revision(pod) != update and "deletionTimestamp" not in pod["metadata"]:
                self._delete(sts, pod)
                room -= 1

    def _delete(self, sts: Obj, pod: Obj) -> None:
        begin_deletion(self.store, "pods", pod, self.clock.now())
        name = sts["metadata"]["name"]
        self.event(
            sts, "Normal", "SuccessfulDelete", f"Delete Pod {pod['metadata']['name']} in StatefulSet {name} successful"
        )

    def _template(self, sts: Obj, revision: str, update: str) -> Obj:
        if revision != update:
            for stored in revisions_of(self.store, sts):
                if stored["metadata"]["name"] == revision:
                    template = dict(stored["data"]["spec"]["template"])
                    template.pop("$patch", None)
                    return template
        return sts["spec"]["template"]  # type: ignore[no-any-return]

    def _create(self, sts: Obj, number: int, revision: str, update: str) -> bool:
        set_name, namespace = sts["metadata"]["name"], sts["metadata"]["namespace"]
        if self.must_wait(key_of(sts)):
            return False
        name = f"{set_name}-{number}"
        pod = pod_from_template(self._template(sts, revision, update), sts, name, generate=f"{set_name}-")
        pod["metadata"]["labels"] = {
            **(pod["metadata"].get("labels") or {}),
            POD_INDEX: str(number),
            REVISION: revision,
            POD_NAME: name,
        }
        spec = pod["spec"]
        spec["hostname"] = name
        if sts["spec"].get("serviceName"):
            spec["subdomain"] = sts["spec"]["serviceName"]
        claims = []
        for template in sts["spec"].get("volumeClaimTemplates") or ():
            volume = template["metadata"]["name"]
            claim = f"{volume}-{name}"
            claims.append({"name": volume, "persistentVolumeClaim": {"claimName": claim}})
            if self.store.get("persistentvolumeclaims", namespace, claim) is None:
                self._claim(sts, template, claim)
                text = f"Create Claim {claim} Pod {name} in StatefulSet {set_name} success"
                self.event(sts, "Normal", "SuccessfulCreate", text)
        if claims:
            names = {c["name"] for c in claims}
            spec["volumes"] = [*claims, *(v for v in spec.get("volumes") or () if v["name"] not in names)]
        try:
            if self.store.get("pods", namespace, name) is not None:
                raise AdmissionDenied(f'pods "{name}" already exists')
            self.store.create("pods", self.control.admit_pod(pod))
        except AdmissionDenied as denied:
            text = f"Create Pod {name} in StatefulSet {set_name} failed error: {denied}"
            self.event(sts, "Warning", "FailedCreate", text)
            self.again(key_of(sts))
            return False
        self.went_well(key_of(sts))
        self.event(sts, "Normal", "SuccessfulCreate", f"Create Pod {name} in StatefulSet {set_name} successful")
        return True

    def _claim(self, sts: Obj, template: Obj, name: str) -> None:
        spec = {"volumeMode": "Filesystem", **template["spec"]}
        labels = {**(template["metadata"].get("labels") or {}), **(sts["spec"]["selector"].get("matchLabels") or {})}
        self.store.create(
            "persistentvolumeclaims",
            {
                "kind": "PersistentVolumeClaim",
                "apiVersion": "v1",
                "metadata": {
                    "name": name,
                    "namespace": sts["metadata"]["namespace"],
                    "labels": labels,
                    "finalizers": ["kubernetes.io/pvc-protection"],
                },
                "spec": spec,
                "status": {"phase": "Pending"},
            },
        )

    def _retain(self, sts: Obj, key: Key, pods: list[Obj]) -> None:
        """Let claims go with the set, or with pods that are scaled away, where the retention policy says so."""
        policy = sts["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
        if "Delete" not in policy.values() or not sts["spec"].get("volumeClaimTemplates"):
            return
        start = (sts["spec"].get("ordinals") or {}).get("start", 0)
        wanted = range(start, start + sts["spec"].get("replicas", 1))
        for pod in pods:
            kept = ordinal(pod, key[1]) in wanted
            owner = None
            if not kept and policy.get("whenScaled") == "Delete":
                owner = {**owner_reference(pod), "kind": "Pod", "apiVersion": "v1"}
            elif policy.get("whenDeleted") == "Delete":
                owner = owner_reference(sts)
            for template in sts["spec"]["volumeClaimTemplates"]:
                name = f"{template['metadata']['name']}-{pod['metadata']['name']}"
                claim = self.store.get("persistentvolumeclaims", key[0], name)
                if claim is not None and (claim["metadata"].get("ownerReferences") or []) != ([owner] if owner else []):
                    refs = [owner] if owner else None
                    self.store.update("persistentvolumeclaims", with_meta(claim, ownerReferences=refs))

    # status

    def _status(self, key: Key, pods: list[Obj], current: str, update: str) -> None:
        sts = self.store.get("statefulsets.apps", *key)
        if sts is None:
            return
        now = self.clock.now()
        minimum = sts["spec"].get("minReadySeconds", 0)
        made = pods
        ready = sum(1 for p in made if is_true(p, "Ready"))
        available = sum(1 for p in made if pod_available(p, minimum, now))
        alive = [p for p in made if "deletionTimestamp" not in p["metadata"]]
        of_update = sum(1 for p in alive if self._revision(p) == update)
        of_current = sum(1 for p in alive if self._revision(p) == current)
        wanted = sts["spec"].get("replicas", 1)
        if current != update and of_update == len(made) == wanted == ready:
            current, of_current = update, of_update
        status: dict[str, Any] = {
            "observedGeneration": sts["metadata"].get("generation", 1),
            "replicas": len(made),
        }
        for field, count in (
            ("readyReplicas", ready),
            ("currentReplicas", of_current),
            ("updatedReplicas", of_update),
        ):
            if count:
                status[field] = count
        status |= {
            "currentRevision": current,
            "updateRevision": update,
            "collisionCount": 0,
            "availableReplicas": available,
        }
        if sts.get("status") != status:
            self.store.update("statefulsets.apps", with_status(sts, status))
