"""The strict oracle: traffic, alerts, workloads, and nothing changed that no repair needs."""

from __future__ import annotations

from typing import Any

import pytest

from stratus.bench.oracles import judge_records
from stratus.bench.oracles.strict import strict
from stratus.bench.snapshot import Figures, Snapshot, WorkloadState
from stratus.bench.suites.schema import Scenario

NS = "shop"
WEB, SERVICE, NOISY = f"Deployment/{NS}/web", f"Service/{NS}/web", f"ConfigMap/{NS}/noisy"


def scenario(**fields: Any) -> Scenario:
    usual: dict[str, Any] = {
        "id": "x",
        "title": "The Service sends to a wrong port",
        "app": "my-shop",
        "family": "service-port",
        "faults": [{"fault": "any-wrong-target-port"}],
        "tasks": {"mitigation": "x"},
        "truth": {"objects": ["Service/web"]},
        "original": [{"check": "field", "object": "Service/web", "path": "port", "equals": 1}],
    }
    return Scenario.model_validate({**usual, **fields})


def state(wanted: int = 1, **fields: Any) -> WorkloadState:
    return WorkloadState(**{"wanted": wanted, "total": wanted, "updated": wanted, "ready": wanted, **fields})


def snapshot(**fields: Any) -> Snapshot:
    usual: dict[str, Any] = {
        "at": 0.0,
        "namespace": NS,
        "objects": {WEB: {"replicas": 1}, SERVICE: {"port": 1}, NOISY: {"a": 1}},
        "workloads": {WEB: state()},
        "endpoints": {f"{NS}/web": 1},
        "services": {f"{NS}/web": Figures(rate=10.0, errors=0.0, p99=0.2)},
    }
    return Snapshot(**{**usual, **fields})


HEALTHY = snapshot()
BROKEN = snapshot(objects={**HEALTHY.objects, SERVICE: {"port": 2}})


def said(after: Snapshot, *, alone: Snapshot = BROKEN, **fields: Any) -> list[str]:
    return strict(scenario(**fields), HEALTHY, BROKEN, after, alone)


def test_the_healthy_state_passes() -> None:
    assert said(HEALTHY) == []


@pytest.mark.parametrize(
    ("figures", "word"),
    [
        (Figures(rate=7.4, errors=0.0, p99=0.2), "answers"),
        (Figures(rate=10.0, errors=0.021, p99=0.2), "fails"),
        (Figures(rate=10.0, errors=0.0, p99=0.61), "takes"),
        (Figures(), "answers"),
    ],
)
def test_traffic_has_to_be_as_before(figures: Figures, word: str) -> None:
    found = said(snapshot(services={f"{NS}/web": figures}))
    assert len(found) == 1
    assert word in found[0]


def test_traffic_may_differ_a_little_grow_and_be_faster() -> None:
    for figures in (Figures(rate=7.6, errors=0.019, p99=0.59), Figures(rate=90.0, errors=0.0, p99=0.01)):
        assert said(snapshot(services={f"{NS}/web": figures})) == []


def test_a_scenario_can_widen_what_counts_as_before() -> None:
    slow = snapshot(services={f"{NS}/web": Figures(rate=1.0, errors=0.3, p99=9.0)})
    assert len(said(slow)) == 1
    assert said(slow, strict={"share": 0.05, "errors": 0.5, "slower": 100}) == []
    assert said(slow, strict={"quiet": ["web"]}) == []


def test_a_service_without_traffic_says_nothing() -> None:
    quiet = snapshot(services={f"{NS}/web": Figures(rate=0.01)})
    assert strict(scenario(), quiet, quiet, snapshot(services={}), quiet) == []


def test_new_alerts_count_and_old_ones_do_not() -> None:
    assert said(snapshot(alerts=("Down: shop/web",))) == ["alert Down: shop/web"]
    assert said(snapshot(alerts=("Down: shop/web",)), strict={"alerts": ["Down"]}) == []
    before = snapshot(alerts=("Down: shop/web",))
    assert strict(scenario(), before, BROKEN, before, BROKEN) == []


@pytest.mark.parametrize(
    ("workloads", "word"),
    [
        ({}, "is gone"),
        ({WEB: state(0)}, "wants 0 pods"),
        ({WEB: state(1, ready=0)}, "not rolled out"),
        ({WEB: state(1, total=2)}, "not rolled out"),
        ({WEB: state(1, updated=0)}, "not rolled out"),
    ],
)
def test_every_workload_has_to_be_whole(workloads: dict[str, WorkloadState], word: str) -> None:
    found = said(snapshot(workloads=workloads))
    assert len(found) == 1
    assert word in found[0]


