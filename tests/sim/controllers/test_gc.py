"""Owners and dependents: who goes with whom, who stays, and what holds a namespace."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MERGE = "application/merge-patch+json"


def make(lab: Any, name: str, *owners: Any, block: bool = True, **meta: Any) -> Any:
    refs = [
        {
            "apiVersion": o["apiVersion"],
            "kind": o["kind"],
            "name": o["metadata"]["name"],
            "uid": o["metadata"]["uid"],
            "blockOwnerDeletion": block,
        }
        for o in owners
    ]
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": refs, **meta}}
    return lab.request("POST", f"/api/v1/namespaces/{meta.get('namespace', 'default')}/configmaps", body)


def names(lab: Any, namespace: str = "default") -> list[str]:
    return [
        o["metadata"]["name"]
        for o in lab.store.list("configmaps", namespace)
        if "kube-root" not in o["metadata"]["name"]
    ]


def get(lab: Any, name: str) -> Any:
    return lab.store.get("configmaps", "default", name)


def drop(lab: Any, name: str, policy: str = "Background") -> None:
    lab.delete("ConfigMap", name, propagationPolicy=policy)


def release(lab: Any, name: str, *finalizers: str) -> None:
    lab.patch("ConfigMap", name, {"metadata": {"finalizers": list(finalizers) or None}}, how="merge")


def test_background(lab: Any) -> None:
    a = make(lab, "a")
    b = make(lab, "b", a)
    make(lab, "c", b)
    make(lab, "other")
    drop(lab, "a")
    assert names(lab) == ["other"]


def test_background_waits_for_the_owner_to_be_gone(lab: Any) -> None:
    a = make(lab, "a", finalizers=["example.com/held"])
    make(lab, "b", a)
    drop(lab, "a")
    assert names(lab) == ["a", "b"]
    release(lab, "a")
    assert names(lab) == []


def test_foreground_waits_for_blocking_dependents_only(lab: Any) -> None:
    a = make(lab, "a")
    b = make(lab, "b", a, finalizers=["example.com/held"])
    make(lab, "c", b)
    make(lab, "d", a, block=False, finalizers=["example.com/held"])
    drop(lab, "a", "Foreground")
    assert names(lab) == ["a", "b", "d"]
    assert get(lab, "a")["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert "deletionTimestamp" in get(lab, "d")["metadata"]
    release(lab, "b")
    assert names(lab) == ["d"]
    release(lab, "d")
    assert names(lab) == []


def test_foreground_goes_down_the_tree_first(lab: Any) -> None:
    a = make(lab, "a")
    b = make(lab, "b", a)
    make(lab, "c", b, finalizers=["example.com/held"])
    drop(lab, "a", "Foreground")
    assert names(lab) == ["a", "b", "c"]
    assert get(lab, "b")["metadata"]["finalizers"] == ["foregroundDeletion"]
    release(lab, "c")
    assert names(lab) == []


def test_orphan(lab: Any) -> None:
    a, x = make(lab, "a"), make(lab, "x")
    make(lab, "b", a)
    make(lab, "c", a, x)
    drop(lab, "a", "Orphan")
    lab.advance(10)
    assert names(lab) == ["b", "c", "x"]
    assert "ownerReferences" not in get(lab, "b")["metadata"]
    assert [r["name"] for r in get(lab, "c")["metadata"]["ownerReferences"]] == ["x"]


def test_another_owner_keeps_a_dependent(lab: Any) -> None:
    a, x = make(lab, "a"), make(lab, "x")
    make(lab, "b", a, x)
    drop(lab, "a")
    assert [r["name"] for r in get(lab, "b")["metadata"]["ownerReferences"]] == ["x"]
    drop(lab, "x", "Foreground")
    assert names(lab) == []


def test_foreground_leaves_dependents_that_others_own_too(lab: Any) -> None:
    a, x = make(lab, "a"), make(lab, "x")
    make(lab, "b", a, x)
    drop(lab, "a", "Foreground")
    assert names(lab) == ["b", "x"]
    assert [r["name"] for r in get(lab, "b")["metadata"]["ownerReferences"]] == ["x"]


def test_a_circle_does_not_hold_itself(lab: Any) -> None:
    a = make(lab, "a")
    b = make(lab, "b", a)
    ref = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "b",
        "uid": b["metadata"]["uid"],
        "blockOwnerDeletion": True,
    }
    lab.patch("ConfigMap", "a", {"metadata": {"ownerReferences": [ref]}}, how="merge")
    drop(lab, "a", "Foreground")
    lab.advance(5)
    assert names(lab) == []


def test_owners_that_never_were(lab: Any) -> None:
    ghost = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "ghost", "uid": "no-such-uid"}}
    make(lab, "b", ghost)
    assert names(lab) == ["b"]
    lab.advance(3)
    assert names(lab) == []
    a = make(lab, "a")
    make(lab, "renamed", {**a, "metadata": {**a["metadata"], "name": "z"}})
    lab.advance(3)
    assert names(lab) == ["a"]


def test_owners_in_other_namespaces(lab: Any) -> None:
    lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    a = make(lab, "a")
    uid = a["metadata"]["uid"]
    make(lab, "far", a, namespace="other")
    lab.advance(3)
    assert names(lab, "other") == []
    (event,) = [e for e in lab.events("other") if e["reason"] == "OwnerRefInvalidNamespace"]
    assert (event["type"], event["source"]["component"]) == ("Warning", "garbage-collector-controller")
    assert event["message"] == (
        f'ownerRef [v1/ConfigMap, namespace: other, name: a, uid: {uid}] does not exist in namespace "other"'
    )


def test_objects_of_the_cluster_with_an_owner_in_a_namespace_are_left_alone(lab: Any) -> None:
    a = make(lab, "a")
    ref = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": a["metadata"]["uid"]}
    meta = {"name": "p", "ownerReferences": [ref]}
    body = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": meta, "value": 1}
    lab.request("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", body)
    lab.advance(5)
    assert lab.store.get("priorityclasses.scheduling.k8s.io", "", "p") is not None


def test_a_dependent_restored_with_its_old_owners_uid_is_collected(lab: Any) -> None:
    a = make(lab, "a")
    drop(lab, "a")
    make(lab, "a")
    make(lab, "b", a)
    lab.advance(3)
    assert names(lab) == ["a"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_orphan_is_left(make_lab: Any, data: Any) -> None:
    """Whatever is created and deleted how: in the end, what still has references has a living owner."""
    lab = make_lab(nodes=1)
    made: list[Any] = []
    for number in range(data.draw(st.integers(2, 9))):
        owners = (
            data.draw(st.lists(st.sampled_from(made), max_size=2, unique_by=lambda o: o["metadata"]["name"]))
            if made
            else []
        )
        held = ["example.com/held"] if data.draw(st.integers(0, 4)) == 0 else []
        made.append(make(lab, f"n{number}", *owners, block=data.draw(st.booleans()), finalizers=held))
        if data.draw(st.integers(0, 2)) == 0:
            victim = data.draw(st.sampled_from(made))["metadata"]["name"]
            if get(lab, victim) is not None:
                drop(lab, victim, data.draw(st.sampled_from(["Background", "Foreground", "Orphan"])))
            made = [o for o in made if get(lab, o["metadata"]["name"]) is not None]
            if not made:
                break
    for name in names(lab):
        meta = (get(lab, name) or {"metadata": {}})["metadata"]
        if "example.com/held" in (meta.get("finalizers") or ()):
            release(lab, name, *(f for f in meta["finalizers"] if f != "example.com/held"))
    lab.advance(10)
    living = {o["metadata"]["uid"] for o in lab.store.list("configmaps", "default")}
    for obj in lab.store.list("configmaps", "default"):
        meta = obj["metadata"]
        refs = meta.get("ownerReferences") or ()
        assert not refs or any(r["uid"] in living for r in refs), meta
        assert "deletionTimestamp" not in meta, meta


# namespaces


def conditions(lab: Any, name: str) -> dict[str, tuple[str, str, str]]:
    found = lab.get("Namespace", name)["status"].get("conditions") or ()
    return {c["type"]: (c["status"], c["reason"], c["message"]) for c in found}


@pytest.fixture
def doomed(lab: Any) -> Any:
    lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "doomed"}})
    return lab


def test_an_empty_namespace_goes_after_five_seconds(doomed: Any) -> None:
    doomed.delete("Namespace", "doomed")
    found = doomed.get("Namespace", "doomed")
    assert (found["status"], found["spec"]) == ({"phase": "Terminating"}, {"finalizers": ["kubernetes"]})
    doomed.advance(4.9)
    assert doomed.get("Namespace", "doomed") is not None
    doomed.advance(0.2)
    assert doomed.get("Namespace", "doomed") is None
    assert not [o for r in doomed.store.resources() for o in doomed.store.list(r, "doomed")]


def test_pods_go_first_and_nothing_comes_after_them(doomed: Any) -> None:
    doomed.apply("""
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "busybox:1.36", command: [sleep, infinity]}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kept}
""", "doomed")  # fmt: skip
    doomed.advance(20)
    doomed.delete("Namespace", "doomed")
    doomed.advance(6)
    assert len(doomed.pods("doomed")) == 2
    assert doomed.store.get("configmaps", "doomed", "kept") is not None
    said = conditions(doomed, "doomed")
    assert said["NamespaceContentRemaining"] == (
        "True", "SomeResourcesRemain", "Some resources are remaining: pods. has 2 resource instances",
    )  # fmt: skip
    assert said["NamespaceDeletionContentFailure"][0] == "False"
    assert said["NamespaceDeletionDiscoveryFailure"] == (
        "False", "ResourcesDiscovered", "All resources successfully discovered",
    )  # fmt: skip
    doomed.advance(90)
    assert doomed.get("Namespace", "doomed") is None
    assert not [o for r in doomed.store.resources() for o in doomed.store.list(r, "doomed")]


def test_a_finalizer_holds_a_namespace_and_is_told(doomed: Any) -> None:
    make(doomed, "held", namespace="doomed", finalizers=["example.com/held"])
    make(doomed, "free", namespace="doomed")
    doomed.delete("Namespace", "doomed")
    doomed.advance(120)
    assert names(doomed, "doomed") == ["held"]
    said = conditions(doomed, "doomed")
    assert said["NamespaceContentRemaining"][2] == "Some resources are remaining: configmaps. has 1 resource instances"
    assert said["NamespaceFinalizersRemaining"] == (
        "True",
        "SomeFinalizersRemain",
        "Some content in the namespace has finalizers remaining: example.com/held in 1 resource instances",
    )
    late = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}}
    refused = doomed.request("POST", "/api/v1/namespaces/doomed/configmaps", late, ok=False)
    assert refused["code"] == 403
    doomed.patch("ConfigMap", "held", {"metadata": {"finalizers": None}}, "doomed", "merge")
    doomed.advance(10)
    assert doomed.get("Namespace", "doomed") is None


def test_an_api_nobody_serves_holds_a_namespace(doomed: Any) -> None:
    service = {
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1beta1.shop.example.com"},
        "spec": {"group": "shop.example.com", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
                 "insecureSkipTLSVerify": True, "service": {"namespace": "default", "name": "gone"}},
    }  # fmt: skip
    doomed.request("POST", "/apis/apiregistration.k8s.io/v1/apiservices", service)
    doomed.delete("Namespace", "doomed")
    doomed.advance(30)
    assert conditions(doomed, "doomed")["NamespaceDeletionDiscoveryFailure"] == (
        "True",
        "DiscoveryFailed",
        "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: "
        "shop.example.com/v1beta1: stale GroupVersion discovery: shop.example.com/v1beta1",
    )
    doomed.request("DELETE", "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.shop.example.com")
    doomed.advance(10)
    assert doomed.get("Namespace", "doomed") is None


def test_the_default_account_and_the_root_certificate_come_back(doomed: Any) -> None:
    root = doomed.get("ConfigMap", "kube-root-ca.crt", "doomed")
    assert root["data"]["ca.crt"].startswith("-----BEGIN CERTIFICATE-----")
    doomed.delete("ConfigMap", "kube-root-ca.crt", "doomed")
    doomed.delete("ServiceAccount", "default", "doomed")
    assert doomed.get("ConfigMap", "kube-root-ca.crt", "doomed")["data"] == root["data"]
    assert doomed.get("ServiceAccount", "default", "doomed") is not None
    doomed.patch("ConfigMap", "kube-root-ca.crt", {"data": {"ca.crt": "x"}}, "doomed", "merge")
    assert doomed.get("ConfigMap", "kube-root-ca.crt", "doomed")["data"] == root["data"]
