"""Differences, and reverting a change out of a document that others changed since."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratus.kit.jsondiff import MISSING, Shape, diff, dotted, leaves, revert, same
from stratus.transaction.essence import shape

SHAPE = Shape(
    keys={"env": (("name",),), "ports": (("containerPort", "protocol=TCP"), ("port", "protocol=TCP"))},
    sets=frozenset({"finalizers"}),
    maps=frozenset({"labels", "data"}),
)


def out(before, after, now):
    found = revert(before, after, now, SHAPE)
    return found.value, [dotted(p) for p in found.conflicts]


def env(*pairs):
    return {"env": [{"name": k, "value": v} for k, v in pairs]}


def test_reverts_only_the_change():
    before, after = {"a": 1, "b": 1}, {"a": 2, "b": 1, "c": 3}
    assert out(before, after, {"a": 2, "b": 9, "c": 3, "d": 4}) == ({"a": 1, "b": 9, "d": 4}, [])


def test_added_is_removed_and_removed_is_put_back():
    assert out({"data": {"x": "1"}}, {"data": {"y": "2"}}, {"data": {"y": "2", "z": "3"}}) == (
        {"data": {"x": "1", "z": "3"}}, [],
    )  # fmt: skip


def test_a_map_that_was_added_goes_when_it_is_empty():
    assert out({}, {"labels": {"a": "b"}}, {"labels": {"a": "b"}, "n": 1}) == ({"n": 1}, [])
    assert out({}, {"labels": {"a": "b"}}, {"labels": {"a": "b", "c": "d"}}) == ({"labels": {"c": "d"}}, [])


def test_overlap_is_a_conflict_and_stays():
    assert out({"n": 1}, {"n": 2}, {"n": 3}) == ({"n": 3}, ["n"])
    assert out({"data": {"k": "1"}}, {"data": {"k": "2"}}, {"data": {}}) == ({"data": {}}, ["data.k"])


def test_somebody_already_put_it_back():
    assert out({"n": 1}, {"n": 2}, {"n": 1, "m": 5}) == ({"n": 1, "m": 5}, [])


def test_list_items_by_their_key_and_order():
    before, after = env(("A", "1"), ("B", "2")), env(("B", "3"), ("C", "4"))
    now = {"env": [*after["env"], {"name": "D", "value": "5"}]}
    value, conflicts = out(before, after, now)
    assert [(e["name"], e["value"]) for e in value["env"]] == [("A", "1"), ("B", "2"), ("D", "5")]
    assert conflicts == []
    assert out(before, after, after) == (before, [])
    # a changed order counts as a change: later variables may use earlier ones
    assert out(env(("A", "1"), ("B", "2")), env(("B", "2"), ("A", "1")), env(("B", "2"), ("A", "1")))[0] == env(
        ("A", "1"), ("B", "2")
    )


def test_an_added_item_that_others_changed_is_kept_whole():
    before, after = {"env": []}, {"env": [{"name": "A", "value": "1", "x": "1"}]}
    now = {"env": [{"name": "A", "value": "2", "x": "1"}]}
    assert out(before, after, now) == (now, ["env[name=A].value"])


def test_an_item_others_removed_is_a_conflict():
    before, after = env(("A", "1"), ("B", "1")), env(("A", "2"), ("B", "1"))
    assert out(before, after, env(("B", "1"))) == (env(("B", "1")), ["env[name=A]"])


def test_a_struct_is_not_torn():
    probe, other = {"httpGet": {"port": 80}, "period": 10}, {"exec": {"command": ["x"]}, "period": 10}
    # we added a probe, somebody changed its period: keep it whole
    now = {"probe": {**probe, "period": 5}}
    assert out({}, {"probe": probe}, now) == (now, ["probe.period"])
    # we removed the probe, somebody made another: keep theirs
    assert out({"probe": probe}, {}, {"probe": other}) == ({"probe": other}, ["probe"])


def test_lists_without_a_usable_key_are_one_value():
    assert out({"args": ["a"]}, {"args": ["b"]}, {"args": ["b", "c"]}) == ({"args": ["b", "c"]}, ["args"])
    twice = {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}
    assert out({"env": []}, twice, twice) == ({"env": []}, [])
    assert out({"env": []}, twice, {"env": [*twice["env"], {"name": "B"}]})[1] == ["env"]


def test_ports_with_a_default_protocol():
    before = {"ports": [{"port": 80, "targetPort": 80}]}
    after = {"ports": [{"port": 80, "targetPort": 81, "protocol": "TCP"}, {"port": 80, "protocol": "UDP"}]}
    now = {"ports": [*after["ports"], {"port": 90}]}
    value, conflicts = out(before, after, now)
    assert value == {"ports": [{"port": 80, "targetPort": 80}, {"port": 90}]}
    assert conflicts == []


def test_sets():
    value, conflicts = out({"finalizers": ["a"]}, {"finalizers": ["b"]}, {"finalizers": ["b", "c"]})
    assert (sorted(value["finalizers"]), conflicts) == (["a", "c"], [])


def test_null_is_a_value():
    assert out({"n": None}, {"n": 1}, {"n": 1}) == ({"n": None}, [])
    assert not same(MISSING, None)
    assert not same(1, True)
    assert same(1, 1.0)


def test_diff_names_places():
    changes = diff(
        {"env": [{"name": "A", "value": "1"}], "labels": {"a/b.c": "x"}},
        {"env": [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}], "labels": {}},
        SHAPE,
    )
    assert [str(c) for c in changes] == [
        "env[name=A].value: 1 -> 2",
        "env[name=B]: absent -> {'name': 'B', 'value': '3'}",
        'labels["a/b.c"]: x -> absent',
    ]
    order = diff(env(("A", "1"), ("B", "2")), env(("B", "2"), ("A", "1")), SHAPE)
    assert [dotted(c.path) for c in order] == ["env[order]"]


def test_leaves_flatten_side_by_side():
    one, two = leaves([{"a": {"b": 1}}, {"env": [{"name": "A", "value": "1"}]}], SHAPE)
    assert one == {("a", "b"): 1, ("env", "[order]"): []}
    assert two == {("env", "[name=A]", "name"): "A", ("env", "[name=A]", "value"): "1", ("env", "[order]"): []}


names = st.sampled_from("abc")
scalars = st.one_of(st.integers(0, 3), st.sampled_from(["x", "y"]), st.none(), st.booleans())
items = st.lists(
    st.fixed_dictionaries({"name": names, "value": scalars}), max_size=3, unique_by=lambda item: item["name"]
)
documents = st.recursive(
    st.dictionaries(names, scalars, max_size=3),
    lambda inner: st.dictionaries(
        st.sampled_from(["a", "b", "labels", "spec"]), st.one_of(scalars, inner, st.lists(scalars, max_size=2)),
        max_size=3,
    ).flatmap(lambda d: st.one_of(st.just(d), items.map(lambda found: {**d, "env": found}))),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=300, deadline=None, derandomize=True)
@given(documents, documents)
def test_without_strangers_the_inverse_is_exact(before, after):
    kept = copy.deepcopy((before, after))
    found = revert(before, after, after, SHAPE)
    assert same(found.value, before)
    assert found.conflicts == ()
    assert (before, after) == kept
    assert bool(diff(before, after, SHAPE)) is not same(before, after)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(documents, documents, documents)
def test_three_ways(before, after, now):
    found = revert(before, after, now, SHAPE)
    # reverting again changes nothing more: an interrupted undo may be repeated
    again = revert(before, after, found.value, SHAPE)
    assert same(again.value, found.value)
    # what the change did not touch stays as somebody left it
    was, became, then, got = leaves([before, after, now, found.value], SHAPE)
    touched = {p for p in {**was, **became} if not same(was.get(p, MISSING), became.get(p, MISSING))}
    for path in {**then, **got}:
        related = any(p[: len(path)] == path or path[: len(p)] == p for p in touched)
        if not related and path[-1] != "[order]":
            assert same(then.get(path, MISSING), got.get(path, MISSING)), dotted(path)
    # and what it touched is as before, unless a conflict says otherwise
    if not found.conflicts:
        for path in touched:
            if path[-1] != "[order]" and same(then.get(path, MISSING), became.get(path, MISSING)):
                assert same(got.get(path, MISSING), was.get(path, MISSING)), dotted(path)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(documents, documents)
def test_nobody_changed_anything(before, now):
    assert revert(before, before, now, SHAPE).value == now


@pytest.mark.parametrize("name", ["containers", "env", "volumes", "volumeMounts", "ports", "taints"])
def test_the_shipped_table_names_the_usual_lists(name):
    assert name in shape().keys
    assert "tolerations" not in shape().keys
