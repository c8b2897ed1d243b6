"""Detectors on objects: ordinary life is quiet, trouble is not."""

from __future__ import annotations

import pytest
from builders import (
    NOW,
    Obj,
    app,
    change,
    container,
    deployment,
    event,
    meta,
    node,
    observation,
    pod,
    replica_set,
    series,
    service,
    template,
)

from stratus.detection.anomaly import detect
from stratus.detection.changes import change_records
from stratus.kit.clock import iso
from stratus.model.diagnosis import Detection
from stratus.model.evidence import Observation
from stratus.settings import HealthSettings


def found(look: Observation) -> Detection:
    return detect(look, (), health=HealthSettings(), now=look.at)


def with_pod(**fields: object) -> list[Obj]:
    tpl = template("web")
    ready = bool(fields.get("ready", True))
    age = float(str(fields.get("age", 7200.0)))
    return [
        deployment("web", tpl, ready=int(ready), age=age), replica_set("web", 1, tpl, replicas=1, ready=int(ready)),
        pod("web", 1, tpl, **fields), service("web"), node(),
    ]  # fmt: skip


def ended(reason: str, code: int, age: float) -> Obj:
    return {
        "terminated": {
            "reason": reason,
            "exitCode": code,
            "finishedAt": iso(NOW - age),
            "startedAt": iso(NOW - age - 5),
        }
    }


@pytest.mark.parametrize(
    "objects",
    [
        pytest.param([*app("web"), node()], id="all-well"),
        pytest.param(with_pod(restarts=1, last=ended("Error", 1, 3600)), id="one-restart-an-hour-ago"),
        pytest.param(with_pod(restarts=5, age=900.0, last=ended("Error", 1, 420),
                              state={"running": {"startedAt": iso(NOW - 400)}}), id="recovered-after-restarts"),
        pytest.param(with_pod(age=8.0, ready=False), id="a-pod-starting"),
        pytest.param([*app("web"), node(), service("unused", {"app": "gone"}, age=1e6)], id="a-service-left-over"),
        pytest.param([*app("web"), node(), node("node-2", unschedulable=True)], id="a-cordoned-node"),
        pytest.param([*app("web", container(env=[{"name": "PROXY", "value": "optional-proxy:3128"}])), node()],
                     id="an-optional-dependency"),
        pytest.param([*app("web"), deployment("batch", template("batch"), replicas=0), node()], id="parked-workload"),
    ],
)  # fmt: skip
def test_ordinary_life_is_quiet(objects: list[Obj]) -> None:
    detection = found(observation(*objects))
    assert detection.anomalous is False, [a.summary for a in detection.anomalies]


def test_a_warning_event_alone_is_no_incident() -> None:
    objects = [*app("web"), node()]
    look = observation(*objects, event(objects[2], "Unhealthy", "Readiness probe failed: timeout", age=30.0))
    assert found(look).anomalous is False


@pytest.mark.parametrize(
    ("fields", "detector"),
    [
        ({"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}, "ready": False}, "image-pull"),
        ({"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "b"}}, "ready": False, "restarts": 4,
          "last": ended("Error", 1, 20)}, "crash-loop"),
        ({"state": {"waiting": {"reason": "CreateContainerConfigError", "message": "m"}}, "ready": False},
         "container-config"),
        ({"state": ended("Error", 1, 30), "ready": False}, "crash-loop"),
        ({"last": ended("OOMKilled", 137, 60), "restarts": 1}, "oom-killed"),
        ({"last": ended("Error", 1, 60), "restarts": 9, "age": 1800.0,
          "state": {"running": {"startedAt": iso(NOW - 55)}}}, "restarting"),
        ({"ready": False, "age": 300.0}, "not-ready"),
    ],
)  # fmt: skip
def test_trouble_of_a_pod(fields: dict[str, object], detector: str) -> None:
    detection = found(observation(*with_pod(**fields)))
    assert detection.anomalous is True
    assert detector in {a.detector for a in detection.anomalies}
    assert "shop/web" in detection.services


def test_a_target_port_nobody_declares_counts_unless_requests_are_served() -> None:
    objects = [*app("web")[:3], service("web", None, {"port": 80, "targetPort": 9999}), node()]
    assert found(observation(*objects)).anomalous is True
    assert found(observation(*objects, series=(series("web"),))).anomalous is False


def test_pods_without_declared_ports_are_not_suspected() -> None:
    objects = [*app("web", {"name": "app", "image": "i:1"})[:3], service("web"), node()]
    assert found(observation(*objects)).anomalous is False


def test_a_new_policy_that_shuts_a_service_off() -> None:
    policy = {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "deny", "namespace": "shop", "uid": "p", "creationTimestamp": iso(NOW - 100)},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]},
    }  # fmt: skip
    detection = found(observation(*app("web"), node(), policy))
    assert [a.detector for a in detection.anomalies] == ["network-policy"]
    allowing = {**policy, "spec": {**policy["spec"], "ingress": [{}]}}
    assert found(observation(*app("web"), node(), allowing)).anomalous is False


