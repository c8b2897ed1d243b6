"""Descriptions of what lets traffic through: network policies and endpoint slices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stratus.cluster.kubectl.reads.base import Look
from stratus.cluster.kubectl.reads.describing_workloads import selector_text
from stratus.cluster.kubectl.reads.podtext import Lines, indent, notes, several
from stratus.kit.kube import dig
from stratus.model.base import Json

_ANY_POD = "<none> (Allowing the specific traffic to all pods in this namespace)"


def policy(look: Look, obj: Json) -> Lines:
    """Describe a NetworkPolicy: which pods it is about, and what it lets in and out."""
    meta, spec = obj["metadata"], obj.get("spec") or {}
    created = str(meta.get("creationTimestamp", "")).replace("T", " ").replace("Z", " +0000 UTC")
    lines = [f"Name:\t{meta['name']}", f"Namespace:\t{meta.get('namespace', '')}", f"Created on:\t{created}"]
    lines += [*several("Labels", meta.get("labels")), *notes(meta.get("annotations")), "Spec:"]
    chosen = selector_text(spec.get("podSelector"))
    lines.append(f"  PodSelector:     {_ANY_POD if chosen == '<none>' else chosen}")
    types = spec.get("policyTypes") or []
    for word, rules, field, to in (("Ingress", "ingress", "from", "To"), ("Egress", "egress", "to", "To")):
        if word not in types:
            lines.append(f"  Not affecting {word.lower()} traffic")
            continue
        lines.append(f"  Allowing {word.lower()} traffic:")
        lines += indent(_rules(spec.get(rules) or [], field, to, word.lower()), 4)
    return [*lines, f"  Policy Types: {', '.join(types)}"]


def _rules(rules: list[Json], field: str, to: str, word: str) -> Lines:
    if not rules:
        return [f"<none> (Selected pods are isolated for {word} connectivity)"]
    lines: Lines = []
    for at, rule in enumerate(rules):
        lines += ["----------"] if at else []
        ports = rule.get("ports") or []
        lines += [f"{to} Port: {_port(p)}" for p in ports] or [f"{to} Port: <any> (traffic allowed to all ports)"]
        peers = rule.get(field) or []
        title = field.capitalize()
        if not peers:
            lines.append(f"{title}: <any> (traffic not restricted by {'source' if field == 'from' else 'destination'})")
        for peer in peers:
            lines += [f"{title}:", *indent(_peer(peer))]
    return lines


def _port(port: Json) -> str:
    number = port.get("port", "<any>")
    until = f"-{port['endPort']}" if port.get("endPort") else ""
    return f"{number}{until}/{port.get('protocol', 'TCP')}"


def _peer(peer: Json) -> Lines:
    block = peer.get("ipBlock")
    if block:
        return ["IPBlock:", f"  CIDR: {block.get('cidr')}", f"  Except: {', '.join(block.get('except') or ())}"]
    lines = []
    for title, field in (("NamespaceSelector", "namespaceSelector"), ("PodSelector", "podSelector")):
        if field in peer:
            lines.append(f"{title}: {selector_text(peer[field])}")
    return lines


def endpoint_slice(look: Look, obj: Json) -> Lines:
    """Describe an EndpointSlice."""
    meta = obj["metadata"]
    lines = [
        f"Name:\t{meta['name']}",
        f"Namespace:\t{meta.get('namespace', '')}",
        *several("Labels", meta.get("labels")),
    ]
    lines += [*notes(meta.get("annotations")), f"AddressType:\t{obj.get('addressType', '')}"]
    ports = obj.get("ports") or []
    if ports:
        lines += ["Ports:", "  Name\tPort\tProtocol", "  ----\t----\t--------"]
        lines += [f"  {p.get('name') or '<unset>'}\t{p.get('port', '<unset>')}\t{p.get('protocol', '')}" for p in ports]
    else:
        lines.append("Ports:\t<unset>")
    endpoints = obj.get("endpoints") or []
    lines.append("Endpoints:" if endpoints else "Endpoints:\t<none>")
    for endpoint in endpoints:
        lines += _endpoint(endpoint)
    return lines


def _endpoint(endpoint: Json) -> Lines:
    def said(value: Any) -> str:
        return "<unset>" if value in (None, "") else str(value)

    target = endpoint.get("targetRef")
    ready = dig(endpoint, "conditions", "ready")
    lines = [f"  - Addresses:\t{', '.join(endpoint.get('addresses') or ())}", "    Conditions:"]
    lines.append(f"      Ready:\t{said(ready).lower()}")
    lines.append(f"    Hostname:\t{said(endpoint.get('hostname'))}")
    if target:
        lines.append(f"    TargetRef:\t{target.get('kind')}/{target.get('name')}")
    return [*lines, f"    NodeName:\t{said(endpoint.get('nodeName'))}", f"    Zone:\t{said(endpoint.get('zone'))}"]


DESCRIBERS: dict[tuple[str, str], Callable[[Look, Json], Lines]] = {
    ("networking.k8s.io", "NetworkPolicy"): policy,
    ("discovery.k8s.io", "EndpointSlice"): endpoint_slice,
}
