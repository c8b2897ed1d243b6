"""What is added to pods and what is refused on grounds beyond the object."""

from typing import Any

import pytest

from stratus.sim.controllers.common import AdmissionDenied

CORE = "/api/v1/namespaces/default"


def test_pods_are_completed(call: Any, make: Any) -> None:
    _, pod = call("POST", f"{CORE}/pods", make.pod())
    spec = pod["spec"]
    assert spec["serviceAccountName"] == "default"
    volume = spec["volumes"][0]["name"]
    assert volume.startswith("kube-api-access-")
    assert spec["containers"][0]["volumeMounts"][0]["name"] == volume
    assert [t["key"] for t in spec["tolerations"]] == ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (0, "PreemptLowerPriority")
    assert pod["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


def test_missing_account_and_priority_class(call: Any, make: Any) -> None:
    status, obj = call("POST", f"{CORE}/pods", make.pod(serviceAccountName="ghost"))
    assert status == 403
    assert 'error looking up service account default/ghost: serviceaccount "ghost" not found' in obj["message"]
    _, obj = call("POST", f"{CORE}/pods", make.pod(priorityClassName="vip"))
    assert obj["message"] == 'pods "p" is forbidden: no PriorityClass with name vip was found'
    call("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": "vip"}, "value": 7})
    assert call("POST", f"{CORE}/pods", make.pod(priorityClassName="vip"))[1]["spec"]["priority"] == 7


@pytest.mark.parametrize(
    ("resources", "want"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
    ],
)
def test_quality_of_service(call: Any, make: Any, resources: dict, want: str) -> None:
    body = make.pod()
    body["spec"]["containers"][0]["resources"] = resources
    assert call("POST", f"{CORE}/pods", body)[1]["status"]["qosClass"] == want


def sized(make: Any, name: str, **resources: Any) -> dict:
    body = make.pod(name)
    body["spec"]["containers"][0]["resources"] = resources
    return body


def test_quotas_refuse_with_the_servers_sums(call: Any, make: Any) -> None:
    hard = {
        "pods": "1",
        "requests.cpu": "1",
        "limits.memory": "1Gi",
        "count/configmaps": "2",
        "services.nodeports": "0",
    }
    call("POST", f"{CORE}/resourcequotas", {"metadata": {"name": "q"}, "spec": {"hard": hard}})
    fits = sized(make, "a", requests={"cpu": "500m"}, limits={"memory": "512Mi"})
    assert call("POST", f"{CORE}/pods", make.pod())[1]["message"] == (
        'pods "p" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c'
    )
    big = sized(make, "a", requests={"cpu": "2"}, limits={"memory": "1Mi"})
    assert call("POST", f"{CORE}/pods", big)[1]["message"] == (
        'pods "a" is forbidden: exceeded quota: q, requested: requests.cpu=2, used: requests.cpu=0, limited: requests.cpu=1'  # noqa: E501
    )
    assert call("POST", f"{CORE}/pods", fits)[0] == 201
    assert call("GET", f"{CORE}/resourcequotas/q")[1]["status"]["used"]["pods"] == "1"
    more = sized(make, "b", requests={"cpu": "900m"}, limits={"memory": "900Mi"})
    assert call("POST", f"{CORE}/pods", more)[1]["message"] == (
        'pods "b" is forbidden: exceeded quota: q, requested: limits.memory=900Mi,pods=1,requests.cpu=900m, '
        "used: limits.memory=512Mi,pods=1,requests.cpu=500m, limited: limits.memory=1Gi,pods=1,requests.cpu=1"
    )
    for name in ("1", "2"):
        assert call("POST", f"{CORE}/configmaps", {"metadata": {"name": name}})[0] == 201
    assert call("POST", f"{CORE}/configmaps?dryRun=All", {"metadata": {"name": "3"}})[1]["message"] == (
        'configmaps "3" is forbidden: exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=2, limited: count/configmaps=2'  # noqa: E501
    )
    service = {"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}}
    assert (
        "requested: services.nodeports=1, used: services.nodeports=0"
        in call("POST", f"{CORE}/services", service)[1]["message"]
    )


def test_limit_ranges_default_and_refuse(call: Any, make: Any) -> None:
    limits = [
        {"type": "Container", "max": {"cpu": "1"}, "default": {"cpu": "500m"}, "maxLimitRequestRatio": {"cpu": "2"}},
        {"type": "Pod", "max": {"cpu": "1500m"}},
        {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}},
    ]
    call("POST", f"{CORE}/limitranges", {"metadata": {"name": "l"}, "spec": {"limits": limits}})
    _, pod = call("POST", f"{CORE}/pods", make.pod())
    assert pod["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "500m"}, "requests": {"cpu": "500m"}}
    assert pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"].startswith(
        "LimitRanger plugin set: cpu request"
    )
    big = sized(make, "a", limits={"cpu": "2"})
    assert call("POST", f"{CORE}/pods", big)[1]["message"] == (
        'pods "a" is forbidden: [maximum cpu usage per Container is 1, but limit is 2, '
        "maximum cpu usage per Pod is 1500m, but limit is 2]"
    )
    wide = sized(make, "a", limits={"cpu": "1"}, requests={"cpu": "100m"})
    assert (
        "cpu max limit to request ratio per Container is 2, but provided ratio is 10.000000"
        in call("POST", f"{CORE}/pods", wide)[1]["message"]
    )
    claim = {
        "metadata": {"name": "v"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}},
    }
    assert call("POST", f"{CORE}/persistentvolumeclaims", claim)[1]["message"] == (
        'persistentvolumeclaims "v" is forbidden: maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 5Gi'  # noqa: E501
    )


