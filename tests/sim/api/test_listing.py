"""Lists: in pieces, at a version, from the present or the past; YAML; who owns what a client sends along."""

import base64
import json
from typing import Any

import pytest
import yaml

from stratus.kit.clock import VirtualClock
from stratus.sim.api.snapshots import exactly, objects_at, read_continue, write_continue
from stratus.sim.api.status import ApiError
from stratus.sim.api.yamlform import dump_yaml
from stratus.sim.store import Store

CMS = "/api/v1/namespaces/default/configmaps"


def fill(call: Any, *names: str) -> None:
    for name in names:
        assert call("POST", CMS, {"metadata": {"name": name, "labels": {"l": name}}, "data": {"k": name}})[0] == 201


def names(answer: Any) -> list[str]:
    return [o["metadata"]["name"] for o in answer["items"]]


def test_a_list_comes_in_pieces_of_one_moment(call: Any) -> None:
    fill(call, "a", "b", "c", "d", "e")
    _, first = call("GET", f"{CMS}?limit=2")
    assert names(first) == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 3
    fill(call, "bb")
    call("DELETE", f"{CMS}/c")
    call("PATCH", f"{CMS}/d", {"data": {"k": "new"}}, "application/merge-patch+json")
    _, second = call("GET", f"{CMS}?limit=2&continue={first['metadata']['continue']}")
    assert names(second) == ["c", "d"]
    assert second["items"][1]["data"] == {"k": "d"}
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    _, last = call("GET", f"{CMS}?limit=2&continue={second['metadata']['continue']}")
    assert names(last) == ["e"]
    assert "continue" not in last["metadata"]
    assert "remainingItemCount" not in last["metadata"]
    assert names(call("GET", CMS)[1]) == ["a", "b", "bb", "d", "e"]


def test_selected_lists_do_not_tell_how_much_is_left(call: Any) -> None:
    fill(call, "a", "b", "c")
    _, first = call("GET", f"{CMS}?limit=1&labelSelector=l")
    assert names(first) == ["a"]
    assert "remainingItemCount" not in first["metadata"]
    _, second = call("GET", f"{CMS}?limit=5&labelSelector=l&continue={first['metadata']['continue']}")
    assert names(second) == ["b", "c"]


def test_a_limit_that_everything_fits_into_leaves_no_token(call: Any) -> None:
    fill(call, "a", "b")
    assert "continue" not in call("GET", f"{CMS}?limit=2")[1]["metadata"]
    assert names(call("GET", f"{CMS}?limit=0")[1]) == ["a", "b"]


def test_exactly_a_version(call: Any) -> None:
    fill(call, "a")
    version = call("GET", CMS)[1]["metadata"]["resourceVersion"]
    fill(call, "b")
    call("DELETE", f"{CMS}/a")
    _, then = call("GET", f"{CMS}?resourceVersion={version}&resourceVersionMatch=Exact")
    assert names(then) == ["a"]
    assert then["metadata"]["resourceVersion"] == version
    assert names(call("GET", f"{CMS}?resourceVersion={version}&resourceVersionMatch=NotOlderThan")[1]) == ["b"]


@pytest.mark.parametrize(
    "query",
    [
        "resourceVersion=1&resourceVersionMatch=Exact&continue=x",
        "resourceVersionMatch=Exact",
        "resourceVersion=0&resourceVersionMatch=Exact",
        "resourceVersion=1&resourceVersionMatch=Nearly",
        "sendInitialEvents=true",
    ],
)
def test_options_that_contradict_each_other(call: Any, query: str) -> None:
    status, answer = call("GET", f"{CMS}?{query}")
    assert (status, answer["reason"], answer["details"]["kind"]) == (422, "Invalid", "ListOptions")


def store_with_short_memory() -> Store:
    import random

    store = Store(VirtualClock(1767603600.0), random.Random(1), log_limit=4)
    for number in range(3):
        store.create("configmaps", {"metadata": {"name": f"c{number}", "namespace": "n"}})
    return store


def test_the_past_is_kept_for_a_while_only() -> None:
    store = store_with_short_memory()
    then = store.rv
    store.delete("configmaps", "n", "c1")
    assert [o["metadata"]["name"] for o in objects_at(store, "configmaps", "n", then)] == ["c0", "c1", "c2"]
    assert [o["metadata"]["name"] for o in objects_at(store, "configmaps", "n", store.rv)] == ["c0", "c2"]
    assert objects_at(store, "configmaps", "other", then) == []
    for number in range(40):
        store.create("configmaps", {"metadata": {"name": f"d{number}", "namespace": "n"}})
    with pytest.raises(ApiError) as caught:
        exactly(store, "configmaps", "n", then)
    assert (caught.value.code, caught.value.reason) == (410, "Expired")


