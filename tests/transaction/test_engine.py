"""The engine end to end on the fake cluster: apply, judge, keep, take back, refuse."""

from __future__ import annotations

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
from txn_kit import INCIDENT, PATIENT, SETTINGS, engine_on, plain

from stratus.errors import BudgetSpent, ClusterUnreachable, CommandRefused, JournalError, TransactionError
from stratus.model.actions import ApiWrite
from stratus.settings import LimitSettings
from stratus.transaction.carrier import write_key
from stratus.transaction.engine import REACH


def image_of(cluster: FakeCluster, name: str = "web") -> str:
    return cluster.objects[ref("Deployment", name).key]["spec"]["template"]["spec"]["containers"][0]["image"]


def healed(cluster: FakeCluster) -> bool:
    return image_of(cluster) == "web:2"


def world(cluster: FakeCluster) -> None:
    cluster.put(deployment("web", image="web:bad", env={"A": "1"}))
    cluster.put(deployment("api"))
    cluster.put(obj("ConfigMap", "conf", data={"uid": "u", "metadata": "m", "mode": "slow"}))
    cluster.put(obj("Secret", "key", type="Opaque", data={"k": "dg=="}))
    cluster.put(
        obj("Service", "web", spec={"clusterIP": "10.0.0.7", "selector": {"app": "web"},
                                    "ports": [{"name": "http", "port": 80, "targetPort": 80, "protocol": "TCP"}]})
    )  # fmt: skip


def test_resolved_is_committed(cluster, journal):
    world(cluster)
    engine = engine_on(cluster, journal, healed=healed)
    txn = engine.begin("i1", "t1", (rehearsed(cluster, set_image("web", "web:2")),), "shop")
    assert txn.state == "applied"
    assert [w.state for w in txn.writes] == ["done"]
    assert txn.writes[0].before["metadata"]["resourceVersion"] != txn.writes[0].after["metadata"]["resourceVersion"]
    assert len(txn.health_before) == SETTINGS.health.samples
    report = engine.validate("t1", INCIDENT)
    assert report.verdict == "RESOLVED", report.reason
    assert report.from_objects_only
    done = engine.commit("t1")
    assert done.state == "committed"
    assert done.ended_at > 0
    assert image_of(cluster) == "web:2"
    assert engine.commit("t1") == done
    assert engine.recover() == ()


def test_useless_change_is_undone_and_proved(cluster, journal):
    world(cluster)
    before = plain(cluster)
    engine = engine_on(cluster, journal, healed=healed)
    engine.begin("i1", "t1", (rehearsed(cluster, set_image("web", "web:3")),), "shop")
    report = engine.validate("t1", INCIDENT)
    assert report.verdict == "UNCHANGED"
    with pytest.raises(TransactionError, match="only RESOLVED or IMPROVED"):
        engine.commit("t1")
    txn = engine.undo("t1", "did not help")
    assert txn.state == "undone"
    assert txn.undo_proof is not None
    assert txn.undo_proof.proved
    assert txn.undo_proof.checked == 1
    assert txn.reason == "did not help"
    assert plain(cluster) == before
    assert engine.undo("t1", "again") == txn


def test_commit_needs_a_verdict(cluster, journal):
    world(cluster)
    engine = engine_on(cluster, journal, healed=healed)
    engine.begin("i1", "t1", (planned(set_image("web", "web:2")),), "shop")
    with pytest.raises(TransactionError, match="verdict missing"):
        engine.commit("t1")
    engine.undo("t1", "x")
    with pytest.raises(TransactionError):
        engine.commit("t1")
    with pytest.raises(TransactionError, match="is undone"):
        engine.validate("t1", INCIDENT)


