"""The ports: what they return, in which shape, and that unknown is not zero."""

from __future__ import annotations

from pathlib import Path

from stratus.sim.cluster import EmbeddedCluster
from stratus.telemetry.base import Alerts, Logs, Metrics, Telemetry, Traces

NS = "hotel-reservation"


def ports(cluster: EmbeddedCluster) -> tuple[Metrics, Logs, Traces, Alerts]:
    found = cluster.telemetry()
    assert isinstance(found, Telemetry)
    assert found.metrics
    assert found.logs
    assert found.traces
    assert found.alerts
    return found.metrics, found.logs, found.traces, found.alerts


def test_points_stand_on_the_grid_asked_for(hotel: EmbeddedCluster) -> None:
    metrics, now = ports(hotel)[0], hotel.clock.now()
    (one,) = [s for s in metrics.service_series((NS,), now - 60, now, 20) if s.service == "geo"]
    assert [p.at for p in one.points] == [now - 60, now - 40, now - 20, now]
    assert one.namespace == NS


def test_before_there_was_anything_nothing_is_known(hotel: EmbeddedCluster) -> None:
    metrics, now = ports(hotel)[0], hotel.clock.now()
    (one,) = [s for s in metrics.service_series((NS,), now - 1200, now, 300) if s.service == "geo"]
    assert [p.rate is None for p in one.points] == [True, True, True, False, False]


def test_a_service_that_is_no_longer_called_has_a_rate_of_zero_and_no_errors_or_latency(hotel: EmbeddedCluster) -> None:
    hotel.inject("scaled-to-zero")
    hotel.advance(120)
    metrics, now = ports(hotel)[0], hotel.clock.now()
    (one,) = [s for s in metrics.service_series((NS,), now - 30, now, 15) if s.service == "recommendation"]
    assert [(p.rate, p.error_rate, p.latency_p99) for p in one.points[-2:]] == [(0.0, None, None)] * 2


def test_other_namespaces_are_left_out(hotel: EmbeddedCluster) -> None:
    metrics, logs, traces, alerts = ports(hotel)
    now = hotel.clock.now()
    hotel.inject("scaled-to-zero")
    hotel.advance(120)
    assert metrics.service_series(("other",), now - 60, now, 15) == ()
    assert metrics.usage(("other",), now) == ()
    assert traces.edges(("other",), now - 60, now) == ()
    assert logs.tail("other") == ()
    assert alerts.firing(("other",)) == ()
    assert alerts.firing((NS,)) == alerts.firing() != ()


def test_usage_names_limits_and_stays_below_them(hotel: EmbeddedCluster) -> None:
    found = ports(hotel)[0].usage((NS,), hotel.clock.now())
    assert len(found) == 19
    for one in found:
        assert one.cpu_limit is not None
        assert one.memory_limit is not None
        assert 0 < (one.cpu_cores or 0) <= one.cpu_limit
        assert 0 < (one.memory_bytes or 0) < one.memory_limit
        assert one.throttled is not None


def test_logs_are_narrowed_by_pod_service_time_and_number(hotel: EmbeddedCluster) -> None:
    hotel.inject("wrong-target-port")
    hotel.advance(60)
    logs, now = ports(hotel)[1], hotel.clock.now()
    everything = logs.tail(NS, limit=10_000)
    assert [line.at for line in everything] == sorted(line.at for line in everything)
    search = logs.tail(NS, service="search", limit=10_000)
    assert {line.pod.rsplit("-", 2)[0] for line in search} == {"search"}
    assert logs.tail(NS, pod=search[0].pod, limit=10_000) == search
    recent = logs.tail(NS, service="search", start=now - 20, end=now - 10, limit=10_000)
    assert recent
    assert all(now - 20 <= line.at <= now - 10 for line in recent)
    assert logs.tail(NS, service="search", limit=3) == search[-3:]
    assert logs.tail(NS, limit=0) == ()


def test_logs_of_a_service_that_selects_nothing_are_those_of_its_workload(hotel: EmbeddedCluster) -> None:
    hotel.inject("wrong-selector")
    assert ports(hotel)[1].tail(NS, service="reservation")


def test_the_logs_of_the_run_before_are_there_too(hotel: EmbeddedCluster) -> None:
    hotel.inject("bad-env-value")
    hotel.advance(45)
    lines = ports(hotel)[1].tail(NS, service="user", limit=1000)
    assert sum("cannot parse JAEGER_SAMPLE_RATIO" in line.text for line in lines) >= 2


def test_edges_start_at_the_users_and_only_failures_carry_a_message(hotel: EmbeddedCluster) -> None:
    traces, now = ports(hotel)[2], hotel.clock.now()
    found = traces.edges((NS,), now - 60, now)
    assert {e.callee for e in found if not e.caller} == {"frontend"}
    assert all(e.calls > 0 and e.errors == 0 and e.message == "" for e in found)
    assert traces.edges((NS,), now, now + 60) == ()


def test_alerts_look_like_those_of_prometheus(hotel: EmbeddedCluster) -> None:
    hotel.inject("scaled-to-zero")
    hotel.advance(300)
    alerts = {a.name: a for a in ports(hotel)[3].firing()}
    error = alerts["HighRequestErrorRate"]
    assert error.labels["service"] == "frontend"
    assert error.labels["alertname"] == "HighRequestErrorRate"
    assert "frontend" in error.annotations["summary"]
    assert error.starts_at < hotel.clock.now() - 60
    assert alerts["NoRequestsReceived"].labels["service"] == "recommendation"


def test_a_rule_that_cannot_be_evaluated_is_told_and_not_taken_for_silence(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "groups:\n- name: odd\n  rules:\n"
        "  - {alert: Twice, expr: 'kube_pod_info * on (namespace) group_left () kube_pod_status_phase'}\n"
        "  - {alert: Fine, expr: 'absent(kube_node_info)'}\n"
    )
    with EmbeddedCluster(rules=rules, warmup=60) as cluster:
        (failure,) = ports(cluster)[3].firing(("some-namespace",))
        assert failure.name == "PrometheusRuleFailures"
        assert (failure.labels["rule_group"], failure.labels["rule"]) == ("odd", "Twice")
        assert "many-to-many" in failure.annotations["description"]
        cluster.advance(60)
        assert ports(cluster)[3].firing() == (failure,), "it fires since it first failed"
        with cluster.fork() as twin:
            assert [a.name for a in ports(twin)[3].firing()] == ["PrometheusRuleFailures"]
