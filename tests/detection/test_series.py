"""Detectors on request figures: real changes are seen, noise and gaps are not taken for them."""

from __future__ import annotations

import random

import pytest
from builders import NOW, app, node, observation, series

from stratus.detection.anomaly import detect
from stratus.model.alerts import Alert
from stratus.model.diagnosis import Detection
from stratus.model.evidence import Observation, SeriesPoint, ServiceSeries
from stratus.settings import HealthSettings


def found(look: Observation, *alerts: Alert) -> Detection:
    return detect(look, alerts, health=HealthSettings(), now=look.at)


def kinds(detection: Detection) -> set[str]:
    return {a.detector for a in detection.anomalies}


WELL = [*app("web"), node()]


def test_errors_are_seen_with_their_beginning() -> None:
    detection = found(observation(*WELL, series=(series("web", errors=0.3, since=120),)))
    assert detection.anomalous is True
    assert kinds(detection) == {"error-rate"}
    assert detection.onset == pytest.approx(NOW - 120, abs=16)
    assert detection.services == ("shop/web",)


def test_latency_is_seen() -> None:
    assert kinds(found(observation(*WELL, series=(series("web", latency=0.5),)))) == {"latency"}


def test_traffic_that_vanishes_is_seen_whether_told_as_zero_or_not_at_all() -> None:
    gone = series("web", rate=0.0)
    assert "traffic-gone" in kinds(found(observation(*WELL, series=(gone,))))
    silent = ServiceSeries(namespace="shop", service="web", points=tuple(
        p if p.at < NOW - 120 else SeriesPoint(at=p.at) for p in gone.points))  # fmt: skip
    other = series("other")
    assert "traffic-gone" in kinds(found(observation(*WELL, series=(silent, other))))


def test_a_source_that_went_silent_altogether_says_nothing_about_traffic() -> None:
    points = tuple(p if p.at < NOW - 120 else SeriesPoint(at=p.at) for p in series("web").points)
    silent = ServiceSeries(namespace="shop", service="web", points=points)
    assert kinds(found(observation(*WELL, series=(silent,)))) == set()


def test_one_bad_sample_is_no_incident() -> None:
    points = list(series("web").points)
    points[-1] = points[-1].model_copy(update={"error_rate": 1.0, "latency_p99": 9.0})
    spiky = ServiceSeries(namespace="shop", service="web", points=tuple(points))
    assert found(observation(*WELL, series=(spiky,))).anomalous is False


def test_errors_older_than_the_window_do_not_pass_for_normal() -> None:
    detection = found(observation(*WELL, series=(series("web", errors=0.3, latency=0.9, since=500),)))
    assert kinds(detection) == {"error-rate", "latency"}


def test_noise_raises_hardly_any_alarm() -> None:
    """False alarms of the figures on noisy but healthy series: none in two hundred."""
    rng = random.Random(1)
    alarms = 0
    for _ in range(200):
        points = tuple(
            SeriesPoint(at=NOW - 900 + 15 * i, rate=max(0.0, rng.gauss(10, 2)),
                        error_rate=max(0.0, rng.gauss(0.002, 0.004)),
                        latency_p99=0.05 * rng.lognormvariate(0, 0.25))
            for i in range(61)
        )  # fmt: skip
        noisy = ServiceSeries(namespace="shop", service="web", points=points)
        alarms += bool(found(observation(*WELL, series=(noisy,))).anomalous)
    assert alarms == 0


def test_a_service_that_always_fails_a_little_is_normal() -> None:
    points = tuple(p.model_copy(update={"error_rate": 0.05}) for p in series("web").points)
    usual = ServiceSeries(namespace="shop", service="web", points=points)
    assert found(observation(*WELL, series=(usual,))).anomalous is False


ALERT = Alert(
    name="HighErrorRate", severity="critical", labels={"namespace": "shop", "service": "web"}, starts_at=NOW - 60
)


def test_an_alert_that_figures_bear_out_is_verified() -> None:
    detection = found(observation(*WELL, series=(series("web", errors=0.3),)), ALERT)
    assert detection.alerts[0].verified is True


def test_an_alert_that_figures_refute_is_no_incident() -> None:
    detection = found(observation(*WELL, series=(series("web"),)), ALERT)
    assert detection.alerts[0].verified is False
    assert detection.anomalous is False


def test_an_alert_nobody_can_check_stands() -> None:
    detection = found(observation(*WELL), ALERT)
    assert detection.alerts[0].verified is None
    assert detection.anomalous is True
    assert detection.services == ("shop/web",)
    assert detection.onset == NOW - 60


def test_resolved_and_heartbeat_alerts_are_no_incident() -> None:
    resolved = ALERT.model_copy(update={"status": "resolved"})
    heartbeat = Alert(name="Watchdog", severity="none")
    detection = found(observation(*WELL), resolved, heartbeat)
    assert detection.anomalous is False


def test_an_alert_about_a_pod_that_is_gone_has_outlived_its_cause() -> None:
    gone = Alert(name="KubePodCrashLooping", labels={"namespace": "shop", "pod": "web-1-9"})
    assert found(observation(*WELL), gone).anomalous is False


def test_nothing_read_is_not_health() -> None:
    empty = Observation(at=NOW, window=300, namespaces=("shop",), missing={"Pod": "forbidden"})
    assert found(empty).anomalous is None
    partly = observation(*WELL, missing={"Pod": "forbidden"})
    assert found(partly).anomalous is None
    assert (
        found(observation(*WELL, missing={"Pod": "forbidden"}, series=(series("web", errors=0.5),))).anomalous is True
    )


def test_requests_that_failed_at_once_do_not_make_the_normal_latency_look_slow() -> None:
    """During an outage everything fails fast; afterwards the old latency is back, and that is no incident."""
    points = tuple(
        SeriesPoint(at=NOW - 900 + 15 * i, rate=10.0, error_rate=0.5 if 20 <= i < 45 else 0.0,
                    latency_p99=0.005 if 20 <= i < 45 else 0.04)
        for i in range(61)
    )  # fmt: skip
    recovered = ServiceSeries(namespace="shop", service="web", points=points)
    assert found(observation(*WELL, series=(recovered,))).anomalous is False
