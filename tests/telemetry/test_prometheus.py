"""Request figures by the conventions that are there, container use, alerts."""

from __future__ import annotations

import re
from typing import Any

import pytest

from stratus.telemetry.prometheus import PrometheusAlerts, PrometheusMetrics
from stratus.telemetry.promql import Bound, matcher, tables

START, END, STEP = 1_000_000.0, 1_000_060.0, 15.0
GRID = [START + i * STEP for i in range(5)]


def matrix(rows: list[tuple[dict[str, str], list[str]]]) -> dict[str, Any]:
    result = [
        {"metric": labels, "values": [[at, v] for at, v in zip(GRID, values, strict=True) if v]}
        for labels, values in rows
    ]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


def vector(rows: list[tuple[dict[str, str], str]]) -> dict[str, Any]:
    result = [{"metric": labels, "value": [END, value]} for labels, value in rows]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


class FakePrometheus:
    """Knows answers by a part of the query."""

    def __init__(self, answering: Any) -> None:
        self.known: dict[str, Any] = {}
        answering.routes["/api/v1/query"] = lambda q: self._answer(q, vector([]))
        answering.routes["/api/v1/query_range"] = lambda q: self._answer(q, matrix([]))

    def _answer(self, query: dict[str, str], empty: Any) -> Any:
        return next((v for k, v in self.known.items() if re.search(k, query["query"])), empty)


@pytest.fixture
def fake(answering: Any) -> FakePrometheus:
    return FakePrometheus(answering)


CART = {"service_name": "cart", "k8s_namespace_name": "shop"}
WEB = {"service_name": "web", "k8s_namespace_name": "shop"}


def test_span_metrics(answering: Any, fake: FakePrometheus) -> None:
    fake.known = {
        r"^count by .*traces_span_metrics_calls_total": vector([({**CART, "status_code": "STATUS_CODE_ERROR"}, "1")]),
        r"^sum by .*STATUS_CODE_ERROR": matrix([(CART, ["1", "", "5", "0", "NaN"])]),
        r"^histogram_quantile": matrix([(CART, ["250", "NaN", "1000", "+Inf", ""])]),
        r"^sum by .*calls_total": matrix([(CART, ["10", "10", "5", "0", ""]), (WEB, ["1", "1", "1", "1", "1"])]),
    }
    cart, web = PrometheusMetrics(answering.source()).service_series(("shop",), START, END, STEP)
    assert (cart.namespace, cart.service, web.service) == ("shop", "cart", "web")
    assert [p.at for p in cart.points] == GRID
    assert [p.rate for p in cart.points] == [10.0, 10.0, 5.0, 0.0, None]
    assert [p.error_rate for p in cart.points] == [0.1, 0.0, 1.0, None, None], "no requests: no share"
    assert [p.latency_p99 for p in cart.points] == [0.25, None, 1.0, None, None], "milliseconds become seconds"
    assert [p.error_rate for p in web.points] == [0.0] * 5
    assert [p.latency_p99 for p in web.points] == [None] * 5


def test_the_first_convention_that_knows_a_service_speaks_for_it(answering: Any, fake: FakePrometheus) -> None:
    istio = {"destination_service_name": "cart", "destination_service_namespace": "shop"}
    other = {**istio, "destination_service_name": "mesh-only"}
    fake.known = {
        r"^count by .*traces_span_metrics_calls_total": vector([(CART, "1")]),
        r"^count by .*istio_requests_total.*reporter=\"source\"": vector([({**istio, "response_code": "200"}, "1")]),
        r"^sum by .*traces_span": matrix([(CART, ["1"] * 5)]),
        r"^sum by .*istio.*response_code=~": matrix([(other, ["1"] * 5)]),
        r"^sum by .*istio": matrix([(istio, ["7"] * 5), (other, ["2"] * 5)]),
    }
    cart, mesh = PrometheusMetrics(answering.source()).service_series(("shop",), START, END, STEP)
    assert cart.points[0].rate == 1.0
    assert (mesh.service, mesh.points[0].error_rate) == ("mesh-only", 0.5)


