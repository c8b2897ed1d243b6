"""How earlier systems got it wrong, one regression test each, by the number in the design page on TNR, section 7."""

from __future__ import annotations

import copy

import pytest
from txn_fake import (
    FakeCluster,
    create,
    delete,
    deployment,
    label,
    obj,
    planned,
    ref,
    rehearsed,
    request,
    scale,
    set_data,
    set_env,
    set_image,
)
from txn_kit import INCIDENT, SETTINGS, MemoryJournal, ScriptedProbe, Tripwire, engine_on, fresh, plain

from stratus.errors import TelemetryUnreachable
from stratus.kit.clock import VirtualClock
from stratus.model.health import HealthVector
from stratus.telemetry.base import Telemetry
from stratus.transaction.carrier import write_key
from stratus.transaction.engine import TransactionEngine
from stratus.transaction.sampling import HealthProbe
from stratus.transaction.verdict import Conditions


@pytest.fixture
def shop(cluster) -> FakeCluster:
    cluster.put(deployment("web", image="web:bad", env={"A": "1"}))
    cluster.put(obj("ConfigMap", "conf", data={"mode": "slow"}))
    return cluster


def test_03_undo_removes_what_was_added(shop, journal):
    """Undo through apply keeps every field that the action added."""
    before = plain(shop)
    engine = engine_on(shop, journal)
    resources = {"spec": {"template": {"spec": {"containers": [{"name": "web", "resources": {"limits": {"cpu": "1"}}},
                                                               {"name": "sidecar", "image": "s:1"}],
                                                "nodeSelector": {"disk": "ssd"}}}}}  # fmt: skip
    patch = request("PATCH", "Deployment", "web", resources, patch_type="application/strategic-merge-patch+json")
    engine.begin("i", "t", (planned(patch), planned(set_env("web", B="2")), planned(label("Deployment", "web", x="y"))),
                 "shop")  # fmt: skip
    assert engine.undo("t", "test").state == "undone"
    assert plain(shop) == before
    annotations = shop.objects[ref("Deployment", "web").key]["metadata"]["annotations"]
    assert "kubectl.kubernetes.io/last-applied-configuration" not in annotations


def test_04_no_recreate_and_no_history_lost(shop, journal):
    """Undo neither forces a strategy nor deletes ReplicaSets; a StatefulSet gets no field it does not have."""
    seen = []
    shop.before_write = seen.append
    shop.put({**deployment("db"), "kind": "StatefulSet"})
    engine = engine_on(shop, journal)
    stateful = request(
        "PATCH", "StatefulSet", "db", {"spec": {"replicas": 5}}, patch_type="application/merge-patch+json"
    )
    engine.begin("i", "t", (planned(set_image("web", "web:2")), planned(stateful)), "shop")
    engine.undo("t", "test")
    undo = seen[2:]
    assert [w.method for w in undo] == ["PUT", "PUT"]
    assert not any(w.target.kind == "ReplicaSet" for w in seen)
    assert all("strategy" not in w.body["spec"] for w in undo)


def test_05_a_failed_undo_is_told(shop, journal):
    """Errors during restore are swallowed, and success is printed."""
    engine = engine_on(shop, journal)
    engine.begin("i", "t", (planned(set_image("web", "web:2")), planned(set_data("conf", mode="fast"))), "shop")
    shop.faults = ["invalid"]
    txn = engine.undo("t", "test")
    assert txn.state == "undo_incomplete"
    assert not txn.undo_proof.proved
    assert txn.writes[1].state == "undo_failed"
    assert "spec is not valid" in txn.reason
    assert txn.writes[0].state == "undone"  # the rest is undone all the same
    assert engine.undo("t", "again", reopen=True).state == "undone"


def test_05_an_undo_that_the_server_did_not_keep_is_told(shop, journal):
    """The server says yes, and the object is not as before."""
    engine = engine_on(shop, journal)
    engine.begin("i", "t", (planned(set_data("conf", mode="fast")),), "shop")
    original = shop._write

    def liar(write):
        return {"kind": "ConfigMap"} if write.method == "PUT" and write.target.kind == "ConfigMap" else original(write)

    shop._write = liar
    txn = engine.undo("t", "test")
    assert txn.state == "undo_incomplete"
    assert txn.undo_proof.differences == ("shop/ConfigMap/conf: data.mode: slow -> fast",)
    assert "not as before" in txn.reason


