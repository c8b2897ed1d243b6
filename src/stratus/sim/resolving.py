"""How names become addresses: a pod's resolver, and the records cluster DNS makes of Services, endpoints, pods."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Protocol

from stratus.sim.corefile import COREFILE, Corefile, CorefileError, parse
from stratus.sim.dnsserver import NODATA, NXDOMAIN, UPSTREAMS, Record, Reply, answer
from stratus.sim.store import Obj, Store

if TYPE_CHECKING:
    from stratus.sim.netindex import NetIndex
    from stratus.sim.network import Connection

DOMAIN = "cluster.local"
#: The address of cluster DNS that kubelets write into containers, and the resolver of the nodes themselves.
CLUSTER_DNS, NODE_DNS = "10.96.0.10", "10.0.2.3"
#: Where every name outside the cluster leads.
OUTSIDE = "203.0.113.10"
_NEVER = (".invalid", ".example", ".test", ".local", ".internal", ".localdomain")


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """What a container's /etc/resolv.conf says."""

    nameservers: tuple[str, ...]
    search: tuple[str, ...]
    options: tuple[str, ...]

    @property
    def ndots(self) -> int:
        """Return from how many dots on a name is tried as it is first."""
        for option in self.options:
            name, _, value = option.partition(":")
            if name == "ndots" and value.isdigit():
                return min(int(value), 15)
        return 1

    def text(self) -> str:
        """Return the file."""
        search = f"search {' '.join(self.search)}\n" if self.search else ""
        servers = "".join(f"nameserver {n}\n" for n in self.nameservers)
        return search + servers + (f"options {' '.join(self.options)}\n" if self.options else "")

    def names(self, host: str) -> list[str]:
        """Return what is asked for, one after the other, for a name somebody wrote."""
        if host.endswith("."):
            return [host.rstrip(".")]
        listed = [f"{host}.{domain.rstrip('.')}" for domain in self.search if domain != "."]
        return [host, *listed] if host.count(".") >= self.ndots else [*listed, host]


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a resolver gives its caller.

    Attributes:
        rcode: NOERROR, NXDOMAIN, SERVFAIL or REFUSED as the server says; TIMEOUT: nobody answers; UNREACHABLE: nobody
            serves DNS there.
        name: the full name that was answered, or asked for last; `server`: by whom.
        records: the answer section; empty with NOERROR when there is no record of that type.
    """

    rcode: str
    name: str
    server: str
    records: tuple[Record, ...] = ()

    def addresses(self) -> list[str]:
        """Return the addresses found."""
        return [r.value for r in self.records if r.kind in ("A", "AAAA")]

    @property
    def service(self) -> tuple[str, str] | None:
        """Return (namespace, name) of the Service the answer speaks of."""
        return next((r.service for r in self.records if r.service is not None), None)


def resolv_conf(pod: Obj | None) -> ResolvConf:
    """Return what the kubelet writes for a pod; None: for the node itself."""
    if pod is None:
        return ResolvConf((NODE_DNS,), (), ())
    spec = pod["spec"]
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    if policy == "ClusterFirst" and spec.get("hostNetwork"):
        policy = "Default"
    own = spec.get("dnsConfig") or {}
    servers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    if policy in ("ClusterFirst", "ClusterFirstWithHostNet"):
        space = pod["metadata"]["namespace"]
        servers, options = [CLUSTER_DNS], ["ndots:5"]
        search = [f"{space}.svc.{DOMAIN}", f"svc.{DOMAIN}", DOMAIN]
    elif policy == "Default":
        servers = [NODE_DNS]
    servers += [s for s in own.get("nameservers") or () if s not in servers]
    search += [s for s in own.get("searches") or () if s not in search]
    for option in own.get("options") or ():
        options = [o for o in options if o.partition(":")[0] != option["name"]]
        options.append(f"{option['name']}:{option['value']}" if option.get("value") else option["name"])
    return ResolvConf(tuple(servers[:3]), tuple(search[:32]), tuple(options))


def hosts_of(pod: Obj) -> list[tuple[str, list[str]]]:
    """Return the lines of a pod's /etc/hosts: (address, names)."""
    status, spec = pod.get("status", {}), pod["spec"]
    host = (spec.get("hostname") or pod["metadata"]["name"])[:63]
    names = [host]
    if spec.get("subdomain"):
        names.insert(0, f"{host}.{spec['subdomain']}.{pod['metadata']['namespace']}.svc.{DOMAIN}")
    lines = [("127.0.0.1", ["localhost"]), ("::1", ["localhost", "ip6-localhost", "ip6-loopback"])]
    if status.get("podIP"):
        lines.append((status["podIP"], names))
    lines += [(alias["ip"], list(alias.get("hostnames") or ())) for alias in spec.get("hostAliases") or ()]
    return lines


