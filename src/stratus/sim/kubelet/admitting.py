"""What a kubelet checks itself before it takes a pod that the scheduler has not placed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stratus.sim.podresources import pod_requests
from stratus.sim.quantity import parse_quantity
from stratus.sim.scheduling import PORTS, SELECTOR, host_ports, node_matches, tolerates
from stratus.sim.store import Obj

if TYPE_CHECKING:
    from stratus.sim.controlplane import ControlPlane


def _units(resource: str, amount: float) -> int:
    return round(amount * 1000) if resource == "cpu" else round(amount)


def refusal(control: ControlPlane, pod: Obj) -> tuple[str, str] | None:
    """Return (reason, message) when the node a pod names cannot have it."""
    name = pod["spec"]["nodeName"]
    node = control.store.get("nodes", "", name)
    if node is None:
        return None
    others = [
        p
        for p in control.index.by_node.get(name, {}).values()
        if p["metadata"]["uid"] != pod["metadata"]["uid"]
        and p.get("status", {}).get("phase") not in ("Succeeded", "Failed")
    ]
    room = (node.get("status") or {}).get("allocatable") or {}
    most = parse_quantity(room.get("pods", "110"))
    if len(others) + 1 > most:
        text = f"Node didn't have enough resource: pods, requested: 1, used: {len(others)}, capacity: {int(most)}"
        return "OutOfpods", text
    used: dict[str, float] = {}
    for other in others:
        for resource, amount in pod_requests(other["spec"]).items():
            used[resource] = used.get(resource, 0.0) + amount
    for resource, amount in pod_requests(pod["spec"]).items():
        if amount > 0 and used.get(resource, 0.0) + amount > parse_quantity(room.get(resource)) + 1e-9:
            have, total = (
                _units(resource, used.get(resource, 0.0)),
                _units(resource, parse_quantity(room.get(resource))),
            )
            return f"OutOf{resource}", (
                f"Node didn't have enough resource: {resource}, requested: {_units(resource, amount)}, "
                f"used: {have}, capacity: {total}"
            )
    if not node_matches(pod["spec"], node):
        return "NodeAffinity", f"Predicate NodeAffinity failed: {SELECTOR}"
    wanted = host_ports(pod["spec"])
    if wanted and any(wanted & host_ports(p["spec"]) for p in others):
        return "NodePorts", f"Predicate NodePorts failed: {PORTS}"
    tolerations = pod["spec"].get("tolerations") or []
    for taint in (node.get("spec") or {}).get("taints") or ():
        if taint.get("effect") == "NoExecute" and not tolerates(tolerations, taint):
            text = f"{{{taint['key']}: {taint.get('value') or ''}}}"
            return "TaintToleration", f"Predicate TaintToleration failed: node(s) had untolerated taint {text}"
    return None
