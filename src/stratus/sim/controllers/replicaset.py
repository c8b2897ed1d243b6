"""Keeps a ReplicaSet's pods: adopts and releases by label, creates what is missing, deletes what is too much."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from stratus.kit.clock import iso
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import (
    AdmissionDenied,
    NamespaceTerminating,
    begin_deletion,
    chooser,
    condition,
    controller_ref,
    deletion_rank,
    is_true,
    key_of,
    matches,
    owner_reference,
    pod_active,
    pod_finished,
    pod_from_template,
    ready_since,
    suffix,
    with_meta,
    with_status,
)
from stratus.sim.store import Change, Obj

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane

#: A refused create is tried again after 5 ms, doubled each time, up to this many seconds.
RETRY_FIRST, RETRY_MAX = 0.005, 1000.0
#: Pods that admission takes away from their ReplicaSet: so many at once, and so many a second, as the controller's
#: client has it.
STRAYS, STRAY_RATE = 30, 20.0


class ReplicaSetController(Controller):
    """ReplicaSets and their pods."""

    name: ClassVar[str] = "replicaset"
    component: ClassVar[str] = "replicaset-controller"
    resources: ClassVar[tuple[str, ...]] = ("replicasets.apps", "pods")
    kind = "ReplicaSet"
    resource = "replicasets.apps"

    def __init__(self, control: ControlPlane) -> None:
        super().__init__(control)
        self._told: Obj | None = None

    @classmethod
    def minds(cls, change: str, owner: str, claims: bool) -> bool:
        """Its own pods, and those without an owner."""
        return owner in ("", cls.kind)

    def on_change(self, change: Change) -> None:
        """A ReplicaSet itself, or the owner (or possible adopter) of a pod."""
        if change.resource == self.resource:
            # The status this controller has just written asks nothing of it.
            if change.previous is None or change.previous is not self._told:
                self.enqueue(key_of(change.object))
            return
        pod = change.object
        if change.type == "MODIFIED" and change.previous is not None and _counts_alike(change.previous, pod):
            return
        namespace = pod["metadata"].get("namespace", "")
        seen = False
        for version in (change.previous, pod):
            ref = controller_ref(version) if version is not None else None
            if ref is not None:
                seen = True
                if ref.get("kind") == self.kind:
                    self.enqueue((namespace, ref["name"]))
        if not seen and change.type != "DELETED":
            labels = pod["metadata"].get("labels")
            if labels:
                for candidate in self.store.list(self.resource, namespace):
                    if matches(candidate["spec"].get("selector"), labels):
                        self.enqueue(key_of(candidate))

    def sync(self, key: Key) -> None:
        """One pass over one ReplicaSet."""
        rs = self.store.get(self.resource, *key)
        if rs is None:
            self.state.pop(key, None)
            self.state.pop((key, "strays"), None)
            return
        now = self.clock.now()
        pods = self._claim(rs)
        active = [p for p in pods if pod_active(p)]
        error: AdmissionDenied | None = None
        if "deletionTimestamp" not in rs["metadata"]:
            error = self._manage(rs, key, active, now)
            if error is None:
                # What was created or deleted just now is counted in the pass its own changes bring about.
                self.state.pop(key, None)
        rs = self.store.get(self.resource, *key)
        if rs is not None:
            self._status(rs, key, pods, active, error, now)

    # pods

    def _claim(self, rs: Obj) -> list[Obj]:
        uid, selector = rs["metadata"]["uid"], rs["spec"].get("selector")
        fits = chooser(selector)
        owned = [o for resource, o in self.store.owned_by(uid) if resource == "pods"]
        mine = []
        for pod in owned:
            ref = controller_ref(pod)
            if ref is None or ref["uid"] != uid:
                continue
            if fits(pod["metadata"].get("labels")):
                mine.append(pod)
            elif "deletionTimestamp" not in pod["metadata"]:
                others = [r for r in pod["metadata"]["ownerReferences"] if r["uid"] != uid]
                self.store.update("pods", with_meta(pod, ownerReferences=others or None))
        if "deletionTimestamp" not in rs["metadata"]:
            for pod in self.store.without_controller("pods", rs["metadata"]["namespace"]):
                if matches(selector, pod["metadata"].get("labels")) and pod_active(pod):
                    refs = [*(pod["metadata"].get("ownerReferences") or ()), owner_reference(rs)]
                    mine.append(self.store.update("pods", with_meta(pod, ownerReferences=refs)))
        return mine

    def _manage(self, rs: Obj, key: Key, active: list[Obj], now: float) -> AdmissionDenied | None:
        wanted = rs["spec"].get("replicas", 1)
        if len(active) < wanted:
            return self._create(rs, key, wanted - len(active), now)
        if len(active) > wanted:
            for pod in self._victims(rs, active)[: len(active) - wanted]:
                begin_deletion(self.store, "pods", pod, now)
                self.event(rs, "Normal", "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")
        return None

    def _victims(self, rs: Obj, active: list[Obj]) -> list[Obj]:
        related: dict[str, int] = {}
        namespace = rs["metadata"]["namespace"]
        owner = controller_ref(rs)
        if owner is not None:
            # Nodes on which the Deployment's pods crowd are relieved first.
            for resource, sibling in self.store.owned_by(owner["uid"]):
                if resource == self.resource:
                    for pod in self.control.index.select(namespace, sibling["spec"].get("selector")):
                        node = pod.get("spec", {}).get("nodeName", "")
                        if pod_active(pod):
                            related[node] = related.get(node, 0) + 1
        return sorted(active, key=lambda pod: deletion_rank(pod, related))

    def _create(self, rs: Obj, key: Key, missing: int, now: float) -> AdmissionDenied | None:
        failures, retry_at = self.state.get(key, (0, 0.0))
        if failures and now < retry_at:
            return AdmissionDenied(self.state[key, "text"])
        lost, begun = self.state.get((key, "strays"), (0, now))
        if lost >= STRAYS and now < begun + (lost - STRAYS) / STRAY_RATE:
            return None
        base = rs["metadata"]["name"] + "-"
        # Batches double, so that a refusal is met once and not once per missing pod.
        batch, made = 1, 0
        strays, since = self.state.get((key, "strays"), (0, now))
        while made < missing:
            for _ in range(min(batch, missing - made)):
                name = base + suffix(self.control.rng)
                pod = pod_from_template(rs["spec"]["template"], rs, name, generate=base)
                try:
                    created = self.store.create("pods", self.control.admit_pod(pod))
                except NamespaceTerminating:
                    return None
                except AdmissionDenied as denied:
                    self.event(rs, "Warning", "FailedCreate", f"Error creating: {denied}")
                    failures += 1
                    retry_at = now + min(RETRY_MAX, RETRY_FIRST * 2.0 ** (failures - 1))
                    self.state[key] = (failures, retry_at)
                    self.state[key, "text"] = str(denied)
                    self.wake(key, retry_at)
                    return denied
                self.event(rs, "Normal", "SuccessfulCreate", f"Created pod: {name}")
                made += 1
                if not matches(rs["spec"].get("selector"), created["metadata"].get("labels")):
                    # Admission took away what it is known by: there is no end to this but the client's own rate.
                    strays += 1
                    self.state[key, "strays"] = (strays, since)
                    due = since + (strays - STRAYS) / STRAY_RATE
                    if due > now:
                        self.wake(key, due)
                        return None
            batch *= 2
        self.state.pop((key, "text"), None)
        return None

    # status

    def _status(
        self, rs: Obj, key: Key, pods: list[Obj], active: list[Obj], error: AdmissionDenied | None, now: float
    ) -> None:
        old = rs.get("status") or {}
        labels = rs["spec"]["template"].get("metadata", {}).get("labels") or {}
        min_ready = rs["spec"].get("minReadySeconds", 0)
        labelled = ready = available = 0
        next_available: float | None = None
        for pod in active:
            labelled += labels.items() <= (pod["metadata"].get("labels") or {}).items()
            if not is_true(pod, "Ready"):
                continue
            ready += 1
            since = ready_since(pod) if min_ready > 0 else 0.0
            if since is None or min_ready <= 0 or since + min_ready <= now:
                available += 1
            else:
                due = since + min_ready
                next_available = due if next_available is None else min(due, next_available)
        terminating = sum("deletionTimestamp" in p["metadata"] and not pod_finished(p) for p in pods)
        status: Obj = {"replicas": len(active)}
        for field, count in (
            ("fullyLabeledReplicas", labelled),
            ("readyReplicas", ready),
            ("availableReplicas", available),
        ):
            if count:
                status[field] = count
        status["terminatingReplicas"] = terminating
        status["observedGeneration"] = rs["metadata"].get("generation", 1)
        conditions = [c for c in old.get("conditions") or () if c["type"] != "ReplicaFailure"]
        if error is not None:
            previous = next((c for c in old.get("conditions") or () if c["type"] == "ReplicaFailure"), None)
            conditions.append(
                {
                    "type": "ReplicaFailure",
                    "status": "True",
                    "lastTransitionTime": previous["lastTransitionTime"] if previous else iso(now),
                    "reason": "FailedCreate",
                    "message": str(error),
                }
            )
        if conditions:
            status["conditions"] = conditions
        if status != old:
            self._told = self.store.get(self.resource, *key)
            self.store.update(self.resource, with_status(rs, status))
            self._told = None
        if next_available is not None:
            self.wake(key, max(next_available, now), "available")


def _counts_alike(before: Obj, after: Obj) -> bool:
    """Tell whether a change of a pod cannot matter to the ReplicaSet that has it, or might have it.

    A pod on its way out is only counted as such, so its readiness does not matter any more, but whether it has ended.
    """
    old, new = before["metadata"], after["metadata"]
    leaving = "deletionTimestamp" in new
    return bool(
        old.get("labels") == new.get("labels")
        and old.get("ownerReferences") == new.get("ownerReferences")
        and ("deletionTimestamp" in old) == leaving
        and pod_finished(before) == pod_finished(after)
        and (leaving or condition(before, "Ready") == condition(after, "Ready"))
    )