class Wire(Protocol):
    """What a resolver needs of the network."""

    def deliver(
        self, source: Obj | None, address: str, port: int, *, protocol: str = "TCP", choose: int = 0
    ) -> Connection:
        """Send to an address."""
        ...

    def ingress_address(self, host: str) -> str:
        """Return where public DNS would point a host that an Ingress serves; empty: no Ingress does."""
        ...

    def dns_config(self, uid: str) -> Corefile | None:
        """Return what a CoreDNS pod runs with."""
        ...

    def dns_is_built_in(self) -> bool:
        """Tell whether the cluster has no DNS of its own, so that one is taken for granted."""
        ...


class Resolver:
    """Looks names up. All methods are reads."""

    def __init__(self, store: Store, index: NetIndex, wire: Wire, outside: tuple[str, ...]) -> None:
        self.store = store
        self.index = index
        self.wire = wire
        #: Names outside the cluster that resolve (globs); `.invalid`, `.example` and the like never do.
        self.outside = outside

    # a client

    def lookup(
        self, source: Obj | None, host: str, kind: str = "A", *, server: str = "", plain: bool = False
    ) -> Lookup:
        """Look a name up as a program in a pod does (None: somebody outside, who needs no cluster DNS to find it).

        Args:
            source: the pod.
            host: an address, a name of /etc/hosts, or a name for DNS.
            kind: type of the records wanted.
            server: ask this server instead of those of /etc/resolv.conf.
            plain: ask for the name exactly as it is, as `dig` does: no /etc/hosts, no search list.
        """
        try:
            address = str(ipaddress.ip_address(host))
            if kind in ("A", "AAAA"):
                return Lookup("NOERROR", host, "", (Record(host, "A", address, 0),))
        except ValueError:
            pass
        if not plain and kind == "A":
            if host in ("localhost", "localhost.localdomain"):
                return Lookup("NOERROR", "localhost", "", (Record("localhost", "A", "127.0.0.1", 0),))
            if source is not None:
                for address, names in hosts_of(source):
                    if host in names and ":" not in address:
                        return Lookup("NOERROR", host, "", (Record(host, "A", address, 0),))
        if source is None:
            return self._from_outside(host, kind)
        conf = resolv_conf(source)
        last = Lookup("NXDOMAIN", host.rstrip("."), server or (conf.nameservers or ("",))[0])
        if not conf.nameservers and not server:
            return Lookup("UNREACHABLE", host, "127.0.0.1")
        trouble: Lookup | None = None
        for name in [host.rstrip(".")] if plain else conf.names(host):
            last = self._ask_all(source, name, kind, (server,) if server else conf.nameservers)
            if last.rcode in ("TIMEOUT", "UNREACHABLE"):
                return last
            if last.rcode == "NOERROR" and last.records:
                return last
            if last.rcode != "NXDOMAIN" and (trouble is None or trouble.rcode == "NOERROR"):
                trouble = last
        return trouble or last

    def _ask_all(self, source: Obj, name: str, kind: str, servers: tuple[str, ...]) -> Lookup:
        last = Lookup("TIMEOUT", name, servers[0])
        for server in servers:
            reply = self._ask(source, server, name, kind)
            last = Lookup(reply.rcode, name, server, reply.records)
            if reply.rcode in ("NOERROR", "NXDOMAIN"):
                return last
        return last

    def _ask(self, source: Obj, server: str, name: str, kind: str) -> Reply:
        if server == CLUSTER_DNS and self.wire.dns_is_built_in():
            return answer(self._installed(), self, name, kind)
        found = self.wire.deliver(source, server, 53, protocol="UDP")
        what = type(found).__name__
        if what == "Refused":
            return Reply("UNREACHABLE")
        if what != "Reached":
            return Reply("TIMEOUT")
        pod = getattr(found, "pod", None)
        if pod is None:
            return self.outside_record(name, kind) if server in UPSTREAMS else Reply("TIMEOUT")
        config = self.wire.dns_config(pod["metadata"]["uid"])
        return answer(config, self, name, kind) if config is not None else Reply("REFUSED")

    def _installed(self) -> Corefile:
        found = self.store.get("configmaps", "kube-system", "coredns")
        text = ((found or {}).get("data") or {}).get("Corefile")
        try:
            return parse(text if text is not None else COREFILE)
        except CorefileError:
            return parse(COREFILE)

    def _from_outside(self, host: str, kind: str) -> Lookup:
        """Somebody who knows the cluster from outside finds its Services whatever cluster DNS says."""
        parts = host.rstrip(".").split(".")
        names = [f"{host}.default.svc.{DOMAIN}"] if len(parts) == 1 else [f"{host}.svc.{DOMAIN}", f"{host}.{DOMAIN}"]
        for name in [*names, host.rstrip(".")]:
            reply = answer(parse(COREFILE), self, name, kind)
            if reply.records:
                return Lookup("NOERROR", name, "", reply.records)
        return Lookup("NXDOMAIN", host, "")

    # the records (dnsserver.World)

    def outside_record(self, name: str, kind: str) -> Reply:
        """Return what resolvers outside the cluster say."""
        name = name.rstrip(".")
        address = self.wire.ingress_address(name)
        if not address and not name.endswith(_NEVER) and any(fnmatchcase(name, p) for p in self.outside):
            address = OUTSIDE
        if not address:
            return NXDOMAIN
        return Reply("NOERROR", (Record(name, "A", address, 300),)) if kind == "A" else NODATA

    def reverse_record(self, address: str, zone: str) -> Reply:
        """Return the name of a Service's address."""
        service = self.index.service_at(address)
        if service is None:
            return NXDOMAIN
        meta = service["metadata"]
        name = ".".join([*reversed(address.split(".")), "in-addr.arpa"])
        return Reply("NOERROR", (Record(name, "PTR", f"{meta['name']}.{meta['namespace']}.svc.{zone}"),))

    def cluster_record(self, name: str, kind: str, zone: str, options: dict[str, tuple[str, ...]]) -> Reply:
        """Return what the cluster's objects say about a name in its zone."""
        if name == zone:
            return NODATA
        parts = name[: -len(zone) - 1].split(".")
        if parts == ["dns-version"]:
            return Reply("NOERROR", (Record(name, "TXT", '"1.1.0"'),)) if kind == "TXT" else NODATA
        if parts[-1] not in ("svc", "pod"):
            return NXDOMAIN
        if len(parts) == 1:
            return NODATA
        space = parts[-2]
        exposed = options.get("namespaces")
        if (exposed and space not in exposed) or self.store.get("namespaces", "", space) is None:
            return NXDOMAIN
        if parts[-1] == "pod":
            return self._pod(name, kind, parts[:-2], space, (options.get("pods") or ("disabled",))[0])
        rest = parts[:-2]
        if not rest:
            return NODATA
        service = self.store.get("services", space, rest[-1])
        if service is None or len(rest) > 3:
            return NXDOMAIN
        return self._service(name, kind, zone, service, rest[:-1], options)

    def _pod(self, name: str, kind: str, rest: list[str], space: str, mode: str) -> Reply:
        if not rest:
            return NODATA
        address = rest[0].replace("-", ".")
        try:
            ipaddress.ip_address(address)
        except ValueError:
            return NXDOMAIN
        if len(rest) != 1 or mode == "disabled":
            return NXDOMAIN
        if mode == "verified" and not any(
            (p.get("status") or {}).get("podIP") == address for p in self.store.list("pods", space)
        ):
            return NXDOMAIN
        return Reply("NOERROR", (Record(name, "A", address),)) if kind == "A" else NODATA

    def _service(
        self, name: str, kind: str, zone: str, service: Obj, rest: list[str], options: dict[str, tuple[str, ...]]
    ) -> Reply:
        spec, meta = service["spec"], service["metadata"]
        key = (meta["namespace"], meta["name"])
        full = f"{meta['name']}.{meta['namespace']}.svc.{zone}"
        ports = spec.get("ports") or []
        wanted = ""
        if len(rest) == 2:
            if not rest[0].startswith("_") or not rest[1].startswith("_"):
                return NXDOMAIN
            protocol, wanted = rest[1][1:].upper(), rest[0][1:]
            ports = [p for p in ports if p.get("name", "") == wanted and p.get("protocol", "TCP") == protocol]
            if not ports:
                return NXDOMAIN
        if spec.get("type") == "ExternalName":
            if rest:
                return NXDOMAIN
            target = str(spec.get("externalName", "")).rstrip(".")
            return Reply("NOERROR", (Record(name, "CNAME", target, service=key),))
        cluster_ip = spec.get("clusterIP")
        if cluster_ip and cluster_ip != "None":
            if len(rest) == 1:
                return self._endpoint(name, kind, key, rest[0], service)
            if options.get("ignore") == ("empty_service",) and not any(
                b.ready for p in ports for b in self.index.backends(key, p)
            ):
                return NXDOMAIN
            if kind == "SRV":
                return Reply(
                    "NOERROR", tuple(Record(name, "SRV", f"0 100 {p['port']} {full}", service=key) for p in ports)
                )
            address = Record(name, "A", cluster_ip, service=key)
            return Reply("NOERROR", (address,)) if kind == "A" and not wanted else NODATA
        if len(rest) == 1:
            return self._endpoint(name, kind, key, rest[0], service)
        found: list[Record] = []
        for port in ports or [None]:
            for backend in self.index.backends(key, port):
                if not backend.ready:
                    continue
                if kind == "SRV":
                    label = backend.hostname or backend.address.replace(".", "-")
                    number = backend.port
                    found.append(Record(name, "SRV", f"0 100 {number} {label}.{full}", service=key))
                elif all(r.value != backend.address for r in found):
                    found.append(Record(name, "A", backend.address, service=key))
        if not found:
            # A headless Service without ready endpoints has no name.
            return NXDOMAIN
        return Reply("NOERROR", tuple(found)) if kind in ("A", "SRV") else NODATA

    def _endpoint(self, name: str, kind: str, key: tuple[str, str], label: str, service: Obj) -> Reply:
        for port in service["spec"].get("ports") or [None]:
            for backend in self.index.backends(key, port):
                if backend.ready and label in (backend.hostname, backend.address.replace(".", "-")):
                    found = Record(name, "A", backend.address, service=key)
                    return Reply("NOERROR", (found,)) if kind == "A" else NODATA
        return NXDOMAIN