WRITES = {
    "scale": lambda: scale("web", 5),
    "set image": lambda: set_image("web", "web:9"),
    "set env": lambda: set_env("web", A="2", B="3"),
    "set resources": lambda: request(
        "PATCH", "Deployment", "web",
        {"spec": {"template": {"spec": {"containers": [{"name": "web", "resources": {"limits": {"cpu": "1"}}}]}}}},
        patch_type="application/strategic-merge-patch+json",
    ),
    "label": lambda: label("Deployment", "web", tier="front"),
    "unlabel": lambda: label("Deployment", "web", app=None),
    "annotate": lambda: request(
        "PATCH", "ConfigMap", "conf", {"metadata": {"annotations": {"a/b": "c"}}},
        patch_type="application/merge-patch+json",
    ),
    "restart": lambda: request(
        "PATCH", "Deployment", "web",
        {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}},
        patch_type="application/strategic-merge-patch+json",
    ),
    "rollout undo": lambda: request(
        "PATCH", "Deployment", "web",
        [{"op": "replace", "path": "/spec/template",
          "value": {"metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "web", "image": "w:0"}]}}}],
        patch_type="application/json-patch+json",
    ),
    "patch service": lambda: request(
        "PATCH", "Service", "web", [{"op": "replace", "path": "/spec/ports/0/targetPort", "value": 81}],
        patch_type="application/json-patch+json",
    ),
    "patch data": lambda: set_data("conf", mode=None, uid="other", extra="x"),
    "create": lambda: create(obj("ConfigMap", "new", data={"a": "b"})),
    "create deployment": lambda: create(deployment("fresh")),
    "delete configmap": lambda: delete("ConfigMap", "conf"),
    "delete secret": lambda: delete("Secret", "key"),
    "delete service": lambda: delete("Service", "web"),
    "delete deployment": lambda: delete("Deployment", "api"),
    "put": lambda: request("PUT", "ConfigMap", "conf", obj("ConfigMap", "conf", data={"only": "this"})),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITES)
def test_each_kind_of_write_is_taken_back_exactly(name, cluster, journal):
    world(cluster)
    before = plain(cluster)
    engine = engine_on(cluster, journal)
    txn = engine.begin("i1", "t1", (rehearsed(cluster, WRITES[name]()),), "shop")
    assert txn.state == "applied", txn
    assert plain(cluster) != before
    txn = engine.undo("t1", "test")
    assert (txn.state, txn.undo_proof.differences) == ("undone", ())
    assert plain(cluster) == before


def test_all_of_them_in_one_transaction(cluster, journal):
    world(cluster)
    before = plain(cluster)
    # each planned against the cluster as the ones before leave it
    names = [n for n in WRITES if n not in ("delete service", "delete configmap", "put", "rollout undo", "unlabel")]
    engine = engine_on(cluster, journal)
    txn = engine.begin("i1", "t1", tuple(planned(WRITES[n]()) for n in names), "shop")
    assert txn.state == "applied"
    txn = engine.undo("t1", "test")
    assert txn.state == "undone", txn.reason
    assert plain(cluster) == before


def test_two_writes_to_one_field_are_proved_against_the_first(cluster, journal):
    world(cluster)
    before = plain(cluster)
    engine = engine_on(cluster, journal)
    engine.begin("i1", "t1", (planned(set_image("web", "web:8")), planned(set_image("web", "web:9"))), "shop")
    assert image_of(cluster) == "web:9"
    txn = engine.undo("t1", "test")
    assert txn.state == "undone", txn.reason
    assert plain(cluster) == before


def test_create_then_delete_and_delete_then_create(cluster, journal):
    world(cluster)
    before = plain(cluster)
    engine = engine_on(cluster, journal)
    writes = (
        planned(create(obj("ConfigMap", "new", data={"a": "b"}))),
        planned(delete("ConfigMap", "new")),
        planned(delete("ConfigMap", "conf")),
        planned(create(obj("ConfigMap", "conf", data={"another": "one"}))),
    )
    assert engine.begin("i1", "t1", writes, "shop").state == "applied"
    txn = engine.undo("t1", "test")
    assert txn.state == "undone", txn.reason
    assert plain(cluster) == before


def test_a_refused_write_takes_the_earlier_ones_back(cluster, journal):
    world(cluster)
    before = plain(cluster)
    cluster.faults = ["", "invalid"]
    engine = engine_on(cluster, journal)
    txn = engine.begin("i1", "t1", (planned(scale("web", 4)), planned(set_image("web", "web:2"))), "shop")
    assert txn.state == "undone"
    assert [w.state for w in txn.writes] == ["undone", "failed"]
    assert "write 2 was refused" in txn.reason
    assert plain(cluster) == before


def test_deployment_delete_orphans_its_replica_sets(cluster, journal):
    world(cluster)
    seen = []
    cluster.before_write = seen.append
    engine = engine_on(cluster, journal)
    engine.begin("i1", "t1", (planned(delete("Deployment", "api")),), "shop")
    assert seen[0].body["propagationPolicy"] == "Orphan"
    assert set(seen[0].body["preconditions"]) == {"uid", "resourceVersion"}
    engine.undo("t1", "test")
    assert seen[1].method == "POST"
    assert not {"resourceVersion", "uid"} & seen[1].body["metadata"].keys()


def test_owners_created_again_are_owners_by_their_new_uid(cluster, journal):
    world(cluster)
    owner = cluster.objects[ref("Deployment", "api").key]
    owns = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "api", "uid": owner["metadata"]["uid"]}]
    cluster.put(obj("ConfigMap", "owned", data={"a": "b"}, ownerReferences=owns))
    engine = engine_on(cluster, journal)
    engine.begin("i1", "t1", (planned(delete("ConfigMap", "owned")), planned(delete("Deployment", "api"))), "shop")
    engine.undo("t1", "test")
    new = cluster.objects[ref("Deployment", "api").key]["metadata"]["uid"]
    assert new != owner["metadata"]["uid"]
    assert cluster.objects[ref("ConfigMap", "owned").key]["metadata"]["ownerReferences"][0]["uid"] == new


