"""Whatever a telemetry service does wrong is one clear line."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from stratus.errors import TelemetryUnreachable, UsageError
from stratus.telemetry.alertmanager import AlertmanagerAlerts
from stratus.telemetry.http import HttpSource
from stratus.telemetry.jaeger import JaegerTraces
from stratus.telemetry.loki import LokiLogs
from stratus.telemetry.prometheus import PrometheusAlerts, PrometheusMetrics


def every_question(source: HttpSource) -> list[Any]:
    """Return one question to each kind of source."""
    return [
        lambda: PrometheusMetrics(source).service_series(("shop",), 0.0, 60.0, 15.0),
        lambda: PrometheusMetrics(source).usage(("shop",), 60.0),
        lambda: PrometheusAlerts(source).firing(),
        lambda: AlertmanagerAlerts(source).firing(),
        lambda: LokiLogs(source).tail("shop"),
        lambda: JaegerTraces(source).edges(("shop",), 0.0, 60.0),
    ]


PATHS = (
    "/api/v1/query", "/api/v1/query_range", "/api/v1/alerts", "/api/v2/alerts", "/loki/api/v1/labels",
    "/loki/api/v1/query_range", "/api/services", "/api/traces",
)  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [
        (500, {"error": "out of memory"}),
        (401, "who are you"),
        (302, "elsewhere"),
        "<html>a login page</html>",
        "",
        {},
        [],
        None,
        {"status": "error", "error": "x"},
        {"status": "success", "data": {}},
        {"status": "success", "data": {"resultType": "scalar", "result": [1, "2"]}},
        {"data": [3]},
        {"data": {"alerts": [{}], "result": [{}], "resultType": "vector"}, "status": "success"},
        [{"labels": None}],
        [[]],
    ],
)
def test_wrong_answers_are_never_silent(answering: Any, answer: Any) -> None:
    answering.routes = dict.fromkeys(PATHS, answer)
    told = 0
    for question in every_question(answering.source()):
        said = ""
        found = None
        try:
            found = question()
        except TelemetryUnreachable as problem:
            said = str(problem)
        if said:
            told += 1
            assert answering.url in said
            assert "\n" not in said
        else:
            assert found == ()
            assert answer == [], "only what is an empty answer of its kind may be empty"
    assert told >= 5


def test_nobody_there_is_told_by_all() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        source = HttpSource(f"127.0.0.1:{free.getsockname()[1]}", name="Prometheus")
        for question in every_question(source):
            with pytest.raises(TelemetryUnreachable, match=r"Prometheus at http://127.*does not answer.*refused"):
                question()
        source.close()


def test_an_error_message_of_the_service_is_passed_on(answering: Any) -> None:
    answering.routes["/api/v1/alerts"] = (503, {"status": "error", "error": "TSDB not ready"})
    with pytest.raises(TelemetryUnreachable, match=r"HTTP 503: TSDB not ready"):
        PrometheusAlerts(answering.source()).firing()


@pytest.mark.parametrize("url", ["", "ftp://x", "http://", "http://h:port", "http://[::1", "://"])
def test_urls_that_cannot_be_used(url: str) -> None:
    with pytest.raises(UsageError, match="URL of Loki"):
        HttpSource(url, name="Loki")


def test_prefixes_slashes_and_credentials(answering: Any) -> None:
    answering.routes["/prom/api/v1/alerts"] = {"data": {"alerts": []}}
    source = HttpSource(answering.url.replace("//", "//me:s3cret@") + "/prom/", name="Prometheus")
    assert PrometheusAlerts(source).firing() == ()
    assert {k.lower(): v for k, v in answering.asked[0][2].items()}["authorization"].startswith("Basic ")
    assert "s3cret" not in source.url
    answering.routes.clear()
    with pytest.raises(TelemetryUnreachable) as found:
        PrometheusAlerts(source).firing()
    assert "s3cret" not in str(found.value)
    source.close()
