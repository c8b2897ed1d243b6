"""The lock: exactly one writes, whoever starts when, whatever the clocks say."""

from __future__ import annotations

import itertools

import pytest
from txn_fake import FakeCluster, deployment, planned, scale
from txn_kit import MemoryJournal, engine_on

from stratus.errors import Conflict, InDoubt, LeaseLost
from stratus.kit.clock import VirtualClock
from stratus.transaction.lock import LeaseLock, LockSet, holder


def lock_on(cluster: FakeCluster, identity: str, *, clock=None, namespace="shop") -> LeaseLock:
    return LeaseLock(
        reader=cluster, writer=cluster, clock=clock or cluster.clock, namespace=namespace, identity=identity, seconds=30
    )


def lease(cluster: FakeCluster):
    return cluster.objects[("Lease", "shop", "stratus-writer")]


def test_one_holds(cluster, clock):
    one, two = lock_on(cluster, "one"), lock_on(cluster, "two")
    one.acquire()
    assert one.held
    with pytest.raises(LeaseLost, match="one holds the lock"):
        two.acquire()
    with pytest.raises(LeaseLost, match="not held"):
        two.check()
    one.release()
    assert not one.held
    assert holder(lease(cluster)) == ""
    two.acquire()
    two.check()
    assert lease(cluster)["spec"]["leaseTransitions"] == 1


def test_takeover_only_after_expiry(cluster, clock):
    one, two = lock_on(cluster, "one"), lock_on(cluster, "two")
    one.acquire()
    clock.advance(29)
    with pytest.raises(LeaseLost):
        two.acquire()
    clock.advance(2)
    two.acquire()
    with pytest.raises(LeaseLost, match="taken over by two"):
        one.check()
    assert not one.held
    two.check()


def test_waiting_for_a_silent_holder(cluster, clock):
    lock_on(cluster, "one").acquire()
    began = clock.now()
    lock_on(cluster, "two").acquire(wait=45)
    assert 30 <= clock.now() - began < 31


def test_a_living_holder_is_not_waited_out(cluster, clock):
    one, two = lock_on(cluster, "one"), lock_on(cluster, "two")
    one.acquire()
    for second in range(1, 100):
        clock.call_later(second, one.check)
    with pytest.raises(LeaseLost):
        two.acquire(wait=45)
    one.check()


def test_every_renewal_changes_the_lease(cluster, clock):
    one = lock_on(cluster, "one")
    one.acquire()
    seen = set()
    for _ in range(20):
        seen.add((lease(cluster)["spec"]["renewTime"], lease(cluster)["metadata"]["resourceVersion"]))
        clock.advance(11)
        one.check()
    assert len(seen) == 20
    frozen = lock_on(cluster, "frozen", clock=VirtualClock(clock.now()), namespace="other")
    frozen.acquire()
    first = cluster.objects[("Lease", "other", "stratus-writer")]["metadata"]["resourceVersion"]
    assert frozen._put(cluster.get(frozen.ref), frozen.token.transitions)  # on a clock that stands still
    assert cluster.objects[("Lease", "other", "stratus-writer")]["metadata"]["resourceVersion"] != first


def test_an_own_earlier_life_is_a_stranger(cluster, clock):
    lock_on(cluster, "pod-1").acquire()
    again = lock_on(cluster, "pod-1")
    with pytest.raises(LeaseLost):
        again.acquire()
    clock.advance(31)
    again.acquire()
    assert lease(cluster)["spec"]["leaseTransitions"] == 1


def test_a_race_for_an_expired_lease_has_one_winner(cluster, clock):
    lock_on(cluster, "old").acquire()
    clock.advance(31)
    one, two = lock_on(cluster, "one"), lock_on(cluster, "two")
    stale = cluster.get(one.ref)
    assert one._take(stale)
    assert not two._take(stale)
    fresh_one, fresh_two = lock_on(cluster, "x", namespace="n"), lock_on(cluster, "y", namespace="n")
    assert fresh_one._take(None)
    assert not fresh_two._take(None)


def test_a_touched_lease_is_lost_on_renewal(cluster, clock):
    one = lock_on(cluster, "one")
    one.acquire()
    clock.advance(15)
    original = cluster.write

    def rival(write):
        cluster.write = original
        raise Conflict("somebody wrote it", status=409)

    cluster.write = rival
    with pytest.raises(LeaseLost, match="while it was being renewed"):
        one.check()


def test_a_deleted_lease_is_lost(cluster):
    one = lock_on(cluster, "one")
    one.acquire()
    cluster.objects.clear()
    with pytest.raises(LeaseLost, match="it is gone"):
        one.check()


@pytest.mark.parametrize("arrived", [True, False])
def test_unanswered_acquisition_is_read_back(arrived, cluster, clock):
    original = cluster.write

    def lost(write):
        cluster.write = original
        if arrived:
            original(write)
        raise InDoubt("no answer")

    cluster.write = lost
    one = lock_on(cluster, "one")
    if arrived:
        one.acquire()
        one.check()
    else:
        with pytest.raises(LeaseLost):
            one.acquire()
        one.acquire()


