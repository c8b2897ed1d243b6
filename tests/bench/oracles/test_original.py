"""Every check of an original oracle: what it lets pass, what it does not, and what it says then."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from stratus.bench.oracles.original import failures
from stratus.bench.snapshot import Figures, PodState, Snapshot, WorkloadState
from stratus.bench.suites.checks import MISSING, Check, dig, key_of, steps_of

NS = "shop"


def check(**fields: Any) -> Any:
    return TypeAdapter(Check).validate_python(fields)


def pod(name: str = "web-1", **fields: Any) -> PodState:
    usual = {"namespace": NS, "phase": "Running", "ready": True, "containers_ready": True}
    return PodState(name=name, **{**usual, **fields})


def state(wanted: int = 1, **fields: Any) -> WorkloadState:
    usual = {"total": wanted, "updated": wanted, "ready": wanted, "available": wanted}
    return WorkloadState(wanted=wanted, **{**usual, **fields})


def snapshot(**fields: Any) -> Snapshot:
    usual: dict[str, Any] = {
        "at": 1000.0,
        "namespace": NS,
        "objects": {f"Service/{NS}/web": {"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}},
        "pods": (pod(),),
        "workloads": {f"Deployment/{NS}/web": state()},
        "endpoints": {f"{NS}/web": 1},
        "services": {f"{NS}/web": Figures(rate=10.0, errors=0.0, p99=0.1)},
    }
    return Snapshot(**{**usual, **fields})


HEALTHY = snapshot()


def fails(check: Any, **fields: Any) -> list[str]:
    return failures(check, snapshot(**fields), HEALTHY)


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (pod(waits=("CrashLoopBackOff",)), "waits: CrashLoopBackOff"),
        (pod(ended=("Error",)), "has ended: Error"),
        (pod(containers_ready=False), "is not ready"),
    ],
)
def test_a_pod_walk_sees_crash_loops_errors_and_unready_containers(one: PodState, said: str) -> None:
    assert any(said in f for f in fails(check(check="pod_walk"), pods=(one,)))


@pytest.mark.parametrize(
    "one",
    [
        pod(phase="Pending", born=False, ready=False, containers_ready=False),
        pod(waits=("ImagePullBackOff",)),
        pod(ended=("Completed",)),
        pod(phase="Succeeded", containers_ready=False),
        pod(namespace="other", waits=("CrashLoopBackOff",)),
        pod(leaving=True, containers_ready=False),
    ],
)
def test_a_pod_walk_passes_what_the_original_passes(one: PodState) -> None:
    assert fails(check(check="pod_walk"), pods=(one,)) == []


def test_a_pod_walk_can_be_told_to_look_closer() -> None:
    waiting = (pod(waits=("ImagePullBackOff",)),)
    unborn = (pod(phase="Pending", born=False, ready=False, containers_ready=False),)
    unready = (pod(containers_ready=False),)
    assert fails(check(check="pod_walk", any_wait=True), pods=waiting)
    assert fails(check(check="pod_walk", skip_unborn=False), pods=unborn)
    assert fails(check(check="pod_walk", ready=False), pods=unready) == []
    assert fails(check(check="pod_walk", namespace="other"), pods=(pod(namespace="other", ended=("Error",)),))


def test_all_ready_wants_every_pod_and_at_least_one() -> None:
    assert fails(check(check="all_ready")) == []
    assert fails(check(check="all_ready"), pods=(pod(), pod("db-1", ready=False))) == ["db-1 is not ready"]
    assert fails(check(check="all_ready"), pods=()) == ["there is no pod"]
    assert fails(check(check="all_ready"), pods=(pod(), pod("job-1", phase="Succeeded", ready=False))) == []


def test_the_baseline_wants_every_earlier_deployment_whole_and_no_pod_ailing() -> None:
    assert fails(check(check="baseline")) == []
    for workloads, said in (
        ({}, "is gone"),
        ({f"Deployment/{NS}/web": state(0)}, "wants no pod"),
        ({f"Deployment/{NS}/web": state(2, ready=1)}, "1 of 2"),
    ):
        assert any(said in f for f in fails(check(check="baseline"), workloads=workloads))
    for one in (
        pod(phase="Pending"),
        pod(waits=("ErrImagePull",)),
        pod(containers_ready=False),
        pod(ended=("OOMKilled",)),
    ):
        assert fails(check(check="baseline"), pods=(one,))
    elsewhere = {**HEALTHY.workloads, "Deployment/other/x": state(1)}
    assert failures(check(check="baseline"), HEALTHY, snapshot(workloads=elsewhere)) == []


def field(**conditions: Any) -> Any:
    return check(check="field", object="Service/web", path="spec.ports.0.targetPort", **conditions)


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({"equals": 8080}, True),
        ({"equals": 9999}, False),
        ({"differs": 9999}, True),
        ({"differs": 8080}, False),
        ({"absent": True}, False),
        ({"as_before": True}, True),
    ],
)
def test_a_field_is_compared(conditions: dict[str, Any], holds: bool) -> None:
    assert (fails(field(**conditions)) == []) is holds


@pytest.mark.parametrize("conditions", [{}, {"equals": 1, "differs": 2}, {"absent": True, "as_before": True}])
def test_a_field_has_one_condition(conditions: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="one of equals"):
        field(**conditions)


def test_a_field_of_an_object_that_is_gone_never_holds() -> None:
    for conditions in ({"equals": 8080}, {"differs": 9}, {"absent": True}, {"as_before": True}):
        assert fails(field(**conditions), objects={}) == ["Service/web is gone"]


def test_a_field_may_contain_something_or_be_as_it_was() -> None:
    objects = {f"Deployment/{NS}/web": {"command": ["web", "--fast"]}}
    held = check(check="field", object="Deployment/web", path="command", contains="web")
    assert fails(held, objects=objects) == []
    assert fails(held, objects={f"Deployment/{NS}/web": {"command": ["geo"]}})
    assert fails(held, objects={f"Deployment/{NS}/web": {}})
    other = {f"Service/{NS}/web": {"spec": {"ports": [{"targetPort": 1}]}}}
    assert "not as before" in fails(field(as_before=True), objects=other)[0]


def test_objects_are_found_in_the_namespace_outside_it_and_without_one() -> None:
    objects = {"ConfigMap/kube-system/coredns": {}, "Node//node1": {}}
    assert fails(check(check="exists", object="ConfigMap/kube-system/coredns"), objects=objects) == []
    assert fails(check(check="exists", object="Node/node1"), objects=objects) == []
    assert fails(check(check="exists", object="Node/node1", gone=True), objects=objects) == [
        "Node/node1 is still there"
    ]
    assert fails(check(check="exists", object="Secret/x"), objects=objects) == ["Secret/x is not there"]


def test_none_of_finds_a_field_in_any_object_of_a_kind() -> None:
    quota = check(check="none_of", kind="ResourceQuota", path=["spec", "hard", "limits.memory"])
    hard = {"spec": {"hard": {"limits.memory": "1Gi"}}}
    assert fails(quota) == []
    assert fails(quota, objects={f"ResourceQuota/{NS}/q": hard})
    assert fails(quota, objects={"ResourceQuota/other/q": hard}) == []
    assert fails(quota, objects={f"ResourceQuota/{NS}/q": {"spec": {"hard": {"pods": "3"}}}}) == []


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("available", state(1), state(1, available=0)),
        ("available", state(1), state(2)),
        ("at_most", state(1), state(2)),
        ("at_most", state(0), state(1, total=2)),
        ("rolled_out", state(3), state(0)),
        ("rolled_out", state(1), state(1, updated=0)),
        ("rolled_out", state(1), state(1, total=2)),
        ("rolled_out", state(1), state(1, seen=False)),
    ],
)
def test_workloads_are_counted(name: str, good: WorkloadState, bad: WorkloadState) -> None:
    one = check(check=name, object="Deployment/web")
    assert fails(one, workloads={f"Deployment/{NS}/web": good}) == []
    assert fails(one, workloads={f"Deployment/{NS}/web": bad})
    assert fails(one, workloads={}) == ["Deployment/web is gone"]


def test_pods_by_name_endpoints_and_restarts() -> None:
    assert fails(check(check="pod_named", part="web")) == []
    assert fails(check(check="pod_named", part="db"))
    assert fails(check(check="endpoints", service="web")) == []
    assert fails(check(check="endpoints", service="web"), endpoints={f"{NS}/web": 0})
    assert fails(check(check="endpoints", service="db"))
    steady = check(check="steady", object="Deployment/web")
    assert fails(steady, pods=(pod(restarted=870.0),)) == []
    assert fails(steady, pods=(pod(restarted=890.0),)) == ["web-1 was restarted"]
    assert fails(steady, pods=(pod("website-1", restarted=990.0),)) == []


def test_alerts_count_unless_they_fired_before_or_are_ignored() -> None:
    cleared = check(check="alerts_cleared", ignore=["Busy"])
    assert fails(cleared) == []
    assert fails(cleared, alerts=("Down: shop/web",)) == ["Down: shop/web"]
    assert fails(cleared, alerts=("Busy: shop/web",)) == []
    before = snapshot(alerts=("Down: shop/web",))
    assert failures(cleared, before, before) == []


def test_served_wants_the_rate_and_few_errors() -> None:
    served = check(check="served", share=0.5, errors=0.05)
    for figures, holds in (
        (Figures(rate=10.0, errors=0.0), True),
        (Figures(rate=5.0, errors=0.05), True),
        (Figures(rate=4.9, errors=0.0), False),
        (Figures(rate=10.0, errors=0.06), False),
        (Figures(), False),
    ):
        assert (fails(served, services={f"{NS}/web": figures}) == []) is holds
    assert fails(served, services={})
    assert fails(check(check="served", service="web"), services={f"{NS}/web": Figures(rate=0.0)})


def test_what_was_not_tried_does_not_hold() -> None:
    reaches = check(check="reaches", source="Deployment/web", host="db", port=5432)
    assert fails(reaches) == ["reaches: was not tried"]
    assert fails(reaches, probes={key_of(reaches): "ok"}) == []
    assert fails(reaches, probes={key_of(reaches): "Refused: db:5432"}) == ["reaches: Refused: db:5432"]


def test_a_path_goes_by_number_by_name_and_by_list() -> None:
    obj = {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], "data": {"a.b": 3}}
    assert dig(obj, "env.B.value") == "2"
    assert dig(obj, "env.0.value") == "1"
    assert dig(obj, ("data", "a.b")) == 3
    for path in ("env.C.value", "env.7", "data.a.b", "nothing", "env.A.value.x"):
        assert dig(obj, path) is MISSING
    assert steps_of("a.0.b") == ("a", 0, "b")
