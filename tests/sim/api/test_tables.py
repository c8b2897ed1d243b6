"""Rows of every kind as a real server prints them, where their cells are not plain copies of fields."""

# ruff: noqa: E501 - a case a line, as in a table

from typing import Any

import pytest

from stratus.kit.clock import iso
from stratus.sim.api.clusterprinters import CLUSTER_PRINTERS
from stratus.sim.api.printers import PRINTERS
from stratus.sim.api.resources import Registry
from stratus.sim.api.tables import Printer, _columns, _data
from stratus.sim.store import Store

NOW = 1767603600.0
SINCE = {"creationTimestamp": iso(NOW - 90)}
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
CORE = "/api/v1/namespaces/default"


def cells(kind: str, **fields: Any) -> list[Any]:
    """Return the cells of an object named `x`, 90 seconds old, by the names of their columns."""
    meta = {"name": "x", **SINCE, **fields.pop("metadata", {})}
    return PRINTERS[kind]({"metadata": meta, **fields}, NOW)


def cell(column: str, kind: str, **fields: Any) -> Any:
    """Return one cell."""
    names = [c["name"] for c in _columns(kind)]
    return cells(kind, **fields)[names.index(column)]


def test_every_listable_kind_has_columns_that_fit_its_printer(api: Any) -> None:
    registry: Registry = api.registry
    plain = {"Role", "ClusterRole", "LimitRange", "CustomResourceDefinition"}
    for gv in registry.group_versions():
        for resource in gv.resources.values():
            if "list" in resource.verbs:
                assert resource.kind in PRINTERS or resource.kind in plain, resource.kind
                assert resource.kind not in plain or resource.kind not in PRINTERS
    # An IPAddress has a cell that no column announces, as on a real server.
    assert set(PRINTERS) - {""} == set(_data()) - {""}
    assert len(cells("IPAddress", spec={})) == len(_columns("IPAddress")) + 1


def test_columns_say_what_they_mean() -> None:
    by_name = {c["name"]: c["description"] for c in _columns("Pod")}
    assert by_name["Name"].startswith("Name must be unique within a namespace.")
    assert "Possible enum values" not in "".join(c["description"] for c in _columns("PersistentVolumeClaim"))
    silent = {(k, c["name"]) for k in _data() for c in _columns(k) if not c["description"]}
    assert silent <= {
        ("RuntimeClass", "Handler"),
        *((k, n) for k in ("NodeMetrics", "PodMetrics") for n in ("cpu", "memory", "Window")),
    }


@pytest.mark.parametrize(
    ("spec", "status", "shown"),
    [
        ({"type": "ClusterIP"}, {}, "<none>"),
        ({"type": "ClusterIP", "externalIPs": ["1.1.1.1", "2.2.2.2"]}, {}, "1.1.1.1,2.2.2.2"),
        ({"type": "LoadBalancer"}, {}, "<pending>"),
        ({"type": "LoadBalancer"}, {"loadBalancer": {"ingress": [{"ip": "9.9.9.9"}, {"hostname": "a.b"}, {"ip": "1.2.3.4"}]}}, "1.2.3.4,9.9.9.9,a.b"),
        ({"type": "LoadBalancer", "externalIPs": ["5.5.5.5"]}, {"loadBalancer": {"ingress": [{"ip": "9.9.9.9"}]}}, "9.9.9.9,5.5.5.5"),
        ({"type": "ExternalName", "externalName": "db.example.com"}, {}, "db.example.com"),
    ],
)  # fmt: skip
def test_external_address_of_a_service(spec: dict[str, Any], status: dict[str, Any], shown: str) -> None:
    assert cell("External-IP", "Service", spec=spec, status=status) == shown


def test_ports_of_a_service() -> None:
    ports = [{"port": 80, "protocol": "TCP", "nodePort": 30080}, {"port": 53, "protocol": "UDP"}]
    assert cell("Port(s)", "Service", spec={"ports": ports}) == "80:30080/TCP,53/UDP"
    assert cell("Port(s)", "Service", spec={}) == "<none>"
    assert (
        cell("Cluster-IP", "Service", spec={"clusterIPs": ["fd00::1", "10.0.0.1"], "clusterIP": "fd00::1"}) == "fd00::1"
    )


