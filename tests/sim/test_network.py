"""Names, Services, listening processes and policies."""

from __future__ import annotations

from typing import Any

import pytest

from stratus.sim.network import NoSuchHost, Reached, Refused, TimedOut

APP = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: app
        image: nginx:1.25
        ports: [{containerPort: 80, name: http}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 8080, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: peers}
spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {app: client}}
spec: {containers: [{name: c, image: "busybox:1.36", command: [sleep, infinity]}]}
"""


@pytest.fixture
def net(lab: Any) -> Any:
    lab.apply(APP)
    lab.advance(20)
    return lab


def connect(lab: Any, host: str, port: int, source: str = "client") -> Any:
    return lab.control.network.connect(lab.get("Pod", source), host, port)


@pytest.mark.parametrize("host", ["web", "web.default", "web.default.svc", "web.default.svc.cluster.local"])
def test_service_names(net: Any, host: str) -> None:
    found = connect(net, host, 8080)
    assert isinstance(found, Reached)
    assert (found.port, found.pod["metadata"]["labels"]["app"]) == (80, "web")


def test_names_of_other_namespaces(net: Any) -> None:
    net.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    assert isinstance(connect(net, "web.other", 8080), NoSuchHost)
    net.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "client"},
            "spec": {"containers": [{"name": "c", "image": "busybox", "command": ["sleep", "9"]}]},
        },
        "other",
    )
    net.advance(5)
    far = net.get("Pod", "client", "other")
    assert isinstance(net.control.network.connect(far, "web", 8080), NoSuchHost)
    assert isinstance(net.control.network.connect(far, "web.default", 8080), Reached)


def test_what_goes_wrong(net: Any) -> None:
    assert isinstance(connect(net, "nothing", 80), NoSuchHost)
    assert isinstance(connect(net, "web", 81), TimedOut)
    assert isinstance(connect(net, "peers", 81), Refused)
    assert isinstance(connect(net, "10.244.9.9", 80), TimedOut)
    assert isinstance(connect(net, "shop.invalid", 80), NoSuchHost)
    assert isinstance(connect(net, "localhost", 80), Refused)


def test_wrong_target_port_is_refused_and_no_endpoints_too(net: Any) -> None:
    net.patch("Service", "web", {"spec": {"ports": [{"port": 8080, "targetPort": 9999}]}}, how="merge")
    assert isinstance(connect(net, "web", 8080), Refused)
    net.patch("Service", "web", {"spec": {"ports": [{"port": 8080, "targetPort": "nosuch"}]}}, how="merge")
    assert isinstance(connect(net, "web", 8080), Refused)
    net.patch(
        "Service", "web", {"spec": {"ports": [{"port": 8080, "targetPort": 80}], "selector": {"app": "x"}}}, how="merge"
    )
    assert isinstance(connect(net, "web", 8080), Refused)


def test_unready_pods_get_no_traffic(net: Any) -> None:
    probe = {"httpGet": {"path": "/nope", "port": 80}, "periodSeconds": 1, "failureThreshold": 1}
    template = {"spec": {"containers": [{"name": "app", "readinessProbe": probe}]}}
    net.patch(
        "Deployment",
        "web",
        {"spec": {"replicas": 1, "strategy": {"$retainKeys": ["type"], "type": "Recreate"}, "template": template}},
    )
    net.advance(60)
    assert isinstance(connect(net, "web", 8080), Refused)


def test_policies(net: Any) -> None:
    deny = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"},
            "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]}}  # fmt: skip
    net.apply(deny)
    assert isinstance(connect(net, "web", 8080), TimedOut)
    allow = {"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], "ports": [{"port": 80}]}
    net.patch("NetworkPolicy", "deny", {"spec": {"ingress": [allow]}}, how="merge")
    assert isinstance(connect(net, "web", 8080), Reached)
    allow["ports"] = [{"port": 81}]
    net.patch("NetworkPolicy", "deny", {"spec": {"ingress": [allow]}}, how="merge")
    assert isinstance(connect(net, "web", 8080), TimedOut)
    net.delete("NetworkPolicy", "deny")
    stop = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "stop"},
        "spec": {"podSelector": {"matchLabels": {"app": "client"}}, "policyTypes": ["Egress"], "egress": []},
    }
    net.apply(stop)
    assert isinstance(connect(net, "web", 8080), TimedOut)
    assert net.control.network.connect(None, "web", 8080).port == 80


def test_dns_needs_its_pods(net: Any) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system"},
        "spec": {
            "clusterIP": "10.96.0.10",
            "selector": {"k8s-app": "kube-dns"},
            "ports": [{"port": 53, "protocol": "UDP"}],
        },
    }
    net.apply(service)
    assert isinstance(connect(net, "web", 8080), NoSuchHost)


def test_exec_uses_the_network(net: Any) -> None:
    assert net.exec("client", ["wget", "-qO-", "http://web:8080/"]).stdout == "ok\n"
    missing = net.exec("client", ["wget", "-qO-", "http://web:8080/missing"])
    assert (missing.exit_code, "404" in missing.stderr) == (1, True)
    assert net.exec("client", ["nslookup", "web"]).stdout.count("Address:") == 2
    assert net.exec("client", ["nslookup", "absent"]).exit_code == 1
    assert net.exec("client", ["nc", "-z", "web", "8080"]).exit_code == 0
    assert net.exec("client", ["nc", "-zv", "peers", "81"]).exit_code == 1
    assert net.exec("client", ["curl", "http://web"]).exit_code == 127
