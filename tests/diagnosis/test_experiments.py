"""Experiments of chaos engineering: which act, whom they strike, what they look like, and how they are stopped."""

from __future__ import annotations

from typing import Any

import pytest
from builders import app, case, deployment, meta, node, observation, pod, series, template

from stratus.diagnosis.analyzers.experiments import effect
from stratus.diagnosis.rules import RulesReasoner
from stratus.model.diagnosis import Hypothesis

MESH = "chaos-mesh.org/v1alpha1"


def chaos(kind: str = "NetworkChaos", name: str = "slow", *, strikes: str = "pay", age: float = 200.0,
          records: bool = True, phase: str = "Run", annotations: dict[str, str] | None = None,
          owner: tuple[str, str] | None = None, **spec: Any) -> dict[str, Any]:  # fmt: skip
    found = {
        "apiVersion": MESH, "kind": kind,
        "metadata": meta(name, age=age, annotations=annotations or {}, **({"owner": owner} if owner else {})),
        "spec": {"mode": "all", "selector": {"labelSelectors": {"app": strikes}}, **spec},
        "status": {"experiment": {"desiredPhase": phase}},
    }  # fmt: skip
    if records:
        found["status"]["experiment"]["containerRecords"] = [
            {"id": f"shop/{strikes}-1-0/app", "phase": "Injected", "selectorKey": "."}
        ]
    return found


def schedule(**annotations: str) -> dict[str, Any]:
    return {"apiVersion": MESH, "kind": "Schedule", "metadata": meta("nightly", annotations=annotations), "spec": {}}


def diagnose(*objects: Any, ill: tuple[str, ...] = ("pay",)) -> tuple[Any, list[Hypothesis]]:
    look = observation(
        *app("front"), *app("pay"), *app("lone"), node(), *objects, series=tuple(series(n, errors=0.5) for n in ill)
    )
    one = case(look)
    return one, [h for h in RulesReasoner().diagnose(one).hypotheses if h.analyzer == "experiments"]


def command(one: Any, found: Hypothesis) -> str:
    plan = RulesReasoner().plan(one, found)
    assert plan is not None
    (step,) = plan.steps
    return step.command


@pytest.mark.parametrize("records", [True, False])
def test_one_that_strikes_who_suffers_is_blamed_and_paused(records):
    one, (found,) = diagnose(chaos(records=records, action="delay"))
    assert (found.object.kind, found.object.name, found.fault) == ("NetworkChaos", "slow", "network_degraded")
    assert found.service == "pay"
    assert found.confidence > 0.9
    assert RulesReasoner().diagnose(one).chosen == found.id
    assert command(one, found) == (
        "kubectl annotate networkchaos.chaos-mesh.org/slow -n shop experiment.chaos-mesh.org/pause=true --overwrite"
    )


def test_one_elsewhere_is_mentioned_only():
    _, (found,) = diagnose(chaos(strikes="lone"))
    assert found.confidence < 0.5
    assert found.evidence_against


@pytest.mark.parametrize(
    "still",
    [
        chaos(annotations={"experiment.chaos-mesh.org/pause": "true"}),
        chaos(phase="Stop"),
        chaos(duration="1m30s", age=100.0),
        chaos("PodChaos", action="pod-kill"),
        chaos(strikes="nobody", records=False),
        {**chaos(), "apiVersion": "networking.example/v1"},
        {**chaos(), "metadata": meta("slow", deletionTimestamp="2026-03-01T11:59:00Z")},
    ],
    ids=["paused", "stopped", "over", "once", "selects-nothing", "another-group", "going"],
)
def test_one_that_does_not_act_is_not_blamed(still):
    assert diagnose(still)[1] == []


def test_one_with_time_left_acts():
    assert len(diagnose(chaos(duration="1h", age=100.0))[1]) == 1
    assert len(diagnose(chaos(duration="5m0s", age=299.0))[1]) == 1


def test_one_that_began_after_the_first_sign_is_doubted():
    _, (early,) = diagnose(chaos(age=130.0))
    look = observation(*app("pay"), node(), chaos(age=20.0), series=(series("pay", errors=0.5, since=290.0),))
    (late,) = [h for h in RulesReasoner().diagnose(case(look)).hypotheses if h.analyzer == "experiments"]
    assert late.confidence < early.confidence - 0.2
    assert "after the first sign" in late.evidence_against[0].summary


def test_what_a_schedule_makes_is_stopped_with_it():
    child = chaos("PodChaos", "nightly-x", action="pod-kill", owner=("Schedule", "nightly"))
    one, (found,) = diagnose(child, schedule())
    assert (found.object.kind, found.object.name, found.fault) == ("Schedule", "nightly", "crash_loop")
    line = command(one, found)
    assert "schedules.chaos-mesh.org/nightly podchaos.chaos-mesh.org/nightly-x" in line
    paused = schedule(**{"experiment.chaos-mesh.org/pause": "true"})
    assert diagnose(child, paused)[1] == []


def test_an_engine_of_litmus_is_stopped():
    engine = {"apiVersion": "litmuschaos.io/v1alpha1", "kind": "ChaosEngine", "metadata": meta("game-day"),
              "spec": {"engineState": "active", "appinfo": {"appns": "shop", "applabel": "app=pay"}}}  # fmt: skip
    one, (found,) = diagnose(engine)
    assert command(one, found).startswith("kubectl patch chaosengines.litmuschaos.io/game-day -n shop --type=merge")
    engine["spec"]["engineState"] = "stop"
    assert diagnose(engine)[1] == []


def test_symptoms_of_what_it_strikes_are_its_own():
    tpl = template("pay")
    broken = pod("pay", 1, tpl, ready=False, restarts=7,
                 state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                 last={"terminated": {"reason": "Error", "exitCode": 137}})  # fmt: skip
    objects = [deployment("pay", tpl, ready=0), app("pay")[1], broken, app("pay")[3]]
    one = case(observation(*objects, node(), chaos("PodChaos", action="pod-failure")))
    found = RulesReasoner().diagnose(one)
    assert found.hypotheses[0].object.kind == "PodChaos"
    assert found.chosen == found.hypotheses[0].id


@pytest.mark.parametrize(
    ("kind", "spec", "fault"),
    [
        ("NetworkChaos", {"action": "loss"}, "network_degraded"),
        ("NetworkChaos", {"action": "partition"}, "network_blocked"),
        ("StressChaos", {"stressors": {"cpu": {"workers": 1}}}, "resource_saturation"),
        ("StressChaos", {"stressors": {"memory": {"size": "1Gi"}}}, "oom_killed"),
        ("JVMChaos", {"action": "exception"}, "crash_loop"),
        ("JVMChaos", {"action": "stress", "memType": "heap"}, "oom_killed"),
        ("JVMChaos", {"action": "stress", "cpuCount": 2}, "resource_saturation"),
        ("JVMChaos", {"action": "gc"}, "resource_saturation"),
        ("DNSChaos", {"action": "error"}, "dns_failure"),
        ("IOChaos", {"action": "latency"}, "resource_saturation"),
        ("HTTPChaos", {"abort": True, "target": "Request"}, "network_degraded"),
        ("SomethingElse", {}, "unknown"),
    ],
)
def test_what_it_looks_like(kind, spec, fault):
    assert effect(kind, spec) == fault


def test_a_target_that_is_a_word_is_no_selector():
    assert len(diagnose(chaos("HTTPChaos", target="Request", port=8080, records=False))[1]) == 1
