"""Who reaches whom: names, Services, endpoints, listening processes and network policies, computed from the objects."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from stratus.sim.controllers.base import Key, PodIndex
from stratus.sim.controllers.common import condition, is_true, matches
from stratus.sim.controllers.endpoints import resolve_port
from stratus.sim.corefile import denied
from stratus.sim.runtime import ContainerRuntime
from stratus.sim.store import Obj, Store

DOMAIN = "cluster.local"


@dataclass(frozen=True, slots=True)
class Reached:
    """A process accepts the connection; `pod` is None for a destination outside the cluster."""

    pod: Obj | None
    container: Obj | None
    port: int
    address: str


@dataclass(frozen=True, slots=True)
class NoSuchHost:
    """The name does not resolve."""

    host: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The address answers that nobody listens there."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class TimedOut:
    """No answer: a policy drops it, or there is nothing at the address."""

    address: str
    port: int
    reason: str = ""


Connection = Reached | NoSuchHost | Refused | TimedOut


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a name stands for: a Service (or none), and its addresses."""

    name: str
    addresses: tuple[str, ...]
    service: Obj | None = None


class Network:
    """The cluster's network. All methods are reads: nothing is changed or drawn."""

    def __init__(
        self,
        store: Store,
        index: PodIndex,
        serving: Callable[[Key], list[Obj]],
        runtime: ContainerRuntime,
        *,
        outside: tuple[str, ...] = ("*.com", "*.org", "*.net", "*.io", "*.dev"),
    ) -> None:
        self.store = store
        self.index = index
        self.serving = serving
        self.runtime = runtime
        #: Names outside the cluster that resolve (globs); `.invalid`, `.example` and the like never do.
        self.outside = outside

    # names

    def resolve(self, source: Obj | None, host: str) -> Resolved | None:
        """Return what a pod's resolver answers for a name, None for NXDOMAIN (or when DNS is down)."""
        try:
            return Resolved(host, (str(ipaddress.ip_address(host)),))
        except ValueError:
            pass
        if host in ("localhost", "localhost.localdomain"):
            return Resolved("localhost", ("127.0.0.1",))
        if source is not None:
            if host == source["metadata"]["name"] and source.get("status", {}).get("podIP"):
                return Resolved(host, (source["status"]["podIP"],))
            for alias in source["spec"].get("hostAliases") or ():
                if host in (alias.get("hostnames") or ()):
                    return Resolved(host, (alias["ip"],))
        if not self.dns_works(source):
            return None
        namespace = source["metadata"]["namespace"] if source is not None else "default"
        policy = source["spec"].get("dnsPolicy", "ClusterFirst") if source is not None else "ClusterFirst"
        if policy != "Default" and not (policy == "ClusterFirst" and source and source["spec"].get("hostNetwork")):
            found = self._cluster_name(namespace, host.rstrip("."))
            if found is not None:
                return found
        bare = host.rstrip(".")
        if bare.endswith((".invalid", ".example", ".test", ".local", ".internal")):
            return None
        if any(fnmatchcase(bare, pattern) for pattern in self.outside):
            return Resolved(bare, ("203.0.113.10",))
        return None

    def dns_works(self, source: Obj | None = None) -> bool:
        """Tell whether cluster DNS answers: with a kube-dns Service, it needs a ready pod behind it."""
        service = self.store.get("services", "kube-system", "kube-dns")
        if service is None:
            return True
        if not self._endpoints(service):
            return False
        if source is None:
            return True
        return any(self._allowed(source, pod, port, "UDP") for pod, port in self._endpoints(service)[:1])

    def _cluster_name(self, namespace: str, host: str) -> Resolved | None:
        parts = host.split(".")
        for suffix in (f".svc.{DOMAIN}", ".svc"):
            if host.endswith(suffix):
                parts = host[: -len(suffix)].split(".")
                if len(parts) == 1:
                    return None
                break
        else:
            if host.endswith(f".{DOMAIN}"):
                return None
        candidates: list[tuple[str, str, str]] = []
        if len(parts) == 1:
            candidates.append(("", parts[0], namespace))
        elif len(parts) == 2:
            candidates.append(("", parts[0], parts[1]))
            candidates.append((parts[0], parts[1], namespace))
        elif len(parts) == 3:
            candidates.append((parts[0], parts[1], parts[2]))
        for pod_name, name, space in candidates:
            service = self.store.get("services", space, name)
            if service is None:
                continue
            full = f"{name}.{space}.svc.{DOMAIN}"
            if denied(self.store.get("configmaps", "kube-system", "coredns"), full):
                return None
            spec = service["spec"]
            if spec.get("type") == "ExternalName":
                target = spec.get("externalName", "")
                inner = self._cluster_name(space, target) if target.endswith(DOMAIN) else None
                if inner is not None:
                    return inner
                if any(fnmatchcase(target, p) for p in self.outside):
                    return Resolved(target, ("203.0.113.10",), service)
                return None
            if spec.get("clusterIP") not in (None, "", "None"):
                return Resolved(full, (spec["clusterIP"],), service) if not pod_name else None
            addresses = []
            for pod, _ in self._endpoints(service, headless=True):
                if not pod_name or pod["spec"].get("hostname") == pod_name or pod["metadata"]["name"] == pod_name:
                    addresses.append(pod["status"]["podIP"])
            if not addresses:
                return None
            return Resolved(full if not pod_name else f"{pod_name}.{full}", tuple(addresses), service)
        return None

    # Services

    def _endpoints(self, service: Obj, port: Obj | None = None, *, headless: bool = False) -> list[tuple[Obj, int]]:
        """Return (pod, port) behind a Service, ready ones only unless it publishes all."""
        spec = service["spec"]
        publish = bool(spec.get("publishNotReadyAddresses"))
        found = []
        for pod in self.index.select_labels(service["metadata"]["namespace"], spec.get("selector")):
            status = pod.get("status", {})
            if not status.get("podIP") or status.get("phase") in ("Succeeded", "Failed"):
                continue
            if not publish and (not is_true(pod, "Ready") or "deletionTimestamp" in pod["metadata"]):
                continue
            ports = [port] if port is not None else (spec.get("ports") or [])
            if not ports:
                if headless:
                    found.append((pod, 0))
                continue
            number = resolve_port(ports[0], pod)
            if number is not None:
                found.append((pod, number))
        return found

    def _service_port(self, service: Obj, port: int) -> Obj | None:
        for entry in service["spec"].get("ports") or ():
            if entry["port"] == port and entry.get("protocol", "TCP") == "TCP":
                return entry  # type: ignore[no-any-return]
        return None

    def _by_cluster_ip(self, address: str) -> Obj | None:
        for service in self.store.list("services"):
            if service["spec"].get("clusterIP") == address:
                return service
        return None

    # connections

    def connect(self, source: Obj | None, host: str, port: int, *, choose: int = 0) -> Connection:
        """Open a TCP connection from a pod (None: from outside, past every policy) to a name and port.

        `choose` picks among several endpoints (round robin is the caller's counter).
        """
        resolved = self.resolve(source, host)
        if resolved is None:
            return NoSuchHost(host)
        if resolved.addresses[0] == "127.0.0.1":
            if source is None:
                return Refused("127.0.0.1", port)
            return self._to_pod(source, source, port, "127.0.0.1")
        service = resolved.service
        address = resolved.addresses[choose % len(resolved.addresses)]
        if service is None and address != "203.0.113.10":
            service = self._by_cluster_ip(address)
        if service is not None and service["spec"].get("clusterIP") not in (None, "", "None"):
            entry = self._service_port(service, port)
            if entry is None:
                return TimedOut(address, port, "the Service has no such port")
            endpoints = self._endpoints(service, entry)
            if not endpoints:
                if not service["spec"].get("selector"):
                    return self._manual(service, entry, port, address)
                return Refused(address, port)
            pod, number = endpoints[choose % len(endpoints)]
            return self._to_pod(source, pod, number, address)
        key = self.index.by_ip(address)
        pod_or_none = self.store.get("pods", *key) if key is not None else None
        if pod_or_none is not None:
            return self._to_pod(source, pod_or_none, port, address)
        for node in self.store.list("nodes"):
            for entry in (node.get("status") or {}).get("addresses") or ():
                if entry.get("address") == address:
                    return self._to_node(source, node, port, address)
        if address == "203.0.113.10":
            if source is not None and not self._egress_outside(source, port):
                return TimedOut(address, port, "a NetworkPolicy of the source drops it")
            return Reached(None, None, port, address) if port in (53, 80, 443) else TimedOut(address, port)
        return TimedOut(address, port, "nothing has this address")

    def _manual(self, service: Obj, entry: Obj, port: int, address: str) -> Connection:
        """Follow a Service without selector into the Endpoints somebody wrote by hand."""
        meta = service["metadata"]
        stored = self.store.get("endpoints", meta["namespace"], meta["name"])
        for subset in (stored or {}).get("subsets") or ():
            for number in subset.get("ports") or ():
                if number.get("name", "") == entry.get("name", ""):
                    for target in subset.get("addresses") or ():
                        key = self.index.by_ip(target["ip"])
                        pod = self.store.get("pods", *key) if key is not None else None
                        if pod is not None:
                            return self._to_pod(None, pod, number["port"], address)
                        return Reached(None, None, number["port"], address)
        return Refused(address, port)

    def _to_node(self, source: Obj | None, node: Obj, port: int, address: str) -> Connection:
        for service in self.store.list("services"):
            for entry in service["spec"].get("ports") or ():
                if entry.get("nodePort") == port:
                    endpoints = self._endpoints(service, entry)
                    return self._to_pod(source, *endpoints[0], address) if endpoints else Refused(address, port)
        for pod in self.index.by_node.get(node["metadata"]["name"], {}).values():
            for container in pod["spec"].get("containers", ()):
                for declared in container.get("ports") or ():
                    if declared.get("hostPort") == port or (
                        pod["spec"].get("hostNetwork") and declared["containerPort"] == port
                    ):
                        return self._to_pod(source, pod, declared["containerPort"], address)
        return Refused(address, port)

    def _to_pod(self, source: Obj | None, pod: Obj, port: int, address: str) -> Connection:
        own = source is not None and source["metadata"]["uid"] == pod["metadata"]["uid"]
        if source is not None and not own and not self._allowed(source, pod, port, "TCP"):
            return TimedOut(address, port, "a NetworkPolicy drops it")
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        node = self.store.get("nodes", "", pod["spec"].get("nodeName", ""))
        if node is not None and not own and (condition(node, "NetworkUnavailable") or {}).get("status") == "True":
            return TimedOut(address, port, "the node has no network")
        for container in self.serving(key):
            if port in self.runtime.listens(pod, container):
                return Reached(pod, container, port, address)
        return Refused(address, port)

    # policies

    def _policies(self, pod: Obj, direction: str) -> list[Obj]:
        found = []
        for policy in self.store.list("networkpolicies.networking.k8s.io", pod["metadata"]["namespace"]):
            spec = policy["spec"]
            types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
            if direction in types and matches(spec.get("podSelector") or {}, pod["metadata"].get("labels")):
                found.append(policy)
        return found

    def _allowed(self, source: Obj, target: Obj, port: int, protocol: str) -> bool:
        egress = self._policies(source, "Egress")
        if egress and not any(
            self._rule(rule.get("to"), rule.get("ports"), policy, target, target, port, protocol)
            for policy in egress
            for rule in policy["spec"].get("egress") or ()
        ):
            return False
        ingress = self._policies(target, "Ingress")
        return not ingress or any(
            self._rule(rule.get("from"), rule.get("ports"), policy, source, target, port, protocol)
            for policy in ingress
            for rule in policy["spec"].get("ingress") or ()
        )

    def _rule(
        self,
        peers: list[Obj] | None,
        ports: list[Obj] | None,
        policy: Obj,
        other: Obj,
        target: Obj,
        port: int,
        protocol: str,
    ) -> bool:
        if ports and not any(_port_allows(entry, target, port, protocol) for entry in ports):
            return False
        return not peers or any(self._peer(peer, policy, other) for peer in peers)

    def _peer(self, peer: Obj, policy: Obj, other: Obj) -> bool:
        block = peer.get("ipBlock")
        if block:
            address = other.get("status", {}).get("podIP")
            return bool(address) and _in_block(block, address)
        space = other["metadata"]["namespace"]
        if peer.get("namespaceSelector") is not None:
            namespace = self.store.get("namespaces", "", space)
            labels: dict[str, Any] = dict((namespace or {}).get("metadata", {}).get("labels") or {})
            labels.setdefault("kubernetes.io/metadata.name", space)
            if not matches(peer["namespaceSelector"], labels):
                return False
        elif space != policy["metadata"]["namespace"]:
            return False
        selector = peer.get("podSelector")
        return selector is None or matches(selector, other["metadata"].get("labels"))

    def _egress_outside(self, source: Obj, port: int) -> bool:
        policies = self._policies(source, "Egress")
        if not policies:
            return True
        for policy in policies:
            for rule in policy["spec"].get("egress") or ():
                ports = rule.get("ports")
                if ports and not any(e.get("port") in (None, port) for e in ports):
                    continue
                peers = rule.get("to")
                if not peers or any(p.get("ipBlock") and _in_block(p["ipBlock"], "203.0.113.10") for p in peers):
                    return True
        return False


def _port_allows(entry: Obj, target: Obj, port: int, protocol: str) -> bool:
    if entry.get("protocol", "TCP") != protocol:
        return False
    wanted = entry.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, int):
        return wanted <= port <= int(entry.get("endPort", wanted))
    for container in target["spec"].get("containers", ()):
        for declared in container.get("ports") or ():
            if declared.get("name") == wanted and declared["containerPort"] == port:
                return True
    return False


def _in_block(block: Obj, address: str) -> bool:
    ip = ipaddress.ip_address(address)
    if ip not in ipaddress.ip_network(block["cidr"], strict=False):
        return False
    return not any(ip in ipaddress.ip_network(hole, strict=False) for hole in block.get("except") or ())