def test_06_intent_and_pre_image_are_on_disk_before_the_write(tmp_path):
    """The undo entry is made after the write, or held in memory."""
    _, cluster, journal = fresh(tmp_path)
    with journal:
        cluster.put(obj("ConfigMap", "conf", data={"mode": "slow"}))
        looked = []

        def look(write):
            from stratus.transaction.sqlite import SqliteJournal

            with SqliteJournal(journal.path) as other:  # another process reads what is on disk at this moment
                looked.append(other.entries("t")[-1])

        cluster.before_write = look
        engine = engine_on(cluster, journal)
        engine.begin("i", "t", (planned(set_data("conf", mode="fast")),), "shop")
        assert (looked[0].kind, looked[0].body["before"]["data"]) == ("intended", {"mode": "slow"})
        engine.undo("t", "test")
        assert looked[1].kind == "undo_intended"


def test_07_every_write_of_a_turn_is_recorded(shop, journal):
    """Two mutating calls in one turn: only one is recorded."""
    before = plain(shop)
    engine = engine_on(shop, journal)
    writes = [
        set_image("web", "web:2"),
        scale("web", 7),
        set_data("conf", a="b"),
        create(obj("ConfigMap", "n", data={})),
    ]
    txn = engine.begin("i", "t", tuple(planned(w) for w in writes), "shop")
    assert [w.index for w in txn.writes] == [0, 1, 2, 3]
    assert all(w.after is not None for w in txn.writes)
    assert engine.undo("t", "test").state == "undone"
    assert plain(shop) == before


def test_09_data_named_like_metadata_is_data(cluster, journal):
    """A ConfigMap whose data has a key `uid` or `metadata` is corrupted by cleaning."""
    data = {"uid": "1", "metadata": "2", "status": "3", "resourceVersion": "4", "managedFields": "5"}
    cluster.put(obj("ConfigMap", "conf", data=data))
    engine = engine_on(cluster, journal)
    engine.begin("i", "t", (planned(set_data("conf", uid="x", status=None, metadata="y")),
                            planned(delete("ConfigMap", "conf"))), "shop")  # fmt: skip
    assert engine.undo("t", "test").state == "undone"
    assert cluster.objects[ref("ConfigMap", "conf").key]["data"] == data


class Away:
    """A monitoring that does not answer."""

    def firing(self, namespaces=()):
        raise TelemetryUnreachable("no route to host")

    def service_series(self, *_):
        raise TelemetryUnreachable("no route to host")


@pytest.mark.parametrize("source", ["alerts", "metrics"])
def test_10_monitoring_that_does_not_answer_is_not_health(source, shop, journal):
    """The alert check fails open."""
    probe = HealthProbe(
        reader=shop, telemetry=Telemetry(**{source: Away()}), clock=shop.clock, settings=SETTINGS.health
    )
    engine = TransactionEngine(
        reader=shop, writer=shop, journal=journal, clock=shop.clock, probe=probe, settings=SETTINGS, identity="e"
    )
    engine.begin("i", "t", (planned(set_image("web", "web:2")),), "shop")
    report = engine.validate("t", INCIDENT)
    assert report.verdict == "UNKNOWN"
    assert "no route to host" in report.reason
    began = shop.clock.now()
    assert engine.undo("t", report.reason).state == "undone"
    assert began >= engine.show("t").created_at + SETTINGS.health.settle_max  # it waited for an answer first


def test_11_zero_pods_and_other_namespaces_do_not_pass(shop, journal):
    """The health check looks at the wrong namespace, or at nothing."""
    probe = HealthProbe(reader=shop, telemetry=Telemetry(), clock=shop.clock, settings=SETTINGS.health)
    shop.put(deployment("fine") | {"metadata": {"name": "fine", "namespace": "elsewhere"}})
    engine = TransactionEngine(
        reader=shop, writer=shop, journal=journal, clock=shop.clock, probe=probe, settings=SETTINGS, identity="e"
    )
    txn = engine.begin("i", "t", (planned(scale("web", 0)),), "shop")
    assert {s.namespace for v in txn.health_before for s in v.services} == {"shop"}
    assert all(s.availability == 0.0 for v in txn.health_before for s in v.services)  # there are no pods here
    assert engine.validate("t", INCIDENT).verdict == "REGRESSED"
    empty = HealthProbe(reader=FakeCluster(shop.clock), telemetry=Telemetry(), clock=shop.clock,
                        settings=SETTINGS.health).sample(("shop",))  # fmt: skip
    from stratus.transaction.verdict import judge

    assert judge([empty] * 3, [empty] * 3, Conditions(), SETTINGS.health).verdict == "UNCHANGED"