def test_pods_are_left_to_their_controller(cluster, journal):
    world(cluster)
    owner = [{"kind": "ReplicaSet", "name": "web-1", "uid": "u", "controller": True}]
    cluster.put(obj("Pod", "web-1-a", spec={}, ownerReferences=owner))
    cluster.put(obj("Pod", "bare", spec={}))
    engine = engine_on(cluster, journal)
    txn = engine.begin("i1", "t1", (planned(delete("Pod", "web-1-a"), reversibility="equivalent"),), "shop")
    assert txn.state == "applied"
    txn = engine.undo("t1", "test")
    assert txn.state == "undone"
    assert "its controller made another" in txn.undo_proof.not_identical[0]
    txn = engine.begin("i1", "t2", (planned(delete("Pod", "bare"), reversibility="equivalent"),), "shop")
    assert txn.state == "undone"
    assert "no controller owns it" in txn.writes[0].error
    assert ref("Pod", "bare").key in cluster.objects


@pytest.mark.parametrize(
    "write",
    [
        delete("PersistentVolumeClaim", "data"),
        request("DELETE", "Deployment", "", {}),
        request("PATCH", "Deployment", "web", {}, subresource="status", patch_type="application/merge-patch+json"),
        request("PATCH", "PersistentVolumeClaim", "data", {}, patch_type="application/merge-patch+json"),
        create(obj("Lease", "mine", spec={})),
    ],
)
def test_default_deny(write, cluster, journal):
    engine = engine_on(cluster, journal)
    with pytest.raises(CommandRefused) as refused:
        engine.begin("i1", "t1", (planned(write),), "shop")
    assert refused.value.code == "irreversible"
    assert cluster.objects == {}
    assert journal.list() == ()


def test_what_is_marked_irreversible_is_refused(cluster, journal):
    world(cluster)
    engine = engine_on(cluster, journal)
    with pytest.raises(CommandRefused):
        engine.begin("i1", "t1", (planned(scale("web", 1), reversibility="irreversible"),), "shop")
    with pytest.raises(CommandRefused):
        engine.begin("i1", "t1", (), "shop")
    assert cluster.applied == []


@pytest.mark.parametrize(
    ("kind", "name", "fields", "write", "why"),
    [
        ("ConfigMap", "held", {"finalizers": ["a/b"], "data": {}}, delete("ConfigMap", "held"), "finalizers"),
        ("Secret", "tok", {"type": "kubernetes.io/service-account-token"}, delete("Secret", "tok"), "token"),
        (
            "ConfigMap", "c", {"data": {"a": "b"}},
            request("PATCH", "ConfigMap", "c", {"immutable": True}, patch_type="application/merge-patch+json"),
            "immutable",
        ),
        ("ConfigMap", "c", {"data": {"a": "b"}}, create(obj("ConfigMap", "c", data={})), "exists already"),
        ("ConfigMap", "c", {"data": {"a": "b"}}, set_data("other", a="b"), "does not exist"),
    ],
)  # fmt: skip
def test_objects_that_cannot_be_brought_back(kind, name, fields, write, why, cluster, journal):
    cluster.put(obj(kind, name, **fields))
    engine = engine_on(cluster, journal)
    txn = engine.begin("i1", "t1", (planned(write),), "shop")
    assert txn.state == "undone"
    assert why in txn.writes[0].error
    assert cluster.applied == []


def test_terminating_objects_are_not_touched(cluster, journal):
    held = obj("ConfigMap", "c", data={"a": "b"})
    held["metadata"]["deletionTimestamp"] = "2026-01-05T09:00:00Z"
    cluster.put(held)
    txn = engine_on(cluster, journal).begin("i1", "t1", (planned(set_data("c", a="x")),), "shop")
    assert (txn.state, txn.writes[0].state) == ("undone", "failed")
    assert "being deleted" in txn.writes[0].error


