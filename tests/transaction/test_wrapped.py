"""Transactions that are filled write by write: the engine's `open`, `extend` and `seal`, and every death in between."""

from __future__ import annotations

import pytest
from txn_fake import create, delete, deployment, obj, planned, rehearsed, scale, set_data, set_image
from txn_kit import SETTINGS, Died, MemoryJournal, Tripwire, engine_on, fresh, plain

from stratus.errors import BudgetSpent, CommandRefused, JournalError, LeaseLost, TransactionError
from stratus.transaction.carrier import write_key
from stratus.transaction.lock import holder
from stratus.transaction.verdict import Conditions


def world(cluster):
    cluster.put(deployment("web", image="web:1"))
    cluster.put(obj("ConfigMap", "conf", data={"mode": "slow"}))
    cluster.put(deployment("web", image="web:1") | {"metadata": {"name": "web", "namespace": "other"}})


def whole(engine, cluster):
    """Go the whole way: three writes one after the other, then the verdict and its consequence."""
    engine.open("t1", ("shop",))
    engine.extend("t1", (rehearsed(cluster, set_image("web", "web:2")),))
    engine.extend("t1", (rehearsed(cluster, set_data("conf", mode="fast")),))
    done = engine.extend("t1", (rehearsed(cluster, create(obj("ConfigMap", "new", data={"a": "b"}))),))
    assert done.state == "applying"
    engine.seal("t1")
    report = engine.validate("t1", Conditions())
    return engine.commit("t1") if report.verdict == "UNCHANGED" else engine.undo("t1", report.reason)


def test_nothing_worse_is_kept(cluster, journal):
    world(cluster)
    engine = engine_on(cluster, journal)
    done = whole(engine, cluster)
    assert (done.state, done.verdict.verdict, done.wrapped) == ("committed", "UNCHANGED", True)
    assert [w.state for w in done.writes] == ["done"] * 3
    assert [w.command for w in done.writes] == [p.command for p in engine._story("t1").plans]
    assert cluster.objects["Deployment", "shop", "web"]["spec"]["template"]["spec"]["containers"][0]["image"] == "web:2"
    assert engine_on(cluster, journal).show("t1") == done  # another process reads the same story


def test_something_worse_is_taken_back(cluster, journal):
    world(cluster)
    before = plain(cluster)
    done = whole(engine_on(cluster, journal, healed=lambda c: plain(c) == before), cluster)
    assert (done.state, done.verdict.verdict) == ("undone", "REGRESSED")
    assert done.undo_proof.proved
    assert plain(cluster) == before


def test_a_refused_write_takes_all_of_it_back(cluster, journal):
    world(cluster)
    before = plain(cluster)
    engine = engine_on(cluster, journal)
    engine.open("t1", ("shop",))
    engine.extend("t1", (rehearsed(cluster, set_image("web", "web:2")),))
    second = rehearsed(cluster, set_data("conf", mode="fast"))
    cluster.faults = ["invalid"]
    done = engine.extend("t1", (second,))
    assert done.state == "undone"
    assert plain(cluster) == before
    with pytest.raises(TransactionError, match="takes no more writes: it is undone"):
        engine.extend("t1", (second,))


def test_scope_limits_and_reversibility_are_checked_before_anything_is_sent(cluster, journal):
    world(cluster)
    tight = SETTINGS.model_copy(update={"limits": SETTINGS.limits.model_copy(update={"commands": 2})})
    engine = engine_on(cluster, journal, settings=tight)
    engine.open("t1", ("shop",))
    elsewhere = set_image("web", "web:2")
    elsewhere = elsewhere.model_copy(update={"target": elsewhere.target.model_copy(update={"namespace": "other"})})
    with pytest.raises(CommandRefused, match=r"outside of the transaction's scope \(shop\)") as refused:
        engine.extend("t1", (rehearsed(cluster, elsewhere),))
    assert refused.value.code == "scope"
    with pytest.raises(CommandRefused, match="only what can be taken back"):
        engine.extend("t1", (planned(delete("PersistentVolumeClaim", "data")),))
    engine.extend("t1", (rehearsed(cluster, set_image("web", "web:2")),))
    engine.extend("t1", (rehearsed(cluster, scale("web", 3)),))
    with pytest.raises(BudgetSpent, match="3 mutating commands, at most 2"):  # those before count, too
        engine.extend("t1", (rehearsed(cluster, set_data("conf", mode="fast")),))
    assert len(cluster.applied) == 2
    assert engine.undo("t1", "enough").state == "undone"


def test_cluster_wide_objects_need_a_wide_scope(cluster, journal):
    cluster.put({"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n1"}, "spec": {}})
    world(cluster)
    narrow = engine_on(cluster, journal)
    narrow.open("t1", ("shop",))
    node = set_data("n1", x="y")
    node = node.model_copy(
        update={
            "target": node.target.model_copy(update={"namespace": "", "kind": "Node"}),
            "plural": "nodes",
            "namespaced": False,
            "body": {"metadata": {"labels": {"x": "y"}}},
        }
    )
    with pytest.raises(CommandRefused, match="outside of the transaction's scope"):
        narrow.extend("t1", (rehearsed(cluster, node),))
    narrow.undo("t1", "other scope")
    narrow.open("t2", (), wide=True)
    assert narrow.extend("t2", (rehearsed(cluster, node),)).writes[0].state == "done"
    assert narrow.undo("t2", "enough").state == "undone"


def test_an_empty_scope_and_a_used_id_are_refused(cluster, journal):
    world(cluster)
    engine = engine_on(cluster, journal)
    with pytest.raises(TransactionError, match="needs a scope"):
        engine.open("t1", ())
    engine.open("t1", ("shop",))
    with pytest.raises(TransactionError, match="give the new one an id of its own"):
        engine.open("t1", ("shop",))


