"""The store keeps versions, indexes and logs right, and a fork never leaks into its origin."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratus.kit.clock import VirtualClock
from stratus.sim.store import Change, Store, StoreConflict, StoreExpired

START = 1767603600.0


def make(seed: int = 0, **kw: int) -> Store:
    return Store(VirtualClock(START), random.Random(seed), **kw)


def pod(name: str, ns: str = "d", owner: str | None = None, **spec: object) -> dict:
    meta: dict = {"name": name, "namespace": ns}
    if owner:
        meta["ownerReferences"] = [{"kind": "ReplicaSet", "name": "o", "uid": owner}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def test_create_fills_the_metadata() -> None:
    store = make()
    obj = store.create("pods", pod("a"))
    meta = obj["metadata"]
    assert meta["creationTimestamp"] == "2026-01-05T09:00:00Z"
    assert meta["resourceVersion"] == str(store.rv)
    assert meta["generation"] == 1
    assert len(meta["uid"]) == 36
    assert store.get("pods", "d", "a") is obj


def test_what_has_no_generation_gets_none() -> None:
    assert "generation" not in make().create("configmaps", {"metadata": {"name": "c", "namespace": "d"}})["metadata"]


def test_create_twice_conflicts_and_changes_nothing() -> None:
    store = make()
    store.create("pods", pod("a"))
    rv = store.rv
    with pytest.raises(StoreConflict) as caught:
        store.create("pods", pod("a"))
    assert caught.value.reason == "AlreadyExists"
    assert store.rv == rv


def test_update_keeps_identity_and_raises_generation_for_spec_only() -> None:
    store = make()
    first = store.create("pods", pod("a", x=1))
    second = store.update("pods", {**first, "metadata": {**first["metadata"], "uid": "other"}, "spec": {"x": 2}})
    assert second["metadata"]["uid"] == first["metadata"]["uid"]
    assert second["metadata"]["generation"] == 2
    third = store.update("pods", {**second, "status": {"phase": "Running"}})
    assert third["metadata"]["generation"] == 2
    assert int(third["metadata"]["resourceVersion"]) > int(second["metadata"]["resourceVersion"])
    assert first["spec"] == {"x": 1}, "what a reader holds never changes"


def test_an_update_with_the_same_content_is_silent() -> None:
    store = make()
    first = store.create("pods", pod("a", x=1))
    seen: list[Change] = []
    store.subscribe(seen.append)
    assert store.update("pods", {**first, "metadata": {**first["metadata"], "resourceVersion": "0"}}) is first
    assert not seen


def test_update_checks_the_expected_version() -> None:
    store = make()
    first = store.create("pods", pod("a", x=1))
    rv = first["metadata"]["resourceVersion"]
    store.update("pods", {**first, "spec": {"x": 2}}, expect_rv=rv)
    with pytest.raises(StoreConflict) as caught:
        store.update("pods", {**first, "spec": {"x": 3}}, expect_rv=rv)
    assert caught.value.reason == "Conflict"
    with pytest.raises(StoreConflict) as missing:
        store.update("pods", pod("b"))
    assert missing.value.reason == "NotFound"


def test_list_is_sorted_and_scoped() -> None:
    store = make()
    for ns, name in [("b", "x"), ("a", "z"), ("a", "y")]:
        store.create("pods", pod(name, ns))
    names = [(o["metadata"]["namespace"], o["metadata"]["name"]) for o in store.list("pods")]
    assert names == [("a", "y"), ("a", "z"), ("b", "x")]
    assert [o["metadata"]["name"] for o in store.list("pods", "a")] == ["y", "z"]
    assert store.list("pods", "nope") == []
    store.list("pods").clear()
    assert len(store.list("pods")) == 3
    store.delete("pods", "a", "y")
    assert [o["metadata"]["name"] for o in store.list("pods", "a")] == ["z"]


def test_owner_index_follows_updates_and_deletes() -> None:
    store = make()
    store.create("pods", pod("a", owner="u1"))
    b = store.create("pods", pod("b", owner="u1"))
    assert [o["metadata"]["name"] for _, o in store.owned_by("u1")] == ["a", "b"]
    store.update("pods", {**b, "metadata": {**b["metadata"], "ownerReferences": [{"uid": "u2"}]}})
    assert [o["metadata"]["name"] for _, o in store.owned_by("u1")] == ["a"]
    store.delete("pods", "d", "a")
    assert store.owned_by("u1") == []
    assert [r for r, _ in store.owned_by("u2")] == ["pods"]


def test_the_order_of_what_is_owned_follows_every_change() -> None:
    store = make()
    for name in ("b", "c"):
        store.create("pods", pod(name, owner="u"))
    names = lambda: [o["metadata"]["name"] for _, o in store.owned_by("u")]  # noqa: E731
    assert names() == ["b", "c"]
    store.create("pods", pod("a", owner="u"))
    assert names() == ["a", "b", "c"]
    store.delete("pods", "d", "b")
    assert names() == ["a", "c"]
    released = {**store.get("pods", "d", "c")}
    released["metadata"] = {k: v for k, v in released["metadata"].items() if k != "ownerReferences"}
    store.update("pods", released)
    assert names() == ["a"]
    twin = store.fork(VirtualClock(START), random.Random(1))
    twin.create("pods", pod("z", owner="u"))
    assert names() == ["a"]


def test_present_versions_replace_the_ones_held_and_leave_out_the_gone() -> None:
    store = make()
    held = [store.create("pods", pod(name)) for name in ("a", "b", "c")]
    store.update("pods", {**held[0], "spec": {"x": 1}})
    store.delete("pods", "d", "b")
    found = store.present("pods", held)
    assert found == [store.get("pods", "d", "a"), held[2]]
    assert found[0]["spec"] == {"x": 1}
    assert store.present("services", held) == []


def test_adoptable_are_those_that_no_controller_has() -> None:
    store = make()
    kind = "replicasets.apps"
    owned = pod("a", owner="u")
    owned["metadata"]["ownerReferences"][0]["controller"] = True
    store.create(kind, owned)
    store.create(kind, pod("b", owner="u"))  # owned, but by no controller
    store.create(kind, pod("c"))
    store.create(kind, pod("c", ns="other"))
    names = lambda: [o["metadata"]["name"] for o in store.without_controller(kind, "d")]  # noqa: E731
    assert names() == ["b", "c"]
    taken = store.get(kind, "d", "c")
    reference = {"kind": "Deployment", "name": "x", "uid": "v", "controller": True}
    store.update(kind, {**taken, "metadata": {**taken["metadata"], "ownerReferences": [reference]}})
    assert names() == ["b"]
    twin = store.fork(VirtualClock(START), random.Random(1))
    twin.delete(kind, "d", "b")
    assert names() == ["b"]
    assert twin.without_controller(kind, "d") == []


@pytest.mark.parametrize("wanted", [(), ("pods",), ("pods", "services")])
def test_subscribers_hear_of_what_they_asked_for(wanted: tuple[str, ...]) -> None:
    store = make()
    heard: list[str] = []
    end = store.subscribe(lambda change: heard.append(change.resource), *wanted)
    for resource in ("pods", "services", "configmaps"):
        store.create(resource, pod("a"))
    assert heard == [r for r in ("pods", "services", "configmaps") if not wanted or r in wanted]
    later: list[str] = []
    store.subscribe(lambda change: later.append(change.resource), "pods")  # known resources are told the new one, too
    end()
    store.create("pods", pod("b"))
    assert len(heard) == (3 if not wanted else len(wanted))
    assert later == ["pods"]


def test_changes_are_told_in_order_with_previous() -> None:
    store = make()
    seen: list[Change] = []
    end = store.subscribe(seen.append)
    a = store.create("pods", pod("a"))
    b = store.update("pods", {**a, "spec": {"x": 1}})
    store.delete("pods", "d", "a")
    end()
    store.create("pods", pod("z"))
    assert [c.type for c in seen] == ["ADDED", "MODIFIED", "DELETED"]
    assert seen[1].previous is a
    assert seen[2].previous is b
    assert seen[2].object["metadata"]["resourceVersion"] == str(seen[2].rv)
    assert store.delete("pods", "d", "a") is None


def test_changes_since_is_bounded() -> None:
    store = make(log_limit=4)
    for i in range(20):
        store.create("pods", pod(f"p{i:02}"))
    with pytest.raises(StoreExpired):
        store.changes_since(1, "pods")
    assert [c.object["metadata"]["name"] for c in store.changes_since(store.rv - 2, "pods")] == ["p18", "p19"]
    assert store.changes_since(store.rv, "pods") == []
    assert store.changes_since(0, "configmaps") == []
    store.expire()
    with pytest.raises(StoreExpired):
        store.changes_since(store.rv - 1, "pods")
    assert store.changes_since(store.rv, "pods") == []


def test_losing_the_last_finalizer_removes_what_is_marked() -> None:
    store = make()
    obj = pod("a")
    obj["metadata"]["finalizers"] = ["x/y"]
    a = store.create("pods", obj)
    a = store.update("pods", {**a, "metadata": {**a["metadata"], "deletionTimestamp": "2026-01-05T09:00:00Z"}})
    assert store.get("pods", "d", "a") is a
    meta = {k: v for k, v in a["metadata"].items() if k != "finalizers"}
    store.update("pods", {**a, "metadata": {**meta, "deletionGracePeriodSeconds": 30}})
    assert store.get("pods", "d", "a") is not None, "a grace period still holds the pod"
    store.update("pods", {**a, "metadata": {**meta, "deletionGracePeriodSeconds": 0}})
    assert store.get("pods", "d", "a") is None


def test_a_namespace_stays_until_its_spec_finalizers_are_gone() -> None:
    store = make()
    ns = store.create("namespaces", {"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}})
    ns = store.update("namespaces", {**ns, "metadata": {**ns["metadata"], "deletionTimestamp": "t"}})
    assert store.get("namespaces", "", "n") is not None
    store.update("namespaces", {**ns, "spec": {}})
    assert store.get("namespaces", "", "n") is None


def test_a_fork_is_independent_both_ways() -> None:
    store = make()
    a = store.create("pods", pod("a", owner="u"))
    seen: list[Change] = []
    store.subscribe(seen.append)
    twin = store.fork(VirtualClock(START), random.Random(1))
    assert twin.get("pods", "d", "a") is a
    twin.delete("pods", "d", "a")
    twin.create("pods", pod("b"))
    assert [o["metadata"]["name"] for o in store.list("pods")] == ["a"]
    assert not seen
    store.create("pods", pod("c"))
    assert [o["metadata"]["name"] for o in twin.list("pods")] == ["b"]
    assert store.owned_by("u")
    assert not twin.owned_by("u")
    assert len(twin.changes_since(1, "pods")) == 3


def test_the_same_seed_gives_the_same_uids() -> None:
    assert make(7).create("pods", pod("a")) == make(7).create("pods", pod("a"))
    assert make(7).create("pods", pod("a")) != make(8).create("pods", pod("a"))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("cud"), st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from(["", "u", "v"])
        )
    )
)
def test_indexes_agree_with_a_plain_model(steps: list[tuple[str, str, str, str]]) -> None:
    store, model = make(log_limit=1000), {}
    for op, ns, name, owner in steps:
        if op == "c" and (ns, name) not in model:
            model[ns, name] = owner
            store.create("pods", pod(name, ns, owner or None))
        elif op == "u" and (ns, name) in model:
            model[ns, name] = owner
            store.update("pods", pod(name, ns, owner or None))
        elif op == "d":
            model.pop((ns, name), None)
            store.delete("pods", ns, name)
        keys = [(o["metadata"]["namespace"], o["metadata"]["name"]) for o in store.list("pods")]
        assert keys == sorted(model)
        for uid in "uv":
            found = [(o["metadata"]["namespace"], o["metadata"]["name"]) for _, o in store.owned_by(uid)]
            assert found == sorted(k for k, v in model.items() if v == uid)
    replay: dict = {}
    for change in store.changes_since(1, "pods"):
        meta = change.object["metadata"]
        key = (meta["namespace"], meta["name"])
        if change.type == "DELETED":
            del replay[key]
        else:
            replay[key] = change.object
    assert [replay[k] for k in sorted(replay)] == store.list("pods")


def test_a_subscriber_that_writes_does_not_overtake_the_others() -> None:
    store = make()
    seen: list[str] = []

    def answer(change: Change) -> None:
        if change.type == "ADDED":
            store.update("configmaps", {**change.object, "data": {"answer": "1"}})

    store.subscribe(answer)
    store.subscribe(lambda change: seen.append(change.type))
    store.create("configmaps", {"metadata": {"name": "a", "namespace": "default"}})
    assert seen == ["ADDED", "MODIFIED"]
