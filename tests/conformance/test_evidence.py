"""What the steps of a recorded case tell of what was there before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stratus.conformance.golden import Golden
from stratus.conformance.suites.concurrency import Play, shape
from stratus.conformance.suites.evidence import begin, existing
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
