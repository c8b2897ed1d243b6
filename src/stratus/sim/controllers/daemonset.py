"""Keeps one pod of each DaemonSet on every node that fits."""

from __future__ import annotations

from typing import Any, ClassVar

from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import (
    AdmissionDenied,
    NamespaceTerminating,
    begin_deletion,
    controller_ref,
    is_true,
    key_of,
    pod_available,
    pod_from_template,
    scaled,
    suffix,
    with_status,
)
from stratus.sim.controllers.revisions import current_revision, trim
from stratus.sim.scheduling import node_matches, tolerates
from stratus.sim.store import Change, Obj

REVISION = "controller-revision-hash"
#: Taints that daemon pods live with.
TOLERATED = tuple(
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": effect}
    for key, effect in (
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    )
)


class DaemonSetController(Controller):
    """DaemonSets and their pods."""

    name: ClassVar[str] = "daemonset"
    component: ClassVar[str] = "daemonset-controller"
    resources: ClassVar[tuple[str, ...]] = ("daemonsets.apps", "pods", "nodes")

    def on_change(self, change: Change) -> None:
        """A DaemonSet, the owner of a pod, or all of them when a node changes what it takes."""
        if change.resource == "daemonsets.apps":
            self.enqueue(key_of(change.object))
        elif change.resource == "pods":
            owner = controller_ref(change.object)
            if owner is not None and owner["kind"] == "DaemonSet":
                self.enqueue((change.object["metadata"]["namespace"], owner["name"]))
        elif (
            change.previous is None
            or change.type == "DELETED"
            or change.previous["spec"] != change.object["spec"]
            or change.previous["metadata"].get("labels") != change.object["metadata"].get("labels")
        ):
            for stored in self.store.list("daemonsets.apps"):
                self.enqueue(key_of(stored))

    @staticmethod
    def _revision(pod: Obj) -> str:
        return str((pod["metadata"].get("labels") or {}).get(REVISION, ""))

    def _fits(self, template: Obj, node: Obj) -> tuple[bool, bool]:
        """Return (a pod should run there, one that runs may stay)."""
        spec = template.get("spec") or {}
        if not node_matches(spec, node):
            return False, False
        tolerations = [*(spec.get("tolerations") or ()), *TOLERATED]
        should = stay = True
        for taint in (node.get("spec") or {}).get("taints") or ():
            if taint.get("effect") == "PreferNoSchedule" or tolerates(tolerations, taint):
                continue
            should = False
            if taint.get("effect") == "NoExecute":
                stay = False
        return should, stay

    def sync(self, key: Key) -> None:
        """One pass over one DaemonSet."""
        ds = self.store.get("daemonsets.apps", *key)
        if ds is None or "deletionTimestamp" in ds["metadata"]:
            return
        revision = current_revision(self.store, ds)
        digest = revision["metadata"]["labels"][REVISION]
        pods = self._pods(ds)
        nodes = self.store.list("nodes")
        template = ds["spec"]["template"]
        by_node: dict[str, list[Obj]] = {}
        for pod in pods:
            by_node.setdefault(self._node_of(pod), []).append(pod)
        should = {n["metadata"]["name"]: self._fits(template, n) for n in nodes}
        for name, (run, stay) in should.items():
            here = by_node.get(name, [])
            alive = [p for p in here if "deletionTimestamp" not in p["metadata"]]
            failed = [p for p in alive if p.get("status", {}).get("phase") in ("Failed", "Succeeded")]
            for pod in failed:
                text = f"Found failed daemon pod {key[0]}/{pod['metadata']['name']} on node {name}, will try to kill it"
                self.event(ds, "Warning", "FailedDaemonPod", text)
                self._delete(ds, pod)
            if run and not here:
                self._create(ds, name, digest)
            elif not stay:
                for pod in alive:
                    if pod not in failed:
                        self._delete(ds, pod)
            for pod in [p for p in alive if p not in failed][1:]:
                self._delete(ds, pod)
        for name, here in by_node.items():
            if name not in should:
                for pod in here:
                    if "deletionTimestamp" not in pod["metadata"]:
                        self._delete(ds, pod)
        self._roll(ds, digest, should)
        self._status(key, digest, should)
        trim(self.store, ds, {revision["metadata"]["name"]})

    def _pods(self, ds: Obj) -> list[Obj]:
        return [
            p
            for r, p in self.store.owned_by(ds["metadata"]["uid"])
            if r == "pods" and (controller_ref(p) or {}).get("uid") == ds["metadata"]["uid"]
        ]

    @staticmethod
    def _node_of(pod: Obj) -> str:
        if pod["spec"].get("nodeName"):
            return str(pod["spec"]["nodeName"])
        affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
        required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
        for term in required.get("nodeSelectorTerms") or ():
            for field in term.get("matchFields") or ():
                if field.get("key") == "metadata.name":
                    return str(field["values"][0])
        return ""

    def _create(self, ds: Obj, node: str, digest: str) -> None:
        base = ds["metadata"]["name"] + "-"
        name = base + suffix(self.control.rng)
        pod = pod_from_template(ds["spec"]["template"], ds, name, generate=base)
        pod["metadata"]["labels"] = {
            **(pod["metadata"].get("labels") or {}),
            REVISION: digest,
            "pod-template-generation": str(ds["metadata"].get("generation", 1)),
        }
        spec = pod["spec"]
        spec["affinity"] = {
            **(spec.get("affinity") or {}),
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
                    ]
                }
            },
        }
        spec["tolerations"] = [*(spec.get("tolerations") or ()), *(dict(t) for t in TOLERATED)]
        try:
            self.store.create("pods", self.control.admit_pod(pod))
        except NamespaceTerminating:
            return
        except AdmissionDenied as denied:
            self.event(ds, "Warning", "FailedCreate", f"Error creating: {denied}")
            self.wake(key_of(ds), self.clock.now() + 10.0, "retry")
            return
        self.event(ds, "Normal", "SuccessfulCreate", f"Created pod: {name}")

    def _delete(self, ds: Obj, pod: Obj) -> None:
        begin_deletion(self.store, "pods", pod, self.clock.now())
        self.event(ds, "Normal", "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")

    def _roll(self, ds: Obj, digest: str, should: dict[str, tuple[bool, bool]]) -> None:
        strategy = ds["spec"].get("updateStrategy") or {}
        if strategy.get("type") == "OnDelete":
            return
        desired = sum(1 for run, _ in should.values() if run)
        rolling = strategy.get("rollingUpdate") or {}
        room = max(1, scaled(rolling.get("maxUnavailable", 1), desired, up=True))
        minimum, now = ds["spec"].get("minReadySeconds", 0), self.clock.now()
        pods = [p for p in self._pods(ds) if should.get(self._node_of(p), (False, False))[0]]
        nodes = {self._node_of(p) for p in pods}
        unavailable = desired - len(nodes)
        old: list[Obj] = []
        for pod in pods:
            if "deletionTimestamp" in pod["metadata"] or not pod_available(pod, minimum, now):
                if self._revision(pod) != digest and "deletionTimestamp" not in pod["metadata"]:
                    # A pod that does not work anyway costs nothing to replace.
                    self._delete(ds, pod)
                unavailable += 1
            elif self._revision(pod) != digest:
                old.append(pod)
        for pod in sorted(old, key=lambda p: str(p["metadata"]["name"]))[: max(0, room - unavailable)]:
            self._delete(ds, pod)

    def _status(self, key: Key, digest: str, should: dict[str, tuple[bool, bool]]) -> None:
        ds = self.store.get("daemonsets.apps", *key)
        if ds is None:
            return
        minimum, now = ds["spec"].get("minReadySeconds", 0), self.clock.now()
        desired = sum(1 for run, _ in should.values() if run)
        current = misplaced = ready = available = updated = 0
        seen: set[str] = set()
        for pod in self._pods(ds):
            node = self._node_of(pod)
            if node in seen:
                continue
            seen.add(node)
            if not should.get(node, (False, False))[0]:
                misplaced += 1
                continue
            current += 1
            if is_true(pod, "Ready"):
                ready += 1
                if pod_available(pod, minimum, now):
                    available += 1
                else:
                    self.wake(key, now + max(1.0, minimum), "available")
            updated += self._revision(pod) == digest
        status: dict[str, Any] = {
            "currentNumberScheduled": current,
            "numberMisscheduled": misplaced,
            "desiredNumberScheduled": desired,
            "numberReady": ready,
            "observedGeneration": ds["metadata"].get("generation", 1),
        }
        for field, count in (
            ("updatedNumberScheduled", updated),
            ("numberAvailable", available),
            ("numberUnavailable", desired - available),
        ):
            if count:
                status[field] = count
        if ds.get("status") != status:
            self.store.update("daemonsets.apps", with_status(ds, status))
