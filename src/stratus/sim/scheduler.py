"""Puts pods on nodes, or says in the scheduler's own words why none will do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from stratus.kit.clock import iso
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import condition, key_of, pod_finished
from stratus.sim.placement import Placement, claim_names
from stratus.sim.preemption import Plan, Preemptor, priority
from stratus.sim.scheduling import OTHER_NODE, kind_of, node_helps, pinned
from stratus.sim.store import Change, Obj

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane


class Scheduler(Controller):
    """Pods without a node; `state` maps the ones that found none to the kinds of refusal they met.

    A waiting pod is looked at again when something happens that may help with one of those refusals, as the queueing
    hints of the real scheduler's plugins have it, and every five minutes.
    """

    name: ClassVar[str] = "scheduler"
    component: ClassVar[str] = "default-scheduler"
    resources: ClassVar[tuple[str, ...]] = (
        "pods",
        "nodes",
        "persistentvolumeclaims",
        "persistentvolumes",
        "storageclasses.storage.k8s.io",
    )

    def __init__(self, control: ControlPlane) -> None:
        super().__init__(control)
        self.placement = Placement(control)
        self._preemptor = Preemptor(self)

    def on_change(self, change: Change) -> None:
        """New pods, and for waiting ones anything that may have made room."""
        if change.resource == "pods":
            self._pod_changed(change)
        elif not self.state:
            return
        elif change.resource == "nodes":
            for key, kinds in list(self.state.items()):
                pod = self.store.get("pods", *key)
                if pod is not None and node_helps(pod, kinds, change.previous, change.object, change.type):
                    self.enqueue(key)
        else:
            self._retry(("volumes", "claims"))

    def _pod_changed(self, change: Change) -> None:
        pod, before = change.object, change.previous
        node = pod["spec"].get("nodeName")
        if change.type == "DELETED":
            self.placement.forget(pod)
            self.state.pop(key_of(pod), None)
            if node:
                self._retry(("fit", "ports", "pods", "spread"))
        elif not node:
            self.placement.note_nomination(pod)
            if change.type == "ADDED" or before is None or before["spec"] != pod["spec"]:
                self.enqueue(key_of(pod))
        elif not self.state:
            return
        elif pod_finished(pod) and before is not None and not pod_finished(before):
            self._retry(("fit", "ports", "pods", "spread"))
        elif (
            before is None
            or not before["spec"].get("nodeName")
            or before["metadata"].get("labels") != pod["metadata"].get("labels")
        ):
            self._retry(("pods", "spread"))
        elif "deletionTimestamp" in pod["metadata"] and "deletionTimestamp" not in before["metadata"]:
            self._retry(("spread",))

    def _retry(self, kinds: Iterable[str]) -> None:
        """Look again at the pods that wait for one of some kinds of help, the most important first."""
        if not self.state:
            return
        wanted = frozenset(kinds)
        waiting = [key for key, met in self.state.items() if met & wanted]
        if len(waiting) > 1:
            ranks = {key: priority(self.store.get("pods", *key) or {"spec": {}}) for key in waiting}
            waiting.sort(key=lambda key: -ranks[key])
        for key in waiting:
            self.enqueue(key)

    def on_timer(self, key: Key, tag: str) -> None:
        """Waiting pods are looked at again every five minutes."""
        if key in self.state:
            self.enqueue(key)

    def sync(self, key: Key) -> None:
        """Try to place one pod."""
        pod = self.store.get("pods", *key)
        if pod is None or pod["spec"].get("nodeName") or pod_finished(pod) or "deletionTimestamp" in pod["metadata"]:
            self.state.pop(key, None)
            return
        if pod["spec"].get("schedulerName", "default-scheduler") != "default-scheduler":
            return
        if pod["spec"].get("schedulingGates"):
            self._gate(pod)
            return
        nodes = self.store.list("nodes")
        problem = self.placement.claims(pod)
        if problem is not None:
            self._wait(key, pod, f"0/{len(nodes)} nodes are available: {problem}. not found", {"claims"})
            return
        fitting: list[Obj] = []
        refused: dict[str, list[str]] = {}
        names = pinned(pod["spec"])
        for node in nodes:
            name = node["metadata"]["name"]
            refusals = (
                [OTHER_NODE] if names is not None and name not in names else self.placement.refusals(pod, node, nodes)
            )
            if refusals:
                refused[name] = refusals
            else:
                fitting.append(node)
        if fitting:
            promised = (pod.get("status") or {}).get("nominatedNodeName")
            best = next((n for n in fitting if n["metadata"]["name"] == promised), None)
            best = best or min(fitting, key=lambda node: self.placement.cost(pod, node))
            if self._wait_for_consumer(pod, best["metadata"]["name"]):
                self.state[key] = frozenset({"volumes"})
                return
            self.state.pop(key, None)
            self._bind(pod, best)
        elif not nodes:
            self._wait(key, pod, "no nodes available to schedule pods", {"nodes"})
        else:
            self._make_room(key, pod, nodes, refused)

    def _make_room(self, key: Key, pod: Obj, nodes: list[Obj], refused: dict[str, list[str]]) -> None:
        """No node will do: say why, and preempt pods of lower priority where that helps."""
        plan = self._preemptor.plan(pod, nodes, refused)
        reasons = Counter(reason for found in refused.values() for reason in found)
        why = ", ".join(sorted(f"{n} {reason}" for reason, n in reasons.items()))
        text = f"0/{len(nodes)} nodes are available: {why}."
        if not plan.node:
            text += f" no new claims to deallocate, preemption: {plan.text}"
        kinds = {kind_of(reason) for reason in reasons}
        pod = self._wait(key, pod, text, kinds | {"fit"} if plan.node else kinds, plan)
        if plan.node:
            self._preemptor.carry_out(pod, plan)

    def _wait(self, key: Key, pod: Obj, message: str, kinds: set[str], plan: Plan | None = None) -> Obj:
        self.state[key] = frozenset(kinds)
        pod = self._pending(pod, message, plan)
        self.wake(key, self.clock.now() + 300.0)
        return pod

    # results

    def _bind(self, pod: Obj, node: Obj) -> None:
        name = node["metadata"]["name"]
        now = iso(self.clock.now())
        scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
        status = dict(pod.get("status") or {})
        status.pop("nominatedNodeName", None)
        self.placement.nominated.pop(key_of(pod), None)
        status["conditions"] = [c for c in status.get("conditions") or () if c["type"] != "PodScheduled"] + [scheduled]
        bound = self.store.update("pods", {**pod, "spec": {**pod["spec"], "nodeName": name}, "status": status})
        namespace, pod_name = key_of(pod)
        self.control.events.record_new(
            bound,
            "Normal",
            "Scheduled",
            f"Successfully assigned {namespace}/{pod_name} to {name}",
            self.component,
            "Binding",
            "default-scheduler-sim",
        )

    def _pending(self, pod: Obj, message: str, plan: Plan | None) -> Obj:
        found = condition(pod, "PodScheduled")
        node = plan.node if plan is not None else ""
        seen = pod
        if node and (pod.get("status") or {}).get("nominatedNodeName") != node:
            pod = {**pod, "status": {**(pod.get("status") or {}), "nominatedNodeName": node}}
            found = None
        if found is None or found.get("status") != "False" or found.get("message") != message:
            since = iso(self.clock.now())
            if found is not None and found.get("status") == "False":
                since = found["lastTransitionTime"]
            entry = {
                "type": "PodScheduled",
                "observedGeneration": pod["metadata"].get("generation", 1),
                "status": "False",
                "lastProbeTime": None,
                "lastTransitionTime": since,
                "reason": "Unschedulable",
                "message": message,
            }
            status = dict(pod.get("status") or {})
            status["conditions"] = [
                *(c for c in status.get("conditions") or () if c["type"] != "PodScheduled"),
                entry,
            ]
            pod = self.store.update("pods", {**pod, "status": status})
        self.control.events.record_new(
            seen, "Warning", "FailedScheduling", message, self.component, "Scheduling", "default-scheduler-sim"
        )
        return pod

    def _gate(self, pod: Obj) -> None:
        if condition(pod, "PodScheduled") is None:
            entry = {
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": None,
                "lastTransitionTime": iso(self.clock.now()),
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            }
            status = {**(pod.get("status") or {}), "conditions": [entry]}
            self.store.update("pods", {**pod, "status": status})

    # volumes

    def _wait_for_consumer(self, pod: Obj, node: str) -> bool:
        """Have the pod's unbound claims provisioned for a node; return whether any is still to come."""
        waiting = False
        for name in claim_names(pod):
            claim = self.store.get("persistentvolumeclaims", pod["metadata"]["namespace"], name)
            if claim is None or claim["spec"].get("volumeName"):
                continue
            annotations = {
                **(claim["metadata"].get("annotations") or {}),
                "volume.kubernetes.io/selected-node": node,
            }
            meta = {**claim["metadata"], "annotations": annotations}
            self.store.update("persistentvolumeclaims", {**claim, "metadata": meta})
            waiting = True
        return waiting

    # forks

    def adopt_state(self, other: Controller) -> None:
        """Go on with the pods that wait in another cluster."""
        super().adopt_state(other)
        assert isinstance(other, Scheduler)
        self.placement.nominated = dict(other.placement.nominated)
