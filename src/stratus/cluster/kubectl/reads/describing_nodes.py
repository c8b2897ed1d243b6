"""Description of a node: its state, and what its pods ask of it."""

from __future__ import annotations

from collections.abc import Callable

from stratus.cluster.kubectl.reads.base import Look
from stratus.cluster.kubectl.reads.podtext import Lines, notes, several
from stratus.cluster.kubectl.reads.spans import age, written
from stratus.errors import ClusterError
from stratus.kit.kube import dig, pod_finished, quantity
from stratus.model.base import Json
from stratus.model.refs import ObjectRef

_ROLE = "node-role.kubernetes.io/"
_INFO = (
    ("Machine ID", "machineID"),
    ("System UUID", "systemUUID"),
    ("Boot ID", "bootID"),
    ("Kernel Version", "kernelVersion"),
    ("OS Image", "osImage"),
    ("Operating System", "operatingSystem"),
    ("Architecture", "architecture"),
    ("Container Runtime Version", "containerRuntimeVersion"),
    ("Kubelet Version", "kubeletVersion"),
)
_UNITS = (("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10))


def node(look: Look, obj: Json) -> Lines:
    """Describe a Node."""
    meta, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    labels = meta.get("labels") or {}
    roles = sorted(key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE))
    lines = [f"Name:\t{meta['name']}", f"Roles:\t{','.join(roles) or '<none>'}", *several("Labels", labels)]
    lines += [*notes(meta.get("annotations")), f"CreationTimestamp:\t{written(meta.get('creationTimestamp'))}"]
    taints = [f"{t['key']}{'=' + t['value'] if t.get('value') else ''}:{t['effect']}" for t in spec.get("taints") or ()]
    lines += [f"Taints:\t{t}" if not at else f"\t{t}" for at, t in enumerate(taints)] or ["Taints:\t<none>"]
    lines += [f"Unschedulable:\t{str(spec.get('unschedulable', False)).lower()}", *_lease(look, meta["name"])]
    lines += ["Conditions:", "  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage"]
    lines.append("  ----\t------\t-----------------\t------------------\t------\t-------")
    for c in status.get("conditions") or ():
        times = f"{written(c.get('lastHeartbeatTime'))}\t{written(c.get('lastTransitionTime'))}"
        lines.append(f"  {c['type']}\t{c['status']}\t{times}\t{c.get('reason', '')}\t{c.get('message', '')}")
    lines += ["Addresses:", *(f"  {a['type']}:\t{a['address']}" for a in status.get("addresses") or ())]
    for title in ("Capacity", "Allocatable"):
        held = status.get(title.lower())
        if held:
            lines += [f"{title}:", *(f"  {key}:\t{value}" for key, value in sorted(held.items()))]
    info = status.get("nodeInfo") or {}
    lines += ["System Info:", *(f"  {title}:\t{info.get(key, '')}" for title, key in _INFO)]
    for title, key in (("PodCIDR", "podCIDR"), ("ProviderID", "providerID")):
        if spec.get(key):
            lines.append(f"{title}:\t{spec[key]}")
    if spec.get("podCIDRs"):
        lines.append(f"PodCIDRs:\t{','.join(spec['podCIDRs'])}")
    return [*lines, *_pods(look, obj)]


def _lease(look: Look, name: str) -> Lines:
    ref = ObjectRef(api_version="coordination.k8s.io/v1", kind="Lease", name=name, namespace="kube-node-lease")
    try:
        lease = look.reader.get(ref)
    except ClusterError:
        lease = None
    if lease is None:
        return ["Lease:\t<none>"]
    spec = lease.get("spec") or {}
    return [
        "Lease:",
        f"  HolderIdentity:\t{spec.get('holderIdentity', '<unset>')}",
        f"  AcquireTime:\t{written(spec.get('acquireTime'))}",
        f"  RenewTime:\t{written(spec.get('renewTime'))}",
    ]


def _pods(look: Look, obj: Json) -> Lines:
    """Return the node's pods with what they ask for, and the sums."""
    name, allowed = obj["metadata"]["name"], dig(obj, "status", "allocatable", default={})
    try:
        pods = look.reader.list("v1/Pod", None, field_selector=f"spec.nodeName={name}")
    except ClusterError as error:
        return [f"Non-terminated Pods:\t<unknown: {error}>"]
    alive = sorted(
        (p for p in pods if not pod_finished(p)), key=lambda p: (p["metadata"]["namespace"], p["metadata"]["name"])
    )
    titles = ("CPU Requests", "CPU Limits", "Memory Requests", "Memory Limits")
    lines = [f"Non-terminated Pods:\t({len(alive)} in total)", "  Namespace\tName\t" + "\t".join((*titles, "Age"))]
    lines.append("  ---------\t----\t------------\t----------\t---------------\t-------------\t---")
    now = look.clock.now()
    sums = dict.fromkeys(((r, b) for r in ("cpu", "memory") for b in ("requests", "limits")), 0.0)
    for pod in alive:
        cells = []
        for resource in ("cpu", "memory"):
            for bound in ("requests", "limits"):
                amount = asked(pod, resource, bound)
                sums[resource, bound] += amount
                cells.append(_shared(amount, resource, allowed))
        meta = pod["metadata"]
        lines.append(
            "\t".join((f"  {meta['namespace']}", meta["name"], *cells, age(meta.get("creationTimestamp"), now)))
        )
    lines += ["Allocated resources:", "  (Total limits may be over 100 percent, i.e., overcommitted.)"]
    lines += ["  Resource\tRequests\tLimits", "  --------\t--------\t------"]
    for resource in ("cpu", "memory"):
        both = (_shared(sums[resource, bound], resource, allowed) for bound in ("requests", "limits"))
        lines.append("\t".join((f"  {resource}", *both)))
    return lines


def asked(pod: Json, resource: str, bound: str) -> float:
    """Return what a pod's containers ask for: the sum, or what one init container needs if that is more."""

    def of(container: Json) -> float:
        return quantity(dig(container, "resources", bound, resource)) or 0.0

    spec = pod["spec"]
    lasting = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    running = sum(map(of, [*(spec.get("containers") or ()), *lasting]))
    return max([running, *(of(c) for c in spec.get("initContainers") or () if c not in lasting)])


def _shared(amount: float, resource: str, allowed: Json) -> str:
    whole = quantity(allowed.get(resource)) or 0.0
    return f"{amount_text(amount, resource)} ({int(amount * 100 / whole) if whole else 0}%)"


def amount_text(amount: float, resource: str) -> str:
    """Return an amount as Kubernetes writes it: cores in thousandths, bytes in the largest unit that fits."""
    if not amount:
        return "0"
    if resource == "cpu":
        milli = round(amount * 1000)
        return str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"
    for unit, factor in _UNITS:
        if amount % factor == 0:
            return f"{int(amount // factor)}{unit}"
    return str(int(amount))


DESCRIBERS: dict[tuple[str, str], Callable[[Look, Json], Lines]] = {("", "Node"): node}
