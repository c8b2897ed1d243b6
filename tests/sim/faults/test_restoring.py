"""Taking a change back leaves what others changed alone, in whatever order."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratus.sim.faults.restoring import undo

LEAVES = st.one_of(st.integers(0, 3), st.sampled_from(["a", "b", ""]), st.none(), st.booleans())
TREES = st.recursive(LEAVES, lambda inner: st.dictionaries(st.sampled_from("pqrs"), inner, max_size=3), max_leaves=8)


@given(was=st.dictionaries(st.sampled_from("vwxyz"), TREES), after=st.dictionaries(st.sampled_from("vwxyz"), TREES))
@settings(max_examples=200, deadline=None)
def test_a_change_that_nobody_touched_is_taken_back_whole(was: dict[str, Any], after: dict[str, Any]) -> None:
    assert undo(was, after, copy.deepcopy(after)) == was


@given(
    base=st.fixed_dictionaries({"left": TREES, "right": TREES, "rest": TREES}), one=TREES, two=TREES,
    first=st.booleans(),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_changes_of_different_fields_are_taken_back_in_any_order(
    base: dict[str, Any], one: Any, two: Any, first: bool
) -> None:
    was_one = base
    after_one = {**base, "left": one}
    was_two, after_two = after_one, {**after_one, "right": two}
    now: Any = copy.deepcopy(after_two)
    changes = [(was_one, after_one), (was_two, after_two)]
    for was, after in changes if first else reversed(changes):
        now = undo(was, after, now)
    assert now == base


@pytest.mark.parametrize(
    ("was", "after", "now", "then"),
    [
        # somebody else's edit of the same field stays, of another field too
        ({"a": 1}, {"a": 2}, {"a": 3}, {"a": 3}),
        ({"a": 1}, {"a": 2}, {"a": 2, "b": 5}, {"a": 1, "b": 5}),
        ({"a": 1}, {}, {"b": 5}, {"a": 1, "b": 5}),
        ({"a": 1}, {}, {"a": 7}, {"a": 7}),
        ({}, {"a": 1}, {"a": 1, "b": 2}, {"b": 2}),
        ({}, {"a": 1}, {"a": 4}, {"a": 4}),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, {}, {}),
        # named elements of lists
        (
            [{"name": "x", "v": 1}, {"name": "y", "v": 1}],
            [{"name": "x", "v": 2}, {"name": "y", "v": 1}],
            [{"name": "y", "v": 9}, {"name": "x", "v": 2, "w": 3}, {"name": "z"}],
            [{"name": "y", "v": 9}, {"name": "x", "v": 1, "w": 3}, {"name": "z"}],
        ),
        (
            [{"name": "x"}, {"name": "y"}],
            [{"name": "y"}],
            [{"name": "y", "v": 1}],
            [{"name": "x"}, {"name": "y", "v": 1}],
        ),
        (
            [{"key": "k", "effect": "NoSchedule"}],
            [{"key": "k", "effect": "NoSchedule"}, {"key": "k", "effect": "NoExecute"}],
            [{"key": "k", "effect": "NoExecute"}, {"key": "z", "effect": "NoExecute"}],
            [{"key": "z", "effect": "NoExecute"}],
        ),
        # plain lists are sets in effect, where they are not the change itself
        (["a", "b"], ["a"], ["a", "c"], ["a", "c", "b"]),
        (["a"], ["a", "b"], ["a", "b", "c"], ["a", "c"]),
        ([1, [2]], [1], [1, 3], [1, 3]),
        # texts
        ("one", "two", "three", "three"),
        ("a\nb\nc", "a\nX\nc", "0\na\nX\nc\nd", "0\na\nb\nc\nd"),
        ("a\nb\nc", "a\nc", "a\nc\nd", "a\nb\nc\nd"),
        ("a\nc", "a\nb\nc", "a\nb\nc\nd", "a\nc\nd"),
        ("a\nb\nc", "a\nX\nc", "a\nY\nc", "a\nY\nc"),
        ("a\nb\nc", "a\nX\nc", "a\nX\nc\na\nX\nc", "a\nX\nc\na\nX\nc"),
    ],
)
def test_cases(was: Any, after: Any, now: Any, then: Any) -> None:
    assert undo(was, after, copy.deepcopy(now)) == then


def test_documents_inside_a_text_are_merged_and_come_back_as_they_were_written() -> None:
    was = '{ "flags": {"a": {"v": "off"}, "b": {"v": "off"}}}'
    one = json.dumps({"flags": {"a": {"v": "on"}, "b": {"v": "off"}}}, indent=2)
    both = json.dumps({"flags": {"a": {"v": "on"}, "b": {"v": "on"}}}, indent=2)
    left = undo(was, one, both)
    assert json.loads(left) == {"flags": {"a": {"v": "off"}, "b": {"v": "on"}}}
    assert undo(undo(was, one, one), left, left) == was
    assert undo(was, one, one) is was or undo(was, one, one) == was


@dataclass(slots=True)
class Inner:
    password: str
    roles: list[str] = field(default_factory=list)


@dataclass(slots=True)
class State:
    cost: float = 1.0
    users: dict[str, Inner] = field(default_factory=dict)


def test_state_is_changed_in_place() -> None:
    was = State(1.0, {"admin": Inner("x", ["read", "write"])})
    after = State(3.0, {"admin": Inner("x", ["read"])})
    now = State(3.0, {"admin": Inner("y", ["read", "audit"]), "new": Inner("z")})
    assert undo(was, after, now) is now
    assert now == State(1.0, {"admin": Inner("y", ["read", "audit", "write"]), "new": Inner("z")})
    dropped = State(1.0, {})
    assert undo(was, State(1.0, {}), dropped) is dropped
    assert dropped == was
    assert dropped.users["admin"] is not was.users["admin"], "what was remembered is not handed out"
