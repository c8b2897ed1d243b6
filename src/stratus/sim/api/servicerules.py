"""Rules of Services, and of the endpoints behind them."""

from __future__ import annotations

import ipaddress
from typing import Any

from stratus.sim.api import fieldrules, internals
from stratus.sim.api.fieldrules import maybe_one_of, one_of
from stratus.sim.api.names import check_labels, label_problems
from stratus.sim.api.rulebase import IMMUTABLE, Change, Rule
from stratus.sim.api.status import Problems

Obj = dict[str, Any]
_KINDS = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_FAMILIES = ("IPv4", "IPv6")
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_TRAFFIC = ("Cluster", "Local")
_KUBELET_PORT = 10250


def _service(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    kind, headless = spec.get("type"), spec.get("clusterIP") == "None"
    ports = spec.get("ports") or []
    if not ports and not headless and kind != "ExternalName":
        problems.required("spec.ports")
    _by_kind(spec, kind, headless, ports, problems)
    names: set[str] = set()
    for index, port in enumerate(ports):
        _port(f"spec.ports[{index}]", port, len(ports) > 1, names, problems)
    check_labels(spec.get("selector"), "spec.selector", problems)
    _affinity(spec, problems)
    if kind != "ExternalName":
        _addresses(spec, headless, problems)
    for index, ip in enumerate(spec.get("externalIPs") or ()):
        if fieldrules.ip_address(f"spec.externalIPs[{index}]", ip, problems):
            fieldrules.endpoint_ip(f"spec.externalIPs[{index}]", ip, problems)
    one_of("spec.type", kind, _KINDS, problems)
    _unique_ports(kind, ports, problems)
    _balancer(spec, kind, problems)
    _traffic(spec, kind, problems)


def _by_kind(spec: Obj, kind: Any, headless: bool, ports: list[Obj], problems: Problems) -> None:
    if kind == "LoadBalancer":
        for index, port in enumerate(ports):
            if port.get("port") == _KUBELET_PORT:
                text = "may not expose port 10250 externally since it is used by kubelet"
                problems.invalid(f"spec.ports[{index}]", _KUBELET_PORT, text)
    if kind in ("LoadBalancer", "NodePort") and headless:
        problems.invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    if kind == "ExternalName":
        for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if spec.get(field) or (field == "clusterIPs" and spec.get("clusterIP")):
                problems.forbidden(f"spec.{field}", "may not be set for ExternalName services")
        name = spec.get("externalName", "").removesuffix(".")
        if name:
            fieldrules.subdomain("spec.externalName", name, problems)
        else:
            problems.required("spec.externalName")


def _port(here: str, port: Obj, named: bool, names: set[str], problems: Problems) -> None:
    name = port.get("name", "")
    if named and not name:
        problems.required(f"{here}.name")
    elif name:
        fieldrules.dns_label(f"{here}.name", name, problems)
        if name in names:
            problems.duplicate(f"{here}.name", name)
        names.add(name)
    fieldrules.port_number(f"{here}.port", port.get("port"), problems)
    fieldrules.protocol(f"{here}.protocol", port.get("protocol"), problems)
    fieldrules.target_port(f"{here}.targetPort", port.get("targetPort"), problems)
    if port.get("appProtocol") is not None:
        fieldrules.qualified(f"{here}.appProtocol", port["appProtocol"], problems)


def _affinity(spec: Obj, problems: Problems) -> None:
    affinity, config = spec.get("sessionAffinity"), spec.get("sessionAffinityConfig")
    one_of("spec.sessionAffinity", affinity, ("ClientIP", "None"), problems)
    here = "spec.sessionAffinityConfig"
    if affinity == "ClientIP":
        client = (config or {}).get("clientIP")
        if config is None:
            problems.required(here, "when session affinity type is ClientIP")
        elif client is None or client.get("timeoutSeconds") is None:
            text = "when session affinity type is ClientIP"
            problems.required(f"{here}.clientIP{'' if client is None else '.timeoutSeconds'}", text)
        elif not 0 < client["timeoutSeconds"] <= 86400:
            text = "must be greater than 0 and less than 86400"
            problems.invalid(f"{here}.clientIP.timeoutSeconds", client["timeoutSeconds"], text)
    elif affinity == "None" and config is not None:
        problems.forbidden(here, "must not be set when session affinity is None")


def _addresses(spec: Obj, headless: bool, problems: Problems) -> None:
    ips, families = spec.get("clusterIPs") or [], spec.get("ipFamilies") or []
    if ips and not spec.get("clusterIP"):
        problems.invalid("spec.clusterIPs", ips, "must be empty when `clusterIP` is not specified")
    elif ips and ips[0] != spec.get("clusterIP"):
        problems.invalid("spec.clusterIPs", ips, "first value must match `clusterIP`")
    for index, family in enumerate(families):
        here = f"spec.ipFamilies[{index}]"
        if family not in _FAMILIES:
            problems.unsupported(here, family, _FAMILIES)
        elif family in families[:index]:
            problems.duplicate(here, family)
        elif family == "IPv6" and not (headless and not spec.get("selector")):
            problems.invalid(here, family, "not configured on this cluster")
    maybe_one_of("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), _FAMILY_POLICIES, problems)
    for index, ip in enumerate(ips):
        if index == 0 and ip == "None":
            if len(ips) > 1:
                problems.invalid("spec.clusterIPs", ips, "'None' must be the first and only value")
            continue
        fieldrules.ip_address(f"spec.clusterIPs[{index}]", ip, problems)
    if len(ips) > 2:
        problems.invalid("spec.clusterIPs", ips, "may only hold up to 2 values")


def _unique_ports(kind: Any, ports: list[Obj], problems: Problems) -> None:
    if kind == "ClusterIP":
        for index, port in enumerate(ports):
            if port.get("nodePort"):
                text = "may not be used when `type` is 'ClusterIP'"
                problems.forbidden(f"spec.ports[{index}].nodePort", text)
    outer: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        if port.get("nodePort"):
            key = (port.get("protocol"), port["nodePort"])
            if key in outer:
                problems.duplicate(f"spec.ports[{index}].nodePort", port["nodePort"])
            outer.add(key)
    inner: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        key = (port.get("protocol"), port.get("port"))
        if key in inner:
            shown = internals.dump("io.k8s.api.core.v1.ServicePort", {"protocol": key[0], "port": key[1] or 0})
            problems.duplicate(f"spec.ports[{index}]", shown)
        inner.add(key)


def _balancer(spec: Obj, kind: Any, problems: Problems) -> None:
    only, ranges = "may only be used when `type` is 'LoadBalancer'", spec.get("loadBalancerSourceRanges") or []
    if ranges:
        if kind != "LoadBalancer":
            problems.forbidden("spec.LoadBalancerSourceRanges", only)
        for index, value in enumerate(ranges):
            fieldrules.cidr(f"spec.LoadBalancerSourceRanges[{index}]", value.strip(), problems)
    if spec.get("allocateLoadBalancerNodePorts") is not None and kind != "LoadBalancer":
        problems.forbidden("spec.allocateLoadBalancerNodePorts", only)
    name = spec.get("loadBalancerClass")
    if name is not None:
        if kind != "LoadBalancer":
            problems.forbidden("spec.loadBalancerClass", only)
        else:
            fieldrules.qualified("spec.loadBalancerClass", name, problems)


def _traffic(spec: Obj, kind: Any, problems: Problems) -> None:
    policy = spec.get("externalTrafficPolicy")
    outside = kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and spec.get("externalIPs"))
    if not outside:
        if policy:
            text = "may only be set for externally-accessible services"
            problems.invalid("spec.externalTrafficPolicy", policy, text)
    else:
        one_of("spec.externalTrafficPolicy", policy, _TRAFFIC, problems)
    check = spec.get("healthCheckNodePort")
    if check and not (kind == "LoadBalancer" and policy == "Local"):
        text = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        problems.invalid("spec.healthCheckNodePort", check, text)
    maybe_one_of("spec.internalTrafficPolicy", spec.get("internalTrafficPolicy"), _TRAFFIC, problems)
    near = ("PreferClose", "PreferSameNode", "PreferSameZone")
    maybe_one_of("spec.trafficDistribution", spec.get("trafficDistribution"), near, problems)


def _service_update(o: Obj, old: Obj, problems: Problems) -> None:
    a, b = o["spec"], old["spec"]
    if "ExternalName" in (a.get("type"), b.get("type")):
        return
    if b.get("clusterIPs") and a.get("clusterIPs") != b["clusterIPs"]:
        problems.invalid("spec.clusterIPs[0]", a.get("clusterIPs"), "may not change once set")
    if a.get("type") == b.get("type") == "LoadBalancer" and a.get("loadBalancerClass") != b.get("loadBalancerClass"):
        problems.invalid("spec.loadBalancerClass", a.get("loadBalancerClass"), "may not change once set")


# endpoints


def _endpoints(o: Obj, problems: Problems) -> None:
    for index, subset in enumerate(o.get("subsets") or ()):
        here, ports = f"subsets[{index}]", subset.get("ports") or []
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            problems.required(here, "must specify `addresses` or `notReadyAddresses`")
        for field in ("addresses", "notReadyAddresses"):
            for at, address in enumerate(subset.get(field) or ()):
                _address(f"{here}.{field}[{at}]", address, problems)
        for at, port in enumerate(ports):
            place, name = f"{here}.ports[{at}]", port.get("name", "")
            if len(ports) > 1 and not name:
                problems.required(f"{place}.name")
            elif name:
                fieldrules.dns_label(f"{place}.name", name, problems)
            fieldrules.port_number(f"{place}.port", port.get("port"), problems)
            fieldrules.protocol(f"{place}.protocol", port.get("protocol"), problems)
            if port.get("appProtocol") is not None:
                fieldrules.qualified(f"{place}.appProtocol", port["appProtocol"], problems)


def _address(here: str, address: Obj, problems: Problems) -> None:
    good = fieldrules.ip_address(f"{here}.ip", address.get("ip", ""), problems)
    if address.get("hostname"):
        fieldrules.dns_label(f"{here}.hostname", address["hostname"], problems)
    if address.get("nodeName"):
        fieldrules.subdomain(f"{here}.nodeName", address["nodeName"], problems)
    if good:
        fieldrules.endpoint_ip(f"{here}.ip", address["ip"], problems)


def _slice(o: Obj, problems: Problems) -> None:
    kind = o.get("addressType", "")
    one_of("addressType", kind, ("FQDN", "IPv4", "IPv6"), problems)
    listed = o.get("endpoints") or []
    if len(listed) > 1000:
        text = f"Too many: {len(listed)}: must have at most 1000 items"
        problems.raw("FieldValueTooMany", "endpoints", text)
        return
    for index, endpoint in enumerate(listed):
        here, addresses = f"endpoints[{index}]", endpoint.get("addresses") or []
        if not addresses:
            problems.required(f"{here}.addresses", "must contain at least 1 address")
        elif len(addresses) > 100:
            text = f"Too many: {len(addresses)}: must have at most 100 items"
            problems.raw("FieldValueTooMany", f"{here}.addresses", text)
        for at, address in enumerate(addresses):
            _slice_address(f"{here}.addresses[{at}]", address, kind, problems)
        if endpoint.get("nodeName"):
            fieldrules.subdomain(f"{here}.nodeName", endpoint["nodeName"], problems)
        if endpoint.get("hostname"):
            for problem in label_problems(endpoint["hostname"]):
                problems.invalid(f"{here}.hostname", endpoint["hostname"], problem)
    names: set[str] = set()
    for index, port in enumerate(o.get("ports") or ()):
        here, name = f"ports[{index}]", port.get("name") or ""
        if name:
            fieldrules.dns_label(f"{here}.name", name, problems)
        if name in names:
            problems.duplicate(f"{here}.name", name)
        names.add(name)
        one_of(f"{here}.protocol", port.get("protocol"), fieldrules.PROTOCOLS, problems)
        if port.get("appProtocol") is not None:
            fieldrules.qualified(f"{here}.appProtocol", port["appProtocol"], problems)


def _slice_address(here: str, address: str, kind: str, problems: Problems) -> None:
    if kind == "FQDN":
        fieldrules.subdomain(here, address.removesuffix("."), problems)
        return
    if kind not in _FAMILIES:
        return
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        problems.invalid(here, address, fieldrules.IP_TEXT)
        return
    if f"IPv{version}" != kind:
        problems.invalid(here, address, f"must be an {kind} address")
    fieldrules.endpoint_ip(here, address, problems)


def _slice_update(o: Obj, old: Obj, problems: Problems) -> None:
    if o.get("addressType") != old.get("addressType"):
        problems.invalid("addressType", o.get("addressType"), IMMUTABLE)


CREATE: dict[str, Rule] = {"Service": _service, "Endpoints": _endpoints, "EndpointSlice": _slice}
UPDATE: dict[str, Change] = {"Service": _service_update, "EndpointSlice": _slice_update}