def test_endpoints_show_three_and_how_many_more() -> None:
    def subset(*ips: str, ports: Any = ({"port": 80},)) -> dict[str, Any]:
        return {"addresses": [{"ip": ip} for ip in ips], "ports": list(ports)}

    def shown(*subsets: dict[str, Any]) -> Any:
        return cell("Endpoints", "Endpoints", subsets=list(subsets))

    assert shown() == "<none>"
    assert shown({"notReadyAddresses": [{"ip": "1.1.1.1"}], "ports": [{"port": 80}]}) == ""
    assert shown(subset("1.1.1.1", "2.2.2.2")) == "1.1.1.1:80,2.2.2.2:80"
    assert shown(subset("1.1.1.1", ports=())) == "1.1.1.1"
    assert shown(subset("fd00::1")) == "[fd00::1]:80"
    assert shown(subset(*"abcde")) == "a:80,b:80,c:80 + 2 more..."
    slice_ = {
        "ports": [{"name": "http"}, {}, {"port": 8080}],
        "endpoints": [{"addresses": ["a", "b"]}, {"addresses": ["c", "d"]}],
    }
    assert cells("EndpointSlice", addressType="IPv4", **slice_)[2:4] == ["http,*,8080", "a,b,c + 1 more..."]
    assert cells("EndpointSlice", addressType="IPv4", endpoints=[], ports=None)[2:4] == ["<unset>", "<unset>"]


def test_hosts_of_an_ingress() -> None:
    def shown(*hosts: str) -> Any:
        return cell("Hosts", "Ingress", spec={"rules": [{"host": h} if h else {} for h in hosts]})

    assert shown() == "*"
    assert shown("") == "*"
    assert shown("a", "a") == "a,a"
    assert shown("a", "b", "c", "", "e") == "a,b,c + 2 more..."
    spec = {"tls": [{}], "ingressClassName": "nginx"}
    status = {"loadBalancer": {"ingress": [{"ip": "2.2.2.2"}, {"ip": "1.1.1.1"}]}}
    assert cells("Ingress", spec=spec, status=status) == ["x", "nginx", "*", "1.1.1.1,2.2.2.2", "80, 443", "90s"]
    parameters = {"apiGroup": "k8s.example.com", "kind": "Params", "name": "p"}
    assert cell("Parameters", "IngressClass", spec={"parameters": parameters}) == "Params.k8s.example.com/p"


def test_targets_of_an_autoscaler() -> None:
    def resource(target: dict[str, Any], current: dict[str, Any] | None = None) -> Any:
        metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
        status = {"currentMetrics": [{"type": "Resource", "resource": {"current": current}}]} if current else {}
        return shown(metrics, status)

    def shown(metrics: list[Any], status: dict[str, Any]) -> Any:
        spec = {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 5, "metrics": metrics}
        return cell("Targets", "HorizontalPodAutoscaler", spec=spec, status=status)

    assert resource({"averageUtilization": 60}) == "cpu: <unknown>/60%"
    assert resource({"averageUtilization": 60}, {"averageUtilization": 0}) == "cpu: 0%/60%"
    assert resource({"averageValue": "200m"}, {"averageValue": "100m"}) == "cpu: 100m/200m"
    assert resource({}) == "cpu: <unknown>/<auto>"
    pods = {"type": "Pods", "pods": {"target": {"averageValue": "1k"}}}
    outside = {"type": "External", "external": {"target": {"averageValue": "3"}}}
    thing = {"type": "Object", "object": {"target": {"value": "7"}}}
    assert shown([pods, outside], {}) == "<unknown>/1k, <unknown>/3 (avg)"
    assert shown([thing, pods, outside], {}) == "<unknown>/7, <unknown>/1k + 1 more..."
    assert shown([], {}) == "<none>"


