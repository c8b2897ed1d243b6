"""Replays the commands of recorded lifecycles and compares what pods and events say with the recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stratus.conformance.golden import Golden
from stratus.conformance.stories import Step, agreeing, compare, recorded
from stratus.conformance.suites.lifecycles import known_steps, told

PODS = [
    "bad-command", "cascade-background", "cascade-orphan", "configmap-volume-update", "crashloop",
    "delete-with-finalizer",
    "eviction-api", "hostport-conflict", "image-404", "image-bad-then-fixed", "image-invalid-name",
    "image-pull-never",
    "init-failing", "init-ok-sidecar", "limitrange-defaults", "liveness-failing", "missing-configmap-env",
    "missing-configmap-volume-fixed", "missing-key", "missing-secret-env", "missing-secret-volume",
    "namespace-deletion",
    "oomkilled", "pod-completed-and-failed", "pod-delete-selfheal", "pod-force-delete", "pod-label-orphan-adopt",
    "pod-slow-termination", "progress-deadline", "pvc-missing", "quota-blocks-pods", "readiness-failing",
    "recreate-update", "rolling-update-slow-readiness", "rolling-update", "rollout-normal", "rollout-restart",
    "rollout-undo", "scale-zero-and-back", "service-selector-mismatch", "service-target-port-wrong",
    "serviceaccount-missing", "startup-failing", "unschedulable-antiaffinity", "unschedulable-memory-then-fixed",
    "unschedulable-nodeselector", "unschedulable-resources", "unschedulable-taint",
]  # fmt: skip
LATER = [
    "cronjob", "daemonset", "job-deadline", "job-failure-backofflimit", "job-failure-onfailure", "job-success",
    "job-ttl-suspend", "node-notready", "pdb-and-drain", "pvc-class-missing", "pvc-pending", "statefulset-ordered",
    "statefulset-pvc-template", "statefulset-stuck-update", "taint-noexecute",
]  # fmt: skip
#: What the recorded run shows by an accident that no recorded moment tells of.
ACCIDENTS = {
    "readiness-failing": "one of two first probes came before the program listened",
    "rolling-update-slow-readiness": "two pods of a node were probed at another moment than their start explains",
    "rollout-restart": "the kubelet's cache of ConfigMaps was not yet filled for one pod",
}
#: What, besides, hangs on how slow the recorded machine was: at their own pace nodes show the commoner order.
SLOWNESS = {
    "job-failure-onfailure": "a container took half a second to start, so the Job's pass came before its end was seen",
    "rollout-undo": "the kubelet's writes of two states of a deleted pod became one",
    "service-target-port-wrong": "the kubelet's writes of two states of a new pod became one",
    "statefulset-ordered": "three of five last probes fell between the end of listening and the end of the pod",
    "statefulset-stuck-update": "a last probe was made after the pod's network was gone",
}


def _scenarios(accidents: dict[str, str]) -> list[Any]:
    return [
        pytest.param(name, marks=pytest.mark.xfail(reason=accidents[name], strict=True)) if name in accidents else name
        for name in PODS + LATER
    ]


@pytest.fixture(scope="module")
def known(golden: Path) -> set[Step]:
    return known_steps(Golden(golden))


@pytest.mark.parametrize("scenario", _scenarios(ACCIDENTS))
def test_lifecycle_at_the_recorded_pace(scenario: str, golden: Path, known: set[Step]) -> None:
    records = Golden(golden).records(f"lifecycles/{scenario}.jsonl.gz")
    problems = compare(told(records, recorded_pace=True), recorded(records), known)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("scenario", _scenarios(ACCIDENTS | SLOWNESS))
def test_lifecycle_at_its_own_pace(scenario: str, golden: Path) -> None:
    records = Golden(golden).records(f"lifecycles/{scenario}.jsonl.gz")
    problems = compare(told(records), recorded(records))
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("seed", [3, 11])
@pytest.mark.parametrize("scenario", ["rollout-undo", "service-target-port-wrong", "statefulset-ordered"])
def test_what_the_recorded_pace_leads_to_hangs_on_no_seed(
    scenario: str, seed: int, golden: Path, known: set[Step]
) -> None:
    records = Golden(golden).records(f"lifecycles/{scenario}.jsonl.gz")
    assert not compare(told(records, recorded_pace=True, seed=seed), recorded(records), known)


def test_sequences_are_counted_one_by_one(golden: Path) -> None:
    records = Golden(golden).records("lifecycles/rollout-restart.jsonl.gz")
    same, total = agreeing(told(records), recorded(records))
    assert same == total - 1
