"""Killed at every durable step, with every fault, by one or two deaths: always committed-and-verified or undone."""

from __future__ import annotations

import itertools

import pytest
from txn_fake import create, delete, deployment, obj, placements, planned, ref, rehearsed, set_data, set_image
from txn_kit import INCIDENT, Died, Tripwire, engine_on, fresh, plain, walked

from stratus.cluster.writer import WRITE_SECONDS
from stratus.transaction.carrier import write_key


def world(cluster):
    cluster.put(deployment("web", image="web:bad"))
    cluster.put(obj("ConfigMap", "conf", data={"mode": "slow"}))


PLANS = {
    "changes": lambda c: (
        rehearsed(c, set_image("web", "web:2")),
        rehearsed(c, set_data("conf", mode="fast", new="x")),
    ),
    "lives": lambda c: (
        rehearsed(c, create(obj("ConfigMap", "new", data={"a": "b"}))),
        rehearsed(c, delete("ConfigMap", "conf")),
    ),
}


def incident(engine, writes):
    """Go the whole way of a transaction."""
    txn = engine.begin("i1", "t1", writes, "shop")
    if txn.state not in ("applied", "verifying"):
        return txn
    report = engine.validate("t1", INCIDENT)
    return engine.commit("t1") if report.verdict in ("RESOLVED", "IMPROVED") else engine.undo("t1", report.reason)


def healing(cluster, good):
    """Return what counts as healed: the whole plan in place, or nothing at all."""
    if not good:
        return lambda c: False
    state = plain(cluster)
    return lambda c: sum(plain(c).get(key) != state.get(key) for key in {**plain(c), **state}) == 2


def steps_of(tmp_path, plan, good):
    _, cluster, journal = fresh(tmp_path, "count.db")
    with journal:
        world(cluster)
        trip = Tripwire()
        incident(engine_on(cluster, journal, healed=healing(cluster, good), tripwire=trip), PLANS[plan](cluster))
    return trip.names


def verify_end(cluster, journal, before, engine, k):
    """Nothing is open, nothing was written twice, and the end is what the cluster looks like."""
    assert journal.open_transactions() == ()
    journal.verify()
    for i in range(k):
        for kind in ("", "-undo"):
            assert cluster.writes_of(f"{write_key('t1', i)}{kind}") <= 1
    found = engine.list()
    if not found:
        assert plain(cluster) == before
        return "nothing"
    (txn,) = found
    if txn.state == "committed":
        assert txn.verdict.verdict in ("RESOLVED", "IMPROVED")
        assert all(w.state == "done" for w in txn.writes)
        assert plain(cluster) != before
    else:
        assert txn.state == "undone", txn.reason
        assert txn.undo_proof.proved
        assert plain(cluster) == before
    return txn.state


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("good", [True, False])
def test_death_at_every_step(plan, good, tmp_path):
    names = steps_of(tmp_path, plan, good)
    assert len(names) > 20
    ends = set()
    for at in range(len(names)):
        _, cluster, journal = fresh(tmp_path, f"{at}.db")
        with journal:
            world(cluster)
            before = plain(cluster)
            heal = healing(cluster, good)
            with pytest.raises(Died, match=names[at]):
                incident(engine_on(cluster, journal, healed=heal, tripwire=Tripwire(at)), PLANS[plan](cluster))
            second = engine_on(cluster, journal, identity="engine-2", healed=heal)
            second.recover()
            ends.add(verify_end(cluster, journal, before, second, 2))
    assert ends == ({"committed", "undone", "nothing"} if good else {"undone", "nothing"})


@pytest.mark.parametrize("plan", PLANS)
def test_death_at_every_step_then_begin_again(plan, tmp_path):
    """A node that runs again from its top goes on where it was: nothing happens twice, and the end is reached."""
    names = steps_of(tmp_path, plan, True)
    for at in range(len(names)):
        _, cluster, journal = walked()
        with journal:
            world(cluster)
            before = plain(cluster)
            heal = healing(cluster, True)
            writes = PLANS[plan](cluster)
            with pytest.raises(Died):
                incident(engine_on(cluster, journal, healed=heal, tripwire=Tripwire(at)), writes)
            second = engine_on(cluster, journal, identity="engine-2", healed=heal)
            incident(second, writes)
            assert verify_end(cluster, journal, before, second, 2) == "committed"


@pytest.mark.parametrize("plan", PLANS)
def test_death_during_recovery(plan, tmp_path):
    """The recovery dies, too, at every one of its own steps; the third engine finishes."""
    names = steps_of(tmp_path, plan, False)
    # die just after each write and in the middle of the undo: the places where something is under way
    for first in [i for i, name in enumerate(names) if name.startswith(("write", "undo", "journal:undo", "lock"))]:
        for second in itertools.count():
            _, cluster, journal = walked()
            with journal:
                world(cluster)
                before = plain(cluster)
                with pytest.raises(Died):
                    incident(engine_on(cluster, journal, tripwire=Tripwire(first)), PLANS[plan](cluster))
                died = False
                try:
                    engine_on(cluster, journal, identity="engine-2", tripwire=Tripwire(second)).recover()
                except Died:
                    died = True
                third = engine_on(cluster, journal, identity="engine-3")
                third.recover()
                verify_end(cluster, journal, before, third, 2)
            if not died:
                break


