"""Spans as a call graph, and Jaeger's way of telling them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stratus.telemetry.jaeger import JaegerTraces
from stratus.telemetry.spans import Span, edges_of, p99


def span(id: str, parent: str, service: str, start: float, duration: float, **more: Any) -> Span:
    return Span(
        id=id, parent=parent, service=service, operation=more.pop("op", "op"), start=start, duration=duration, **more
    )


def test_self_time_is_what_no_other_service_took() -> None:
    trace = [
        span("1", "", "web", 0.0, 1.0, kind="server"),
        span("2", "1", "web", 0.1, 0.8),  # internal work: its own
        span("3", "2", "web", 0.2, 0.5, kind="client"),
        span("4", "3", "cart", 0.25, 0.4, kind="server"),
        span("5", "4", "cart", 0.3, 0.1),
    ]
    entry, call = sorted(edges_of([trace]), key=lambda e: e.caller)
    assert (entry.caller, entry.callee, call.caller, call.callee) == ("", "web", "web", "cart")
    assert round(entry.self_time_p99, 6) == 0.5
    assert round(call.self_time_p99, 6) == 0.4
    assert (entry.latency_p99, call.calls) == (1.0, 1)


def test_parallel_and_late_children_are_not_counted_twice() -> None:
    trace = [
        span("1", "", "web", 0.0, 1.0),
        span("2", "1", "a", 0.1, 0.4),
        span("3", "1", "b", 0.3, 0.4),
        span("4", "1", "c", 0.9, 5.0),  # goes on after the caller has answered
    ]
    entry = next(e for e in edges_of([trace]) if not e.caller)
    assert round(entry.self_time_p99, 6) == 0.3


def test_an_error_is_told_where_it_began() -> None:
    trace = [
        span("1", "", "web", 0, 1, failed=True, message="checkout failed"),
        span("2", "1", "web", 0, 1, kind="client", failed=True, message="rpc error"),
        span("3", "2", "cart", 0, 1, failed=True, message="cart failed"),
        span("4", "3", "cart", 0, 1, failed=True, message="connection to redis refused"),
    ]
    edges = {(e.caller, e.callee): e for e in edges_of([trace])}
    assert edges["web", "cart"].message == "connection to redis refused"
    assert edges["", "web"].message == "rpc error" or edges["", "web"].message == ""
    assert all(e.errors == 1 for e in edges.values())


def test_a_peer_without_spans_is_still_a_callee() -> None:
    trace = [
        span("1", "", "cart", 0, 1, kind="server", failed=True),
        span(
            "2", "1", "cart", 0, 0.9, kind="client", failed=True, message="connection refused", peer="redis", op="GET"
        ),
    ]
    edges = {(e.caller, e.callee): e for e in edges_of([trace])}
    assert edges["cart", "redis"].errors == 1
    assert edges["cart", "redis"].message == "connection refused"
    assert edges["cart", "redis"].operation == "GET"


def test_namespaces_narrow_what_is_known_to_be_elsewhere() -> None:
    trace = [
        span("1", "", "web", 0, 1, namespace="shop"),
        span("2", "1", "bus", 0, 1, namespace="infra"),
        span("3", "1", "old", 0, 1),
    ]
    assert {e.callee for e in edges_of([trace], ("shop",))} == {"web", "old"}


def test_calls_add_up_by_operation() -> None:
    traces = [[span("1", "", "web", 0, float(i), op="A" if i % 2 else "B", failed=i == 3)] for i in range(1, 5)]
    one, two = edges_of(traces)
    assert (one.operation, one.calls, one.errors, two.operation, two.calls) == ("A", 2, 1, "B", 2)


@given(st.lists(st.floats(0, 100), min_size=1))
def test_p99_is_one_of_the_values_and_near_the_top(values: list[float]) -> None:
    found = p99(values)
    assert found in values
    assert sum(v > found for v in values) <= len(values) * 0.01


def tag(key: str, value: Any) -> dict[str, Any]:
    return {"key": key, "type": "string", "value": value}


def jaeger_span(id: str, parent: str, process: str, *tags: dict[str, Any], **more: Any) -> dict[str, Any]:
    references = [{"refType": "CHILD_OF", "traceID": "t", "spanID": parent}] if parent else []
    return {
        "traceID": "t",
        "spanID": id,
        "operationName": f"op-{id}",
        "references": references,
        "startTime": 1_700_000_000_000_000,
        "duration": 250_000,
        "tags": list(tags),
        "logs": more.get("logs", []),
        "processID": process,
    }


def test_jaeger(answering: Any) -> None:
    exception = {"timestamp": 1, "fields": [tag("event", "exception"), tag("exception.message", "no such  key\nstock")]}
    trace = {
        "traceID": "t",
        "spans": [
            jaeger_span("1", "", "p1", tag("span.kind", "server")),
            jaeger_span("2", "1", "p1", tag("span.kind", "client")),
            jaeger_span("3", "2", "p2", tag("otel.status_code", "ERROR"), logs=[exception]),
            jaeger_span("4", "3", "p2", tag("span.kind", "client"), tag("server.address", "db.shop.svc:5432")),
        ],
        "processes": {
            "p1": {"serviceName": "web.shop", "tags": []},
            "p2": {"serviceName": "cart", "tags": [tag("k8s.namespace.name", "shop")]},
        },
    }
    answering.routes["/api/services"] = {"data": ["web.shop", "cart", "jaeger-all-in-one"], "total": 3}
    answering.routes["/api/traces"] = {"data": [trace]}
    edges = {
        (e.caller, e.callee): e for e in JaegerTraces(answering.source("Jaeger")).edges(("shop",), 1.7e9, 1.7e9 + 9)
    }
    assert set(edges) == {("", "web"), ("web", "cart"), ("cart", "db")}
    cart = edges["web", "cart"]
    assert (cart.calls, cart.errors, cart.message, cart.latency_p99) == (1, 1, "no such key stock", 0.25)
    asked = [q for path, q, _ in answering.asked if path == "/api/traces"]
    assert [q["service"] for q in asked] == ["cart", "web.shop"], "a trace found twice counts once"
    assert asked[0]["start"] == "1700000000000000"


def test_jaeger_without_services(answering: Any) -> None:
    answering.routes["/api/services"] = {"data": None, "total": 0}
    assert JaegerTraces(answering.source("Jaeger")).edges((), 0.0, 1.0) == ()
