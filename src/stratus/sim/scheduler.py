"""Puts pods on nodes, or says in the scheduler's own words why none will do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from stratus.kit.clock import iso
from stratus.sim.controllers.admission import pod_requests
from stratus.sim.controllers.base import Controller, Key
from stratus.sim.controllers.common import condition, controller_ref, is_true, key_of, matches, pod_finished
from stratus.sim.quantity import parse_quantity
from stratus.sim.scheduling import (
    AFFINITY,
    ANTI,
    CORDONED,
    CURABLE,
    EXISTING_ANTI,
    PORTS,
    SELECTOR,
    SPREAD,
    SPREAD_LABEL,
    UNSCHEDULABLE_TAINT,
    UNTOLERATED,
    VOLUME_NODE,
    VOLUMES,
    host_ports,
    node_matches,
    node_term,
    tolerates,
)
from stratus.sim.store import Change, Obj

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a pod asks for, read from its spec once and not once per node."""

    requests: dict[str, float]
    ports: set[tuple[str, int]]
    claims: list[str]
    #: It has rules about other pods: spreading or affinity.
    social: bool


@dataclass(frozen=True, slots=True)
class _Room:
    """What a node offers, in numbers, as of one version of it."""

    version: str
    allocatable: dict[str, float]
    pods: float
    #: How much it is disliked whoever asks: not ready, or tainted PreferNoSchedule.
    dislike: float


@dataclass(frozen=True, slots=True)
class _Load:
    """What runs on a node: its pods that have not ended, the sum of what they ask for, and how many each owner has."""

    version: int
    pods: list[Obj]
    used: dict[str, float]
    siblings: Counter[str]


