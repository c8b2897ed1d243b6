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
        spec = sts["spec"]
        ordered = spec.get("podManagementPolicy", "OrderedReady") != "Parallel"
        start = (spec.get("ordinals") or {}).get("start", 0)
        wanted = range(start, start + spec.get("replicas", 1))
        rolling = (spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
        partition = rolling.get("partition", 0)
        by_number = {ordinal(p, key[1]): p for p in pods}
        for number in wanted:
            pod = by_number.get(number)
            if pod is not None and pod_finished(pod):
                if "deletionTimestamp" not in pod["metadata"]:
                    reason = "RecreatingFailedPod" if pod["status"]["phase"] == "Failed" else "RecreatingTerminatedPod"
                    how = pod["status"]["phase"].lower()
                    text = f"StatefulSet {key[0]}/{key[1]} is recreating {how} Pod {pod['metadata']['name']}"
                    self.event(sts, "Normal", reason, text)
                    begin_deletion(self.store, "pods", pod, self.clock.now())
                if ordered:
                    return
                continue
            if pod is None:
                revision = update if current == update or number >= start + partition else current
                if current != update and number < self._first_not_updated(by_number, wanted, update):
                    revision = update if number >= start + partition else current
                if not self._create(sts, number, revision, update) or ordered:
                    return
                continue
            if ordered and not self._healthy(sts, pod):
                return
        surplus = sorted((n for n in by_number if n not in wanted), reverse=True)
        for number in surplus:
            pod = by_number[number]
            if "deletionTimestamp" in pod["metadata"]:
                if ordered:
                    return
                continue
            if ordered and any(not is_true(by_number[n], "Ready") for n in by_number if n < number and n in wanted):
                return
            self._delete(sts, pod)
            if ordered:
                return
        if (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
            return
        room = scaled(rolling.get("maxUnavailable", 1), max(1, len(wanted)), up=True) or 1
        unhealthy = 0
        for number in reversed(wanted):
            pod = by_number.get(number)
            if pod is None or number < start + partition:
                continue
            if self._revision(pod) != update and "deletionTimestamp" not in pod["metadata"]:
                self._delete(sts, pod)
                unhealthy += 1
            elif not self._healthy(sts, pod):
                unhealthy += 1
            if unhealthy >= room:
                return

    @staticmethod
    def _first_not_updated(by_number: dict[int, Obj], wanted: range, update: str) -> int:
        for number in wanted:
            pod = by_number.get(number)
            if pod is not None and StatefulSetController._revision(pod) != update:
                return number
        return wanted.start

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
            text = f"create Pod {name} in StatefulSet {set_name} failed error: {denied}"
            self.event(sts, "Warning", "FailedCreate", text)
            self.wake(key_of(sts), self.clock.now() + 10.0, "retry")
            return False
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

    # status

    def _status(self, key: Key, pods: list[Obj], current: str, update: str) -> None:
        sts = self.store.get("statefulsets.apps", *key)
        if sts is None:
            return
        now = self.clock.now()
        minimum = sts["spec"].get("minReadySeconds", 0)
        made = [p for p in pods if not pod_finished(p)]
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
