"""Doing an undone transaction again: the same change on the objects as they are now, or nothing."""

from __future__ import annotations

import pytest
from txn_fake import create, delete, deployment, obj, planned, ref, rehearsed, scale, set_data, set_env, set_image
from txn_kit import engine_on, plain

from stratus.errors import TransactionError
from stratus.transaction.verdict import Conditions


def undone(cluster, journal, *writes):
    """Do and undo; return the engine."""
    engine = engine_on(cluster, journal)
    assert engine.begin("i", "t1", tuple(rehearsed(cluster, w) for w in writes), "shop").state == "applied"
    assert engine.undo("t1", "for a test").state == "undone"
    return engine


def setting(cluster):
    cluster.put(deployment("web", image="web:1", env={"A": "1"}))
    cluster.put(obj("ConfigMap", "conf", data={"mode": "slow"}))


@pytest.mark.parametrize(
    "writes",
    [
        (set_image("web", "web:2"),),
        (scale("web", 5),),
        (set_env("web", B="2"), set_image("web", "web:3")),
        (set_data("conf", mode=None, new="x"),),
        (create(obj("ConfigMap", "fresh", data={"a": "b"})), delete("ConfigMap", "conf")),
    ],
    ids=["image", "scale", "twice the same object", "keys", "lives"],
)
def test_redo_gives_what_the_first_time_gave(writes, cluster, journal):
    setting(cluster)
    before = plain(cluster)
    engine = engine_on(cluster, journal)
    plans = []
    for write in writes:
        plans.append(planned(write, dry_run=None))
    engine.begin("i", "t1", tuple(plans), "shop")
    wanted = plain(cluster)
    engine.undo("t1", "for a test")
    assert plain(cluster) == before
    done = engine.redo("t1", "t2")
    assert plain(cluster) == wanted
    assert (done.state, done.wrapped, done.incident) == ("applied", True, "i")
    assert engine.validate("t2", Conditions()).verdict == "UNCHANGED"
    assert engine.commit("t2").state == "committed"
    assert engine.undo("t2", "back again", reopen=True).state == "undone"
    assert plain(cluster) == before


def test_others_edits_stay(cluster, journal):
    setting(cluster)
    engine = undone(cluster, journal, set_image("web", "web:2"))
    cluster.put({**cluster.get(ref("Deployment", "web")), "metadata": {
        **cluster.get(ref("Deployment", "web"))["metadata"], "labels": {"theirs": "yes"}}})  # fmt: skip
    engine.redo("t1", "t2")
    now = cluster.get(ref("Deployment", "web"))
    assert now["metadata"]["labels"] == {"theirs": "yes"}
    assert now["spec"]["template"]["spec"]["containers"][0]["image"] == "web:2"


def edit(cluster, **data):
    found = cluster.get(ref("ConfigMap", "conf"))
    cluster.put({**found, "data": {**found["data"], **data}})


def test_an_overlap_is_named_and_nothing_sent(cluster, journal):
    setting(cluster)
    engine = undone(cluster, journal, set_data("conf", mode="fast"))
    edit(cluster, mode="theirs")
    count = len(cluster.applied)
    with pytest.raises(TransactionError, match=r"changed since where it would be changed: data\.mode"):
        engine.redo("t1", "t2")
    assert len(cluster.applied) == count
    assert engine.list()[-1].id == "t1"  # not even begun


def test_what_somebody_did_already_is_not_done_twice(cluster, journal):
    setting(cluster)
    engine = undone(cluster, journal, set_data("conf", mode="fast"))
    edit(cluster, mode="fast")
    with pytest.raises(TransactionError, match="is there already; nothing is left to do"):
        engine.redo("t1", "t2")


def test_only_what_was_undone_here(cluster, journal):
    setting(cluster)
    engine = engine_on(cluster, journal)
    engine.begin("i", "t1", (rehearsed(cluster, set_image("web", "web:2")),), "shop")
    with pytest.raises(TransactionError, match="only an undone one is done again"):
        engine.redo("t1", "t2")
    with pytest.raises(TransactionError, match="no transaction nope"):
        engine.redo("nope", "t2")
    engine.undo("t1", "x")
    cluster.identity = lambda: type("I", (), {"uid": "another", "server": "s"})()
    with pytest.raises(TransactionError, match="was made on another cluster"):
        engine.redo("t1", "t2")


@pytest.mark.parametrize("gone", [True, False])
def test_objects_that_are_there_or_not_against_expectation(gone, cluster, journal):
    setting(cluster)
    engine = undone(cluster, journal, set_data("conf", mode="fast") if gone else create(obj("ConfigMap", "fresh")))
    if gone:
        cluster.objects.pop(("ConfigMap", "shop", "conf"))
    else:
        cluster.put(obj("ConfigMap", "fresh", data={"theirs": "1"}))
    with pytest.raises(TransactionError, match="not there any more" if gone else "there already"):
        engine.redo("t1", "t2")


def test_a_refused_write_leaves_it_undone(cluster, journal):
    setting(cluster)
    before = plain(cluster)
    engine = undone(cluster, journal, set_image("web", "web:2"))
    cluster.faults = ["invalid"]
    assert engine.redo("t1", "t2").state == "undone"
    assert plain(cluster) == before
