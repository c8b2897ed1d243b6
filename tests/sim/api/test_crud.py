"""Create, read, update and delete, with the answers of a real server."""

from typing import Any

import pytest

from stratus.sim.api import Request

CORE = "/api/v1/namespaces/default"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def test_create_fills_in_metadata_defaults_and_managed_fields(call: Any, make: Any) -> None:
    status, obj = call("POST", DEPLOYMENTS, make.deployment())
    assert status == 201
    meta = obj["metadata"]
    assert meta["generation"] == 1
    assert meta["creationTimestamp"] == "2026-01-05T09:00:00Z"
    assert meta["managedFields"][0]["manager"] == "tester"
    assert obj["spec"]["replicas"] == 1
    assert obj["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
    }
    assert call("GET", f"{DEPLOYMENTS}/web")[1] == obj


def test_what_a_client_sends_of_the_servers_own_fields_is_ignored(call: Any, make: Any) -> None:
    body = make.deployment()
    body["metadata"].update(
        uid="mine", creationTimestamp="2020-01-01T00:00:00Z", generation=9, managedFields=[{"manager": "x"}]
    )
    body["status"] = {"replicas": 7}
    _, obj = call("POST", DEPLOYMENTS, body)
    assert obj["metadata"]["uid"] != "mine"
    assert obj["metadata"]["generation"] == 1
    assert obj["status"] == {}


def test_create_twice_and_in_the_wrong_place(call: Any, make: Any) -> None:
    call("POST", DEPLOYMENTS, make.deployment())
    status, obj = call("POST", DEPLOYMENTS, make.deployment())
    assert (status, obj["reason"], obj["message"]) == (409, "AlreadyExists", 'deployments.apps "web" already exists')
    status, obj = call("POST", "/api/v1/namespaces/nope/configmaps", {"metadata": {"name": "c"}})
    assert (status, obj["message"]) == (404, 'namespaces "nope" not found')
    status, obj = call("POST", f"{CORE}/configmaps", {"metadata": {"name": "c", "namespace": "other"}})
    assert (status, obj["message"]) == (
        400,
        "the namespace of the provided object does not match the namespace sent on the request",
    )
    status, obj = call("POST", f"{CORE}/configmaps", {"metadata": {"name": "c", "resourceVersion": "5"}})
    assert (status, obj["message"]) == (500, "resourceVersion should not be set on objects to be created")


def test_generate_name(call: Any) -> None:
    names = {
        call("POST", f"{CORE}/configmaps", {"metadata": {"generateName": "c-"}})[1]["metadata"]["name"]
        for _ in range(5)
    }
    assert len(names) == 5
    assert all(len(n) == 7 and n.startswith("c-") for n in names)


def test_put_checks_the_version_and_a_put_of_the_same_changes_nothing(call: Any) -> None:
    _, first = call("POST", f"{CORE}/configmaps", {"metadata": {"name": "c"}, "data": {"a": "1"}})
    status, same = call("PUT", f"{CORE}/configmaps/c", first)
    assert (status, same) == (200, first)
    _, second = call("PUT", f"{CORE}/configmaps/c", {**first, "data": {"a": "2"}})
    assert second["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
    status, obj = call("PUT", f"{CORE}/configmaps/c", {**first, "data": {"a": "3"}})
    assert status == 409
    assert obj["message"].startswith('Operation cannot be fulfilled on configmaps "c": the object has been modified;')
    status, _ = call("PUT", f"{CORE}/configmaps/c", {"metadata": {"name": "c"}, "data": {"a": "4"}})
    assert status == 200, "without a version a PUT is unconditional"
    assert call("PUT", f"{CORE}/configmaps/none", {"metadata": {"name": "none"}})[0] == 404


def test_a_lease_is_created_by_put_and_needs_a_version_afterwards(call: Any) -> None:
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l"
    body = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}}
    assert call("PUT", path, body)[0] == 201
    status, obj = call("PUT", path, {**body, "spec": {"holderIdentity": "b"}})
    assert (status, obj["details"]["causes"][0]["field"]) == (422, "metadata.resourceVersion")


