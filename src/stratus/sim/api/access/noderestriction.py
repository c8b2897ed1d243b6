"""What a kubelet may write: its own node, the pods bound to it, its lease, and nothing of others."""

from __future__ import annotations

from typing import Any

from stratus.sim.api.messages import User
from stratus.sim.api.resources import Resource
from stratus.sim.api.status import ApiError, forbidden
from stratus.sim.store import Store

Obj = dict[str, Any]
NODE = "system:node:"
_GROUP = "system:nodes"
_MIRROR = "kubernetes.io/config.mirror"
_LEASES = "kube-node-lease"
#: Labels of Kubernetes' own that a kubelet may set on its node.
_OWN_LABELS = frozenset(
    {
        "kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os", "beta.kubernetes.io/arch",
        "beta.kubernetes.io/os", "beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type",
        "topology.kubernetes.io/zone", "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
    }
)  # fmt: skip
_OWN_PREFIXES = ("kubelet.kubernetes.io/", "node.kubernetes.io/")


def _node(user: User) -> str:
    return user.name.removeprefix(NODE) if user.name.startswith(NODE) and _GROUP in user.groups else ""


def _refused(resource: Resource, name: str, why: str) -> ApiError:
    return forbidden(resource.name, resource.group, name, why)


def check(store: Store, user: User, resource: Resource, obj: Obj | None, old: Obj | None, sub: str) -> None:
    """Judge a write of a kubelet; no object means that the old one goes.

    Raises:
        ApiError: 403 for what is not its own.
    """
    node = _node(user)
    if not node:
        return
    meta = (obj or old or {})["metadata"]
    name = meta.get("name", "")
    if resource.stored == "nodes":
        _check_node(resource, node, name, obj, old)
    elif resource.stored == "pods":
        _check_pod(resource, node, name, obj, old, sub)
    elif resource.stored == "leases.coordination.k8s.io":
        if meta.get("namespace") != _LEASES:
            raise _refused(resource, name, f'can only access leases in the "{_LEASES}" system namespace')
        if name != node:
            raise _refused(resource, name, "can only access node lease with the same name as the requesting node")
    elif resource.stored == "csinodes.storage.k8s.io" and name != node:
        raise _refused(resource, name, "can only access CSINode with the same name as the requesting node")


def _check_node(resource: Resource, node: str, name: str, obj: Obj | None, old: Obj | None) -> None:
    if name != node:
        raise _refused(resource, name, f'node "{node}" is not allowed to modify node "{name}"')
    if obj is None:
        raise _refused(resource, name, f'node "{node}" is not allowed to delete node "{name}"')
    before = old or {"metadata": {}, "spec": {}}
    had, has = before["metadata"].get("labels") or {}, obj["metadata"].get("labels") or {}
    changed = sorted(k for k in {*had, *has} if had.get(k) != has.get(k) and not _may_label(k))
    if changed:
        raise _refused(resource, name, f'node "{node}" is not allowed to modify labels: {", ".join(changed)}')
    if old is not None and (before.get("spec") or {}).get("taints") != (obj.get("spec") or {}).get("taints"):
        raise _refused(resource, name, f'node "{node}" is not allowed to modify taints')


def _may_label(key: str) -> bool:
    domain = key.rpartition("/")[0]
    if key in _OWN_LABELS or key.startswith(_OWN_PREFIXES):
        return True
    return not any(domain == d or domain.endswith("." + d) for d in ("kubernetes.io", "k8s.io"))


def _check_pod(resource: Resource, node: str, name: str, obj: Obj | None, old: Obj | None, sub: str) -> None:
    bound = ((old or obj or {}).get("spec") or {}).get("nodeName", "")
    if obj is None:
        if bound != node:
            raise _refused(resource, name, f'node "{node}" can only delete pods with spec.nodeName set to itself')
    elif sub == "status":
        if bound != node:
            only = "can only update pod status for pods with spec.nodeName set to itself"
            raise _refused(resource, name, f'node "{node}" {only}')
    elif old is None:
        if _MIRROR not in (obj["metadata"].get("annotations") or {}):
            why = f'pod does not have "{_MIRROR}" annotation, node "{node}" can only create mirror pods'
            raise _refused(resource, name, why)
        if bound != node:
            raise _refused(resource, name, f'node "{node}" can only create pods with spec.nodeName set to itself')
    elif sub in ("", "ephemeralcontainers", "resize"):
        why = f'node "{node}" cannot update pods, only their status'
        raise _refused(resource, name, why)


def check_below(store: Store, user: User, resource: Resource, namespace: str, name: str, sub: str, obj: Obj) -> None:
    """Judge what a kubelet writes under a pod or an account.

    Raises:
        ApiError: 403 for what is not its own.
    """
    node = _node(user)
    if not node:
        return
    if resource.stored == "pods" and sub == "eviction":
        pod = store.get("pods", namespace, name)
        if pod is None or pod["spec"].get("nodeName") != node:
            raise _refused(resource, name, f"node {node} can only evict pods with spec.nodeName set to itself")
    elif resource.stored == "serviceaccounts" and sub == "token":
        ref = (obj.get("spec") or {}).get("boundObjectRef") or {}
        if ref.get("kind") != "Pod" or not ref.get("name") or not ref.get("uid"):
            raise _refused(resource, name, "node requested token not bound to a pod")
        pod = store.get("pods", namespace, ref["name"])
        if pod is None or pod["metadata"]["uid"] != ref["uid"]:
            raise _refused(resource, name, "node requested token bound to a pod that is not there")
        if pod["spec"].get("nodeName") != node:
            raise _refused(resource, name, "node requested token bound to a pod scheduled on a different node")
        if pod["spec"].get("serviceAccountName") != name:
            why = f'node requested token with a pod bound to another service account: "{name}"'
            raise _refused(resource, name, why)
