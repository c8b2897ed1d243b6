"""The four kinds of patch, and who owns what afterwards."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratus.sim.api.patches import json_patch, merge_patch
from stratus.sim.api.status import ApiError
from stratus.sim.api.strategic import strategic_merge
from stratus.sim.schema import types

CORE = "/api/v1/namespaces/default"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
JSON_PATCH, APPLY = "application/json-patch+json", "application/apply-patch+yaml"
POD = types.of_kind("", "v1", "Pod")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


def test_merge_patch_follows_the_rfc() -> None:
    target = {"a": "b", "c": {"d": "e", "f": "g"}}
    assert merge_patch(target, {"a": "z", "c": {"f": None}}) == {"a": "z", "c": {"d": "e"}}
    assert merge_patch(target, {"c": [1]}) == {"a": "b", "c": [1]}
    assert merge_patch([1], {"a": {"b": None, "c": 1}}) == {"a": {"c": 1}}


@given(JSON, JSON)
def test_merge_patch_twice_is_once_and_leaves_the_target(target: Any, patch: Any) -> None:
    before = copy.deepcopy(target)
    once = merge_patch(target, patch)
    assert target == before
    assert merge_patch(once, patch) == once


def test_json_patch_operations() -> None:
    doc = {"a": {"b/c": 1}, "l": [1, 2, 3]}
    ops = [
        {"op": "test", "path": "/a/b~1c", "value": 1},
        {"op": "add", "path": "/l/1", "value": 9},
        {"op": "add", "path": "/l/-", "value": 4},
        {"op": "remove", "path": "/l/0"},
        {"op": "copy", "from": "/l/0", "path": "/x"},
        {"op": "move", "from": "/a", "path": "/y"},
        {"op": "replace", "path": "/x", "value": {"z": 1}},
    ]
    assert json_patch(doc, ops) == {"l": [9, 2, 3, 4], "x": {"z": 1}, "y": {"b/c": 1}}
    assert doc == {"a": {"b/c": 1}, "l": [1, 2, 3]}


@pytest.mark.parametrize(
    "op",
    [
        {"op": "test", "path": "/a", "value": 2},
        {"op": "remove", "path": "/nope"},
        {"op": "remove", "path": "/l/7"},
        {"op": "replace", "path": "/l/7", "value": 1},
        {"op": "add", "path": "/no/such", "value": 1},
        {"op": "add", "path": "/l/x", "value": 1},
        {"op": "shout", "path": "/a"},
        {"path": "/a"},
        {"op": "add", "path": "/a"},
        "add",
    ],
)
def test_json_patch_refuses(op: Any) -> None:
    with pytest.raises(ApiError) as caught:
        json_patch({"a": 1, "l": []}, [op])
    assert caught.value.code == 422


def spec(*containers: dict, **more: Any) -> dict:
    return {"spec": {"containers": list(containers), **more}}


def merged(target: dict, patch: dict) -> dict:
    return strategic_merge(POD, target, patch)["spec"]


def test_strategic_lists_merge_by_key_and_new_items_come_first() -> None:
    target = spec({"name": "a", "image": "1"}, {"name": "b", "image": "1"})
    out = merged(target, spec({"name": "b", "image": "2"}, {"name": "n", "image": "3"}))
    assert [(c["name"], c["image"]) for c in out["containers"]] == [("a", "1"), ("b", "2"), ("n", "3")]
    out = merged(target, spec({"name": "n", "image": "3"}))
    assert [c["name"] for c in out["containers"]] == ["n", "a", "b"]


def test_strategic_directives() -> None:
    target = spec(
        {"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}], "args": ["p"]},
        {"name": "b"},
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    out = merged(
        target, spec({"name": "b", "$patch": "delete"}, {"name": "a", "env": [{"$patch": "replace"}, {"name": "Z"}]})
    )
    assert out["containers"] == [{"name": "a", "image": "1", "env": [{"name": "Z"}], "args": ["p"]}]
    out = merged(
        target, {"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "secret"], "secret": {"secretName": "s"}}]}}
    )
    assert out["volumes"] == [{"name": "v", "secret": {"secretName": "s"}}]
    out = merged(
        target,
        {
            "spec": {
                "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
                "containers": [{"name": "a", "image": "9"}],
            }
        },
    )
    assert [c["name"] for c in out["containers"]] == ["b", "a"]
    out = merged(target, spec({"name": "a", "args": ["q"]}))
    assert next(c for c in out["containers"] if c["name"] == "a")["args"] == ["q"], "an atomic list is replaced"
    meta = {"metadata": {"finalizers": ["x", "y"]}}
    out = strategic_merge(POD, meta, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x"], "finalizers": ["z"]}})
    assert out["metadata"]["finalizers"] == ["z", "y"]
    assert merged(target, {"spec": {"volumes": None}}).get("volumes") is None
    assert strategic_merge(POD, target, {"spec": {"$patch": "replace", "nodeName": "n"}})["spec"] == {"nodeName": "n"}


def test_strategic_refusals() -> None:
    with pytest.raises(ApiError) as caught:
        merged(spec({"name": "a"}), spec({"image": "x"}))
    assert (caught.value.code, caught.value.message) == (
        500,
        "map: map[image:x] does not contain declared merge key: name",
    )
    with pytest.raises(ApiError):
        strategic_merge(POD, {}, [1])


def test_patches_through_the_server(call: Any, make: Any) -> None:
    call("POST", DEPLOYMENTS, make.deployment())
    _, obj = call(
        "PATCH",
        f"{DEPLOYMENTS}/web",
        {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "nginx:2"}]}}}},
        STRATEGIC,
    )
    assert obj["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:2"
    assert obj["metadata"]["generation"] == 2
    _, same = call("PATCH", f"{DEPLOYMENTS}/web", {"spec": {"replicas": 1}}, MERGE)
    assert same == obj, "a patch that changes nothing keeps the version"
    status, refused = call("PATCH", f"{DEPLOYMENTS}/web", {"metadata": {"resourceVersion": "1"}}, MERGE)
    assert status == 409
    status, refused = call("PATCH", f"{DEPLOYMENTS}/web", {"metadata": {"name": "x"}}, MERGE)
    assert refused["message"] == "the name of the object (x) does not match the name on the URL (web)"
    status, refused = call("PATCH", f"{DEPLOYMENTS}/web", {"spec": {"replicas": "x"}}, MERGE)
    assert status == 422
    assert call("PATCH", f"{DEPLOYMENTS}/none", {}, MERGE)[0] == 404
    assert call("PATCH", f"{DEPLOYMENTS}/web", {}, "application/json")[0] == 415
    assert call("PATCH", f"{DEPLOYMENTS}/web", "nul", JSON_PATCH)[0] == 400


def test_update_managers_gain_and_lose_fields(call: Any) -> None:
    call("POST", f"{CORE}/configmaps?fieldManager=one", {"metadata": {"name": "c"}, "data": {"a": "1", "b": "1"}})
    _, obj = call("PATCH", f"{CORE}/configmaps/c?fieldManager=two", {"data": {"b": "2", "d": "2"}}, MERGE)
    owned = {e["manager"]: e["fieldsV1"] for e in obj["metadata"]["managedFields"]}
    assert owned == {"one": {"f:data": {".": {}, "f:a": {}}}, "two": {"f:data": {"f:b": {}, "f:d": {}}}}
    _, obj = call("PATCH", f"{CORE}/configmaps/c?fieldManager=one", {"data": {"d": None}}, MERGE)
    owned = {e["manager"]: e["fieldsV1"] for e in obj["metadata"]["managedFields"]}
    assert owned["two"] == {"f:data": {"f:b": {}}}


def config(name: str = "c", **data: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_apply_creates_merges_and_takes_away_what_is_no_longer_named(call: Any) -> None:
    path = f"{CORE}/configmaps/c"
    status, _ = call("PATCH", f"{path}?fieldManager=m", config(a="1", b="1"), APPLY)
    assert status == 201
    call("PATCH", path, {"data": {"x": "other"}}, MERGE)
    status, obj = call("PATCH", f"{path}?fieldManager=m", config(a="2"), APPLY)
    assert (status, obj["data"]) == (200, {"a": "2", "x": "other"})
    before = obj["metadata"]["resourceVersion"]
    _, obj = call("PATCH", f"{path}?fieldManager=m", config(a="2"), APPLY)
    assert obj["metadata"]["resourceVersion"] == before


def test_apply_conflicts_and_force(call: Any) -> None:
    path = f"{CORE}/configmaps/c"
    call("PATCH", f"{path}?fieldManager=a", config(k="1", n="1"), APPLY)
    status, obj = call("PATCH", f"{path}?fieldManager=b", config(k="2"), APPLY)
    assert (status, obj["message"]) == (409, 'Apply failed with 1 conflict: conflict with "a": .data.k')
    assert obj["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "a"', "field": ".data.k"}
    ]
    assert call("PATCH", f"{path}?fieldManager=b", config(k="1"), APPLY)[0] == 200, (
        "the same value is shared, not fought over"
    )
    status, obj = call("PATCH", f"{path}?fieldManager=b&force=true", config(k="2"), APPLY)
    owned = {e["manager"]: e["fieldsV1"] for e in obj["metadata"]["managedFields"]}
    assert owned == {"a": {"f:data": {"f:n": {}}}, "b": {"f:data": {"f:k": {}}}}
    call("PATCH", f"{path}?fieldManager=upd", {"data": {"n": "9"}}, MERGE)
    status, obj = call("PATCH", f"{path}?fieldManager=a", config(n="1"), APPLY)
    assert obj["message"] == 'Apply failed with 1 conflict: conflict with "upd" using v1: .data.n'


def test_apply_of_lists(call: Any, make: Any) -> None:
    body = make.deployment()
    body["spec"]["template"]["spec"]["containers"].append(
        {"name": "side", "image": "s:1", "env": [{"name": "E", "value": "1"}]}
    )
    path = f"{DEPLOYMENTS}/web"
    call("PATCH", f"{path}?fieldManager=m", body, APPLY)
    other = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
    other["spec"] = {"template": {"spec": {"containers": [{"name": "c", "env": [{"name": "X", "value": "y"}]}]}}}
    _, obj = call("PATCH", f"{path}?fieldManager=n", other, APPLY)
    assert obj["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "X", "value": "y"}]
    body["spec"]["template"]["spec"]["containers"].pop()
    _, obj = call("PATCH", f"{path}?fieldManager=m", body, APPLY)
    assert [c["name"] for c in obj["spec"]["template"]["spec"]["containers"]] == ["c"]
    assert obj["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "X", "value": "y"}]


def test_apply_refusals(call: Any, make: Any) -> None:
    path = f"{CORE}/configmaps/c"
    assert call("PATCH", path, config(), APPLY)[0] == 422
    assert (
        call("PATCH", f"{path}?fieldManager=m", {"metadata": {"name": "c"}}, APPLY)[1]["message"]
        == "invalid object type: /, Kind="
    )
    bad = {**config(), "nope": 1}
    status, obj = call("PATCH", f"{path}?fieldManager=m", bad, APPLY)
    assert (status, obj["message"]) == (
        500, "failed to create typed patch object (/c; v1, Kind=ConfigMap): .nope: field not declared in schema",
    )  # fmt: skip
    body = make.deployment()
    body["spec"]["template"]["spec"]["containers"] *= 2
    status, obj = call("PATCH", f"{DEPLOYMENTS}/web?fieldManager=m", body, APPLY)
    assert obj["message"].endswith('.spec.template.spec.containers: duplicate entries for key [name="c"]')
    assert call("PATCH", f"{path}?fieldManager=m&force=true", {}, MERGE)[0] == 422


def test_apply_reads_yaml(call: Any) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n  a: b\n"
    status, obj = call("PATCH", f"{CORE}/configmaps/c?fieldManager=m", text, APPLY)
    assert (status, obj["data"]) == (201, {"a": "b"})
