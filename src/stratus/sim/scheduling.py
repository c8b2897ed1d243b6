"""What a pod asks of a node, as pure tests on the two objects: selectors, taints, ports; and the texts of refusals."""

from __future__ import annotations

from stratus.sim.controllers.common import matches
from stratus.sim.store import Obj

UNTOLERATED = "node(s) had untolerated taint(s)"
CORDONED = "node(s) were unschedulable"
SELECTOR = "node(s) didn't match Pod's node affinity/selector"
PORTS = "node(s) didn't have free ports for the requested pod ports"
AFFINITY = "node(s) didn't match pod affinity rules"
ANTI = "node(s) didn't match pod anti-affinity rules"
EXISTING_ANTI = "node(s) didn't satisfy existing pods anti-affinity rules"
SPREAD = "node(s) didn't match pod topology spread constraints"
SPREAD_LABEL = "node(s) didn't match pod topology spread constraints (missing required label)"
VOLUMES = "node(s) didn't find available persistent volumes to bind"
VOLUME_NODE = "node(s) didn't match PersistentVolume's node affinity"
#: Refusals that removing other pods could cure; everything else is not helped by preemption.
CURABLE = (PORTS, ANTI, EXISTING_ANTI, SPREAD)
UNSCHEDULABLE_TAINT = "node.kubernetes.io/unschedulable"


def tolerates(tolerations: list[Obj], taint: Obj) -> bool:
    """Tell whether one of the tolerations covers a taint."""
    for toleration in tolerations:
        if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
            continue
        if toleration.get("key") and toleration["key"] != taint.get("key"):
            continue
        if toleration.get("operator") == "Exists":
            return True
        if toleration.get("key") and (toleration.get("value") or "") == (taint.get("value") or ""):
            return True
    return False


def node_matches(spec: Obj, node: Obj) -> bool:
    """Tell whether a node has what nodeSelector and required node affinity ask for."""
    labels = node["metadata"].get("labels") or {}
    for name, value in (spec.get("nodeSelector") or {}).items():
        if labels.get(name) != value:
            return False
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if required is None:
        return True
    return any(node_term(term, node) for term in required.get("nodeSelectorTerms") or ())


def node_term(term: Obj, node: Obj) -> bool:
    """Tell whether a node meets one nodeSelectorTerm; an empty term matches nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    labels = node["metadata"].get("labels") or {}
    named = {"metadata.name": node["metadata"]["name"]}
    return all(_node_expression(e, labels) for e in expressions) and all(_node_expression(e, named) for e in fields)


def _node_expression(expr: Obj, labels: dict[str, str]) -> bool:
    operator = expr.get("operator")
    if operator in ("Gt", "Lt"):
        try:
            have, limit = int(labels[expr["key"]]), int(expr["values"][0])
        except (KeyError, ValueError, IndexError):
            return False
        return have > limit if operator == "Gt" else have < limit
    return matches({"matchExpressions": [expr]}, labels)


def host_ports(spec: Obj) -> set[tuple[str, int]]:
    """Return the (protocol, port) pairs a pod takes on its node."""
    return {
        (p.get("protocol", "TCP"), p.get("hostPort") or p["containerPort"])
        for c in [*spec.get("containers", ()), *(spec.get("initContainers") or ())]
        for p in c.get("ports") or ()
        if p.get("hostPort") or spec.get("hostNetwork")
    }
