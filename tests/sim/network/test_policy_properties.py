"""Policies against an independent reading of the rules, on objects made up at random."""

from __future__ import annotations

import ipaddress
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stratus.kit.clock import VirtualClock
from stratus.sim.netpolicy import End, denied_by
from stratus.sim.store import Store

SPACES = ("one", "two")
LABELS = ({}, {"a": "1"}, {"a": "2"}, {"a": "1", "b": "1"})
SELECTORS: tuple[Any, ...] = (
    {},
    {"matchLabels": {"a": "1"}},
    {"matchExpressions": [{"key": "b", "operator": "Exists"}]},
    {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]},
)
PORTS = (80, 443)


def picks(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """What the four selectors above mean, written out."""
    return {0: True, 1: labels.get("a") == "1", 2: "b" in labels, 3: labels.get("a") != "1"}[SELECTORS.index(selector)]


blocks = st.sampled_from([
    {"cidr": "10.0.0.0/8"}, {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}, {"cidr": "0.0.0.0/0"},
    {"cidr": "10.2.0.0/16"},
])  # fmt: skip
peers = st.one_of(
    st.builds(lambda b: {"ipBlock": b}, blocks),
    st.builds(lambda s: {"podSelector": s}, st.sampled_from(SELECTORS)),
    st.builds(lambda s: {"namespaceSelector": s}, st.sampled_from(SELECTORS)),
    st.builds(lambda n, s: {"namespaceSelector": n, "podSelector": s}, *[st.sampled_from(SELECTORS)] * 2),
)
ports = st.sampled_from([
    {"port": 80}, {"port": 443}, {"port": 1, "endPort": 100}, {"protocol": "UDP"}, {"protocol": "TCP"}, {"port": "web"},
])  # fmt: skip


def rules(side: str) -> Any:
    return st.lists(
        st.builds(
            lambda p, q: {k: v for k, v in ((side, p), ("ports", q)) if v},
            st.lists(peers, max_size=2),
            st.lists(ports, max_size=2),
        ),
        max_size=2,
    )


policies = st.builds(
    lambda space, selector, types, ingress, egress: {
        "namespace": space,
        "podSelector": selector,
        "policyTypes": types,
        "ingress": ingress,
        "egress": egress,
    },
    st.sampled_from(SPACES),
    st.sampled_from(SELECTORS),
    st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
    rules("from"),
    rules("to"),
)
pods = st.builds(
    lambda n, space, labels: {
        "metadata": {"namespace": space, "name": f"p{n}", "uid": f"{n}-{space}", "labels": labels},
        "spec": {"containers": [{"name": "c", "ports": [{"containerPort": 80, "name": "web"}]}]},
        "status": {"podIP": f"10.{n}.0.{len(labels) + 1}"},
    },
    st.integers(0, 3),
    st.sampled_from(SPACES),
    st.sampled_from(LABELS),
)


def may(found: list[dict[str, Any]], spaces: dict[str, dict[str, str]], source: Any, target: Any, port: int) -> bool:
    """The rules as their documentation says them, without regard to cost."""
    if source["metadata"]["uid"] == target["metadata"]["uid"]:
        return True

    def peer_is(peer: dict[str, Any], space: str, other: Any) -> bool:
        if "ipBlock" in peer:
            ip = ipaddress.ip_address(other["status"]["podIP"])
            inside = ip in ipaddress.ip_network(peer["ipBlock"]["cidr"])
            return inside and all(ip not in ipaddress.ip_network(x) for x in peer["ipBlock"].get("except", ()))
        home = other["metadata"]["namespace"]
        in_space = picks(peer["namespaceSelector"], spaces[home]) if "namespaceSelector" in peer else home == space
        return in_space and ("podSelector" not in peer or picks(peer["podSelector"], other["metadata"]["labels"]))

    def port_is(entry: dict[str, Any]) -> bool:
        if entry.get("protocol") == "UDP":
            return False
        wanted = entry.get("port")
        if wanted == "web":
            return port == 80
        return wanted is None or wanted <= port <= entry.get("endPort", wanted)

    for kind, field, side, mine, other in (
        ("Egress", "egress", "to", source, target), ("Ingress", "ingress", "from", target, source),
    ):  # fmt: skip
        isolating = [
            p
            for p in found
            if p["namespace"] == mine["metadata"]["namespace"]
            and kind in p["policyTypes"]
            and picks(p["podSelector"], mine["metadata"]["labels"])
        ]
        open_ = any(
            (not rule.get("ports") or any(port_is(e) for e in rule["ports"]))
            and (not rule.get(side) or any(peer_is(x, p["namespace"], other) for x in rule[side]))
            for p in isolating
            for rule in p[field]
        )
        if isolating and not open_:
            return False
    return True


@settings(max_examples=300, deadline=None)
@given(
    st.lists(policies, max_size=4),
    pods,
    pods,
    st.sampled_from(PORTS),
    st.sampled_from(LABELS),
    st.sampled_from(LABELS),
)
def test_policies_mean_what_they_say(
    found: list[Any], source: Any, target: Any, port: int, first: dict[str, str], second: dict[str, str]
) -> None:
    store = Store(VirtualClock(0.0), random.Random(0))
    spaces = dict(zip(SPACES, (first, second), strict=True))
    for name, labels in spaces.items():
        store.create(
            "namespaces", {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name, "labels": dict(labels)}}
        )
    for number, policy in enumerate(found):
        spec = {k: v for k, v in policy.items() if k != "namespace"}
        meta = {"name": f"n{number}", "namespace": policy["namespace"]}
        body = {"kind": "NetworkPolicy", "apiVersion": "networking.k8s.io/v1", "metadata": meta, "spec": spec}
        store.create("networkpolicies.networking.k8s.io", body)
    ends = [End(p["status"]["podIP"], p) for p in (source, target)]
    allowed = denied_by(store, ends[0], ends[1], port, "TCP") == ""
    assert allowed is may(found, spaces, source, target, port)