def test_both_versions_of_autoscalers_and_events_print_alike(call: Any) -> None:
    body = {
        "metadata": {"name": "h"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 3,
            "metrics": [{"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 70}}}],
        },
    }  # fmt: skip
    call("POST", "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", body)
    new, old = (
        call("GET", f"/apis/autoscaling/{v}/namespaces/default/horizontalpodautoscalers/h", accept=TABLE)[1]
        for v in ("v2", "v1")
    )
    assert new["rows"] == old["rows"]
    assert new["rows"][0]["cells"][2] == "memory: <unknown>/70%"
    # What version 1 keeps in annotations is not shown in a table's metadata.
    plain = call("GET", "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers/h")[1]
    assert "annotations" in plain["metadata"]
    assert "annotations" not in old["rows"][0]["object"]["metadata"]


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"firstTimestamp": iso(NOW - 60), "lastTimestamp": iso(NOW - 30), "count": 4}, ["30s", "60s", 4]),
        ({"eventTime": iso(NOW - 50)}, ["50s", "50s", 1]),
        ({"eventTime": iso(NOW - 50), "series": {"count": 7, "lastObservedTime": iso(NOW - 5)}}, ["5s", "50s", 7]),
        ({}, ["<unknown>", "<unknown>", 1]),
    ],
)
def test_times_and_counts_of_events(fields: dict[str, Any], shown: list[Any]) -> None:
    found = cells("Event", involvedObject={"kind": "Pod", "name": "p"}, message=" text ", **fields)
    assert [found[0], found[7], found[8]] == shown
    assert (found[3], found[6]) == ("pod/p", "text")


def test_source_and_object_of_events() -> None:
    assert cell("Source", "Event", source={"component": "kubelet", "host": "node1"}) == "kubelet, node1"
    assert cell("Source", "Event", reportingComponent="ctl", reportingInstance="i") == "ctl, i"
    assert cell("Object", "Event", involvedObject={"kind": "Node"}) == "node"


