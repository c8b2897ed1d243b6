"""A restart that no undo could make good is refused; one that cannot hurt is let through."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from stratus.mitigation.restarts import careful, lossy_restarts
from stratus.model.actions import ApiWrite, PlannedWrite
from stratus.model.base import Json
from stratus.model.refs import ObjectRef

PROBE = {"httpGet": {"path": "/", "port": 80}}


def deployment(*, ready: int = 1, replicas: int = 1, probe: bool = False, strategy: Json | None = None) -> Json:
    container: Json = {"name": "web", "image": "web:1", **({"readinessProbe": PROBE} if probe else {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "replicas": replicas,
            "strategy": strategy or {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
        },
        "status": {"readyReplicas": ready} if ready else {},
    }


def planned(before: Json, after: Json | None, kind: str = "Deployment", method: Any = "PATCH") -> PlannedWrite:
    target = ObjectRef(api_version="v1", kind=kind, name="web", namespace="shop")
    write = ApiWrite(method=method, target=target, plural=kind.lower() + "s")
    return PlannedWrite(write=write, command="kubectl x", reversibility="equivalent", pre_image=before, dry_run=after)


def restart(before: Json) -> PlannedWrite:
    after = copy.deepcopy(before)
    after["spec"]["template"]["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": "now"}
    return planned(before, after)


def codes(*writes: PlannedWrite) -> list[str]:
    return [r.code for r in lossy_restarts(writes)]


def test_restarting_what_serves_without_a_probe_is_refused() -> None:
    assert codes(restart(deployment())) == ["lossy_restart"]


def test_restarting_what_does_not_serve_is_allowed() -> None:
    assert codes(restart(deployment(ready=0))) == []


def test_readiness_probes_guard_the_old_pods_when_none_may_be_missing() -> None:
    assert codes(restart(deployment(probe=True))) == []
    assert codes(restart(deployment(probe=True, replicas=4, ready=4))) == ["lossy_restart"], "one of four goes first"


@pytest.mark.parametrize(
    ("strategy", "replicas", "kept"),
    [
        ({"type": "Recreate"}, 1, False),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}, 8, True),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}, 8, False),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}}, 1, False),
    ],
)
def test_the_strategy_decides_whether_old_pods_are_kept(strategy: Json, replicas: int, kept: bool) -> None:
    assert careful(deployment(probe=True, replicas=replicas, strategy=strategy)) is kept


def test_one_container_without_a_probe_is_enough_to_be_careless() -> None:
    workload = deployment(probe=True)
    workload["spec"]["template"]["spec"]["containers"].append({"name": "sidecar", "image": "x:1"})
    assert not careful(workload)


def test_a_change_of_the_template_is_no_mere_restart() -> None:
    before = deployment()
    after = copy.deepcopy(before)
    after["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2"
    assert codes(planned(before, after)) == []


def test_a_restart_after_a_change_of_configuration_has_a_reason() -> None:
    config = planned({"kind": "ConfigMap", "data": {}}, {"kind": "ConfigMap", "data": {"a": "b"}}, kind="ConfigMap")
    assert codes(config, restart(deployment())) == []


def test_a_ready_pod_is_not_deleted_and_a_failing_one_may_be() -> None:
    pod: Json = {"kind": "Pod", "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert codes(planned(pod, None, kind="Pod", method="DELETE")) == ["lossy_restart"]
    pod["status"]["conditions"][0]["status"] = "False"
    assert codes(planned(pod, None, kind="Pod", method="DELETE")) == []


def test_scaling_is_none_of_its_business() -> None:
    before = deployment()
    after = copy.deepcopy(before)
    after["spec"]["replicas"] = 3
    assert codes(planned(before, after)) == []
