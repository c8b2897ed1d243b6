"""EndpointSlices and Endpoints: how many, what they say of each pod, and how few are touched by a change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratus.sim.controllers.slices import MOST, plan, truncated

SLICES = "endpointslices.discovery.k8s.io"
PORTS = [{"name": "", "port": 80, "protocol": "TCP"}]


def endpoint(number: int) -> dict[str, Any]:
    return {"addresses": [f"10.0.{number // 250}.{number % 250}"], "targetRef": {"uid": str(number)}}


def piece(name: str, numbers: list[int], ports: Any = None) -> dict[str, Any]:
    return {"metadata": {"name": name}, "endpoints": [endpoint(n) for n in numbers], "ports": ports or PORTS}


def held(plans: Any) -> list[tuple[str, list[int]]]:
    return [
        ((old or {"metadata": {"name": "new"}})["metadata"]["name"], [int(e["targetRef"]["uid"]) for e in found or ()])
        for old, found, _ in plans
    ]


def test_a_hundred_fit_and_one_more_opens_another() -> None:
    plans, spare = plan([([endpoint(n) for n in range(100)], PORTS)], [])
    assert (held(plans), spare) == ([("new", list(range(100)))], [])
    plans, spare = plan([([endpoint(n) for n in range(101)], PORTS)], [piece("a", list(range(100)))])
    assert held(plans) == [("a", list(range(100))), ("new", [100])]


def test_nobody_moves_and_holes_are_filled() -> None:
    mine = [piece("a", list(range(100))), piece("b", list(range(100, 150)))]
    wanted = [endpoint(n) for n in range(160) if n not in (3, 4)]
    plans, spare = plan([(wanted, PORTS)], mine)
    assert held(plans) == [
        ("a", [*(n for n in range(100) if n not in (3, 4)), 150, 151]),
        ("b", [*range(100, 150), *range(152, 160)]),
    ]
    assert spare == []


def test_an_empty_slice_goes_but_one_stays_for_a_service_without_endpoints() -> None:
    mine = [piece("a", [1]), piece("b", [2])]
    plans, spare = plan([], mine)
    assert (plans[0][0], plans[0][1]) == (mine[0], None)
    assert spare == [mine[1]]


def test_a_slice_of_other_ports_is_used_again() -> None:
    other = [{"name": "", "port": 81, "protocol": "TCP"}]
    plans, spare = plan([([endpoint(1)], other)], [piece("a", [1])])
    assert (held(plans), plans[0][2], spare) == ([("a", [1])], other, [])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_endpoint_is_in_one_slice_and_none_holds_too_many(data: Any) -> None:
    mine: list[Any] = []
    for _ in range(data.draw(st.integers(1, 4))):
        numbers = data.draw(st.lists(st.integers(0, 400), max_size=260, unique=True))
        plans, spare = plan([([endpoint(n) for n in numbers], PORTS)] if numbers else [], mine)
        got = [n for _, ns in held(plans) for n in ns]
        assert sorted(got) == sorted(numbers)
        assert all(len(ns) <= MOST for _, ns in held(plans))
        assert len(plans) >= 1
        kept = {id(old) for old, _, _ in plans if old is not None}
        assert not kept & {id(s) for s in spare}
        assert len(kept) + len(spare) == len(mine)
        mine = [piece(f"s{i}", ns) for i, (_, ns) in enumerate(held(plans)) if ns]


def test_endpoints_are_cut_off_at_a_thousand_ready_ones_first() -> None:
    subset = {"addresses": [{"ip": f"a{n}"} for n in range(700)], "notReadyAddresses": [{"ip": "n"}] * 500, "ports": []}
    (cut,), over = truncated([subset])
    assert (len(cut["addresses"]), len(cut["notReadyAddresses"]), over) == (700, 300, True)
    assert truncated([{"addresses": [{}] * 1000}])[1] is False


@pytest.fixture
def service(lab: Any) -> Any:
    lab.apply("""
apiVersion: v1
kind: Service
metadata: {name: web, labels: {team: a}}
spec: {selector: {app: web}, ports: [{name: http, port: 80}, {name: dns, port: 53, protocol: UDP, targetPort: dns}]}
""")
    return lab


def pod(name: str, node: str = "node1", **ports: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "nginx:1.25", "ports": [{"containerPort": 80}, *ports.get("extra", ())]}
    meta = {"name": name, "labels": {"app": "web"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"nodeName": node, "containers": [container]}}


def slices(lab: Any) -> list[Any]:
    return sorted(lab.store.list(SLICES, "default"), key=lambda s: len(s["ports"] or ()))


def test_pods_that_resolve_ports_differently_get_slices_of_their_own(service: Any) -> None:
    lab = service
    (empty,) = slices(lab)
    assert (empty["endpoints"], empty["ports"]) == (None, None)
    lab.patch("Node", "node1", {"metadata": {"labels": {"topology.kubernetes.io/zone": "east"}}}, how="merge")
    lab.apply(pod("plain"))
    lab.apply(pod("both", "node2", extra=[{"containerPort": 5353, "protocol": "UDP", "name": "dns"}]))
    lab.advance(10)
    one, two = slices(lab)
    assert [(p["name"], p["port"], p["protocol"]) for p in one["ports"]] == [("http", 80, "TCP")]
    assert [(p["name"], p["port"], p["protocol"]) for p in two["ports"]] == [("http", 80, "TCP"), ("dns", 5353, "UDP")]
    (entry,) = one["endpoints"]
    stored = lab.get("Pod", "plain")
    assert entry == {
        "addresses": [stored["status"]["podIP"]],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "targetRef": {"kind": "Pod", "namespace": "default", "name": "plain", "uid": stored["metadata"]["uid"]},
        "nodeName": "node1",
        "zone": "east",
    }
    assert "zone" not in two["endpoints"][0]
    assert one["metadata"]["labels"] == {
        "team": "a",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }


def test_what_others_do_to_a_slice_is_taken_back(service: Any) -> None:
    lab = service
    lab.apply(pod("plain"))
    lab.advance(10)
    (piece_,) = slices(lab)
    name = piece_["metadata"]["name"]
    path = f"/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/{name}"
    lab.request("PATCH", path, {"endpoints": []}, kind="application/merge-patch+json")
    assert len(slices(lab)[0]["endpoints"]) == 1
    lab.request("DELETE", path)
    assert [len(s["endpoints"]) for s in slices(lab)] == [1]
    assert slices(lab)[0]["metadata"]["name"] != name


def test_a_stateful_sets_pods_have_host_names_for_their_own_service_only(lab: Any) -> None:
    lab.apply("""
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: read}
spec: {selector: {app: db}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: c, image: "nginx:1.25"}]}
""")
    lab.advance(20)
    of = {
        s["metadata"]["labels"]["kubernetes.io/service-name"]: s["endpoints"][0]
        for s in lab.store.list(SLICES, "default")
    }
    assert of["db"]["hostname"] == "db-0"
    assert "hostname" not in of["read"]