def test_12_partial_progress_is_kept_and_the_last_failure_is_not(shop, journal):
    """An absolute `all green` is asked instead of a comparison with before."""

    class Half(ScriptedProbe):
        def sample(self, namespaces=()):
            vector = super().sample(namespaces)
            level = {"web:half": 0.8, "web:worse": 0.2}.get(image(shop), 0.5)
            (web,) = vector.services
            row = web.model_copy(update={"availability": level})
            return HealthVector(at=vector.at, services=(row,))

    engine = engine_on(shop, journal)
    engine._probe = Half(shop)
    engine.begin("i", "t1", (planned(set_image("web", "web:half")),), "shop")
    assert engine.validate("t1", INCIDENT).verdict == "IMPROVED"
    assert engine.commit("t1").state == "committed"
    engine.begin("i", "t2", (planned(set_image("web", "web:worse")),), "shop")
    assert engine.validate("t2", INCIDENT).verdict == "REGRESSED"
    assert engine.undo("t2", "worse").state == "undone"
    assert image(shop) == "web:half"


def image(cluster: FakeCluster) -> str:
    return cluster.objects[ref("Deployment", "web").key]["spec"]["template"]["spec"]["containers"][0]["image"]


def test_14_others_edits_are_not_overwritten(shop, journal):
    """No precondition: an autoscaler's or a person's change is lost."""
    engine = engine_on(shop, journal)
    engine.begin("i", "t", (planned(set_image("web", "web:2")),), "shop")
    shop.edit(ref("Deployment", "web"), lambda o: o["spec"].update(replicas=9))
    shop.edit(ref("Deployment", "web"), lambda o: o["metadata"]["labels"].update(person="was here"))
    txn = engine.undo("t", "test")
    assert txn.state == "undone"
    web = shop.objects[ref("Deployment", "web").key]
    assert (web["spec"]["replicas"], web["metadata"]["labels"]["person"]) == (9, "was here")
    assert image(shop) == "web:bad"


def test_14_an_overlap_is_reported_by_field_and_the_rest_undone(shop, journal):
    engine = engine_on(shop, journal)
    engine.begin("i", "t", (planned(set_data("conf", mode="fast", extra="1")), planned(scale("web", 5))), "shop")
    shop.edit(ref("ConfigMap", "conf"), lambda o: o["data"].update(mode="theirs"))
    txn = engine.undo("t", "test")
    assert txn.state == "needs_human"
    assert txn.writes[0].conflicts == ("shop/ConfigMap/conf: data.mode",)
    assert "data.mode" in txn.reason
    assert shop.objects[ref("ConfigMap", "conf").key]["data"] == {"mode": "theirs"}
    assert shop.objects[ref("Deployment", "web").key]["spec"]["replicas"] == 2


def test_14_an_edit_between_reading_and_undoing_is_merged_anew(shop, journal):
    engine = engine_on(shop, journal)
    engine.begin("i", "t", (planned(set_image("web", "web:2")),), "shop")
    edits = iter([7, 8, 9])

    def busy(write):
        if (count := next(edits, None)) is not None:
            shop.edit(ref("Deployment", "web"), lambda o: o["spec"].update(replicas=count))

    shop.before_write = busy
    txn = engine.undo("t", "test")
    assert txn.state == "undone"
    assert shop.objects[ref("Deployment", "web").key]["spec"]["replicas"] == 9
    assert image(shop) == "web:bad"


def test_14_an_edit_before_the_write_is_not_taken_for_ours(shop, journal):
    """The pre-image is read again when the object changes between reading and writing."""
    once = iter([1])

    def person(write):
        if next(once, None):
            shop.edit(ref("Deployment", "web"), lambda o: o["spec"].update(replicas=6))

    shop.before_write = person
    engine = engine_on(shop, journal)
    txn = engine.begin("i", "t", (planned(set_image("web", "web:2")),), "shop")
    assert txn.writes[0].before["spec"]["replicas"] == 6
    engine.undo("t", "test")
    assert shop.objects[ref("Deployment", "web").key]["spec"]["replicas"] == 6


