"""Services: which endpoints kube-proxy sends to, from where, and what happens when there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from networld import Net, policy

from stratus.sim.network import Reached, Refused, TimedOut


def service(name: str, **spec: Any) -> dict[str, Any]:
    spec = {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 8080, "targetPort": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def nodes(net: Net, host: str, port: int = 8080, source: str = "client") -> list[str]:
    """Return the nodes reached by six connections."""
    found = [net.connect(host, port, source, choose=n) for n in range(6)]
    assert all(isinstance(f, Reached) for f in found), found
    return sorted({f.pod["spec"]["nodeName"] for f in found})


def slices(net: Net, name: str) -> list[Any]:
    return [
        s
        for s in net.lab.store.list("endpointslices.discovery.k8s.io", "default")
        if s["metadata"]["labels"].get("kubernetes.io/service-name") == name
    ]


def test_connections_go_round_all_ready_endpoints(net: Net) -> None:
    assert nodes(net, "web") == ["node1", "node2", "node3"]


def test_target_ports_by_number_and_by_name(net: Net) -> None:
    for target, kind in ((80, Reached), ("http", Reached), (81, Refused), ("https", Refused)):
        net.lab.patch(
            "Service", "web", {"spec": {"ports": [{"name": "http", "port": 8080, "targetPort": target}]}}, how="merge"
        )
        assert isinstance(net.connect("web", 8080), kind), target
    assert isinstance(net.connect("web", 8081), TimedOut)
    assert isinstance(net.connect("web", 8080, protocol="UDP"), TimedOut)


def test_a_client_sticks_to_one_endpoint_when_told(net: Net) -> None:
    net.lab.patch("Service", "web", {"spec": {"sessionAffinity": "ClientIP"}}, how="merge")
    assert len(nodes(net, "web")) == 1
    # Many clients outside are spread all the same.
    reached = {net.outside("web.default", 8080, choose=n).pod["spec"]["nodeName"] for n in range(6)}
    assert len(reached) == 3


def test_internal_traffic_policy_local(net: Net) -> None:
    net.lab.patch("Service", "web", {"spec": {"internalTrafficPolicy": "Local"}}, how="merge")
    assert nodes(net, "web") == ["node1"]
    net.lab.patch("Deployment", "web", {"spec": {"template": {"spec": {"nodeName": "node2"}}}})
    net.lab.advance(60)
    found = net.connect("web", 8080)
    assert isinstance(found, TimedOut)
    assert found.reason == "no endpoint on node1, and the traffic policy is Local"


def test_node_ports_and_external_traffic_policy(net: Net) -> None:
    net.lab.apply(service("front", type="NodePort"))
    stored = net.lab.get("Service", "front")
    number = stored["spec"]["ports"][0]["nodePort"]
    addresses = [n["status"]["addresses"][0]["address"] for n in net.lab.store.list("nodes")]
    assert all(isinstance(net.outside(a, number), Reached) for a in addresses)
    net.lab.patch("Service", "front", {"spec": {"externalTrafficPolicy": "Local"}}, how="merge")
    net.lab.patch("Deployment", "web", {"spec": {"replicas": 1}}, how="merge")
    net.lab.advance(40)
    home = net.lab.pods(app="web")[0]["spec"]["nodeName"]
    for node in net.lab.store.list("nodes"):
        found = net.outside(node["status"]["addresses"][0]["address"], number)
        assert isinstance(found, Reached if node["metadata"]["name"] == home else TimedOut)
    assert isinstance(net.outside(addresses[0], number + 1), Refused)


def test_a_load_balancer_stays_pending_and_serves_once_it_has_an_address(net: Net) -> None:
    net.lab.apply(service("front", type="LoadBalancer"))
    net.lab.advance(60)
    assert net.lab.get("Service", "front")["status"] == {"loadBalancer": {}}
    assert isinstance(net.connect("192.0.2.7", 8080), TimedOut)
    path = net.lab.path("Service", "default", "front") + "/status"
    net.lab.request(
        "PATCH", path, {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}},
        kind="application/merge-patch+json",
    )  # fmt: skip
    assert isinstance(net.connect("192.0.2.7", 8080), Reached)
    assert isinstance(net.outside("192.0.2.7", 8080), Reached)
    assert isinstance(net.connect("192.0.2.7", 81), TimedOut)


def test_external_ips(net: Net) -> None:
    net.lab.apply(service("front", externalIPs=["198.51.100.40"]))
    assert isinstance(net.connect("198.51.100.40", 8080), Reached)
    net.lab.delete("Service", "front")
    assert isinstance(net.connect("198.51.100.40", 8080), TimedOut)


def test_publish_not_ready_addresses(net: Net) -> None:
    probe = {"httpGet": {"path": "/nope", "port": 80}, "periodSeconds": 1, "failureThreshold": 1}
    net.lab.patch(
        "Deployment",
        "web",
        {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"},
                  "template": {"spec": {"containers": [{"name": "app", "readinessProbe": probe}]}}}},
    )  # fmt: skip
    net.lab.advance(60)
    assert isinstance(net.connect("web", 8080), Refused)
    net.lab.apply(service("all", publishNotReadyAddresses=True, clusterIP="None"))
    assert sorted(net.lookup("all").addresses()) == sorted(p["status"]["podIP"] for p in net.lab.pods(app="web"))
    assert isinstance(net.connect("all", 80), Reached)


def test_terminating_endpoints_serve_when_there_is_nothing_else(net: Net) -> None:
    slow = {"preStop": {"sleep": {"seconds": 20}}}
    net.lab.patch(
        "Deployment", "web", {"spec": {"template": {"spec": {"containers": [{"name": "app", "lifecycle": slow}]}}}}
    )
    net.lab.advance(60)
    net.lab.patch("Deployment", "web", {"spec": {"replicas": 0}}, how="merge")
    net.lab.advance(5)
    (piece,) = slices(net, "web")
    assert [e["conditions"] for e in piece["endpoints"]] == [{"ready": False, "serving": True, "terminating": True}] * 3
    assert isinstance(net.connect("web", 8080), Reached)
    net.lab.advance(40)
    assert isinstance(net.connect("web", 8080), Refused)


def test_endpoints_written_by_hand(net: Net) -> None:
    body = service("db")
    del body["spec"]["selector"]
    net.lab.apply(body)
    assert isinstance(net.connect("db", 8080), Refused)
    target = net.lab.pods(app="web")[0]["status"]["podIP"]
    endpoints = {
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "db"},
        "subsets": [{"addresses": [{"ip": target}], "ports": [{"name": "http", "port": 80}]}],
    }  # fmt: skip
    net.lab.request("POST", "/api/v1/namespaces/default/endpoints", endpoints)
    found = net.connect("db", 8080)
    assert isinstance(found, Reached)
    assert found.pod["status"]["podIP"] == target
    # What is written there is mirrored into a slice, as kube-proxy reads slices alone.
    (piece,) = slices(net, "db")
    assert (
        piece["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"]
        == "endpointslicemirroring-controller.k8s.io"
    )
    assert piece["metadata"]["name"].startswith("db-")
    endpoints["subsets"][0]["addresses"][0]["ip"] = "192.0.2.99"  # type: ignore[index]
    net.lab.request("PUT", "/api/v1/namespaces/default/endpoints/db", endpoints)
    found = net.connect("db", 8080)
    assert isinstance(found, Reached)
    assert found.pod is None
    net.lab.request("DELETE", "/api/v1/namespaces/default/endpoints/db")
    assert slices(net, "db") == []
    assert isinstance(net.connect("db", 8080), Refused)


def test_host_ports_and_the_host_network(net: Net) -> None:
    container = {"name": "c", "image": "nginx:1.25", "ports": [{"containerPort": 80, "hostPort": 8088}]}
    net.lab.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "edge"},
                   "spec": {"nodeName": "node2", "containers": [container]}})  # fmt: skip
    net.lab.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"},
                   "spec": {"nodeName": "node3", "hostNetwork": True,
                            "containers": [{"name": "c", "image": "httpd:2.4"}]}})  # fmt: skip
    net.lab.advance(10)
    assert isinstance(net.connect("10.199.0.12", 8088), Reached)
    assert isinstance(net.connect("10.199.0.11", 8088), Refused)
    assert isinstance(net.connect("10.199.0.13", 80), Reached)


# kube-proxy


def proxy_of(net: Net, node: str) -> Any:
    return next(p for p in net.lab.pods("kube-system", **{"k8s-app": "kube-proxy"}) if p["spec"]["nodeName"] == node)


def test_a_node_without_kube_proxy_lives_on_with_its_rules(net: Net) -> None:
    net.lab.patch(
        "DaemonSet", "kube-proxy", {"spec": {"template": {"spec": {"nodeSelector": {"none": "such"}}}}}, "kube-system"
    )
    net.lab.advance(60)
    assert isinstance(net.connect("web", 8080), Reached)
    net.lab.apply(service("late"))
    assert net.rcode("late") == "NOERROR"
    found = net.connect("late", 8080)
    assert isinstance(found, TimedOut)
    assert found.reason == "kube-proxy does not run on node1 and made no rule for this address"
    # The endpoints the node knows die one by one.
    for pod in net.lab.pods(app="web"):
        net.lab.delete("Pod", pod["metadata"]["name"])
    net.lab.advance(40)
    assert isinstance(net.connect("web", 8080), TimedOut)
    pod = net.lab.pods(app="web")[0]
    assert isinstance(net.connect(pod["status"]["podIP"], 80), Reached)
    net.lab.patch(
        "DaemonSet", "kube-proxy", {"spec": {"template": {"spec": {"nodeSelector": {"none": None}}}}}, "kube-system"
    )
    net.lab.advance(40)
    assert isinstance(net.connect("web", 8080), Reached)
    assert isinstance(net.connect("late", 8080), Reached)


def test_a_bad_image_takes_one_node_after_the_other(net: Net) -> None:
    images = {
        "spec": {
            "template": {"spec": {"containers": [{"name": "kube-proxy", "image": "registry.k8s.io/kube-proxy:nope"}]}}
        }
    }
    net.lab.patch("DaemonSet", "kube-proxy", images, "kube-system")
    net.lab.advance(60)
    proxies = net.lab.control.controllers["kube-proxy"]
    assert sum(proxies.is_down(f"node{n}") for n in (1, 2, 3)) == 1


def test_a_build_that_does_not_spread(net: Net) -> None:
    note = {"metadata": {"annotations": {"sim.stratus.dev/lopsided": "true"}}}
    net.lab.patch("DaemonSet", "kube-proxy", {"spec": {"template": note}}, "kube-system")
    net.lab.advance(90)
    assert len(nodes(net, "web")) == 1


def test_an_image_that_does_not_spread(net: Net, tmp_path: Path) -> None:
    rules = tmp_path / "images.yaml"
    rules.write_text(
        'images: [{match: "docker.io/acme/kube-proxy", command: [/usr/local/bin/kube-proxy], lopsided: true}]\n'
    )
    net.lab.registry.read(rules)
    container = {"name": "kube-proxy", "image": "acme/kube-proxy:v1"}
    change = {"spec": {"template": {"spec": {"containers": [container]}}}}
    net.lab.patch("DaemonSet", "kube-proxy", change, "kube-system")
    net.lab.advance(90)
    assert len(nodes(net, "web")) == 1


# NetworkPolicies


def allowed(net: Net, spec: dict[str, Any], host: str = "web", port: int = 8080) -> bool:
    net.lab.apply(policy("p", spec))
    found = net.connect(host, port)
    net.lab.delete("NetworkPolicy", "p")
    assert isinstance(found, Reached | TimedOut)
    return isinstance(found, Reached)


HERE = {"matchLabels": {"kubernetes.io/metadata.name": "default"}}
WEB, CLIENT = {"matchLabels": {"app": "web"}}, {"matchLabels": {"app": "client"}}


@pytest.mark.parametrize(
    ("ingress", "expected"),
    [
        (None, False),
        ([], False),
        ([{}], True),
        ([{"from": [{"podSelector": {}}]}], True),
        ([{"from": [{"podSelector": CLIENT}]}], True),
        ([{"from": [{"podSelector": WEB}]}], False),
        ([{"from": [{"podSelector": CLIENT}], "ports": [{"port": 80}]}], True),
        # The policy sees the pod's port, not the Service's.
        ([{"from": [{"podSelector": CLIENT}], "ports": [{"port": 8080}]}], False),
        ([{"ports": [{"port": "http"}]}], True),
        ([{"ports": [{"port": "https"}]}], False),
        ([{"ports": [{"port": 70, "endPort": 90}]}], True),
        ([{"ports": [{"port": 81, "endPort": 90}]}], False),
        ([{"ports": [{"port": 80, "protocol": "UDP"}]}], False),
        ([{"ports": [{"protocol": "TCP"}]}], True),
        ([{"from": [{"namespaceSelector": {}}]}], True),
        ([{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}]}], False),
        ([{"from": [{"namespaceSelector": HERE, "podSelector": WEB}]}], False),
        ([{"from": [{"ipBlock": {"cidr": "10.244.0.0/16"}}]}], True),
        ([{"from": [{"ipBlock": {"cidr": "10.244.0.0/16", "except": ["10.244.1.0/24"]}}]}], False),
        ([{"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}, {"from": [{"podSelector": CLIENT}]}], True),
    ],
)  # fmt: skip
def test_ingress_rules(net: Net, ingress: Any, expected: bool) -> None:
    spec = {"podSelector": WEB, "policyTypes": ["Ingress"], **({} if ingress is None else {"ingress": ingress})}
    assert allowed(net, spec) is expected


@pytest.mark.parametrize(
    ("egress", "expected"),
    [
        ([], False),
        ([{}], True),
        ([{"to": [{"podSelector": WEB}]}, {"ports": [{"port": 53, "protocol": "UDP"}]}], True),
        # A Service's address is nobody's end: what counts is the pod behind it.
        ([{"to": [{"ipBlock": {"cidr": "10.96.0.0/16"}}]}], False),
        ([{"to": [{"ipBlock": {"cidr": "10.244.0.0/16"}}]}], True),
    ],
)
def test_egress_rules(net: Net, egress: Any, expected: bool) -> None:
    address = net.lab.get("Service", "web")["spec"]["clusterIP"]
    spec = {"podSelector": CLIENT, "policyTypes": ["Egress"], "egress": egress}
    assert allowed(net, spec, address) is expected


def test_policies_add_up_and_isolate_only_whom_they_select(net: Net) -> None:
    net.lab.apply(policy("deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}))
    address = net.lab.get("Service", "web")["spec"]["clusterIP"]
    assert isinstance(net.connect(address, 8080), TimedOut)
    net.lab.apply(policy("in", {"podSelector": WEB, "policyTypes": ["Ingress"], "ingress": [{}]}))
    assert isinstance(net.connect(address, 8080), TimedOut)
    net.lab.apply(policy("out", {"podSelector": CLIENT, "policyTypes": ["Egress"], "egress": [{}]}))
    assert isinstance(net.connect(address, 8080), Reached)
    # A pod may always talk to itself, and the node's kubelet to its pods.
    pod = net.lab.pods(app="web")[0]
    assert isinstance(net.lab.control.network.connect(pod, pod["status"]["podIP"], 80), Reached)
    assert all(p["status"]["containerStatuses"][0]["ready"] for p in net.lab.pods(app="web"))


def test_users_outside_are_subject_to_ingress_rules(net: Net) -> None:
    net.lab.apply(policy("deny", {"podSelector": WEB, "policyTypes": ["Ingress"]}))
    assert isinstance(net.outside("web.default", 8080), TimedOut)
    net.lab.patch(
        "NetworkPolicy",
        "deny",
        {"spec": {"ingress": [{"from": [{"ipBlock": {"cidr": "198.51.100.0/24"}}]}]}},
        how="merge",
    )
    assert isinstance(net.outside("web.default", 8080), Reached)
    assert isinstance(net.connect("web", 8080), TimedOut)


def test_egress_beyond_the_cluster(net: Net) -> None:
    assert isinstance(net.connect("example.com", 443), Reached)
    assert isinstance(net.connect("example.com", 8443), TimedOut)
    dns = {"ports": [{"port": 53, "protocol": "UDP"}]}
    private = {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["203.0.113.0/24"]}}]}
    net.lab.apply(policy("inside", {"podSelector": CLIENT, "policyTypes": ["Egress"], "egress": [dns, private]}))
    assert isinstance(net.connect("example.com", 443), TimedOut)
    assert isinstance(net.connect("web", 8080), Reached)


def test_tools_meet_the_policies(net: Net) -> None:
    run = net.lab.exec
    assert run("client", ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://web:8080/"]).stdout == "200"
    net.lab.apply(policy("deny", {"podSelector": WEB, "policyTypes": ["Ingress"]}))
    found = run("client", ["curl", "-sS", "-m", "3", "http://web:8080/"])
    assert (found.exit_code, found.stderr) == (28, "curl: (28) Connection timed out after 3000 milliseconds\n")
    assert run("client", ["nc", "-z", "-w", "2", "web", "8080"]).exit_code == 1
    assert run("client", ["nslookup", "web"]).exit_code == 0
    assert run("client", ["curl", "-sk", "https://kubernetes.default/healthz"]).stdout == "ok"
    net.lab.delete("NetworkPolicy", "deny")
    net.lab.patch("Service", "web", {"spec": {"selector": {"app": "x"}}}, how="merge")
    assert run("client", ["curl", "-sS", "http://web:8080/"]).exit_code == 7


# the API server


def test_the_api_servers_own_service(net: Net) -> None:
    found = net.connect("kubernetes.default", 443)
    assert isinstance(found, Reached)
    assert (found.pod, found.port) == (None, 6443)