def test_clocks_that_jump(cluster):
    early, late = VirtualClock(1_767_600_000.0), VirtualClock(1_767_600_000.0)
    one = lock_on(cluster, "one", clock=early)
    one.acquire()
    early.advance(100_000)
    one.check()  # jumped ahead; nobody took it, so it is renewed with the new time
    behind = lock_on(cluster, "two", clock=late)
    with pytest.raises(LeaseLost):
        behind.acquire(wait=20)  # the holder's time lies ahead: counted from when we first saw it
    behind.acquire(wait=40)
    with pytest.raises(LeaseLost):
        one.check()
    back = lock_on(cluster, "three", clock=VirtualClock(1_000_000_000.0), namespace="n")
    back.acquire()
    back._clock = VirtualClock(999_999_000.0)  # set back while holding
    back.check()


def test_a_set_is_all_or_none(cluster):
    lock_on(cluster, "other", namespace="b").acquire()
    locks = LockSet([lock_on(cluster, "me", namespace=n) for n in ("c", "b", "a")])
    with pytest.raises(LeaseLost):
        locks.acquire()
    assert not locks.held
    assert holder(cluster.objects[("Lease", "a", "stratus-writer")]) == ""
    assert ("Lease", "c", "stratus-writer") not in cluster.objects


def test_two_engines_at_once_exactly_one_writes(cluster, clock):
    cluster.put(deployment("web"))
    one, two = engine_on(cluster, MemoryJournal()), engine_on(cluster, MemoryJournal(), identity="engine-2")
    one.begin("i", "t1", (planned(scale("web", 3)),), "shop")

    # the first engine is alive while the second tries
    def alive():
        one._live["t1"].locks.check()
        clock.call_later(5, alive)

    clock.call_later(5, alive)
    with pytest.raises(LeaseLost, match="engine-1 holds"):
        two.begin("i", "t2", (planned(scale("web", 4)),), "shop")
    assert len(cluster.applied) == 1


def test_a_writer_that_lost_its_lease_stops_before_its_next_write(cluster, clock):
    cluster.put(deployment("web"))
    journal = MemoryJournal()
    slow = []

    def stall(write):
        """The first write takes so long that another engine takes over and undoes it."""
        if not slow:
            slow.append(1)
            clock.advance(31)

    cluster.before_write = stall
    two = engine_on(cluster, journal, identity="engine-2")

    def trip(name):
        if name == "write:0:after":
            assert [t.state for t in two.recover()] == ["undone"]

    one = engine_on(cluster, journal, tripwire=trip)
    with pytest.raises(LeaseLost):
        one.begin("i", "t1", (planned(scale("web", 3)), planned(scale("web", 4))), "shop")
    assert cluster.objects[("Deployment", "shop", "web")]["spec"]["replicas"] == 2
    assert one.show("t1").state == "undone"
    # it stopped: nothing was sent after the takeover
    assert [m for _, m, _ in cluster.applied] == ["PATCH", "PUT"]


def test_a_lost_lease_is_noticed_before_the_write_itself(cluster, clock):
    """The rival has a journal of its own: only the Lease can tell."""
    cluster.put(deployment("web"))
    rival = lock_on(cluster, "rival")

    def trip(name):
        if name == "journal:intended:1:after":
            clock.advance(31)
            rival.acquire()

    one = engine_on(cluster, MemoryJournal(), tripwire=trip)
    with pytest.raises(LeaseLost, match="taken over by rival"):
        one.begin("i", "t1", (planned(scale("web", 3)), planned(scale("web", 4))), "shop")
    assert len(cluster.applied) == 1
    undoing = engine_on(cluster, MemoryJournal(), identity="engine-2")
    rival.release()
    undoing.begin("i", "t2", (planned(scale("web", 5)),), "shop")

    def late(name):
        if name == "journal:undo_intended:0:after":
            clock.advance(31)
            rival.acquire()

    undoing._live["t2"]._trip = late
    with pytest.raises(LeaseLost, match="taken over by rival"):
        undoing.undo("t2", "test")
    assert len(cluster.applied) == 2


def test_two_recoverers_do_not_both_undo(cluster, clock):
    """The second starts at every step of the first one's recovery; the object is written back once."""
    for at in itertools.count():
        world = FakeCluster(VirtualClock(clock.now()))
        world.put(deployment("web"))
        journal = MemoryJournal()
        engine_on(world, journal).begin("i", "t1", (planned(scale("web", 3)),), "shop")
        world.clock.advance(60)
        steps = itertools.count()
        found = []

        def trip(name, at=at, steps=steps, world=world, journal=journal, found=found):
            if next(steps) == at:
                found.append(engine_on(world, journal, identity="engine-3").recover())

        first = engine_on(world, journal, identity="engine-2", tripwire=trip)
        try:
            first.recover()
        except LeaseLost:
            pytest.fail("recover leaves what others hold to them")
        assert sum(1 for who, _, _ in world.applied if who.endswith("undo")) == 1
        assert journal.open_transactions() == ()
        if not found:
            break
    assert at > 8


@pytest.mark.parametrize("seconds", [5.0, 15.0])
def test_an_api_that_answers_late_does_not_keep_the_lock(seconds, cluster, clock):
    """What the server said was true when it said it; a write sent now might arrive when the lock is another's."""
    one = lock_on(cluster, "one")
    one.acquire()
    clock.advance(11)  # it has to be renewed
    write = cluster.write

    def slow(request):
        answer = write(request)
        clock.advance(seconds)
        return answer

    cluster.write = slow
    if seconds < 10:
        one.check()
        assert clock.now() - one.token.at <= 10
    else:
        with pytest.raises(LeaseLost, match="answers too slowly to keep the lock"):
            one.check()