def test_a_counter_without_a_label_for_failures_leaves_them_unknown(answering: Any, fake: FakePrometheus) -> None:
    labels = {"service": "cart", "namespace": "shop"}
    fake.known = {
        r"^count by .*\(http_requests_total|^count by .*http_requests_total": vector([(labels, "1")]),
        r"^sum by .*http_requests_total": matrix([(labels, ["4"] * 5)]),
    }
    (cart,) = PrometheusMetrics(answering.source()).service_series(("shop",), START, END, STEP)
    assert (cart.points[0].rate, cart.points[0].error_rate) == (4.0, None)


def test_without_a_namespace_label_the_only_namespace_is_meant(answering: Any, fake: FakePrometheus) -> None:
    fake.known = {
        r"^count by .*grpc_server_handled_total": vector([({"job": "cart", "grpc_code": "OK"}, "1")]),
        r"^sum by .*grpc": matrix([({"job": "cart"}, ["4"] * 5)]),
    }
    metrics = PrometheusMetrics(answering.source())
    assert metrics.service_series(("shop",), START, END, STEP)[0].namespace == "shop"
    assert metrics.service_series(("shop", "other"), START, END, STEP)[0].namespace == ""


def test_nothing_instrumented_is_no_series(answering: Any, fake: FakePrometheus) -> None:
    assert PrometheusMetrics(answering.source()).service_series(("shop",), START, END, STEP) == ()
    assert PrometheusMetrics(answering.source()).usage(("shop",), END) == ()


def test_usage(answering: Any, fake: FakePrometheus) -> None:
    c = {"namespace": "shop", "pod": "cart-1", "container": "cart"}
    fake.known = {
        "cfs_throttled": vector([(c, "0.5")]),
        "container_cpu_usage": vector([(c, "0.25")]),
        "working_set": vector([(c, "1048576"), ({**c, "container": ""}, "9"), ({**c, "container": "side"}, "NaN")]),
        'kube_pod_container_resource_limits.*resource="memory"': vector([(c, "2097152"), ({**c, "pod": "idle"}, "5")]),
        "cpu_quota": vector([(c, "1")]),
    }
    (use,) = PrometheusMetrics(answering.source()).usage(("shop",), END)
    assert (use.cpu_cores, use.throttled, use.cpu_limit) == (0.25, 0.5, 1.0)
    assert (use.memory_bytes, use.memory_limit) == (1048576.0, 2097152.0)


def test_names_are_taken_literally() -> None:
    assert matcher("namespace", ["a.b", 'x"y', "p|q"]) == r'namespace=~"a\\.b|x\"y|p\\|q"'
    bound = Bound(tables().requests[0], "service_name", "k8s_namespace_name", "status_code")
    query = bound.failures(("shop",), 60)
    assert query.count("{") == query.count("}") == 1
    assert 'status_code=~"STATUS_CODE_ERROR"' in query
    assert 'k8s_namespace_name=~"shop"' in query
    assert "k8s" not in Bound(tables().requests[0], "service_name").rate(("shop",), 60)


def test_firing_alerts_have_the_fingerprint_of_a_webhook(answering: Any) -> None:
    def one(state: str, **labels: str) -> dict[str, Any]:
        return {"labels": labels, "annotations": {"summary": "s"}, "state": state, "activeAt": "2024-01-02T03:04:05.5Z"}

    answering.routes["/api/v1/alerts"] = {
        "status": "success",
        "data": {
            "alerts": [
                one("firing", alertname="High", namespace="shop", severity="page"),
                one("firing", alertname="Cluster", severity="odd"),
                one("firing", alertname="Else", namespace="elsewhere"),
                one("pending", alertname="Soon", namespace="shop"),
            ]
        },
    }
    alerts = PrometheusAlerts(answering.source())
    cluster, high = alerts.firing(("shop",))
    assert (cluster.name, cluster.severity, high.name, high.severity) == ("Cluster", "warning", "High", "critical")
    assert high.starts_at == 1704164645.5
    assert "alertname" not in high.labels
    assert len(alerts.firing()) == 3
