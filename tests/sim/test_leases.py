"""Leases of nodes are renewed while their kubelets work, without a write."""

import json
from typing import Any

from stratus.kit.clock import parse_iso
from stratus.sim.api import Request
from stratus.sim.leases import CSI_NODES, LEASES, NAMESPACE, RENEWED, REPORTED, renewed, reported

PATH = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"


def renewals(lab: Any) -> dict[str, float]:
    """Return how many seconds ago each node's lease was renewed."""
    items = json.loads(lab.api.handle(Request("GET", PATH)).body)["items"]
    return {i["metadata"]["name"]: lab.clock.now() - parse_iso(i["spec"]["renewTime"]) for i in items}


def test_a_kubelet_that_works_renews_its_lease(lab: Any) -> None:
    version = lab.store.rv
    for seconds in (0, 3, 3600):
        lab.clock.advance(seconds)
        found = renewals(lab)
        assert set(found) == {"node1", "node2", "node3"}
        assert all(0 <= ago < RENEWED for ago in found.values()), found
    one = json.loads(lab.api.handle(Request("GET", f"{PATH}/node1")).body)
    assert lab.clock.now() - parse_iso(one["spec"]["renewTime"]) == found["node1"]
    assert one["metadata"]["ownerReferences"][0]["uid"] == lab.get("Node", "node1", "")["metadata"]["uid"]
    assert lab.store.rv == version, "looking is not writing"


def test_one_that_has_stopped_does_not(lab: Any) -> None:
    lab.clock.advance(100)
    lab.control.kubelet.stop_node("node1")
    lab.clock.advance(90)
    found = renewals(lab)
    assert 90 <= found["node1"] < 90 + RENEWED
    assert found["node2"] < RENEWED
    lab.control.kubelet.start_node("node1")
    lab.clock.advance(5)
    assert renewals(lab)["node1"] < RENEWED


def heard(lab: Any, node: str) -> dict[str, float]:
    """Return how many seconds ago each condition of a node was told."""
    shown = json.loads(lab.api.handle(Request("GET", f"/api/v1/nodes/{node}")).body)
    listed = json.loads(lab.api.handle(Request("GET", "/api/v1/nodes")).body)["items"]
    assert next(n for n in listed if n["metadata"]["name"] == node)["status"] == shown["status"]
    conditions = shown["status"]["conditions"]
    return {c["type"]: lab.clock.now() - parse_iso(c["lastHeartbeatTime"]) for c in conditions}


def test_conditions_of_a_node_are_told_now_and_then(lab: Any) -> None:
    assert set(heard(lab, "node1").values()) == {0.0}
    lab.clock.advance(7200)
    version = lab.store.rv
    assert all(0 <= ago < REPORTED + 1 for ago in heard(lab, "node1").values())
    assert lab.store.rv == version, "looking is not writing"
    lab.control.kubelet.stop_node("node1")
    lab.clock.advance(3600)
    assert all(3600 <= ago < 3600 + REPORTED + 1 for ago in heard(lab, "node1").values())


def test_a_node_without_a_kubelet_is_as_it_was_written(lab: Any) -> None:
    status = {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2020-01-01T00:00:00Z"}]}
    lab.request("POST", "/api/v1/nodes", {"metadata": {"name": "other"}, "status": status})
    stored = lab.store.get("nodes", "", "other")
    assert reported(lab.store, stored, lab.clock.now()) is stored


def test_the_lease_goes_with_its_node(lab: Any) -> None:
    lab.delete("Node", "node3", "")
    lab.clock.advance(60)
    assert set(renewals(lab)) == {"node1", "node2"}
    assert [o["metadata"]["name"] for o in lab.store.list(CSI_NODES)] == ["node1", "node2"]


def test_other_leases_are_as_they_were_written(lab: Any) -> None:
    body = {"metadata": {"name": "node1"}, "spec": {"holderIdentity": "node1"}}
    lab.request("POST", "/apis/coordination.k8s.io/v1/namespaces/default/leases", body)
    stored = lab.store.get(LEASES, "default", "node1")
    assert renewed(stored, lab.clock.now()) is stored
    mine = {"metadata": {"name": "x", "namespace": NAMESPACE}, "spec": {"holderIdentity": "y"}}
    assert renewed(mine, 0.0) is mine
