"""Scale, logs, exec, eviction, binding, tokens, reviews, metrics and custom resources."""

from typing import Any

import pytest

from stratus.sim.api import Request, Upgrade, User

CORE = "/api/v1/namespaces/default"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"


def test_scale_reads_and_writes_replicas(call: Any, make: Any) -> None:
    call("POST", DEPLOYMENTS, make.deployment())
    _, scale = call("GET", f"{DEPLOYMENTS}/web/scale")
    assert (scale["spec"], scale["status"]["selector"]) == ({"replicas": 1}, "app=web")
    _, scale = call("PUT", f"{DEPLOYMENTS}/web/scale", {**scale, "spec": {"replicas": 4}})
    assert scale["spec"] == {"replicas": 4}
    _, obj = call("GET", f"{DEPLOYMENTS}/web")
    assert (obj["spec"]["replicas"], obj["metadata"]["generation"]) == (4, 2)
    assert any(e.get("subresource") == "scale" for e in obj["metadata"]["managedFields"])
    stale = {**scale, "metadata": {**scale["metadata"], "resourceVersion": "2"}}
    assert call("PUT", f"{DEPLOYMENTS}/web/scale", stale)[0] == 409
    _, refused = call("PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": -1}}, MERGE)
    assert (
        refused["message"]
        == 'Scale.autoscaling "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'
    )


def test_logs(call: Any, make: Any, api: Any) -> None:
    call("POST", f"{CORE}/pods", make.pod())
    assert call("GET", f"{CORE}/pods/p/log") == (204, "")
    make.run_pod(api, "p")
    assert call("GET", f"{CORE}/pods/p/log")[1] == "c line 0\nc line 1\nc line 2\n"
    assert call("GET", f"{CORE}/pods/p/log?tailLines=1")[1] == "c line 2\n"
    for query, want in (("container=z", 400), ("tailLines=-1", 422), ("previous=true", 400)):
        assert call("GET", f"{CORE}/pods/p/log?{query}")[0] == want


def test_logs_of_what_does_not_run_yet(call: Any, make: Any, api: Any) -> None:
    call("POST", f"{CORE}/pods", make.pod())
    make.run_pod(api, "p")
    pod = api.store.get("pods", "default", "p")
    waiting = {"name": "c", "ready": False, "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}
    api.store.update("pods", {**pod, "status": {**pod["status"], "containerStatuses": [waiting]}})
    status, obj = call("GET", f"{CORE}/pods/p/log")
    assert (status, obj["message"]) == (400, 'container "c" in pod "p" is waiting to start: ContainerCreating')


def test_followed_logs_go_on_until_the_pod_is_gone(make: Any) -> None:
    lines = ["one\n"]
    api = make.api(log_backend=lambda *a: "".join(lines if a[4] is None else lines[-a[4] :]))
    api.create("pods", {**make.pod(), "metadata": {"name": "p", "namespace": "default"}})
    make.run_pod(api, "p")
    stream = api.handle(Request("GET", f"{CORE}/pods/p/log?follow=true"))
    assert stream.take() == b"one\n"
    lines.append("two\n")
    assert stream.take() == b"two\n"
    assert stream.take() == b""
    api.store.delete("pods", "default", "p")
    stream.take()
    assert stream.done
    api.close()


def test_exec(call: Any, make: Any, api: Any) -> None:
    call("POST", f"{CORE}/pods", make.pod())
    assert call("POST", f"{CORE}/pods/p/exec?command=ls")[0] == 400
    make.run_pod(api, "p")
    answer = api.handle(Request("GET", f"{CORE}/pods/p/exec?command=cat&command=-n&stdin=true&stdout=true"))
    assert isinstance(answer, Upgrade)
    assert answer.stdin
    assert answer.run(b"in").stdout == "default/p/c: cat -n\nin"
    assert call("POST", f"{CORE}/pods/p/exec?command=ls&container=z")[0] == 400
    assert call("POST", f"{CORE}/pods/none/exec?command=ls")[0] == 404


def budget(allowed: int) -> dict:
    status = {"disruptionsAllowed": allowed, "desiredHealthy": 2, "currentHealthy": 2, "observedGeneration": 1}
    return {
        "metadata": {"name": "b", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}},
        "status": status,
    }


