"""The parts of a twin by themselves: manners, images, doubts, adoption, a glance."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from twin_kit import IMAGE, SHOP, Arena, config, deployment, health, script, service

from stratus.sim.twin.adoption import _waits
from stratus.sim.twin.doubts import Doubts
from stratus.sim.twin.glance import Glance
from stratus.sim.twin.images import SeenImages
from stratus.sim.twin.manners import (
    Manner,
    changed_at,
    check,
    checks,
    lacks,
    observed,
    place_of,
    refers_to,
    services_named,
    settings_of,
    texts_of,
)

NOW = 1_767_600_000.0
T = "2026-01-05T07:58:20Z"  # 100 s before
JUST, LONG_AGO = "2026-01-05T07:59:55Z", "2026-01-05T06:00:00Z"
CONTAINER = {"name": "main", "image": IMAGE, "readinessProbe": {"tcpSocket": {"port": 80}}}


def lookup(objects: dict[tuple[str, str], dict[str, Any]]) -> Any:
    return lambda resource, space, name: objects.get((resource, name))


def ended(code: int, since: str = T, until: str = T, reason: str = "Error") -> dict[str, Any]:
    return {"exitCode": code, "reason": reason, "startedAt": since, "finishedAt": until}


# manners


@pytest.mark.parametrize(
    ("status", "stays", "wanted"),
    [
        ({"state": {"running": {"startedAt": T}}, "ready": True, "started": True}, True, ("runs", True)),
        ({"state": {"running": {"startedAt": T}}, "ready": False, "started": True}, True, ("runs", False)),
        ({"state": {"running": {"startedAt": JUST}}, "ready": False}, True, None),
        ({"state": {"running": {"startedAt": JUST}}, "ready": True}, True, ("runs", True)),
        ({"state": {"waiting": {"reason": "ContainerCreating"}}}, True, None),
        ({}, True, None),
        ({"state": {"waiting": {}}, "lastState": {"terminated": ended(2)}}, True, ("ends", False)),
        ({"state": {"running": {"startedAt": JUST}}, "lastState": {"terminated": ended(2)}}, True, ("ends", False)),
        ({"state": {"running": {"startedAt": T}}, "ready": True, "lastState": {"terminated": ended(2)}}, True,
         ("runs", True)),
        ({"state": {"running": {"startedAt": T}}, "ready": True,
          "lastState": {"terminated": ended(1, LONG_AGO, T)}}, True, ("ends", True)),
        ({"state": {"waiting": {}}, "lastState": {"terminated": ended(0)}}, True, ("ends", False)),
        ({"state": {"terminated": ended(0)}}, False, ("ends", False)),
        ({"state": {"waiting": {}}, "lastState": {"terminated": ended(128, reason="StartError")}}, True,
         ("refused", True)),
    ],
)  # fmt: skip
def test_a_manner_is_read_off_a_status(status: dict[str, Any], stays: bool, wanted: tuple[Any, ...] | None) -> None:
    found = observed(status, CONTAINER, NOW, stays=stays)
    assert (found and (found.kind, found.ready)) == wanted


def test_what_ends_well_is_ill_only_where_it_should_stay() -> None:
    for stays, ill in ((True, True), (False, False)):
        found = observed({"state": {"terminated": ended(0)}}, CONTAINER, NOW, stays=stays)
        assert found is not None
        assert found.ill is ill
    assert Manner("runs", ready=False).ill
    assert Manner("runs", started=False).ill
    assert not Manner("runs").ill


def test_how_long_it_ran_and_that_memory_was_short_is_carried_over() -> None:
    status = {"state": {"waiting": {}}, "lastState": {"terminated": ended(137, T, "2026-01-05T07:58:50Z", "OOMKilled")}}
    found = observed(status, CONTAINER, NOW)
    assert found is not None
    assert (found.after, found.code, found.reason) == (30.0, 137, "OOMKilled")


def pod(container: dict[str, Any], **spec: Any) -> dict[str, Any]:
    owner = {"kind": "ReplicaSet", "name": "web-12ab", "controller": True}
    return {
        "metadata": {"namespace": SHOP, "name": "web-12ab-x", "ownerReferences": [owner]},
        "spec": {"containers": [container], **spec},
    }


FULL = {
    "name": "main",
    "image": IMAGE,
    "env": [
        {"name": "A", "value": "1"},
        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ],
    "envFrom": [{"secretRef": {"name": "s"}}],
    "volumeMounts": [{"name": "v", "mountPath": "/etc/app"}],
    "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
    "livenessProbe": {"httpGet": {"port": 80}},
}
VOLUMES = [{"name": "v", "projected": {"sources": [{"configMap": {"name": "files"}}]}}]
OBJECTS = {
    ("configmaps", "c"): {"metadata": {}, "data": {"k": "v", "other": "x"}},
    ("configmaps", "files"): {"metadata": {}, "data": {"app.ini": "db=orders-db:5432"}},
    ("secrets", "s"): {"metadata": {}, "data": {"p": "cHc="}},
}


@pytest.mark.parametrize(
    "path",
    ["image", "env.0.value", "livenessProbe.httpGet.port", "resources.limits.memory", "volumeMounts.0.mountPath"],
)
def test_settings_differ_by_what_decides_behaviour(path: str) -> None:
    other = copy.deepcopy(FULL)
    *way, last = path.split(".")
    at: Any = other
    for step in way:
        at = at[int(step)] if step.isdigit() else at[step]
    at[last] = "something else"
    look = lookup(OBJECTS)
    assert settings_of(pod(FULL, volumes=VOLUMES), FULL, look) != settings_of(pod(other, volumes=VOLUMES), other, look)


@pytest.mark.parametrize(
    ("key", "data"),
    [
        (("configmaps", "c"), {"k": "new", "other": "x"}),
        (("configmaps", "files"), {"app.ini": ""}),
        (("secrets", "s"), {"p": ""}),
    ],
)
def test_settings_differ_by_the_content_they_refer_to(key: tuple[str, str], data: dict[str, str]) -> None:
    changed = {**OBJECTS, key: {"metadata": {}, "data": data}}
    mine = pod(FULL, volumes=VOLUMES)
    assert settings_of(mine, FULL, lookup(OBJECTS)) != settings_of(mine, FULL, lookup(changed))


def test_settings_are_the_same_whatever_the_pod_is_called_and_asks_for() -> None:
    other = copy.deepcopy(FULL)
    other["resources"]["requests"]["cpu"] = "2"
    other["readinessProbe"] = {"tcpSocket": {"port": 1}}
    token = {"name": "kube-api-access-1", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    other["volumeMounts"].append(token)
    mine, theirs = pod(FULL, volumes=VOLUMES), pod(other, volumes=VOLUMES, nodeName="n", serviceAccountName="default")
    theirs["metadata"]["name"] = "web-12ab-y"
    unread = {**OBJECTS, ("configmaps", "c"): {"metadata": {}, "data": {"k": "v", "other": "changed"}}}
    assert settings_of(mine, FULL, lookup(OBJECTS)) == settings_of(theirs, other, lookup(unread))
    assert place_of(mine, FULL) == (SHOP, "web", "main")


def test_what_a_container_reads_and_speaks_of() -> None:
    mine = pod(FULL, volumes=VOLUMES)
    assert set(refers_to(mine, FULL)) == set(OBJECTS)
    text = texts_of(mine, FULL, lookup(OBJECTS))
    assert services_named(text, ["orders-db", "orders", "db", "v"]) == ("orders-db", "db", "v")
    assert services_named("http://cart:80/carts", ["cart", "carts", "car"]) == ("cart", "carts")


def test_a_key_that_is_not_there_is_noticed_optional_or_not() -> None:
    mine = pod(FULL)
    assert not lacks(mine, FULL, lookup(OBJECTS))
    assert lacks(mine, FULL, lookup({}))
    assert lacks(mine, FULL, lookup({("configmaps", "c"): {"metadata": {}, "data": {"x": "y"}}}))


def test_the_last_change_is_the_latest_that_anybody_made() -> None:
    meta = {"creationTimestamp": LONG_AGO, "managedFields": [{"time": T}, {"time": LONG_AGO}, {}]}
    assert changed_at({"metadata": meta}) == NOW - 100
    assert changed_at({"metadata": {"creationTimestamp": T}}) == NOW - 100


def test_two_probes_that_ask_the_same_are_one_check() -> None:
    named = {"ports": [{"name": "http", "containerPort": 8080}]}
    one, other = (
        {"httpGet": {"port": "http", "path": "/"}, "periodSeconds": 9},
        {"httpGet": {"path": "/", "port": 8080}},
    )
    assert check(named, one) == check(named, other) != check(named, {"httpGet": {"path": "/x", "port": 8080}})
    assert check(named, {}) == ""
    found = checks({**named, "livenessProbe": one, "readinessProbe": {"exec": {"command": ["true"]}}}, "livenessProbe")
    assert check({}, {"tcpSocket": {"port": 8080}}) in found
    assert len(found) == 2


# images and doubts


def test_images_are_what_was_seen_of_them() -> None:
    images = SeenImages(Doubts())
    images.seen("nginx:1.27")
    images.failed("acme/x:1", frozenset({"acme.io"}), "not found")
    assert images.pull("docker.io/library/nginx:1.27").error == ""
    assert images.exists("nginx:1.27")
    assert images.pull("acme/x:1", credentials=["acme.io"]).error == "not found"
    assert not images.doubts.met
    assert images.pull("acme/x:1").error == "", "with other credentials it may be pulled"
    assert images.pull("acme/y:1").error == ""
    assert len(images.doubts.met) == 2
    assert not images.is_described("nginx:1.27")


def test_at_worst_what_was_never_seen_cannot_be_pulled() -> None:
    images = copy.deepcopy(SeenImages(Doubts(pessimist=True)))
    assert images.pull("acme/y:1").error
    assert "acme/y:1" in next(iter(images.doubts.met))


def test_an_image_seen_running_on_one_node_can_be_pulled_on_another() -> None:
    with Arena(deployment("a"), nodes=1) as arena:
        arena.patch(
            {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "node1"}}, {"spec": {"unschedulable": True}}
        )
        with arena.twin() as twin:
            assert twin.registry.good
            assert list(twin.control.kubelet.images.present) == ["node1"]


# adoption


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("back-off 10s restarting failed container=a pod=b", 10),
        ("back-off 1m20s restarting failed container", 80),
        ("back-off 5m0s restarting failed container", 300),
        ("back-off 1h0m2.5s restarting failed", 3602.5),
        ("Back-off pulling image", 0),
        ("", 0),
    ],
)
def test_a_wait_is_read_off_the_kubelets_message(text: str, seconds: float) -> None:
    assert _waits(text) == seconds


def test_counts_of_restarts_go_on() -> None:
    with Arena(deployment("a", **script("sleep 2; exit 1")), seconds=100) as arena, arena.twin() as twin:
        before = twin.store.list("pods", SHOP)[0]["status"]["containerStatuses"][0]["restartCount"]
        twin.advance(200)
        assert twin.store.list("pods", SHOP)[0]["status"]["containerStatuses"][0]["restartCount"] > before >= 2


def test_a_pod_on_its_way_out_goes_and_teaches_nothing() -> None:
    slow = deployment("a", pod={"terminationGracePeriodSeconds": 120}, **script("trap '' TERM; sleep 1d"))
    with Arena(slow) as arena:
        name = arena.cluster.store.list("pods", SHOP)[0]["metadata"]["name"]
        arena.write("DELETE", {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": SHOP}}, {})
        arena.cluster.advance(1)
        assert any(p["metadata"].get("deletionTimestamp") for p in arena.cluster.store.list("pods", SHOP))
        with arena.twin() as twin:
            twin.advance(150)
            assert name not in [p["metadata"]["name"] for p in twin.store.list("pods", SHOP)]
            assert health(twin)["a"][1] == 1


def test_a_node_that_is_silent_stays_silent() -> None:
    with Arena(deployment("a"), seconds=30) as arena:
        node = arena.cluster.store.list("pods", SHOP)[0]["spec"]["nodeName"]
        arena.cluster.control.kubelet.stop_node(node)
        arena.cluster.advance(90)
        with arena.twin() as twin:
            assert node in twin.control.kubelet.silent
            assert health(twin) == health(arena.cluster)


def test_owners_that_were_not_read_do_not_make_garbage() -> None:
    with Arena(deployment("a"), config("c")) as arena:
        owner = {"apiVersion": "acme.io/v1", "kind": "Thing", "name": "t", "uid": "u-1", "controller": True}
        arena.patch(deployment("a"), {"metadata": {"ownerReferences": [owner]}})
        shot = arena.look()
    from stratus.sim.twin.cluster import TwinCluster

    with TwinCluster(shot) as twin:
        twin.advance(60)
        found = twin.store.get("deployments.apps", SHOP, "a")
        assert found is not None
        assert found["metadata"]["ownerReferences"] == []
        assert health(twin)["a"][1] == 1


def test_names_and_uids_are_drawn_anew() -> None:
    with Arena(deployment("a")) as arena, arena.twin() as twin:
        before = {p["metadata"]["uid"] for p in twin.store.list("pods")}
        twin.store.delete("pods", SHOP, twin.store.list("pods", SHOP)[0]["metadata"]["name"])
        twin.control.drain()
        arena.cluster.store.delete("pods", SHOP, arena.cluster.store.list("pods", SHOP)[0]["metadata"]["name"])
        arena.cluster.control.drain()
        uids = [{p["metadata"]["uid"] for p in c.store.list("pods", SHOP)} for c in (twin, arena.cluster)]
        assert uids[0].isdisjoint(before | uids[1]), "two emulations with one seed must not draw the same"


# a glance


def test_a_glance_sees_what_is_stored_and_can_do_nothing_else() -> None:
    with Arena(deployment("a"), service("a"), seconds=5) as arena, arena.twin() as twin:
        glance = Glance(twin)
        assert [s["metadata"]["name"] for s in glance.list("Service", SHOP)] == ["a"]
        ref = arena.kube.reader.resource("Service")
        assert glance.identity().embedded
        assert glance.resources() == ()
        assert glance.logs(SHOP, "a") == ""
        assert not glance.can_i("get", ref.full_name)
        with pytest.raises(NotImplementedError):
            glance.list("Service", label_selector="a=b")
        with pytest.raises(NotImplementedError):
            glance.resource("svc")