@pytest.mark.parametrize(
    "write",
    [
        request("PUT", "ConfigMap", "conf", obj("ConfigMap", "conf", data={"mode": "mine"})),
        request("PATCH", "ConfigMap", "conf", [{"op": "replace", "path": "/data/mode", "value": "mine"}],
                patch_type="application/json-patch+json"),
    ],
)  # fmt: skip
def test_14_a_plan_made_on_another_state_is_not_forced(write, shop, journal):
    plan = rehearsed(shop, write)
    shop.edit(ref("ConfigMap", "conf"), lambda o: o["data"].update(other="edit"))
    txn = engine_on(shop, journal).begin("i", "t", (plan,), "shop")
    assert txn.state == "undone"
    assert "changed since the write was planned" in txn.writes[0].error
    assert shop.objects[ref("ConfigMap", "conf").key]["data"] == {"mode": "slow", "other": "edit"}


def test_15_a_timeout_is_asked_about_not_repeated(shop, journal):
    """A write is retried after a time-out without asking whether it happened."""
    plan = rehearsed(shop, create(obj("ConfigMap", "new", data={"a": "b"})))
    shop.faults = ["lost_after"]
    engine = engine_on(shop, journal)
    txn = engine.begin("i", "t", (plan,), "shop")
    assert txn.writes[0].state == "done"
    assert shop.writes_of(write_key("t", 0)) == 1
    shop.faults = ["lost_after"]
    assert engine.undo("t", "test").state == "undone"
    assert [m for _, m, _ in shop.applied] == ["POST", "DELETE"]


def test_15_an_unexpected_exception_leaves_the_write_in_doubt(shop, journal):
    """Whatever the client throws: the same engine, asked again, reads instead of sending again."""
    original = shop._write

    def broken(write):
        original(write)
        if write.target.kind == "ConfigMap":
            shop._write = original
            raise RuntimeError("the client library has a bug")
        return {}

    plan = rehearsed(shop, set_data("conf", mode="fast"))
    engine = engine_on(shop, journal)

    def arm(write):
        shop._write = broken

    shop.before_write = arm
    with pytest.raises(RuntimeError):
        engine.begin("i", "t", (plan,), "shop")
    shop.before_write = lambda write: None
    assert engine.begin("i", "t", (plan,), "shop").state == "applied"
    assert shop.writes_of(write_key("t", 0)) == 1


def test_16_running_again_from_the_top_does_nothing_twice(shop, journal):
    """A node runs again from its top after an interrupt: side effects happen twice."""
    engine = engine_on(shop, journal, healed=lambda c: image(c) == "web:2")
    plan = (rehearsed(shop, set_image("web", "web:2")),)
    for _ in range(3):
        engine.begin("i", "t", plan, "shop")
    for _ in range(3):
        assert engine.validate("t", INCIDENT).verdict == "RESOLVED"
    for _ in range(3):
        assert engine.commit("t").state == "committed"
    assert engine.begin("i", "t", plan, "shop").state == "committed"
    assert len(shop.applied) == 1


def test_17_options_of_a_delete_stand_in_its_body(shop, journal):
    """With a body the server ignores options in the query; and a Lease renewed with the same content is no lock."""
    seen = []
    shop.before_write = lambda write: seen.append(copy.deepcopy(write))
    engine = engine_on(shop, journal)
    engine.begin(
        "i", "t", (planned(delete("ConfigMap", "conf")), planned(create(obj("ConfigMap", "n", data={})))), "shop"
    )
    engine.undo("t", "test")
    for write in (w for w in seen if w.method == "DELETE"):
        assert write.body["kind"] == "DeleteOptions"
        assert write.body["preconditions"]["uid"]
    lease = shop.objects[("Lease", "shop", "stratus-writer")]
    assert "holderIdentity" not in lease["spec"]


def test_tripwire_names_every_durable_step():
    clock = VirtualClock(0.0)
    cluster = FakeCluster(clock)
    cluster.put(deployment("web"))
    trip = Tripwire()
    engine_on(cluster, MemoryJournal(), tripwire=trip).begin("i", "t", (planned(scale("web", 3)),), "shop")
    order = [n for n in trip.names if n.startswith(("journal:intended", "write", "journal:outcome"))]
    assert order == [
        "journal:intended:0:before", "journal:intended:0:after", "write:0:before", "write:0:after",
        "journal:outcome:0:before", "journal:outcome:0:after",
    ]  # fmt: skip
