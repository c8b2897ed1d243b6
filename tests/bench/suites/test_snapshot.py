"""What an outsider sees: decisions of people without what machines add, and what live checks came to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes.client import AppsV1Api, CoreV1Api

from stratus.bench.arena import Arena
from stratus.bench.snapshot import Figures, Snapshot, capture, changed, essence, fired
from stratus.bench.suites import load_suite
from stratus.bench.suites.checks import Admits, Exec, Reaches, key_of

BOOKS = load_suite("itbench")
NS = "book-shop"


def obj(kind: str, spec: dict[str, Any], **meta: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x", "uid": "1", **meta}, "spec": spec, "status": {}}


def template(**notes: str) -> dict[str, Any]:
    return {"replicas": 1, "template": {"metadata": {"labels": {"a": "b"}, "annotations": notes}, "spec": {}}}


def test_a_restart_is_no_change() -> None:
    plain = {"replicas": 1, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {}}}
    again = template(**{"kubectl.kubernetes.io/restartedAt": "now"})
    assert essence(obj("Deployment", plain)) == essence(obj("Deployment", again))
    noted = template(**{"kubectl.kubernetes.io/restartedAt": "now", "acme.dev/x": "1"})
    assert essence(obj("Deployment", noted))["spec"]["template"]["metadata"]["annotations"] == {"acme.dev/x": "1"}


def test_a_service_made_again_is_the_same_but_a_headless_one_is_not() -> None:
    spec = {"ports": [{"port": 80}]}
    one, two = ({**spec, "clusterIP": ip, "clusterIPs": [ip]} for ip in ("10.96.0.1", "10.96.0.2"))
    assert essence(obj("Service", one)) == essence(obj("Service", two)) == essence(obj("Service", spec))
    assert essence(obj("Service", {**spec, "clusterIP": "None"})) != essence(obj("Service", spec))


def test_what_machines_write_is_left_out() -> None:
    machine = {"deployment.kubernetes.io/revision": "2", "pv.kubernetes.io/bound": "yes"}
    assert essence(obj("Deployment", {}, annotations=machine)) == {"spec": {}}
    people = essence(obj("Deployment", {}, annotations={"acme.dev/owner": "me"}, labels={"a": "b"}))
    assert people == {"spec": {}, "labels": {"a": "b"}, "annotations": {"acme.dev/owner": "me"}}
    lost = {"taints": [{"key": "node.kubernetes.io/unreachable"}, {"key": "maintenance"}]}
    assert essence(obj("Node", lost)) == {"spec": {"taints": [{"key": "maintenance"}]}}
    claims = ({"claimRef": {"namespace": "n", "name": "c", "uid": u}} for u in "12")
    assert len({str(essence(obj("PersistentVolume", c))) for c in claims}) == 1
    assert essence(obj("Deployment", {"replicas": 7}), autoscaled=True) == {"spec": {}}


def test_keys_are_found_with_and_without_a_namespace() -> None:
    seen = Snapshot(at=0, namespace="shop", objects={"Node//n": {}, "Service/shop/web": {}})
    assert seen.key("Service/web") == "Service/shop/web"
    assert seen.key("Node/n") == "Node//n"
    assert seen.key("ConfigMap/kube-system/coredns") == "ConfigMap/kube-system/coredns"


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with Arena.open(BOOKS.scenario("scenario-36"), suite=BOOKS) as opened:
        yield opened


def test_a_snapshot_shows_what_there_is(arena: Arena) -> None:
    seen = arena.healthy
    assert seen.services[f"{NS}/productpage"].rate == pytest.approx(21, abs=3)
    assert seen.services[f"{NS}/productpage"].errors == 0
    assert seen.workloads[f"Deployment/{NS}/reviews-v2"].complete
    assert seen.endpoints[f"{NS}/reviews"] == 3
    assert {p.namespace for p in seen.pods} >= {NS, "kube-system"}
    assert all(p.containers_ready for p in seen.pods)
    assert seen.alerts == ()
    assert f"Service/{NS}/details" in seen.objects
    assert not any(k.startswith(("ReplicaSet/", "Event/", "Lease/", "Endpoints")) for k in seen.objects)
    assert not any(k.startswith(f"Pod/{NS}/") for k in seen.objects)
    assert Snapshot.model_validate_json(seen.model_dump_json()) == seen


def test_only_decisions_count_as_changes(arena: Arena) -> None:
    with arena.branch() as copy:
        copy.cluster.advance(60)
        assert changed(arena.healthy, capture(copy.cluster)) == ()
        apps, core = (api(copy.cluster.api_client()) for api in (AppsV1Api, CoreV1Api))
        apps.patch_namespaced_deployment_scale("details", NS, {"spec": {"replicas": 2}})
        core.delete_namespaced_service("ratings", NS)
        pod = {"metadata": {"name": "debug"}, "spec": {"containers": [{"name": "c", "image": "busybox:1.36"}]}}
        core.create_namespaced_pod(NS, pod)
        now = capture(copy.cluster)
        assert changed(arena.healthy, now) == (f"Deployment/{NS}/details", f"Pod/{NS}/debug", f"Service/{NS}/ratings")
        assert now.workloads[f"Deployment/{NS}/details"].wanted == 2
    assert changed(arena.healthy, capture(arena.cluster)) == ()


def test_live_checks_are_tried_on_a_copy(arena: Arena) -> None:
    page = "Deployment/productpage"
    checks = {
        "ok": [
            Reaches(source=page, host="details", port=9080),
            Exec(object=page, command=("echo", "hello"), output="hello"),
            Admits(object=page),
        ],
        "": [
            Reaches(source=page, host="details", port=81),
            Reaches(source=page, host="nobody", port=80),
            Reaches(source="Deployment/nobody", host="details", port=9080),
            Exec(object=page, command=("false",)),
            Exec(object=page, command=("echo", "hello"), output="bye"),
        ],
    }
    before = arena.cluster.store.rv
    told = capture(arena.cluster, [c for group in checks.values() for c in group]).probes
    assert arena.cluster.store.rv == before
    assert [told[key_of(c)] for c in checks["ok"]] == ["ok"] * 3
    assert all(told[key_of(c)] not in ("", "ok") for c in checks[""])


def test_a_quota_keeps_another_pod_out(arena: Arena) -> None:
    with arena.branch() as copy:
        core = CoreV1Api(copy.cluster.api_client())
        core.create_namespaced_resource_quota(
            NS, {"metadata": {"name": "q"}, "spec": {"hard": {"limits.memory": "8Gi"}}}
        )
        bare, full = Admits(object="Deployment/details", bare=True), Admits(object="Deployment/details")
        told = capture(copy.cluster, [bare, full]).probes
        assert "must specify" in told[key_of(bare)]
        assert told[key_of(full)] == "ok"


def test_alerts_of_the_whole_window_are_seen(arena: Arena) -> None:
    with arena.branch() as copy:
        copy.inject()
        copy.cluster.heal("any-wrong-selector")
        copy.cluster.advance(90)
        assert any(a.startswith("HighRequestErrorRate") for a in fired(copy.cluster, 120))
        copy.cluster.advance(200)
        assert fired(copy.cluster, 120) == set()


def test_figures_of_nobody_are_unknown() -> None:
    assert Figures() == Figures(rate=None, errors=None, p99=None)