def test_without_a_write_nothing_is_left_behind(cluster, journal):
    world(cluster)
    before = plain(cluster)
    engine = engine_on(cluster, journal)
    engine.open("t1", ("shop",))
    engine.seal("t1")
    assert engine.seal("t1").state == "applied"  # again: nothing happens
    assert engine.validate("t1", Conditions()).verdict == "UNCHANGED"
    assert engine.commit("t1").state == "committed"
    assert plain(cluster) == before


def test_it_is_judged_only_when_nothing_more_can_be_added(cluster, journal):
    world(cluster)
    engine = engine_on(cluster, journal)
    engine.open("t1", ("shop",))
    with pytest.raises(TransactionError, match="only one whose writes are all done is judged"):
        engine.validate("t1", Conditions())
    with pytest.raises(TransactionError, match="RESOLVED or IMPROVED or UNCHANGED may stay"):
        engine.commit("t1")
    engine.seal("t1")
    with pytest.raises(TransactionError):
        engine.extend("t1", (rehearsed(cluster, set_image("web", "web:2")),))


def test_a_plan_made_as_a_whole_takes_no_more(cluster, journal):
    world(cluster)
    engine = engine_on(cluster, journal)
    engine.begin("i1", "t1", (rehearsed(cluster, set_image("web", "web:2")),), "shop")
    with pytest.raises(TransactionError, match="was planned as a whole"):
        engine.extend("t1", (rehearsed(cluster, scale("web", 3)),))


def test_the_scope_is_locked_from_the_beginning(cluster, journal):
    world(cluster)
    first, second = engine_on(cluster, journal), engine_on(cluster, journal, identity="engine-2")
    first.open("t1", ("shop",))
    with pytest.raises(LeaseLost, match="engine-1 holds the lock"):
        second._locks(("shop",), False).acquire()
    first.seal("t1")
    first.validate("t1", Conditions())
    first.commit("t1")
    assert second.open("t2", ("shop",)).state == "prepared"


def steps(tmp_path):
    _, cluster, journal = fresh(tmp_path, "count.db")
    with journal:
        world(cluster)
        trip = Tripwire()
        whole(engine_on(cluster, journal, tripwire=trip), cluster)
    return trip.names


def test_death_at_every_step_between_and_within_the_writes(tmp_path):
    names = steps(tmp_path)
    assert {"journal:extended:1:before", "journal:extended:1:after", "journal:sealed:0:after"} <= set(names)
    ends = set()
    for at in range(len(names)):
        _, cluster, journal = fresh(tmp_path, f"{at}.db")
        with journal:
            world(cluster)
            before = plain(cluster)
            with pytest.raises(Died, match=names[at]):
                whole(engine_on(cluster, journal, tripwire=Tripwire(at)), cluster)
            second = engine_on(cluster, journal, identity="engine-2")
            second.recover()
            assert journal.open_transactions() == ()
            for i in range(3):
                for kind in ("", "-undo"):
                    assert cluster.writes_of(f"{write_key('t1', i)}{kind}") <= 1
            found = second.list()
            state = found[0].state if found else "nothing"
            ends.add(state)
            if state == "committed":  # only where a verdict that allows it was on disk
                assert found[0].verdict.verdict == "UNCHANGED"
            else:
                assert plain(cluster) == before
    assert ends == {"nothing", "undone", "committed"}


def test_what_a_silent_engine_left_is_finished_first(cluster, journal):
    world(cluster)
    before = plain(cluster)
    dying = engine_on(cluster, journal, tripwire=Tripwire(steps_to("write:0:after", cluster)))
    dying.open("half", ("shop",))
    with pytest.raises(Died):
        dying.extend("half", (rehearsed(cluster, set_image("web", "web:2")),))
    assert plain(cluster) != before
    cluster.clock.advance(SETTINGS.lease_seconds + 1)
    second = engine_on(cluster, journal, identity="engine-2")
    second.begin("i", "next", (rehearsed(cluster, scale("web", 3)),), "shop")
    assert second.show("half").state == "undone"
    second.undo("next", "enough")
    assert plain(cluster) == before


def steps_to(name, cluster):
    """Return how many steps an undisturbed run makes before the one of this name."""
    import copy

    twin, trip = copy.deepcopy(cluster), Tripwire()
    engine = engine_on(twin, MemoryJournal(), tripwire=trip)
    engine.open("half", ("shop",))
    engine.extend("half", (rehearsed(twin, set_image("web", "web:2")),))
    return trip.names.index(name)


def test_what_cannot_be_finished_stands_in_the_way_and_lets_go_of_the_lock(cluster, journal, monkeypatch):
    world(cluster)
    other = engine_on(cluster, journal)
    other.open("half", ("shop",))
    cluster.clock.advance(SETTINGS.lease_seconds + 1)
    second = engine_on(cluster, journal, identity="engine-2")
    monkeypatch.setattr(second, "recover", lambda: ())
    with pytest.raises(LeaseLost, match=r"transaction half is unfinished in this scope"):
        second.open("next", ("shop",))
    assert holder(cluster.objects["Lease", "shop", "stratus-writer"]) == ""
    assert [t.id for t in second.list()] == ["half"]


def test_a_journal_that_cannot_be_read_lets_go_of_the_lock(cluster, journal, monkeypatch):
    world(cluster)
    engine = engine_on(cluster, journal)

    def broken():
        raise JournalError("damaged")

    monkeypatch.setattr(journal, "open_transactions", broken)
    with pytest.raises(JournalError):
        engine.open("t1", ("shop",))
    assert holder(cluster.objects["Lease", "shop", "stratus-writer"]) == ""
