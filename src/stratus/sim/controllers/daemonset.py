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
#: A failed pod on a node is replaced at most once in so many seconds, doubled each time up to the most.
FAILED_FIRST, FAILED_MOST = 1.0, 900.0
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

    @classmethod
    def minds(cls, change: str, owner: str, claims: bool) -> bool:
        """Its own pods."""
        return owner == "DaemonSet"

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
        surging = self._bounds(ds, sum(1 for run, _ in should.values() if run))[0] > 0
        for name, (run, stay) in should.items():
            self._node(ds, key, name, run, stay, by_node.get(name, []), digest, surging)
        for name, here in by_node.items():
            if name not in should:
                for pod in here:
                    if "deletionTimestamp" not in pod["metadata"]:
                        self._delete(ds, pod)
        self._roll(ds, digest, should)
        self._status(key, digest, should)
        trim(self.store, ds, {revision["metadata"]["name"]})

    def _node(
        self,
        ds: Obj,
        key: Key,
        name: str,
        run: bool,
        stay: bool,
        here: list[Obj],
        digest: str,
        surging: bool,
    ) -> None:
        """Have one pod on a node that fits (two while it is being replaced), none on one that does not."""
        alive = [p for p in here if "deletionTimestamp" not in p["metadata"]]
        working = []
        for pod in alive:
            phase = pod.get("status", {}).get("phase")
            if phase not in ("Failed", "Succeeded"):
                working.append(pod)
                continue
            where = f"daemon pod {key[0]}/{pod['metadata']['name']} on node {name}"
            if phase == "Failed":
                if self._holds_back(key, name):
                    continue
                text = f"Found failed {where}, will try to kill it"
                self.event(ds, "Warning", "FailedDaemonPod", text)
            else:
                self.event(ds, "Normal", "SucceededDaemonPod", f"Found succeeded {where}, will try to delete it")
            self._delete(ds, pod)
        if run and not here:
            self._create(ds, name, digest)
        elif not stay:
            for pod in working:
                self._delete(ds, pod)
        elif len(working) > 1:
            old = [p for p in working if self._revision(p) != digest]
            new = [p for p in working if self._revision(p) == digest]
            extra = [*old[1:], *new[1:]] if surging and old and new else [*new, *old][1:]
            for pod in sorted(extra, key=lambda p: str(p["metadata"]["creationTimestamp"])):
                self._delete(ds, pod)

    def _holds_back(self, key: Key, node: str) -> bool:
        """Tell whether a failed pod is left alone for now: replacing waits a second, doubled up to a quarter hour."""
        failures, due = self.state.get((key, node), (0, 0.0))
        now = self.clock.now()
        if now < due:
            return True
        if failures and now - due > 2 * FAILED_MOST:
            failures = 0
        wait = min(FAILED_MOST, FAILED_FIRST * 2.0**failures)
        self.state[key, node] = (failures + 1, now + wait)
        self.wake(key, now + wait, f"failed {node}")
        return False

    @staticmethod
    def _bounds(ds: Obj, desired: int) -> tuple[int, int]:
        """Return (maxSurge, maxUnavailable) in pods; not both are 0."""
        strategy = ds["spec"].get("updateStrategy") or {}
        if strategy.get("type") == "OnDelete":
            return 0, 0
        rolling = strategy.get("rollingUpdate") or {}
        surge = scaled(rolling.get("maxSurge", 0), desired, up=True)
        unavailable = scaled(rolling.get("maxUnavailable", 1), desired, up=True)
        return surge, unavailable if surge or unavailable else 1

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
        if self.must_wait(key_of(ds)):
            return
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
            self.again(key_of(ds))
            return
        self.went_well(key_of(ds))
        self.event(ds, "Normal", "SuccessfulCreate", f"Created pod: {name}")

    def _delete(self, ds: Obj, pod: Obj) -> None:
        begin_deletion(self.store, "pods", pod, self.clock.now())
        self.event(ds, "Normal", "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")

    def _roll(self, ds: Obj, digest: str, should: dict[str, tuple[bool, bool]]) -> None:
        """Replace old pods within the bounds of the strategy."""
        if (ds["spec"].get("updateStrategy") or {}).get("type") == "OnDelete":
            return
        desired = sum(1 for run, _ in should.values() if run)
        surge, room = self._bounds(ds, desired)
        by_node: dict[str, tuple[list[Obj], list[Obj]]] = {n: ([], []) for n, (run, _) in should.items() if run}
        for pod in self._pods(ds):
            groups = by_node.get(self._node_of(pod))
            if groups is not None:
                groups[self._revision(pod) == digest].append(pod)
        if surge:
            self._surge(ds, digest, by_node, surge)
            return
        unavailable = 0
        replace: list[Obj] = []
        candidates: list[Obj] = []
        for old, new in by_node.values():
            if len(old) + len(new) != 1:
                unavailable += 1
            elif new:
                unavailable += not self._available(ds, new[0])
            elif not self._available(ds, old[0]):
                # A pod that does not work anyway costs nothing to replace.
                replace += old
                unavailable += 1
            else:
                candidates += old
        candidates.sort(key=lambda p: str(p["metadata"]["name"]))
        for pod in [*replace, *candidates[: max(0, room - unavailable)]]:
            if "deletionTimestamp" not in pod["metadata"]:
                self._delete(ds, pod)

    def _surge(self, ds: Obj, digest: str, by_node: dict[str, tuple[list[Obj], list[Obj]]], surge: int) -> None:
        """Put new pods beside old ones, and remove an old one once the new one beside it is available."""
        used = 0
        free: list[str] = []
        willing: list[str] = []
        for name, (old, new) in by_node.items():
            if old and new:
                if not self._available(ds, new[0]):
                    used += 1
                elif "deletionTimestamp" not in old[0]["metadata"]:
                    self._delete(ds, old[0])
            elif old:
                (willing if self._available(ds, old[0]) else free).append(name)
        for name in [*free, *willing[: max(0, surge - used - len(free))]]:
            self._create(ds, name, digest)

    def _available(self, ds: Obj, pod: Obj) -> bool:
        minimum = ds["spec"].get("minReadySeconds", 0)
        return "deletionTimestamp" not in pod["metadata"] and pod_available(pod, minimum, self.clock.now())

    def _status(self, key: Key, digest: str, should: dict[str, tuple[bool, bool]]) -> None:
        ds = self.store.get("daemonsets.apps", *key)
        if ds is None:
            return
        minimum, now = ds["spec"].get("minReadySeconds", 0), self.clock.now()
        desired = sum(1 for run, _ in should.values() if run)
        current = misplaced = ready = available = updated = 0
        seen: set[str] = set()
        # Where two pods share a node for a while, the older one stands for it.
        for pod in sorted(self._pods(ds), key=lambda p: (p["metadata"]["creationTimestamp"], p["metadata"]["name"])):
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
