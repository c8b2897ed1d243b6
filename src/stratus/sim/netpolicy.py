"""NetworkPolicies: whether a connection between two ends may be made, as the objects say."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from stratus.sim.controllers.common import matches
from stratus.sim.store import Obj, Store

RESOURCE = "networkpolicies.networking.k8s.io"


@dataclass(frozen=True, slots=True)
class End:
    """One end of a connection: a pod with its address, or just an address."""

    address: str
    pod: Obj | None = None


def policies(store: Store, pod: Obj, direction: str) -> list[Obj]:
    """Return the policies that isolate a pod in a direction (`Ingress`, `Egress`); none for pods on the host's net."""
    if pod["spec"].get("hostNetwork"):
        return []
    found = []
    for policy in store.list(RESOURCE, pod["metadata"]["namespace"]):
        spec = policy["spec"]
        types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
        if direction in types and matches(spec.get("podSelector") or {}, pod["metadata"].get("labels")):
            found.append(policy)
    return found


def denied_by(store: Store, source: End, target: End, port: int, protocol: str) -> str:
    """Return why a connection is dropped, empty when it may be made.

    Either end without a pod lies outside the cluster (or is a node): only `ipBlock` and rules without peers speak of
    it. A pod may always talk to itself.
    """
    if source.pod is not None and target.pod is not None and _uid(source) == _uid(target):
        return ""
    if source.pod is not None:
        found = policies(store, source.pod, "Egress")
        if found and not any(_allows(store, p, "egress", "to", target, target, port, protocol) for p in found):
            return f"egress of the source is not allowed by NetworkPolicy {_names(found)}"
    if target.pod is not None:
        found = policies(store, target.pod, "Ingress")
        if found and not any(_allows(store, p, "ingress", "from", source, target, port, protocol) for p in found):
            return f"ingress of the target is not allowed by NetworkPolicy {_names(found)}"
    return ""


def _uid(end: End) -> str:
    return str(end.pod["metadata"]["uid"]) if end.pod is not None else ""


def _names(found: list[Obj]) -> str:
    return ", ".join(p["metadata"]["name"] for p in found)


def _allows(
    store: Store, policy: Obj, direction: str, side: str, other: End, target: End, port: int, protocol: str
) -> bool:
    for rule in policy["spec"].get(direction) or ():
        ports = rule.get("ports")
        if ports and not any(_port(entry, target.pod, port, protocol) for entry in ports):
            continue
        peers = rule.get(side)
        if not peers or any(_peer(store, peer, policy, other) for peer in peers):
            return True
    return False


def _port(entry: Obj, target: Obj | None, port: int, protocol: str) -> bool:
    if entry.get("protocol", "TCP") != protocol:
        return False
    wanted = entry.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, int):
        return wanted <= port <= int(entry.get("endPort") or wanted)
    if target is None:
        return False
    sidecars = [c for c in target["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"]
    return any(
        declared.get("name") == wanted
        and declared["containerPort"] == port
        and declared.get("protocol", "TCP") == protocol
        for container in [*target["spec"].get("containers", ()), *sidecars]
        for declared in container.get("ports") or ()
    )


def _peer(store: Store, peer: Obj, policy: Obj, other: End) -> bool:
    block = peer.get("ipBlock")
    if block:
        return bool(other.address) and in_block(block["cidr"], tuple(block.get("except") or ()), other.address)
    if other.pod is None or other.pod["spec"].get("hostNetwork"):
        return False
    space = other.pod["metadata"]["namespace"]
    if peer.get("namespaceSelector") is not None:
        namespace = store.get("namespaces", "", space)
        labels: dict[str, Any] = dict((namespace or {}).get("metadata", {}).get("labels") or {})
        labels.setdefault("kubernetes.io/metadata.name", space)
        if not matches(peer["namespaceSelector"], labels):
            return False
    elif space != policy["metadata"]["namespace"]:
        return False
    selector = peer.get("podSelector")
    return selector is None or matches(selector, other.pod["metadata"].get("labels"))


@lru_cache(maxsize=4096)
def in_block(cidr: str, holes: tuple[str, ...], address: str) -> bool:
    """Tell whether an address lies in a block and in none of its exceptions."""
    try:
        ip = ipaddress.ip_address(address)
        if ip not in ipaddress.ip_network(cidr, strict=False):
            return False
        return not any(ip in ipaddress.ip_network(hole, strict=False) for hole in holes)
    except (ValueError, TypeError):
        return False