def test_generation_follows_the_spec_and_a_deployments_annotations(call: Any, make: Any) -> None:
    _, obj = call("POST", DEPLOYMENTS, make.deployment())
    obj["metadata"]["labels"] = {"a": "b"}
    _, obj = call("PUT", f"{DEPLOYMENTS}/web", obj)
    assert obj["metadata"]["generation"] == 1
    obj["metadata"]["annotations"] = {"a": "b"}
    _, obj = call("PUT", f"{DEPLOYMENTS}/web", obj)
    assert obj["metadata"]["generation"] == 2
    obj["spec"]["replicas"] = 5
    _, obj = call("PUT", f"{DEPLOYMENTS}/web", obj)
    assert obj["metadata"]["generation"] == 3


def test_status_is_written_through_its_subresource_only(call: Any, make: Any) -> None:
    _, obj = call("POST", DEPLOYMENTS, make.deployment())
    _, obj = call("PUT", f"{DEPLOYMENTS}/web", {**obj, "status": {"replicas": 3}})
    assert obj["status"] == {}
    changed = {**obj, "status": {"replicas": 3}, "spec": {**obj["spec"], "replicas": 9}}
    _, after = call("PUT", f"{DEPLOYMENTS}/web/status", changed)
    assert after["status"] == {"replicas": 3}
    assert after["spec"]["replicas"] == 1
    assert after["metadata"]["generation"] == 1


def test_delete_answers_with_a_status_or_the_object(call: Any) -> None:
    call("POST", f"{CORE}/configmaps", {"metadata": {"name": "c"}})
    status, obj = call("DELETE", f"{CORE}/configmaps/c")
    assert (status, obj["status"], obj["details"]["kind"]) == (200, "Success", "configmaps")
    call("POST", f"{CORE}/serviceaccounts", {"metadata": {"name": "s"}})
    assert call("DELETE", f"{CORE}/serviceaccounts/s")[1]["kind"] == "ServiceAccount"
    assert call("DELETE", f"{CORE}/configmaps/c")[0] == 404


def test_delete_preconditions(call: Any) -> None:
    _, obj = call("POST", f"{CORE}/configmaps", {"metadata": {"name": "c"}})
    status, refused = call("DELETE", f"{CORE}/configmaps/c", {"preconditions": {"uid": "x"}})
    assert (status, refused["reason"]) == (409, "Conflict")
    assert "the UID in the precondition (x) does not match" in refused["message"]
    good = {"preconditions": {"uid": obj["metadata"]["uid"], "resourceVersion": obj["metadata"]["resourceVersion"]}}
    assert call("DELETE", f"{CORE}/configmaps/c", good)[0] == 200


def test_finalizers_hold_an_object_until_they_are_gone(call: Any) -> None:
    call("POST", f"{CORE}/configmaps", {"metadata": {"name": "c", "finalizers": ["example.com/x"]}})
    status, obj = call("DELETE", f"{CORE}/configmaps/c")
    assert (status, obj["kind"]) == (200, "ConfigMap")
    assert obj["metadata"]["deletionTimestamp"] == "2026-01-05T09:00:00Z"
    patch = {"metadata": {"finalizers": None}}
    assert call("PATCH", f"{CORE}/configmaps/c", patch, "application/merge-patch+json")[0] == 200
    assert call("GET", f"{CORE}/configmaps/c")[0] == 404


@pytest.mark.parametrize(("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")])
def test_propagation_policies_leave_a_finalizer_for_the_collector(
    call: Any, make: Any, policy: str, finalizer: str
) -> None:
    call("POST", DEPLOYMENTS, make.deployment())
    _, obj = call("DELETE", f"{DEPLOYMENTS}/web?propagationPolicy={policy}")
    assert obj["metadata"]["finalizers"] == [finalizer]
    assert obj["metadata"]["generation"] == 2


def test_a_running_pod_is_deleted_gracefully(call: Any, make: Any, api: Any) -> None:
    call("POST", f"{CORE}/pods", make.pod())
    make.run_pod(api, "p")
    _, obj = call("DELETE", f"{CORE}/pods/p")
    assert obj["metadata"]["deletionTimestamp"] == "2026-01-05T09:00:30Z"
    assert obj["metadata"]["deletionGracePeriodSeconds"] == 30
    assert call("GET", f"{CORE}/pods/p")[0] == 200
    call("DELETE", f"{CORE}/pods/p?gracePeriodSeconds=0")
    assert call("GET", f"{CORE}/pods/p")[0] == 404