def test_limits(cluster, journal):
    world(cluster)
    settings = SETTINGS.model_copy(update={"limits": LimitSettings(commands=2, objects=1, unavailable_pods=1)})
    engine = engine_on(cluster, journal, settings=settings)

    def spent(*writes):
        with pytest.raises(BudgetSpent) as error:
            engine.begin("i1", "t", tuple(rehearsed(cluster, w) for w in writes), "shop")
        return error.value.limit

    assert spent(scale("web", 3), scale("web", 4), scale("web", 5)) == "commands"
    assert spent(scale("web", 3), scale("api", 3)) == "objects"
    assert spent(scale("web", 0)) == "unavailable_pods"
    assert cluster.applied == []


def test_time_is_bounded(cluster, journal):
    world(cluster)
    settings = SETTINGS.model_copy(update={"limits": LimitSettings(transaction_seconds=5.0)})
    engine = engine_on(cluster, journal, settings=settings)
    cluster.before_write = lambda write: cluster.clock.sleep(6)
    txn = engine.begin("i1", "t1", (planned(scale("web", 3)), planned(scale("web", 4))), "shop")
    assert txn.state == "undone"
    assert "time is used up" in txn.writes[1].error


def test_begin_again_continues_or_returns(cluster, journal):
    world(cluster)
    engine = engine_on(cluster, journal)
    writes = (planned(scale("web", 3)),)
    first = engine.begin("i1", "t1", writes, "shop")
    assert engine.begin("i1", "t1", writes, "shop") == first
    again = engine_on(cluster, journal, identity="engine-2").begin("i1", "t1", writes, "shop")
    assert again.state == "applied"
    assert cluster.writes_of(write_key("t1", 0)) == 1
    with pytest.raises(TransactionError, match="an id of its own"):
        engine.begin("i2", "t1", writes, "shop")


def test_generated_names_are_chosen_before_the_write(cluster, journal):
    body = obj("ConfigMap", "", data={"a": "b"})
    del body["metadata"]["name"]
    body["metadata"]["generateName"] = "tmp-"
    engine = engine_on(cluster, journal)
    txn = engine.begin("i1", "t1", (planned(create(body)), planned(create(body))), "shop")
    assert txn.state == "applied"
    names = {key[2] for key in cluster.snapshot()}
    assert len(names) == 2
    assert all(name.startswith("tmp-") for name in names)
    engine.undo("t1", "test")
    assert cluster.snapshot() == {}


def test_commit_can_be_reopened_on_request(cluster, journal):
    world(cluster)
    before = plain(cluster)
    engine = engine_on(cluster, journal, healed=healed)
    engine.begin("i1", "t1", (planned(set_image("web", "web:2")),), "shop")
    engine.validate("t1", INCIDENT)
    engine.commit("t1")
    with pytest.raises(TransactionError, match="asked for explicitly"):
        engine.undo("t1", "a person")
    txn = engine.undo("t1", "a person", reopen=True)
    assert txn.state == "undone"
    assert plain(cluster) == before
    assert journal.open_transactions() == ()


def test_list_and_show_ask_no_cluster(cluster, journal):
    world(cluster)
    engine_on(cluster, journal).begin("i1", "t1", (planned(scale("web", 3)),), "shop")
    away = engine_on(cluster, journal)
    cluster.read_faults = [ClusterUnreachable("down")] * 20
    assert [t.id for t in away.list()] == ["t1"]
    assert away.show("t1").state == "applied"
    with pytest.raises(TransactionError, match="no transaction nope"):
        away.show("nope")


def test_unreachable_reads_leave_it_open_for_recovery(cluster, journal):
    world(cluster)
    before = plain(cluster)
    engine = engine_on(cluster, journal)
    cluster.before_write = lambda write: cluster.read_faults.extend([ClusterUnreachable("down")] * 6)
    with pytest.raises(ClusterUnreachable):
        engine.begin("i1", "t1", (planned(scale("web", 3)), planned(scale("web", 4))), "shop")
    cluster.before_write = lambda write: None
    cluster.read_faults = []
    assert journal.open_transactions() == ("t1",)
    (txn,) = engine.recover()
    assert txn.state == "undone"
    assert plain(cluster) == before


def test_journal_failure_stops_before_the_write(cluster, journal):
    world(cluster)
    before = cluster.snapshot()
    engine = engine_on(cluster, journal)
    journal._db.execute("PRAGMA query_only=ON")
    with pytest.raises(JournalError):
        engine.begin("i1", "t1", (planned(scale("web", 3)),), "shop")
    assert cluster.snapshot() == before
    assert cluster.applied == []


