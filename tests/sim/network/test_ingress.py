"""Ingresses lead users to Services, or answer in their place."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from networld import Net, policy

from stratus.sim.network import Reached, Turned

HOST = "shop.example.com"
CLASS = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "IngressClass",
    "metadata": {"name": "nginx"},
    "spec": {"controller": "k8s.io/ingress-nginx"},
}


def path(where: str, service: str = "web", port: Any = 8080, kind: str = "Prefix") -> dict[str, Any]:
    number = {"number": port} if isinstance(port, int) else {"name": port}
    return {"path": where, "pathType": kind, "backend": {"service": {"name": service, "port": number}}}


def ingress(name: str = "shop", host: str = HOST, *paths: dict[str, Any], **spec: Any) -> dict[str, Any]:
    rule: dict[str, Any] = {"http": {"paths": list(paths) or [path("/")]}}
    if host:
        rule["host"] = host
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name},
        "spec": {"ingressClassName": "nginx", "rules": [rule], **spec},
    }


def put(net: Net, obj: dict[str, Any]) -> None:
    plural = {"Ingress": "namespaces/default/ingresses", "IngressClass": "ingressclasses"}[obj["kind"]]
    target = f"/apis/networking.k8s.io/v1/{plural}"
    old = net.lab.store.get(
        f"{plural.rpartition('/')[2]}.networking.k8s.io", "default" if "/" in plural else "", obj["metadata"]["name"]
    )
    if old is None:
        net.lab.request("POST", target, obj)
    else:
        net.lab.request("PUT", f"{target}/{obj['metadata']['name']}", obj)


def answer(net: Net, where: str = "/", host: str = HOST, port: int = 80) -> Any:
    found = net.outside(host, port, path=where)
    if isinstance(found, Turned):
        return found.status
    assert isinstance(found, Reached), found
    return found.pod["metadata"]["labels"]["app"]


@pytest.fixture
def shop(net: Net) -> Net:
    put(net, CLASS)
    put(net, ingress())
    net.lab.advance(61)
    return net


def test_the_way_in_and_its_address(shop: Net) -> None:
    assert answer(shop) == "web"
    stored = shop.lab.store.get("ingresses.networking.k8s.io", "default", "shop")
    assert stored["status"] == {"loadBalancer": {"ingress": [{"ip": "192.0.2.80"}]}}
    (event,) = [e for e in shop.lab.events() if e["involvedObject"]["kind"] == "Ingress"]
    assert (event["reason"], event["message"]) == ("Sync", "Scheduled for sync")
    # Public DNS points to it, so pods come in that way too.
    assert shop.lookup(HOST).addresses() == ["192.0.2.80"]
    assert shop.lab.exec("client", ["curl", "-s", f"http://{HOST}/"]).stdout == "ok\n"
    assert shop.lab.exec("client", ["curl", "-s", "-H", f"Host: {HOST}", "http://192.0.2.80/"]).stdout == "ok\n"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"ingressClassName": "ngnix"}, 404),
        ({"ingressClassName": None}, 404),
        ({"rules": [{"host": "shop.example.org", "http": {"paths": [path("/")]}}]}, 404),
        ({"rules": [{"host": "*.example.com", "http": {"paths": [path("/")]}}]}, "web"),
        ({"rules": [{"http": {"paths": [path("/")]}}]}, "web"),
        ({"rules": [{"host": HOST, "http": {"paths": [path("/api")]}}]}, 404),
        ({"rules": [{"host": HOST, "http": {"paths": [path("/", "wep")]}}]}, 503),
        ({"rules": [{"host": HOST, "http": {"paths": [path("/", port=80)]}}]}, 503),
        ({"rules": [{"host": HOST, "http": {"paths": [path("/", port="http")]}}]}, "web"),
        ({"rules": [{"host": HOST, "http": {"paths": [path("/", port="grpc")]}}]}, 503),
        ({"rules": None, "defaultBackend": {"service": {"name": "web", "port": {"number": 8080}}}}, "web"),
    ],
)
def test_what_is_wrong_with_an_ingress(shop: Net, change: dict[str, Any], expected: Any) -> None:
    net = shop
    net.lab.request(
        "PATCH", "/apis/networking.k8s.io/v1/namespaces/default/ingresses/shop", {"spec": change},
        kind="application/merge-patch+json",
    )  # fmt: skip
    assert answer(net) == expected


def test_paths(net: Net) -> None:
    put(net, CLASS)
    net.lab.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "none"},
                   "spec": {"selector": {"app": "none"}, "ports": [{"port": 8080}]}})  # fmt: skip
    put(net, ingress("shop", HOST, path("/api"), path("/api/exact", "none", kind="Exact"), path("/api/v2", "none")))
    assert answer(net, "/api") == "web"
    assert answer(net, "/api/x?y=1") == "web"
    assert answer(net, "/apix") == 404
    assert answer(net, "/api/exact") == 503
    assert answer(net, "/api/exact/more") == "web"
    assert answer(net, "/api/v2/items") == 503


def test_what_is_wrong_behind_it(shop: Net) -> None:
    shop.lab.patch("Service", "web", {"spec": {"selector": {"app": "x"}}}, how="merge")
    assert answer(shop) == 503
    shop.lab.patch("Service", "web", {"spec": {"selector": {"app": "web"}}}, how="merge")
    ports = [{"name": "http", "port": 8080, "targetPort": 81}]
    shop.lab.patch("Service", "web", {"spec": {"ports": ports}}, how="merge")
    assert answer(shop) == 502
    ports[0]["targetPort"] = 80
    shop.lab.patch("Service", "web", {"spec": {"ports": ports}}, how="merge")
    web = {"matchLabels": {"app": "web"}}
    shop.lab.apply(policy("deny", {"podSelector": web, "policyTypes": ["Ingress"]}))
    assert answer(shop) == 504


def test_classes(shop: Net) -> None:
    put(shop, {**CLASS, "spec": {"controller": "example.com/other"}} | {"metadata": {"name": "other"}})
    put(shop, ingress(ingressClassName="other"))
    assert answer(shop) == 404
    spec = ingress()
    del spec["spec"]["ingressClassName"]
    put(shop, spec)
    assert answer(shop) == 404
    put(
        shop,
        {
            **CLASS,
            "metadata": {"name": "nginx", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
        },
    )
    assert answer(shop) == "web"


def test_certificates(shop: Net) -> None:
    fake = f"x509: certificate is valid for ingress.local, not {HOST}"
    assert shop.outside(HOST, 443).message == fake
    put(shop, ingress(tls=[{"hosts": [HOST], "secretName": "cert"}]))
    assert shop.outside(HOST, 443).message == fake
    inside = shop.lab.exec("client", ["curl", "-sS", f"https://{HOST}/"])
    assert (inside.exit_code, inside.stderr) == (60, f"curl: (60) SSL: {fake}\n")
    assert shop.lab.exec("client", ["curl", "-sSk", f"https://{HOST}/"]).stdout == "ok\n"
    data = {k: base64.b64encode(b"x").decode() for k in ("tls.crt", "tls.key")}
    shop.lab.apply(
        {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "cert"}, "data": data}
    )
    assert answer(shop, port=443) == "web"


def test_a_controller_that_runs_as_pods_has_to_be_ready(shop: Net) -> None:
    labels = {"app.kubernetes.io/name": "ingress-nginx", "app.kubernetes.io/component": "controller"}
    shop.lab.apply(
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "ingress"},
            "spec": {"selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "registry.k8s.io/ingress-nginx/controller:v1.13.0"}]}}},
        }
    )  # fmt: skip
    shop.lab.advance(20)
    assert answer(shop) == "web"
    # Its own pods have to be let through.
    web = {"matchLabels": {"app": "web"}}
    peers = [{"podSelector": {"matchLabels": labels}}]
    shop.lab.apply(policy("gate", {"podSelector": web, "policyTypes": ["Ingress"], "ingress": [{"from": peers}]}))
    assert answer(shop) == "web"
    shop.lab.patch("Deployment", "ingress", {"spec": {"replicas": 0}}, how="merge")
    shop.lab.advance(40)
    assert answer(shop) == 0