def test_an_unscheduled_pod_goes_at_once(call: Any, make: Any) -> None:
    call("POST", f"{CORE}/pods", make.pod())
    call("DELETE", f"{CORE}/pods/p")
    assert call("GET", f"{CORE}/pods/p")[0] == 404


def test_a_namespace_terminates_and_refuses_new_content(call: Any) -> None:
    call("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}})
    _, obj = call("DELETE", "/api/v1/namespaces/n")
    assert obj["status"]["phase"] == "Terminating"
    status, refused = call("POST", "/api/v1/namespaces/n/configmaps", {"metadata": {"name": "c"}})
    assert (status, refused["message"]) == (
        403, 'configmaps "c" is forbidden: unable to create new content in namespace n because it is being terminated',
    )  # fmt: skip
    status, again = call("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}})
    assert (status, again["message"]) == (409, 'object is being deleted: namespaces "n" already exists')
    obj["spec"] = {"finalizers": []}
    assert call("PUT", "/api/v1/namespaces/n/finalize", obj)[0] == 200
    assert call("GET", "/api/v1/namespaces/n")[0] == 404
    assert call("DELETE", "/api/v1/namespaces/default")[0] == 403


def test_dry_runs_persist_nothing_and_use_nothing_up(call: Any, make: Any, api: Any) -> None:
    _, obj = call("POST", DEPLOYMENTS, make.deployment())
    before = (api.store.rv, api.rng.getstate())
    status, made = call("POST", f"{CORE}/pods?dryRun=All", make.pod())
    assert status == 201
    assert made["metadata"]["uid"]
    assert "resourceVersion" not in made["metadata"]
    service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}], "type": "NodePort"}}
    assert call("POST", f"{CORE}/services?dryRun=All", service)[1]["spec"]["clusterIP"]
    _, put = call("PUT", f"{DEPLOYMENTS}/web?dryRun=All", {**obj, "spec": {**obj["spec"], "replicas": 4}})
    assert put["metadata"]["generation"] == 2
    assert put["metadata"]["resourceVersion"] == obj["metadata"]["resourceVersion"]
    call("PATCH", f"{DEPLOYMENTS}/web?dryRun=All", {"spec": {"replicas": 4}}, "application/merge-patch+json")
    call("PATCH", f"{DEPLOYMENTS}/web/scale?dryRun=All", {"spec": {"replicas": 4}}, "application/merge-patch+json")
    call("DELETE", f"{DEPLOYMENTS}/web?dryRun=All")
    call("DELETE", f"{DEPLOYMENTS}?dryRun=All")
    call("DELETE", f"{DEPLOYMENTS}/web", {"dryRun": ["All"]})
    assert (api.store.rv, api.rng.getstate()) == before
    assert call("GET", f"{DEPLOYMENTS}/web")[1] == obj


def test_a_body_makes_the_query_of_a_delete_void(call: Any) -> None:
    call("POST", f"{CORE}/configmaps", {"metadata": {"name": "c"}})
    call("DELETE", f"{CORE}/configmaps/c?dryRun=All", {})
    assert call("GET", f"{CORE}/configmaps/c")[0] == 404


def test_deletecollection_takes_what_the_selector_names(call: Any) -> None:
    for name, value in (("a", "1"), ("b", "2"), ("c", "1")):
        call("POST", f"{CORE}/configmaps", {"metadata": {"name": name, "labels": {"k": value}}})
    status, obj = call("DELETE", f"{CORE}/configmaps?labelSelector=k%3D1")
    assert (status, [o["metadata"]["name"] for o in obj["items"]]) == (200, ["a", "c"])
    assert [o["metadata"]["name"] for o in call("GET", f"{CORE}/configmaps")[1]["items"]] == ["b"]


def test_limit_and_continue_page_through_a_list(call: Any) -> None:
    for i in range(5):
        call("POST", f"{CORE}/configmaps", {"metadata": {"name": f"c{i}"}})
    seen, more = [], ""
    while True:
        _, page = call("GET", f"{CORE}/configmaps?limit=2&continue={more}")
        seen += [o["metadata"]["name"] for o in page["items"]]
        more = page["metadata"].get("continue", "")
        if not more:
            break
        assert page["metadata"]["remainingItemCount"] == 5 - len(seen)
    assert seen == [f"c{i}" for i in range(5)]
    assert "kind" not in page["items"][0]
    assert page["kind"] == "ConfigMapList"