FAULTS = ("throttled", "lost_before", "lost_after", "conflict", "unreachable", "invalid")


@pytest.mark.parametrize("plan", PLANS)
def test_every_fault_at_every_write(plan):
    """Up to two faults among the four writes of a plan and its undo, in every combination."""
    for faults in placements(4, FAULTS):
        _, cluster, journal = walked()
        with journal:
            world(cluster)
            before = plain(cluster)
            writes = PLANS[plan](cluster)
            cluster.faults = list(faults)
            engine = engine_on(cluster, journal)
            txn = incident(engine, writes)
            if txn.state == "undone":
                assert plain(cluster) == before, faults
                assert txn.undo_proof.proved
            else:  # an undo that the server refuses as invalid cannot succeed; it is said, not swallowed
                assert "invalid" in faults, (faults, txn.reason)
                assert txn.state == "undo_incomplete"
                assert "undo failed" in txn.reason
            for i in range(2):
                for kind in ("", "-undo"):
                    assert cluster.writes_of(f"{write_key('t1', i)}{kind}") <= 1, faults


@pytest.mark.parametrize("fault", ["lost_before", "lost_after", "stored_500"])
@pytest.mark.parametrize("managed", [True, False])
def test_in_doubt_is_resolved_by_reading(fault, managed, tmp_path):
    """Also on a server that keeps no managed fields: then the rehearsal tells what to look for."""
    _, cluster, journal = fresh(tmp_path)
    cluster.managed = managed
    with journal:
        world(cluster)
        writes = PLANS["changes"](cluster)
        cluster.faults = [fault]
        txn = engine_on(cluster, journal).begin("i1", "t1", writes, "shop")
        assert txn.state == "applied"
        assert [w.state for w in txn.writes] == ["done", "done"]
        assert cluster.writes_of(write_key("t1", 0)) == 1


def test_a_late_arrival_counts_once(tmp_path):
    """A write taken for lost arrives while the engine is about to try again."""
    _, cluster, journal = fresh(tmp_path)
    with journal:
        world(cluster)
        before = plain(cluster)
        writes = PLANS["changes"](cluster)[1:]
        cluster.faults = ["lost_before"]
        late = []
        cluster.before_write = late.append

        def trip(name):
            if name == "journal:resolved:0:after":
                cluster.before_write = lambda write: None
                cluster._write(late[0])

        engine = engine_on(cluster, journal, tripwire=trip)
        txn = engine.begin("i1", "t1", writes, "shop")
        assert txn.state == "applied"
        assert cluster.writes_of(write_key("t1", 0)) == 1
        assert engine.undo("t1", "test").state == "undone"
        assert plain(cluster) == before


@pytest.mark.parametrize("seconds", [1.0, 5.0, WRITE_SECONDS - 0.5])
def test_a_write_may_arrive_until_the_server_has_given_it_up(seconds, tmp_path):
    """It is not looked at once and then taken for lost: as long as it can still be stored, it is waited for."""
    clock, cluster, journal = fresh(tmp_path)
    with journal:
        world(cluster)
        before = plain(cluster)
        writes = PLANS["changes"](cluster)[1:]
        cluster.faults = ["lost_before"]
        sent = []

        def late(write):
            if not sent:
                sent.append(write)
                clock.call_at(clock.now() + seconds, lambda: cluster._write(write))

        cluster.before_write = late
        engine = engine_on(cluster, journal)
        txn = engine.begin("i1", "t1", writes, "shop")
        assert txn.state == "applied"
        assert [e.result for e in journal.entries("t1") if e.kind == "resolved"] == ["done"]
        assert cluster.writes_of(write_key("t1", 0)) == 1
        assert engine.undo("t1", "test").state == "undone"
        assert plain(cluster) == before


@pytest.mark.parametrize("fault", ["lost_before", "unavailable"])
def test_an_unknowable_write_ends_with_a_human_and_the_rest_undone(fault, tmp_path):
    _, cluster, journal = fresh(tmp_path)
    cluster.managed = False
    with journal:
        world(cluster)
        cluster.faults = ["", fault]

        def stranger(write):
            if write.target.name == "conf":
                cluster.edit(ref("ConfigMap", "conf"), lambda o: o["data"].update(other="edit"))

        cluster.before_write = stranger
        writes = (planned(set_image("web", "web:2")), planned(set_data("conf", mode="fast")))
        txn = engine_on(cluster, journal).begin("i1", "t1", writes, "shop")
        assert txn.state == "needs_human"
        assert "in doubt" in txn.reason
        assert txn.writes[0].state == "undone"
        web = cluster.objects[ref("Deployment", "web").key]
        assert web["spec"]["template"]["spec"]["containers"][0]["image"] == "web:bad"