def test_a_token_too_old_comes_with_one_for_the_present(make: Any) -> None:
    import random

    from stratus.sim.api import ApiServer, Request

    clock = VirtualClock(make.start)
    api = ApiServer(Store(clock, random.Random(1), log_limit=4), clock, rng=random.Random(2))
    make.namespace(api, "default")
    for name in "abc":
        api.create("configmaps", {"metadata": {"name": name, "namespace": "default"}})
    first = api.handle(Request("GET", f"{CMS}?limit=1"))
    token = first.obj["metadata"]["continue"]  # type: ignore[union-attr]
    for number in range(40):
        api.create("configmaps", {"metadata": {"name": f"z{number}", "namespace": "default"}})
    answer = api.handle(Request("GET", f"{CMS}?limit=1&continue={token}"))
    status = answer.obj  # type: ignore[union-attr]
    assert (status["code"], status["reason"]) == (410, "Expired")
    again = api.handle(Request("GET", f"{CMS}?limit=1&continue={status['metadata']['continue']}"))
    assert names(again.obj) == ["b"]  # type: ignore[union-attr]
    api.close()


def test_tokens_are_read_as_they_were_written() -> None:
    assert read_continue(write_continue(("ns", "name"), "17")) == (("ns", "name"), 17)
    assert read_continue(write_continue(("", "node1"), "-1")) == (("", "node1"), -1)
    for bad in ("x", base64.b64encode(b"[]").decode(), base64.b64encode(json.dumps({"rv": 1}).encode()).decode()):
        with pytest.raises(ApiError, match="continue key is not valid"):
            read_continue(bad)


# YAML


def test_yaml_says_the_same_as_json(call: Any) -> None:
    data = {"text": "one\ntwo\n", "number": "1", "truth": "true", "empty": "", "odd": "a: b", "null": "null"}
    call("POST", CMS, {"metadata": {"name": "y"}, "data": data})
    status, text = call("GET", f"{CMS}/y", accept="application/yaml")
    assert status == 200
    assert yaml.safe_load(text) == call("GET", f"{CMS}/y")[1]
    assert "text: |\n    one\n    two\n" in text
    assert 'number: "1"' in text
    assert 'empty: ""' in text


def test_yaml_is_sorted_and_repeats_itself() -> None:
    same = {"b": 1, "a": [1, {"x": None}]}
    assert dump_yaml({"two": same, "one": same}) == (
        "one:\n  a:\n  - 1\n  - x: null\n  b: 1\ntwo:\n  a:\n  - 1\n  - x: null\n  b: 1\n"
    )


# what a client says of owners


def managers(obj: dict[str, Any]) -> dict[str, list[str]]:
    return {e["manager"]: sorted(e["fieldsV1"].get("f:data", {})) for e in obj["metadata"].get("managedFields", ())}


def entry(manager: str, *fields: str) -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:data": {f"f:{f}": {} for f in fields}}}  # fmt: skip


def test_owners_a_client_sends_count(call: Any) -> None:
    meta = {"name": "m", "managedFields": [entry("other", "a", "gone")]}
    _, made = call("POST", CMS, {"metadata": meta, "data": {"a": "1"}})
    assert managers(made) == {"tester": [".", "f:a"], "other": ["f:gone"]}
    made["metadata"]["managedFields"] = [entry("other", "a")]
    made["data"]["b"] = "2"
    _, changed = call("PUT", f"{CMS}/m", made)
    assert managers(changed) == {"other": ["f:a"], "tester": ["f:b"]}


def test_bad_owners_are_passed_over(call: Any) -> None:
    fill(call, "m")
    found = call("GET", f"{CMS}/m")[1]
    before = managers(found)
    found["metadata"]["managedFields"] = [{**entry("other", "k"), "operation": "Guess"}]
    assert managers(call("PUT", f"{CMS}/m", found)[1]) == before


def test_no_owners_at_all_is_a_wish_too(call: Any) -> None:
    fill(call, "m")
    found = call("GET", f"{CMS}/m")[1]
    found["metadata"]["managedFields"] = []
    assert managers(call("PUT", f"{CMS}/m", found)[1]) == {}
    # Nobody is tracked until somebody applies.
    patch = {"data": {"z": "1"}}
    assert managers(call("PATCH", f"{CMS}/m", patch, "application/merge-patch+json")[1]) == {}
