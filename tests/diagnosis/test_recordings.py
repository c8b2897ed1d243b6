"""What a real cluster recorded: faults are named rightly, and quiet recordings stay quiet."""

from __future__ import annotations

import pytest
from replaying import available, observed

from stratus.detection.anomaly import detect
from stratus.diagnosis.rules import RulesReasoner
from stratus.model.cases import Case
from stratus.settings import HealthSettings

pytestmark = pytest.mark.skipif(not available(), reason="no recordings of a real cluster (set STRATUS_GOLDEN)")

FAULTS = [
    ("bad-command", 131, "bad_command", "Deployment/web"),
    ("crashloop", 330, "crash_loop", "Deployment/web"),
    ("image-404", 300, "image_pull", "Deployment/web"),
    ("image-bad-then-fixed", 40, "image_pull", "Deployment/web"),
    ("image-invalid-name", 60, "image_pull", "Deployment/web"),
    ("image-pull-never", 41, "image_pull", "Pod/p"),
    ("job-failure-backofflimit", 120, "job_failing", "Job/j"),
    ("limitrange-defaults", 33, "admission_refused", "Deployment/big"),
    ("liveness-failing", 240, "probe_failing", "Deployment/web"),
    ("startup-failing", 100, "probe_failing", "Deployment/web"),
    ("readiness-failing", 60, "probe_failing", "Deployment/web"),
    ("missing-configmap-env", 76, "missing_config", "ConfigMap/nope"),
    ("missing-configmap-volume-fixed", 29, "missing_config", "ConfigMap/late"),
    ("missing-secret-volume", 200, "missing_config", "Secret/nope"),
    ("missing-key", 45, "missing_config_key", "ConfigMap/cm"),
    ("node-notready", 394, "node_not_ready", "Node/node3"),
    ("oomkilled", 200, "oom_killed", "Deployment/web"),
    ("pdb-and-drain", 25, "unschedulable_taint", "Node/node4"),
    ("progress-deadline", 47, "image_pull", "Deployment/web"),
    ("pvc-missing", 31, "volume_unbound", "Deployment/web"),
    ("pvc-pending", 60, "volume_unbound", "PersistentVolumeClaim/data"),
    ("quota-blocks-pods", 48, "quota_exceeded", "ResourceQuota/q"),
    ("rollout-undo", 11, "image_pull", "Deployment/web"),
    ("scale-zero-and-back", 11, "scaled_to_zero", "Deployment/web"),
    ("service-selector-mismatch", 11.5, "selector_mismatch", "Service/web"),
    ("service-target-port-wrong", 11, "wrong_target_port", "Service/web"),
    ("serviceaccount-missing", 30, "service_account_missing", "Deployment/web"),
    ("statefulset-stuck-update", 42, "image_pull", "StatefulSet/db"),
    ("unschedulable-antiaffinity", 31, "unschedulable_selector", "Deployment/web"),
    ("unschedulable-nodeselector", 41, "unschedulable_selector", "Deployment/web"),
    ("unschedulable-resources", 40, "unschedulable_resources", "Deployment/web"),
]

QUIET = [
    ("cascade-orphan", 19), ("configmap-volume-update", 82), ("cronjob", 200), ("daemonset", 20), ("eviction-api", 7),
    ("image-bad-then-fixed", 60), ("init-ok-sidecar", 4), ("job-success", 26), ("missing-key", 75),
    ("missing-configmap-volume-fixed", 45), ("pdb-and-drain", 19), ("pod-delete-selfheal", 9), ("pod-force-delete", 14),
    ("recreate-update", 9), ("rolling-update", 12), ("rolling-update-slow-readiness", 20), ("rollout-normal", 7),
    ("rollout-restart", 11), ("rollout-undo", 21), ("scale-zero-and-back", 17), ("service-selector-mismatch", 5.7),
    ("service-selector-mismatch", 20), ("statefulset-ordered", 12), ("statefulset-ordered", 27),
]  # fmt: skip


@pytest.mark.parametrize(("name", "at", "fault", "blamed"), FAULTS)
def test_a_recorded_fault_is_named(name: str, at: float, fault: str, blamed: str) -> None:
    look = observed(name, at)
    detection = detect(look, (), health=HealthSettings(), now=look.at)
    assert detection.anomalous is True
    top = RulesReasoner().diagnose(Case(incident="inc-1", detection=detection, observation=look)).hypotheses[0]
    assert (top.fault, f"{top.object.kind}/{top.object.name}") == (fault, blamed), top.summary


@pytest.mark.parametrize(("name", "at"), QUIET)
def test_a_quiet_recording_raises_no_alarm(name: str, at: float) -> None:
    look = observed(name, at)
    detection = detect(look, (), health=HealthSettings(), now=look.at)
    assert detection.anomalous is False, [a.summary for a in detection.anomalies]


def test_the_way_back_is_the_last_revision_that_ran() -> None:
    """Revision 3 is broken; 2 ran before it, 1 before that."""
    look = observed("rollout-undo", 11)
    detection = detect(look, (), health=HealthSettings(), now=look.at)
    top = RulesReasoner().diagnose(Case(incident="inc-1", detection=detection, observation=look)).hypotheses[0]
    assert top.facts["revision"] == 2
    assert top.facts["good_image"].endswith(":v2")


def test_a_pod_left_behind_by_a_stateful_rollback_is_deleted() -> None:
    look = observed("statefulset-stuck-update", 68)
    detection = detect(look, (), health=HealthSettings(), now=look.at)
    case = Case(incident="inc-1", detection=detection, observation=look)
    reasoner = RulesReasoner()
    diagnosis = reasoner.diagnose(case)
    chosen = diagnosis.hypothesis(diagnosis.chosen)
    assert chosen is not None
    plan = reasoner.plan(case, chosen)
    assert plan is not None
    assert [s.command for s in plan.steps] == ["kubectl delete pod/db-2 -n lc-statefulset-stuck-update"]
