"""Cluster IPs and node ports: who has which, and the next free one."""

from __future__ import annotations

import ipaddress
import random
from typing import Any

from stratus.sim.api.status import Problems
from stratus.sim.store import Change, Store

Obj = dict[str, Any]
SERVICE_NETWORK = ipaddress.ip_network("10.96.0.0/16")
#: Addresses handed out on request only: the first ones serve the API and DNS.
RESERVED = 256
_ADDRESSED = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy")
NODE_PORTS = range(30000, 32768)


class ServiceAllocator:
    """Follows the services of a store, so that an allocation looks at nothing else."""

    def __init__(self, store: Store) -> None:
        self._ips: dict[str, int] = {}
        self._ports: dict[int, int] = {}
        for service in store.list("services"):
            self._count(service, 1)
        self._end = store.subscribe(self._on_change, "services")

    def close(self) -> None:
        """Stop following the store."""
        self._end()

    def _on_change(self, change: Change) -> None:
        if change.resource != "services":
            return
        if change.previous is not None:
            self._count(change.previous, -1)
        if change.type != "DELETED":
            self._count(change.object, 1)

    def _count(self, service: Obj, step: int) -> None:
        for ip in service["spec"].get("clusterIPs") or ():
            if ip and ip != "None":
                self._ips[ip] = self._ips.get(ip, 0) + step
        for port in service["spec"].get("ports") or ():
            if port.get("nodePort"):
                self._ports[port["nodePort"]] = self._ports.get(port["nodePort"], 0) + step

    def assign(self, service: Obj, old: Obj | None, rng: random.Random, problems: Problems) -> None:
        """Give a (fresh, owned) service the addresses and ports its type needs, keeping what `old` had."""
        spec = service["spec"]
        before: Obj = (old or {}).get("spec") or {}
        if spec.get("type") == "ExternalName":
            if before and before.get("type") != "ExternalName":
                for gone in _ADDRESSED:
                    if spec.get(gone) == before.get(gone) or gone == "clusterIPs":
                        spec.pop(gone, None)
            return
        if spec.get("clusterIPs") and not spec.get("clusterIP") and not before.get("clusterIP"):
            return  # refused by validation
        self._addresses(spec, before, rng, problems)
        if problems:
            return
        if spec.get("type") in ("NodePort", "LoadBalancer"):
            wanted = spec.get("type") == "NodePort" or spec.get("allocateLoadBalancerNodePorts", True)
            self._node_ports(spec, before, rng, problems, wanted)
        elif before.get("type") in ("NodePort", "LoadBalancer"):
            if not spec.get("externalIPs"):
                for gone in ("externalTrafficPolicy", "healthCheckNodePort", "allocateLoadBalancerNodePorts"):
                    if spec.get(gone) == before.get(gone):
                        spec.pop(gone, None)
            mine = {p.get("nodePort") for p in before.get("ports") or ()}
            for port in spec.get("ports") or ():
                if port.get("nodePort") in mine:
                    del port["nodePort"]

    def _addresses(self, spec: Obj, before: Obj, rng: random.Random, problems: Problems) -> None:
        if not spec.get("clusterIP") and before.get("clusterIP") and before.get("type") != "ExternalName":
            spec["clusterIP"] = before["clusterIP"]
            spec["clusterIPs"] = before.get("clusterIPs") or [before["clusterIP"]]
        ip = spec.get("clusterIP") or ((spec.get("clusterIPs") or [""])[0])
        held = before.get("clusterIPs") or ()
        if ip == "None":
            spec["clusterIP"], spec["clusterIPs"] = "None", ["None"]
        elif ip:
            if ip not in held:
                try:
                    inside = ipaddress.ip_address(ip) in SERVICE_NETWORK
                except ValueError:
                    problems.invalid(
                        "spec.clusterIPs[0]", ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
                    )
                    return
                why = ""
                if not inside:
                    why = "the provided network does not match the current range"
                elif self._ips.get(ip):
                    why = "provided IP is already allocated"
                if why:
                    problems.invalid("spec.clusterIPs", [ip], f"failed to allocate IP {ip}: {why}")
                    return
            spec["clusterIP"], spec["clusterIPs"] = ip, [ip]
        else:
            size = SERVICE_NETWORK.num_addresses
            while True:
                ip = str(SERVICE_NETWORK[rng.randrange(RESERVED, size - 1)])
                if not self._ips.get(ip):
                    break
            spec["clusterIP"], spec["clusterIPs"] = ip, [ip]
        spec.setdefault("ipFamilies", ["IPv4"])
        if not (ip == "None" and not spec.get("selector")):
            spec.setdefault("ipFamilyPolicy", "SingleStack")
        else:
            spec.setdefault("ipFamilyPolicy", "RequireDualStack")
            if spec["ipFamilies"] == ["IPv4"]:
                spec["ipFamilies"] = ["IPv4", "IPv6"]

    def _node_ports(self, spec: Obj, before: Obj, rng: random.Random, problems: Problems, wanted: bool) -> None:
        held = {p.get("nodePort") for p in before.get("ports") or ()} - {None}
        by_port = {(p.get("protocol"), p["port"]): p.get("nodePort") for p in before.get("ports") or ()}
        taken: set[int] = set()
        for index, port in enumerate(spec.get("ports") or ()):
            if not port.get("nodePort"):
                port.pop("nodePort", None)
                kept = by_port.get((port.get("protocol"), port.get("port")))
                if kept:
                    port["nodePort"] = kept
            number = port.get("nodePort")
            if number and number not in held:
                if number not in NODE_PORTS:
                    detail = "provided port is not in the valid range. The range of valid ports is 30000-32767"
                    problems.invalid(f"spec.ports[{index}].nodePort", number, detail)
                elif self._ports.get(number):
                    problems.invalid(f"spec.ports[{index}].nodePort", number, "provided port is already allocated")
            if number:
                taken.add(number)
        for port in spec.get("ports") or () if wanted else ():
            if not port.get("nodePort"):
                while True:
                    number = rng.choice(NODE_PORTS)
                    if number not in taken and not self._ports.get(number):
                        break
                port["nodePort"] = number
                taken.add(number)
        spec_policy = spec.get("externalTrafficPolicy")
        if spec.get("type") == "LoadBalancer" and spec_policy == "Local" and not spec.get("healthCheckNodePort"):
            if before.get("healthCheckNodePort"):
                spec["healthCheckNodePort"] = before["healthCheckNodePort"]
            else:
                number = next(n for n in NODE_PORTS if n not in taken and not self._ports.get(n))
                spec["healthCheckNodePort"] = number
