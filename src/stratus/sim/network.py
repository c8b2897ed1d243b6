"""Who reaches whom: names, Services, kube-proxy, endpoints, listening processes and policies, computed from objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stratus.sim.calico import governs, routed
from stratus.sim.controllers.base import Key, PodIndex
from stratus.sim.controllers.common import condition, spread
from stratus.sim.dnsserver import UPSTREAMS
from stratus.sim.ingress import ADDRESS as INGRESS
from stratus.sim.ingress import IngressRouter, Site
from stratus.sim.netindex import Backend, NetIndex
from stratus.sim.netpolicy import End, denied_by
from stratus.sim.resolving import OUTSIDE, Lookup, Resolver
from stratus.sim.runtime import ContainerRuntime
from stratus.sim.store import Change, Obj, Store

if TYPE_CHECKING:
    from stratus.sim.controllers.clusterdns import ClusterDns
    from stratus.sim.controllers.kubeproxy import KubeProxies
    from stratus.sim.corefile import Corefile

#: Where users outside the cluster are, as policies see them.
CLIENT = "198.51.100.7"
#: Ports that hosts outside the cluster serve.
_OUTSIDE_PORTS = frozenset({53, 80, 443})


@dataclass(frozen=True, slots=True)
class Reached:
    """A process accepts the connection; `pod` is None for a destination outside the cluster."""

    pod: Obj | None
    container: Obj | None
    port: int
    address: str


@dataclass(frozen=True, slots=True)
class NoSuchHost:
    """The name does not become an address; `rcode` and `server` as in `Lookup`."""

    host: str
    rcode: str = "NXDOMAIN"
    server: str = "10.96.0.10"


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


@dataclass(frozen=True, slots=True)
class Turned:
    """Something in front of the application answers in its place: an ingress controller without a way on.

    `status` is the HTTP status it answers with; 0: the TLS handshake fails at the client.
    """

    address: str
    port: int
    status: int
    message: str


Connection = Reached | NoSuchHost | Refused | TimedOut | Turned


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a name stands for: a Service (or none), and its addresses."""

    name: str
    addresses: tuple[str, ...]
    service: Obj | None = None


