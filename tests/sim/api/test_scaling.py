"""The scale subresource: who owns the number of replicas, before and after."""

from typing import Any

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
MERGE, APPLY = "application/merge-patch+json", "application/apply-patch+yaml"


def owners(call: Any) -> dict[str, bool]:
    """Return for each manager whether it owns the replicas."""
    found = call("GET", f"{DEPLOYMENTS}/web")[1]["metadata"]["managedFields"]
    return {
        f"{e['manager']}{'/' + e['subresource'] if 'subresource' in e else ''}": "f:replicas"
        in e["fieldsV1"].get("f:spec", {})
        for e in found
    }


def test_who_scales_owns_the_number(call: Any, make: Any) -> None:
    call("POST", DEPLOYMENTS, make.deployment())
    assert owners(call) == {"tester": True}
    status, scale = call("PATCH", f"{DEPLOYMENTS}/web/scale?fieldManager=me", {"spec": {"replicas": 3}}, MERGE)
    assert (status, scale["spec"]["replicas"]) == (200, 3)
    assert owners(call) == {"me/scale": True, "tester": False}
    entry = call("GET", f"{DEPLOYMENTS}/web")[1]["metadata"]["managedFields"][0]
    assert (entry["apiVersion"], entry["fieldsV1"]) == ("apps/v1", {"f:spec": {"f:replicas": {}}})


def test_the_same_number_again_changes_no_owner(call: Any, make: Any) -> None:
    call("POST", DEPLOYMENTS, make.deployment(replicas=2))
    call("PATCH", f"{DEPLOYMENTS}/web/scale?fieldManager=me", {"spec": {"replicas": 2}}, MERGE)
    assert owners(call) == {"tester": True}


def test_nobody_owns_nothing(call: Any, make: Any) -> None:
    """A scale of 0 has no number in it, so that nobody comes to own it; and nobody is told of afterwards."""
    call("POST", DEPLOYMENTS, make.deployment())
    call("PATCH", f"{DEPLOYMENTS}/web/scale?fieldManager=me", {"spec": {"replicas": 0}}, MERGE)
    assert call("GET", f"{DEPLOYMENTS}/web")[1]["spec"]["replicas"] == 0
    assert owners(call) == {"tester": False}
    call("PATCH", f"{DEPLOYMENTS}/web/scale?fieldManager=me", {"spec": {"replicas": 2}}, MERGE)
    assert owners(call) == {"tester": False}


def test_an_applied_scale_conflicts_with_the_owner(call: Any, make: Any) -> None:
    call("POST", DEPLOYMENTS, make.deployment(replicas=2))
    config = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 5}}
    path = f"{DEPLOYMENTS}/web/scale?fieldManager=me"
    status, answer = call("PATCH", path, config, APPLY)
    assert status == 409
    assert ".spec.replicas" in answer["message"]
    assert owners(call) == {"tester": True}
    assert call("PATCH", f"{path}&force=true", config, APPLY)[0] == 200
    assert owners(call) == {"me/scale": True, "tester": False}
    assert call("GET", f"{DEPLOYMENTS}/web")[1]["spec"]["replicas"] == 5


def test_a_dry_run_scales_nothing(call: Any, make: Any) -> None:
    call("POST", DEPLOYMENTS, make.deployment())
    _, scale = call("PATCH", f"{DEPLOYMENTS}/web/scale?dryRun=All", {"spec": {"replicas": 9}}, MERGE)
    assert scale["spec"]["replicas"] == 9
    assert call("GET", f"{DEPLOYMENTS}/web")[1]["spec"]["replicas"] == 1
    assert owners(call) == {"tester": True}


def test_custom_resources_scale_by_their_path(call: Any) -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    crd = {
        "metadata": {"name": "cogs.x.io"},
        "spec": {
            "group": "x.io", "names": {"plural": "cogs", "kind": "Cog"}, "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema},
                          "subresources": {"scale": {"specReplicasPath": ".spec.size",
                                                     "statusReplicasPath": ".status.size"}}}],
        },
    }  # fmt: skip
    assert call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)[0] == 201
    base = "/apis/x.io/v1/namespaces/default/cogs"
    call("POST", base, {"apiVersion": "x.io/v1", "kind": "Cog", "metadata": {"name": "c"}, "spec": {"size": 1}})
    call("PATCH", f"{base}/c/scale?fieldManager=me", {"spec": {"replicas": 4}}, MERGE)
    found = call("GET", f"{base}/c")[1]
    assert found["spec"]["size"] == 4
    mine = [e for e in found["metadata"]["managedFields"] if e["manager"] == "me"]
    assert mine[0]["fieldsV1"] == {"f:spec": {"f:size": {}}}
