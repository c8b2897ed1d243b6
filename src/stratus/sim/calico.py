"""Whether pods of two nodes have a route to each other, where Calico's BGP objects say how nodes learn routes."""

from __future__ import annotations

import re

from stratus.sim.store import Obj, Store

GROUPS = ("crd.projectcalico.org", "projectcalico.org")
#: The node annotation (or Calico's own node field) that makes a node pass on what it learns.
REFLECTOR = "projectcalico.org/RouteReflectorClusterID"
_TERM = re.compile(
    r"""^(?:(?P<all>all\(\))|(?P<not>!)?has\((?P<has>[^)]+)\)"""
    r"""|(?P<key>[\w./-]+)\s*(?P<op>==|!=)\s*['"](?P<value>[^'"]*)['"]"""
    r"""|(?P<member>[\w./-]+)\s+(?P<in>in|not\s+in)\s+\{(?P<values>[^}]*)\})$"""
)


def governs(store: Store) -> bool:
    """Tell whether anything is said about BGP at all."""
    return any(store.count(f"bgpconfigurations.{group}") for group in GROUPS)


def routed(store: Store, one: str, other: str) -> bool:
    """Tell whether pods on two nodes have a route to each other."""
    if one == other or _mesh(store):
        return True
    nodes = {n["metadata"]["name"]: n for n in store.list("nodes")}
    if one not in nodes or other not in nodes:
        return True
    links: dict[str, set[str]] = {name: set() for name in nodes}
    reflectors = {n for n, o in nodes.items() if (o["metadata"].get("annotations") or {}).get(REFLECTOR)}
    for group in GROUPS:
        for peer in store.list(f"bgppeers.{group}"):
            spec = peer.get("spec") or {}
            near = [n for n, o in nodes.items() if _is_meant(spec, n, o)]
            if spec.get("peerIP"):
                # A router outside that everybody meant talks to, and that passes routes on.
                hub = f"router {spec['peerIP']}"
                links.setdefault(hub, set())
                reflectors.add(hub)
                far = [hub]
            else:
                far = [n for n, o in nodes.items() if selects(spec.get("peerSelector") or "", _labels(o))]
            for a in near:
                for b in far:
                    if a != b:
                        links[a].add(b)
                        links[b].add(a)
    if other in links[one]:
        return True
    return any(hub in reflectors and other in links[hub] for hub in links[one])


def _mesh(store: Store) -> bool:
    """Tell whether all nodes exchange routes with each other, which is so unless it is switched off."""
    for group in GROUPS:
        found = store.get(f"bgpconfigurations.{group}", "", "default")
        if found is not None:
            return bool((found.get("spec") or {}).get("nodeToNodeMeshEnabled", True))
    return True


def _is_meant(spec: Obj, name: str, node: Obj) -> bool:
    if spec.get("node"):
        return bool(spec["node"] == name)
    return selects(spec.get("nodeSelector") or "all()", _labels(node))


def _labels(node: Obj) -> dict[str, str]:
    return node["metadata"].get("labels") or {}


def selects(selector: str, labels: dict[str, str]) -> bool:
    """Tell whether a selector in Calico's language picks these labels; one that cannot be read picks nothing."""
    if not selector.strip():
        return False
    return any(all(_term(part.strip(), labels) for part in either.split("&&")) for either in selector.split("||"))


def _term(text: str, labels: dict[str, str]) -> bool:
    match = _TERM.match(text)
    if match is None:
        return False
    if match["all"]:
        return True
    if match["has"]:
        return (match["has"].strip() in labels) != bool(match["not"])
    if match["key"]:
        same = labels.get(match["key"]) == match["value"]
        return same if match["op"] == "==" else not same
    values = {v.strip().strip("'\"") for v in match["values"].split(",")}
    inside = labels.get(match["member"]) in values
    return inside if match["in"] == "in" else not inside