def test_a_slow_crash_is_waited_for(cluster, journal):
    """Containers that failed after a minute are watched for longer than a minute before they count as healed."""
    world(cluster)
    engine = engine_on(cluster, journal, healed=healed, settings=PATIENT)
    engine._probe.ran = 60.0
    engine.begin("i1", "t1", (planned(set_image("web", "web:2")),), "shop")
    assert engine.validate("t1", INCIDENT).verdict == "RESOLVED"
    after = engine.show("t1").health_after
    assert after[-1].at - after[0].at >= 90.0


@pytest.mark.parametrize(
    ("silent_after", "healing", "expected", "waited"),
    [
        (70.0, True, "RESOLVED", (70.0, 90.0)),  # longer than anything else would be waited for
        (1e9, True, "IMPROVED", (100.0, 120.0)),  # and not for ever
        (1e9, False, "UNCHANGED", (0.0, 40.0)),  # what did not help is not waited for
    ],
)
def test_alerts_that_look_back_are_waited_for(cluster, journal, silent_after, healing, expected, waited):
    """When all is well but for alerts, they get the time in which they look back."""
    world(cluster)
    began = cluster.clock.now()
    health = SETTINGS.health.model_copy(update={"settle_max": 30.0, "alerts_max": 100.0})
    engine = engine_on(cluster, journal, settings=SETTINGS.model_copy(update={"health": health}))

    class Alerting(type(engine._probe)):
        def sample(self, namespaces=()):
            found = super().sample(namespaces)
            firing = cluster.clock.now() < began + silent_after
            return found.model_copy(update={"alerts": {"f1": "critical"} if firing else {}})

    engine._probe = Alerting(cluster, healed if healing else (lambda _: False))
    engine.begin("i1", "t1", (planned(set_image("web", "web:2")),), "shop")
    verdict = engine.validate("t1", INCIDENT.model_copy(update={"alerts": ("f1",)}))
    assert verdict.verdict == expected
    assert waited[0] <= cluster.clock.now() - began <= waited[1]


def test_resolved_rests_on_figures_of_the_time_after_the_change(cluster, journal):
    """Request figures are means over some time: what they say at once is about the time before."""
    world(cluster)
    engine = engine_on(cluster, journal, healed=healed, settings=PATIENT)
    engine.begin("i1", "t1", (planned(set_image("web", "web:2")),), "shop")
    began = cluster.clock.now()
    assert engine.validate("t1", INCIDENT).verdict == "RESOLVED"
    assert engine.show("t1").health_after[0].at >= began + REACH


def test_it_looks_until_things_stand_still(cluster, journal):
    """Health that comes late is waited for; health that does not come is not waited for until the end."""
    world(cluster)
    began = cluster.clock.now()
    slow = engine_on(cluster, journal, healed=lambda c: healed(c) and c.clock.now() > began + 20, settings=PATIENT)

    class Rolling(type(slow._probe)):
        def settled(self, namespaces=()):
            return cluster.clock.now() > began + 15

    slow._probe = Rolling(cluster, slow._probe.healed)
    slow.begin("i1", "t1", (planned(set_image("web", "web:2")),), "shop")
    assert slow.validate("t1", INCIDENT).verdict in ("RESOLVED", "IMPROVED")
    slow.commit("t1")
    other = engine_on(cluster, journal, settings=PATIENT)
    other.begin("i1", "t2", (planned(scale("web", 5)),), "shop")
    start = cluster.clock.now()
    assert other.validate("t2", INCIDENT).verdict == "UNCHANGED"
    assert cluster.clock.now() - start < 30


def test_health_of_other_namespaces_can_be_watched(cluster, journal):
    world(cluster)
    engine = engine_on(cluster, journal)
    seen = []
    sample = engine._probe.sample
    engine._probe.sample = lambda namespaces=(): (seen.append(namespaces), sample(namespaces))[1]
    engine.begin("i1", "t1", (planned(scale("web", 5)),), "shop", watch=("front", "shop"))
    assert set(seen) == {("front", "shop")}
    assert [lock.ref.namespace for lock in engine._live["t1"].locks._locks] == ["shop"]


def test_objects_without_a_namespace(cluster, journal):
    node = obj("Node", "n1", "", spec={}, labels={"a": "b"})
    cluster.put(node)
    before = plain(cluster)
    cordon = ApiWrite(
        method="PATCH", target=ref("Node", "n1", ""), plural="nodes", namespaced=False,
        body={"spec": {"unschedulable": True}}, patch_type="application/merge-patch+json",
    )  # fmt: skip
    engine = engine_on(cluster, journal)
    engine.begin("i1", "t1", (planned(cordon),), "cluster")
    assert ("Lease", "default", "stratus-writer-cluster") in cluster.objects
    assert engine.undo("t1", "test").state == "undone"
    assert plain(cluster) == before
