"""Objects that follow from others and are worked out on request: states of the control plane, addresses of Services."""

from __future__ import annotations

import hashlib
from typing import Any

from stratus.sim.store import Store

Obj = dict[str, Any]
ADDRESSES = "ipaddresses.networking.k8s.io"
_LABEL = "ipaddress.kubernetes.io/"
_PARTS = ("etcd-0", "scheduler", "controller-manager")


def components() -> list[Obj]:
    """Return the state of each part of the control plane: in one process they are well, or nobody answers."""
    well = {"type": "Healthy", "status": "True", "message": "ok"}
    return [{"metadata": {"name": name}, "conditions": [dict(well)]} for name in _PARTS]


def addresses(store: Store) -> list[Obj]:
    """Return the IPAddress of every address that a Service has, and those that somebody has created, by name."""
    found = {}
    for service in store.list("services"):
        meta = service["metadata"]
        for ip in service["spec"].get("clusterIPs") or ():
            if ip != "None":
                found[ip] = _address(ip, meta)
    found |= {o["metadata"]["name"]: o for o in store.list(ADDRESSES)}
    return [found[name] for name in sorted(found)]


def _address(ip: str, service: Obj) -> Obj:
    digest = hashlib.sha256(f"{ip}/{service['uid']}".encode()).hexdigest()
    labels = {f"{_LABEL}ip-family": "IPv6" if ":" in ip else "IPv4", f"{_LABEL}managed-by": "ipallocator.k8s.io"}
    meta = {
        "name": ip,
        "uid": f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}",
        "resourceVersion": service["resourceVersion"],
        "creationTimestamp": service["creationTimestamp"],
        "labels": labels,
    }
    parent = {"resource": "services", "namespace": service["namespace"], "name": service["name"]}
    return {"metadata": meta, "spec": {"parentRef": parent}}
