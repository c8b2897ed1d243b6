"""Custom resources against their schema: pruned, defaulted, checked value by value."""

import copy
from typing import Any

import pytest

from stratus.sim.api.custom import prune_and_default, validate
from stratus.sim.api.status import Problems


def shaped(spec: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": {"type": "object", **spec}}}


def checked(schema: dict[str, Any], obj: dict[str, Any]) -> list[tuple[str, str, str]]:
    problems = Problems()
    validate(schema, obj, problems)
    return [(c["reason"].removeprefix("FieldValue"), c["field"], c["message"]) for c in problems.causes]


def pruned(schema: dict[str, Any], obj: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    obj = copy.deepcopy(obj)
    return obj, prune_and_default(schema, obj)


def test_what_a_schema_does_not_name_is_dropped() -> None:
    schema = shaped({"properties": {"a": {"type": "string"}, "l": {"type": "array", "items": {"type": "object"}}}})
    obj = {"kind": "K", "metadata": {"name": "x"}, "other": 1, "spec": {"a": "b", "c": 1, "l": [{"d": 2}]}}
    assert pruned(schema, obj) == (
        {"kind": "K", "metadata": {"name": "x"}, "spec": {"a": "b", "l": [{}]}},
        ["other", "spec.c", "spec.l[0].d"],
    )


def test_free_parts_keep_everything() -> None:
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"a": {"type": "object"}}}
    schema = shaped({"properties": {"free": free, "map": {"type": "object", "additionalProperties": True}}})
    obj = {"spec": {"free": {"x": 1, "a": {"gone": 1}}, "map": {"y": {"z": 1}}}}
    assert pruned(schema, obj) == ({"spec": {"free": {"x": 1, "a": {}}, "map": {"y": {"z": 1}}}}, ["spec.free.a.gone"])


def test_defaults_are_filled_in_wherever_there_is_room() -> None:
    item = {"type": "object", "properties": {"n": {"type": "integer", "default": 1}}}
    schema = shaped(
        {
            "properties": {
                "color": {"type": "string", "default": "red"},
                "list": {"type": "array", "items": item},
                "map": {"type": "object", "additionalProperties": item},
                "deep": {"type": "object", "default": {}, "properties": {"x": {"type": "string", "default": "y"}}},
                "none": {"type": "string", "default": "z", "nullable": True},
            }
        }
    )
    obj, unknown = pruned(schema, {"spec": {"list": [{}, {"n": 5}], "map": {"a": {}}, "color": None, "none": None}})
    assert obj["spec"] == {
        "list": [{"n": 1}, {"n": 5}],
        "map": {"a": {"n": 1}},
        "color": "red",
        "none": None,
        "deep": {"x": "y"},
    }
    assert unknown == []
    assert pruned(schema, {}) == ({}, [])


@pytest.mark.parametrize(
    ("part", "value", "want"),
    [
        ({"type": "integer"}, "x",
         ("TypeInvalid", 'Invalid value: "string": spec.x in body must be of type integer: "string"')),
        ({"type": "string"}, {"a": 1},
         ("TypeInvalid", 'Invalid value: "object": spec.x in body must be of type string: "object"')),
        ({"type": "boolean"}, 1,
         ("TypeInvalid", 'Invalid value: "integer": spec.x in body must be of type boolean: "integer"')),
        ({"type": "string", "enum": ["a", "b"]}, "c",
         ("NotSupported", 'Unsupported value: "c": supported values: "a", "b"')),
        ({"type": "integer", "minimum": 3}, 1,
         ("Invalid", "Invalid value: 1: spec.x in body should be greater than or equal to 3")),
        ({"type": "string", "maxLength": 2}, "abc", ("TooLong", "Too long: may not be more than 2 bytes")),
        ({"type": "string", "minLength": 2}, "a",
         ("Invalid", 'Invalid value: "a": spec.x in body should be at least 2 chars long')),
        ({"type": "string", "pattern": "^a"}, "b",
         ("Invalid", "Invalid value: \"b\": spec.x in body should match '^a'")),
        ({"type": "array", "maxItems": 1, "items": {"type": "integer"}}, [1, 2],
         ("TooMany", "Too many: 2: must have at most 1 item")),
        ({"type": "array", "minItems": 1, "items": {"type": "integer"}}, [],
         ("Invalid", "Invalid value: []: spec.x in body should have at least 1 items")),
        ({"type": "object", "maxProperties": 1, "additionalProperties": {"type": "integer"}}, {"a": 1, "b": 2},
         ("TooMany", "Too many: 2: must have at most 1 item")),
        ({"x-kubernetes-int-or-string": True}, 1.5,
         ("TypeInvalid", 'Invalid value: "number": spec.x in body must be of type integer,string: "number"')),
    ],
)  # fmt: skip
def test_values_that_do_not_fit(part: dict[str, Any], value: Any, want: tuple[str, str]) -> None:
    assert checked(shaped({"properties": {"x": part}}), {"spec": {"x": value}}) == [(want[0], "spec.x", want[1])]


def test_what_is_required_and_nested_is_found_where_it_is() -> None:
    item = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    schema = shaped({"required": ["size"], "properties": {"parts": {"type": "array", "items": item}}})
    assert checked(schema, {"spec": {"parts": [{"name": "a"}, {}]}}) == [
        ("Required", "spec.size", "Required value"),
        ("Required", "spec.parts[1].name", "Required value"),
    ]


def test_null_is_a_value_only_where_it_is_allowed() -> None:
    schema = shaped({"properties": {"x": {"type": "string", "nullable": True}, "y": {"type": "string"}}})
    assert [field for _, field, _ in checked(schema, {"spec": {"x": None, "y": None}})] == ["spec.y"]


def test_keys_and_members_occur_once() -> None:
    listed = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
              "items": {"type": "object", "properties": {"name": {"type": "string"}}}}  # fmt: skip
    members = {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}
    schema = shaped({"required": ["z"], "properties": {"l": listed, "s": members}})
    found = checked(schema, {"spec": {"l": [{"name": "a"}, {"name": "b"}, {"name": "a"}], "s": ["x", "x"]}})
    assert found == [
        ("Required", "spec.z", "Required value"),
        ("Duplicate", "spec.l[2]", 'Duplicate value: {"name":"a"}'),
        ("Duplicate", "spec.s[1]", 'Duplicate value: "x"'),
    ]


RULED = shaped(
    {
        "required": ["a"],
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": "self.a >= self.b", "message": "a must not be below b"}],
    }
)


def test_rules_compare_fields() -> None:
    assert checked(RULED, {"spec": {"a": 2, "b": 1}}) == []
    assert checked(RULED, {"spec": {"a": 1, "b": 2}}) == [("Invalid", "spec", "Invalid value: a must not be below b")]


def test_rules_wait_until_the_object_fits() -> None:
    found = checked(RULED, {"spec": {"b": 2}})
    assert found[0] == ("Required", "spec.a", "Required value")
    assert found[1][1] == "<nil>"
    assert "some validation rules were not checked" in found[1][2]
    # A schema without rules has nothing to put off.
    assert len(checked(shaped({"required": ["a"]}), {"spec": {}})) == 1