def test_a_node_that_is_not_ready() -> None:
    bad = node()
    bad["status"]["conditions"][0]["status"] = "Unknown"
    detection = found(observation(*app("web"), bad))
    assert "node-not-ready" in {a.detector for a in detection.anomalies}


def test_a_workload_scaled_to_zero_behind_a_service() -> None:
    tpl = template("web")
    idle = deployment("web", tpl, replicas=0, ready=0)
    scaled = event(idle, "ScalingReplicaSet", "Scaled down replica set web-1 from 3 to 0", kind="Normal", age=90.0)
    detection = found(observation(idle, replica_set("web", 1, tpl), service("web"), node(), scaled))
    assert detection.anomalies[0].detector == "scaled-to-zero"
    assert detection.onset == NOW - 90


def test_a_daemon_set_sent_where_no_node_is() -> None:
    tpl = template("web", nodeSelector={"zone": "mars"})

    def daemon(*revisions: Obj, age: float = 120.0) -> list[Obj]:
        body = deployment("web", tpl, replicas=0, ready=0)
        body |= {"kind": "DaemonSet", "status": {"desiredNumberScheduled": 0, "numberReady": 0}}
        history = [
            {
                "apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": n,
                "metadata": meta(f"web-{n}", age=age, owner=("DaemonSet", "web")),
                "data": {"spec": {"template": r}},
            }
            for n, r in enumerate(revisions, 1)
        ]  # fmt: skip
        return [body, *history, node()]

    def signs(*objects: Obj) -> list[tuple[str, str]]:
        return [(a.detector, a.severity) for a in found(observation(*objects)).anomalies if a.object]

    moved = daemon(template("web"), tpl)
    assert ("scaled-to-zero", "critical") in signs(*moved, service("web"))
    # without a Service it may have been switched off; one for nodes that are not here, or an old story, is in order
    assert found(observation(*moved)).anomalous is False
    for calm in (daemon(tpl), daemon(template("web"), tpl, age=200_000.0)):
        assert ("scaled-to-zero", "critical") not in signs(*calm, service("web"))


def test_the_anomalies_evidence_has_ids_of_its_own() -> None:
    detection = found(observation(*with_pod(ready=False, age=300.0)))
    ids = [e.id for a in detection.anomalies for e in a.evidence]
    assert len(ids) == len(set(ids)) == len(detection.anomalies)


def test_change_records_tell_people_from_the_system() -> None:
    obj = service("web", uid="u")
    born = obj["metadata"]["creationTimestamp"]
    obj["metadata"]["managedFields"] = [
        {"manager": "helm", "operation": "Update", "time": born, "fieldsV1": {"f:spec": {"f:selector": {}}}},
        {"manager": "kubectl-edit", "operation": "Update", "time": iso(NOW - 60),
         "fieldsV1": {"f:metadata": {"f:labels": {}}, "f:spec": {"f:ports": {'k:{"port":80}': {"f:targetPort": {}}}}}},
        {"manager": "kube-controller-manager", "operation": "Update", "time": iso(NOW - 5), "fieldsV1": {}},
        {"manager": "x", "operation": "Update", "subresource": "status", "time": iso(NOW - 5), "fieldsV1": {}},
    ]  # fmt: skip
    records = change_records([obj])
    assert [(r["manager"], r["created"]) for r in records] == [("helm", True), ("kubectl-edit", False)]
    assert records[1]["fields"] == ["spec.ports[80].targetPort"]
    look = observation(obj, change(obj, "spec.selector"))
    assert look.of("Change", "shop")[0]["name"] == "web"
