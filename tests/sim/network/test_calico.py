"""Routes between nodes, where BGP objects say how nodes learn them."""

from __future__ import annotations

from typing import Any

import pytest
from networld import Net

from stratus.sim.calico import selects
from stratus.sim.network import Reached, TimedOut

GROUP = "crd.projectcalico.org"


@pytest.mark.parametrize(
    ("selector", "picked"),
    [
        ("all()", True),
        ("has(zone)", True),
        ("!has(zone)", False),
        ("zone == 'a'", True),
        ("zone != 'a'", False),
        ('role == "edge" && zone == "a"', False),
        ("role == 'edge' || zone == 'a'", True),
        ("zone in {'a', 'b'}", True),
        ("zone not in {'a', 'b'}", False),
        ("node-role.kubernetes.io/master == 'true'", False),
        ("", False),
        ("what is this", False),
    ],
)
def test_selectors(selector: str, picked: bool) -> None:
    assert selects(selector, {"zone": "a"}) is picked


def put(net: Net, kind: str, name: str, spec: dict[str, Any]) -> None:
    plural = f"{kind.lower()}s"
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Cluster",
                 "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
                 "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                     "type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]},
    }  # fmt: skip
    if net.lab.store.get("customresourcedefinitions.apiextensions.k8s.io", "", crd["metadata"]["name"]) is None:
        net.lab.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
        net.lab.advance(3)
    body = {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    net.lab.request("POST", f"/apis/{GROUP}/v1/{plural}", body)


def reached(net: Net) -> set[str]:
    found = [net.connect("web", 8080, choose=n) for n in range(3)]
    assert all(isinstance(f, Reached | TimedOut) for f in found), found
    return {f.pod["spec"]["nodeName"] for f in found if isinstance(f, Reached)}


def test_without_a_mesh_nodes_need_a_peer_that_reflects(net: Net) -> None:
    assert reached(net) == {"node1", "node2", "node3"}
    address = net.lab.get("Service", "web")["spec"]["clusterIP"]
    put(net, "BGPConfiguration", "default", {"nodeToNodeMeshEnabled": False})
    found = [net.lab.control.network.deliver(net.pod(), address, 8080, choose=n) for n in range(3)]
    assert sorted(type(f).__name__ for f in found) == ["Reached", "TimedOut", "TimedOut"]
    assert {f.reason for f in found if isinstance(f, TimedOut)} == {
        "no BGP route between node1 and node2", "no BGP route between node1 and node3",
    }  # fmt: skip
    peers = {"nodeSelector": "all()", "peerSelector": "node-role.kubernetes.io/reflector == 'true'"}
    put(net, "BGPPeer", "cluster", peers)
    assert (
        sum(isinstance(net.lab.control.network.deliver(net.pod(), address, 8080, choose=n), Reached) for n in range(3))
        == 1
    )
    labels = {"node-role.kubernetes.io/reflector": "true"}
    notes = {"projectcalico.org/RouteReflectorClusterID": "1.0.0.1"}
    net.lab.patch("Node", "node2", {"metadata": {"labels": labels, "annotations": notes}}, how="merge")
    assert reached(net) == {"node1", "node2", "node3"}
