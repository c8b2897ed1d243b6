"""Pure readings of raw Kubernetes objects that several stages need: owners, selectors, container states, quantities."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stratus.kit.clock import parse_iso

Json = dict[str, Any]

_SUFFIX = {
    "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip
_QUANTITY = re.compile(r"^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$")

PULL_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
     "RegistryUnavailable"}
)  # fmt: skip
CONFIG_REASONS = frozenset({"CreateContainerConfigError"})
START_REASONS = frozenset(
    {"RunContainerError", "CreateContainerError", "StartError", "ContainerCannotRun", "PostStartHookError"}
)


def quantity(text: object) -> float | None:
    """Read a resource quantity such as `500m` or `64Mi` in its base unit; None when it is not one."""
    match = _QUANTITY.match(str(text).strip())
    if match is None:
        return None
    try:
        return float(match[1]) * _SUFFIX[match[2] or ""]
    except ValueError:
        return None


def moment(text: object) -> float:
    """Read an RFC 3339 timestamp as epoch seconds; 0.0 when absent or malformed."""
    if not isinstance(text, str) or not text:
        return 0.0
    try:
        return parse_iso(text)
    except ValueError:
        return 0.0


def meta(obj: Json) -> Json:
    """Return metadata, empty when there is none."""
    found = obj.get("metadata")
    return found if isinstance(found, dict) else {}


def name_of(obj: Json) -> str:
    """Return the object's name."""
    return str(meta(obj).get("name", ""))


def namespace_of(obj: Json) -> str:
    """Return the object's namespace, empty when cluster-scoped."""
    return str(meta(obj).get("namespace") or "")


def labels_of(obj: Json) -> dict[str, str]:
    """Return the object's labels."""
    return meta(obj).get("labels") or {}


def annotations_of(obj: Json) -> dict[str, str]:
    """Return the object's annotations."""
    return meta(obj).get("annotations") or {}


def created(obj: Json) -> float:
    """Return when the object was created, epoch seconds."""
    return moment(meta(obj).get("creationTimestamp"))


def terminating(obj: Json) -> bool:
    """Whether deletion has been asked for."""
    return bool(meta(obj).get("deletionTimestamp"))


def controller(obj: Json) -> tuple[str, str, str] | None:
    """Return the controlling owner as (kind, name, uid), or None."""
    for owner in meta(obj).get("ownerReferences") or ():
        if owner.get("controller"):
            return (owner.get("kind", ""), owner.get("name", ""), owner.get("uid", ""))
    return None


def dig(obj: object, *path: str | int, default: Any = None) -> Any:
    """Walk down keys and indexes; the default when anything on the way is absent."""
    here: Any = obj
    for step in path:
        if isinstance(step, int):
            if not isinstance(here, list) or not -len(here) <= step < len(here):
                return default
            here = here[step]
        elif isinstance(here, Mapping):
            here = here.get(step)
        else:
            return default
    return default if here is None else here


def selects(selector: Mapping[str, str] | None, labels: Mapping[str, str]) -> bool:
    """Whether an equality selector (as a Service's) matches; an empty one matches nothing."""
    return bool(selector) and all(labels.get(k) == v for k, v in (selector or {}).items())