class Network:
    """The cluster's network. All methods are reads (but `on_change`): nothing is changed or drawn."""

    def __init__(
        self,
        store: Store,
        index: PodIndex,
        serving: Callable[[Key], list[Obj]],
        runtime: ContainerRuntime,
        *,
        dns: ClusterDns | None = None,
        proxies: KubeProxies | None = None,
        outside: tuple[str, ...] = ("*.com", "*.org", "*.net", "*.io", "*.dev"),
    ) -> None:
        self.store = store
        self.index = index
        self.serving = serving
        self.runtime = runtime
        self.dns = dns
        self.proxies = proxies
        self.addresses = NetIndex(store)
        self.resolver = Resolver(store, self.addresses, self, outside)
        self.ingresses = IngressRouter(store)

    @property
    def outside(self) -> tuple[str, ...]:
        """Return the names outside the cluster that resolve (globs)."""
        return self.resolver.outside

    @outside.setter
    def outside(self, names: tuple[str, ...]) -> None:
        self.resolver.outside = names

    def on_change(self, change: Change) -> None:
        """Follow one change of the store."""
        self.addresses.apply(change)

    # names

    def lookup(
        self, source: Obj | None, host: str, kind: str = "A", *, server: str = "", plain: bool = False
    ) -> Lookup:
        """Look a name up as a pod does (None: somebody outside); see `Resolver.lookup`."""
        return self.resolver.lookup(source, host, kind, server=server, plain=plain)

    def resolve(self, source: Obj | None, host: str) -> Resolved | None:
        """Return what a pod's resolver makes of a name, None when it gives no address."""
        found = self.resolver.lookup(source, host)
        addresses = tuple(found.addresses())
        if not addresses:
            return None
        service = self.store.get("services", *found.service) if found.service is not None else None
        return Resolved(found.name, addresses, service)

    def dns_works(self, source: Obj | None = None) -> bool:
        """Tell whether a pod's DNS server answers at all."""
        found = self.resolver.lookup(source, "kubernetes.default.svc.cluster.local.")
        return found.rcode not in ("TIMEOUT", "UNREACHABLE")

    def dns_config(self, uid: str) -> Corefile | None:
        """Return what a CoreDNS pod runs with; None for other pods."""
        return self.dns.config(uid) if self.dns is not None else None

    def dns_is_built_in(self) -> bool:
        """Tell whether no cluster DNS was ever installed here, so that one is taken for granted."""
        return self.dns is None or not self.dns.installed

    def ingress_address(self, host: str) -> str:
        """Return the address of the Ingress that serves a host, empty when none does."""
        return self.ingresses.address_of(host)

    # connections

    def connect(
        self,
        source: Obj | None,
        host: str,
        port: int,
        *,
        choose: int = 0,
        protocol: str = "TCP",
        path: str = "/",
        named: str = "",
        insecure: bool = False,
    ) -> Connection:
        """Open a connection from a pod (None: from outside the cluster) to a name and port.

        Args:
            source: the pod.
            host: an address or a name; a host that an Ingress serves leads through it, with `path`.
            port: where to.
            choose: picks among several endpoints (round robin is the caller's counter).
            protocol: TCP, UDP or SCTP.
            path: what the request asks for, for the rules of an Ingress; `named`: its Host header, when it is not
                `host`; `insecure`: certificates are not checked.
        """
        found = self.resolver.lookup(source, host)
        addresses = found.addresses()
        if source is None and found.service is None and self._is_site(host):
            return self.enter(named or host, port, path, choose=choose, insecure=insecure)
        if not addresses:
            rcode = found.rcode if found.rcode != "NOERROR" else "NXDOMAIN"
            return NoSuchHost(host, rcode, found.server or "10.96.0.10")
        address = addresses[choose % len(addresses)]
        if address == INGRESS and port in (80, 443) and self.ingresses.host_at(address):
            why = denied_by(self.store, self._end(source), End(address), port, protocol)
            if why:
                return TimedOut(address, port, why)
            return self.enter(named or host, port, path, choose=choose, insecure=insecure)
        return self.deliver(source, address, port, protocol=protocol, choose=choose)

    def deliver(
        self, source: Obj | None, address: str, port: int, *, protocol: str = "TCP", choose: int = 0
    ) -> Connection:
        """Open a connection to an address."""
        if address.startswith("127.") or address == "::1":
            return self._here(source, port, address)
        service = self.addresses.service_at(address)
        if service is not None:
            return self._to_service(source, service, port, protocol, address, choose)
        key = self.index.by_ip(address)
        pod = self.store.get("pods", *key) if key is not None else None
        if pod is not None:
            return self._to_pod(source, pod, port, protocol, address)
        node = self.addresses.node_at(address)
        if node:
            return self._to_node(source, node, port, protocol, address, choose)
        return self._beyond(source, address, port, protocol)

    def enter(self, host: str, port: int, path: str = "/", *, choose: int = 0, insecure: bool = False) -> Connection:
        """Send a request from outside through the Ingress that serves a host, as a browser does."""
        tls = port in (443, 8443) and not insecure
        return self._through(self.ingresses.site(host, path, tls=tls), host, port, choose)

    def ways(self, source: Obj | None, addresses: tuple[str, ...], port: int) -> int:
        """Return how many different endpoints `choose` picks among for a name with these addresses."""
        if len(addresses) != 1:
            return len(addresses)
        service = self.addresses.service_at(addresses[0])
        if service is None:
            return 1
        found = self._rules(source, service, port, "TCP", addresses[0])
        if not isinstance(found, list):
            return 1
        node = self._node(source)
        usable = [b for b in usable_of(found) if not self._local(node, service, addresses[0]) or b.node == node]
        sticky = service["spec"].get("sessionAffinity") == "ClientIP" and source is not None
        lopsided = self.proxies is not None and self.proxies.is_lopsided(node)
        return 1 if sticky or lopsided else max(len(usable), 1)

    def behind(self, source: Obj | None, host: str, port: int) -> Key | None:
        """Return the Service that an Ingress leads a host's requests to, None when none does."""
        if source is None:
            if not self._is_site(host):
                return None
        elif INGRESS not in self.resolver.lookup(source, host).addresses():
            return None
        site = self.ingresses.site(host, "/", tls=port in (443, 8443))
        return site.service if site.status < 0 else None

    def _is_site(self, host: str) -> bool:
        """Tell whether a name that is no Service's is that of a web site rather than `service.namespace`."""
        last = host.rpartition(".")[2]
        alone = "." not in host or host.endswith(".cluster.local") or last.isdigit()
        return not alone and last != "svc" and self.store.get("namespaces", "", last) is None

    def _here(self, source: Obj | None, port: int, address: str) -> Connection:
        if source is None:
            return Refused(address, port)
        if source["spec"].get("hostNetwork"):
            found = self._on_host(source["spec"].get("nodeName", ""), port)
            if found is not None:
                return self._to_pod(source, found[0], found[1], "TCP", address)
            return Refused(address, port)
        return self._to_pod(source, source, port, "TCP", address)

    def _end(self, source: Obj | None) -> End:
        if source is None:
            return End(CLIENT)
        return End((source.get("status") or {}).get("podIP", ""), source)

    def _beyond(self, source: Obj | None, address: str, port: int, protocol: str) -> Connection:
        """An address of no Service, pod or node."""
        if source is not None:
            why = denied_by(self.store, self._end(source), End(address), port, protocol)
            if why:
                return TimedOut(address, port, why)
        host = self.ingresses.host_at(address)
        if host:
            return Reached(None, None, port, address) if port in (80, 443) else TimedOut(address, port)
        if address == OUTSIDE or (address in UPSTREAMS and port == 53):
            return Reached(None, None, port, address) if port in _OUTSIDE_PORTS else TimedOut(address, port)
        return TimedOut(address, port, "nothing has this address")

    # Services

    def _to_service(
        self, source: Obj | None, service: Obj, port: int, protocol: str, address: str, choose: int
    ) -> Connection:
        backends = self._rules(source, service, port, protocol, address)
        if isinstance(backends, TimedOut):
            return backends
        meta, node = service["metadata"], self._node(source)
        if (meta["namespace"], meta["name"]) == ("default", "kubernetes") and not backends:
            return Reached(None, None, port, address)
        local = node if self._local(node, service, address) else ""
        return self._to_backend(source, service, backends, local, port, protocol, address, choose)

    @staticmethod
    def _node(source: Obj | None) -> str:
        return str(source["spec"].get("nodeName", "")) if source is not None else ""

    @staticmethod
    def _local(node: str, service: Obj, address: str) -> bool:
        """Tell whether only endpoints of the caller's node are used."""
        spec = service["spec"]
        own = spec.get("clusterIPs") or [spec.get("clusterIP")]
        field = "internalTrafficPolicy" if address in own else "externalTrafficPolicy"
        return bool(node) and spec.get(field) == "Local"

    def _rules(
        self, source: Obj | None, service: Obj, port: int, protocol: str, address: str
    ) -> list[Backend] | TimedOut:
        """Return the endpoints that kube-proxy on the caller's node has for an address and port."""
        key = (service["metadata"]["namespace"], service["metadata"]["name"])
        node = self._node(source)
        if node and self.proxies is not None and self.proxies.is_down(node):
            kept = self.proxies.kept(node, key, address, port, protocol)
            if kept is None:
                return TimedOut(address, port, f"kube-proxy does not run on {node} and made no rule for this address")
            return kept
        entry = port_of(service, port, protocol)
        if entry is None:
            # No rule of kube-proxy takes the packet: it goes to an address that nobody has.
            return TimedOut(address, port, "the Service has no such port")
        return self.addresses.backends(key, entry)

    def _to_backend(
        self,
        source: Obj | None,
        service: Obj,
        backends: list[Backend],
        local: str,
        port: int,
        protocol: str,
        address: str,
        choose: int,
    ) -> Connection:
        usable = usable_of(backends)
        if not usable:
            return Refused(address, port)
        if local:
            usable = [b for b in usable if b.node == local]
            if not usable:
                return TimedOut(address, port, f"no endpoint on {local}, and the traffic policy is Local")
        if service["spec"].get("sessionAffinity") == "ClientIP" and source is not None:
            choose = int(spread(self._end(source).address, service["metadata"]["uid"]) * len(usable))
        elif source is not None and self.proxies is not None:
            node = source["spec"].get("nodeName", "")
            choose = 0 if self.proxies.is_lopsided(node) else choose
        backend = usable[choose % len(usable)]
        pod = self.store.get("pods", *backend.pod) if backend.pod is not None else None
        if pod is None or (pod.get("status") or {}).get("podIP") != backend.address:
            key = self.index.by_ip(backend.address)
            pod = self.store.get("pods", *key) if key is not None else None
        if pod is not None:
            return self._to_pod(source, pod, backend.port, protocol, address)
        if backend.pod is not None or backend.address.startswith("10.244."):
            return TimedOut(address, port, f"nothing has the endpoint's address {backend.address}")
        if source is not None:
            why = denied_by(self.store, self._end(source), End(backend.address), backend.port, protocol)
            if why:
                return TimedOut(address, port, why)
        return Reached(None, None, backend.port, address)

    def _to_node(
        self, source: Obj | None, node: str, port: int, protocol: str, address: str, choose: int
    ) -> Connection:
        service = self.addresses.node_port(port, protocol)
        if service is not None:
            meta = service["metadata"]
            entry = next(p for p in service["spec"]["ports"] if p.get("nodePort") == port)
            if self.proxies is not None and self.proxies.is_down(node):
                kept = self.proxies.kept(node, (meta["namespace"], meta["name"]), "", entry["port"], protocol)
                if kept is None:
                    return Refused(address, port)
                backends = kept
            else:
                backends = self.addresses.backends((meta["namespace"], meta["name"]), entry)
            local = node if service["spec"].get("externalTrafficPolicy") == "Local" else ""
            return self._to_backend(source, service, backends, local, port, protocol, address, choose)
        found = self._on_host(node, port)
        if found is not None:
            return self._to_pod(source, found[0], found[1], protocol, address)
        return Refused(address, port)

    def _on_host(self, node: str, port: int) -> tuple[Obj, int] | None:
        """Return the pod and its port behind a port of a node's own address."""
        for _, pod in sorted(self.index.by_node.get(node, {}).items()):
            for container in pod["spec"].get("containers", ()):
                for declared in container.get("ports") or ():
                    if declared.get("hostPort") == port:
                        return pod, declared["containerPort"]
                if pod["spec"].get("hostNetwork") and port in self.runtime.listens(pod, container):
                    return pod, port
        return None

    def _to_pod(self, source: Obj | None, pod: Obj, port: int, protocol: str, address: str) -> Connection:
        own = source is not None and source["metadata"]["uid"] == pod["metadata"]["uid"]
        if not own:
            target = End((pod.get("status") or {}).get("podIP", ""), pod)
            why = denied_by(self.store, self._end(source), target, port, protocol)
            if why:
                return TimedOut(address, port, why)
            for end in (pod, source):
                node = self.store.get("nodes", "", end["spec"].get("nodeName", "")) if end is not None else None
                if node is not None and (condition(node, "NetworkUnavailable") or {}).get("status") == "True":
                    return TimedOut(address, port, f"the node {node['metadata']['name']} has no network")
            if source is not None and governs(self.store) and not pod["spec"].get("hostNetwork"):
                here, there = self._node(source), self._node(pod)
                if not routed(self.store, here, there):
                    return TimedOut(address, port, f"no BGP route between {here} and {there}")
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        for container in self.serving(key):
            if port in self.runtime.listens(pod, container):
                return Reached(pod, container, port, address)
        return Refused(address, port)

    # Ingress

    def _through(self, site: Site, host: str, port: int, choose: int) -> Connection:
        """Follow what an ingress controller does with a request."""
        if site.status >= 0:
            return Turned(site.address or host, port, site.status, site.message)
        service = self.store.get("services", *site.service)
        entry = None
        if service is not None:
            entry = next(
                (
                    p
                    for p in service["spec"].get("ports") or ()
                    if site.port in (p["port"], p.get("name")) and p.get("protocol", "TCP") == "TCP"
                ),
                None,
            )
        usable = usable_of(self.addresses.backends(site.service, entry)) if entry is not None else []
        if service is None or not usable:
            return Turned(site.address, port, 503, "503 Service Temporarily Unavailable")
        # An ingress controller goes to the endpoints itself, past kube-proxy.
        source = self.ingresses.gate(self.index)
        found = self._to_backend(source, service, usable, "", port, "TCP", site.address, choose)
        if isinstance(found, Refused):
            return Turned(site.address, port, 502, "502 Bad Gateway")
        if isinstance(found, TimedOut):
            return Turned(site.address, port, 504, "504 Gateway Time-out")
        return found


def usable_of(backends: list[Backend]) -> list[Backend]:
    """Return the endpoints kube-proxy sends to: the ready ones, or for want of any those that still serve."""
    return [b for b in backends if b.ready] or [b for b in backends if b.serving and b.terminating]


def port_of(service: Obj, port: int, protocol: str) -> Obj | None:
    """Return a Service's entry for a port."""
    for entry in service["spec"].get("ports") or ():
        if entry["port"] == port and entry.get("protocol", "TCP") == protocol:
            return entry  # type: ignore[no-any-return]
    return None
