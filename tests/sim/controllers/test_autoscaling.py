"""Autoscalers: what they recommend, how fast they go, and what they say when they cannot."""

from __future__ import annotations

from typing import Any

import pytest

from stratus.sim.controllers.replicas import Pods, by_average, by_utilization
from stratus.sim.controllers.scalingrules import (
    FAST_DOWN,
    FAST_UP,
    HIGHER,
    LEAST,
    LOWER,
    MATCHES,
    MOST,
    WITHIN,
    Memory,
    scaled,
    settle,
    tolerance,
)

# arithmetic


def group(use: list[float], asked: float = 100.0, unready: int = 0, missing: int = 0) -> Pods:
    found = Pods({f"p{n}": u for n, u in enumerate(use)}, ready=len(use))
    found.unready = [f"u{n}" for n in range(unready)]
    found.missing = [f"m{n}" for n in range(missing)]
    found.asked = dict.fromkeys([*found.measured, *found.unready, *found.missing], asked)
    return found


@pytest.mark.parametrize(
    ("use", "target", "current", "expected"),
    [
        ([100, 100], 50, 2, 4),
        ([55, 55], 50, 2, 2),
        ([56, 56], 50, 2, 3),
        ([45, 45], 50, 2, 2),
        ([10, 10, 10, 10], 50, 4, 1),
        ([60, 20], 50, 2, 2),
    ],
)
def test_the_count_follows_the_ratio(use: list[float], target: float, current: int, expected: int) -> None:
    assert by_utilization(group(use), target, current, 0.1, 0.1)[0] == expected


def test_pods_that_are_not_ready_or_not_measured_make_the_change_smaller() -> None:
    # Two at 100 of 100, two getting ready: (200 + 0 + 0) of 400 is 50 per cent, which is the target.
    assert by_utilization(group([100, 100], unready=2), 50, 4, 0.1, 0.1)[0] == 4
    # Two at 10, one unmeasured taken for 100: 120 of 300 is 40 per cent: ceil(0.8 * 3).
    assert by_utilization(group([10, 10], missing=1), 50, 3, 0.1, 0.1)[0] == 3
    assert by_utilization(group([10, 10]), 50, 3, 0.1, 0.1)[0] == 1
    # Far above the target, one unmeasured taken for nothing: 400 of 300 is 133 per cent: ceil(2.66 * 3).
    assert by_utilization(group([200, 200], missing=1), 50, 3, 0.1, 0.1)[0] == 8


def test_averages() -> None:
    assert by_average(group([300, 100]), 100, 2, 0.1, 0.1) == (4, 200)
    assert by_average(group([109]), 100, 1, 0.1, 0.1)[0] == 1
    assert by_average(group([111]), 100, 1, 0.1, 0.1)[0] == 2
    assert by_average(group([104]), 100, 1, 0.1, 0.03)[0] == 2


# rules


def empty() -> Memory:
    return Memory([], [], [])


def test_without_behavior_up_is_doubled_and_down_waits_five_minutes() -> None:
    memory = empty()
    first = settle(None, memory, 0.0, 2, 9, 1, 10)
    assert (first.replicas, first.able, first.limited, first.limit) == (4, MATCHES, True, FAST_UP)
    assert settle(None, memory, 15.0, 4, 9, 1, 6).limit == MOST
    lower = settle(None, memory, 30.0, 6, 2, 1, 10)
    assert (lower.replicas, lower.able) == (9, LOWER)
    later = settle(None, memory, 331.0, 6, 2, 3, 10)
    assert (later.replicas, later.able, later.limit) == (3, MATCHES, LEAST)


