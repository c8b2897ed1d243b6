"""The rules against the embedded application under load, with its telemetry: cause, object, and what is tried next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stratus.cluster.kube.cluster import KubeCluster
from stratus.cluster.kubectl.compiler import compile_command
from stratus.detection.anomaly import detect
from stratus.detection.collection import collect
from stratus.diagnosis.logs import mine
from stratus.diagnosis.rules import RulesReasoner
from stratus.model.cases import Case
from stratus.model.diagnosis import Diagnosis, Hypothesis
from stratus.model.evidence import Observation
from stratus.model.reports import Attempt
from stratus.settings import Settings
from stratus.sim.cluster import EmbeddedCluster

SETTINGS = Settings()


class Eyes:
    """What a responder sees of the cluster and does to it."""

    def __init__(self, sim: EmbeddedCluster) -> None:
        self.sim = sim
        self.kube = KubeCluster(sim.api_client())

    def look(self) -> Observation:
        return collect(
            self.kube.reader, self.sim.telemetry(), (), now=self.sim.clock.now(), window=SETTINGS.window,
            step=SETTINGS.step, baseline=SETTINGS.baseline, protected=SETTINGS.policy.protected_namespaces,
        )  # fmt: skip

    def case(self, **fields: object) -> Case:
        look = self.look()
        alerts = self.sim.telemetry().alerts
        assert alerts is not None
        found = detect(look, alerts.firing(), health=SETTINGS.health, now=look.at)
        return Case(incident="inc-1", detection=found, observation=look, templates=mine(look, found.onset), **fields)

    def diagnose(self, **fields: object) -> tuple[Case, Diagnosis, Hypothesis]:
        case = self.case(**fields)
        diagnosis = RulesReasoner().diagnose(case)
        chosen = diagnosis.hypothesis(diagnosis.chosen)
        assert chosen is not None, diagnosis.reasoning
        return case, diagnosis, chosen

    def kubectl(self, line: str) -> None:
        for write in compile_command(
            line, namespace=self.sim.namespace, reader=self.kube.reader, clock=self.sim.clock
        ).writes:
            self.kube.writer.write(write)


@contextmanager
def embedded(fault: str = "", seconds: float = 180.0) -> Iterator[Eyes]:
    sim = EmbeddedCluster(seed=3)
    eyes = Eyes(sim)
    try:
        if fault:
            if fault not in {f.id for f in sim.faults()}:
                pytest.skip(f"the embedded cluster has no fault {fault}")
            sim.inject(fault)
            sim.advance(seconds)
        yield eyes
    finally:
        eyes.kube.close()
        sim.close()


FAULTS = [
    ("bad-build-config", "bad_change", "Deployment/search"),
    ("bad-build-errors", "bad_change", "Deployment/recommendation"),
    ("bad-build-memory", "oom_killed", "Deployment/reservation"),
    ("bad-build-slow", "bad_change", "Deployment/profile"),
    ("bad-env-address", "dependency_address", "Deployment/search"),
    ("bad-env-value", "bad_env", "Deployment/user"),
    ("cache-gone", "scaled_to_zero", "Deployment/memcached-profile"),
    ("cpu-limit-cut", "resource_saturation", "Deployment/rate"),
    ("database-down", "scaled_to_zero", "Deployment/mongodb-rate"),
    ("drop-mongo-user", "auth_failure", "Deployment/mongodb-rate"),
    ("geo-wrong-image", "bad_change", "Deployment/geo"),
    ("image-pull-user", "image_pull", "Deployment/user"),
    ("liveness-probe", "probe_failing", "Deployment/recommendation"),
    ("memory-limit-cut", "oom_killed", "Deployment/profile"),
    ("missing-config-key", "missing_config_key", "ConfigMap/hotel-reservation-env"),
    ("network-policy-block", "network_blocked", "NetworkPolicy/deny-all-recommendation"),
    ("network-policy-database", "network_blocked", "NetworkPolicy/mongodb-rate-access"),
    ("readiness-probe", "probe_failing", "Deployment/frontend"),
    ("revoke-mongo-role", "auth_failure", "Deployment/mongodb-rate"),
    ("scaled-to-zero", "scaled_to_zero", "Deployment/recommendation"),
    ("traffic-surge", "overload", "Deployment/frontend"),
    ("unschedulable-node-selector", "unschedulable_selector", "Deployment/rate"),
    ("unschedulable-request", "unschedulable_resources", "Deployment/search"),
    ("wrong-binary", "bad_command", "Deployment/profile"),
    ("wrong-database-address", "dependency_address", "ConfigMap/hotel-reservation-config"),
    ("wrong-selector", "selector_mismatch", "Service/reservation"),
    ("wrong-target-port", "wrong_target_port", "Service/geo"),
]


@pytest.mark.parametrize(("fault", "kind", "blamed"), FAULTS)
def test_the_cause_is_found(fault: str, kind: str, blamed: str) -> None:
    with embedded(fault) as eyes:
        case, diagnosis, chosen = eyes.diagnose()
        assert case.detection.anomalous is True
        assert (chosen.fault, f"{chosen.object.kind}/{chosen.object.name}") == (kind, blamed), diagnosis.reasoning


def test_normal_life_and_noise_are_healthy() -> None:
    with embedded() as eyes:
        assert eyes.case().detection.anomalous is False
        for _ in range(6):
            eyes.sim.advance(150)
            detection = eyes.case().detection
            assert detection.anomalous is False, [a.summary for a in detection.anomalies]
    with embedded("noise", 120) as eyes:
        detection = eyes.case().detection
        assert detection.anomalous is False, [a.summary for a in detection.anomalies]


def test_the_plausible_rollout_is_tried_first_and_the_database_second() -> None:
    """The rollout is innocent; rolling it back in vain is evidence, and the starved database comes next."""
    with embedded("misleading-rollout") as eyes:
        case, diagnosis, first = eyes.diagnose()
        assert (first.fault, first.object.name) == ("bad_change", "rate")
        plan = RulesReasoner().plan(case, first)
        assert plan is not None
        image = eyes.kube.reader.list("Deployment", case.detection.namespaces[0])
        before = next(d for d in image if d["metadata"]["name"] == "rate")["spec"]["template"]["spec"]["containers"][0]
        for step in plan.steps:
            eyes.kubectl(step.command)
        eyes.sim.advance(60)
        eyes.kubectl(f"kubectl set image deployment/rate {before['name']}={before['image']}")  # the undo
        eyes.sim.advance(60)
        attempt = Attempt(number=1, hypothesis=first.id, summary=plan.summary, executed=True, undone=True,
                          commands=tuple(s.command for s in plan.steps), verdict="REGRESSED")  # fmt: skip
        ledger = tuple(
            h.model_copy(update={"status": "tried"}) if h.id == first.id else h for h in diagnosis.hypotheses
        )
        case, diagnosis, second = eyes.diagnose(attempts=(attempt,), ledger=ledger, round=2)
        assert (second.fault, second.object.name) == ("resource_saturation", "mongodb-rate"), diagnosis.reasoning
        plan = RulesReasoner().plan(case, second)
        assert plan is not None
        assert "--limits=cpu=" in plan.steps[0].command
        for step in plan.steps:
            eyes.kubectl(step.command)
        eyes.sim.advance(400)
        detection = eyes.case().detection
        assert detection.anomalous is False, [a.summary for a in detection.anomalies]
