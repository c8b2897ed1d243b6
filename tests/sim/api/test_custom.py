"""Custom resources: schemas of definitions, several versions, subresources, and the end of a definition."""

from typing import Any

import pytest

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
OBJECTS = "/apis/test.example.com/v1/namespaces/default/tasks"


def schema(**properties: Any) -> dict[str, Any]:
    return {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}}


def definition(*versions: dict[str, Any], **spec: Any) -> dict[str, Any]:
    names = {"plural": "tasks", "singular": "task", "kind": "Task"}
    served = versions or ({"name": "v1", "served": True, "storage": True, "schema": schema(size={"type": "integer"})},)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "tasks.test.example.com"},
        "spec": {
            "group": "test.example.com",
            "names": names,
            "scope": "Namespaced",
            "versions": [{"served": True, "storage": False, **v} for v in served],
            **spec,
        },
    }


def task(name: str = "t", version: str = "v1", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": f"test.example.com/{version}", "kind": "Task", "metadata": {"name": name}, "spec": spec}


def causes(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(c["field"], c["message"]) for c in answer["details"]["causes"]]


@pytest.mark.parametrize(
    ("part", "field", "text"),
    [
        ({}, "type", "Required value: must not be empty for specified object fields"),
        ({"type": "array"}, "items", "Required value: must be specified"),
        ({"type": "array", "items": {}}, "items.type", "Required value: must not be empty for specified array items"),
    ],
)
def test_a_schema_says_the_type_of_everything(call: Any, part: dict[str, Any], field: str, text: str) -> None:
    status, answer = call("POST", CRDS, definition({"name": "v1", "storage": True, "schema": schema(x=part)}))
    assert status == 422
    path = "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[x]"
    assert causes(answer) == [(f"{path}.{field}", text)]


def test_a_schema_may_leave_a_type_open_on_purpose(call: Any) -> None:
    free = schema(a={"x-kubernetes-preserve-unknown-fields": True}, b={"x-kubernetes-int-or-string": True})
    assert call("POST", CRDS, definition({"name": "v1", "storage": True, "schema": free}))[0] == 201
    status, answer = call("POST", OBJECTS, task(a={"any": [1, "x"]}, b="50%"))
    assert status == 201
    assert answer["spec"] == {"a": {"any": [1, "x"]}, "b": "50%"}
    status, answer = call("POST", OBJECTS, task("u", b=[1]))
    assert status == 422
    assert "must be of type integer,string" in answer["message"]


def test_scale_paths_lead_into_spec_and_status(call: Any) -> None:
    scale = {"specReplicasPath": ".status.n", "statusReplicasPath": ".status.n", "labelSelectorPath": "status.sel"}
    version = {"name": "v1", "storage": True, "schema": schema(), "subresources": {"scale": scale}}
    status, answer = call("POST", CRDS, definition(version))
    assert status == 422
    assert [c[0].rpartition(".")[2] for c in causes(answer)] == ["specReplicasPath", "labelSelectorPath"]


def test_what_may_not_change_of_a_definition(call: Any) -> None:
    call("POST", CRDS, definition())
    path = f"{CRDS}/tasks.test.example.com"
    patch = {"spec": {"scope": "Cluster", "names": {"kind": "Other"}}}
    status, answer = call("PATCH", path, patch, "application/merge-patch+json")
    assert status == 422
    assert [c[0] for c in causes(answer)] == ["spec.scope", "spec.names.kind"]


TWO = (
    {"name": "v1", "storage": True, "schema": schema(size={"type": "integer"}, old={"type": "string"})},
    {
        "name": "v2",
        "schema": schema(size={"type": "integer"}, mode={"type": "string", "default": "slow"}),
    },
)


def test_versions_show_the_same_object_through_their_own_schema(call: Any) -> None:
    assert call("POST", CRDS, definition(*TWO))[0] == 201
    assert call("POST", OBJECTS, task(size=3, old="x"))[0] == 201
    status, second = call("GET", OBJECTS.replace("/v1/", "/v2/") + "/t")
    assert status == 200
    assert second["apiVersion"] == "test.example.com/v2"
    assert second["spec"] == {"size": 3, "mode": "slow"}
    status, listed = call("GET", OBJECTS.replace("/v1/", "/v2/"))
    assert [o["spec"] for o in listed["items"]] == [second["spec"]]
    # Reading through one version does not change what the other shows.
    assert call("GET", f"{OBJECTS}/t")[1]["spec"] == {"size": 3, "old": "x"}


def test_a_version_that_stored_objects_stays(call: Any) -> None:
    call("POST", CRDS, definition(*TWO))
    path = f"{CRDS}/tasks.test.example.com"
    moved = [{**TWO[0], "served": True, "storage": False}, {**TWO[1], "served": True, "storage": True}]
    status, answer = call("PATCH", path, {"spec": {"versions": moved}}, "application/merge-patch+json")
    assert status == 200
    assert answer["status"]["storedVersions"] == ["v1", "v2"]
    status, answer = call("PATCH", path, {"spec": {"versions": moved[1:]}}, "application/merge-patch+json")
    assert status == 422
    assert causes(answer)[0][0] == "status.storedVersions[0]"
    assert "missing from spec.versions; v1 was previously a storage version" in answer["message"]


@pytest.mark.parametrize(
    ("part", "good", "bad", "text"),
    [
        ({"type": "integer", "multipleOf": 5}, 10, 12, "should be a multiple of 5"),
        ({"type": "number", "multipleOf": 0.1}, 0.3, 0.35, "should be a multiple of 0.1"),
        ({"type": "integer", "maximum": 4, "exclusiveMaximum": True}, 3, 4, "should be less than 4"),
        ({"type": "string", "format": "date-time"}, "2026-01-05T09:00:00Z", "soon", "must be of type date-time"),
        ({"type": "string", "format": "ipv4"}, "10.0.0.1", "::1", "must be of type ipv4"),
        ({"type": "string", "format": "cidr"}, "10.0.0.0/8", "10.0.0.1", "must be of type cidr"),
        (
            {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string"}},
            {"a": "b"},
            {},
            "should have at least 1 properties",
        ),
        (
            {"type": "string", "anyOf": [{"enum": ["a"]}, {"pattern": "^b+$"}]},
            "bb",
            "c",
            "must validate at least one schema (anyOf)",
        ),
        (
            {"type": "integer", "oneOf": [{"minimum": 5}, {"maximum": 7}]},
            9,
            6,
            "must validate one and only one schema (oneOf)",
        ),
        ({"type": "string", "not": {"enum": ["no"]}}, "yes", "no", "must not validate the schema (not)"),
    ],
)
def test_values_fit_their_schema(call: Any, part: dict[str, Any], good: Any, bad: Any, text: str) -> None:
    call("POST", CRDS, definition({"name": "v1", "storage": True, "schema": schema(x=part)}))
    assert call("POST", OBJECTS, task("good", x=good))[0] == 201
    status, answer = call("POST", OBJECTS, task("bad", x=bad))
    assert status == 422
    assert text in answer["message"]


def test_status_of_a_custom_resource_is_written_apart(call: Any) -> None:
    both = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    call("POST", CRDS, definition({"name": "v1", "storage": True, "schema": both, "subresources": {"status": {}}}))
    call("POST", OBJECTS, {**task(size=1), "status": {"phase": "Early"}})
    merge = "application/merge-patch+json"
    assert "status" not in call("GET", f"{OBJECTS}/t")[1]
    patch = {"spec": {"size": 9}, "status": {"phase": "Done"}}
    status, answer = call("PATCH", f"{OBJECTS}/t/status", patch, merge)
    assert status == 200
    assert answer["status"] == {"phase": "Done"}
    assert answer["spec"] == {"size": 1}
    assert answer["metadata"]["generation"] == 1
    status, answer = call("PATCH", f"{OBJECTS}/t", patch, merge)
    assert answer["spec"] == {"size": 9}
    assert answer["metadata"]["generation"] == 2


def test_a_definition_goes_after_the_last_of_its_objects(call: Any, api: Any) -> None:
    call("POST", CRDS, definition())
    call("POST", OBJECTS, task("plain"))
    held = task("held")
    held["metadata"]["finalizers"] = ["test.example.com/hold"]
    call("POST", OBJECTS, held)
    path = f"{CRDS}/tasks.test.example.com"
    status, answer = call("DELETE", path)
    assert status == 200
    assert answer["kind"] == "CustomResourceDefinition"
    assert answer["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    assert [c["reason"] for c in answer["status"]["conditions"]][-1] == "InstanceDeletionPending"
    assert [o["metadata"]["name"] for o in call("GET", OBJECTS)[1]["items"]] == ["held"]
    assert call("GET", path)[0] == 200
    call("PATCH", f"{OBJECTS}/held", {"metadata": {"finalizers": None}}, "application/merge-patch+json")
    assert call("GET", path)[0] == 404
    assert call("GET", OBJECTS)[0] == 404
    # A new definition of the same name starts empty.
    assert call("POST", CRDS, definition())[0] == 201
    assert call("GET", OBJECTS)[1]["items"] == []


def test_a_dry_run_deletes_no_definition(call: Any) -> None:
    call("POST", CRDS, definition())
    call("POST", OBJECTS, task())
    status, answer = call("DELETE", f"{CRDS}/tasks.test.example.com?dryRun=All")
    assert status == 200
    assert answer["metadata"]["deletionTimestamp"]
    assert "deletionTimestamp" not in call("GET", f"{CRDS}/tasks.test.example.com")[1]["metadata"]
    assert call("GET", f"{OBJECTS}/t")[0] == 200