def test_policies_limit_the_steps() -> None:
    behavior = {"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]}}
    memory = empty()
    first = settle(behavior, memory, 0.0, 2, 10, 1, 20)
    assert (first.replicas, first.limit) == (4, FAST_UP)
    scaled(behavior, memory, 0.0, 2, 4)
    assert settle(behavior, memory, 15.0, 4, 10, 1, 20).replicas == 4
    assert settle(behavior, memory, 61.0, 4, 10, 1, 20).replicas == 6
    percent = {"scaleDown": {"stabilizationWindowSeconds": 0,
                             "policies": [{"type": "Percent", "value": 10, "periodSeconds": 60}]}}  # fmt: skip
    down = settle(percent, empty(), 0.0, 20, 1, 1, 20)
    assert (down.replicas, down.limit, down.limited) == (18, FAST_DOWN, True)


def test_select_policies() -> None:
    policies = [
        {"type": "Pods", "value": 1, "periodSeconds": 60},
        {"type": "Percent", "value": 100, "periodSeconds": 60},
    ]
    for select, expected in (("Max", 8), ("Min", 5), ("Disabled", 4), (None, 8)):
        behavior = {"scaleUp": {"policies": policies, "selectPolicy": select}}
        assert settle(behavior, empty(), 0.0, 4, 50, 1, 100).replicas == expected, select
    off = {"scaleDown": {"selectPolicy": "Disabled", "stabilizationWindowSeconds": 0}}
    assert settle(off, empty(), 0.0, 4, 1, 1, 100).replicas == 4


def test_stabilisation_windows() -> None:
    behavior = {"scaleUp": {"stabilizationWindowSeconds": 60}, "scaleDown": {"stabilizationWindowSeconds": 60}}
    memory = empty()
    assert settle(behavior, memory, 0.0, 3, 3, 1, 100).limit == WITHIN
    up = settle(behavior, memory, 15.0, 3, 6, 1, 100)
    assert (up.replicas, up.able) == (3, HIGHER)
    assert settle(behavior, memory, 61.0, 3, 6, 1, 100).replicas == 6
    down = settle(behavior, memory, 76.0, 6, 2, 1, 100)
    assert (down.replicas, down.able) == (6, LOWER)
    assert settle(behavior, memory, 140.0, 6, 2, 1, 100).replicas == 2


def test_tolerances() -> None:
    assert tolerance(None, "scaleUp") == 0.1
    assert tolerance({"scaleUp": {"tolerance": "50m"}}, "scaleUp") == 0.05
    assert tolerance({"scaleUp": {"tolerance": "0.02"}}, "scaleDown") == 0.1


# in a cluster


def deployment(name: str = "w", replicas: int = 1, cpu: str | None = "1m", **more: Any) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "app", "image": "ghcr.io/acme/app:1", "ports": [{"containerPort": 80}]}
    if cpu:
        container["resources"] = {"requests": {"cpu": cpu}}
    labels = more.get("labels") or {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def hpa(name: str = "w", target: str = "w", *metrics: dict[str, Any], **spec: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
        "minReplicas": 1,
        "maxReplicas": 5,
        "metrics": list(metrics) or [resource("cpu", averageUtilization=50)],
    }
    body.update(spec)
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": body}


def resource(name: str, container: str = "", **target: Any) -> dict[str, Any]:
    kind = "Utilization" if "averageUtilization" in target else "AverageValue"
    part: dict[str, Any] = {"name": name, "target": {"type": kind, **target}}
    if container:
        return {"type": "ContainerResource", "containerResource": {**part, "container": container}}
    return {"type": "Resource", "resource": part}


def told(lab: Any, name: str = "w") -> dict[str, tuple[str, str, str]]:
    found = lab.get("HorizontalPodAutoscaler", name)["status"].get("conditions") or ()
    return {c["type"]: (c["status"], c["reason"], c["message"]) for c in found}


def happened(lab: Any) -> dict[str, str]:
    return {e["reason"]: e["message"] for e in lab.events() if e["involvedObject"]["kind"] == "HorizontalPodAutoscaler"}


def test_the_first_look_comes_after_fifteen_seconds(lab: Any) -> None:
    lab.apply(deployment())
    lab.advance(60)
    lab.apply(hpa())
    lab.advance(14.9)
    assert told(lab) == {}
    lab.advance(0.2)
    assert told(lab)["AbleToScale"][1] == "SucceededRescale"


def test_scaling_up_to_the_most(lab: Any) -> None:
    lab.apply(deployment())
    lab.advance(60)
    lab.apply(hpa(maxReplicas=3))
    lab.advance(120)
    assert lab.get("Deployment", "w")["spec"]["replicas"] == 3
    status = lab.get("HorizontalPodAutoscaler", "w")["status"]
    assert (status["currentReplicas"], status["desiredReplicas"]) == (3, 3)
    assert set(status["currentMetrics"][0]["resource"]["current"]) == {"averageUtilization", "averageValue"}
    assert told(lab)["ScalingLimited"] == (
        "True", "TooManyReplicas", "the desired replica count is more than the maximum replica count",
    )  # fmt: skip
    assert told(lab)["ScalingActive"] == (
        "True",
        "ValidMetricFound",
        "the HPA was able to successfully calculate a replica count from cpu resource utilization "
        "(percentage of request)",
    )
    assert happened(lab)["SuccessfulRescale"] == (
        "New size: 3; reason: cpu resource utilization (percentage of request) above target"
    )


def test_scaling_down_waits_and_stops_at_the_least(lab: Any) -> None:
    lab.apply(deployment(replicas=4, cpu="2"))
    lab.advance(60)
    lab.apply(hpa(minReplicas=2))
    lab.advance(60)
    assert lab.get("Deployment", "w")["spec"]["replicas"] == 4
    assert told(lab)["AbleToScale"][1] == "ScaleDownStabilized"
    lab.advance(300)
    assert lab.get("Deployment", "w")["spec"]["replicas"] == 2
    assert told(lab)["ScalingLimited"][1] == "TooFewReplicas"
    assert happened(lab)["SuccessfulRescale"] == "New size: 2; reason: All metrics below target"


def test_bounds_are_enforced_without_metrics(lab: Any) -> None:
    lab.apply(deployment(replicas=7, cpu=None))
    lab.apply(hpa(maxReplicas=5))
    lab.advance(20)
    assert happened(lab)["SuccessfulRescale"] == (
        "New size: 5; reason: Current number of replicas above Spec.MaxReplicas"
    )
    lab.patch("HorizontalPodAutoscaler", "w", {"spec": {"minReplicas": 6, "maxReplicas": 9}}, how="merge")
    lab.advance(20)
    assert lab.get("Deployment", "w")["spec"]["replicas"] == 6


def test_a_missing_request(lab: Any) -> None:
    lab.apply(deployment(cpu=None))
    lab.advance(60)
    lab.apply(hpa())
    lab.advance(20)
    pod = lab.pods(app="w")[0]["metadata"]["name"]
    text = f"failed to get cpu utilization: missing request for cpu in container app of Pod {pod}"
    assert told(lab)["ScalingActive"] == (
        "False", "FailedGetResourceMetric", f"the HPA was unable to compute the replica count: {text}",
    )  # fmt: skip
    assert happened(lab) == {
        "FailedGetResourceMetric": text,
        "FailedComputeMetricsReplicas": "invalid metrics (1 invalid out of 1), first error is: "
        f"failed to get cpu resource metric value: {text}",
    }
    status = lab.get("HorizontalPodAutoscaler", "w")["status"]
    assert (status["currentMetrics"], status["currentReplicas"], status["desiredReplicas"]) == ([{"type": ""}], 1, 0)


def test_pods_that_are_not_ready_give_no_metrics(lab: Any) -> None:
    body = deployment()
    body["spec"]["template"]["spec"]["containers"][0]["image"] = "ghcr.io/acme/app:does-not-exist"
    lab.apply(body)
    lab.apply(hpa())
    lab.advance(20)
    assert told(lab)["ScalingActive"][2].endswith(
        "failed to get cpu utilization: did not receive metrics for targeted pods (pods might be unready)"
    )


def test_without_a_metrics_server(lab: Any) -> None:
    lab.control.controllers["autoscaler"].metered = False
    lab.apply(deployment())
    lab.apply(hpa())
    lab.advance(20)
    assert told(lab)["ScalingActive"][2] == (
        "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for "
        "resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested "
        "resource (get pods.metrics.k8s.io)"
    )


@pytest.mark.parametrize(
    ("metric", "reason", "text"),
    [
        ({"type": "Pods", "pods": {"metric": {"name": "rps"},
                                   "target": {"type": "AverageValue", "averageValue": "10"}}},
         "FailedGetPodsMetric",
         "unable to get metric rps: unable to fetch metrics from custom metrics API: no custom metrics API "
         "(custom.metrics.k8s.io) registered"),
        ({"type": "Object", "object": {"metric": {"name": "rps"}, "target": {"type": "Value", "value": "10"},
                                       "describedObject": {"kind": "Service", "name": "w", "apiVersion": "v1"}}},
         "FailedGetObjectMetric",
         "unable to get metric rps: Service on default w/unable to fetch metrics from custom metrics API: no custom "
         "metrics API (custom.metrics.k8s.io) registered"),
        ({"type": "External", "external": {"metric": {"name": "lag"}, "target": {"type": "Value", "value": "10"}}},
         "FailedGetExternalMetric",
         "unable to get external metric default/lag/nil: unable to fetch metrics from external metrics API: the server "
         "could not find the requested resource (get lag.external.metrics.k8s.io)"),
        ({"type": "ContainerResource", "containerResource": {
            "name": "cpu", "container": "gone", "target": {"type": "Utilization", "averageUtilization": 50}}},
         "FailedGetContainerResourceMetric", "failed to get cpu utilization: container gone not found in Pod {pod}"),
    ],
)  # fmt: skip
def test_metrics_nobody_serves(lab: Any, metric: dict[str, Any], reason: str, text: str) -> None:
    lab.apply(deployment())
    lab.advance(60)
    lab.apply(hpa("w", "w", metric))
    lab.advance(20)
    expected = text.replace("{pod}", lab.pods(app="w")[0]["metadata"]["name"])
    assert told(lab)["ScalingActive"] == (
        "False", reason, f"the HPA was unable to compute the replica count: {expected}",
    )  # fmt: skip
    assert happened(lab)[reason] == expected


def test_one_bad_metric_stops_scaling_down_but_not_up(lab: Any) -> None:
    bad = {"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "1"}}}
    lab.apply(deployment())
    lab.advance(60)
    lab.apply(hpa("w", "w", resource("cpu", averageUtilization=50), bad))
    lab.advance(30)
    assert lab.get("Deployment", "w")["spec"]["replicas"] > 1
    lab.apply(deployment("idle", 3, "2"))
    lab.advance(60)
    lab.apply(hpa("idle", "idle", resource("cpu", averageUtilization=50), bad))
    lab.advance(400)
    assert lab.get("Deployment", "idle")["spec"]["replicas"] == 3
    assert told(lab, "idle")["ScalingActive"][1] == "FailedGetPodsMetric"


def test_averages_and_single_containers(lab: Any) -> None:
    lab.apply(deployment())
    lab.advance(60)
    lab.apply(hpa("w", "w", resource("memory", averageValue="1Mi")))
    lab.advance(20)
    assert lab.get("Deployment", "w")["spec"]["replicas"] == 4
    assert told(lab)["ScalingActive"][2].endswith("from memory resource")
    entry = lab.get("HorizontalPodAutoscaler", "w")["status"]["currentMetrics"][0]
    assert set(entry["resource"]["current"]) == {"averageValue"}
    lab.apply(deployment("c"))
    lab.advance(60)
    lab.apply(hpa("c", "c", resource("cpu", "app", averageUtilization=50)))
    lab.advance(20)
    found = lab.get("HorizontalPodAutoscaler", "c")["status"]["currentMetrics"][0]
    assert found["containerResource"]["container"] == "app"
    assert told(lab, "c")["ScalingActive"][2].endswith("cpu container resource utilization (percentage of request)")


def test_targets_that_are_not_there_or_have_no_replicas(lab: Any) -> None:
    lab.apply(deployment(replicas=0))
    lab.apply(hpa())
    lab.apply(hpa("lost", "nowhere"))
    lab.apply(hpa("odd", "w", scaleTargetRef={"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "w"}))
    lab.advance(20)
    assert told(lab)["ScalingActive"] == (
        "False", "ScalingDisabled", "scaling is disabled since the replica count of the target is zero",
    )  # fmt: skip
    assert told(lab, "lost") == {
        "AbleToScale": (
            "False",
            "FailedGetScale",
            'the HPA controller was unable to get the target\'s current scale: deployments.apps "nowhere" not found',
        )
    }
    assert told(lab, "odd")["AbleToScale"][1] == "FailedGetScale"
    assert lab.get("Deployment", "w")["spec"]["replicas"] == 0


def test_conditions_that_are_not_spoken_of_stay(lab: Any) -> None:
    lab.apply(deployment(cpu=None))
    lab.advance(40)
    lab.apply(hpa())
    lab.advance(20)
    lab.delete("Deployment", "w")
    lab.advance(20)
    found = lab.get("HorizontalPodAutoscaler", "w")["status"]
    assert [(c["type"], c["reason"]) for c in found["conditions"]] == [
        ("AbleToScale", "FailedGetScale"), ("ScalingActive", "FailedGetResourceMetric"),
    ]  # fmt: skip


def test_two_autoscalers_for_the_same_pods(lab: Any) -> None:
    lab.apply(deployment())
    lab.advance(60)
    lab.apply(hpa("one"))
    lab.advance(1)
    lab.apply(hpa("two"))
    lab.advance(40)
    text = "pods by selector app=w are controlled by multiple HPAs: [default/one default/two]"
    for name in ("one", "two"):
        assert told(lab, name)["ScalingActive"] == ("False", "AmbiguousSelector", text)
    assert happened(lab)["AmbiguousSelector"] == text


def test_a_custom_resource_with_a_scale(lab: Any) -> None:
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema, "subresources": {"scale": scale}}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "farms.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "farms", "singular": "farm", "kind": "Farm"},
            "versions": [version],
        },
    }
    lab.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
    lab.apply(deployment())
    lab.advance(60)
    farm: dict[str, Any] = {
        "apiVersion": "example.com/v1", "kind": "Farm", "metadata": {"name": "f"}, "spec": {"replicas": 1},
    }  # fmt: skip
    path = "/apis/example.com/v1/namespaces/default/farms"
    lab.request("POST", path, farm)
    lab.apply(hpa("f", "f", scaleTargetRef={"apiVersion": "example.com/v1", "kind": "Farm", "name": "f"}))
    lab.advance(20)
    assert told(lab, "f")["ScalingActive"] == (
        "False", "InvalidSelector", "the HPA target's scale is missing a selector",
    )  # fmt: skip
    lab.request("PATCH", f"{path}/f", {"status": {"selector": "app=w"}}, kind="application/merge-patch+json")
    lab.advance(20)
    assert lab.store.get("farms.example.com", "default", "f")["spec"]["replicas"] == 4