def test_eviction_spends_the_budget(call: Any, make: Any, api: Any) -> None:
    for name in ("p", "q"):
        body = make.pod(name)
        body["metadata"]["labels"] = {"a": "b"}
        call("POST", f"{CORE}/pods", body)
        make.run_pod(api, name)
    api.store.create("poddisruptionbudgets.policy", budget(1))
    evict = {"metadata": {"name": "p"}}
    assert call("POST", f"{CORE}/pods/p/eviction?dryRun=All", evict)[0] == 201
    assert call("POST", f"{CORE}/pods/p/eviction", evict)[0] == 201
    assert api.store.get("pods", "default", "p")["metadata"]["deletionTimestamp"]
    status, obj = call("POST", f"{CORE}/pods/q/eviction", {"metadata": {"name": "q"}})
    assert (status, obj["message"]) == (429, "Cannot evict pod as it would violate the pod's disruption budget.")
    assert obj["details"]["causes"][0]["message"] == "The disruption budget b needs 2 healthy pods and has 2 currently"
    assert call("POST", f"{CORE}/pods/none/eviction", {"metadata": {"name": "none"}})[0] == 404


def test_binding(call: Any, make: Any) -> None:
    call("POST", f"{CORE}/pods", make.pod())
    assert call("POST", f"{CORE}/pods/p/binding", {"metadata": {"name": "p"}, "target": {"name": "node1"}})[0] == 201
    assert call("GET", f"{CORE}/pods/p")[1]["spec"]["nodeName"] == "node1"
    assert call("POST", f"{CORE}/pods/p/binding", {"metadata": {"name": "p"}, "target": {"name": "node2"}})[0] == 409


def test_tokens_stand_for_their_account(call: Any, api: Any) -> None:
    path = f"{CORE}/serviceaccounts/default/token"
    _, review = call("POST", path, {"spec": {"expirationSeconds": 600}})
    token = review["status"]["token"]
    user = api.authenticate(token)
    assert user is not None
    assert user.name == "system:serviceaccount:default:default"
    _, found = call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": token}})
    assert found["status"]["user"]["username"] == "system:serviceaccount:default:default"
    assert call("POST", path, {"spec": {"expirationSeconds": 5}})[0] == 422


@pytest.fixture
def guarded(make: Any) -> Any:
    def allowed(user: str, groups: tuple[str, ...], verb: str, resource: str, namespace: str, name: str) -> bool:
        return "system:masters" in groups or (user == "viewer" and verb in ("get", "list"))

    api = make.api(authorizer=allowed)
    yield api
    api.close()


def test_authorisation_denies_with_the_real_texts(guarded: Any, make: Any) -> None:
    viewer = User("viewer", ("system:authenticated",))

    def ask(method: str, path: str, **kw: Any) -> Any:
        return guarded.handle(Request(method, path, user=viewer, **kw))

    assert ask("GET", f"{CORE}/pods").status == 200
    cases = [
        ("POST", f"{CORE}/configmaps", 'configmaps is forbidden: User "viewer" cannot create resource "configmaps" in API group "" in the namespace "default"'),  # noqa: E501
        ("DELETE", f"{CORE}/configmaps/x", 'configmaps "x" is forbidden: User "viewer" cannot delete resource "configmaps" in API group "" in the namespace "default"'),  # noqa: E501
        ("PATCH", f"{DEPLOYMENTS}/x/scale", 'deployments.apps "x" is forbidden: User "viewer" cannot patch resource "deployments/scale" in API group "apps" in the namespace "default"'),  # noqa: E501
        ("PUT", "/api/v1/nodes/n", 'nodes "n" is forbidden: User "viewer" cannot update resource "nodes" in API group "" at the cluster scope'),  # noqa: E501
    ]  # fmt: skip
    for method, path, text in cases:
        answer = ask(method, path)
        assert (answer.status, answer.obj["message"]) == (403, text)
    review = {"spec": {"resourceAttributes": {"verb": "delete", "resource": "pods"}}}
    assert ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", obj=review).obj["status"] == {
        "allowed": False
    }
    assert guarded.handle(Request("GET", f"{CORE}/pods", user=None)).status == 401
    as_viewer = guarded.handle(Request("DELETE", f"{CORE}/pods/x", {"impersonate-user": "viewer"}))
    assert as_viewer.status == 403


def test_reviews_without_an_authorizer(call: Any) -> None:
    base = "/apis/authorization.k8s.io/v1"
    assert call("POST", f"{base}/selfsubjectaccessreviews", {"spec": {"resourceAttributes": {"verb": "get"}}})[1][
        "status"
    ]["allowed"]
    assert call("POST", f"{base}/selfsubjectaccessreviews", {"spec": {}})[0] == 422
    assert call("POST", f"{base}/selfsubjectrulesreviews", {"spec": {"namespace": "default"}})[1]["status"][
        "resourceRules"
    ]
    _, me = call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
    assert me["status"]["userInfo"]["username"] == "kubernetes-admin"


