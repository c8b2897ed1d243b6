"""Rules of Ingresses, their classes, and NetworkPolicies."""

from __future__ import annotations

import re
from typing import Any

from stratus.sim.api import fieldrules, internals
from stratus.sim.api.fieldrules import maybe_one_of
from stratus.sim.api.names import subdomain_problems
from stratus.sim.api.rulebase import IMMUTABLE, Change, Rule, label_selector
from stratus.sim.api.status import Problems

Obj = dict[str, Any]
_SPEC = "io.k8s.api.networking.v1.IngressSpec"
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_WILDCARD = f"\\*\\.{_LABEL}(\\.{_LABEL})*"
_WILDCARD_TEXT = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
    "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', "
    f"regex used for validation is '{_WILDCARD}')"
)
_SEQUENCES, _ENDINGS = ("//", "/./", "/../", "%2f", "%2F"), ("/..", "/.")


def _ingress(o: Obj, problems: Problems) -> None:
    spec = o.get("spec") or {}
    if not spec.get("rules") and spec.get("defaultBackend") is None:
        shown = internals.dump(_SPEC, spec)
        problems.invalid("spec", shown, "either `defaultBackend` or `rules` must be specified")
    if spec.get("defaultBackend") is not None:
        _backend("spec.defaultBackend", spec["defaultBackend"], problems)
    for index, rule in enumerate(spec.get("rules") or ()):
        here = f"spec.rules[{index}]"
        if rule.get("host"):
            if fieldrules.is_ip(rule["host"]):
                problems.invalid(f"{here}.host", rule["host"], "must be a DNS name, not an IP address")
            _host(f"{here}.host", rule["host"], problems)
        http = rule.get("http")
        if http is None:
            continue
        if not http.get("paths"):
            problems.required(f"{here}.http.paths")
        for at, path in enumerate(http.get("paths") or ()):
            _path(f"{here}.http.paths[{at}]", path, problems)
    for index, entry in enumerate(spec.get("tls") or ()):
        for at, host in enumerate(entry.get("hosts") or ()):
            _host(f"spec.tls[{index}].hosts[{at}]", host, problems)
        if entry.get("secretName"):
            fieldrules.subdomain(f"spec.tls[{index}].secretName", entry["secretName"], problems)
    if spec.get("ingressClassName") is not None:
        fieldrules.subdomain("spec.ingressClassName", spec["ingressClassName"], problems)


def _host(path: str, host: str, problems: Problems) -> None:
    if "*" not in host:
        fieldrules.subdomain(path, host, problems)
    elif not re.fullmatch(_WILDCARD, host):
        problems.invalid(path, host, _WILDCARD_TEXT)


def _path(here: str, path: Obj, problems: Problems) -> None:
    kind, value = path.get("pathType"), path.get("path", "")
    if kind is None:
        problems.required(f"{here}.pathType", "pathType must be specified")
        return
    if kind in ("Exact", "Prefix"):
        if not value.startswith("/"):
            problems.invalid(f"{here}.path", value, "must be an absolute path")
        for bad in _SEQUENCES:
            if bad in value:
                problems.invalid(f"{here}.path", value, f"must not contain '{bad}'")
        for bad in _ENDINGS:
            if value.endswith(bad):
                problems.invalid(f"{here}.path", value, f"cannot end with '{bad}'")
    elif kind == "ImplementationSpecific":
        if value and not value.startswith("/"):
            problems.invalid(f"{here}.path", value, "must be an absolute path")
    else:
        problems.unsupported(f"{here}.pathType", kind, ["Exact", "ImplementationSpecific", "Prefix"])
    _backend(f"{here}.backend", path.get("backend") or {}, problems)


def _backend(here: str, backend: Obj, problems: Problems) -> None:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        problems.invalid(here, "", "cannot set both resource and service backends")
    elif resource is not None:
        for field in ("kind", "name"):
            if not resource.get(field):
                problems.required(f"{here}.resource.{field}")
    elif service is None:
        problems.invalid(here, "", "resource or service backend is required")
    else:
        _service(here, service, problems)


def _service(here: str, service: Obj, problems: Problems) -> None:
    if not service.get("name"):
        problems.required(f"{here}.service.name")
    else:
        fieldrules.dns_label(f"{here}.service.name", service["name"], problems)
    port = service.get("port") or {}
    if port.get("name") and port.get("number"):
        problems.invalid(here, "", "cannot set both port name & port number")
    elif port.get("name"):
        fieldrules.port_name(f"{here}.service.port.name", port["name"], problems)
    elif port.get("number"):
        fieldrules.port_number(f"{here}.service.port.number", port["number"], problems)
    else:
        problems.required(here, "port name or number is required")