@pytest.mark.parametrize(
    ("kind", "fields", "shown"),
    [
        ("CertificateSigningRequest", {"spec": {"username": "jane", "signerName": "s", "expirationSeconds": 3600}}, ["90s", "s", "jane", "60m", "Pending"]),
        ("CertificateSigningRequest", {"spec": {}, "status": {"conditions": [{"type": "Approved"}], "certificate": "x"}}, ["90s", "<none>", "", "<none>", "Approved,Issued"]),
        ("CertificateSigningRequest", {"spec": {}, "status": {"conditions": [{"type": "Approved"}, {"type": "Denied"}, {"type": "Failed"}]}}, ["90s", "<none>", "", "<none>", "Denied,Failed"]),
        ("PersistentVolumeClaim", {"spec": {"volumeName": "v"}, "status": {"phase": "Bound"}}, ["Bound", "v", "0", "", "", "<unset>", "90s", "<unset>"]),
        ("PersistentVolumeClaim", {"spec": {"storageClassName": "s", "volumeMode": "Block"}, "status": {"phase": "Pending"}}, ["Pending", "", "", "", "s", "<unset>", "90s", "Block"]),
        ("PersistentVolume", {"spec": {"capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"], "claimRef": {"namespace": "n", "name": "c"}}, "status": {"phase": "Bound"}}, ["5Gi", "RWO,RWX", "", "Bound", "n/c", "", "<unset>", "", "90s", "<unset>"]),
        ("VolumeAttachment", {"spec": {"attacher": "csi", "nodeName": "n", "source": {"persistentVolumeName": "v"}}, "status": {"attached": True}}, ["csi", "v", "n", True, "90s"]),
        ("CSIDriver", {"spec": {"tokenRequests": [{"audience": "a"}, {"audience": ""}]}}, [True, False, False, "a,", False, "<none>", "90s"]),
        ("CSIDriver", {"spec": {"attachRequired": False}}, [False, False, False, "<unset>", False, "<none>", "90s"]),
        ("CSINode", {"spec": {"drivers": [{}, {}]}}, [2, "90s"]),
        ("APIService", {"spec": {}}, ["Local", "Unknown", "90s"]),
        ("APIService", {"spec": {"service": {"namespace": "n", "name": "s"}}, "status": {"conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints"}]}}, ["n/s", "False (MissingEndpoints)", "90s"]),
        ("ControllerRevision", {"revision": 2, "metadata": {"ownerReferences": [{"controller": True, "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d"}]}}, ["daemonset.apps/d", 2, "90s"]),
        ("ControllerRevision", {"revision": 1}, ["<none>", 1, "90s"]),
        ("ValidatingAdmissionPolicyBinding", {"spec": {"policyName": "p"}}, ["p", "<unset>", "90s"]),
        ("ValidatingAdmissionPolicyBinding", {"spec": {"policyName": "p", "paramRef": {"name": "r"}}}, ["p", "*/r", "90s"]),
        ("MutatingAdmissionPolicyBinding", {"spec": {"policyName": "p", "paramRef": {"name": "r", "namespace": "n"}}}, ["p", "n/r", "90s"]),
        ("MutatingAdmissionPolicyBinding", {"spec": {"policyName": "p", "paramRef": {"selector": {"matchLabels": {"a": "b"}}}}}, ["p", "&LabelSelector{MatchLabels:map[string]string{a: b,},MatchExpressions:[]LabelSelectorRequirement{},}", "90s"]),
        ("FlowSchema", {"spec": {"priorityLevelConfiguration": {"name": "l"}, "matchingPrecedence": 9}}, ["l", 9, "<none>", "90s", "?"]),
        ("PriorityLevelConfiguration", {"spec": {"type": "Exempt"}}, ["Exempt", "<none>", "<none>", "<none>", "<none>", "90s"]),
        ("PriorityLevelConfiguration", {"spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 3, "limitResponse": {"queuing": {"queues": 1, "handSize": 2, "queueLengthLimit": 3}}}}}, ["Limited", 3, 1, 2, 3, "90s"]),
        ("ResourceClaim", {}, ["pending", "90s"]),
        ("ResourceClaim", {"status": {"allocation": {}, "reservedFor": [{}]}}, ["allocated,reserved", "90s"]),
        ("ResourceClaim", {"metadata": {"deletionTimestamp": iso(NOW)}}, ["deleted", "90s"]),
        ("ComponentStatus", {"conditions": [{"type": "Healthy", "status": "False", "message": "m", "error": "e"}]}, ["Unhealthy", "m", "e"]),
        ("RoleBinding", {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}, {"kind": "Group", "name": "g"}, {"kind": "User", "name": "v"}]}, ["Role/r", "90s", "u, v", "g", "n/s"]),
        ("PodMetrics", {"window": "15s", "containers": [{"usage": {"cpu": "1500000n", "memory": "1Mi"}}, {"usage": {"cpu": "2m", "memory": "1024Ki"}}]}, ["3500000n", "2048Ki", "15s"]),
        ("NodeMetrics", {"window": "15s", "usage": {"cpu": "1", "memory": "1Gi"}}, ["1000000000n", "1048576Ki", "15s"]),
        ("ServiceCIDR", {"spec": {"cidrs": ["10.96.0.0/16", "fd00::/112"]}}, ["10.96.0.0/16,fd00::/112", "90s"]),
        ("IPAddress", {"spec": {"parentRef": {"resource": "services", "namespace": "n", "name": "s"}}}, ["services/n/s", "90s"]),
        ("CSIStorageCapacity", {"storageClassName": "s", "capacity": "1Gi"}, ["s", "1Gi"]),
        ("ReplicationController", {"spec": {"replicas": 2, "selector": {"b": "2", "a": "1"}}}, [2, 0, 0, "90s", "", "", "a=1,b=2"]),
        ("CronJob", {"spec": {"schedule": "@daily"}}, ["@daily", "<none>", "<unset>", 0, "<none>", "90s", "", "", "<none>"]),
        ("Job", {"spec": {"parallelism": 3}, "status": {"succeeded": 1, "conditions": [{"type": "FailureTarget", "status": "True"}]}}, ["FailureTarget", "1/1 of 3", "", "90s", "", "", "<none>"]),
        ("Job", {"spec": {"completions": 1}, "status": {"startTime": iso(NOW - 20), "completionTime": iso(NOW - 5), "succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}}, ["Complete", "1/1", "15s", "90s", "", "", "<none>"]),
    ],
)  # fmt: skip
def test_rows(kind: str, fields: dict[str, Any], shown: list[Any]) -> None:
    assert cells(kind, **fields)[1:] == shown


def test_marks_of_default_classes() -> None:
    def named(kind: str, key: str) -> Any:
        return cells(kind, metadata={"annotations": {key: "true"}}, provisioner="p", driverName="d")[0]

    assert named("StorageClass", "storageclass.kubernetes.io/is-default-class") == "x (default)"
    assert named("StorageClass", "storageclass.beta.kubernetes.io/is-default-class") == "x (default)"
    assert named("VolumeAttributesClass", "volumeattributesclass.alpha.kubernetes.io/is-default-class") == "x (default)"
    assert named("StorageClass", "other") == "x"


def test_state_and_roles_of_a_node() -> None:
    labels = {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/": "", "kubernetes.io/role": "edge"}
    addresses = [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "InternalIP", "address": "fd00::1"}]
    status = {"conditions": [{"type": "Ready", "status": "Unknown"}], "addresses": addresses}
    found = cells("Node", metadata={"labels": labels}, spec={"unschedulable": True}, status=status)
    assert found[1:3] == ["NotReady,SchedulingDisabled", "edge,worker"]
    assert found[5:] == ["10.0.0.1", "<none>", "<unknown>", "<unknown>", "<unknown>"]
    assert cells("Node", spec={}, status={})[1:3] == ["Unknown", "<none>"]


def ended(code: int, at: float) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "finishedAt": iso(at)}}


