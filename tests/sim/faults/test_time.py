"""Faults in time: onsets, durations, repetitions, ramps; over forks and over a restart; several at once."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from stratus.errors import UsageError
from stratus.sim.cluster import EmbeddedCluster, dump
from stratus.sim.faults.engine import parse_faults
from stratus.sim.faults.scenario import parse_scenario
from stratus.sim.faults.takeback import decided
from stratus.sim.faults.timing import Ramp, Timing

NS = "hotel-reservation"


def replicas(cluster: EmbeddedCluster, name: str = "geo") -> int:
    found = cluster.store.get("deployments.apps", NS, name)
    assert found is not None
    return int(found["spec"]["replicas"])


def test_onset_duration_and_repetition(hotel: EmbeddedCluster) -> None:
    timing = Timing(onset=10, duration=5, every=20, times=2)
    hotel.inject("any-scaled-to-zero", workload="geo", timing=timing)
    one = hotel.faulting.active["any-scaled-to-zero"]
    seen = []
    for _ in range(9):
        seen.append((replicas(hotel), one.state))
        hotel.advance(5)
    up, off, gone = (1, "waiting"), (0, "active"), (1, "resting")
    assert seen == [up, up, off, gone, gone, gone, off, (1, "active"), (1, "active")]
    assert hotel.injected() == ()
    assert (one.rounds, one.problems) == (2, [])


def test_a_fault_that_is_healed_before_it_begins_never_comes(hotel: EmbeddedCluster) -> None:
    before = dump(hotel)
    hotel.inject("any-scaled-to-zero", workload="geo", timing=Timing(onset=30))
    hotel.heal("any-scaled-to-zero")
    assert dump(hotel) == before
    hotel.advance(60)
    assert replicas(hotel) == 1


def test_a_fork_goes_on_with_what_is_still_to_come(hotel: EmbeddedCluster) -> None:
    hotel.inject("any-scaled-to-zero", workload="geo", timing=Timing(onset=30, duration=30))
    hotel.inject("traffic-surge", timing=Timing(ramp=Ramp(argument="factor", start=1, over=60, steps=4)), factor=5)
    hotel.advance(20)
    with hotel.fork() as twin:
        twin.advance(20)
        assert (replicas(twin), twin.traffic.surge) == (0, 3)
        assert replicas(hotel) == 1, "what happens in a fork does not happen here"
        twin.heal("traffic-surge")
        twin.advance(30)
        assert (replicas(twin), twin.traffic.surge, twin.injected()) == (1, 1.0, ())
    hotel.advance(15)
    assert (replicas(hotel), hotel.traffic.surge) == (0, 3)


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    def play(cluster: EmbeddedCluster) -> None:
        cluster.set_noise("heavy", 40)
        cluster.inject(
            "any-scaled-to-zero", workload="geo", alias="gone", timing=Timing(onset=20, duration=25, every=50)
        )
        cluster.inject("traffic-surge", factor=4, timing=Timing(ramp=Ramp(argument="factor", start=1, over=90)))
        cluster.inject("wrong-selector")
        cluster.advance(40)
        cluster.heal("wrong-selector")

    path = tmp_path / "state"
    with EmbeddedCluster(state_file=path, warmup=60) as cluster:
        play(cluster)
        halfway = dump(cluster)
    with EmbeddedCluster(state_file=path, warmup=60) as again:
        assert dump(again) == halfway
        again.advance(100)
        surge, ended = again.traffic.surge, dump(again)
        assert again.injected() == ("gone", "traffic-surge")
    with EmbeddedCluster(warmup=60) as straight:
        play(straight)
        straight.advance(100)
        assert (dump(straight), straight.traffic.surge) == (ended, surge)


def test_a_refused_injection_leaves_nothing_and_replays(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    steps = "[{do: scale, name: geo, replicas: 0}, {do: patch, kind: Service, name: geo, patch: {spec: {type: No}}}]"
    mine.write_text(f"faults:\n  - {{id: mine, description: x, steps: {steps}}}\n")
    path = tmp_path / "state"
    with EmbeddedCluster(state_file=path, warmup=20, faults=mine) as cluster:
        with pytest.raises(UsageError, match="mine, step 2"):
            cluster.inject("mine")
        assert (cluster.injected(), replicas(cluster)) == ((), 1)
        cluster.advance(10)
        ended = dump(cluster)
    with EmbeddedCluster(state_file=path, warmup=20, faults=mine) as again:
        assert dump(again) == ended


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"every": 10}, "needs a `duration`"),
        ({"every": 10, "duration": 10}, "shorter"),
        ({"times": 2}, "`times` needs `every`"),
        ({"duration": 5, "ramp": {"argument": "x", "start": 0, "over": 10}}, "longer than the fault's duration"),
        ({"onset": -1}, "greater than or equal to 0"),
        ({"duration": 0}, "greater than 0"),
    ],
)
def test_times_that_make_no_sense(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Timing.model_validate(fields)


def test_ramps() -> None:
    assert [Ramp(argument="x", start=0, over=1, steps=4).at(8, n) for n in range(6)] == [0, 2, 4, 6, 8, 8]
    assert [Ramp(argument="x", start=1, over=1, steps=2).at(1.5, n) for n in range(3)] == [1.0, 1.25, 1.5]
    assert [Ramp(argument="x", start=9, over=1, steps=3).at(0, n) for n in range(4)] == [9, 6, 3, 0]
    assert [Ramp(argument="x", start=0, over=1, steps=4).at(1, n) for n in (1, 4)] == [0.25, 1.0]


def test_a_ramp_of_what_is_created_replaces_it(hotel: EmbeddedCluster) -> None:
    text = """
