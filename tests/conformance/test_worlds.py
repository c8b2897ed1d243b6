"""The cluster before a recorded command: pieced together from changes, answers and tables, and taken over as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stratus.conformance.adoption import adopt, with_replica_sets
from stratus.conformance.golden import Golden
from stratus.conformance.rows import as_printed, rebuilt
from stratus.conformance.suites.sessions import comparable, evident, objects, unordered
from stratus.conformance.timeline import Timeline, key_of, transplanted, written
from stratus.conformance.world import ADMIN, ANONYMOUS, NOBODY, STRANGER, VIEWER, EmbeddedWorld
from stratus.kit.clock import iso, parse_iso

Json = dict[str, Any]
NOON = parse_iso("2026-11-22T12:00:00Z")
UID = "cb75687a-1690-4c5f-bbc6-57c986478b9f"


def thing(kind: str, name: str, space: str = "shop1", at: str = "2026-11-22T11:00:00Z", **more: Any) -> Json:
    meta = {"name": name, "namespace": space, "uid": UID, "creationTimestamp": at, "resourceVersion": "41"}
    return {"apiVersion": "v1", "kind": kind, "metadata": meta, **more}


def change(before: Json | None, after: Json | None, direct: bool = True) -> Json:
    return {"direct": direct, "change": "modified", "before": before, "after": after}


def session(number: int, *changes: Json, argv: str = "get pods", **more: Any) -> Json:
    return {
        "id": number, "namespace": "shop1", "group": "g", "argv": ["kubectl", *argv.split()], "exit_code": 0,
        "stdout": "", "stderr": "", "requests": [], "changes": list(changes), **more,
    }  # fmt: skip


@pytest.fixture
def world(excerpts: Golden) -> Iterator[EmbeddedWorld]:
    made = EmbeddedWorld(excerpts.custom_resources, running=True, moment=NOON)
    yield made
    made.close()


@pytest.fixture
def still() -> Iterator[EmbeddedWorld]:
    made = EmbeddedWorld(moment=NOON)
    yield made
    made.close()


# over time


def test_an_object_is_what_the_last_change_left() -> None:
    one, two, three = (thing("ConfigMap", "a", data={"n": str(n)}) for n in (1, 2, 3))
    timeline = Timeline([session(1, change(None, one)), session(2), session(3, change(two, three)), session(4)])
    key = key_of(one)
    assert key not in timeline.at(0)
    assert timeline.at(1)[key] == one
    assert timeline.at(2)[key] == two
    assert timeline.at(3)[key] == three


def test_before_its_first_change_it_was_as_that_change_found_it() -> None:
    found = thing("ConfigMap", "a")
    timeline = Timeline([session(1), session(2, change(found, None))])
    assert timeline.at(0) == {key_of(found): found}


def test_what_several_namespaces_began_with_was_in_all_of_them() -> None:
    quotas = [thing("ResourceQuota", "quota", s) for s in ("shop1", "shop2", "shop3")]
    configs = [thing("ConfigMap", "common", s) for s in ("shop1", "shop2")]
    changes = [change(o, {**o, "data": {}}) for o in (*quotas, *configs)]
    there = Timeline([session(1, *changes)]).at(0)
    moved = there["", "ConfigMap", "shop3", "common"]
    assert moved["metadata"]["namespace"] == "shop3"
    assert moved["metadata"]["uid"] not in (UID, transplanted(configs[0], "shop4")["metadata"]["uid"])


def test_a_session_begins_after_what_was_written_until_then() -> None:
    old, new = thing("ConfigMap", "a"), thing("ConfigMap", "b", at="2026-11-22T11:30:00Z")
    timeline = Timeline([session(1, change(old, None)), session(2), session(3, change(None, new)), session(4)])
    assert iso(timeline.seconds(1)) == "2026-11-22T11:00:00Z"
    assert timeline.seconds(2) == timeline.seconds(1)
    assert iso(timeline.seconds(3)) == "2026-11-22T11:30:00Z"


def test_the_latest_write_of_an_object() -> None:
    obj = thing("ConfigMap", "a")
    obj["metadata"]["managedFields"] = [{"time": "2026-11-22T11:05:00Z"}, {"time": "2026-11-22T11:02:00Z"}, {}]
    assert iso(written(obj)) == "2026-11-22T11:05:00Z"


# what answers tell


def request(method: str, path: str, status: int, **more: Any) -> Json:
    return {"method": method, "path": path, "status": status, **more}


def test_what_is_not_found_at_first_was_not_there() -> None:
    found = thing("ConfigMap", "a")
    missing = {"details": {"name": "a", "kind": "configmaps"}}
    path = "/api/v1/namespaces/shop1/configmaps/a"
    before = session(1, change(None, found))
    gone = session(2, requests=[request("GET", path, 404, response=missing)])
    assert evident(Timeline([before, gone]), 1, gone) == {}
    deleted = session(2, requests=[request("DELETE", path, 200), request("GET", path, 404, response=missing)])
    assert list(evident(Timeline([before, deleted]), 1, deleted)) == [key_of(found)]


def test_what_stands_in_the_way_of_a_create_was_there() -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "y"}}
    refused = session(1, requests=[request("POST", "/api/v1/namespaces/shop1/configmaps?x=1", 409, body=body)])
    (obj,) = evident(Timeline([refused]), 0, refused).values()
    assert obj["metadata"]["namespace"] == "shop1"
    assert obj["data"] == {"x": "y"}


def test_a_command_for_all_names_all() -> None:
    objects_there = [thing("ConfigMap", name) for name in ("a", "b")]
    base = "/api/v1/namespaces/shop1/configmaps"
    deletes_a = session(
        2, argv="delete cm --all", requests=[request("GET", base, 200), request("DELETE", f"{base}/a", 200)]
    )
    timeline = Timeline([session(1, *(change(None, o) for o in objects_there)), deletes_a])
    assert [key[3] for key in evident(timeline, 1, deletes_a)] == ["a"]


def test_a_write_that_changed_nothing_shows_what_was_there() -> None:
    stale, real = (thing("ConfigMap", "a", data={"n": n}) for n in ("stale", "real"))
    same = session(2, requests=[request("PATCH", "/api/v1/namespaces/shop1/configmaps/a", 200, response=real)])
    timeline = Timeline([session(1, change(None, stale)), same])
    assert evident(timeline, 1, same)[key_of(real)]["data"] == {"n": "real"}


# comparing


def test_only_the_named_objects_and_nothing_else_may_change() -> None:
    old, new = thing("ConfigMap", "a", data={"n": "1"}), thing("ConfigMap", "a", data={"n": "2"})
    other = thing("ConfigMap", "other", data={})
    before = {key_of(o): o for o in (old, other)}
    changes = [change(old, new)]
    assert objects(changes, before, {key_of(new): new, key_of(other): other}) == []
    assert objects(changes, before, {key_of(old): old, key_of(other): other}) == ["ConfigMap a: data.n: 1, recorded 2"]
    assert objects(changes, before, {key_of(new): new}) == ["ConfigMap other: gone, and not in the recording"]
    touched = {**other, "data": {"x": "y"}}
    (problem,) = objects(changes, before, {key_of(new): new, key_of(other): touched})
    assert problem.startswith("ConfigMap other: data.x")
    assert objects([change(old, None)], before, before) == ["ConfigMap a: still there, recorded gone"]


def test_of_two_changes_of_one_object_the_end_counts() -> None:
    old, anew = thing("Pod", "p", spec={"a": 1}), thing("Pod", "p", spec={"a": 2})
    changes = [change(None, anew), change(old, None)]
    assert objects(changes, {key_of(old): old}, {key_of(anew): anew}) == []


def test_status_and_chosen_nodes_are_left_out_and_nothing_more() -> None:
    pod = thing("Pod", "p", spec={"nodeName": "node1", "x": 1}, status={"phase": "Running"})
    same = thing("Pod", "p", spec={"nodeName": "node2", "x": 1}, status={"phase": "Pending"})
    assert comparable(pod, pod) == comparable(same, pod)
    assert comparable(thing("Pod", "p", spec={"x": 1}), pod) != comparable(pod, pod)
    assert comparable(thing("Pod", "p", spec={"nodeName": "node1", "x": 2}), pod) != comparable(pod, pod)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("label pod a --list", True),
        ("set env deploy/a --from=configmap/b", True),
        ("describe ns a", True),
        ("logs a --all-containers", True),
        ("get pods --list", False),
        ("describe pod a", False),
        ("logs a", False),
        ("delete cm --all", False),
    ],
)
def test_which_output_has_no_order(line: str, expected: bool) -> None:
    assert unordered(["kubectl", *line.split()]) is expected


# a world


def test_objects_are_placed_with_everything_the_server_sets(world: EmbeddedWorld) -> None:
    world.place(thing("ConfigMap", "a", "default", data={"x": "y"}))
    found = world.send("GET", "/api/v1/namespaces/default/configmaps/a").obj
    assert found["metadata"]["uid"] == UID
    assert found["metadata"]["resourceVersion"] == "41"
    assert found["metadata"]["creationTimestamp"] == "2026-11-22T11:00:00Z"
    made = world.send("PUT", "/api/v1/namespaces/default/configmaps/a", {**found, "data": {}}, media="application/json")
    assert made.status == 200
    assert int(made.obj["metadata"]["resourceVersion"]) > 41


def test_what_is_not_served_cannot_be_placed(world: EmbeddedWorld) -> None:
    with pytest.raises(LookupError, match=r"no example\.com/v1 Nope is served"):
        world.place({"apiVersion": "example.com/v1", "kind": "Nope", "metadata": {"name": "a"}})


def test_the_users_of_the_recordings(world: EmbeddedWorld) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    answers = {user: world.send("GET", path, user=user).status for user in (ADMIN, VIEWER, NOBODY, ANONYMOUS, STRANGER)}
    assert answers == {ADMIN: 200, VIEWER: 200, NOBODY: 403, ANONYMOUS: 403, STRANGER: 401}
    assert world.send("GET", "/api/v1/namespaces/default/secrets", user=VIEWER).status == 403


def test_the_recorded_cluster_had_four_nodes_no_storage_and_no_metrics(world: EmbeddedWorld) -> None:
    nodes = world.send("GET", "/api/v1/nodes").obj["items"]
    assert [n["metadata"]["name"] for n in nodes] == ["node1", "node2", "node3", "node4"]
    assert [bool(n["spec"].get("taints")) for n in nodes] == [False, False, True, True]
    assert world.send("GET", "/apis/storage.k8s.io/v1/storageclasses").obj["items"] == []
    assert world.send("GET", "/apis/metrics.k8s.io/v1beta1/nodes").status == 404
    assert world.send("GET", "/apis/shop.example.com/v1/widgets").status == 200


def test_a_server_without_protobuf(world: EmbeddedWorld) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    world.refuse_protobuf()
    refused = world.send("POST", path, b"k8s\x00", media="application/vnd.kubernetes.protobuf")
    assert (refused.status, refused.obj["reason"]) == (415, "UnsupportedMediaType")
    assert world.send("POST", path, {"metadata": {"name": "a"}}, media="application/json").status == 201


def running_pod() -> Json:
    started = "2026-11-22T11:00:05Z"
    return thing(
        "Pod",
        "p",
        "default",
        spec={"nodeName": "node1", "containers": [{"name": "c", "image": "registry.local/demo/app:v1"}]},
        status={
            "phase": "Running", "podIP": "10.244.1.7", "hostIP": "10.199.0.11", "startTime": "2026-11-22T11:00:01Z",
            "containerStatuses": [
                {
                    "name": "c", "ready": True, "started": True, "restartCount": 2, "containerID": "containerd://abc",
                    "image": "registry.local/demo/app:v1", "imageID": "x", "state": {"running": {"startedAt": started}},
                }
            ],
        },
    )  # fmt: skip


def test_a_placed_pod_goes_on_as_it_was(world: EmbeddedWorld) -> None:
    world.place(running_pod())
    adopt(world.cluster.control, running_pod())
    world.reach(NOON + 30.0)
    pod = world.send("GET", "/api/v1/namespaces/default/pods/p").obj
    (status,) = pod["status"]["containerStatuses"]
    assert (status["restartCount"], status["ready"], status["containerID"]) == (2, True, "containerd://abc")
    assert status["state"]["running"]["startedAt"] == "2026-11-22T11:00:05Z"
    assert pod["status"]["podIP"] == "10.244.1.7"
    events = world.send("GET", "/api/v1/namespaces/default/events").obj["items"]
    assert [e["reason"] for e in events if e["involvedObject"]["name"] == "p"] == []


def test_nothing_moves_in_a_world_that_stands_still(still: EmbeddedWorld) -> None:
    deployment = {
        "metadata": {"name": "d"},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}},
        },
    }
    made = still.send("POST", "/apis/apps/v1/namespaces/default/deployments", deployment, media="application/json")
    assert made.status == 201
    still.reach(NOON + 100.0)
    assert still.send("GET", "/apis/apps/v1/namespaces/default/replicasets").obj["items"] == []


def test_a_deployment_keeps_its_revision_when_only_it_was_recorded(world: EmbeddedWorld) -> None:
    note = "deployment.kubernetes.io/revision"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "nginx:1.27"}]}}
    deployment: Json = {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "default", "uid": UID, "annotations": {note: "7"}},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template},
    }  # fmt: skip
    both = with_replica_sets([deployment])
    assert [o["kind"] for o in both] == ["Deployment", "ReplicaSet"]
    assert with_replica_sets(both) == both
    for obj in both:
        world.place(obj)
    world.cluster.control.drain()
    (stored,) = world.store.list("replicasets.apps")
    assert stored["metadata"]["name"] == both[1]["metadata"]["name"]
    now = world.store.get("deployments.apps", "default", "d")
    assert now is not None
    assert now["metadata"]["annotations"][note] == "7"


# rows


def test_a_pod_is_brought_into_the_state_its_row_shows(still: EmbeddedWorld) -> None:
    cells = {"Name": "p", "Ready": "0/1", "Status": "CrashLoopBackOff", "Restarts": "3 (20s ago)", "Age": "1m"}
    pod = as_printed(running_pod(), cells, NOON)
    still.place(pod)
    table = still.send(
        "GET",
        "/api/v1/namespaces/default/pods",
        accept="application/json;as=Table;v=v1;g=meta.k8s.io",
    ).obj
    assert table["rows"][0]["cells"][1:4] == ["0/1", "CrashLoopBackOff", "3 (20s ago)"]


def test_objects_are_rebuilt_from_their_rows(still: EmbeddedWorld) -> None:
    columns = ["Name", "Role", "Age", "Users", "Groups", "ServiceAccounts"]
    cells = ["b", "ClusterRole/view", "1m", "ann, bob", "devs", "kube-system/robot"]
    row = {"cells": cells, "object": {"metadata": {"name": "b", "creationTimestamp": "2026-11-22T11:59:00Z"}}}
    made = rebuilt("ClusterRoleBinding", columns, row, NOON)
    assert made is not None
    still.place(made)
    table = still.send(
        "GET",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/b",
        accept="application/json;as=Table;v=v1;g=meta.k8s.io",
    ).obj
    shown = table["rows"][0]["cells"]
    assert [shown[0], shown[1], *shown[3:]] == ["b", "ClusterRole/view", "ann, bob", "devs", "kube-system/robot"]
    assert rebuilt("Secret", ["Name"], row, NOON) is None