def test_metrics(call: Any, make: Any, api: Any) -> None:
    call("POST", "/api/v1/nodes", {"metadata": {"name": "node1"}})
    call("POST", f"{CORE}/pods", make.pod())
    make.run_pod(api, "p")
    _, found = call("GET", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods")
    assert found["items"][0]["containers"] == [{"name": "c", "usage": {"cpu": "250000000n", "memory": "65536Ki"}}]
    assert call("GET", "/apis/metrics.k8s.io/v1beta1/nodes/node1")[1]["usage"]["cpu"].endswith("n")
    assert call("GET", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/x")[0] == 404


SCHEMA = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1, "maximum": 10},
                "color": {"type": "string", "enum": ["red", "green"], "default": "red"},
                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            },
        },
        "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
    },
}
CRD = {
    "metadata": {"name": "gears.shop.test"},
    "spec": {
        "group": "shop.test",
        "scope": "Namespaced",
        "names": {"plural": "gears", "kind": "Gear", "shortNames": ["gr"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": SCHEMA},
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.replicas"},
                },
                "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
            }
        ],
    },
}
GEARS = "/apis/shop.test/v1/namespaces/default/gears"


def test_custom_resources_live_and_die_with_their_definition(call: Any, api: Any) -> None:
    assert call("GET", GEARS)[0] == 404
    assert call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CRD)[0] == 201
    status, obj = call(
        "POST",
        GEARS,
        {"apiVersion": "shop.test/v1", "kind": "Gear", "metadata": {"name": "g"}, "spec": {"size": 3, "x": 1}},
    )
    assert (status, obj["spec"], obj["metadata"]["generation"]) == (201, {"size": 3, "color": "red"}, 1)
    _, listed = call("GET", GEARS)
    assert (listed["kind"], listed["items"][0]["kind"]) == ("GearList", "Gear")
    _, table = call("GET", GEARS, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert table["rows"][0]["cells"] == ["g", 3]
    assert call("PATCH", f"{GEARS}/g/scale", {"spec": {"replicas": 7}}, MERGE)[1]["spec"] == {"replicas": 7}
    _, obj = call("PATCH", f"{GEARS}/g/status", {"status": {"replicas": 2}, "spec": {"size": 1}}, MERGE)
    assert (obj["spec"]["size"], obj["status"]) == (7, {"replicas": 2})
    assert call("PATCH", f"{GEARS}/g", {}, STRATEGIC)[0] == 415
    assert "shop.test" in [g["name"] for g in call("GET", "/apis")[1]["groups"]]
    assert call("GET", "/openapi/v3/apis/shop.test/v1")[0] == 200
    call("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gears.shop.test")
    assert call("GET", f"{GEARS}/g")[0] == 404
    assert api.store.list("gears.shop.test") == []


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({}, "spec.size: Required value"),
        ({"size": 11}, "spec.size: Invalid value: 11: spec.size in body should be less than or equal to 10"),
        ({"size": "x"}, 'spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"'),
        ({"size": 1, "color": "blue"}, 'spec.color: Unsupported value: "blue": supported values: "red", "green"'),
        ({"size": 1, "tags": ["a", "a"]}, 'spec.tags[1]: Duplicate value: "a"'),
    ],
)
def test_custom_resources_are_validated(call: Any, spec: dict, text: str) -> None:
    call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CRD)
    status, obj = call("POST", GEARS, {"metadata": {"name": "g"}, "spec": spec})
    assert status == 422
    assert text in obj["message"]


def test_services_get_addresses_and_ports(call: Any) -> None:
    def service(name: str, **spec: Any) -> tuple[int, Any]:
        return call("POST", f"{CORE}/services", {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}})

    _, one = service("one", type="NodePort")
    _, two = service("two", type="NodePort")
    assert one["spec"]["clusterIP"] != two["spec"]["clusterIP"]
    assert one["spec"]["ports"][0]["nodePort"] != two["spec"]["ports"][0]["nodePort"]
    assert service("head", clusterIP="None")[1]["spec"]["clusterIPs"] == ["None"]
    taken = one["spec"]["clusterIP"]
    _, obj = service("three", clusterIP=taken)
    assert obj["message"].endswith(
        f'spec.clusterIPs: Invalid value: ["{taken}"]: failed to allocate IP {taken}: provided IP is already allocated'
    )
    _, obj = service("four", type="NodePort", ports=[{"port": 80, "nodePort": one["spec"]["ports"][0]["nodePort"]}])
    assert "provided port is already allocated" in obj["message"]
    call("DELETE", f"{CORE}/services/one")
    assert service("again", clusterIP=taken)[0] == 201, "a freed address can be had again"
    _, plain = call("PATCH", f"{CORE}/services/two", {"spec": {"type": "ClusterIP"}}, MERGE)
    assert "nodePort" not in plain["spec"]["ports"][0]
    _status, obj = call(
        "PATCH", f"{CORE}/services/two", {"spec": {"clusterIP": "10.96.9.9", "clusterIPs": ["10.96.9.9"]}}, MERGE
    )
    assert "may not change once set" in obj["message"]
