"""Alertmanager and Loki as they answer."""

from __future__ import annotations

from typing import Any

import pytest

from stratus.errors import TelemetryUnreachable
from stratus.telemetry.alertmanager import SUPPRESSED, AlertmanagerAlerts
from stratus.telemetry.loki import LokiLogs


def alert(name: str, *, silenced: bool = False, inhibited: bool = False, **labels: str) -> dict[str, Any]:
    status = {
        "state": "suppressed" if silenced or inhibited else "active",
        "silencedBy": ["s"] if silenced else [],
        "inhibitedBy": ["i"] if inhibited else [],
    }
    return {
        "labels": {"alertname": name, **labels},
        "annotations": {"summary": name},
        "startsAt": "2024-01-02T03:04:05.000Z",
        "endsAt": "2099-01-01T00:00:00.000Z",
        "status": status,
        "fingerprint": "x",
    }


def test_silencing_does_not_heal(answering: Any) -> None:
    answering.routes["/api/v2/alerts"] = [
        alert("A", namespace="shop", severity="critical"),
        alert("B", silenced=True, namespace="shop"),
        alert("C", inhibited=True, namespace="shop"),
        alert("D", namespace="other"),
        alert("A", namespace="shop", severity="critical"),
    ]
    a, b = AlertmanagerAlerts(answering.source("Alertmanager")).firing(("shop",))
    assert (a.name, a.severity, a.namespace, a.status, a.source) == ("A", "critical", "shop", "firing", "alertmanager")
    assert b.annotations[SUPPRESSED] == "silenced"
    assert answering.asked[0][1]["silenced"] == "true"


def streams(*rows: tuple[dict[str, str], list[tuple[str, str]]]) -> dict[str, Any]:
    result = [{"stream": labels, "values": [list(v) for v in values]} for labels, values in rows]
    return {"status": "success", "data": {"resultType": "streams", "result": result}}


def test_lines_come_oldest_first_and_the_newest_are_kept(answering: Any) -> None:
    answering.routes["/loki/api/v1/labels"] = {"data": ["app", "container", "namespace", "pod"]}
    one = {"namespace": "shop", "pod": "cart-1", "container": "cart"}
    two = {**one, "pod": "cart-2"}
    answering.routes["/loki/api/v1/query_range"] = streams(
        (one, [("1700000003000000000", "third\n"), ("1700000001000000000", "first")]),
        (two, [("1700000002000000000", "second")]),
    )
    logs = LokiLogs(answering.source("Loki"))
    found = logs.tail("shop", service="cart", start=1.7e9, end=1.7e9 + 60)
    assert [line.text for line in found] == ["first", "second", "third"]
    assert (found[1].at, found[1].pod, found[1].container) == (1700000002.0, "cart-2", "cart")
    assert [line.text for line in logs.tail("shop", limit=1)] == ["third"]
    _, query, _ = answering.asked[1]
    assert query["query"] == '{namespace="shop",app="cart"}'
    assert query["start"] == "1700000000000000000"
    assert "start" not in answering.asked[3][1]


def test_labels_of_the_loki_at_hand_are_used_and_values_quoted(answering: Any) -> None:
    answering.routes["/loki/api/v1/labels"] = {"data": ["k8s_namespace_name", "k8s_pod_name"]}
    answering.routes["/loki/api/v1/query_range"] = streams()
    logs = LokiLogs(answering.source("Loki"))
    assert logs.tail("shop", pod='a"} or {b', service="cart") == ()
    assert answering.asked[1][1]["query"] == (
        '{k8s_namespace_name="shop",k8s_pod_name="a\\"} or {b",k8s_pod_name=~"cart-.+"}'
    )


def test_a_loki_that_knows_no_namespaces_is_told(answering: Any) -> None:
    answering.routes["/loki/api/v1/labels"] = {"data": ["job"]}
    with pytest.raises(TelemetryUnreachable, match="namespace"):
        LokiLogs(answering.source("Loki")).tail("shop")