class Scheduler(Controller):
    """Pods without a node; `state` remembers the ones that found none."""

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
        self._wishes: dict[str, _Wish] = {}
        self._rooms: dict[str, _Room] = {}
        self._loads: dict[str, _Load] = {}

    def on_change(self, change: Change) -> None:
        """New pods, and for waiting ones anything that may have made room."""
        if change.resource == "pods":
            pod = change.object
            if change.type == "DELETED":
                self._wishes.pop(pod["metadata"]["uid"], None)
                self.state.pop(key_of(pod), None)
                if pod["spec"].get("nodeName"):
                    self._retry()
            elif not pod["spec"].get("nodeName"):
                if change.type == "ADDED" or change.previous is None or change.previous["spec"] != pod["spec"]:
                    self.enqueue(key_of(pod))
            elif (pod_finished(pod) and change.previous is not None and not pod_finished(change.previous)) or (
                change.previous is not None
                and change.previous["metadata"].get("labels") != pod["metadata"].get("labels")
            ):
                self._retry()
            return
        if change.resource == "nodes" and change.previous is not None and change.type == "MODIFIED":
            before, after = change.previous, change.object
            if (
                before["spec"] == after["spec"]
                and before["metadata"].get("labels") == after["metadata"].get("labels")
                and (before.get("status") or {}).get("allocatable") == (after.get("status") or {}).get("allocatable")
            ):
                return
        self._retry()

    def _retry(self) -> None:
        for key in self.state:
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
        problem = self._claims(pod)
        fitting: list[Obj] = []
        if problem is None:
            reasons: Counter[str] = Counter()
            helpful: Counter[str] = Counter()
            for node in nodes:
                refusals = self._refusals(pod, node, nodes)
                if not refusals:
                    fitting.append(node)
                    continue
                reasons.update(refusals)
                helpful[self._preemption(pod, node, refusals)] += 1
            if not nodes:
                problem = "no nodes available to schedule pods"
            elif not fitting:
                problem = self._text(len(nodes), reasons, helpful)
        else:
            problem = f"0/{len(nodes)} nodes are available: {problem}. not found"
        if fitting and problem is None:
            best = min(fitting, key=lambda node: self._cost(pod, node))
            if self._wait_for_consumer(pod, best["metadata"]["name"]):
                self.state[key] = True
                return
            self.state.pop(key, None)
            self._bind(pod, best)
            return
        self.state[key] = True
        self._pending(pod, problem or "")
        self.wake(key, self.clock.now() + 300.0)

    # results

    def _bind(self, pod: Obj, node: Obj) -> None:
        name = node["metadata"]["name"]
        now = iso(self.clock.now())
        scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
        status = dict(pod.get("status") or {})
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

    def _pending(self, pod: Obj, message: str) -> None:
        found = condition(pod, "PodScheduled")
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
            pod, "Warning", "FailedScheduling", message, self.component, "Scheduling", "default-scheduler-sim"
        )

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

    @staticmethod
    def _text(total: int, reasons: Counter[str], helpful: Counter[str]) -> str:
        why = ", ".join(sorted(f"{n} {reason}" for reason, n in reasons.items()))
        preempt = ", ".join(sorted(f"{n} {reason}" for reason, n in helpful.items()))
        return (
            f"0/{total} nodes are available: {why}. no new claims to deallocate, "
            f"preemption: 0/{total} nodes are available: {preempt}."
        )

    # filters

    def _refusals(self, pod: Obj, node: Obj, nodes: list[Obj]) -> list[str]:
        """Return why a node will not do: the first filter that refuses decides, as in the scheduler."""
        spec = pod["spec"]
        node_spec = node.get("spec") or {}
        tolerations = spec.get("tolerations") or []
        cordon = {"key": UNSCHEDULABLE_TAINT, "effect": "NoSchedule"}
        if node_spec.get("unschedulable") and not tolerates(tolerations, cordon):
            return [CORDONED]
        for taint in node_spec.get("taints") or ():
            if taint.get("effect") in ("NoSchedule", "NoExecute") and not tolerates(tolerations, taint):
                return [UNTOLERATED]
        if not node_matches(spec, node):
            return [SELECTOR]
        load = self._load(node["metadata"]["name"])
        wish = self._wish(pod)
        if wish.ports and any(wish.ports & host_ports(p["spec"]) for p in load.pods):
            return [PORTS]
        refused = self._resources(wish, node, load)
        if refused:
            return refused
        text = self._volumes(pod, node) if wish.claims else None
        if text:
            return [text]
        if not wish.social and not self.control.index.repelling:
            return []
        text = self._spread(pod, node, nodes) or self._pod_affinity(pod, node, nodes)
        return [text] if text else []

    def _wish(self, pod: Obj) -> _Wish:
        uid = pod["metadata"]["uid"]
        found = self._wishes.get(uid)
        if found is None:
            spec = pod["spec"]
            affinity = spec.get("affinity") or {}
            social = bool(
                spec.get("topologySpreadConstraints") or affinity.get("podAffinity") or affinity.get("podAntiAffinity")
            )
            found = _Wish(pod_requests(spec), host_ports(spec), self._claim_names(pod), social)
            self._wishes[uid] = found
        return found

    def _asked(self, pod: Obj) -> dict[str, float]:
        return self._wish(pod).requests

    def _room(self, node: Obj) -> _Room:
        """Return what a node offers; worked out again only when the node has changed."""
        name, version = node["metadata"]["name"], node["metadata"]["resourceVersion"]
        found = self._rooms.get(name)
        if found is not None and found.version == version:
            return found
        stated = (node.get("status") or {}).get("allocatable") or {}
        dislike = 0.0 if is_true(node, "Ready") else 1000.0
        if any(t.get("effect") == "PreferNoSchedule" for t in (node.get("spec") or {}).get("taints") or ()):
            dislike += 10.0
        amounts = {resource: parse_quantity(amount) for resource, amount in stated.items()}
        found = self._rooms[name] = _Room(version, amounts, amounts.get("pods", 110.0), dislike)
        return found

    def _load(self, node: str) -> _Load:
        """Return what runs on a node; summed again only after a change of its pods."""
        version = self.control.index.versions.get(node, 0)
        found = self._loads.get(node)
        if found is not None and found.version == version:
            return found
        pods = [p for p in self.control.index.by_node.get(node, {}).values() if not pod_finished(p)]
        used: dict[str, float] = {}
        siblings: Counter[str] = Counter()
        for pod in pods:
            for resource, amount in self._asked(pod).items():
                used[resource] = used.get(resource, 0.0) + amount
            owner = controller_ref(pod)
            if owner is not None:
                siblings[owner["uid"]] += 1
        found = self._loads[node] = _Load(version, pods, used, siblings)
        return found

    def _resources(self, wish: _Wish, node: Obj, load: _Load) -> list[str]:
        room = self._room(node)
        refused = []
        if len(load.pods) + 1 > room.pods:
            refused.append("Too many pods")
        for resource, amount in wish.requests.items():
            if amount <= 0:
                continue
            used = load.used.get(resource, 0.0)
            if used + amount > room.allocatable.get(resource, 0.0) + 1e-9:
                refused.append(f"Insufficient {resource}")
        return refused

    def _preemption(self, pod: Obj, node: Obj, refusals: list[str]) -> str:
        curable = all(r in CURABLE or r.startswith(("Insufficient", "Too many")) for r in refusals)
        if curable and any(r.startswith(("Insufficient", "Too many")) for r in refusals):
            room = (node.get("status") or {}).get("allocatable") or {}
            # A request that an empty node could not meet is not helped by evicting anybody.
            curable = all(v <= parse_quantity(room.get(k)) + 1e-9 for k, v in self._asked(pod).items() if v > 0)
        if curable:
            return "No preemption victims found for incoming pod"
        return "Preemption is not helpful for scheduling"

    def _zone(self, node: Obj, key: str) -> str | None:
        if key == "kubernetes.io/hostname":
            labels = node["metadata"].get("labels") or {}
            return str(labels.get(key, node["metadata"]["name"]))
        return (node["metadata"].get("labels") or {}).get(key)

    def _in_zone(self, key: str, value: str, nodes: list[Obj]) -> list[Obj]:
        found: list[Obj] = []
        for node in nodes:
            if self._zone(node, key) == value:
                pods = self.control.index.by_node.get(node["metadata"]["name"], {})
                found.extend(p for p in pods.values() if not pod_finished(p))
        return found

    @staticmethod
    def _term_selects(term: Obj, owner: Obj, other: Obj) -> bool:
        spaces = term.get("namespaces") or []
        if not spaces and term.get("namespaceSelector") is None:
            spaces = [owner["metadata"]["namespace"]]
        if spaces and other["metadata"]["namespace"] not in spaces:
            return False
        return matches(term.get("labelSelector"), other["metadata"].get("labels"))

    def _pod_affinity(self, pod: Obj, node: Obj, nodes: list[Obj]) -> str | None:
        affinity = pod["spec"].get("affinity") or {}
        required = "requiredDuringSchedulingIgnoredDuringExecution"
        for term in (affinity.get("podAffinity") or {}).get(required) or ():
            zone = self._zone(node, term["topologyKey"])
            if zone is None:
                return AFFINITY
            if any(self._term_selects(term, pod, p) for p in self._in_zone(term["topologyKey"], zone, nodes)):
                continue
            anywhere = any(
                self._term_selects(term, pod, p)
                for pods in self.control.index.by_node.values()
                for p in pods.values()
                if not pod_finished(p)
            )
            # The first pod of a group that is attracted to itself may go anywhere.
            if anywhere or not self._term_selects(term, pod, pod):
                return AFFINITY
        for term in (affinity.get("podAntiAffinity") or {}).get(required) or ():
            zone = self._zone(node, term["topologyKey"])
            if zone is not None and any(
                self._term_selects(term, pod, p) for p in self._in_zone(term["topologyKey"], zone, nodes)
            ):
                return ANTI
        for other in self.control.index.repelling.values():
            if pod_finished(other):
                continue
            home = self.store.get("nodes", "", other["spec"]["nodeName"])
            for term in other["spec"]["affinity"]["podAntiAffinity"][required]:
                zone = self._zone(node, term["topologyKey"])
                if (
                    home is not None
                    and zone is not None
                    and self._zone(home, term["topologyKey"]) == zone
                    and self._term_selects(term, other, pod)
                ):
                    return EXISTING_ANTI
        return None

    def _spread(self, pod: Obj, node: Obj, nodes: list[Obj]) -> str | None:
        for rule in pod["spec"].get("topologySpreadConstraints") or ():
            if rule.get("whenUnsatisfiable", "DoNotSchedule") != "DoNotSchedule":
                continue
            key = rule["topologyKey"]
            mine = self._zone(node, key)
            if mine is None:
                return SPREAD_LABEL
            counts: dict[str, int] = {}
            for candidate in nodes:
                zone = self._zone(candidate, key)
                if zone is None or not node_matches(pod["spec"], candidate):
                    continue
                counts.setdefault(zone, 0)
                for other in self.control.index.by_node.get(candidate["metadata"]["name"], {}).values():
                    if (
                        other["metadata"]["namespace"] == pod["metadata"]["namespace"]
                        and not pod_finished(other)
                        and "deletionTimestamp" not in other["metadata"]
                        and matches(rule.get("labelSelector"), other["metadata"].get("labels"))
                    ):
                        counts[zone] += 1
            own = 1 if matches(rule.get("labelSelector"), pod["metadata"].get("labels")) else 0
            least = (
                0 if rule.get("minDomains") and len(counts) < rule["minDomains"] else min(counts.values(), default=0)
            )
            if counts.get(mine, 0) + own - least > rule.get("maxSkew", 1):
                return SPREAD
        return None

    # volumes

    def _claim_names(self, pod: Obj) -> list[str]:
        names = []
        for volume in pod["spec"].get("volumes") or ():
            if volume.get("persistentVolumeClaim"):
                names.append(volume["persistentVolumeClaim"]["claimName"])
            elif volume.get("ephemeral"):
                names.append(f"{pod['metadata']['name']}-{volume['name']}")
        return names

    def _claims(self, pod: Obj) -> str | None:
        """Return what is wrong with the pod's claims whatever the node."""
        for name in self._claim_names(pod):
            claim = self.store.get("persistentvolumeclaims", pod["metadata"]["namespace"], name)
            if claim is None:
                return f'persistentvolumeclaim "{name}" not found'
            if "deletionTimestamp" in claim["metadata"]:
                return f'persistentvolumeclaim "{name}" is being deleted'
            volume = claim["spec"].get("volumeName", "")
            if (claim.get("status") or {}).get("phase") == "Lost":
                return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume}"'
            if claim["spec"].get("volumeName"):
                continue
            kind = self.store.get("storageclasses.storage.k8s.io", "", claim["spec"].get("storageClassName") or "")
            if kind is None or kind.get("volumeBindingMode", "Immediate") == "Immediate":
                return "pod has unbound immediate PersistentVolumeClaims"
        return None

    def _volumes(self, pod: Obj, node: Obj) -> str | None:
        for name in self._claim_names(pod):
            claim = self.store.get("persistentvolumeclaims", pod["metadata"]["namespace"], name)
            if claim is None:
                continue
            volume = claim["spec"].get("volumeName")
            if volume:
                stored = self.store.get("persistentvolumes", "", volume)
                required = ((stored or {}).get("spec", {}).get("nodeAffinity") or {}).get("required")
                if required and not any(node_term(t, node) for t in required.get("nodeSelectorTerms") or ()):
                    return VOLUME_NODE
                continue
            kind = self.store.get("storageclasses.storage.k8s.io", "", claim["spec"].get("storageClassName") or "")
            if kind is not None and kind.get("provisioner") == "kubernetes.io/no-provisioner":
                free = any(
                    v["spec"].get("storageClassName") == claim["spec"].get("storageClassName")
                    and not v["spec"].get("claimRef")
                    for v in self.store.list("persistentvolumes")
                )
                if not free:
                    return VOLUMES
        return None

    def _wait_for_consumer(self, pod: Obj, node: str) -> bool:
        """Have the pod's unbound claims provisioned for a node; return whether any is still to come."""
        waiting = False
        for name in self._claim_names(pod):
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

    # preference

    def _cost(self, pod: Obj, node: Obj) -> tuple[float, float, int, str]:
        name = node["metadata"]["name"]
        load = self._load(name)
        owner = controller_ref(pod)
        siblings = load.siblings[owner["uid"]] if owner is not None else 0
        room = self._room(node)
        used = 0.0
        for resource in ("cpu", "memory"):
            used += load.used.get(resource, 0.0) / (room.allocatable.get(resource) or 1.0)
        return siblings - self._preference(pod, node) + room.dislike, used, len(load.pods), name

    @staticmethod
    def _preference(pod: Obj, node: Obj) -> float:
        affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
        liked = 0.0
        for item in affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
            if node_term(item.get("preference") or {}, node):
                liked += item.get("weight", 1) / 10
        return liked
