"""Faults put with plain kubectl into a workload of nobody's application, no telemetry at all: found, and repaired."""

from __future__ import annotations

import pytest
from labs import Lab

from stratus.knowledge.runbooks import shipped_runbooks

DEPLOY = "kubectl patch deploy web -n shop --type=strategic -p "
POD = '{"spec":{"template":{"spec":{"containers":[{"name":"app",%s}]}}}}'


def patched(fields: str) -> str:
    """Return a command that changes the container of the Deployment."""
    return DEPLOY + "'" + POD % fields + "'"


FAULTS = [
    pytest.param(
        ["kubectl set image deploy/web app=registry.local/demo/app:does-not-exist -n shop"],
        "image_pull", "Deployment/web",
        {"container": "app", "good_image": "registry.local/demo/app:v1", "revision": 1}, id="bad-image",
    ),
    pytest.param(
        ["kubectl scale deploy/web --replicas=0 -n shop"], "scaled_to_zero", "Deployment/web", {"replicas": 2},
        id="scaled-to-zero",
    ),
    pytest.param(
        ["kubectl set selector svc/web app=wrong -n shop"], "selector_mismatch", "Service/web",
        {"selector": "app=web", "selector_json": '{"app": "web"}'}, id="wrong-selector",
    ),
    pytest.param(
        ["kubectl patch svc web -n shop --type=merge -p '{\"spec\":{\"selector\":{\"extra\":\"web\"}}}'"],
        "selector_mismatch", "Service/web", {"selector": "app=web"}, id="selector-with-one-label-too-many",
    ),
    pytest.param(
        ["kubectl patch svc web -n shop --type=json "
         "-p '[{\"op\":\"replace\",\"path\":\"/spec/ports/0/targetPort\",\"value\":9999}]'"],
        "wrong_target_port", "Service/web", {"target_port": 80, "port_index": 0, "port": 80}, id="wrong-target-port",
    ),
    pytest.param(
        ["kubectl patch svc web -n shop --type=json "
         "-p '[{\"op\":\"replace\",\"path\":\"/spec/ports/0/targetPort\",\"value\":\"grpc\"}]'"],
        "wrong_target_port", "Service/web", {"target_port": 80}, id="target-port-name-that-nobody-declares",
    ),
    pytest.param(
        ["kubectl patch cm web-settings -n shop --type=merge -p '{\"data\":{\"greeting\":null}}'",
         "kubectl rollout restart deploy/web -n shop"],
        "missing_config_key", "ConfigMap/web-settings",
        {"config_map": "web-settings", "key": "greeting", "value": "hello", "workload": "deployment/web"},
        id="key-taken-out-of-the-configmap",
    ),
    pytest.param(
        [patched('"env":[{"name":"GREETING","valueFrom":{"configMapKeyRef":{"name":"web-settings","key":"gretting"}}}]')],
        "missing_config_key", "Deployment/web", {"key": "gretting", "good_key": "greeting", "revision": 1},
        id="reference-to-a-key-that-never-was",
    ),
    pytest.param(
        [patched('"readinessProbe":{"httpGet":{"path":"/nope","port":80}}')], "probe_failing", "Deployment/web",
        {"probe": "readiness", "probe_path": "/healthz", "probe_port": 80, "revision": 1}, id="readiness-path",
    ),
    pytest.param(
        [patched('"readinessProbe":{"httpGet":{"path":"/healthz","port":81}}')], "probe_failing", "Deployment/web",
        {"probe": "readiness", "probe_port": 80, "revision": 1}, id="readiness-port",
    ),
    pytest.param(
        [patched('"livenessProbe":{"httpGet":{"path":"/nope","port":80},"periodSeconds":2,"failureThreshold":2}')],
        "probe_failing", "Deployment/web", {"probe": "liveness", "revision": 1}, id="liveness-path",
    ),
    pytest.param(
        ["kubectl set resources deploy/web -c app --requests=cpu=64 -n shop"], "unschedulable_resources",
        "Deployment/web", {"cpu_request": "50m", "container": "app", "revision": 1}, id="impossible-request",
    ),
    pytest.param(
        [patched('"command":["sh","-c","exit 1"]')], "bad_command", "Deployment/web",
        {"container": "app", "revision": 1, "command_json": "null"}, id="crashing-command",
    ),
    pytest.param(
        [patched('"command":["/no/such/binary"]')], "bad_command", "Deployment/web", {"revision": 1},
        id="command-that-does-not-exist",
    ),
    pytest.param(
        ["kubectl set env deploy/web CRASH=1 -n shop"], "bad_env", "Deployment/web",
        {"env": "CRASH", "extra_env": "CRASH", "revision": 1}, id="bad-env",
    ),
    pytest.param(
        ["kubectl patch deploy web -n shop --type=merge "
         "-p '{\"spec\":{\"template\":{\"spec\":{\"nodeSelector\":{\"disk\":\"ssd\"}}}}}'"],
        "unschedulable_selector", "Deployment/web", {"node_selector_key": "disk", "revision": 1},
        id="unschedulable-nodeselector",
    ),
    pytest.param(
        ["kubectl set serviceaccount deploy/web nobody -n shop"], "service_account_missing", "Deployment/web",
        {"service_account": "nobody", "good_service_account": "default"}, id="serviceaccount-missing",
    ),
    pytest.param(
        ["kubectl create quota small --hard=pods=1 -n shop", "kubectl scale deploy/web --replicas=4 -n shop"],
        "quota_exceeded", "ResourceQuota/small", {"quota": "small", "quota_key": "pods", "quota_value": "5"},
        id="quota",
    ),
    pytest.param(
        ["kubectl delete cm web-settings -n shop", "kubectl rollout restart deploy/web -n shop"],
        "missing_config", "ConfigMap/web-settings", {"config_map": "web-settings", "workload": "deployment/web"},
        id="configmap-deleted",
    ),
    pytest.param(
        ["kubectl set env deploy/web OTHER_ADDR=other:8080 -n shop", "kubectl delete svc other -n shop"],
        "no_endpoints", "Service/other",
        {"missing_service": "other", "port": 8080, "target_port": 8080, "workload": "deployment/other"},
        id="service-deleted",
    ),
    pytest.param(
        ["kubectl set env deploy/web OTHER_ADDR=other:9999 -n shop"], "dependency_address", "Deployment/web",
        {"env": "OTHER_ADDR", "container": "app"}, id="address-with-a-port-that-does-not-exist",
    ),
]  # fmt: skip


