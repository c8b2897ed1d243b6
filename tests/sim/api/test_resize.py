"""Resizing a pod in place: cpu and memory only, and never its class of service."""

from typing import Any

import pytest

PODS = "/api/v1/namespaces/default/pods"
STRATEGIC = "application/strategic-merge-patch+json"
SMALL = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}}


def made(call: Any, resources: dict[str, Any]) -> None:
    spec = {"containers": [{"name": "c", "image": "x", "resources": resources}]}
    assert call("POST", PODS, {"metadata": {"name": "p"}, "spec": spec})[0] == 201


def resize(call: Any, resources: dict[str, Any]) -> tuple[int, Any]:
    body = {"spec": {"containers": [{"name": "c", "resources": resources}]}}
    found: tuple[int, Any] = call("PATCH", f"{PODS}/p/resize", body, STRATEGIC)
    return found


def test_requests_and_limits_change_in_place(call: Any) -> None:
    made(call, SMALL)
    status, pod = resize(call, {"requests": {"cpu": "150m"}, "limits": {"memory": "256Mi"}})
    assert status == 200
    assert pod["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "150m", "memory": "64Mi"},
        "limits": {"cpu": "200m", "memory": "256Mi"},
    }
    assert pod["metadata"]["generation"] == 2


def test_nothing_else_changes_by_a_resize(call: Any) -> None:
    made(call, SMALL)
    body = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "other"}]}}
    status, pod = call("PATCH", f"{PODS}/p/resize", body, STRATEGIC)
    assert status == 200
    assert pod["spec"]["containers"][0]["image"] == "x"


@pytest.mark.parametrize(
    ("before", "change", "field", "text"),
    [
        (SMALL, {"requests": {"cpu": "200m", "memory": "128Mi"}}, "spec",
         'Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing'),
        (SMALL, {"limits": {"x.io/gpu": "1"}, "requests": {"x.io/gpu": "1"}}, "spec",
         "Forbidden: only cpu and memory resources are mutable"),
        (SMALL, {"limits": {"cpu": None}}, "spec.containers[0].resources.limits",
         "Forbidden: resource limits cannot be removed"),
        (SMALL, {"requests": {"cpu": "1"}}, "spec.containers[0].resources.requests",
         'Invalid value: "1": must be less than or equal to cpu limit of 200m'),
    ],
)  # fmt: skip
def test_what_a_resize_may_not_do(call: Any, before: Any, change: Any, field: str, text: str) -> None:
    made(call, before)
    status, answer = resize(call, change)
    assert (status, answer["reason"]) == (422, "Invalid")
    assert (field, text) in [(c["field"], c["message"]) for c in answer["details"]["causes"]]
    kept = call("GET", f"{PODS}/p")[1]["spec"]["containers"][0]["resources"]
    assert kept == before


def test_the_main_resource_does_not_resize(call: Any) -> None:
    made(call, SMALL)
    body = {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "150m"}}}]}}
    status, answer = call("PATCH", f"{PODS}/p", body, STRATEGIC)
    assert status == 422
    shown = answer["details"]["causes"][0]["message"].splitlines()
    assert '-     "cpu": "100m",' in shown
    assert '+     "cpu": "150m",' in shown
    assert call("PATCH", f"{PODS}/nope/resize", body, STRATEGIC)[0] == 404
