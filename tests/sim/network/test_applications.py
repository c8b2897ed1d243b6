"""What the network does to applications under load: names, policies, proxies, Ingresses, and volumes that are full."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stratus.sim.api import Request
from stratus.sim.cluster import EmbeddedCluster, dump

sys.path.insert(0, str(Path(__file__).parents[1] / "apps"))

from building import NS, application, errors, program, started, tick, two, workload

MERGE = "application/merge-patch+json"


@pytest.fixture(scope="module")
def _small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    with started(tmp_path_factory.mktemp("small"), two(), 60.0) as cluster:
        yield cluster


@pytest.fixture
def small(_small: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    with _small.fork() as cluster:
        yield cluster


def send(cluster: EmbeddedCluster, method: str, path: str, body: Any = None, kind: str = "application/json") -> None:
    import json

    data = json.dumps(body).encode() if body is not None else b""
    answer: Any = cluster.api.handle(Request(method, path, {"content-type": kind}, data))
    assert answer.status < 300, answer.obj


def said(cluster: EmbeddedCluster, workload_: str) -> str:
    pods = [p for p in cluster.store.list("pods", NS) if p["metadata"]["labels"]["app"] == workload_]
    lines: list[str] = []
    for pod in pods:
        found = cluster.runtime.logs(pod, pod["spec"]["containers"][0], previous=False, since=None, limit=400)
        lines += [text for _, text in found]
    return "\n".join(lines)


def message(cluster: EmbeddedCluster, caller: str = "front", callee: str = "back") -> str:
    found = [e for (_, a, b, _), e in tick(cluster).edges.items() if (a, b) == (caller, callee)]
    return " ".join(e.message for e in found)


def test_all_is_well_with_dns_and_proxies_of_the_clusters_own(small: EmbeddedCluster) -> None:
    assert errors(small) == 0.0
    names = [p["metadata"]["name"] for p in small.store.list("pods", "kube-system")]
    assert [n.rpartition("-")[0].partition("-")[0] for n in names] == ["coredns"] * 2 + ["kube"] * 3


def test_calls_fail_when_cluster_dns_is_scaled_away(small: EmbeddedCluster) -> None:
    path = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
    send(small, "PATCH", path, {"spec": {"replicas": 0}}, MERGE)
    small.advance(60)
    assert errors(small) == 1.0
    assert "lookup back on 10.96.0.10:53: connection refused" in message(small)
    send(small, "PATCH", path, {"spec": {"replicas": 2}}, MERGE)
    small.advance(60)
    assert errors(small) == 0.0


def test_a_name_denied_in_the_corefile(small: EmbeddedCluster) -> None:
    from stratus.sim.corefile import denial

    found = small.store.get("configmaps", "kube-system", "coredns")
    assert found is not None
    text = found["data"]["Corefile"]
    denied = text.replace("    ready\n", "    ready\n" + denial(f"back.{NS}.svc.cluster.local", "NXDOMAIN"))
    path = "/api/v1/namespaces/kube-system/configmaps/coredns"
    send(small, "PATCH", path, {"data": {"Corefile": denied}}, MERGE)
    small.advance(60)
    assert errors(small) == 1.0
    assert "lookup back on 10.96.0.10:53: no such host" in message(small)
    send(small, "PATCH", path, {"data": {"Corefile": text}}, MERGE)
    small.advance(60)
    assert errors(small) == 0.0


@pytest.mark.parametrize("types", [["Ingress"], ["Egress"]])
def test_policies_make_calls_time_out(small: EmbeddedCluster, types: list[str]) -> None:
    whom = "back" if types == ["Ingress"] else "front"
    body = {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"},
        "spec": {"podSelector": {"matchLabels": {"app": whom}}, "policyTypes": types},
    }  # fmt: skip
    send(small, "POST", f"/apis/networking.k8s.io/v1/namespaces/{NS}/networkpolicies", body)
    small.advance(30)
    assert errors(small) == 1.0
    assert "i/o timeout" in message(small)
    # It takes as long as the caller waits.
    assert 0.4 < tick(small).services[NS, "front"].p95 < 0.7
    send(small, "DELETE", f"/apis/networking.k8s.io/v1/namespaces/{NS}/networkpolicies/deny")
    small.advance(30)
    assert errors(small) == 0.0


def test_one_of_three_endpoints_that_is_cut_off_takes_its_share(tmp_path: Path) -> None:
    app = two()
    app["objects"][3]["spec"]["replicas"] = 3
    with started(tmp_path, app, 60.0) as cluster:
        assert errors(cluster) == 0.0
        pod = next(p for p in cluster.store.list("pods", NS) if p["metadata"]["labels"]["app"] == "back")
        path = f"/api/v1/namespaces/{NS}/pods/{pod['metadata']['name']}"
        send(cluster, "PATCH", path, {"metadata": {"labels": {"cut": "off"}}}, MERGE)
        spec = {"podSelector": {"matchLabels": {"cut": "off"}}, "policyTypes": ["Ingress"]}
        body = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "cut"},
            "spec": spec,
        }
        send(cluster, "POST", f"/apis/networking.k8s.io/v1/namespaces/{NS}/networkpolicies", body)
        cluster.advance(15)
        assert errors(cluster) == pytest.approx(1 / 3, abs=0.02)
        assert "i/o timeout" in message(cluster)


def test_a_new_service_does_not_work_where_kube_proxy_is_down(small: EmbeddedCluster) -> None:
    path = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy"
    change = {"spec": {"template": {"spec": {"nodeSelector": {"none": "such"}}}}}
    send(small, "PATCH", path, change, MERGE)
    small.advance(60)
    assert errors(small) == 0.0
    services = f"/api/v1/namespaces/{NS}/services"
    stored = small.store.get("services", NS, "back")
    assert stored is not None
    send(small, "DELETE", f"{services}/back")
    fresh = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "back"},
             "spec": {"selector": {"app": "back"}, "ports": [{"port": 80, "targetPort": 8080}]}}  # fmt: skip
    send(small, "POST", services, fresh)
    small.advance(30)
    assert errors(small) == 1.0
    change["spec"]["template"]["spec"]["nodeSelector"]["none"] = None  # type: ignore[assignment]
    send(small, "PATCH", path, change, MERGE)
    small.advance(60)
    assert errors(small) == 0.0


def test_users_who_come_through_an_ingress_lose_their_way_with_it(tmp_path: Path) -> None:
    host = "shop.example.com"
    backend = {"service": {"name": "front", "port": {"number": 80}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    objects = [
        {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"},
         "spec": {"controller": "k8s.io/ingress-nginx"}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "shop"},
         "spec": {"ingressClassName": "nginx", "rules": [rule]}},
        *workload("front"),
    ]  # fmt: skip
    programs = {"front": program("front", {"get": {"cpu_ms": 1}})}
    app = application(programs, objects, 20.0, load={"host": host, "port": 80})
    with started(tmp_path, app, 60.0) as cluster:
        assert tick(cluster).services[NS, "front"].rate > 15
        path = f"/apis/networking.k8s.io/v1/namespaces/{NS}/ingresses/shop"
        for change, back in (
            ({"spec": {"ingressClassName": "ngnix"}}, {"spec": {"ingressClassName": "nginx"}}),
            ({"spec": {"rules": [{**rule, "host": "www.example.com"}]}}, {"spec": {"rules": [rule]}}),
        ):
            send(cluster, "PATCH", path, change, MERGE)
            cluster.advance(15)
            gone = tick(cluster).services.get((NS, "front"))
            assert gone is None or gone.rate == 0
            send(cluster, "PATCH", path, back, MERGE)
            cluster.advance(15)
            assert tick(cluster).services[NS, "front"].rate > 15


def test_a_full_volume_takes_no_more(tmp_path: Path) -> None:
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
             "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}  # fmt: skip
    volume = {"name": "d", "persistentVolumeClaim": {"claimName": "data"}}
    store = workload("db", volumes=[volume], container={"volumeMounts": [{"name": "d", "mountPath": "/data/db"}]})
    to = {"address": {"default": "db:80"}, "protocol": "mongodb", "timeout": 1}
    programs = {
        "front": program(
            "front",
            {"get": {"cpu_ms": 1, "calls": [{"to": "db", "operation": "find"}]},
             "put": {"cpu_ms": 1, "calls": [{"to": "db", "operation": "insert"}]}},
            targets={"db": to},
        ),
        "db": program("db", {"find": {"cpu_ms": 1}, "insert": {"cpu_ms": 1}})
        | {"protocol": "mongodb", "datastore": {}},
    }  # fmt: skip
    mix = [{"operation": "get", "share": 1}, {"operation": "put", "share": 1}]
    app = application(programs, [claim, *store, *workload("front")], 40.0, load={"mix": mix})
    with started(tmp_path, app, 60.0) as cluster:
        assert errors(cluster) == 0.0
        path = f"/api/v1/namespaces/{NS}/persistentvolumeclaims/data"
        send(cluster, "PATCH", path, {"metadata": {"annotations": {"sim.stratus.dev/used": "100%"}}}, MERGE)
        cluster.advance(30)
        assert 0.4 < errors(cluster) < 0.6
        pod = next(p for p in cluster.store.list("pods", NS) if p["metadata"]["labels"]["app"] == "db")
        container = pod["spec"]["containers"][0]
        shown = cluster.runtime.exec(pod, container, ["df", "/data/db"], "").stdout
        assert "100%" in shown
        wrote = cluster.runtime.exec(pod, container, ["sh", "-c", "echo more > /data/db/x"], "")
        assert "No space left on device" in wrote.stderr
        send(cluster, "PATCH", path, {"metadata": {"annotations": None}}, MERGE)
        cluster.advance(30)
        assert errors(cluster) == 0.0


def test_what_programs_of_kube_system_remember_is_replayed(tmp_path: Path) -> None:
    """A reload that is under way and the rules of a node without kube-proxy come out of the state file again."""
    state = tmp_path / "state.db"
    with EmbeddedCluster(app=None, nodes=2, state_file=state) as cluster:
        found = cluster.store.get("configmaps", "kube-system", "coredns")
        assert found is not None
        text = found["data"]["Corefile"].replace("kubernetes cluster.local", "kubernetes cluster.lokal")
        send(cluster, "PATCH", "/api/v1/namespaces/kube-system/configmaps/coredns", {"data": {"Corefile": text}}, MERGE)
        change = {"spec": {"template": {"spec": {"nodeSelector": {"none": "such"}}}}}
        send(cluster, "PATCH", "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy", change, MERGE)
        cluster.advance(20.5)
        before = dump(cluster)
        memory = [cluster.control.controllers[n].state for n in ("dns", "kube-proxy", "attach", "volume")]
    with EmbeddedCluster(app=None, nodes=2, state_file=state) as again:
        assert dump(again) == before
        assert [again.control.controllers[n].state for n in ("dns", "kube-proxy", "attach", "volume")] == memory
        again.advance(30)
        configs = [v[3] for k, v in again.control.dns.state.items() if k != "installed"]
        assert configs == [text, text]
