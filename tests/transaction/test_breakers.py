"""To and fro: what kept transactions have turned round twice is not turned round a third time."""

from __future__ import annotations

import pytest
from txn_fake import deployment, label, obj, ref, rehearsed, scale, set_data, set_image
from txn_kit import INCIDENT, SETTINGS, engine_on

from stratus.errors import CommandRefused


def kept(cluster, journal, name, write, *, identity="engine-1"):
    """One incident whose repair is kept."""
    start = cluster.snapshot()
    engine = engine_on(cluster, journal, identity=identity, healed=lambda c: c.snapshot() != start)
    engine.begin(f"i-{name}", name, (rehearsed(cluster, write),), "shop")
    assert engine.validate(name, INCIDENT).verdict == "RESOLVED"
    assert engine.commit(name).state == "committed"


def setting(cluster):
    cluster.put(deployment("web", image="web:1", replicas=2))
    cluster.put(obj("ConfigMap", "conf", data={"mode": "slow"}))


def test_the_third_turn_is_refused_and_nothing_is_sent(cluster, journal):
    setting(cluster)
    for number, replicas in enumerate((4, 2, 4)):
        kept(cluster, journal, f"t{number}", scale("web", replicas))
    count = len(cluster.applied)
    engine = engine_on(cluster, journal)
    with pytest.raises(CommandRefused, match=r"spec\.replicas has been turned to and fro by t1, t2") as refused:
        engine.begin("i", "t3", (rehearsed(cluster, scale("web", 2)),), "shop")
    assert refused.value.code == "oscillation"
    assert len(cluster.applied) == count
    assert [t.id for t in engine.list()] == ["t0", "t1", "t2"]


@pytest.mark.parametrize(
    "write",
    [
        lambda: scale("web", 6),  # a new value is a new idea
        lambda: set_image("web", "web:2"),  # another field
        lambda: set_data("conf", mode="fast"),  # another object
        lambda: label("Deployment", "web", a="b"),
    ],
    ids=["value", "field", "object", "label"],
)
def test_other_changes_are_free(write, cluster, journal):
    setting(cluster)
    for number, replicas in enumerate((4, 2, 4)):
        kept(cluster, journal, f"t{number}", scale("web", replicas))
    kept(cluster, journal, "t3", write())


def test_a_change_in_between_starts_anew(cluster, journal):
    setting(cluster)
    for number, replicas in enumerate((4, 2, 4, 6, 4, 2)):
        kept(cluster, journal, f"t{number}", scale("web", replicas))


def test_undone_transactions_do_not_count(cluster, journal):
    """A failed attempt goes to and fro by nature."""
    setting(cluster)
    engine = engine_on(cluster, journal)
    for number in range(4):
        engine.begin("i", f"t{number}", (rehearsed(cluster, scale("web", 4)),), "shop")
        engine.undo(f"t{number}", "did not help")
    kept(cluster, journal, "t9", scale("web", 4))


def test_old_turns_are_forgotten_and_other_clusters_never_known(cluster, journal):
    setting(cluster)
    for number, replicas in enumerate((4, 2, 4)):
        kept(cluster, journal, f"t{number}", scale("web", replicas))
    elsewhere = engine_on(cluster, journal)
    assert [t.id for t in elsewhere._latest()] == ["t0", "t1", "t2"]
    identity = cluster.identity()
    cluster.identity = lambda: identity.model_copy(update={"uid": "another"})
    assert elsewhere._latest() == ()
    cluster.identity = lambda: identity
    cluster.clock.advance(SETTINGS.limits.oscillation_seconds + 60)
    kept(cluster, journal, "t3", scale("web", 2))


def test_a_change_that_somebody_takes_back_each_time_is_not_made_for_ever(cluster, journal):
    setting(cluster)
    for number in range(3):
        kept(cluster, journal, f"t{number}", scale("web", 4))
        cluster.edit(ref("Deployment", "web"), lambda o: o["spec"].update(replicas=2))
    with pytest.raises(CommandRefused, match=r"spec\.replicas has been changed in the same way by t0, t1, t2"):
        engine_on(cluster, journal).begin("i", "t3", (rehearsed(cluster, scale("web", 4)),), "shop")
    kept(cluster, journal, "t4", scale("web", 5))


def test_a_value_that_comes_and_goes_oscillates_too(cluster, journal):
    setting(cluster)
    for number, value in enumerate(("on", None, "on")):
        kept(cluster, journal, f"t{number}", set_data("conf", extra=value))
    with pytest.raises(CommandRefused, match=r"data\.extra has been turned"):
        engine_on(cluster, journal).begin("i", "t3", (rehearsed(cluster, set_data("conf", extra=None)),), "shop")
    assert cluster.get(ref("ConfigMap", "conf"))["data"]["extra"] == "on"
