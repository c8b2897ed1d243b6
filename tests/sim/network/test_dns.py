"""Names as pods see them: search lists, policies, CoreDNS's configuration, and what happens when it is gone."""

from __future__ import annotations

from typing import Any

import pytest
from networld import Net, policy

from stratus.sim.network import NoSuchHost, Reached
from stratus.sim.resolving import resolv_conf

USUAL = "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
FULL = "web.default.svc.cluster.local"


def pod(name: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "debian:12", "command": ["sleep", "infinity"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [container], **spec},
    }


# the resolver


def test_the_search_list_and_ndots(net: Net) -> None:
    ip = net.lab.get("Service", "web")["spec"]["clusterIP"]
    for name in ("web", "web.default", "web.default.svc", FULL, f"{FULL}."):
        found = net.lookup(name)
        assert (found.rcode, found.name, found.addresses()) == ("NOERROR", FULL, [ip]), name
    # A name with a dot at its end is not completed.
    assert net.rcode("web.") == "NXDOMAIN"
    assert net.lookup("web", plain=True).rcode == "NXDOMAIN"


def test_few_dots_are_tried_as_they_are_when_ndots_says_so(net: Net) -> None:
    options = {"dnsConfig": {"options": [{"name": "ndots", "value": "1"}]}}
    net.lab.apply(pod("one", **options))
    net.lab.advance(5)
    assert resolv_conf(net.pod("one")).names("web.default") == [
        "web.default", "web.default.default.svc.cluster.local", "web.default.svc.cluster.local",
        "web.default.cluster.local",
    ]  # fmt: skip
    assert resolv_conf(net.pod()).names("web.default")[-1] == "web.default"
    assert net.lookup("web.default", source="one").name == FULL


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({}, USUAL),
        ({"dnsPolicy": "Default"}, "nameserver 10.0.2.3\n"),
        ({"hostNetwork": True}, "nameserver 10.0.2.3\n"),
        ({"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"},
         USUAL),
        ({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["8.8.8.8"], "searches": ["corp.example"],
                                             "options": [{"name": "edns0"}]}},
         "search corp.example\nnameserver 8.8.8.8\noptions edns0\n"),
    ],
)  # fmt: skip
def test_resolv_conf(spec: dict[str, Any], text: str) -> None:
    assert resolv_conf({"metadata": {"namespace": "default"}, "spec": spec}).text() == text


def test_policies_other_than_cluster_first_know_no_service(net: Net) -> None:
    net.lab.apply(pod("default", dnsPolicy="Default"))
    net.lab.apply(pod("none", dnsPolicy="None", dnsConfig={"nameservers": ["10.96.0.10"]}))
    net.lab.apply(pod("far", dnsPolicy="None", dnsConfig={"nameservers": ["10.9.9.9"]}))
    net.lab.advance(5)
    assert net.rcode("web", "default") == "NXDOMAIN"
    assert net.rcode(FULL, "default") == "NXDOMAIN"
    assert net.rcode("example.com", "default") == "NOERROR"
    # Without a search list only whole names help.
    assert (net.rcode("web", "none"), net.rcode(FULL, "none")) == ("NXDOMAIN", "NOERROR")
    assert net.rcode(FULL, "far") == "TIMEOUT"


def test_host_aliases_come_before_dns(net: Net) -> None:
    address = net.lab.pods(app="web")[0]["status"]["podIP"]
    net.lab.apply(pod("aliased", hostAliases=[{"ip": address, "hostnames": ["web", "shop.internal"]}]))
    net.lab.advance(5)
    assert net.lookup("web", source="aliased").addresses() == [address]
    assert isinstance(net.connect("shop.internal", 80, "aliased"), Reached)
    assert net.rcode("shop.internal") == "NXDOMAIN"


# records


