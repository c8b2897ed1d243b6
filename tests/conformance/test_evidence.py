"""What the steps of a recorded case tell of what was there before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stratus.conformance.adoption import running_pod
from stratus.conformance.golden import Golden
from stratus.conformance.suites.concurrency import Play, shape
from stratus.conformance.suites.evidence import begin, existing, sightings
from stratus.conformance.world import EmbeddedWorld
from stratus.kit.clock import iso, parse_iso

Json = dict[str, Any]
BASE = "/api/v1/namespaces/conc/configmaps"
UID = "cb75687a-1690-4c5f-bbc6-57c986478b9f"


@pytest.fixture
def world(excerpts: Golden) -> Iterator[EmbeddedWorld]:
    made = EmbeddedWorld(excerpts.custom_resources, running=True, moment=parse_iso("2026-11-22T12:00:00Z"))
    made.namespace("conc")
    yield made
    made.close()


def config(version: str = "41", at: str = "2026-11-22T11:00:00Z", **data: str) -> Json:
    owners = [{"manager": "m", "operation": "Update", "time": at, "fieldsV1": {"f:data": {f"f:{k}": {} for k in data}}}]
    meta = {
        "name": "a", "namespace": "conc", "uid": UID, "resourceVersion": version, "creationTimestamp": at,
        "managedFields": owners,
    }  # fmt: skip
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": meta, "data": dict(data)}


def step(method: str, path: str, status: int, response: Any = None, body: Any = None, what: str = "s") -> Json:
    media = None if body is None else "application/json"
    return {
        "what": what, "method": method, "path": path, "status": status, "response": response, "body": body,
        "content_type": media,
    }  # fmt: skip


def there(world: EmbeddedWorld) -> Json | None:
    return world.store.get("configmaps", "conc", "a")


def test_what_is_read_first_was_there(world: EmbeddedWorld) -> None:
    existing(world, [step("GET", f"{BASE}/a", 200, config(x="1"))])
    found = there(world)
    assert found is not None
    assert (found["metadata"]["uid"], found["data"]) == (UID, {"x": "1"})


def test_what_is_made_first_was_not(world: EmbeddedWorld) -> None:
    made = config(x="1")
    existing(world, [step("POST", BASE, 201, made, {"metadata": {"name": "a"}}), step("GET", f"{BASE}/a", 200, made)])
    assert there(world) is None


def test_marks_of_a_deletion_are_taken_off_again(world: EmbeddedWorld) -> None:
    dying = config(x="1")
    dying["metadata"] |= {"deletionTimestamp": "2026-11-22T11:01:00Z", "finalizers": ["orphan", "example.com/x"]}
    existing(world, [step("DELETE", f"{BASE}/a", 200, dying)])
    found = there(world)
    assert found is not None
    assert "deletionTimestamp" not in found["metadata"]
    assert found["metadata"]["finalizers"] == ["example.com/x"]


def test_a_reader_that_changes_what_it_read_does_not_fool_us(world: EmbeddedWorld) -> None:
    # The recording holds one object for what was read and for what was then written.
    mixed = config(x="1")
    mixed["data"]["mine"] = "new"
    existing(world, [step("GET", f"{BASE}/a", 200, mixed), step("PUT", f"{BASE}/a", 200, config("42"), mixed)])
    found = there(world)
    assert found is not None
    assert found["data"] == {"x": "1"}


def test_a_case_begins_with_its_first_write() -> None:
    steps = [
        step("GET", f"{BASE}/a", 200, config(x="1")),
        step("PUT", f"{BASE}/a", 200, config("42", "2026-11-22T11:30:00Z", x="2")),
        step("PUT", f"{BASE}/a", 200, config("43", "2026-11-22T11:40:00Z", x="3")),
    ]
    assert iso(begin(steps)) == "2026-11-22T11:30:00Z"


def play(world: EmbeddedWorld, *steps: Json) -> tuple[bool, str]:
    record = {"case": "c", "steps": list(steps)}
    outcome = Play(world, existing(world, record["steps"])).case("0/c", record)  # type: ignore[arg-type]
    return outcome.passed, outcome.reason


def test_recorded_versions_become_ours(world: EmbeddedWorld) -> None:
    first, second = config("41", x="1"), config("977", x="2")
    passed, reason = play(
        world,
        step("GET", f"{BASE}/a", 200, first),
        step("PATCH", f"{BASE}/a", 200, second, {"data": {"x": "2"}})
        | {"content_type": "application/merge-patch+json"},
        step("PUT", f"{BASE}/a", 409, None, config("41", x="3")),
        step("PUT", f"{BASE}/a", 200, None, config("977", x="3")),
    )
    assert "status" not in reason
    assert not passed  # who owns the field is another one than recorded
    assert "managedFields" in reason


def test_an_object_that_the_server_lost_is_not_put_back(world: EmbeddedWorld) -> None:
    held = config(x="1")
    held["metadata"]["finalizers"] = ["example.com/x"]
    dying = config(x="1")
    dying["metadata"] |= {"finalizers": ["example.com/x"], "deletionTimestamp": "2026-11-22T11:00:00Z"}
    steps = [
        step("GET", f"{BASE}/a", 200, held),
        step("DELETE", f"{BASE}/a", 200, dying),
        step("GET", f"{BASE}/a", 200, dying, what="still there"),
    ]
    found = existing(world, steps)
    game = Play(world, found)
    original = world.send

    def lose(method: str, path: str, *args: Any, **options: Any) -> Any:
        answer = original(method, path, *args, **options)
        if method == "DELETE":
            world.store.delete("configmaps", "conc", "a")
        return answer

    world.__dict__["send"] = lose
    outcome = game.case("0/c", {"case": "c", "steps": steps})
    assert not outcome.passed
    assert "still there: status 404, recorded 200" in outcome.reason


def test_answers_keep_what_counts() -> None:
    one, other = config("1", x="1"), config("2", "2026-11-22T11:59:00Z", x="1")
    assert shape(one) == shape(other)
    assert shape(config(x="2")) != shape(one)
    pods = {"kind": "PodList", "items": [{"metadata": {"name": "web-54475c5bdb-6wncr"}}]}
    same = {
        "kind": "PodList",
        "items": [{"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web-7c9d5b6f7c-x2lkq"}}],
    }
    assert shape(pods) == shape(same)
    assert shape({**pods, "items": pods["items"] * 2}) != shape(pods)
    assert shape("404 page not found\n") == "404 page not found\n"


# what earlier cases saw

DEPLOYMENTS = "/apis/apps/v1/namespaces/conc/deployments"
REVISION = "deployment.kubernetes.io/revision"
TEMPLATE = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {
        "containers": [
            {
                "name": "c", "image": "registry.local/demo/app:v1",
                "env": [
                    {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}},
                    {"name": "B", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "b"}}},
                    {"name": "C", "valueFrom": {"secretKeyRef": {"name": "perhaps", "key": "c", "optional": True}}},
                ],
            }
        ],
        "volumes": [{"name": "v", "configMap": {"name": "files", "items": [{"key": "f", "path": "f"}]}}],
    },
}  # fmt: skip


def owned(
    kind: str, name: str, number: int, owner: Json | None = None, *, revision: int = 1, replicas: int = 1
) -> Json:
    meta: Json = {
        "name": name, "namespace": "conc", "uid": f"00000000-0000-4000-8000-00000000000{number}",
        "creationTimestamp": f"2026-11-22T1{int(owner is None)}:00:00Z", "labels": {"app": "web"},
        "annotations": {REVISION: str(revision)},
    }  # fmt: skip
    if owner is not None:
        of = {key: owner["metadata"][key] for key in ("name", "uid")}
        meta["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": owner["kind"], "controller": True, **of}]
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE}
    status = {"replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": spec, "status": status}


def look(*objects: Json) -> Json:
    items = [{k: v for k, v in o.items() if k not in ("kind", "apiVersion")} for o in objects]
    return {
        "what": "observe: x",
        "objects": [{"kind": f"{objects[0]['kind']}List", "apiVersion": "apps/v1", "items": items}],
    }


def replica_sets(world: EmbeddedWorld) -> dict[str, str]:
    found = world.store.list("replicasets.apps", "conc")
    return {o["metadata"]["name"]: o["metadata"]["annotations"][REVISION] for o in found}


def test_a_history_is_as_earlier_cases_saw_it_last(world: EmbeddedWorld) -> None:
    web = owned("Deployment", "web", 1, revision=2)
    old, new = owned("ReplicaSet", "web-a", 2, web, replicas=0), owned("ReplicaSet", "web-b", 3, web, revision=2)
    after = owned("ReplicaSet", "web-b", 3, web, revision=4)
    seen = sightings(
        [look(old, owned("ReplicaSet", "web-b", 3, web)), look(new), step("GET", f"{BASE}/a", 200, config())]
    )
    assert [key[3] for key in seen] == ["web-a", "web-b"]
    existing(world, [step("GET", f"{DEPLOYMENTS}/web", 200, web), look(after)], seen)
    assert replica_sets(world) == {"web-a": "1", "web-b": "2"}


def test_a_history_that_has_gone_on_is_not_what_an_earlier_case_saw(world: EmbeddedWorld) -> None:
    web = owned("Deployment", "web", 1, revision=4)
    seen = sightings([look(owned("ReplicaSet", "web-b", 3, web, revision=2))])
    now = owned("ReplicaSet", "web-b", 3, web, revision=4)
    existing(world, [step("GET", f"{DEPLOYMENTS}/web", 200, web), look(now)], seen)
    assert replica_sets(world) == {"web-b": "4"}


def test_what_a_pod_belongs_to_is_there_when_an_earlier_case_saw_it(world: EmbeddedWorld) -> None:
    web = owned("Deployment", "web", 1)
    replicas = owned("ReplicaSet", "web-b", 3, web)
    seen = sightings([step("GET", f"{DEPLOYMENTS}/web", 200, web), look(replicas)])
    assert {key[1] for key in seen} == {"Deployment", "ReplicaSet"}
    pod = {**running_pod(replicas, 0, world.cluster.clock.now())}
    existing(world, [step("GET", f"/api/v1/namespaces/conc/pods/{pod['metadata']['name']}", 200, pod)], seen)
    world.cluster.control.drain()
    assert world.store.get("deployments.apps", "conc", "web") is not None
    assert [p["metadata"]["name"] for p in world.store.list("pods", "conc")] == [pod["metadata"]["name"]]


def test_a_pod_that_only_its_name_tells_of_is_one_of_its_replica_set(world: EmbeddedWorld) -> None:
    web = owned("Deployment", "web", 1)
    seen = sightings([step("GET", f"{DEPLOYMENTS}/web", 200, web), look(owned("ReplicaSet", "web-b", 3, web))])
    path = "/api/v1/namespaces/conc/pods"
    existing(world, [step("POST", f"{path}/web-b-xyz/eviction", 429), step("GET", f"{path}/web-b-gone", 404)], seen)
    world.cluster.control.drain()
    (pod,) = world.store.list("pods", "conc")
    assert (pod["metadata"]["name"], pod["status"]["phase"]) == ("web-b-xyz", "Running")


def test_what_running_pods_insist_on_was_there(world: EmbeddedWorld) -> None:
    web = owned("Deployment", "web", 1)
    existing(world, [step("GET", f"{DEPLOYMENTS}/web", 200, web)])
    assert world.store.get("configmaps", "conc", "settings")["data"] == {"a": "value"}  # type: ignore[index]
    assert world.store.get("configmaps", "conc", "files")["data"] == {"f": "value"}  # type: ignore[index]
    assert world.store.get("secrets", "conc", "hidden")["data"] == {"b": "dmFsdWU="}  # type: ignore[index]
    assert world.store.get("secrets", "conc", "perhaps") is None


def test_what_was_recorded_is_not_made_up(world: EmbeddedWorld) -> None:
    mine = config(a="true")
    mine["metadata"]["name"] = "settings"
    web = owned("Deployment", "web", 1)
    existing(world, [step("GET", f"{BASE}/settings", 200, mine), step("GET", f"{DEPLOYMENTS}/web", 200, web)])
    assert world.store.get("configmaps", "conc", "settings")["data"] == {"a": "true"}  # type: ignore[index]


def test_a_look_is_not_taken_before_what_it_shows(world: EmbeddedWorld) -> None:
    shown = owned("ReplicaSet", "web-b", 3)
    shown["status"]["conditions"] = [{"type": "X", "lastUpdateTime": "2026-11-22T12:00:07Z"}]
    Play(world, {})._step(look(shown))
    assert world.cluster.clock.now() == parse_iso("2026-11-22T12:00:08Z")
    Play(world, {})._step(look(owned("ReplicaSet", "web-b", 3)))
    assert world.cluster.clock.now() == parse_iso("2026-11-22T12:00:08Z")