@pytest.mark.parametrize(
    ("request_line", "want"),
    [
        (f"GET {CORE}/foos", 404),
        ("GET /apis/apps/v9/deployments", 404),
        ("GET /apis/no.such/v1/things", 404),
        ("POST /api/v1/pods", 405),
        (f"POST {CORE}/pods/x", 405),
        (f"PUT {CORE}/pods", 405),
        (f"PATCH {CORE}/pods", 405),
        ("DELETE /api/v1/namespaces", 405),
        (f"GET {CORE}/bindings", 405),
        (f"DELETE {DEPLOYMENTS}/web/scale", 405),
        (f"GET {DEPLOYMENTS}/web/foo", 404),
        ("GET /nowhere", 404),
    ],
)
def test_paths_that_are_not_served(call: Any, request_line: str, want: int) -> None:
    method, path = request_line.split()
    assert call(method, path)[0] == want


def test_bad_bodies(call: Any) -> None:
    status, obj = call("POST", f"{CORE}/pods", "{", "application/json")
    assert (status, "unexpected end of JSON input" in obj["message"]) == (400, True)
    assert call("POST", f"{CORE}/pods", "x", "text/plain")[0] == 415
    assert call("POST", f"{CORE}/configmaps", "metadata:\n  name: y1\ndata:\n  a: b\n", "application/yaml")[0] == 201
    status, obj = call("POST", f"{CORE}/configmaps", {"apiVersion": "v2", "metadata": {"name": "c"}})
    assert obj["message"] == "the API version in the data (v2) does not match the expected API version (v1)"


def test_field_validation(call: Any, make: Any, api: Any) -> None:
    body = make.deployment(replicaz=3)
    status, obj = call("POST", f"{DEPLOYMENTS}?fieldValidation=Strict", body)
    assert status == 400
    assert obj["message"].startswith('Deployment in version "v1" cannot be handled as a Deployment: ')
    assert obj["message"].endswith('strict decoding error: unknown field "spec.replicaz"')
    answer = api.handle(Request("POST", DEPLOYMENTS, obj=body))
    assert answer.headers["Warning"] == '299 - "unknown field \\"spec.replicaz\\""'
    assert "replicaz" not in answer.obj["spec"]
    assert call("POST", f"{DEPLOYMENTS}?fieldValidation=Maybe", body)[0] == 422


def test_event_and_autoscaler_views(call: Any) -> None:
    involved = {"kind": "Pod", "name": "p", "namespace": "default"}
    call(
        "POST", f"{CORE}/events", {"metadata": {"name": "e"}, "involvedObject": involved, "reason": "R", "message": "M"}
    )
    _, view = call("GET", "/apis/events.k8s.io/v1/namespaces/default/events/e")
    assert (view["note"], view["regarding"]["name"], view["apiVersion"]) == ("M", "p", "events.k8s.io/v1")
    _, found = call("GET", f"{CORE}/events?fieldSelector=involvedObject.name%3Dp,reason%3DR")
    assert len(found["items"]) == 1
    hpa = {
        "metadata": {"name": "h"},
        "spec": {
            "maxReplicas": 3,
            "scaleTargetRef": {"kind": "Deployment", "name": "d"},
            "targetCPUUtilizationPercentage": 60,
        },
    }
    base = "namespaces/default/horizontalpodautoscalers"
    assert call("POST", f"/apis/autoscaling/v1/{base}", hpa)[0] == 201
    _, two = call("GET", f"/apis/autoscaling/v2/{base}/h")
    assert two["spec"]["metrics"] == [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}
    ]
    assert call("GET", f"/apis/autoscaling/v1/{base}/h")[1]["spec"]["targetCPUUtilizationPercentage"] == 60


def test_the_same_inputs_give_the_same_state(make: Any) -> None:
    states = []
    for _ in range(2):
        api = make.api()
        for name in ("a", "b"):
            api.handle(Request("POST", f"{CORE}/pods", obj=make.pod(name)))
            api.handle(Request("GET", f"{CORE}/pods"))
            api.handle(
                Request("POST", f"{CORE}/services", obj={"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}})
            )
        states.append([api.store.list(r) for r in api.store.resources()])
        api.close()
    assert states[0] == states[1]