def _class(o: Obj, problems: Problems) -> None:
    spec = o.get("spec") or {}
    controller, here = spec.get("controller", ""), "spec.controller"
    if len(controller) > 250:
        problems.too_long(here, 250)
    host, slash, rest = controller.partition("/")
    if not controller:
        problems.required(here)
    elif not slash or not rest or subdomain_problems(host):
        problems.invalid(here, controller, 'must be a domain-prefixed path (such as "acme.io/foo")')
    parameters = spec.get("parameters")
    if parameters is None:
        return
    for field in ("kind", "name"):
        if not parameters.get(field):
            problems.required(f"spec.parameters.{field}", f"{field} is required")
    scope = parameters.get("scope")
    maybe_one_of("spec.parameters.scope", scope, ("Cluster", "Namespace"), problems)
    if scope == "Namespace" and not parameters.get("namespace"):
        text = '`parameters.scope` is set to "Namespace"'
        problems.required("spec.parameters.namespace", text)
    if scope == "Cluster" and parameters.get("namespace"):
        problems.forbidden("spec.parameters.namespace", '`parameters.scope` is set to "Cluster"')


def _class_update(o: Obj, old: Obj, problems: Problems) -> None:
    new, was = ((x.get("spec") or {}).get("controller") for x in (o, old))
    if new != was:
        problems.invalid("spec.controller", new, IMMUTABLE)


# policies


def _network_policy(o: Obj, problems: Problems) -> None:
    spec = o.get("spec") or {}
    label_selector("spec.podSelector", spec.get("podSelector") or {}, problems)
    for field, side in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(field) or ()):
            here = f"spec.{field}[{index}]"
            for at, port in enumerate(rule.get("ports") or ()):
                _policy_port(f"{here}.ports[{at}]", port, problems)
            for at, peer in enumerate(rule.get(side) or ()):
                _peer(f"{here}.{side}[{at}]", peer, problems)
    kinds = spec.get("policyTypes") or []
    if len(kinds) > 2:
        problems.invalid("spec.policyTypes", kinds, "may not specify more than two policyTypes")
        return
    for index, kind in enumerate(kinds):
        if kind not in ("Ingress", "Egress"):
            problems.unsupported(f"spec.policyTypes[{index}]", kind, ["Ingress", "Egress"])


def _policy_port(here: str, port: Obj, problems: Problems) -> None:
    maybe_one_of(f"{here}.protocol", port.get("protocol"), ("TCP", "UDP", "SCTP"), problems)
    value, end = port.get("port"), port.get("endPort")
    if isinstance(value, int):
        fieldrules.port_number(f"{here}.port", value, problems)
        if end is not None:
            if end < value:
                problems.invalid(f"{here}.endPort", value, "must be greater than or equal to `port`")
            fieldrules.port_number(f"{here}.endPort", end, problems)
    elif value is not None:
        if end is not None:
            problems.invalid(f"{here}.endPort", end, "may not be specified when `port` is non-numeric")
        fieldrules.port_name(f"{here}.port", value, problems)
    elif end is not None:
        problems.invalid(f"{here}.endPort", end, "may not be specified when `port` is not specified")


def _peer(here: str, peer: Obj, problems: Problems) -> None:
    for field in ("podSelector", "namespaceSelector"):
        if peer.get(field) is not None:
            label_selector(f"{here}.{field}", peer[field], problems)
    block = peer.get("ipBlock")
    if block is not None:
        _block(f"{here}.ipBlock", block, problems)
    kinds = [f for f in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(f) is not None]
    if not kinds:
        problems.required(here, "must specify a peer")
    elif len(kinds) > 1 and block is not None:
        problems.forbidden(here, "may not specify both ipBlock and another peer")


def _block(here: str, block: Obj, problems: Problems) -> None:
    if not block.get("cidr"):
        problems.required(f"{here}.cidr")
        return
    outer = fieldrules.cidr(f"{here}.cidr", block["cidr"], problems)
    if outer is None:
        return
    for index, value in enumerate(block.get("except") or ()):
        place = f"{here}.except[{index}]"
        inner = fieldrules.cidr(place, value, problems)
        if inner is None:
            return
        inside = inner.version == outer.version and inner.network_address in outer
        if not inside or inner.prefixlen <= outer.prefixlen:
            problems.invalid(place, value, "must be a strict subset of `cidr`")


CREATE: dict[str, Rule] = {"Ingress": _ingress, "IngressClass": _class, "NetworkPolicy": _network_policy}
UPDATE: dict[str, Change] = {"IngressClass": _class_update}