faults:
  - id: mine
    description: x
    arguments: {loss: 60}
    steps: [{do: network-chaos, name: lossy, labels: {io.kompose.service: geo}, loss: "${loss}"}]
"""
    hotel.faulting.specs.update({s.id: s for s in parse_faults(text, "mine")})
    hotel.inject("mine", timing=Timing(ramp=Ramp(argument="loss", start=20, over=20, steps=2)))
    seen = []
    for _ in range(3):
        found = hotel.store.list("networkchaos.chaos-mesh.org")
        seen.append([c["spec"]["loss"]["loss"] for c in found])
        hotel.advance(10)
    assert seen == [["20"], ["40"], ["60"]]
    hotel.heal("mine")
    assert hotel.store.list("networkchaos.chaos-mesh.org") == []


# several at once


def everything(cluster: EmbeddedCluster) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for resource in ("deployments.apps", "services", "configmaps", "networkpolicies.networking.k8s.io", "nodes"):
        for obj in cluster.store.list(resource):
            plain = decided(obj)
            plain["metadata"].get("annotations", {}).pop("deployment.kubernetes.io/revision", None)
            found[f"{resource}/{obj['metadata']['name']}"] = plain
    found["stores"] = {k: repr(d) for k, d in cluster.runtime.databases.items()}
    found["surge"], found["silent"] = cluster.traffic.surge, dict(cluster.control.kubelet.silent)
    return found


TOGETHER = ("cpu-limit-cut", "misleading-rollout", "revoke-mongo-role", "drop-mongo-user")


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
def test_faults_of_one_workload_are_taken_back_in_any_order(hotel: EmbeddedCluster, order: tuple[int, ...]) -> None:
    """All four are about rate or its database; two of them about the same user."""
    before = everything(hotel)
    for fault in TOGETHER:
        hotel.inject(fault)
    hotel.advance(30)
    for number in order:
        hotel.heal(TOGETHER[number])
        hotel.advance(10)
    assert everything(hotel) == before


def test_what_others_edited_meanwhile_stays(hotel: EmbeddedCluster) -> None:
    hands = hotel.faulting.hands
    hotel.inject("cpu-limit-cut")
    hotel.inject("traffic-surge", factor=3)
    hotel.inject("traffic-surge", factor=2, alias="more")
    assert hotel.traffic.surge == 6
    template = {"metadata": {"labels": {"team": "rates"}}}
    container = {"name": "hotel-reserv-rate", "env": [{"name": "EXTRA", "value": "1"}]}
    hands.patch(
        "Deployment", NS, "rate",
        {"spec": {"replicas": 2, "template": {**template, "spec": {"containers": [container]}}}},
        "application/strategic-merge-patch+json",
    )  # fmt: skip
    hotel.heal("cpu-limit-cut")
    hotel.heal("traffic-surge")
    assert hotel.traffic.surge == 2
    spec = hotel.store.get("deployments.apps", NS, "rate")["spec"]  # type: ignore[index]
    found = spec["template"]["spec"]["containers"][0]
    assert (spec["replicas"], spec["template"]["metadata"]["labels"]["team"]) == (2, "rates")
    assert {"name": "EXTRA", "value": "1"} in found["env"]
    assert found["resources"]["limits"]["cpu"] == "1"


def test_a_repaired_field_is_not_repaired_again(hotel: EmbeddedCluster) -> None:
    hotel.inject("wrong-target-port")
    hotel.faulting.hands.patch("Service", NS, "geo", {"spec": {"ports": [{"port": 8083, "targetPort": 18083}]}})
    hotel.heal("wrong-target-port")
    assert hotel.store.get("services", NS, "geo")["spec"]["ports"][0]["targetPort"] == 18083  # type: ignore[index]


def test_two_faults_of_one_field_leave_the_first_value_behind(hotel: EmbeddedCluster) -> None:
    for alias, port in (("one", 9991), ("two", 9992)):
        hotel.inject("any-wrong-target-port", service="geo", target_port=port, alias=alias)
    hotel.heal("one")

    def port() -> int:
        return int(hotel.store.get("services", NS, "geo")["spec"]["ports"][0]["targetPort"])  # type: ignore[index]

    assert port() == 9992
    hotel.heal("two")
    assert port() == 8083


def test_what_was_created_and_made_anew_by_others_stays(hotel: EmbeddedCluster) -> None:
    hotel.inject("network-policy-block")
    hands = hotel.faulting.hands
    path = f"/apis/networking.k8s.io/v1/namespaces/{NS}/networkpolicies"
    hands.send("DELETE", f"{path}/deny-all-recommendation")
    mine = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "deny-all-recommendation"}, "spec": {"podSelector": {}}}  # fmt: skip
    hands.send("POST", path, mine)
    hotel.heal("network-policy-block")
    assert len(hotel.store.list("networkpolicies.networking.k8s.io", NS)) == 1


def test_a_node_speaks_again_when_the_last_fault_lets_it(hotel: EmbeddedCluster) -> None:
    hotel.inject("node-not-ready", alias="a")
    hotel.inject("node-not-ready", alias="b")
    hotel.heal("a")
    assert "node2" in hotel.control.kubelet.silent
    hotel.heal("b")
    assert "node2" not in hotel.control.kubelet.silent


# scenarios


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("faults: []", "a scenario has `faults`, or `noise`"),
        ("faults: [{falt: x}]", "faults.0.falt: unknown field"),
        ("faults: [{fault: x, onset: soon}]", "faults.0.onset"),
        ("faults: [{fault: x, every: 4}]", "needs a `duration`"),
        ("noise: loud", "noise"),
        ("- x", "one YAML mapping"),
        ("{", "s.yaml"),
    ],
)
def test_mistakes_in_a_scenario_are_named(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_scenario(text, "s.yaml")
    assert said in str(caught.value)
    assert "s.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{app: other, faults: [{fault: wrong-selector}]}", "written for other, and the cluster runs hotel-res"),
        ("faults: [{fault: wrong-selector}, {fault: nothing}]", "faults.1: no fault 'nothing'"),
        ("faults: [{fault: wrong-selector}, {fault: wrong-selector}]", "faults.1: wrong-selector occurs twice"),
        (
            "faults: [{fault: any-scaled-to-zero, arguments: {workload: x}}]",
            "faults.0: fault any-scaled-to-zero: there",
        ),
    ],
)
def test_a_scenario_that_cannot_be_played_changes_nothing(hotel: EmbeddedCluster, text: str, said: str) -> None:
    before = dump(hotel)
    with pytest.raises(UsageError, match=said):
        hotel.play(parse_scenario(text, "s.yaml"))
    assert (dump(hotel), hotel.injected()) == (before, ())


def test_a_scenario_gives_every_fault_its_time(hotel: EmbeddedCluster) -> None:
    text = """
name: two at once
app: hotel-reservation
noise: "on"
noise_budget: 3
faults:
  - {fault: any-scaled-to-zero, arguments: {workload: geo}}
  - {fault: any-scaled-to-zero, name: later, arguments: {workload: rate}, onset: 20, duration: 20}
"""
    hotel.play(parse_scenario(text, "s.yaml"))
    assert (replicas(hotel), replicas(hotel, "rate")) == (0, 1)
    hotel.advance(30)
    assert (replicas(hotel), replicas(hotel, "rate")) == (0, 0)
    hotel.advance(20)
    assert (replicas(hotel), replicas(hotel, "rate")) == (0, 1)
    assert (hotel.faulting.noise.level, hotel.injected()) == ("on", ("any-scaled-to-zero",))
