"""Rules of the network: Services, Ingresses, NetworkPolicies."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from stratus.sim.api.names import LABEL_TEXT, check_labels, subdomain_problems
from stratus.sim.api.podvalidation import port_name, port_number, target_port
from stratus.sim.api.rulebase import Change, Rule
from stratus.sim.api.status import Problems

Obj = dict[str, Any]


def _service(o: Obj, problems: Problems) -> None:
    spec = o["spec"]
    kind, headless = spec.get("type"), spec.get("clusterIP") == "None"
    ports = spec.get("ports") or []
    if kind == "ExternalName":
        if spec.get("clusterIP") or spec.get("clusterIPs"):
            problems.forbidden("spec.clusterIPs", "may not be set for ExternalName services")
        if not spec.get("externalName"):
            problems.required("spec.externalName")
    elif not ports and not headless:
        problems.required("spec.ports")
    if kind != "ExternalName" and spec.get("clusterIPs") and not spec.get("clusterIP"):
        text = "must be empty when `clusterIP` is not specified"
        problems.invalid("spec.clusterIPs", spec["clusterIPs"], text)
    names: set[str] = set()
    seen: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        here = f"spec.ports[{index}]"
        name = port.get("name", "")
        if not name and len(ports) > 1:
            problems.required(f"{here}.name")
        elif name:
            if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name):
                problems.invalid(f"{here}.name", name, LABEL_TEXT)
            if name in names:
                problems.duplicate(f"{here}.name", name)
            names.add(name)
        port_number(f"{here}.port", port.get("port"), problems)
        if port.get("protocol") not in ("TCP", "UDP", "SCTP"):
            problems.unsupported(f"{here}.protocol", port.get("protocol"), ["SCTP", "TCP", "UDP"])
        target_port(f"{here}.targetPort", port.get("targetPort"), problems)
    for index, port in enumerate(ports):
        key = (port.get("protocol"), port.get("port"))
        if key in seen:
            shown = {
                "Name": "", "Protocol": port.get("protocol"), "AppProtocol": None, "Port": port.get("port", 0),
                "TargetPort": 0, "NodePort": 0,
            }  # fmt: skip
            problems.duplicate(f"spec.ports[{index}]", shown)
        seen.add(key)
    check_labels(spec.get("selector"), "spec.selector", problems)
    if spec.get("sessionAffinity") not in ("ClientIP", "None"):
        problems.unsupported("spec.sessionAffinity", spec.get("sessionAffinity"), ["ClientIP", "None"])
    if kind not in ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"):
        allowed = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
        problems.unsupported("spec.type", kind, allowed)
    for index, family in enumerate(spec.get("ipFamilies") or ()):
        if family == "IPv6" and not (headless and not spec.get("selector")):
            problems.invalid(f"spec.ipFamilies[{index}]", family, "not configured on this cluster")
    policy = spec.get("externalTrafficPolicy")
    if policy and kind not in ("NodePort", "LoadBalancer") and not spec.get("externalIPs"):
        text = "may only be set for externally-accessible services"
        problems.invalid("spec.externalTrafficPolicy", policy, text)


def _service_update(o: Obj, old: Obj, problems: Problems) -> None:
    a, b = o["spec"], old["spec"]
    if "ExternalName" in (a.get("type"), b.get("type")):
        return
    if b.get("clusterIPs") and a.get("clusterIPs") != b["clusterIPs"]:
        problems.invalid("spec.clusterIPs[0]", a.get("clusterIPs"), "may not change once set")


def _ingress(o: Obj, problems: Problems) -> None:
    spec = o.get("spec") or {}
    if not spec.get("rules") and spec.get("defaultBackend") is None:
        problems.invalid("spec", _ingress_dump(spec), "either `defaultBackend` or `rules` must be specified")
    if spec.get("defaultBackend") is not None:
        _backend("spec.defaultBackend", spec["defaultBackend"], problems)
    for index, rule in enumerate(spec.get("rules") or ()):
        here, host = f"spec.rules[{index}]", rule.get("host", "")
        if host:
            for problem in subdomain_problems(host[2:] if host.startswith("*.") else host):
                problems.invalid(f"{here}.host", host, problem)
        http = rule.get("http")
        if http is None:
            continue
        if not http.get("paths"):
            problems.required(f"{here}.http.paths")
        for at, path in enumerate(http.get("paths") or ()):
            _ingress_path(f"{here}.http.paths[{at}]", path, problems)


def _ingress_dump(spec: Obj) -> Obj:
    return {"IngressClassName": spec.get("ingressClassName"), "DefaultBackend": None, "TLS": None, "Rules": None}


def _ingress_path(here: str, path: Obj, problems: Problems) -> None:
    kind, value = path.get("pathType"), path.get("path", "")
    if kind is None:
        problems.required(f"{here}.pathType", "pathType must be specified")
    elif kind in ("Exact", "Prefix"):
        if not value.startswith("/"):
            problems.invalid(f"{here}.path", value, "must be an absolute path")
        for bad in ("//", "/./", "/../", "%2f", "%2F"):
            if bad in value:
                problems.invalid(f"{here}.path", value, f"must not contain '{bad}'")
    elif kind == "ImplementationSpecific":
        if value and not value.startswith("/"):
            problems.invalid(f"{here}.path", value, "must be an absolute path")
    else:
        problems.unsupported(f"{here}.pathType", kind, ["Exact", "ImplementationSpecific", "Prefix"])
    _backend(f"{here}.backend", path.get("backend") or {}, problems)


def _backend(here: str, backend: Obj, problems: Problems) -> None:
    service = backend.get("service")
    if service is None:
        if backend.get("resource") is None:
            problems.required(here, "resource or service backend is required")
        return
    if not service.get("name"):
        problems.required(f"{here}.service.name")
    port = service.get("port") or {}
    if port.get("name") and port.get("number"):
        problems.invalid(here, "", "cannot set both port name & port number")
    elif port.get("name"):
        port_name(f"{here}.service.port.name", port["name"], problems)
    elif port.get("number"):
        port_number(f"{here}.service.port.number", port["number"], problems)
    else:
        problems.required(f"{here}.service.port", "port name or number is required")


def _network_policy(o: Obj, problems: Problems) -> None:
    spec = o.get("spec") or {}
    for field, side in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(field) or ()):
            for at, peer in enumerate(rule.get(side) or ()):
                block = peer.get("ipBlock")
                if block is None:
                    continue
                here, cidr = f"spec.{field}[{index}].{side}[{at}].ipBlock.cidr", block.get("cidr", "")
                try:
                    if "/" not in cidr:
                        raise ValueError
                    ipaddress.ip_network(cidr, strict=False)
                except ValueError:
                    text = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
                    problems.invalid(here, cidr, text)
    for index, kind in enumerate(spec.get("policyTypes") or ()):
        if kind not in ("Ingress", "Egress"):
            problems.unsupported(f"spec.policyTypes[{index}]", kind, ["Ingress", "Egress"])


CREATE: dict[str, Rule] = {"Service": _service, "Ingress": _ingress, "NetworkPolicy": _network_policy}
UPDATE: dict[str, Change] = {"Service": _service_update}
