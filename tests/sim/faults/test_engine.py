"""Injecting and healing: checked first, carried out in time, taken back in full."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stratus.errors import UnknownNameError, UsageError
from stratus.sim.cluster import EmbeddedCluster, dump

NS = "hotel-reservation"


def spec_of(cluster: EmbeddedCluster, name: str) -> dict[str, Any]:
    found = cluster.store.get("deployments.apps", NS, name)
    assert found is not None
    spec: dict[str, Any] = found["spec"]
    return spec


def test_steps_come_when_they_are_due(hotel: EmbeddedCluster) -> None:
    hotel.inject("misleading-rollout")
    assert spec_of(hotel, "rate")["template"]["spec"]["containers"][0]["image"].endswith(":v1.4.0")
    hotel.advance(9.9)
    assert spec_of(hotel, "rate")["template"]["spec"]["containers"][0]["image"].endswith(":v1.4.0")
    hotel.advance(0.2)
    assert spec_of(hotel, "rate")["template"]["spec"]["containers"][0]["image"].endswith(":v1.4.2")
    assert hotel.registry.exists("yinfangchen/hotelreservation:v1.4.0")
    hotel.advance(10)
    assert not hotel.registry.exists("yinfangchen/hotelreservation:v1.4.0")


def test_healing_drops_what_is_still_to_come(hotel: EmbeddedCluster) -> None:
    before = spec_of(hotel, "rate")
    hotel.inject("misleading-rollout")
    hotel.advance(3)
    hotel.heal("misleading-rollout")
    hotel.advance(60)
    assert spec_of(hotel, "rate") == before
    assert hotel.registry.exists("yinfangchen/hotelreservation:v1.4.0")


def test_changes_are_written_as_an_operator_with_kubectl_would(hotel: EmbeddedCluster) -> None:
    hotel.inject("bad-env-address")
    found = hotel.store.get("deployments.apps", NS, "search")
    assert found is not None
    managers = {m["manager"] for m in found["metadata"]["managedFields"]}
    assert "kubectl-edit" in managers
    assert not any("stratus" in m or "fault" in m for m in managers)
    assert "fault" not in dump(hotel).decode().lower().replace("default", "")


@pytest.mark.parametrize(
    ("fault", "arguments", "error", "said"),
    [
        ("no-such-thing", {}, UnknownNameError, "known are: anti-affinity, any-autoscaler"),
        ("any-scaled-to-zero", {}, UsageError, "give a value for workload"),
        ("any-scaled-to-zero", {"workload": "ghost"}, UsageError, "there is no Deployment ghost in hotel-reservation"),
        ("any-wrong-selector", {"service": "ghost"}, UsageError, "there is no Service ghost"),
        ("scaled-to-zero", {"size": 1}, UsageError, "unknown argument size"),
        ("traffic-surge", {"factor": -2}, UsageError, "greater than 0"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    hotel: EmbeddedCluster, fault: str, arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    before = dump(hotel)
    with pytest.raises(error, match=said):
        hotel.inject(fault, **arguments)
    assert dump(hotel) == before
    assert hotel.injected() == ()


def test_a_fault_is_there_once_and_only_what_is_there_is_healed(hotel: EmbeddedCluster) -> None:
    hotel.inject("scaled-to-zero")
    with pytest.raises(UsageError, match="already injected"):
        hotel.inject("scaled-to-zero")
    with pytest.raises(UsageError, match="not injected; injected are: scaled-to-zero"):
        hotel.heal("wrong-selector")


def test_a_deleted_object_comes_back(hotel: EmbeddedCluster, tmp_path: Path) -> None:
    hotel.faulting.specs.update(
        {
            s.id: s
            for s in _faults("{do: delete, kind: Service, name: geo}", "{do: set-env, name: geo, env: X, value: y}")
        }
    )
    hotel.inject("mine")
    assert hotel.store.get("services", NS, "geo") is None
    hotel.heal("mine")
    found = hotel.store.get("services", NS, "geo")
    assert found is not None
    assert found["spec"]["selector"] == {"io.kompose.service": "geo"}


def test_a_late_step_that_finds_nothing_is_noted_and_the_world_goes_on(hotel: EmbeddedCluster) -> None:
    hotel.faulting.specs.update({s.id: s for s in _faults("{do: scale, name: geo, replicas: 0, after: 20}")})
    hotel.inject("mine")
    hotel.faulting.hands.send("DELETE", f"/apis/apps/v1/namespaces/{NS}/deployments/geo")
    hotel.advance(30)
    assert hotel.faulting.active["mine"].problems == ["step 1: there is no Deployment geo in hotel-reservation"]


def test_an_environment_variable_from_a_config_map_is_replaced_and_restored(hotel: EmbeddedCluster) -> None:
    before = spec_of(hotel, "rate")["template"]["spec"]["containers"][0]["env"]
    hotel.faulting.specs.update({s.id: s for s in _faults("{do: set-env, name: rate, env: MEMC_TIMEOUT, value: '9'}")})
    hotel.inject("mine")
    now = spec_of(hotel, "rate")["template"]["spec"]["containers"][0]["env"]
    assert next(e for e in now if e["name"] == "MEMC_TIMEOUT") == {"name": "MEMC_TIMEOUT", "value": "9"}
    hotel.heal("mine")
    assert spec_of(hotel, "rate")["template"]["spec"]["containers"][0]["env"] == before


def test_faults_of_ones_own_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text("faults:\n  - id: mine\n    description: x\n    steps: [{do: scale, name: geo, replicas: 2}]\n")
    with EmbeddedCluster(faults=path, warmup=20) as cluster:
        cluster.inject("mine")
        cluster.advance(20)
        assert spec_of(cluster, "geo")["replicas"] == 2
    with pytest.raises(UsageError, match="cannot be read"):
        EmbeddedCluster(faults=tmp_path / "none.yaml", warmup=0)


def test_a_harmless_event_is_told(hotel: EmbeddedCluster) -> None:
    hotel.inject("noise")
    hotel.advance(70)
    reasons = {e["reason"] for e in hotel.store.list("events")}
    assert {"FailedGetResourceMetric", "ImageGCFailed"} <= reasons


def _faults(*steps: str) -> tuple[Any, ...]:
    from stratus.sim.faults.engine import parse_faults

    text = "faults:\n  - id: mine\n    description: x\n    steps:\n" + "".join(f"      - {s}\n" for s in steps)
    return parse_faults(text, "mine")