def label_selects(selector: Json | None, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector matches; an empty one matches everything, None nothing."""
    if selector is None:
        return False
    if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    for want in selector.get("matchExpressions") or ():
        key, operator, values = want.get("key", ""), want.get("operator", ""), want.get("values") or []
        held = key in labels
        fits = {
            "In": held and labels.get(key) in values,
            "NotIn": not held or labels.get(key) not in values,
            "Exists": held,
            "DoesNotExist": not held,
        }.get(operator, False)
        if not fits:
            return False
    return True


@dataclass(frozen=True)
class ContainerView:
    """A container of a pod: what was asked for and what became of it."""

    name: str
    init: bool
    spec: Json
    status: Json

    @property
    def waiting(self) -> str:
        """Reason of waiting, or empty."""
        return str(dig(self.status, "state", "waiting", "reason", default=""))

    @property
    def message(self) -> str:
        """Message of the present waiting or terminated state."""
        state = self.status.get("state") or {}
        return str(dig(state, "waiting", "message", default="") or dig(state, "terminated", "message", default=""))

    @property
    def restarts(self) -> int:
        """Restart count."""
        return int(self.status.get("restartCount") or 0)

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return "running" in (self.status.get("state") or {})

    @property
    def ready(self) -> bool:
        """Whether it is ready now."""
        return bool(self.status.get("ready"))

    @property
    def ended(self) -> Json:
        """The latest termination (state, else lastState), empty when it never ended."""
        found = dig(self.status, "state", "terminated") or dig(self.status, "lastState", "terminated")
        return found if isinstance(found, dict) else {}

    @property
    def started(self) -> float:
        """When the present run began, 0.0 when it does not run."""
        return moment(dig(self.status, "state", "running", "startedAt", default=""))


def containers_of(pod: Json) -> list[ContainerView]:
    """Return init containers, then containers, each with its status."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    found = []
    for field, statuses, init in (
        ("initContainers", "initContainerStatuses", True),
        ("containers", "containerStatuses", False),
    ):
        by_name = {s.get("name"): s for s in status.get(statuses) or ()}
        found += [ContainerView(c["name"], init, c, by_name.get(c["name"], {})) for c in spec.get(field) or ()]
    return found


def condition(obj: Json, kind: str) -> Json:
    """Return a status condition by type, empty when absent."""
    return next((c for c in dig(obj, "status", "conditions", default=[]) if c.get("type") == kind), {})


def pod_ready(pod: Json) -> bool:
    """Whether the pod serves: Ready and not terminating."""
    return condition(pod, "Ready").get("status") == "True" and not terminating(pod)


def pod_finished(pod: Json) -> bool:
    """Whether the pod has run to its end, well or not."""
    return dig(pod, "status", "phase", default="") in ("Succeeded", "Failed")


def event_time(event: Json) -> float:
    """Return when an event was last seen."""
    for value in (
        dig(event, "series", "lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event.get("firstTimestamp"),
        meta(event).get("creationTimestamp"),
    ):
        at = moment(value)
        if at:
            return at
    return 0.0


def event_first(event: Json) -> float:
    """Return when an event was first seen."""
    return moment(event.get("firstTimestamp")) or moment(event.get("eventTime")) or event_time(event)


def event_count(event: Json) -> int:
    """Return how often it was seen."""
    return int(dig(event, "series", "count") or event.get("count") or 1)


def event_about(event: Json) -> tuple[str, str, str]:
    """Return (kind, namespace, name) of what the event is about."""
    about = event.get("involvedObject") or event.get("regarding") or {}
    return (about.get("kind", ""), about.get("namespace") or "", about.get("name", ""))


def event_message(event: Json) -> str:
    """Return the event's text (core/v1 message, events.k8s.io note)."""
    return str(event.get("message") or event.get("note") or "")


def pod_spec_of(obj: Json) -> Json:
    """Return the pod spec of a pod or of anything with a pod template."""
    if obj.get("kind") == "Pod":
        return obj.get("spec") or {}
    if obj.get("kind") == "CronJob":
        return dig(obj, "spec", "jobTemplate", "spec", "template", "spec", default={})  # type: ignore[no-any-return]
    return dig(obj, "spec", "template", "spec", default={})  # type: ignore[no-any-return]


def spec_containers(pod_spec: Json) -> Iterator[Json]:
    """Yield init containers and containers of a pod spec."""
    yield from pod_spec.get("initContainers") or ()
    yield from pod_spec.get("containers") or ()


def port_names(pod_spec: Json) -> dict[str, int]:
    """Return declared container ports by name."""
    return {
        str(p["name"]): int(p["containerPort"])
        for c in pod_spec.get("containers") or ()
        for p in c.get("ports") or ()
        if p.get("name") and p.get("containerPort")
    }


def port_numbers(pod_spec: Json) -> list[int]:
    """Return declared container ports in order."""
    return [
        int(p["containerPort"])
        for c in pod_spec.get("containers") or ()
        for p in c.get("ports") or ()
        if p.get("containerPort")
    ]


PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def probe_ports(pod_spec: Json) -> set[int]:
    """Return ports that probes of the pod use, names resolved."""
    names = port_names(pod_spec)
    found: set[int] = set()
    for c in pod_spec.get("containers") or ():
        for probe in PROBES:
            for how in ("httpGet", "tcpSocket", "grpc"):
                port = dig(c, probe, how, "port")
                if isinstance(port, str) and port in names:
                    found.add(names[port])
                elif isinstance(port, int) or (isinstance(port, str) and port.isdigit()):
                    found.add(int(port))
    return found


def target_of(service_port: Json) -> int | str:
    """Return a Service port's target: a number or a port name; absent means the port itself."""
    target = service_port.get("targetPort")
    if target in (None, "", 0):
        return int(service_port.get("port") or 0)
    text = str(target)
    return int(text) if text.isdigit() else text


def ready_addresses(slices: Iterable[Json]) -> int:
    """Count ready addresses in EndpointSlices (an absent ready condition means ready)."""
    return sum(
        len(e.get("addresses") or ())
        for s in slices
        for e in s.get("endpoints") or ()
        if dig(e, "conditions", "ready", default=True)
    )


def slices_of(service: Json, slices: Iterable[Json]) -> list[Json]:
    """Return the EndpointSlices of a Service."""
    return [
        s
        for s in slices
        if namespace_of(s) == namespace_of(service)
        and labels_of(s).get("kubernetes.io/service-name") == name_of(service)
    ]


def desired_replicas(workload: Json) -> int:
    """Return how many pods a workload wants (nodes for a DaemonSet)."""
    kind = workload.get("kind")
    if kind == "DaemonSet":
        return int(dig(workload, "status", "desiredNumberScheduled", default=0))
    if kind == "Job":
        return 0
    return int(dig(workload, "spec", "replicas", default=1))


def ready_replicas(workload: Json) -> int:
    """Return how many pods of a workload are ready, as its status says."""
    field = "numberReady" if workload.get("kind") == "DaemonSet" else "readyReplicas"
    return int(dig(workload, "status", field, default=0))


def port_fits(pod_spec: Json, target: int | str) -> bool | None:
    """Whether a Service's target port leads to something in such a pod; None when the pod does not say.

    A name must be declared. A number fits when it is declared or probed; a pod whose containers declare nothing
    may listen anywhere, and so may a container beside one that does (a sidecar without ports).
    """
    if isinstance(target, str):
        return target in port_names(pod_spec)
    declared = set(port_numbers(pod_spec))
    if target in declared or target in probe_ports(pod_spec):
        return True
    if not declared:
        return None
    return False


_ADDRESS = re.compile(
    r"(?:^|[\s,;@=\"'(]|//)(?P<host>[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)"
    r"(?P<rest>(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*):(?P<port>\d{1,5})(?=$|[/\s,;?\"')])"
)
_NO_HOST = re.compile(r"^\d+$")


def addresses(value: str, namespace: str) -> list[tuple[str, str, int]]:
    """Find `host:port` addresses in a setting that can only mean a Service, as (namespace, service, port).

    Understood are `web:80`, `http://web:80/x`, `web.shop:80`, `web.shop.svc.cluster.local:80`; IP addresses,
    localhost and names of the outside world are left out.
    """
    found = []
    for match in _ADDRESS.finditer(value):
        host, rest, port = match["host"], match["rest"].strip(".").split("."), int(match["port"])
        if host == "localhost" or _NO_HOST.match(host) or not re.search("[a-z]", host):
            continue
        if rest == [""]:
            found.append((namespace, host, port))
        elif len(rest) >= 2 and rest[1] == "svc":
            found.append((rest[0], host, port))
    return found


def dangling(pod_spec: Json, namespace: str, services: Iterable[Json]) -> list[tuple[str, str, str, str, int, str]]:
    """Find addresses in the environment that no Service answers to.

    Args:
        services: all Services of the namespaces at hand; an address into a namespace without any is left alone.

    Returns:
        (container, variable, namespace, service, port, what) with what `service` (no such Service) or `port` (the
        Service has no such port).
    """
    known = {(namespace_of(s), name_of(s)): s for s in services}
    seen = {where for where, _ in known} | {namespace}
    found = []
    for container in pod_spec.get("containers") or ():
        for env in container.get("env") or ():
            for where, host, port in addresses(str(env.get("value") or ""), namespace):
                service = known.get((where, host))
                if service is None:
                    if where in seen:
                        found.append((container["name"], env["name"], where, host, port, "service"))
                    continue
                spec = service.get("spec") or {}
                if spec.get("clusterIP") == "None" or spec.get("type") == "ExternalName" or not spec.get("ports"):
                    continue
                if port not in {p.get("port") for p in spec["ports"]}:
                    found.append((container["name"], env["name"], where, host, port, "port"))
    return found