@pytest.mark.parametrize(
    ("spec", "status", "shown"),
    [
        # A restartable init container counts among the ready ones once it has started, and its restarts stay counted.
        (
            {"initContainers": [{"name": "s", "restartPolicy": "Always"}], "containers": [{"name": "c"}]},
            {
                "phase": "Running", "conditions": [{"type": "Initialized", "status": "True"}],
                "initContainerStatuses": [{"name": "s", "started": True, "ready": True, "restartCount": 2, "state": {"running": {}}, "lastState": ended(1, NOW - 40)}],
                "containerStatuses": [{"name": "c", "ready": True, "restartCount": 1, "state": {"running": {}}, "lastState": ended(1, NOW - 90)}],
            },
            ["2/2", "Running", "3 (40s ago)"],
        ),
        # Ends of proper init containers are not told any more once containers run.
        (
            {"initContainers": [{"name": "i"}], "containers": [{"name": "c"}]},
            {
                "phase": "Running",
                "initContainerStatuses": [{"name": "i", "restartCount": 4, "state": ended(0, NOW - 50), "lastState": ended(1, NOW - 60)}],
                "containerStatuses": [{"name": "c", "ready": True, "restartCount": 0, "state": {"running": {}}}],
            },
            ["1/1", "Running", "0"],
        ),
        (
            {"initContainers": [{"name": "i"}, {"name": "j"}], "containers": [{"name": "c"}]},
            {"phase": "Pending", "initContainerStatuses": [{"name": "i", "restartCount": 1, "state": {"terminated": {"exitCode": 0, "signal": 9}}, "lastState": ended(1, NOW - 30)}, {"name": "j", "state": {"waiting": {"reason": "PodInitializing"}}}]},
            ["0/1", "Init:1/2", "1 (30s ago)"],
        ),
        (
            {"initContainers": [{"name": "i"}], "containers": [{"name": "c"}]},
            {"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 2}}}]},
            ["0/1", "Init:ExitCode:2", "0"],
        ),
        (
            {"initContainers": [{"name": "i"}], "containers": [{"name": "c"}]},
            {"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 137, "signal": 9}}}]},
            ["0/1", "Init:Signal:9", "0"],
        ),
        ({"containers": [{"name": "c"}]}, {"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated", "status": "False"}]}, ["0/1", "SchedulingGated", "0"]),
        (
            {"containers": [{"name": "a"}, {"name": "b"}]},
            {"phase": "Running", "containerStatuses": [{"name": "a", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}, {"name": "b", "ready": True, "state": {"running": {}}}]},
            ["1/2", "NotReady", "0"],
        ),
    ],
)  # fmt: skip
def test_states_of_pods(spec: dict[str, Any], status: dict[str, Any], shown: list[Any]) -> None:
    assert cells("Pod", spec=spec, status=status)[1:4] == shown


def test_refused_representations(call: Any) -> None:
    call("POST", f"{CORE}/configmaps", {"metadata": {"name": "c"}})
    partial, many = (
        f"application/json;as={a};v=v1;g=meta.k8s.io" for a in ("PartialObjectMetadata", "PartialObjectMetadataList")
    )
    for path, accept, said in (
        ("configmaps", partial, "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)"),
        ("configmaps/c", many, "you requested PartialObjectMetadataList, but the requested object is not a list (*core.ConfigMap)"),
        ("configmaps", "application/json;as=Nope;v=v1;g=meta.k8s.io", "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"),
    ):  # fmt: skip
        status, obj = call("GET", f"{CORE}/{path}", accept=accept)
        assert (status, obj["reason"], obj["message"], "details" in obj) == (406, "NotAcceptable", said, False)
    old = call("GET", f"{CORE}/configmaps", accept="application/json;as=Table;v=v1beta1;g=meta.k8s.io")[1]
    assert (old["apiVersion"], old["rows"][0]["object"]["apiVersion"]) == ("meta.k8s.io/v1beta1", "meta.k8s.io/v1beta1")


