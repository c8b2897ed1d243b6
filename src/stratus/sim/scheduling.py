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
OTHER_NODE = "node(s) didn't satisfy plugin(s) [NodeAffinity]"
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


def pinned(spec: Obj) -> frozenset[str] | None:
    """Return the names of the only nodes a pod's affinity allows, as for pods of a DaemonSet; None for any."""
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if required is None:
        return None
    names: set[str] = set()
    for term in required.get("nodeSelectorTerms") or ():
        held = [set(f["values"]) for f in term.get("matchFields") or () if _names(f)]
        if not held:
            return None
        names |= set.intersection(*held)
    return frozenset(names)


def _names(field: Obj) -> bool:
    return field.get("key") == "metadata.name" and field.get("operator") == "In" and bool(field.get("values"))


#: Which kind of help each refusal waits for.
_KINDS = {
    UNTOLERATED: "taints", CORDONED: "cordon", SELECTOR: "labels", OTHER_NODE: "nodes", PORTS: "ports",
    AFFINITY: "pods", ANTI: "pods", EXISTING_ANTI: "pods", SPREAD: "spread", SPREAD_LABEL: "spread",
    VOLUMES: "volumes", VOLUME_NODE: "volumes",
}  # fmt: skip


def kind_of(reason: str) -> str:
    """Return what kind of change may cure a refusal: fit, taints, cordon, labels, ports, pods, spread, volumes."""
    return _KINDS.get(reason, "fit")


def node_helps(pod: Obj, kinds: frozenset[str], before: Obj | None, node: Obj, change: str) -> bool:
    """Tell whether a change of a node may let a waiting pod be placed, given the kinds of refusal it has met."""
    if change == "DELETED":
        return "spread" in kinds
    if before is None or change == "ADDED":
        return True
    old, new = before.get("spec") or {}, node.get("spec") or {}
    if "cordon" in kinds and old.get("unschedulable") and not new.get("unschedulable"):
        return True
    if "taints" in kinds and old.get("taints") != new.get("taints"):
        tolerations = pod["spec"].get("tolerations") or []
        hard = [t for t in new.get("taints") or () if t.get("effect") in ("NoSchedule", "NoExecute")]
        if all(tolerates(tolerations, t) for t in hard):
            return True
    if kinds & {"labels", "spread", "pods", "volumes"} and before["metadata"].get("labels") != node["metadata"].get(
        "labels"
    ):
        return True
    room = (before.get("status") or {}).get("allocatable") != (node.get("status") or {}).get("allocatable")
    return "fit" in kinds and room
