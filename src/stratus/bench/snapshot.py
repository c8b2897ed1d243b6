"""What an outsider sees of a cluster at a moment: what people decided, pods, workloads, traffic and alerts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic import Field

from stratus.bench.suites.checks import LIVE, Check, Exec, Reaches, key_of
from stratus.kit.clock import parse_iso
from stratus.model.base import Json, Noun

if TYPE_CHECKING:
    from stratus.sim.cluster import EmbeddedCluster

WINDOW = 120.0
"""Seconds before the moment over which traffic and alerts are looked at."""
STEP = 15.0
#: Kinds that follow from others, or come and go by themselves.
DERIVED = frozenset(
    ("events", "events.events.k8s.io", "endpoints", "endpointslices.discovery.k8s.io", "leases.coordination.k8s.io",
     "replicasets.apps", "controllerrevisions.apps", "csinodes.storage.k8s.io", "componentstatuses")
)  # fmt: skip
#: Annotations under these domains are made by machines.
MACHINE = ("kubernetes.io", "k8s.io")
RESTARTED = "kubectl.kubernetes.io/restartedAt"
WORKLOADS = ("deployments.apps", "statefulsets.apps", "daemonsets.apps")


class PodState(Noun):
    """A pod: `waits` and `ended` are the reasons of its containers, `born`: it has container statuses at all."""

    namespace: str
    name: str
    phase: str
    owner: str = ""
    born: bool = True
    ready: bool = False
    containers_ready: bool = False
    waits: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    restarted: float = 0.0
    """When a container was last started anew, epoch seconds; 0.0: never."""
    leaving: bool = False


class WorkloadState(Noun):
    """How far a workload is: pods wanted, there, of the newest template, ready and available."""

    wanted: int
    total: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    seen: bool = True
    """The controller has seen the newest version."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Of its pods."""

    @property
    def complete(self) -> bool:
        """Whether all wanted pods are of the newest template and ready, and no others are left."""
        return self.seen and self.total == self.updated == self.ready == self.wanted


class Figures(Noun):
    """Mean request figures of a service over the window; None: unknown."""

    rate: float | None = None
    errors: float | None = None
    p99: float | None = None


class Snapshot(Noun):
    """A cluster at a moment; enough to judge it later without the cluster.

    Attributes:
        at: epoch seconds of cluster time.
        namespace: the application's.
        objects: what people decide on, by `Kind/namespace/name`.
        noisy: of these, the ones that emulated noise has made or changed.
        endpoints: ready endpoints by `namespace/service`.
        services: figures by `namespace/service`.
        alerts: firing at any moment of the window, as `name: about`.
        probes: what came of the live checks of the scenario.
    """

    at: float
    namespace: str
    objects: dict[str, Json]
    noisy: tuple[str, ...] = ()
    pods: tuple[PodState, ...] = ()
    workloads: dict[str, WorkloadState] = Field(default_factory=dict)
    endpoints: dict[str, int] = Field(default_factory=dict)
    services: dict[str, Figures] = Field(default_factory=dict)
    alerts: tuple[str, ...] = ()
    probes: dict[str, str] = Field(default_factory=dict)

    def bystanders(self) -> frozenset[str]:
        """Return the namespaces that emulated noise has made: what goes on there concerns nobody."""
        return frozenset(key.removeprefix("Namespace//") for key in self.noisy if key.startswith("Namespace//"))

    def concerning(self, known: Iterable[str] = ()) -> list[str]:
        """Return the alerts that are none of the known ones, and not about bystanders."""
        away = tuple(f": {space}/" for space in self.bystanders())
        return [a for a in self.alerts if a not in set(known) and not any(mark in a for mark in away)]

    def key(self, said: str) -> str:
        """Return the full key of an object given as `Kind/name` or `Kind/namespace/name`."""
        kind, _, rest = said.partition("/")
        if "/" in rest:
            return said
        return f"{kind}/{self.namespace}/{rest}" if f"{kind}//{rest}" not in self.objects else f"{kind}//{rest}"


def changed(before: Snapshot, after: Snapshot) -> tuple[str, ...]:
    """Return the objects that differ, were made or are gone."""
    keys = before.objects.keys() | after.objects.keys()
    return tuple(sorted(k for k in keys if before.objects.get(k) != after.objects.get(k)))


