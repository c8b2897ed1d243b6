"""Watches nodes: silent kubelets, taints that follow conditions, and pods that taints drive away."""

from __future__ import annotations

from typing import ClassVar

from stratus.kit.clock import iso, parse_iso
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import begin_deletion, condition, key_of, pod_finished, released, with_status
from stratus.sim.kubelet.images import go_duration
from stratus.sim.scheduling import tolerates
from stratus.sim.store import Change, Obj

#: Seconds after the last heartbeat until a node counts as not ready.
GRACE = 50.0
#: Seconds until a kubelet's next report of its node, and until taints that have lost their reason are taken off.
REPORT, LINGER = 2.5, 0.05
#: A kubelet that has not looked at its containers for THRESHOLD seconds is not healthy; it reports every UPDATE ones.
THRESHOLD, UPDATE = 180.0, 5.0
#: Seconds from the end of a node to that of its pods.
QUARANTINE = 50.0
PREFIX = "node.kubernetes.io/"
PRESSURES = {
    "MemoryPressure": "memory-pressure",
    "DiskPressure": "disk-pressure",
    "PIDPressure": "pid-pressure",
    "NetworkUnavailable": "network-unavailable",
}
MANAGED = frozenset({PREFIX + "unschedulable", PREFIX + "not-ready", PREFIX + "unreachable"}) | {
    PREFIX + name for name in PRESSURES.values()
}
HEALTHY = {
    "MemoryPressure": ("False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    "DiskPressure": ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    "PIDPressure": ("False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    "Ready": ("True", "KubeletReady", "kubelet is posting ready status"),
}


def _named(node: Obj, component: str = "node-controller") -> Obj:
    """Return a node as events speak of it: by name, and by uid unless its kubelet speaks."""
    meta = {"name": node["metadata"]["name"]}
    if component != "kubelet":
        meta["uid"] = node["metadata"]["uid"]
    return {"kind": "Node", "apiVersion": "v1", "metadata": meta}


class NodeController(Controller):
    """Nodes; keys are ("", node); `state` maps a pod's key to the moment a taint will drive it away."""

    name: ClassVar[str] = "node"
    component: ClassVar[str] = "node-controller"
    resources: ClassVar[tuple[str, ...]] = ("nodes", "pods")

    def on_change(self, change: Change) -> None:
        """A node, or the node of a pod that was bound or has changed its tolerations."""
        if change.resource == "nodes":
            self._schedulable(change)
            self.enqueue(key_of(change.object))
            if change.type == "DELETED":
                self._removed(change.object)
            elif change.type == "ADDED" and not self.control.replaying:
                name = change.object["metadata"]["name"]
                text = f"Node {name} event: Registered Node {name} in Controller"
                self.control.events.record(_named(change.object), "Normal", "RegisteredNode", text, self.component)
            return
        pod = change.object
        node = pod["spec"].get("nodeName")
        if change.type == "DELETED":
            if self.state.pop(key_of(pod), None) is not None:
                self._tell(pod, "Cancelling deletion of Pod")
            return
        if node and (change.previous is None or change.previous["spec"] != pod["spec"]):
            self.enqueue(("", node))
            if self.store.get("nodes", "", node) is None:
                self.wake(("", node), self.clock.now() + QUARANTINE, "orphans")

    def _schedulable(self, change: Change) -> None:
        before = bool(((change.previous or {}).get("spec") or {}).get("unschedulable"))
        after = bool(change.object["spec"].get("unschedulable"))
        if before != after and change.type == "MODIFIED":
            # The kubelet tells with its next report of the node.
            self.wake(key_of(change.object), self.clock.now() + REPORT, "schedulable")

    def _removed(self, node: Obj) -> None:
        name = node["metadata"]["name"]
        text = f"Node {name} event: Removing Node {name} from Controller"
        self.control.events.record(_named(node), "Normal", "RemovingNode", text, self.component)
        self.wake(("", name), self.clock.now() + QUARANTINE, "orphans")

    def tell(self, node: Obj, reason: str, component: str = "kubelet") -> None:
        """Record what a node's status is now."""
        name = node["metadata"]["name"]
        host = name if component == "kubelet" else ""
        text = f"Node {name} status is now: {reason}"
        self.control.events.record(_named(node, component), "Normal", reason, text, component, host=host)

    # silence

    def silent(self, node: str) -> None:
        """Its kubelet stops reporting now."""
        self.control.timers.cancel((self.name, ("", node), "healthy"))
        self.state["", node] = self.clock.now()
        self.wake(("", node), self.clock.now() + GRACE, "silent")

    def speaks(self, node: str) -> None:
        """Its kubelet reports again; after long it first finds that it has not looked at its containers for long."""
        self.control.timers.cancel((self.name, ("", node), "silent"))
        quiet = self.clock.now() - self.state.pop(("", node), self.clock.now())
        stored = self.store.get("nodes", "", node)
        if stored is None or (condition(stored, "Ready") or {}).get("status") == "True":
            return
        if quiet <= THRESHOLD:
            self._recovers(stored)
            return
        text = f"PLEG is not healthy: pleg was last seen active {go_duration(quiet)} ago; threshold is 3m0s"
        self.tell(stored, "NodeNotReady")
        self.set_conditions(stored, {"Ready": ("False", "KubeletNotReady", text)})
        self.wake(("", node), self.clock.now() + UPDATE, "healthy")

    def _recovers(self, node: Obj) -> None:
        for reason in ("NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID"):
            self.tell(node, reason)
        self.set_conditions(node, HEALTHY)
        self.tell(node, "NodeReady")

    def on_timer(self, key: Key, tag: str) -> None:
        """A node was not heard of for long enough, or a pod's toleration ends."""
        if tag == "silent":
            node = self.store.get("nodes", *key)
            if node is not None and key[1] in self.control.kubelet.silent:
                self.tell(node, "NodeNotReady", "node-controller")
                unknown = ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
                self.set_conditions(node, dict.fromkeys(HEALTHY, unknown))
                self._unready_pods(key[1])
        elif tag == "healthy":
            node = self.store.get("nodes", *key)
            if node is not None and key[1] not in self.control.kubelet.silent:
                self._recovers(node)
        elif tag == "schedulable":
            node = self.store.get("nodes", *key)
            if node is not None:
                self.tell(node, "NodeNotSchedulable" if node["spec"].get("unschedulable") else "NodeSchedulable")
        elif tag == "orphans":
            if self.store.get("nodes", *key) is None:
                self._orphans(key[1])
        elif tag == "evict":
            pod = self.store.get("pods", *key)
            if pod is not None and self.state.get(key) is not None:
                self._evict(pod, key)
        else:
            self._taints(key, tag)

    def set_conditions(self, node: Obj, wanted: dict[str, tuple[str, str, str]]) -> None:
        """Write some conditions of a node as (status, reason, message)."""
        now = iso(self.clock.now())
        changed = []
        for found in (node.get("status") or {}).get("conditions") or ():
            if found["type"] in wanted:
                status, reason, message = wanted[found["type"]]
                since = found["lastTransitionTime"] if found["status"] == status else now
                found = {
                    **found,
                    "status": status,
                    "reason": reason,
                    "message": message,
                    "lastTransitionTime": since,
                }
                if status != "Unknown":
                    found["lastHeartbeatTime"] = now
            changed.append(found)
        self.store.update("nodes", with_status(node, {**node["status"], "conditions": changed}))

    def _unready_pods(self, node: str) -> None:
        now = iso(self.clock.now())
        for pod in list(self.control.index.by_node.get(node, {}).values()):
            found = condition(pod, "Ready")
            if pod_finished(pod) or found is None or found["status"] != "True":
                continue
            conditions = [
                {**c, "status": "False", "lastTransitionTime": now} if c["type"] == "Ready" else c
                for c in pod["status"]["conditions"]
            ]
            changed = self.store.update("pods", with_status(pod, {**pod["status"], "conditions": conditions}))
            self.control.events.record(changed, "Warning", "NodeNotReady", "Node is not ready", self.component)

    # taints

    def sync(self, key: Key) -> None:
        """Set the taints that follow from a node's state, and see to its pods."""
        self._taints(key, "")

    def _taints(self, key: Key, tag: str) -> None:
        node = self.store.get("nodes", *key)
        if node is None:
            return
        have = (node.get("spec") or {}).get("taints") or []
        wanted = self._wanted(node)
        stale = [t for t in have if t["key"] in MANAGED and (t["key"], t.get("effect")) not in wanted]
        if stale and tag != "taints":
            self.wake(key, self.clock.now() + LINGER, "taints")
            stale = []
        kept = [t for t in have if t not in stale]
        known = {(t["key"], t.get("effect")) for t in kept}
        now = iso(self.clock.now())
        for name, effect in wanted:
            if (name, effect) not in known:
                kept.append({"key": name, "effect": effect, "timeAdded": now})
        if kept != have:
            spec = {k: v for k, v in (node.get("spec") or {}).items() if k != "taints"}
            if kept:
                spec["taints"] = kept
            node = self.store.update("nodes", released({**node, "spec": spec}, "spec", "taints"))
        self._drive(node, [t for t in kept if t.get("effect") == "NoExecute"])

    @staticmethod
    def _wanted(node: Obj) -> list[tuple[str, str]]:
        wanted: list[tuple[str, str]] = []
        if (node.get("spec") or {}).get("unschedulable"):
            wanted.append((PREFIX + "unschedulable", "NoSchedule"))
        ready = (condition(node, "Ready") or {}).get("status", "Unknown")
        if ready != "True":
            name = PREFIX + ("not-ready" if ready == "False" else "unreachable")
            wanted += [(name, "NoSchedule"), (name, "NoExecute")]
        for type_, name in PRESSURES.items():
            if (condition(node, type_) or {}).get("status") == "True":
                wanted.append((PREFIX + name, "NoSchedule"))
        return wanted

    def _drive(self, node: Obj, taints: list[Obj]) -> None:
        now = self.clock.now()
        for pod in list(self.control.index.by_node.get(node["metadata"]["name"], {}).values()):
            key = key_of(pod)
            if pod_finished(pod) or "deletionTimestamp" in pod["metadata"]:
                continue
            due = self._due(pod, taints, now)
            if due is None:
                if self.state.pop(key, None) is not None:
                    self.control.timers.cancel((self.name, key, "evict"))
                    self._tell(pod, "Cancelling deletion of Pod")
            elif due <= now:
                self._evict(pod, key)
            elif self.state.get(key) != due:
                self.state[key] = due
                self.wake(key, due, "evict")

    @staticmethod
    def _due(pod: Obj, taints: list[Obj], now: float) -> float | None:
        """Return when a pod must go: None for never, the present for at once."""
        tolerations = pod["spec"].get("tolerations") or []
        soonest: float | None = None
        for taint in taints:
            covering = [t for t in tolerations if tolerates([t], taint)]
            if not covering:
                return now
            limits = [t["tolerationSeconds"] for t in covering if t.get("tolerationSeconds") is not None]
            if limits:
                added = parse_iso(taint["timeAdded"]) if taint.get("timeAdded") else now
                due = added + max(0, min(limits))
                soonest = due if soonest is None else min(soonest, due)
        return soonest

    def _tell(self, pod: Obj, what: str) -> None:
        namespace, name = key_of(pod)
        self.control.events.record(
            pod, "Normal", "TaintManagerEviction", f"{what} {namespace}/{name}", "taint-eviction-controller"
        )

    def _evict(self, pod: Obj, key: Key) -> None:
        self._tell(pod, "Marking for deletion Pod")
        self.state.pop(key, None)
        if key_of(pod) and (pod["metadata"].get("deletionTimestamp") is None):
            target = {
                "type": "DisruptionTarget",
                "observedGeneration": pod["metadata"].get("generation", 1),
                "status": "True",
                "lastProbeTime": None,
                "lastTransitionTime": iso(self.clock.now()),
                "reason": "DeletionByTaintManager",
                "message": "Taint manager: deleting due to NoExecute taint",
            }
            status = dict(pod["status"])
            status["conditions"] = [
                *(c for c in status.get("conditions") or () if c["type"] != "DisruptionTarget"),
                target,
            ]
            pod = self.store.update("pods", with_status(pod, status))
            begin_deletion(self.store, "pods", pod, self.clock.now())
            if self.store.get("pods", *key) is not None and pod["spec"].get("nodeName") in self.control.kubelet.silent:
                self.state[key] = self.clock.now()

    def _orphans(self, node: str) -> None:
        """Pods of a node that has been gone for a while are ended and removed."""
        now = self.clock.now()
        for pod in list(self.control.index.by_node.get(node, {}).values()):
            if not pod_finished(pod):
                status = dict(pod.get("status") or {})
                target = {
                    "type": "DisruptionTarget",
                    "observedGeneration": pod["metadata"].get("generation", 1),
                    "status": "True",
                    "lastProbeTime": None,
                    "lastTransitionTime": iso(now),
                    "reason": "DeletionByPodGC",
                    "message": "PodGC: node no longer exists",
                }
                others = [c for c in status.get("conditions") or () if c["type"] != "DisruptionTarget"]
                pod = self.store.update(
                    "pods", with_status(pod, {**status, "phase": "Failed", "conditions": [*others, target]})
                )
            begin_deletion(self.store, "pods", pod, now, grace=0)
            left = self.store.get("pods", *key_of(pod))
            if left is not None and not left["metadata"].get("finalizers"):
                self.store.delete("pods", *key_of(pod))
