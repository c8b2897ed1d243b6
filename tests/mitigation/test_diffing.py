"""Readable differences, and carrying a change over to another image."""

from __future__ import annotations

import copy

from hypothesis import given
from hypothesis import strategies as st

from stratus.mitigation.diffing import carried_over, differences, normalised

from .world import make, web


def test_lines_name_items_by_their_key() -> None:
    before = web()
    after = copy.deepcopy(before)
    container = after["spec"]["template"]["spec"]["containers"][0]
    container["image"] = "registry.local/shop/web:v1"
    container["env"] = [{"name": "MODE", "value": "fast"}]
    del container["readinessProbe"]
    after["metadata"]["labels"] = {"app.kubernetes.io/name": "web"}
    after["spec"]["replicas"] = 1
    path = "spec.template.spec.containers[web]"
    assert differences(before, after) == (
        "metadata.labels[app.kubernetes.io/name]: (none) -> web",
        "spec.replicas: 3 -> 1",
        f'{path}.env: (none) -> [{{"name": "MODE", "value": "fast"}}]',
        f"{path}.image: registry.local/shop/web:v2 -> registry.local/shop/web:v1",
        f"{path}.readinessProbe.httpGet.path: /healthz -> (none)",
        f"{path}.readinessProbe.httpGet.port: 80 -> (none)",
    )


def test_what_the_server_manages_is_no_difference() -> None:
    before = web(managedFields=[{"manager": "a"}])
    after = copy.deepcopy(before)
    after["metadata"] |= {"resourceVersion": "9", "generation": 2, "managedFields": [], "uid": "other"}
    after["status"] = {"replicas": 1}
    assert differences(before, after) == ()
    assert differences(None, None) == ()


def test_creation_and_deletion() -> None:
    config = make("ConfigMap", "c", data={"a": "1"})
    assert differences(None, config) == ("created", "data.a: (none) -> 1")
    assert differences(config, None) == ("deleted",)


def test_secrets_are_not_shown() -> None:
    before = make("Secret", "s", data={"password": "b2xk", "user": "dQ=="})
    after = make("Secret", "s", data={"password": "bmV3", "user": "dQ=="}, stringData={"x": "plain"})
    lines = differences(before, after)
    assert lines == ("data.password: (hidden) -> (hidden)", "stringData.x: (none) -> (hidden)")
    assert not any("bmV3" in line or "plain" in line for line in differences(None, after))


def test_data_named_like_metadata_is_data() -> None:
    """Known mistake 9: a ConfigMap whose keys are called `uid` or `metadata`."""
    before = make("ConfigMap", "c", data={"uid": "1", "metadata": "m", "status": "ok"})
    after = make("ConfigMap", "c", data={"uid": "2", "status": "ok"})
    assert differences(before, after) == ("data.metadata: m -> (none)", "data.uid: 1 -> 2")
    assert normalised(before)["data"] == before["data"]


def test_long_values_and_many_lines_are_cut() -> None:
    before, after = (
        make("ConfigMap", "c", data={}),
        make("ConfigMap", "c", data={f"k{i:03}": "x" * 500 for i in range(99)}),
    )
    lines = differences(before, after)
    assert len(lines) == 61
    assert lines[-1] == "... and 39 more"
    assert max(map(len, lines)) < 200


def test_a_change_is_carried_over_to_an_image_that_has_changed_elsewhere() -> None:
    before = web()
    after = copy.deepcopy(before)
    after["spec"]["template"]["spec"]["containers"][0]["image"] = "new"
    del after["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]
    onto = copy.deepcopy(before)
    onto["spec"]["replicas"] = 9
    onto["spec"]["template"]["spec"]["containers"].append({"name": "side"})
    merged = carried_over(before, after, onto)
    containers = merged["spec"]["template"]["spec"]["containers"]
    assert merged["spec"]["replicas"] == 9
    assert [c["name"] for c in containers] == ["web", "side"]
    assert containers[0]["image"] == "new"
    assert "readinessProbe" not in containers[0]


documents = st.recursive(
    st.integers(0, 2) | st.sampled_from(["a", "b"]),
    lambda inner: st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from("xyz"), documents, max_size=3)


@given(objects, objects)
def test_carrying_over_to_the_image_before_gives_the_image_after(before: dict, after: dict) -> None:
    assert carried_over(before, after, before) == after
    assert carried_over(before, before, after) == after
