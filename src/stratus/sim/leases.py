"""Signs of life of kubelets, worked out when somebody looks: renewed leases, and statuses told now and then."""

from __future__ import annotations

import hashlib

from stratus.kit.clock import iso, parse_iso
from stratus.sim.store import Obj, Store

LEASES, CSI_NODES = "leases.coordination.k8s.io", "csinodes.storage.k8s.io"
NAMESPACE = "kube-node-lease"
#: Seconds between two renewals, and for which one holds.
RENEWED, HELD = 10, 40
#: Seconds between two reports of a node's status of which nothing has changed.
REPORTED = 300


def furnish_node(store: Store, node: Obj) -> None:
    """Create what a kubelet makes of its own besides its node: the lease, and the list of storage drivers."""
    name = node["metadata"]["name"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node["metadata"]["uid"]}
    if store.get(LEASES, NAMESPACE, name) is None:
        meta = {"name": name, "namespace": NAMESPACE, "uid": _uid("lease", name), "ownerReferences": [owner]}
        spec = {"holderIdentity": name, "leaseDurationSeconds": HELD}
        lease = {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": meta, "spec": spec}
        store.create(LEASES, lease)
    if store.get(CSI_NODES, "", name) is None:
        meta = {"name": name, "uid": _uid("csinode", name), "ownerReferences": [owner]}
        kind = {"kind": "CSINode", "apiVersion": "storage.k8s.io/v1"}
        store.create(CSI_NODES, {**kind, "metadata": meta, "spec": {"drivers": None}})


def stop(store: Store, node: str, now: float) -> None:
    """The kubelet of a node renews its lease for the last time."""
    lease = store.get(LEASES, NAMESPACE, node)
    if lease is not None:
        store.update(LEASES, renewed(lease, now))


def go_on(store: Store, node: str) -> None:
    """The kubelet of a node renews its lease again."""
    lease = store.get(LEASES, NAMESPACE, node)
    if lease is not None:
        spec = {k: v for k, v in lease["spec"].items() if k != "renewTime"}
        store.update(LEASES, {**lease, "spec": spec})


def renewed(lease: Obj, now: float) -> Obj:
    """Return a lease as it is at a moment: a node's that says nothing of its renewal is renewed all the time."""
    meta, spec = lease["metadata"], lease.get("spec") or {}
    if meta.get("namespace") != NAMESPACE or spec.get("renewTime") or spec.get("holderIdentity") != meta["name"]:
        return lease
    last = _latest(meta["name"], now, RENEWED)
    return {**lease, "spec": {**spec, "renewTime": f"{iso(last)[:-1]}.000000Z"}}


def reported(store: Store, node: Obj, now: float) -> Obj:
    """Return a node with the moment at which its kubelet has last told its conditions; one without a lease has none."""
    name = node["metadata"]["name"]
    lease = store.get(LEASES, NAMESPACE, name)
    status = node.get("status") or {}
    if lease is None or not status.get("conditions"):
        return node
    stopped = lease["spec"].get("renewTime")
    heard = iso(_latest(name, parse_iso(stopped) if stopped else now, REPORTED))
    conditions = [
        {**c, "lastHeartbeatTime": heard} if (c.get("lastHeartbeatTime") or heard) < heard else c
        for c in status["conditions"]
    ]
    return {**node, "status": {**status, "conditions": conditions}}


def _latest(name: str, now: float, period: int) -> float:
    """Return the last beat of a node before a moment; nodes do not all beat at once."""
    beat = int(hashlib.sha256(name.encode()).hexdigest()[:4], 16) % period
    return now - (now - beat) % period


def _uid(kind: str, name: str) -> str:
    # Derived from the name: the cluster's generator is for what happens in the cluster.
    digest = hashlib.sha256(f"{kind}/{name}".encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"
