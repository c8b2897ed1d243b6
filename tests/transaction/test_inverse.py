"""Inverses on objects: what is sent, what is left alone, what is proved."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from txn_fake import (
    FakeCluster,
    create,
    delete,
    deployment,
    label,
    obj,
    planned,
    ref,
    request,
    scale,
    set_data,
    set_env,
    set_image,
)
from txn_kit import MemoryJournal, engine_on, plain

from stratus.kit.clock import VirtualClock
from stratus.model.actions import ApiWrite, PlannedWrite
from stratus.model.base import Json
from stratus.model.refs import ObjectRef
from stratus.model.transactions import WriteRecord
from stratus.transaction.essence import alike, changes, essence, managed_paths
from stratus.transaction.inverse import invert, obstacle, prepared, refusal, residue, resolution


def recorded(write, before, after) -> WriteRecord:
    return WriteRecord(
        index=0, command="", write=write, reversibility="exact", state="done", before=before, after=after
    )


def stored(body, uid="u1", version="5"):
    body = copy.deepcopy(body)
    body["metadata"] |= {"uid": uid, "resourceVersion": version}
    return body


def test_essence_strips_by_place_not_by_name():
    conf = stored(obj("ConfigMap", "c", data={"uid": "1", "metadata": "2", "status": "3", "resourceVersion": "4"}))
    assert essence(conf) == obj("ConfigMap", "c", data=conf["data"])
    assert essence(None) is None
    assert conf["metadata"]["uid"] == "u1"


def test_essence_of_a_deployment():
    one = stored(deployment("web"))
    other = stored(deployment("web"), "u1", "9")
    other["metadata"] |= {"generation": 7, "managedFields": [], "creationTimestamp": "x"}
    other["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "4"}
    other["status"] = {"replicas": 2}
    assert alike(one, other)
    other["metadata"]["annotations"]["mine"] = "1"
    assert [str(c) for c in changes(one, other)] == ["metadata.annotations: absent -> {'mine': '1'}"]
    assert ("status",) in managed_paths("Anything")


def test_service_keeps_its_address():
    service = stored(obj("Service", "web", spec={"clusterIP": "10.0.0.7", "ports": [{"port": 80, "nodePort": 30001}]}))
    record = recorded(delete("Service", "web"), service, None)
    (write,) = invert(record, None, key="k", owners={}).writes
    assert write.method == "POST"
    assert write.body["spec"] == service["spec"]
    assert "resourceVersion" not in write.body["metadata"]


def test_put_carries_preconditions_and_everything_else():
    before, after = stored(deployment("web")), stored(deployment("web", image="web:2"), version="6")
    now = stored(deployment("web", image="web:2", replicas=7), version="8")
    now["status"] = {"replicas": 7}
    (write,) = invert(recorded(set_image("web", "web:2"), before, after), now, key="k-undo", owners={}).writes
    assert (write.method, write.expect_uid, write.expect_version) == ("PUT", "u1", "8")
    assert write.body["metadata"]["resourceVersion"] == "8"
    assert write.body["spec"]["replicas"] == 7
    assert write.body["spec"]["template"] == before["spec"]["template"]
    assert write.field_manager == "k-undo"


def test_scale_takes_back_replicas_only():
    """The object is read after the scale: what somebody changed in between is theirs."""
    before = stored(deployment("web", replicas=2))
    after = stored(deployment("web", replicas=5, image="theirs:1"), version="7")
    (write,) = invert(recorded(scale("web", 5), before, after), after, key="k", owners={}).writes
    assert write.body["spec"]["replicas"] == 2
    assert write.body["spec"]["template"]["spec"]["containers"][0]["image"] == "theirs:1"


@pytest.mark.parametrize(
    ("now", "what"),
    [
        (None, "somebody else deleted it"),
        (stored(deployment("web"), uid="u2"), "made another"),
        ({**stored(deployment("web")), "metadata": {**stored(deployment("web"))["metadata"], "deletionTimestamp": "x"}},
         "being deleted"),
        (stored(deployment("web", image="theirs:1")), "containers[name=web].image"),
    ],
)  # fmt: skip
def test_conflicts_of_a_change(now, what):
    before, after = stored(deployment("web")), stored(deployment("web", image="web:2"))
    found = invert(recorded(set_image("web", "web:2"), before, after), now, key="k", owners={})
    assert found.writes == ()
    assert what in found.conflicts[0]


def test_conflict_of_a_creation():
    made = stored(obj("ConfigMap", "new", data={"a": "b"}))
    record = recorded(create(obj("ConfigMap", "new", data={"a": "b"})), None, made)
    theirs = stored(obj("ConfigMap", "new", data={"a": "theirs"}), version="9")
    assert invert(record, theirs, key="k", owners={}).conflicts == ("shop/ConfigMap/new: data.a",)
    another = stored(obj("ConfigMap", "new", data={"a": "b"}), uid="u9")
    assert invert(record, another, key="k", owners={}).writes == ()
    (write,) = invert(record, made, key="k", owners={}).writes
    assert write.method == "DELETE"
    assert write.body["preconditions"] == {"uid": "u1", "resourceVersion": "5"}
    assert "dryRun" not in write.body


def test_conflict_of_a_deletion():
    gone = stored(obj("ConfigMap", "c", data={"a": "b"}))
    record = recorded(delete("ConfigMap", "c"), gone, None)
    same = stored(obj("ConfigMap", "c", data={"a": "b"}), uid="u2")
    assert invert(record, same, key="k", owners={}).conflicts == ()
    other = stored(obj("ConfigMap", "c", data={"a": "x"}), uid="u2")
    assert "somebody else made another" in invert(record, other, key="k", owners={}).conflicts[0]
    leaving = stored(obj("ConfigMap", "c", data={"a": "b"}))
    leaving["metadata"]["deletionTimestamp"] = "x"
    assert invert(record, leaving, key="k", owners={}).waiting


def test_residue_sees_what_is_left():
    before, after = stored(deployment("web")), stored(deployment("web", image="web:2", env={"A": "1"}))
    record = recorded(set_image("web", "web:2"), before, after)
    assert residue([record], before, {}) == ()
    assert residue([record], after, {})[0].startswith("shop/Deployment/web: spec.template")
    half = stored(deployment("web", env={"A": "1"}))
    assert any("env" in line for line in residue([record], half, {}))
    assert residue([record], None, {}) == ("shop/Deployment/web: there -> gone",)
    theirs = stored(deployment("web", replicas=9))
    assert residue([record], theirs, {}) == ()


def test_residue_of_life_and_death():
    made = stored(obj("ConfigMap", "c", data={"a": "b"}))
    born = recorded(create(obj("ConfigMap", "c", data={"a": "b"})), None, made)
    assert residue([born], made, {}) == ("shop/ConfigMap/c: absent -> still there",)
    assert residue([born], None, {}) == ()
    died = recorded(delete("ConfigMap", "c"), made, None)
    assert residue([died], None, {}) == ("shop/ConfigMap/c: there -> gone",)
    assert residue([died], stored(obj("ConfigMap", "c", data={"a": "x"}), "u2"), {}) != ()
    assert residue([died], stored(obj("ConfigMap", "c", data={"a": "b"}), "u2"), {}) == ()


def test_preconditions_of_the_forward_write():
    before = stored(deployment("web"))
    sent = prepared(planned(set_image("web", "x")), before, "key")
    assert (sent.expect_uid, sent.expect_version, sent.field_manager) == ("u1", "5", "key")
    apply = request("PATCH", "Deployment", "web", {}, patch_type="application/apply-patch+yaml", field_manager="owner")
    assert prepared(planned(apply), before, "key").field_manager == "owner"
    gone = prepared(planned(request("DELETE", "ConfigMap", "c", {"gracePeriodSeconds": 3})), before, "key")
    assert gone.body["gracePeriodSeconds"] == 3


def test_the_table_refuses_what_it_does_not_name():
    assert refusal(planned(set_image("web", "x"))) == ""
    assert "no inverse" in refusal(planned(delete("PersistentVolumeClaim", "x")))
    assert "no inverse" in refusal(planned(request("POST", "Pod", "x", {}, subresource="binding")))
    assert "names no object" in refusal(planned(request("DELETE", "ConfigMap", "", {})))


@pytest.mark.parametrize(
    ("now_version", "manager", "value", "expected"),
    [
        ("5", "", "slow", "absent"),  # nothing has been written since
        ("6", "key", "fast", "done"),  # our name is on it
        ("6", "other", "slow", "absent"),  # only server-managed fields moved
        ("6", "other", "fast", "done"),  # all of our change is there, though somebody wrote later
        ("6", "other", "slow+", "absent"),  # somebody else's change, none of ours
    ],
)
def test_resolution(now_version, manager, value, expected):
    before = stored(obj("ConfigMap", "c", data={"mode": "slow"}))
    after = stored(obj("ConfigMap", "c", data={"mode": "fast"}))
    plan = planned(set_data("c", mode="fast"), pre_image=before, dry_run=after)
    data = {"mode": value.rstrip("+"), **({"more": "1"} if "+" in value else {})}
    now = stored(obj("ConfigMap", "c", data=data), version=now_version)
    now["metadata"]["managedFields"] = [{"manager": manager}]
    assert resolution(recorded(plan.write, before, None), plan, now, "key") == expected


def test_resolution_admits_ignorance():
    before = stored(obj("ConfigMap", "c", data={"mode": "slow"}))
    plan = planned(set_data("c", mode="fast"))
    now = stored(obj("ConfigMap", "c", data={"mode": "fast", "x": "1"}), version="6")
    assert resolution(recorded(plan.write, before, None), plan, now, "key") == "unknown"
    assert resolution(recorded(plan.write, before, None), plan, None, "key") == "unknown"
    replaced = stored(obj("ConfigMap", "c", data={"mode": "fast"}), uid="u7")
    assert resolution(recorded(plan.write, before, None), plan, replaced, "key") == "unknown"


NAMES = ("one", "two")


@st.composite
def write_sequences(draw) -> list[Any]:
    """Draw up to five writes of every kind on two ConfigMaps and two Deployments."""
    names = st.sampled_from(NAMES)
    value = st.sampled_from(["1", "2", None])
    text = st.sampled_from(["1", "2"])
    one = st.one_of(
        st.builds(lambda n, a, b: set_data(n, uid=a, metadata=b), names, value, value),
        st.builds(lambda n: delete("ConfigMap", n), names),
        st.builds(lambda n, v: create(obj("ConfigMap", n, data={"fresh": v})), names, text),
        st.builds(lambda n, v: set_image(n, f"web:{v}"), names, text),
        st.builds(lambda n, a, b: set_env(n, A=a, B=b), names, text, text),
        st.builds(scale, names, st.integers(0, 4)),
        st.builds(lambda n, v: label("Deployment", n, app=v, extra=v), names, value),
        st.builds(lambda n: delete("Deployment", n), names),
        st.builds(lambda n, v: create(deployment(n, image=f"new:{v}")), names, text),
    )
    return draw(st.lists(one, min_size=1, max_size=5))


@st.composite
def worlds(draw) -> list[Any]:
    """Draw what exists at first."""
    found = []
    for name in NAMES:
        if draw(st.booleans()):
            data = draw(st.dictionaries(st.sampled_from(["uid", "metadata", "x"]), st.sampled_from(["1", "2"])))
            found.append(obj("ConfigMap", name, data=data) if data else obj("ConfigMap", name))
        if draw(st.booleans()):
            env = draw(st.none() | st.dictionaries(st.sampled_from("AB"), st.sampled_from(["1", "2"]), min_size=1))
            found.append(deployment(name, env=env, replicas=draw(st.integers(0, 3))))
    return found


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), write_sequences())
def test_do_then_undo_is_as_before(objects, writes):
    cluster = FakeCluster(VirtualClock(1_767_600_000.0))
    for body in objects:
        cluster.put(body)
    before = plain(cluster)
    engine = engine_on(cluster, MemoryJournal())
    txn = engine.begin("i", "t", tuple(planned(w) for w in writes), "shop")
    if txn.state == "applied":
        txn = engine.undo("t", "property")
    assert txn.state == "undone", txn.reason
    assert plain(cluster) == before


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), write_sequences(), write_sequences())
def test_strangers_edits_survive(objects, writes, theirs):
    """After an undo, what only others changed is as they left it, and what only we changed is as before."""
    cluster = FakeCluster(VirtualClock(1_767_600_000.0))
    for body in objects:
        cluster.put(body)
    before = plain(cluster)
    engine = engine_on(cluster, MemoryJournal())
    txn = engine.begin("i", "t", tuple(planned(w) for w in writes), "shop")
    if txn.state != "applied":
        return
    touched = {key[1:] for key in map(_place, writes)}
    ours_after, uids = plain(cluster), uids_of(cluster)
    for write in theirs:
        try:
            cluster._write(write.model_copy(update={"field_manager": "stranger"}))
        except Exception:
            continue
    left, others = plain(cluster), uids_of(cluster)
    txn = engine.undo("t", "property")
    final = plain(cluster)
    for key in {*before, *left}:
        if left.get(key) == ours_after.get(key) and uids.get(key) == others.get(key):  # nobody else touched it
            assert final.get(key) == before.get(key), (key, txn.reason)
        elif (key[0], key[2]) not in touched:
            assert final.get(key) == left.get(key)
    assert txn.state in ("undone", "needs_human"), txn.reason
    if txn.state == "needs_human":
        assert "conflict" in txn.reason


def uids_of(cluster):
    """Return who is who: an equal object that somebody else made is not ours."""
    return {key: found["metadata"]["uid"] for key, found in cluster.snapshot().items()}


def _place(write):
    return ("", write.target.kind, write.target.name)


def test_ref_of_the_fake():
    assert str(ref("ConfigMap", "x")) == "shop/ConfigMap/x"


APPLY = "application/apply-patch+yaml"


def applied(kind: str = "ConfigMap", version: str = "v1", pre_image: Json | None = None) -> PlannedWrite:
    target = ObjectRef(api_version=version, kind=kind, name="x", namespace="shop")
    body = {"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "data": {"a": "1"}}
    write = ApiWrite(method="PATCH", target=target, plural="x", patch_type=APPLY, body=body, field_manager="kubectl")
    return PlannedWrite(write=write, command="kubectl apply", reversibility="exact", pre_image=pre_image)


def test_a_server_side_apply_may_create_what_is_not_there() -> None:
    held = applied().write.body
    assert obstacle(applied(), None) == ""
    assert "exists already" in obstacle(applied(), held), "it was planned to make a new one"
    assert "does not exist" in obstacle(applied(pre_image=held), None), "it was planned to change one"
    assert obstacle(applied(pre_image=held), held) == ""
    assert refusal(applied("Widget", "example.org/v1")) != "", "creating it could not be taken back"
    assert refusal(applied("Widget", "example.org/v1", pre_image=held)) == ""


@pytest.mark.parametrize(
    ("others", "expected"), [((), "done"), (("a-stranger",), "absent")], ids=["ours", "somebody else's"]
)
def test_a_server_side_apply_in_doubt_is_known_by_its_manager(others: tuple[str, ...], expected: str) -> None:
    planned = applied()
    made = {**planned.write.body, "metadata": {"name": "x", "uid": "u", "resourceVersion": "5"}}
    made["metadata"]["managedFields"] = [{"manager": name} for name in others or ("kubectl",)]
    record = recorded(planned.write, None, None)
    assert resolution(record, planned, made, "stratus-t-0") == expected
    assert resolution(record, planned, None, "stratus-t-0") == "absent"


def test_what_a_stranger_made_at_the_same_moment_is_not_deleted() -> None:
    """An apply that should have created meets an object that came in between: what is there is not only ours."""
    write = applied().write
    after = {**write.body, "metadata": {"name": "x", "uid": "u", "resourceVersion": "5"}}
    after["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    record = recorded(write, None, after)
    assert invert(record, after, key="k", owners={}).writes[0].method == "DELETE"
    after["metadata"]["managedFields"] = [{"manager": "kubectl"}, {"manager": "helm"}]
    mixed = invert(record.model_copy(update={"after": after}), after, key="k", owners={})
    assert mixed.writes == ()
    assert mixed.conflicts


def aliases(*ips: str) -> Json:
    body = deployment("web")
    body["metadata"] |= {"uid": "u", "resourceVersion": "1"}
    body["spec"]["template"]["spec"]["hostAliases"] = [{"ip": ip, "hostnames": ["h"]} for ip in ips]
    return body


@pytest.mark.parametrize(
    ("now", "restored"), [(("1", "2"), True), (("2", "1"), False), (("2",), False), (("1", "2", "3"), True)]
)
def test_the_order_that_counts_is_the_one_before_the_first_write(now: tuple[str, ...], restored: bool) -> None:
    """An item that a write took out and another one put back stood somewhere before: not where the latter saw it."""
    steps = [aliases("1", "2"), aliases("2"), aliases("2", "1"), aliases("1", "2"), aliases("2")]
    records = [recorded(set_image("web", "x"), was, became) for was, became in itertools.pairwise(steps)]
    assert (residue(records, aliases(*now), {}) == ()) == restored


def test_an_order_that_only_others_changed_is_theirs() -> None:
    records = [recorded(set_image("web", "x"), aliases("1", "2"), aliases("1", "2", "3"))]
    assert residue(records, aliases("2", "1"), {}) == ()


@pytest.mark.parametrize("kind", ["Service", "ConfigMap", "Deployment"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_built_in_name_makes_no_built_in_kind(kind: str, method: str) -> None:
    def found(version: str) -> str:
        target = ObjectRef(api_version=version, kind=kind, name="x", namespace="shop")
        write = ApiWrite(method=method, target=target, plural="x")
        return refusal(PlannedWrite(write=write, command="kubectl x", reversibility="exact"))

    assert f"{kind}.example.org" in found("example.org/v1")
    assert found("apps/v1") == ""
