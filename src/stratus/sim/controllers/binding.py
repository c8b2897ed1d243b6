"""Which volume fits a claim, and why one that was asked for by name does not; pure tests on the objects."""

from __future__ import annotations

from stratus.sim.controllers.common import key_of, matches
from stratus.sim.quantity import parse_quantity
from stratus.sim.scheduling import node_term
from stratus.sim.store import Obj


def wanted_size(claim: Obj) -> float:
    """Return the bytes a claim asks for."""
    return parse_quantity(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage"))


def size_of(volume: Obj) -> float:
    """Return the bytes of a volume."""
    return parse_quantity((volume["spec"].get("capacity") or {}).get("storage"))


def mismatch(claim: Obj, volume: Obj) -> str:
    """Return why a volume asked for by name cannot be bound, empty when it can."""
    spec, want = volume["spec"], claim["spec"]
    if size_of(volume) < wanted_size(claim):
        return "requested PV is too small"
    if (spec.get("storageClassName") or "") != (want.get("storageClassName") or ""):
        return "storageClassName does not match"
    if spec.get("volumeMode", "Filesystem") != want.get("volumeMode", "Filesystem"):
        return "incompatible volumeMode"
    if not set(want.get("accessModes") or ()) <= set(spec.get("accessModes") or ()):
        return "incompatible accessMode"
    return ""


def is_for(volume: Obj, claim: Obj) -> bool:
    """Tell whether a volume is reserved for a claim or held by it."""
    ref = volume["spec"].get("claimRef")
    if not ref or (ref.get("namespace"), ref.get("name")) != key_of(claim):
        return False
    return not ref.get("uid") or ref["uid"] == claim["metadata"]["uid"]


def best(claim: Obj, volumes: list[Obj], kind: str, node: Obj | None) -> Obj | None:
    """Return the volume to bind: the one reserved for the claim, else the smallest that fits.

    Args:
        claim: an unbound claim.
        volumes: all volumes.
        kind: the claim's storage class, empty for none.
        node: where its pod is to run, when that is known.
    """
    fitting = []
    for volume in volumes:
        spec = volume["spec"]
        reserved = bool(spec.get("claimRef"))
        if reserved and not is_for(volume, claim):
            continue
        if "deletionTimestamp" in volume["metadata"] or (volume.get("status") or {}).get("phase") in (
            "Failed",
            "Released",
        ):
            continue
        if spec.get("volumeMode", "Filesystem") != claim["spec"].get("volumeMode", "Filesystem"):
            continue
        if size_of(volume) < wanted_size(claim):
            continue
        if not reserved:
            if (spec.get("storageClassName") or "") != kind:
                continue
            if not set(claim["spec"].get("accessModes") or ()) <= set(spec.get("accessModes") or ()):
                continue
            selector = claim["spec"].get("selector")
            if selector is not None and not matches(selector, volume["metadata"].get("labels")):
                continue
        if node is not None and not on_node(volume, node):
            continue
        fitting.append((not reserved, size_of(volume), volume["metadata"]["name"], volume))
    return min(fitting, key=lambda f: f[:3])[3] if fitting else None


def on_node(volume: Obj, node: Obj) -> bool:
    """Tell whether a volume can be used on a node."""
    required = (volume["spec"].get("nodeAffinity") or {}).get("required")
    return not required or any(node_term(t, node) for t in required.get("nodeSelectorTerms") or ())


def claim_names(pod: Obj) -> list[str]:
    """Return the names of the claims a pod mounts, ephemeral ones too."""
    found = []
    for volume in pod["spec"].get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            found.append(volume["persistentVolumeClaim"].get("claimName", ""))
        elif volume.get("ephemeral"):
            found.append(f"{pod['metadata']['name']}-{volume['name']}")
    return found
