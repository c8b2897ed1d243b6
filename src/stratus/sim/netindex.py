"""Services by address and port, and their EndpointSlices, kept up to date change by change."""

from __future__ import annotations

from dataclasses import dataclass

from stratus.sim.store import Change, Obj, Store

Key = tuple[str, str]
SERVICE = "kubernetes.io/service-name"
SLICES = "endpointslices.discovery.k8s.io"
#: What the index follows.
RESOURCES = frozenset({"services", SLICES, "nodes"})


@dataclass(frozen=True, slots=True)
class Backend:
    """One endpoint of a Service: where it is, on which port, and what its conditions say."""

    address: str
    port: int
    node: str
    hostname: str
    pod: Key | None
    ready: bool
    serving: bool
    terminating: bool


class NetIndex:
    """Who has which address. Reads only; the control plane tells it of changes."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._by_ip: dict[str, Key] = {}
        self._by_node_port: dict[tuple[str, int], Key] = {}
        self._slices: dict[Key, dict[str, Obj]] = {}
        self._nodes: dict[str, str] = {}
        self._backends: dict[tuple[Key, str, str], list[Backend]] = {}
        for resource in RESOURCES:
            for obj in store.list(resource):
                self.apply(Change("ADDED", resource, obj, None, store.rv))

    def apply(self, change: Change) -> None:
        """Follow one change of a Service, an EndpointSlice or a node."""
        put = {"services": self._service, SLICES: self._slice, "nodes": self._node}.get(change.resource)
        if put is None:
            return
        if change.previous is not None:
            put(change.previous, False)
        if change.type == "DELETED":
            put(change.object, False)
        else:
            put(change.object, True)

    def _service(self, service: Obj, there: bool) -> None:
        key = (service["metadata"]["namespace"], service["metadata"]["name"])
        for address in addresses_of(service):
            if there:
                self._by_ip[address] = key
            elif self._by_ip.get(address) == key:
                del self._by_ip[address]
        for port in service["spec"].get("ports") or ():
            if port.get("nodePort"):
                number = (port.get("protocol", "TCP"), port["nodePort"])
                if there:
                    self._by_node_port[number] = key
                elif self._by_node_port.get(number) == key:
                    del self._by_node_port[number]

    def _slice(self, piece: Obj, there: bool) -> None:
        meta = piece["metadata"]
        owner = (meta.get("labels") or {}).get(SERVICE)
        if not owner:
            return
        key = (meta["namespace"], owner)
        if there:
            self._slices.setdefault(key, {})[meta["name"]] = piece
        else:
            kept = self._slices.get(key, {})
            kept.pop(meta["name"], None)
            if not kept:
                self._slices.pop(key, None)
        for known in [k for k in self._backends if k[0] == key]:
            del self._backends[known]

    def _node(self, node: Obj, there: bool) -> None:
        for entry in (node.get("status") or {}).get("addresses") or ():
            address = entry.get("address", "")
            if there:
                self._nodes[address] = node["metadata"]["name"]
            elif self._nodes.get(address) == node["metadata"]["name"]:
                del self._nodes[address]

    # reads

    def service_at(self, address: str) -> Obj | None:
        """Return the Service that has an address (cluster, external or load balancer IP)."""
        key = self._by_ip.get(address)
        return self.store.get("services", *key) if key is not None else None

    def node_port(self, port: int, protocol: str) -> Obj | None:
        """Return the Service whose node port this is."""
        key = self._by_node_port.get((protocol, port))
        return self.store.get("services", *key) if key is not None else None

    def node_at(self, address: str) -> str:
        """Return the name of the node that has an address; empty when none has."""
        return self._nodes.get(address, "")

    def backends(self, key: Key, port: Obj | None) -> list[Backend]:
        """Return the endpoints behind one port of a Service (None: of a headless one without ports), in slice order."""
        name = (port or {}).get("name") or ""
        protocol = (port or {}).get("protocol", "TCP")
        wanted = (key, name if port is not None else "\0", protocol)
        found = self._backends.get(wanted)
        if found is None:
            found = self._backends[wanted] = self._collect(key, port is None, name, protocol)
        return found

    def _collect(self, key: Key, any_port: bool, name: str, protocol: str) -> list[Backend]:
        found = []
        pieces = self._slices.get(key, {})
        for _, piece in sorted(pieces.items()):
            ports = piece.get("ports") or ()
            if any_port:
                number = 0
            else:
                entry = next(
                    (p for p in ports if (p.get("name") or "") == name and p.get("protocol", "TCP") == protocol), None
                )
                if entry is None:
                    continue
                number = int(entry.get("port") or 0)
            for endpoint in piece.get("endpoints") or ():
                conditions = endpoint.get("conditions") or {}
                ref = endpoint.get("targetRef") or {}
                pod = (ref.get("namespace") or key[0], ref["name"]) if ref.get("kind") == "Pod" else None
                ready = conditions.get("ready")
                ready = True if ready is None else bool(ready)
                serving = conditions.get("serving")
                for address in (endpoint.get("addresses") or ())[:1]:
                    found.append(
                        Backend(
                            address=address,
                            port=number,
                            node=endpoint.get("nodeName") or "",
                            hostname=endpoint.get("hostname") or "",
                            pod=pod,
                            ready=ready,
                            serving=ready if serving is None else bool(serving),
                            terminating=bool(conditions.get("terminating")),
                        )
                    )
        return found


def addresses_of(service: Obj) -> list[str]:
    """Return the addresses that kube-proxy leads to a Service."""
    spec = service["spec"]
    if spec.get("type") == "ExternalName":
        return []
    own = spec.get("clusterIPs") or [spec.get("clusterIP")]
    found = [a for a in own if a and a != "None"]
    found += spec.get("externalIPs") or []
    for entry in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
        if entry.get("ip"):
            found.append(entry["ip"])
    return found
