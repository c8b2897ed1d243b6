"""Which nodes will do for a pod and which is liked best: the scheduler's filters and scores."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stratus.sim.controllers.base import Key
from stratus.sim.controllers.binding import best
from stratus.sim.controllers.common import controller_ref, is_true, key_of, matches, pod_finished
from stratus.sim.podresources import pod_requests
from stratus.sim.preemption import priority
from stratus.sim.quantity import parse_quantity
from stratus.sim.scheduling import (
    AFFINITY,
    ANTI,
    CORDONED,
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
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane


def claim_names(pod: Obj) -> list[str]:
    """Return the names of the claims a pod's volumes use."""
    names = []
    for volume in pod["spec"].get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            names.append(volume["persistentVolumeClaim"]["claimName"])
        elif volume.get("ephemeral"):
            names.append(f"{pod['metadata']['name']}-{volume['name']}")
    return names


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


class Placement:
    """The filters and scores over the pods and nodes of one cluster."""

    def __init__(self, control: ControlPlane) -> None:
        self.control = control
        self.store = control.store
        self._wishes: dict[str, _Wish] = {}
        self._rooms: dict[str, _Room] = {}
        self._loads: dict[str, _Load] = {}
        #: Pods that wait for others to leave a node: (node, priority, what they ask for).
        self.nominated: dict[Key, tuple[str, int, dict[str, float]]] = {}
        #: Pods that are looked past while preemption tries what would be without them.
        self._hidden: set[Key] = set()

    def forget(self, pod: Obj) -> None:
        """A pod is gone."""
        self._wishes.pop(pod["metadata"]["uid"], None)
        self.nominated.pop(key_of(pod), None)

    def note_nomination(self, pod: Obj) -> None:
        """Keep room on a node for a pod that waits for others to leave it, or stop keeping it."""
        node = (pod.get("status") or {}).get("nominatedNodeName")
        if node:
            self.nominated[key_of(pod)] = (node, priority(pod), self.asked(pod))
        elif self.nominated:
            self.nominated.pop(key_of(pod), None)

    # filters

    def refusals(self, pod: Obj, node: Obj, nodes: list[Obj]) -> list[str]:
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
        refused = self._resources(pod, wish, node, load)
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
            found = _Wish(pod_requests(spec), host_ports(spec), claim_names(pod), social)
            self._wishes[uid] = found
        return found

    def asked(self, pod: Obj) -> dict[str, float]:
        """Return what a pod asks of its node."""
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
        if found is not None and found.version == version and not self._hidden:
            return found
        pods = self._present(node)
        used: dict[str, float] = {}
        siblings: Counter[str] = Counter()
        for pod in pods:
            for resource, amount in self.asked(pod).items():
                used[resource] = used.get(resource, 0.0) + amount
            owner = controller_ref(pod)
            if owner is not None:
                siblings[owner["uid"]] += 1
        found = _Load(version, pods, used, siblings)
        if not self._hidden:
            self._loads[node] = found
        return found

    def _present(self, node: str) -> list[Obj]:
        """Return the pods of a node that have not ended and are not looked past."""
        pods = self.control.index.by_node.get(node, {})
        if self._hidden:
            return [p for key, p in pods.items() if key not in self._hidden and not pod_finished(p)]
        return [p for p in pods.values() if not pod_finished(p)]

    def _resources(self, pod: Obj, wish: _Wish, node: Obj, load: _Load) -> list[str]:
        room = self._room(node)
        refused = []
        if len(load.pods) + 1 > room.pods:
            refused.append("Too many pods")
        for resource, amount in wish.requests.items():
            if amount <= 0:
                continue
            used = load.used.get(resource, 0.0)
            if self.nominated:
                used += self._promised(pod, node["metadata"]["name"], resource)
            if used + amount > room.allocatable.get(resource, 0.0) + 1e-9:
                refused.append(f"Insufficient {resource}")
        return refused

    def without(self, hidden: set[Key], pod: Obj, node: Obj, nodes: list[Obj]) -> list[str]:
        """Return why a node would refuse a pod if some other pods were not there."""
        self._hidden = hidden
        try:
            return self.refusals(pod, node, nodes)
        finally:
            self._hidden = set()

    def _promised(self, pod: Obj, node: str, resource: str) -> float:
        """Return how much of a resource is kept on a node for waiting pods that matter at least as much."""
        own, rank = key_of(pod), priority(pod)
        return sum(
            asked.get(resource, 0.0)
            for key, (where, theirs, asked) in self.nominated.items()
            if where == node and key != own and theirs >= rank
        )

    def _zone(self, node: Obj, key: str) -> str | None:
        if key == "kubernetes.io/hostname":
            labels = node["metadata"].get("labels") or {}
            return str(labels.get(key, node["metadata"]["name"]))
        return (node["metadata"].get("labels") or {}).get(key)

    def _in_zone(self, key: str, value: str, nodes: list[Obj]) -> list[Obj]:
        found: list[Obj] = []
        for node in nodes:
            if self._zone(node, key) == value:
                found.extend(self._present(node["metadata"]["name"]))
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
        for key, other in self.control.index.repelling.items():
            if pod_finished(other) or key in self._hidden:
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
                for other in self._present(candidate["metadata"]["name"]):
                    if (
                        other["metadata"]["namespace"] == pod["metadata"]["namespace"]
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

    def claims(self, pod: Obj) -> str | None:
        """Return what is wrong with the pod's claims whatever the node."""
        for name in claim_names(pod):
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
        for name in claim_names(pod):
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
                wanted = claim["spec"].get("storageClassName") or ""
                if best(claim, self.store.list("persistentvolumes"), wanted, node) is None:
                    return VOLUMES
        return None

    # preference

    def cost(self, pod: Obj, node: Obj) -> tuple[float, float, int, str]:
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