def test_flow_schemas_are_listed_by_precedence(api: Any) -> None:
    resource = api.registry.find("flowcontrol.apiserver.k8s.io", "v1", "flowschemas")
    made = [{"metadata": {"name": n}, "spec": {"matchingPrecedence": p}} for n, p in (("c", 2), ("b", 9), ("a", 2))]
    rows = Printer(resource, NOW, "None").table(made, {})["rows"]
    assert [row["cells"][0] for row in rows] == ["a", "c", "b"]


def test_component_states_and_deprecations(api: Any, call: Any) -> None:
    table = call("GET", "/api/v1/componentstatuses", accept=TABLE)[1]
    assert [row["cells"] for row in table["rows"]] == [
        [n, "Healthy", "ok", ""] for n in ("etcd-0", "scheduler", "controller-manager")
    ]
    assert call("GET", "/api/v1/componentstatuses/scheduler")[1]["kind"] == "ComponentStatus"
    assert call("GET", "/api/v1/componentstatuses/none")[0] == 404
    from stratus.sim.api import Request

    answer = api.handle(Request("GET", f"{CORE}/endpoints"))
    assert (
        answer.headers["Warning"]
        == '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"'
    )
    answer = api.handle(Request("GET", f"{CORE}/endpoints/none"))
    assert (answer.status, "deprecated" in answer.headers["Warning"]) == (404, True)


def test_columns_of_custom_resources(api: Any, call: Any) -> None:
    columns = [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
        {"name": "Ports", "type": "string", "jsonPath": ".spec.ports", "description": "Where."},
        {"name": "On", "type": "boolean", "jsonPath": ".spec.on", "priority": 1},
        {"name": "Load", "type": "number", "jsonPath": ".spec.load"},
        {"name": "When", "type": "date", "jsonPath": ".spec.when"},
    ]
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": columns,
    }
    names = {"plural": "things", "kind": "Thing"}
    crd = {
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    assert call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)[0] == 201
    path = "/apis/example.com/v1/namespaces/default/things"
    good = {"size": 3, "ports": [80, 81], "on": False, "load": 1.5, "when": iso(NOW - 7200)}
    for name, spec in (("a", good), ("b", {"size": "big", "on": "yes", "when": "soon"})):
        status = {"conditions": [{"type": "Ready", "status": "True"}]} if name == "a" else {}
        body = {
            "apiVersion": "example.com/v1",
            "kind": "Thing",
            "metadata": {"name": name},
            "spec": spec,
            "status": status,
        }
        assert call("POST", path, body)[0] == 201
    table = call("GET", path, accept=TABLE)[1]
    assert [row["cells"][1:] for row in table["rows"]] == [
        [3, "True", "[80,81]", False, 1.5, "120m"],
        [None, None, None, None, None, "<invalid>"],
    ]
    said = {c["name"]: c["description"] for c in table["columnDefinitions"]}
    assert said["Size"] == "Custom resource definition column (in JSONPath format): .spec.size"
    assert said["Ports"] == "Where."


def test_printers_take_objects_without_status_or_spec() -> None:
    bare = {"scaleTargetRef": {"kind": "Deployment", "name": "w"}, "template": {}}
    for kind, printer in {**PRINTERS, **CLUSTER_PRINTERS}.items():
        obj = {"metadata": {"name": "x"}, "spec": bare, "roleRef": {"kind": "Role", "name": "r"}, "provisioner": "p"}
        assert printer(obj, NOW)[0 if kind != "Event" else -1] == "x", kind