def capture(cluster: EmbeddedCluster, checks: Iterable[Check] = (), *, alerts: Iterable[str] | None = None) -> Snapshot:
    """Look at a cluster.

    Args:
        cluster: it is not changed.
        checks: of the scenario; the live ones among them are tried on a copy.
        alerts: those that fired in the window, when somebody has watched it; None: those that fire now.
    """
    store = cluster.store
    autoscaled = _autoscaled(cluster)
    objects: dict[str, Json] = {}
    for resource in store.resources():
        if resource in DERIVED:
            continue
        for obj in store.list(resource):
            meta = obj["metadata"]
            if _controlled(obj):
                continue
            key = f"{obj['kind']}/{meta.get('namespace', '')}/{meta['name']}"
            objects[key] = essence(obj, key in autoscaled)
    return Snapshot(
        at=cluster.clock.now(),
        namespace=cluster.namespace,
        objects=objects,
        noisy=_noisy(cluster),
        pods=tuple(_pod(o) for o in store.list("pods")),
        workloads=workloads(cluster),
        endpoints=_endpoints(cluster),
        services=figures(cluster),
        alerts=tuple(sorted(alerts if alerts is not None else firing(cluster))),
        probes=_tried(cluster, checks),
    )


def essence(obj: Json, autoscaled: bool = False) -> Json:
    """Return what people decide on in an object."""
    meta = obj["metadata"]
    own: Json = {k: v for k, v in obj.items() if k not in ("metadata", "status", "apiVersion", "kind")}
    if meta.get("labels"):
        own["labels"] = meta["labels"]
    notes = {k: v for k, v in (meta.get("annotations") or {}).items() if not _by_machine(k)}
    if notes:
        own["annotations"] = notes
    kind, spec = obj["kind"], own.get("spec")
    if not isinstance(spec, dict):
        return own
    spec = dict(spec)
    if autoscaled:
        spec.pop("replicas", None)
    if kind == "Node":
        taints = [t for t in spec.get("taints") or () if not str(t.get("key", "")).startswith("node.kubernetes.io/")]
        spec.pop("taints", None)
        if taints:
            spec["taints"] = taints
    if kind == "PersistentVolume" and "claimRef" in spec:
        claim = spec["claimRef"]
        spec["claimRef"] = {k: claim.get(k) for k in ("namespace", "name")}
    if kind == "Service":
        # A Service that was made again has other addresses, and is the same to everybody who asks by its name.
        spec = {k: v for k, v in spec.items() if k not in ("clusterIP", "clusterIPs") or v in ("None", ["None"])}
    if isinstance(spec.get("template"), dict):
        spec["template"] = _template(spec["template"])
    own["spec"] = spec
    return own


def _template(template: Json) -> Json:
    notes = (template.get("metadata") or {}).get("annotations") or {}
    if RESTARTED not in notes:
        return template
    left = {k: v for k, v in notes.items() if k != RESTARTED}
    meta = {k: v for k, v in template["metadata"].items() if k != "annotations"}
    return {**template, "metadata": {**meta, **({"annotations": left} if left else {})}}


def _by_machine(key: str) -> bool:
    domain = key.partition("/")[0]
    return any(domain == d or domain.endswith("." + d) for d in MACHINE)


def _controlled(obj: Json) -> bool:
    return any(o.get("controller") for o in obj["metadata"].get("ownerReferences") or ())


def _autoscaled(cluster: EmbeddedCluster) -> set[str]:
    found = set()
    for hpa in cluster.store.list("horizontalpodautoscalers.autoscaling"):
        target = hpa["spec"]["scaleTargetRef"]
        found.add(f"{target['kind']}/{hpa['metadata']['namespace']}/{target['name']}")
    return found


def _noisy(cluster: EmbeddedCluster) -> tuple[str, ...]:
    found = set()
    for change in cluster.faulting.noise.before:
        place = change.place
        kind, space, name = (place[0], place[-2], place[-1])
        found |= {f"{kind}/{space}/{name}", f"{kind}//{name}"}
    return tuple(sorted(found))


def _pod(obj: Json) -> PodState:
    meta, status = obj["metadata"], obj.get("status") or {}
    told = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    waits, ended, restarted = [], [], 0.0
    for one in told:
        state = one.get("state") or {}
        if "waiting" in state:
            waits.append(str(state["waiting"].get("reason") or "Waiting"))
        if "terminated" in state:
            ended.append(str(state["terminated"].get("reason") or "Error"))
        last = (one.get("lastState") or {}).get("terminated") or {}
        if one.get("restartCount") and last.get("finishedAt"):
            restarted = max(restarted, parse_iso(last["finishedAt"]))
    conditions = {c["type"]: c.get("status") for c in status.get("conditions") or ()}
    mains = status.get("containerStatuses") or ()
    owners = [o for o in meta.get("ownerReferences") or () if o.get("controller")]
    return PodState(
        namespace=meta["namespace"],
        name=meta["name"],
        phase=status.get("phase", "Unknown"),
        owner=f"{owners[0]['kind']}/{owners[0]['name']}" if owners else "",
        born=bool(mains),
        ready=conditions.get("Ready") == "True",
        containers_ready=bool(mains) and all(c.get("ready") for c in mains),
        waits=tuple(waits),
        ended=tuple(ended),
        restarted=restarted,
        leaving="deletionTimestamp" in meta,
    )


