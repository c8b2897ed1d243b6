"""Drives pods away from nodes that run short of memory, disk or process ids, as the kubelet's eviction manager does."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stratus.kit.clock import iso
from stratus.sim.controllers.common import key_of, pod_finished, with_status
from stratus.sim.kubelet import localstorage, timing
from stratus.sim.kubelet.state import PodState
from stratus.sim.podresources import pod_requests, qos_class
from stratus.sim.quantity import parse_quantity
from stratus.sim.scheduling import tolerates
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.controllers.nodes import NodeController
    from stratus.sim.kubelet.kubelet import Kubelet

MIB = 1048576.0
#: Seconds between two looks at a node, and for which a pressure is reported after it has gone.
INTERVAL, TRANSITION = 10.0, 300.0
#: What a node's own processes use of its memory (bytes), and what must stay free.
SYSTEM, FREE = 400 * MIB, 100 * MIB
CRITICAL = 2_000_000_000
#: A container that holds more than BIG makes its node looked at; less than LEAST fills no node.
BIG, LEAST = 256 * MIB, 1024 * MIB


def _named(node: Obj) -> Obj:
    """Return a node as its kubelet's events speak of it: by name alone."""
    return {"kind": "Node", "apiVersion": "v1", "metadata": {"name": node["metadata"]["name"]}}


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing a node can run short of, and the words for it."""

    condition: str
    resource: str
    threshold: str
    available: str
    good: tuple[str, str, str]
    bad: tuple[str, str, str]


SIGNALS = {
    "memory": Signal(
        "MemoryPressure",
        "memory",
        "100Mi",
        "61440Ki",
        ("KubeletHasSufficientMemory", "kubelet has sufficient memory available", "NodeHasSufficientMemory"),
        ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available", "NodeHasInsufficientMemory"),
    ),
    "disk": Signal(
        "DiskPressure",
        "ephemeral-storage",
        "10737418240",
        "6442450944",
        ("KubeletHasNoDiskPressure", "kubelet has no disk pressure", "NodeHasNoDiskPressure"),
        ("KubeletHasDiskPressure", "kubelet has disk pressure", "NodeHasDiskPressure"),
    ),
    "pid": Signal(
        "PIDPressure",
        "pids",
        "10%",
        "1638",
        ("KubeletHasSufficientPID", "kubelet has sufficient PID available", "NodeHasSufficientPID"),
        ("KubeletHasInsufficientPID", "kubelet has insufficient PID available", "NodeHasInsufficientPID"),
    ),
}


@dataclass(slots=True)
class Pressure:
    """A pressure under way on a node."""

    #: It was put on from outside, and lasts until it is taken off there.
    forced: bool = False
    #: When it was last met.
    met_at: float = 0.0


class Evictor:
    """Looks at nodes that may be short of something; `pressures` maps node and signal to what is under way.

    A node is looked at when a container that declares its memory starts there, when its owner says that its memory
    has grown (`watch`), and every ten seconds while there is a pressure: idle nodes cost nothing.
    """

    def __init__(self, kubelet: Kubelet) -> None:
        self.kubelet = kubelet
        self.pressures: dict[str, dict[str, Pressure]] = {}

    def adopt(self, other: Evictor) -> None:
        """Take over what is under way in another cluster."""
        self.pressures = copy.deepcopy(other.pressures)

    # from outside

    def press(self, node: str, signal: str) -> None:
        """Let a node be short of `memory`, `disk` or `pid` until `relieve`."""
        self.pressures.setdefault(node, {}).setdefault(signal, Pressure()).forced = True
        self.look(node)

    def relieve(self, node: str, signal: str) -> None:
        """A node is no longer short of something; it says so five minutes later."""
        found = self.pressures.get(node, {}).get(signal)
        if found is not None:
            found.forced = False

    def watch(self, node: str) -> None:
        """Have a node looked at at its next ten seconds."""
        name = (self.kubelet.name, ("", node), "pressure")
        if name not in self.kubelet.control.timers:
            self.kubelet.wake(("", node), timing.on_beat(self.kubelet.clock.now() + INTERVAL, node), "pressure")

    def started(self, pod: Obj, spec: Obj, node: str) -> None:
        """A container has started on a node; a big one, or one with limits on what it writes, is worth a look."""
        if self.kubelet.control.runtime.usage(pod, spec)[1] > BIG or localstorage.limited(pod):
            self.watch(node)

    def consider(self, held: float) -> None:
        """All applications together hold so many bytes of memory: look at the nodes if one of them may be full."""
        if held < LEAST:
            return
        for node in self.kubelet.store.list("nodes"):
            capacity = (node.get("status") or {}).get("capacity") or {}
            if held > 0.7 * parse_quantity(capacity.get("memory", "16Gi")):
                self.watch(node["metadata"]["name"])

    def evict(self, pod: Obj, state: PodState, message: str, grace: float = 1.0) -> None:
        """End a pod for want of a resource on its node."""
        kubelet = self.kubelet
        kubelet.control.events.record(pod, "Warning", "Evicted", message, kubelet.component, host=state.node)
        target = {
            "type": "DisruptionTarget",
            "observedGeneration": pod["metadata"].get("generation", 1),
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": iso(kubelet.clock.now()),
            "reason": "TerminationByKubelet",
            "message": message,
        }
        status = dict(pod.get("status") or {})
        status["conditions"] = [
            target,
            *(c for c in status.get("conditions") or () if c["type"] != "DisruptionTarget"),
        ]
        pod = kubelet.store.update("pods", with_status(pod, status))
        kubelet.ender.condemn(pod, state, ("Failed", "Evicted", message), grace=grace)

    def rejects(self, pod: Obj, node: str) -> str | None:
        """Return why a node under pressure does not take a pod, or None when it does."""
        on = [SIGNALS[s].condition for s in self.pressures.get(node, {})]
        if not on or (pod["spec"].get("priority") or 0) >= CRITICAL:
            return None
        if on == ["MemoryPressure"]:
            taint = {"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule"}
            tolerated = tolerates(pod["spec"].get("tolerations") or [], taint)
            if qos_class(pod["spec"]) != "BestEffort" or tolerated:
                return None
        return f"The node had condition: [{' '.join(sorted(on))}]. "

    # looking

    def look(self, node: str) -> None:
        """Compare what a node has with what must be free; evict one pod, or report that the pressure is over."""
        stored = self.kubelet.store.get("nodes", "", node)
        if stored is None or node in self.kubelet.silent:
            return
        now = self.kubelet.clock.now()
        pods = self._running(node)
        used = {key: self._memory(pod) for key, (pod, _) in pods.items()}
        capacity = parse_quantity((stored.get("status") or {}).get("capacity", {}).get("memory", "16Gi"))
        free = capacity - SYSTEM - sum(used.values())
        if free < 0:
            free = self._kill(stored, pods, used, free, capacity)
        limited = self._over_limits(pods)
        here = self.pressures.setdefault(node, {})
        if free < FREE:
            here.setdefault("memory", Pressure()).met_at = now
        for signal in list(here):
            pressure = here[signal]
            if pressure.forced:
                pressure.met_at = now
            if pressure.met_at == now:
                amount = f"{max(0, int(free / 1024))}Ki" if signal == "memory" and free < FREE else ""
                self._met(stored, signal, pods, used, amount)
            elif now - pressure.met_at >= TRANSITION:
                del here[signal]
                self._report(node, signal, met=False)
        if here or limited:
            self.kubelet.wake(("", node), timing.on_beat(now + INTERVAL, node), "pressure")
        if not here:
            del self.pressures[node]

    def _over_limits(self, pods: dict[tuple[str, str], tuple[Obj, PodState]]) -> bool:
        """Evict pods that have written more than their own limits allow; tell whether any pod has such limits."""
        written = getattr(self.kubelet.control.runtime, "written", None)
        found = False
        if written is None:
            return found
        for pod, state in list(pods.values()):
            if localstorage.limited(pod):
                found = True
                text = localstorage.exceeded(pod, written)
                if text:
                    self.evict(pod, state, text)
        return found

    def _running(self, node: str) -> dict[tuple[str, str], tuple[Obj, PodState]]:
        found = {}
        for key, pod in self.kubelet.control.index.by_node.get(node, {}).items():
            state = self.kubelet.pods.get(key)
            if state is not None and state.verdict is None and not state.terminating and not pod_finished(pod):
                found[key] = (pod, state)
        return found

    def _memory(self, pod: Obj) -> float:
        usage = self.kubelet.control.runtime.usage
        return sum(usage(pod, spec)[1] for spec in self.kubelet.serving(key_of(pod)))

    def _met(
        self,
        node: Obj,
        signal: str,
        pods: dict[tuple[str, str], tuple[Obj, PodState]],
        used: dict[tuple[str, str], float],
        available: str,
    ) -> None:
        """A threshold is met: the node says so, and the pod that hurts least goes."""
        name, words = node["metadata"]["name"], SIGNALS[signal]
        self._report(name, signal, met=True)
        text = f"Attempting to reclaim {words.resource}"
        events = self.kubelet.control.events
        events.record(_named(node), "Warning", "EvictionThresholdMet", text, self.kubelet.component, host=name)
        candidates = [key for key, (pod, _) in pods.items() if (pod["spec"].get("priority") or 0) < CRITICAL]
        if not candidates:
            return
        key = min(candidates, key=lambda k: self._rank(pods[k][0], used[k], signal))
        pod, state = pods[key]
        message = f"The node was low on resource: {words.resource}. "
        message += f"Threshold quantity: {words.threshold}, available: {available or words.available}. "
        message += self._consumers(pod, signal)
        self.evict(pod, state, message)

    @staticmethod
    def _rank(pod: Obj, used: float, signal: str) -> tuple[bool, int, float, str]:
        """Order pods, first to go first: over their requests, then low priority, then how far over."""
        asked = pod_requests(pod["spec"]).get("memory", 0.0) if signal == "memory" else 0.0
        over = used - asked
        return not over > 0, pod["spec"].get("priority") or 0, -over, f"{'/'.join(key_of(pod))}"

    def _consumers(self, pod: Obj, signal: str) -> str:
        if signal == "pid":
            return ""
        text = ""
        for spec in self.kubelet.serving(key_of(pod)):
            words = SIGNALS[signal]
            asked = ((spec.get("resources") or {}).get("requests") or {}).get(words.resource) or "0"
            amount = self.kubelet.control.runtime.usage(pod, spec)[1] if signal == "memory" else 24 * 1024.0
            if amount > parse_quantity(asked):
                text += (
                    f"Container {spec['name']} was using {int(amount / 1024)}Ki, request is {asked}, "
                    f"has larger consumption of {words.resource}. "
                )
        return text

    def _report(self, node: str, signal: str, *, met: bool) -> None:
        """Write the condition if it has changed; the node controller sets the taint that follows from it."""
        words = SIGNALS[signal]
        stored = self.kubelet.store.get("nodes", "", node)
        if stored is None:
            return
        value = "True" if met else "False"
        for found in (stored.get("status") or {}).get("conditions") or ():
            if found["type"] == words.condition and found["status"] == value:
                return
        reason, message, event = words.bad if met else words.good
        nodes: NodeController = self.kubelet.control.controllers["node"]  # type: ignore[assignment]
        nodes.tell(stored, event)
        nodes.set_conditions(stored, {words.condition: (value, reason, message)})

    def _kill(
        self,
        node: Obj,
        pods: dict[tuple[str, str], tuple[Obj, PodState]],
        used: dict[tuple[str, str], float],
        free: float,
        capacity: float,
    ) -> float:
        """There is no memory left at all: the kernel kills what it holds cheapest; return what is free then."""
        names = sorted(pods, key=lambda k: (-self._badness(pods[k][0], used[k], capacity), k))
        host = node["metadata"]["name"]
        for key in names:
            if free >= 0:
                break
            pod = pods[key][0]
            for spec in self.kubelet.serving(key):
                amount = self.kubelet.control.runtime.usage(pod, spec)[1]
                if not amount or not self.kubelet.restart_container(key, spec["name"], reason="OOMKilled"):
                    continue
                free += amount
                used[key] -= amount
                number = 1000 + int.from_bytes(pod["metadata"]["uid"][:4].encode(), "big") % 30000
                text = f"System OOM encountered, victim process: {spec['name']}, pid: {number}"
                events = self.kubelet.control.events
                events.record(_named(node), "Warning", "SystemOOM", text, "kubelet", host=host)
                if free >= 0:
                    break
        return free

    @staticmethod
    def _badness(pod: Obj, used: float, capacity: float) -> float:
        """Return the kernel's score: the share of memory in thousandths, shifted by the class of the pod."""
        kind = qos_class(pod["spec"])
        if kind == "Guaranteed":
            shift = -997.0
        elif kind == "BestEffort":
            shift = 1000.0
        else:
            asked = pod_requests(pod["spec"]).get("memory", 0.0)
            shift = min(999.0, max(2.0, 1000 - 1000 * asked / capacity))
        return 1000 * used / capacity + shift


__all__ = ["SIGNALS", "Evictor", "Pressure", "Signal"]