def test_headless_services_and_pods_of_a_stateful_set(net: Net) -> None:
    net.lab.apply("""
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: sql, port: 5432}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: app, image: "postgres:16", env: [{name: POSTGRES_PASSWORD, value: x}]}]}
""")
    assert net.rcode("db") == "NXDOMAIN"
    net.lab.advance(40)
    ips = [p["status"]["podIP"] for p in net.lab.pods(app="db")]
    assert net.lookup("db").addresses() == ips
    assert net.lookup("db-1.db").addresses() == [ips[1]]
    assert net.lookup("db-1.db").name == "db-1.db.default.svc.cluster.local"
    assert net.rcode("db-2.db") == "NXDOMAIN"
    served = net.lookup("_sql._tcp.db.default.svc.cluster.local", "SRV")
    assert [r.value for r in served.records] == [f"0 100 5432 db-{n}.db.default.svc.cluster.local" for n in (0, 1)]
    dashed = net.lab.pods(app="web")[0]["status"]["podIP"].replace(".", "-")
    assert net.lookup(f"{dashed}.default.pod.cluster.local").addresses() == [dashed.replace("-", ".")]


def test_service_records_and_types(net: Net) -> None:
    ip = net.lab.get("Service", "web")["spec"]["clusterIP"]
    assert [r.value for r in net.lookup("_http._tcp.web", "SRV").records] == [f"0 100 8080 {FULL}"]
    assert net.lookup("_grpc._tcp.web", "SRV").rcode == "NXDOMAIN"
    found = net.lookup(FULL, "AAAA")
    assert (found.rcode, found.records) == ("NOERROR", ())
    back = net.lookup(".".join(reversed(ip.split("."))) + ".in-addr.arpa", "PTR", plain=True)
    assert [r.value for r in back.records] == [FULL]
    assert net.lookup("default.svc.cluster.local", plain=True).rcode == "NOERROR"
    assert net.lookup("nospace.svc.cluster.local", plain=True).rcode == "NXDOMAIN"


def test_external_names(net: Net) -> None:
    for name, target in (("out", "api.example.com"), ("alias", FULL), ("dead", "db.corp.internal"), ("loop", "loop")):
        spec = {
            "type": "ExternalName",
            "externalName": target if target != "loop" else "loop.default.svc.cluster.local",
        }
        net.lab.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
    found = net.lookup("out")
    assert [(r.kind, r.value) for r in found.records] == [("CNAME", "api.example.com"), ("A", "203.0.113.10")]
    assert isinstance(net.connect("alias", 8080), Reached)
    assert isinstance(net.connect("dead", 5432), NoSuchHost)
    assert isinstance(net.connect("loop", 80), NoSuchHost)


# CoreDNS


def before_kubernetes(block: str) -> Any:
    return lambda text: text.replace("    kubernetes cluster.local", f"{block}    kubernetes cluster.local", 1)


def test_a_template_denies_after_the_reload_and_only_its_name(net: Net) -> None:
    block = f'    template ANY ANY {FULL} {{\n       match "^web\\.default\\.svc\\.cluster\\.local\\.$"\n       rcode NXDOMAIN\n       fallthrough\n    }}\n'  # noqa: E501
    net.corefile(before_kubernetes(block), wait=0)
    assert net.rcode("web") == "NOERROR"
    net.lab.advance(35)
    assert net.rcode("web") == "NXDOMAIN"
    assert net.rcode("kubernetes") == "NOERROR"
    lines = net.lab.logs(net.dns_pods()[0]["metadata"]["name"], "kube-system")
    assert lines[-3] == "[INFO] Reloading"
    assert lines[-1] == "[INFO] Reloading complete"


def test_without_reload_only_a_restart_helps(net: Net) -> None:
    net.corefile(lambda text: text.replace("    reload\n", ""))
    # The reload plugin takes note of the change that removes it.
    net.corefile(before_kubernetes(f"    template ANY ANY {FULL} {{\n       rcode SERVFAIL\n    }}\n"), wait=120)
    assert net.rcode("web") == "NOERROR"
    net.restart_dns()
    assert net.rcode("web") == "SERVFAIL"