def workloads(cluster: EmbeddedCluster) -> dict[str, WorkloadState]:
    """Return how far all workloads are, by `Kind/namespace/name`."""
    return dict(_workload(obj) for resource in WORKLOADS for obj in cluster.store.list(resource))


#: Where a status tells how many pods are wanted (elsewhere the spec does), there, new, ready and available.
_COUNTS = {
    "DaemonSet": ("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled", "numberReady",
                  "numberAvailable"),
    "": ("", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas"),
}  # fmt: skip


def _workload(obj: Json) -> tuple[str, WorkloadState]:
    meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    counts = [status.get(field, 0) for field in _COUNTS.get(obj["kind"], _COUNTS[""])]
    state = WorkloadState(
        wanted=counts[0] if obj["kind"] in _COUNTS else spec.get("replicas", 1),
        total=counts[1],
        updated=counts[2],
        ready=counts[3],
        available=counts[4],
        seen=status.get("observedGeneration", 0) >= meta.get("generation", 0),
        labels=(spec.get("selector") or {}).get("matchLabels") or {},
    )
    return f"{obj['kind']}/{meta['namespace']}/{meta['name']}", state


def _endpoints(cluster: EmbeddedCluster) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in cluster.store.list("services"):
        found[f"{one['metadata']['namespace']}/{one['metadata']['name']}"] = 0
    for piece in cluster.store.list("endpointslices.discovery.k8s.io"):
        meta = piece["metadata"]
        key = f"{meta['namespace']}/{(meta.get('labels') or {}).get('kubernetes.io/service-name', '')}"
        if key in found:
            ready = [e for e in piece.get("endpoints") or () if (e.get("conditions") or {}).get("ready") is not False]
            found[key] += len(ready)
    return found


def figures(cluster: EmbeddedCluster, window: float = WINDOW) -> dict[str, Figures]:
    """Return the mean request figures of every service over the last seconds."""
    metrics = cluster.telemetry().metrics
    assert metrics is not None
    now = cluster.clock.now()
    found = {}
    for series in metrics.service_series((), now - window, now, STEP):
        known = {
            name: [v for p in series.points if (v := getattr(p, name)) is not None]
            for name in ("rate", "error_rate", "latency_p99")
        }
        mean = {name: round(sum(values) / len(values), 5) if values else None for name, values in known.items()}
        found[f"{series.namespace}/{series.service}"] = Figures(
            rate=mean["rate"], errors=mean["error_rate"], p99=mean["latency_p99"]
        )
    return found


def firing(cluster: EmbeddedCluster) -> set[str]:
    """Return the alerts that fire now, as `name: about`."""
    alerts = cluster.telemetry().alerts
    assert alerts is not None
    return {f"{a.name}: {_about(a.labels)}" for a in alerts.firing()}


def fired(cluster: EmbeddedCluster, window: float = WINDOW) -> set[str]:
    """Return the alerts that fired at some moment of the last seconds, as `name: about`."""
    from stratus.sim.telemetry.promql.nodes import Matcher

    found = firing(cluster)
    now = cluster.clock.now()
    with cluster.lock:
        wanted = (Matcher("__name__", "=", "ALERTS"), Matcher("alertstate", "=", "firing"))
        for series in cluster.observatory.recorder.select(wanted):
            stale = series.stale if series.stale is not None else [False] * len(series.times)
            if any(at >= now - window and not gone for at, gone in zip(series.times, stale, strict=True)):
                found.add(f"{series.labels['alertname']}: {_about(series.labels)}")
    return found


def _about(labels: dict[str, str]) -> str:
    chosen = [labels[k] for k in ("namespace", "service", "deployment", "node", "consumergroup") if labels.get(k)]
    if labels.get("pod"):
        chosen.append(labels["pod"])
    return "/".join(chosen)


def _tried(cluster: EmbeddedCluster, checks: Iterable[Check]) -> dict[str, str]:
    live = [c for c in checks if isinstance(c, LIVE)]
    if not live:
        return {}
    with cluster.fork() as copy:
        return {key_of(check): _try(copy, check) for check in live}


def _try(cluster: EmbeddedCluster, check: Any) -> str:
    """Return `ok`, or what went wrong."""
    from stratus.bench.oracles import live

    pod = live.running_pod(cluster, check.source if isinstance(check, Reaches) else check.object)
    if pod is None:
        return "no pod of it runs"
    if isinstance(check, Reaches):
        return live.reach(cluster, pod, check.host, check.port)
    if isinstance(check, Exec):
        return live.execute(cluster, pod, check.command, check.output)
    return live.admit(cluster, pod, check.bare)
