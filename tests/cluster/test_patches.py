"""Making and applying patches: what is made turns the one document into the other, and nothing else."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stratus.cluster.kubectl.context import rules
from stratus.kit.patches import (
    Rules,
    merge_apply,
    merge_diff,
    merge_three_way,
    strategic_apply,
    strategic_diff,
    strategic_three_way,
)

Json = dict[str, Any]

RULES = Rules(
    {
        "Root": {
            "items": {"type": "Item", "strategy": "merge", "key": "name"},
            "tags": {"strategy": "merge"},
            "union": {"type": "Union", "strategy": "retainKeys"},
        },
        "Item": {"env": {"type": "Item", "strategy": "merge", "key": "name"}, "nested": {"type": "Root"}},
    }
)
scalars = st.one_of(st.booleans(), st.integers(-3, 3), st.sampled_from(["a", "b", ""]))
names = st.sampled_from(["n1", "n2", "n3", "n4"])
tags = st.lists(st.sampled_from(["t1", "t2", "t3"]), unique=True, min_size=1)
plain = st.dictionaries(st.sampled_from(["x", "y", "z"]), scalars, max_size=3)


def keyed(extra: st.SearchStrategy[Json]) -> st.SearchStrategy[list[Json]]:
    item = st.builds(lambda name, rest: {**rest, "name": name}, names, extra)
    return st.lists(item, unique_by=lambda i: i["name"], min_size=1, max_size=4)


item_bodies = st.fixed_dictionaries({}, optional={"image": scalars, "env": keyed(plain), "map": plain})
documents = st.fixed_dictionaries(
    {},
    optional={
        "items": keyed(item_bodies), "tags": tags, "union": plain, "map": plain,
        "atomic": st.lists(scalars), "n": scalars,
    },
)  # fmt: skip


def sorted_tags(doc: Json) -> Json:
    """Lists of scalars merge as sets: their order is not promised."""
    return {**doc, "tags": sorted(doc["tags"])} if "tags" in doc else doc


@given(documents, documents)
def test_a_strategic_diff_applied_gives_the_other_document(before: Json, after: Json) -> None:
    kept = copy.deepcopy((before, after))
    patch = strategic_diff(before, after, RULES, "Root")
    assert sorted_tags(strategic_apply(before, patch, RULES, "Root")) == sorted_tags(after)
    assert (before, after) == kept, "arguments are not modified"
    assert json.loads(json.dumps(patch)) == patch


@given(documents)
def test_no_difference_is_an_empty_patch(doc: Json) -> None:
    assert strategic_diff(doc, copy.deepcopy(doc), RULES, "Root") == {}
    assert merge_diff(doc, copy.deepcopy(doc)) == {}


@given(documents, documents)
def test_a_merge_diff_applied_gives_the_other_document(before: Json, after: Json) -> None:
    assert merge_apply(before, merge_diff(before, after)) == after


@given(documents, documents)
def test_applying_what_was_applied_before_by_nobody_else_is_a_two_way_diff(before: Json, after: Json) -> None:
    patch = strategic_three_way(before, after, before, RULES, "Root")
    assert sorted_tags(strategic_apply(before, patch, RULES, "Root")) == sorted_tags(after)


@given(documents, documents)
def test_an_apply_that_removes_nothing_leaves_foreign_fields_alone(original: Json, theirs: Json) -> None:
    current = {**theirs, **copy.deepcopy(original), "foreign": {"k": "v"}}
    patch = strategic_three_way(original, original, current, RULES, "Root")
    assert patch == {}
    assert merge_three_way(original, original, current) == {}


POD: Json = {
    "spec": {
        "containers": [
            {"name": "web", "image": "i:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"name": "side", "image": "s:1"},
        ],
        "volumes": [{"name": "v", "emptyDir": {}}],
    }
}


def test_one_field_of_one_container() -> None:
    after = copy.deepcopy(POD)
    after["spec"]["containers"][0]["image"] = "i:2"
    assert strategic_diff(POD, after, rules(), "Pod") == {
        "spec": {
            "$setElementOrder/containers": [{"name": "web"}, {"name": "side"}],
            "containers": [{"image": "i:2", "name": "web"}],
        }
    }


def test_removing_an_item_says_so() -> None:
    after = copy.deepcopy(POD)
    del after["spec"]["containers"][0]["env"][1]
    patch = strategic_diff(POD, after, rules(), "Pod")
    assert patch["spec"]["containers"][0]["env"] == [{"$patch": "delete", "name": "B"}]


def test_a_volume_that_changes_its_source_keeps_only_the_new_one() -> None:
    after = copy.deepcopy(POD)
    after["spec"]["volumes"] = [{"name": "v", "configMap": {"name": "c"}}]
    patch = strategic_diff(POD, after, rules(), "Pod")
    assert patch["spec"]["volumes"][0]["$retainKeys"] == ["configMap", "name"]
    assert strategic_apply(POD, patch, rules(), "Pod") == after


def test_reordering_alone_is_a_difference() -> None:
    after = copy.deepcopy(POD)
    after["spec"]["containers"].reverse()
    patch = strategic_diff(POD, after, rules(), "Pod")
    assert patch == {"spec": {"$setElementOrder/containers": [{"name": "side"}, {"name": "web"}]}}
    assert strategic_apply(POD, patch, rules(), "Pod") == after


def test_an_apply_removes_what_it_once_set_and_keeps_what_others_added() -> None:
    original = {"spec": {"containers": [{"name": "web", "env": [{"name": "A", "value": "1"}, {"name": "B"}]}]}}
    modified = {"spec": {"containers": [{"name": "web", "env": [{"name": "A", "value": "9"}]}]}}
    current = copy.deepcopy(original)
    current["spec"]["containers"][0]["env"].append({"name": "THEIRS", "value": "x"})
    current["spec"]["containers"].append({"name": "injected", "image": "p"})
    patch = strategic_three_way(original, modified, current, rules(), "Pod")
    result = strategic_apply(current, patch, rules(), "Pod")
    assert result["spec"]["containers"] == [
        {"name": "web", "env": [{"name": "A", "value": "9"}, {"name": "THEIRS", "value": "x"}]},
        {"name": "injected", "image": "p"},
    ]


def test_one_is_not_true() -> None:
    assert merge_diff({"a": 1}, {"a": True}) == {"a": True}
    assert merge_diff({"a": 1}, {"a": 1.0}) == {}


def test_recorded_strategic_patches_apply_as_the_server_applies_them(golden: Path) -> None:
    """Up to the order of items in merged lists, which a server puts differently where a patch does not state it."""

    types = {"deployments": "Deployment", "services": "Service", "configmaps": "ConfigMap", "pods": "Pod"}
    checked = 0
    with gzip.open(golden / "patches.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            plural = row["path"].split("?")[0].rstrip("/").split("/")[-2]
            if "strategic" not in row["patch_type"] or row["status"] != 200 or plural not in types or not row["before"]:
                continue
            patched = strategic_apply(row["before"], row["patch"], rules(), types[plural])
            got, want = (_settled(o) for o in (patched, row["after"]))
            assert _within(got, want), f"{row['case']}: {json.dumps(got)} != {json.dumps(want)}"
            checked += 1
    assert checked > 20


def _settled(obj: Json) -> Json:
    return {k: v for k, v in obj.items() if k in ("spec", "data")}


def _within(got: Any, want: Any) -> bool:
    """Whether all that was made stands in what the server kept (which adds defaults)."""
    if isinstance(got, dict) and isinstance(want, dict):
        return all(k in want and _within(v, want[k]) for k, v in got.items() if v != {})
    if isinstance(got, list) and isinstance(want, list):
        left = list(want)
        for item in got:
            match = next((w for w in left if _within(item, w)), None)
            if match is None:
                return False
            left.remove(match)
        return not left
    return bool(got == want)