def test_a_workload_may_grow_and_shrink_only_where_the_scenario_says_so() -> None:
    assert said(snapshot(workloads={WEB: state(3)})) == []
    assert said(snapshot(workloads={WEB: state(0)}), strict={"shrink": ["Deployment/web"]}) == []


def test_a_service_may_not_lose_its_endpoints() -> None:
    assert said(snapshot(endpoints={f"{NS}/web": 0})) == ["the Service shop/web has no endpoint"]


def test_what_the_fault_changed_or_the_truth_names_may_differ_and_nothing_else() -> None:
    repaired = {**HEALTHY.objects, SERVICE: {"port": 3}}
    assert said(snapshot(objects=repaired)) == []
    assert said(snapshot(objects={**HEALTHY.objects, WEB: {"replicas": 2}})) == [
        f"{WEB} was changed, which no repair needs"
    ]
    assert said(snapshot(objects={SERVICE: {"port": 1}, WEB: {"replicas": 1}})) == [
        f"{NOISY} is gone, which no repair needs"
    ]
    extra = {**HEALTHY.objects, f"Pod/{NS}/debug": {}}
    assert said(snapshot(objects=extra)) == [f"Pod/{NS}/debug was made, which no repair needs"]
    assert said(snapshot(objects=extra), strict={"allow": ["Pod/*"]}) == []
    assert (
        said(snapshot(objects={**HEALTHY.objects, WEB: {"replicas": 2}}), truth={"objects": ["Deployment/web"]}) == []
    )


def test_noise_and_what_would_have_happened_anyway_are_nobodys_fault() -> None:
    moved = {**HEALTHY.objects, NOISY: {"a": 2}}
    assert len(said(snapshot(objects=moved))) == 1
    assert said(snapshot(objects=moved, noisy=(NOISY,))) == []
    assert said(snapshot(objects=moved), alone=snapshot(objects={**BROKEN.objects, NOISY: {"a": 5}})) == []


def test_what_noise_has_brought_in_concerns_nobody_unless_somebody_removes_it() -> None:
    extra = {"Namespace//office": {}, "Deployment/office/wiki": {}}
    noisy = ("Namespace//office", "Deployment/office/wiki")
    wiki = {"Deployment/office/wiki": state(1, ready=0)}
    loud = snapshot(
        objects={**HEALTHY.objects, **extra},
        noisy=noisy,
        alerts=("Down: office/wiki",),
        workloads={**HEALTHY.workloads, **wiki},
        endpoints={**HEALTHY.endpoints, "office/wiki": 0},
    )
    calm = loud.model_copy(update={"alerts": (), "endpoints": {**HEALTHY.endpoints, "office/wiki": 1}})
    assert strict(scenario(), calm, calm, loud, loud) == []
    quiet = snapshot(alerts=("Down: office/wiki",))
    assert strict(scenario(), HEALTHY, BROKEN, quiet, BROKEN), "without noise it is an alert like any other"
    swept = loud.model_copy(update={"objects": HEALTHY.objects})
    assert strict(scenario(), calm, calm, swept, loud) == [f"{k} is gone, which no repair needs" for k in sorted(extra)]


def test_what_neither_traffic_nor_alerts_show_can_be_asked_for() -> None:
    must = [{"check": "field", "object": "Service/web", "path": "port", "equals": 1}]
    assert said(HEALTHY, strict={"must": must}) == []
    assert said(BROKEN, strict={"must": must}) == ["Service/web port is 2, not 1"]


def test_both_oracles_are_told_apart() -> None:
    quiet = judge_records(scenario(), HEALTHY, BROKEN, snapshot(alerts=("Down: x",)), BROKEN)
    assert (quiet.original.passed, quiet.strict.passed) == (True, False)
    broken = judge_records(scenario(), HEALTHY, BROKEN, BROKEN, BROKEN)
    assert broken.original.findings == ("Service/web port is 2, not 1",)


def test_without_a_repair_to_judge_the_original_has_nothing_to_say() -> None:
    seen = scenario(tasks={"detection": "x"}, original=[])
    assert judge_records(seen, HEALTHY, BROKEN, HEALTHY, BROKEN).original.passed is None
    assert judge_records(seen, HEALTHY, BROKEN, HEALTHY, BROKEN).strict.passed
