"""Alerts are verified by the figures they speak of, and by nothing else."""

from __future__ import annotations

import pytest
from builders import app, node, observation, series, usage

from stratus.detection.anomaly import detect
from stratus.detection.verification import verified
from stratus.model.alerts import Alert
from stratus.settings import HealthSettings


def alert(name, **labels):
    return Alert(name=name, severity="warning", labels={"namespace": "shop", **labels}, starts_at=1.0, source="test")


def judged(one, *, usages=(), figures=(), objects=None):
    look = observation(*(objects or [*app("web"), node()]), usage=tuple(usages), series=tuple(figures))
    found = detect(look, (one,), health=HealthSettings(), now=look.at)
    return found.alerts[0].verified, found.anomalous


@pytest.mark.parametrize(
    ("rate", "answer"),
    [(130.0, True), (16.0, True), (13.0, None), (11.0, False), (10.0, False)],
)
def test_load_is_compared_with_the_load_before(rate, answer):
    assert judged(alert("HighRequestRate", service="web"), figures=[series("web", rate=rate)])[0] is answer


def test_a_surge_that_is_served_well_is_an_incident_when_somebody_alerts_on_it():
    assert judged(alert("HighRequestRate", service="web"), figures=[series("web", rate=130.0)]) == (True, True)
    assert judged(alert("HighErrorRate", service="web"), figures=[series("web", rate=130.0)]) == (False, False)


def test_load_of_unknown_services_is_left_open():
    assert judged(alert("TrafficSurge", service="other"), figures=[series("web", rate=130.0)])[0] is None
    assert judged(alert("TrafficSurge", service="web"))[0] is None


@pytest.mark.parametrize("name", ["HighRequestErrorRate", "HighLatencyRequests"])
def test_failing_requests_are_no_matter_of_load(name):
    assert judged(alert(name, service="web"), figures=[series("web", rate=130.0)])[0] is False


@pytest.mark.parametrize(
    ("figures", "answer"),
    [
        ({"throttled": 0.9}, True),
        ({"throttled": 0.1}, True),
        ({"cpu": 0.45}, True),
        ({"memory": 4.2e8}, True),
        ({"cpu": 0.3}, None),
        ({"cpu": 0.1, "memory": 1e8}, False),
    ],
)
def test_resources_are_looked_up_whatever_the_pod_says(figures, answer):
    one = alert("ContainerCPUThrottling", pod="web-1-0", container="app")
    assert judged(one, usages=[usage("web", **figures)])[0] is answer


def test_resources_of_nobody_are_left_open():
    assert judged(alert("ContainerCPUThrottling", pod="web-1-0", container="app"))[0] is None
    other = alert("ContainerCPUThrottling", pod="web-1-0", container="sidecar")
    assert judged(other, usages=[usage("web", throttled=0.9)])[0] is None
    elsewhere = alert("ContainerCPUThrottling", pod="web-1-0").model_copy(
        update={"labels": {"namespace": "else", "pod": "web-1-0"}}
    )
    assert judged(elsewhere, usages=[usage("web", throttled=0.9)])[0] is None


def test_an_alert_about_a_kill_is_about_the_pod():
    assert judged(alert("KubeContainerOOMKilled", pod="web-1-0"), usages=[usage("web", memory=4.9e8)])[0] is False


def test_what_was_judged_before_stays():
    one = alert("ContainerCPUThrottling", pod="web-1-0").model_copy(update={"verified": True})
    assert verified(one, observation(*app("web")), (), set()) is one
