"""NetworkPolicies that keep callers from a service, by reading the policies themselves."""

from __future__ import annotations

import ipaddress
import json

from stratus.diagnosis.finding import Finding
from stratus.diagnosis.world import Workload, World, note
from stratus.kit.kube import created, dig, label_selects, name_of, namespace_of, port_names, target_of
from stratus.model.base import Json
from stratus.model.refs import ObjectRef

NEW = 3600.0


def analyze(world: World) -> list[Finding]:
    """Return one finding a policy that shuts out every known caller of a service, or shuts in a workload."""
    found: dict[tuple[str, str], Finding] = {}
    for w in world.workloads:
        if w.kind == "Job" or not w.wanted:
            continue
        for direction in ("Ingress", "Egress"):
            policies = selecting(world, w, direction)
            if not policies:
                continue
            blocked, others = _blocked(world, w, policies, direction)
            if blocked is None:
                continue
            policy = _newest(world, policies)
            key = (namespace_of(policy), name_of(policy))
            if key not in found:
                found[key] = _finding(world, w, policy, direction, blocked, others, len(policies))
    return list(found.values())


def selecting(world: World, w: Workload, direction: str) -> list[Json]:
    """Return the policies that apply to a workload's pods in a direction."""
    found = []
    for policy in world.observation.of("NetworkPolicy", w.namespace):
        types = dig(policy, "spec", "policyTypes") or (
            ["Ingress", "Egress"] if dig(policy, "spec", "egress") else ["Ingress"]
        )
        if direction in types and label_selects(dig(policy, "spec", "podSelector", default={}), w.labels):
            found.append(policy)
    return found


def _blocked(world: World, w: Workload, policies: list[Json], direction: str) -> tuple[list[str] | None, list[str]]:
    """Return (those cut off, those let through), (None, ...) when nobody known is cut off."""
    rules = [r for p in policies for r in dig(p, "spec", direction.lower(), default=[])]
    names = world.users(w.service) if direction == "Ingress" else world.callees.get(w.service, set())
    peers = [o for n in sorted(names) if (o := world.behind(n, w.namespace) or world.behind(n)) is not None]
    if not rules:
        who = [p.service for p in peers] or (["everybody"] if w.services or direction == "Egress" else [])
        return (who, []) if who else (None, [])
    if not peers:
        return None, []
    ports = _ports(w) if direction == "Ingress" else None
    cut: list[str] = []
    through: list[str] = []
    for peer in peers:
        wanted = ports if ports is not None else _ports(peer)
        passes = any(_admits(world, r, w, peer, wanted, direction) for r in rules)
        (through if passes else cut).append(peer.service)
    return (cut, through) if cut else (None, through)


def _ports(w: Workload) -> set[int]:
    """Return the container ports that the Services in front of a workload lead to."""
    names = port_names(w.spec)
    targets = [target_of(p) for s in w.services for p in dig(s, "spec", "ports", default=[])]
    return {t if isinstance(t, int) else names.get(t, 0) for t in targets}


def _admits(world: World, rule: Json, w: Workload, peer: Workload, ports: set[int], direction: str) -> bool:
    side = "from" if direction == "Ingress" else "to"
    if rule.get("ports") and ports:
        open_ports: set[int] = set()
        names = port_names(w.spec if direction == "Ingress" else peer.spec)
        for entry in rule["ports"]:
            if entry.get("protocol", "TCP") != "TCP":
                continue
            port = entry.get("port")
            if port is None:
                open_ports |= ports
            elif isinstance(port, str) and not port.isdigit():
                open_ports.add(names.get(port, -1))
            else:
                open_ports |= set(range(int(port), int(entry.get("endPort") or port) + 1))
        if not ports & open_ports:
            return False
    if not rule.get(side):
        return True
    return any(_is_peer(world, entry, w, peer) for entry in rule[side])


def _is_peer(world: World, entry: Json, w: Workload, peer: Workload) -> bool:
    if "ipBlock" in entry:
        try:
            block = ipaddress.ip_network(entry["ipBlock"].get("cidr", ""), strict=False)
            without = [ipaddress.ip_network(e, strict=False) for e in entry["ipBlock"].get("except") or ()]
            ips = [ipaddress.ip_address(ip) for p in peer.pods if (ip := dig(p, "status", "podIP"))]
        except ValueError:
            return False
        return any(ip in block and not any(ip in e for e in without) for ip in ips)
    if "namespaceSelector" in entry:
        space = next((n for n in world.observation.of("Namespace") if name_of(n) == peer.namespace), None)
        labels = dig(space, "metadata", "labels", default={}) or {"kubernetes.io/metadata.name": peer.namespace}
        if not label_selects(entry["namespaceSelector"], labels):
            return False
    elif peer.namespace != w.namespace:
        return False
    return label_selects(entry["podSelector"], peer.labels) if "podSelector" in entry else True


def _newest(world: World, policies: list[Json]) -> Json:
    return max(policies, key=lambda p: (_touched(world, p), name_of(p)))


def _touched(world: World, policy: Json) -> float:
    return max(created(policy), world.changed_at("NetworkPolicy", namespace_of(policy), name_of(policy)))


def _finding(
    world: World, w: Workload, policy: Json, direction: str, cut: list[str], through: list[str], count: int
) -> Finding:
    at = _touched(world, policy)
    verb = "reach" if direction == "Ingress" else "be reached from"
    who = ", ".join(cut[:4])
    felt = (w.namespace, w.service) in world.focus or any(s in {n for _, n in world.focus} for s in cut)
    failing = [e for e in world.edges_to(w.service) if e.errors]
    served = [e for e in world.edges_to(w.service) if e.calls and not e.errors]
    fresh = world.coincides(at) if world.onset else world.now - at < NEW
    confidence = 0.5 + (0.15 if not through else 0.0) + (0.15 if fresh else 0.0) + (0.13 if felt or failing else 0.0)
    finding = Finding(
        fault="network_blocked",
        object=ObjectRef.of(policy, api_version="networking.k8s.io/v1", kind="NetworkPolicy"),
        summary=f"NetworkPolicy {name_of(policy)} does not let {who} {verb} {w.title}",
        confidence=min(0.95, confidence),
        service=w.service,
        workload=w.ref.key,
        facts={"policy": name_of(policy), "workload": f"{w.kind.lower()}/{w.name}"},
        impact=1.0 if not through else 0.6,
        settled=fresh and not through,
    )
    finding.pro.append(note("object", f"NetworkPolicy {name_of(policy)} selects the pods of {w.title} and lets none of "
                            f"{who} through", policy, service=w.service, at=at))  # fmt: skip
    if fresh:
        finding.pro.append(note("change", f"NetworkPolicy {name_of(policy)} is new or was changed", policy, at=at))
    for edge in failing[:1]:
        text = f"{edge.errors} of {edge.calls} calls from {edge.caller} to {edge.callee} fail: {edge.message}"
        finding.pro.append(note("trace", text, service=w.service))
    if served and not failing and direction == "Ingress":
        finding.con.append(
            note("trace", f"calls to {w.service} succeed: the policy may not be enforced", service=w.service)
        )
        finding.confidence = 0.2
        finding.settled = False
    for way, side, key in (("Ingress", "from", "ingress_json"), ("Egress", "to", "egress_json")):
        if count == 1 and way in (dig(policy, "spec", "policyTypes") or ["Ingress"]):
            finding.facts[key] = json.dumps([{side: [{"podSelector": {}}]}])
    return finding