@pytest.mark.parametrize("with_runbooks", [False, True], ids=["bare", "runbooks"])
@pytest.mark.parametrize(("commands", "fault", "blamed", "facts"), FAULTS)
def test_a_fault_is_found_and_repaired(
    lab: Lab, commands: list[str], fault: str, blamed: str, facts: dict[str, object], with_runbooks: bool
) -> None:
    lab.runbooks = shipped_runbooks() if with_runbooks else ()
    for command in commands:
        lab.kubectl(command)
    lab.advance(60)
    case, diagnosis, chosen = lab.diagnose()
    assert case.detection.anomalous is True
    assert chosen.fault == fault, diagnosis.reasoning
    assert str(chosen.object) == f"shop/{blamed}"
    assert {k: chosen.facts.get(k) for k in facts} == facts
    assert chosen.confidence >= 0.8
    assert chosen.evidence_for
    lab.repair()
    lab.advance(90)
    healed = lab.detection()
    assert healed.anomalous is False, [a.summary for a in healed.anomalies]


def test_a_key_nobody_remembers_is_not_invented(lab: Lab) -> None:
    lab.kubectl("kubectl create configmap plain --from-literal=size=3 -n shop")
    lab.kubectl(patched('"env":[{"name":"SIZE","valueFrom":{"configMapKeyRef":{"name":"plain","key":"size"}}}]'))
    lab.advance(60)
    lab.kubectl('kubectl patch cm plain -n shop --type=json -p \'[{"op":"remove","path":"/data/size"}]\'')
    lab.kubectl("kubectl rollout restart deploy/web -n shop")
    lab.advance(60)
    _, _, chosen = lab.diagnose()
    assert chosen.fault == "missing_config_key"
    assert "value" not in chosen.facts


def test_the_value_of_a_secret_is_never_seen(lab: Lab) -> None:
    lab.kubectl("kubectl create secret generic login --from-literal=password=hunter2hunter2 -n shop")
    lab.advance(5)
    look = lab.look()
    (secret,) = look.of("Secret")
    assert secret["data"] == {"password": ""}
    assert "aHVudGVy" not in look.model_dump_json()


def test_two_faults_at_once_are_both_found_and_repaired_one_after_the_other(lab: Lab) -> None:
    lab.kubectl("kubectl set selector svc/web app=wrong -n shop")
    lab.kubectl("kubectl scale deploy/other --replicas=0 -n shop")
    lab.advance(60)
    _, diagnosis, _ = lab.diagnose()
    found = {(h.fault, h.object.name) for h in diagnosis.hypotheses if h.confidence > 0.8}
    assert {("selector_mismatch", "web"), ("scaled_to_zero", "other")} <= found
    lab.repair()
    lab.advance(60)
    assert lab.detection().anomalous is True
    lab.repair()
    lab.advance(60)
    assert lab.detection().anomalous is False


def test_the_root_cause_swallows_its_symptoms(lab: Lab) -> None:
    lab.kubectl("kubectl patch deploy web -n shop --type=merge -p '{\"spec\":{\"strategy\":{\"type\":\"Recreate\","
                "\"rollingUpdate\":null}}}'")  # fmt: skip
    lab.kubectl("kubectl set image deploy/web app=registry.local/demo/app:does-not-exist -n shop")
    lab.advance(120)
    case, diagnosis, chosen = lab.diagnose()
    assert any(a.detector == "no-endpoints" for a in case.detection.anomalies)
    assert [h.fault for h in diagnosis.hypotheses] == ["image_pull"]
    assert chosen.facts["good_image"] == "registry.local/demo/app:v1"


def test_a_healthy_cluster_with_ordinary_noise_is_healthy(lab: Lab) -> None:
    lab.apply("""
apiVersion: batch/v1
kind: Job
metadata: {name: report, namespace: shop}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: job, image: "busybox:1.36", command: ["true"]}]
""")
    lab.advance(30)
    lab.kubectl("kubectl rollout restart deploy/other -n shop")
    lab.advance(2)
    detection = lab.detection()
    assert detection.anomalous is False, [a.summary for a in detection.anomalies]
    assert detection.services == ()


def test_change_times_are_known(lab: Lab) -> None:
    before = lab.clock.now()
    lab.kubectl("kubectl set selector svc/web app=wrong -n shop")
    lab.advance(10)
    records = [c for c in lab.look().of("Change") if c["name"] == "web" and c["kind"] == "Service" and not c["created"]]
    assert records
    assert records[-1]["time"] == pytest.approx(before, abs=1)
    assert any("selector" in f for f in records[-1]["fields"])


def test_objects_carry_no_managed_fields(lab: Lab) -> None:
    assert "managedFields" not in lab.look().model_dump_json()
