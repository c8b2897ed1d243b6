"""Fields that controllers take over: whoever owned them before does so no longer."""

from typing import Any

import pytest

from stratus.sim.controllers.common import released


def entry(manager: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields}


def held(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "x", "managedFields": list(entries)}}


def left(obj: dict[str, Any]) -> dict[str, Any]:
    return {e["manager"]: e["fieldsV1"] for e in obj["metadata"].get("managedFields", ())}


TAINTED = {"f:spec": {"f:taints": {}}}


def test_a_field_is_nobodys_afterwards() -> None:
    both = held(entry("a", TAINTED), entry("b", {"f:spec": {"f:taints": {}, "f:unschedulable": {}}}))
    assert left(released(both, "spec", "taints")) == {"b": {"f:spec": {"f:unschedulable": {}}}}
    assert left(both)["a"] == TAINTED, "the object given is not changed"


def test_the_last_owner_takes_the_list_along() -> None:
    assert "managedFields" not in released(held(entry("a", TAINTED)), "spec", "taints")["metadata"]


def test_what_nobody_owns_changes_nothing() -> None:
    bare = {"metadata": {"name": "x"}}
    assert released(bare, "spec", "taints") is bare
    kept = held(entry("a", {"f:data": {"f:x": {}}}))
    assert left(released(kept, "spec", "taints")) == left(kept)


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        ({".": {}, "f:mine": {}, "f:rev": {}}, {".": {}, "f:mine": {}}),
        ({".": {}, "f:rev": {}}, {}),
        ({"f:rev": {}}, None),
        ({}, {}),
    ],
)
def test_the_map_around_it_stays_with_who_owns_it(fields: dict[str, Any], want: Any) -> None:
    obj = released(held(entry("a", {"f:metadata": {"f:annotations": fields}})), "metadata", "annotations", "rev")
    assert left(obj) == ({} if want is None else {"a": {"f:metadata": {"f:annotations": want}}})


def test_items_are_released_by_their_key() -> None:
    one, two = 'k:{"uid":"1"}', 'k:{"uid":"2"}'
    refs = {"f:metadata": {"f:ownerReferences": {".": {}, one: {}, two: {}}}}
    obj = released(held(entry("a", refs)), "metadata", "ownerReferences", one)
    assert left(obj) == {"a": {"f:metadata": {"f:ownerReferences": {".": {}, two: {}}}}}
    assert left(released(obj, "metadata", "ownerReferences")) == {}