def test_a_broken_corefile_is_refused_at_reload_and_kills_at_start(net: Net) -> None:
    net.corefile(lambda text: text.replace("forward .", "forwrd ."))
    assert net.rcode("web") == "NOERROR"
    line = (
        net.lab.get("ConfigMap", "coredns", "kube-system")["data"]["Corefile"]
        .split("\n")
        .index("    forwrd . /etc/resolv.conf {")
    )
    said = f"/etc/coredns/Corefile:{line + 1} - Error during parsing: Unknown directive 'forwrd'"
    logs = net.lab.logs(net.dns_pods()[0]["metadata"]["name"], "kube-system")
    assert logs[-1] == f"[ERROR] plugin/reload: Corefile changed but reload failed: {said}"
    net.restart_dns()
    pods = net.dns_pods()
    assert {p["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] for p in pods} == {"CrashLoopBackOff"}
    assert net.lab.logs(pods[0]["metadata"]["name"], "kube-system", previous=False) == [said]
    assert net.rcode("web") == "UNREACHABLE"
    assert net.connect("web", 8080) == NoSuchHost("web", "UNREACHABLE", "10.96.0.10")


def test_rewrites_hosts_and_forwarding(net: Net) -> None:
    block = (
        "    rewrite name shop.example.com web.default.svc.cluster.local\n"
        "    rewrite name suffix .old.local .default.svc.cluster.local\n"
        "    rewrite name regex (.*)\\.v2\\.local {1}.default.svc.cluster.local\n"
        "    hosts {\n       10.1.2.3 legacy.corp\n       fallthrough\n    }\n"
    )
    net.corefile(before_kubernetes(block))
    ip = net.lab.get("Service", "web")["spec"]["clusterIP"]
    for name in ("shop.example.com", "web.old.local", "web.v2.local"):
        found = net.lookup(f"{name}.")
        assert (found.name, found.addresses()) == (name, [ip])
    assert net.lookup("legacy.corp.").addresses() == ["10.1.2.3"]
    net.corefile(lambda text: text.replace("forward . /etc/resolv.conf", "forward . 10.0.0.53"))
    assert (net.rcode("example.com."), net.rcode("web")) == ("SERVFAIL", "NOERROR")


def test_a_forward_to_itself_is_found_by_the_loop_plugin(net: Net) -> None:
    net.corefile(lambda text: text.replace("/etc/resolv.conf", "127.0.0.1"))
    net.restart_dns()
    logs = net.lab.logs(net.dns_pods()[0]["metadata"]["name"], "kube-system")
    assert logs[-1].startswith('[FATAL] plugin/loop: Loop (127.0.0.1:46519 -> :53) detected for zone "."')
    assert net.rcode("web") == "UNREACHABLE"


def test_without_the_ready_plugin_no_pod_becomes_ready(net: Net) -> None:
    net.corefile(lambda text: text.replace("    ready\n", ""))
    net.lab.advance(60)
    assert net.lab.get("Deployment", "coredns", "kube-system")["status"].get("readyReplicas", 0) == 0
    assert net.rcode("web") == "UNREACHABLE"


def test_a_wrong_zone_leaves_no_service_name(net: Net) -> None:
    net.corefile(lambda text: text.replace("kubernetes cluster.local", "kubernetes cluster.lokal"))
    assert net.rcode("web") == "NXDOMAIN"
    assert net.rcode("example.com.") == "NOERROR"


def test_dns_goes_with_its_pods_its_service_and_its_address(net: Net) -> None:
    net.lab.patch("Deployment", "coredns", {"spec": {"replicas": 0}}, "kube-system", "merge")
    net.lab.advance(40)
    assert net.rcode("web") == "UNREACHABLE"
    net.lab.patch("Deployment", "coredns", {"spec": {"replicas": 1}}, "kube-system", "merge")
    net.lab.advance(40)
    assert net.rcode("web") == "NOERROR"
    net.lab.patch("Service", "kube-dns", {"spec": {"selector": {"k8s-app": "kube-dnss"}}}, "kube-system", "merge")
    assert net.rcode("web") == "UNREACHABLE"
    net.lab.delete("Service", "kube-dns", "kube-system")
    assert net.rcode("web") == "TIMEOUT"
    # Who needs no name goes on.
    assert isinstance(net.connect(net.lab.get("Service", "web")["spec"]["clusterIP"], 8080), Reached)


def test_a_policy_that_forgets_dns_makes_every_name_time_out(net: Net) -> None:
    to_web = {"to": [{"podSelector": {"matchLabels": {"app": "web"}}}]}
    spec = {"podSelector": {"matchLabels": {"app": "client"}}, "policyTypes": ["Egress"], "egress": [to_web]}
    net.lab.apply(policy("only-web", spec))
    assert net.rcode("web") == "TIMEOUT"
    assert isinstance(net.connect(net.lab.get("Service", "web")["spec"]["clusterIP"], 8080), Reached)
    to_dns = {
        "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
        "ports": [{"port": 53, "protocol": "UDP"}],
    }  # fmt: skip
    net.lab.patch("NetworkPolicy", "only-web", {"spec": {"egress": [to_web, to_dns]}}, how="merge")
    assert isinstance(net.connect("web", 8080), Reached)


def test_a_fork_reloads_on_its_own(net: Net) -> None:
    import random

    from stratus.kit.clock import VirtualClock

    lab = net.lab
    clock, rng = VirtualClock(lab.clock.now()), random.Random(1)
    twin = lab.control.fork(lab.store.fork(clock, rng), clock, rng)
    before = net.lab.logs(net.dns_pods()[0]["metadata"]["name"], "kube-system")
    found = twin.store.get("configmaps", "kube-system", "coredns")
    text = found["data"]["Corefile"].replace("kubernetes cluster.local", "kubernetes cluster.lokal")
    twin.store.update("configmaps", {**found, "data": {"Corefile": text}})
    clock.advance(60)
    assert twin.network.lookup(net.pod(), "web").rcode == "NXDOMAIN"
    lab.advance(60)
    assert net.rcode("web") == "NOERROR"
    assert net.lab.logs(net.dns_pods()[0]["metadata"]["name"], "kube-system") == before
    twin.close()


# from inside


def test_tools_in_a_container_tell_the_same(net: Net) -> None:
    ip = net.lab.get("Service", "web")["spec"]["clusterIP"]
    run = net.lab.exec
    found = run("client", ["nslookup", "web"]).stdout
    assert found == f"Server:\t\t10.96.0.10\nAddress:\t10.96.0.10:53\n\nName:\t{FULL}\nAddress: {ip}\n\n"
    assert run("client", ["dig", "+short", FULL]).stdout == f"{ip}\n"
    assert "status: NXDOMAIN" in run("client", ["dig", "web"]).stdout
    assert run("client", ["dig", "+short", "+search", "web"]).stdout == f"{ip}\n"
    assert run("client", ["dig", "+short", "SRV", f"_http._tcp.{FULL}"]).stdout == f"0 100 8080 {FULL}.\n"
    assert run("client", ["host", "web"]).stdout == f"{FULL} has address {ip}\n"
    assert run("client", ["host", "nope"]).stdout == "Host nope not found: 3(NXDOMAIN)\n"
    assert run("client", ["getent", "hosts", "web"]).stdout == f"{ip:<15} {FULL}\n"
    assert run("client", ["nslookup", ip]).stdout.endswith(f"name = {FULL}\n\n")
    assert "search default.svc.cluster.local" in run("client", ["cat", "/etc/resolv.conf"]).stdout
    net.lab.patch("Deployment", "coredns", {"spec": {"replicas": 0}}, "kube-system", "merge")
    net.lab.advance(40)
    gone = run("client", ["nslookup", "web"])
    assert (gone.exit_code, ";; connection timed out; no servers could be reached" in gone.stderr) == (1, True)
    assert run("client", ["dig", "web"]).exit_code == 9
    assert run("client", ["curl", "-sS", "http://web:8080/"]).stderr == "curl: (6) Could not resolve host: web\n"
