"""What a fresh cluster contains before anybody uses it: namespaces, nodes, a storage class, the API's own Service."""

from __future__ import annotations

from collections.abc import Mapping

from stratus.kit.clock import iso
from stratus.sim.api.access.builtin import furnish_roles
from stratus.sim.api.standing import furnish_standing
from stratus.sim.leases import furnish_node
from stratus.sim.store import Obj, Store

VERSION = "v1.36.2"
NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
DEFAULT_CLASS = "standard"


def node_object(
    name: str,
    number: int,
    now: float,
    *,
    cpu: str = "4",
    memory: str = "16Gi",
    pods: int = 110,
    labels: Mapping[str, str] | None = None,
    taints: list[Obj] | None = None,
) -> Obj:
    """Return a ready node; `number` (from 1) gives its address and its pods' subnet."""
    moment = iso(now)
    healthy = (
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    )
    room = {"cpu": cpu, "ephemeral-storage": "100Gi", "memory": memory, "pods": str(pods)}
    cidr = f"10.244.{number}.0/24"
    spec: Obj = {"podCIDR": cidr, "podCIDRs": [cidr]}
    if taints:
        spec["taints"] = taints
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "labels": {
                "beta.kubernetes.io/arch": "amd64",
                "beta.kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                **(labels or {}),
            },
            "annotations": {"node.alpha.kubernetes.io/ttl": "0"},
        },
        "spec": spec,
        "status": {
            "capacity": dict(room),
            "allocatable": dict(room),
            "conditions": [
                {
                    "type": type_,
                    "status": status,
                    "lastHeartbeatTime": moment,
                    "lastTransitionTime": moment,
                    "reason": reason,
                    "message": message,
                }
                for type_, status, reason, message in healthy
            ],
            "addresses": [
                {"type": "InternalIP", "address": f"10.199.0.{10 + number}"},
                {"type": "Hostname", "address": name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "machineID": f"{number:032x}",
                "systemUUID": f"{number:032x}",
                "bootID": "00000000-0000-0000-0000-000000000000",
                "kernelVersion": "6.1.0-emulated",
                "osImage": "Emulated Linux",
                "containerRuntimeVersion": "containerd://2.1.4",
                "kubeletVersion": VERSION,
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": "amd64",
            },
        },
    }


def furnish(store: Store, now: float, *, nodes: int = 3, cpu: str = "4", memory: str = "16Gi") -> None:
    """Create the standard objects of a fresh cluster that are not there yet, and nodes named node1, node2 ..."""
    furnish_roles(store)
    furnish_standing(store, now)
    for name in NAMESPACES:
        _create(
            store,
            "namespaces",
            {
                "kind": "Namespace",
                "apiVersion": "v1",
                "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
                "spec": {"finalizers": ["kubernetes"]},
                "status": {"phase": "Active"},
            },
        )
    for number in range(1, nodes + 1):
        _create(store, "nodes", node_object(f"node{number}", number, now, cpu=cpu, memory=memory))
    for node in store.list("nodes"):
        furnish_node(store, node)
    _create(
        store,
        "storageclasses.storage.k8s.io",
        {
            "kind": "StorageClass",
            "apiVersion": "storage.k8s.io/v1",
            "metadata": {
                "name": DEFAULT_CLASS,
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": "emulated.stratus.dev/local",
            "reclaimPolicy": "Delete",
            "allowVolumeExpansion": True,
            "volumeBindingMode": "WaitForFirstConsumer",
        },
    )
    for name, value in (("system-cluster-critical", 2000000000), ("system-node-critical", 2000001000)):
        _create(
            store,
            "priorityclasses.scheduling.k8s.io",
            {
                "kind": "PriorityClass",
                "apiVersion": "scheduling.k8s.io/v1",
                "metadata": {"name": name},
                "value": value,
                "preemptionPolicy": "PreemptLowerPriority",
            },
        )
    _create(
        store,
        "services",
        {
            "kind": "Service",
            "apiVersion": "v1",
            "metadata": {
                "name": "kubernetes",
                "namespace": "default",
                "labels": {"component": "apiserver", "provider": "kubernetes"},
            },
            "spec": {
                "type": "ClusterIP",
                "clusterIP": "10.96.0.1",
                "clusterIPs": ["10.96.0.1"],
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
                "sessionAffinity": "None",
                "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack",
                "internalTrafficPolicy": "Cluster",
            },
            "status": {"loadBalancer": {}},
        },
    )


def _create(store: Store, resource: str, obj: Obj) -> None:
    meta = obj["metadata"]
    if store.get(resource, meta.get("namespace", ""), meta["name"]) is None:
        store.create(resource, obj)