def test_admit_pod_gives_controllers_the_same(api: Any, make: Any) -> None:
    body = {**make.pod(), "metadata": {"name": "p", "namespace": "default"}}
    pod = api.admit_pod(body)
    assert pod["spec"]["serviceAccountName"] == "default"
    assert api.store.get("pods", "default", "p") is None
    body["spec"]["serviceAccountName"] = "ghost"
    body["metadata"]["generateName"] = "web-x-"
    with pytest.raises(AdmissionDenied) as denied:
        api.admit_pod(body)
    why = 'error looking up service account default/ghost: serviceaccount "ghost" not found'
    assert str(denied.value) == f'pods "web-x-" is forbidden: {why}'


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"containers": []}, "spec.containers: Required value"),
        ({"containers": [{"name": "C_1", "image": "x"}]}, 'spec.containers[0].name: Invalid value: "C_1"'),
        ({"containers": [{"name": "c", "image": "x"}, {"name": "c", "image": "x"}]}, 'spec.containers[1].name: Duplicate value: "c"'),  # noqa: E501
        ({"containers": [{"name": "c", "image": " x"}]}, "must not have leading or trailing whitespace"),
        ({"containers": [{"name": "c", "image": "x", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]},
         'spec.containers[0].volumeMounts[0].name: Not found: "v"'),
        ({"containers": [{"name": "c", "image": "x", "livenessProbe": {}}]}, "livenessProbe: Required value: must specify a handler type"),  # noqa: E501
        ({"containers": [{"name": "c", "image": "x", "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}]},
         'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'),
        ({"restartPolicy": "Maybe"}, 'spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "OnFailure", "Never"'),  # noqa: E501
        ({"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}]}, "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"),  # noqa: E501
    ],
)  # fmt: skip
def test_pod_validation(call: Any, make: Any, spec: dict, text: str) -> None:
    status, obj = call("POST", f"{CORE}/pods", make.pod(**spec))
    assert status == 422
    assert text in obj["message"]


def test_a_running_pod_may_change_little(call: Any, make: Any) -> None:
    _, pod = call("POST", f"{CORE}/pods", make.pod())
    pod["spec"]["containers"][0]["image"] = "nginx:9"
    assert call("PUT", f"{CORE}/pods/p", pod)[0] == 200
    pod["metadata"].pop("resourceVersion")
    pod["spec"]["nodeSelector"] = {"a": "b"}
    status, obj = call("PUT", f"{CORE}/pods/p", pod)
    assert status == 422
    assert "pod updates may not change fields other than" in obj["message"]


def test_a_service_port_has_a_label_for_a_name(call: Any) -> None:
    body = {"metadata": {"name": "s"}, "spec": {"ports": [{"name": "A_b", "port": 80}]}}
    status, obj = call("POST", f"{CORE}/services", body)
    assert status == 422
    assert 'spec.ports[0].name: Invalid value: "A_b": a lowercase RFC 1123 label' in obj["message"]