def test_services_of_group_versions_follow_definitions(api: Any) -> None:
    from stratus.sim.api.standing import SERVICES, furnish_standing

    store: Store = api.store
    furnish_standing(store, NOW)
    apps = store.get(SERVICES, "", "v1.apps")
    assert apps is not None
    assert apps["spec"] == {"group": "apps", "version": "v1", "groupPriorityMinimum": 17800, "versionPriority": 15}
    assert apps["status"]["conditions"][0]["lastTransitionTime"] == iso(NOW)
    core = store.get(SERVICES, "", "v1.")
    assert core is not None
    assert "group" not in core["spec"]
    served = {(gv.group, gv.version) for gv in api.registry.group_versions()}
    named = {(s["spec"].get("group", ""), s["spec"]["version"]) for s in store.list(SERVICES)}
    assert served - named == {("apiregistration.k8s.io", "v1")}, "the group of APIServices itself has none"
    assert named <= served

    def crd(plural: str, *versions: tuple[str, bool]) -> dict[str, Any]:
        listed = [
            {"name": v, "served": s, "storage": n == 0, "schema": {"openAPIV3Schema": {"type": "object"}}}
            for n, (v, s) in enumerate(versions)
        ]
        names = {
            "plural": plural,
            "singular": plural[:-1],
            "kind": plural[:-1].title(),
            "listKind": f"{plural[:-1].title()}List",
        }
        return {
            "metadata": {"name": f"{plural}.example.com"},
            "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": listed},
        }

    def there() -> list[str]:
        return [s["metadata"]["name"] for s in store.list(SERVICES) if s["spec"].get("group") == "example.com"]

    resource = "customresourcedefinitions.apiextensions.k8s.io"
    store.create(resource, crd("apples", ("v1", True), ("v2", False)))
    store.create(resource, crd("pears", ("v1", True)))
    assert there() == ["v1.example.com"]
    store.delete(resource, "", "apples.example.com")
    assert there() == ["v1.example.com"]
    store.delete(resource, "", "pears.example.com")
    assert there() == []


def test_flow_control_begins_as_on_a_real_server(api: Any) -> None:
    from stratus.sim.api.standing import furnish_standing

    furnish_standing(api.store, NOW)
    before = api.store.rv
    furnish_standing(api.store, NOW + 60)
    assert api.store.rv == before, "what is there is not made again"
    levels = {o["metadata"]["name"] for o in api.store.list("prioritylevelconfigurations.flowcontrol.apiserver.k8s.io")}
    schemas = api.store.list("flowschemas.flowcontrol.apiserver.k8s.io")
    assert {s["spec"]["priorityLevelConfiguration"]["name"] for s in schemas} <= levels
    probes = next(s for s in schemas if s["metadata"]["name"] == "probes")
    assert probes["spec"]["rules"][0]["nonResourceRules"] == [
        {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}
    ]


def test_keys_begin_with_kind_however_the_client_wrote_them(api: Any, call: Any) -> None:
    from stratus.sim.api import Request

    call("POST", f"{CORE}/configmaps", {"data": {"a": "1"}, "metadata": {"name": "c"}})
    body = api.handle(Request("GET", f"{CORE}/configmaps/c")).body
    assert body.startswith(b'{"kind":"ConfigMap","apiVersion":"v1",')
    assert body.endswith(b"}\n")


def test_addresses_follow_from_services(call: Any) -> None:
    service = call("POST", f"{CORE}/services", {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}})[1]
    call("POST", f"{CORE}/services", {"metadata": {"name": "head"}, "spec": {"clusterIP": "None"}})
    ip, path = service["spec"]["clusterIP"], "/apis/networking.k8s.io/v1/ipaddresses"
    assert [row["cells"][:2] for row in call("GET", path, accept=TABLE)[1]["rows"]] == [[ip, "services/default/web"]]
    one = call("GET", f"{path}/{ip}")[1]
    assert (one["kind"], one["metadata"]["resourceVersion"]) == ("IPAddress", service["metadata"]["resourceVersion"])
    made = {
        "metadata": {"name": "10.96.200.1"},
        "spec": {"parentRef": {"resource": "services", "namespace": "x", "name": "y"}},
    }
    assert call("POST", path, made)[0] == 201
    named = [o["metadata"]["name"] for o in call("GET", path)[1]["items"]]
    assert named == sorted({ip, "10.96.200.1"})
    by_field = call("GET", f"{path}?fieldSelector=metadata.name%3D{ip}")[1]["items"]
    by_label = call("GET", f"{path}?labelSelector=ipaddress.kubernetes.io/ip-family%3DIPv4")[1]["items"]
    assert [o["metadata"]["name"] for o in by_field] == [o["metadata"]["name"] for o in by_label] == [ip]
    call("DELETE", f"{CORE}/services/web")
    assert call("GET", f"{path}/{ip}")[0] == 404
