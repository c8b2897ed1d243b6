"""Paths of printer columns: fields, escapes, indexes, slices, wildcards, filters."""

import pytest

from stratus.sim.api.jsonpath import find, write

DATA = {
    "spec": {"size": 3, "tags": ["a", "b", "c"], "none": None, "ratio": 2.0},
    "metadata": {"labels": {"example.com/team": "x", "plain": "y"}},
    "status": {
        "conditions": [
            {"type": "Ready", "status": "True", "age": 5},
            {"type": "Synced", "status": "False", "age": 9},
            {"type": "Odd"},
        ]
    },
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.size", [3]),
        ("{.spec.size}", [3]),
        ("$.spec.size", [3]),
        ("spec.size", [3]),
        (".spec.missing", []),
        (".spec.size.deeper", []),
        (".spec.none", [None]),
        (".metadata.labels.example\\.com/team", ["x"]),
        (".metadata.labels['example.com/team']", ["x"]),
        ('.metadata.labels["plain"]', ["y"]),
        (".spec.tags[0]", ["a"]),
        (".spec.tags[-1]", ["c"]),
        (".spec.tags[7]", []),
        (".spec.tags[x]", []),
        (".spec.tags[*]", ["a", "b", "c"]),
        (".spec.tags[1:]", ["b", "c"]),
        (".spec.tags[0:2]", ["a", "b"]),
        (".metadata.labels.*", ["x", "y"]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type == 'Synced')].status", ["False"]),
        ('.status.conditions[?(@.type!="Ready")].type', ["Synced", "Odd"]),
        (".status.conditions[?(@.age>5)].type", ["Synced"]),
        (".status.conditions[?(@.age<=5)].type", ["Ready"]),
        (".status.conditions[?(@.status)].type", ["Ready", "Synced"]),
        ('.status.conditions[?(@.type=="None")].status', []),
        ("..type", ["Ready", "Synced", "Odd"]),
        (".status.conditions[?(", []),
        ("", [DATA]),
    ],
)
def test_find(path: str, found: list[object]) -> None:
    assert find(path, DATA) == found


@pytest.mark.parametrize(
    ("value", "text"),
    [("s", "s"), (3, "3"), (2.0, "2"), (2.5, "2.5"), (True, "true"), (["a", 1], '["a",1]'), ({"k": "ü"}, '{"k":"ü"}')],
)
def test_write(value: object, text: str) -> None:
    assert write(value) == text
