"""The served protocols: their forms, their errors, and that our own clients read from them what the ports say."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3
from realprometheus import needed

from stratus.sim.cluster import EmbeddedCluster
from stratus.sim.telemetry.served import TelemetryApi
from stratus.sim.telemetry.served.alertmanager import fingerprint
from stratus.sim.telemetry.served.front import TelemetryFrontError
from stratus.telemetry.alertmanager import AlertmanagerAlerts
from stratus.telemetry.http import HttpSource
from stratus.telemetry.jaeger import JaegerTraces
from stratus.telemetry.loki import LokiLogs
from stratus.telemetry.prometheus import PrometheusAlerts, PrometheusMetrics

NS = "hotel-reservation"


@pytest.fixture(scope="module")
def broken(_base: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    """A cluster in which calls from search to geo are refused."""
    with _base.fork() as cluster:
        cluster.inject("wrong-target-port")
        cluster.advance(240)
        yield cluster


@pytest.fixture(scope="module")
def api(broken: EmbeddedCluster) -> TelemetryApi:
    return broken.telemetry_api()


@pytest.fixture(scope="module")
def source(broken: EmbeddedCluster) -> Iterator[HttpSource]:
    with broken.serve_telemetry() as front:
        found = HttpSource(front.url, name="the front")
        yield found
        found.close()


def ask(api: TelemetryApi, path: str, **query: Any) -> Any:
    reply = api.handle("GET", f"{path}?{urlencode(query, doseq=True)}")
    return json.loads(reply.body)


def good(api: TelemetryApi, path: str, **query: Any) -> Any:
    found = ask(api, path, **query)
    assert found["status"] == "success", found
    return found["data"]


# our own clients


def test_request_figures_over_the_prometheus_protocol(broken: EmbeddedCluster, source: HttpSource) -> None:
    now = broken.clock.now()
    ports = broken.telemetry().metrics
    assert ports
    own = {s.service: s.points[-1] for s in ports.service_series((NS,), now - 60, now, 60)}
    served = {s.service: s.points[-1] for s in PrometheusMetrics(source).service_series((NS,), now - 60, now, 60)}
    assert set(served) == set(own)
    for service, point in own.items():
        if not point.rate:
            continue
        assert served[service].rate == pytest.approx(point.rate, rel=0.15, abs=0.2)
        assert served[service].error_rate == pytest.approx(point.error_rate, abs=0.02)
    assert served["search"].error_rate == pytest.approx(1.0)
    assert served["geo"].rate == 0.0


def test_latency_over_the_prometheus_protocol(_base: EmbeddedCluster) -> None:  # noqa: PT019
    with _base.fork() as cluster, cluster.serve_telemetry() as front:
        cluster.inject("bad-build-slow")
        cluster.advance(300)
        found, now = HttpSource(front.url, name="x"), cluster.clock.now()
        ports = cluster.telemetry().metrics
        assert ports
        own = {s.service: s.points[-1] for s in ports.service_series((NS,), now, now, 60)}
        served = {s.service: s.points[-1] for s in PrometheusMetrics(found).service_series((NS,), now, now, 60)}
        assert served["profile"].latency_p99 == pytest.approx(own["profile"].latency_p99, rel=0.35)
        assert (served["profile"].latency_p99 or 0) > 1.0 > (served["geo"].latency_p99 or 0)
        found.close()


def test_container_use_over_the_prometheus_protocol(broken: EmbeddedCluster, source: HttpSource) -> None:
    now = broken.clock.now()
    ports = broken.telemetry().metrics
    assert ports
    own = {u.pod: u for u in ports.usage((NS,), now)}
    served = {u.pod: u for u in PrometheusMetrics(source).usage((NS,), now)}
    assert set(served) == set(own)
    for pod, use in own.items():
        assert served[pod].memory_bytes == pytest.approx(use.memory_bytes, rel=0.1)
        assert served[pod].cpu_limit == use.cpu_limit
        assert served[pod].memory_limit == use.memory_limit
        assert (served[pod].cpu_cores or 0) > 0


def test_alerts_over_both_protocols(broken: EmbeddedCluster, source: HttpSource) -> None:
    ports = broken.telemetry().alerts
    assert ports
    own = {(a.name, a.service, a.severity) for a in ports.firing((NS,))}
    assert ("HighRequestErrorRate", "search", "critical") in own
    for client in (PrometheusAlerts(source), AlertmanagerAlerts(source)):
        found = client.firing((NS,))
        assert {(a.name, a.service, a.severity) for a in found} == own
        assert all(a.annotations["summary"] for a in found)
    starts = {a.service: a.starts_at for a in PrometheusAlerts(source).firing((NS,))}
    assert starts == {a.service: a.starts_at for a in ports.firing((NS,))}


def test_the_call_graph_over_the_jaeger_protocol(broken: EmbeddedCluster, source: HttpSource) -> None:
    now = broken.clock.now()
    ports = broken.telemetry().traces
    assert ports
    own = {(e.caller, e.callee): e for e in ports.edges((NS,), now - 120, now) if e.calls > 500}
    served = {(e.caller, e.callee): e for e in JaegerTraces(source).edges((NS,), now - 120, now)}
    assert set(own) <= set(served)
    geo = served["search", "geo"]
    assert geo.calls == geo.errors > 50
    assert "connect: connection refused" in geo.message
    assert served["frontend", "recommendation"].errors == 0
    whole = sum(e.calls for (caller, _), e in served.items() if not caller)
    assert 100 < whole <= 1000


def test_logs_over_the_loki_protocol(broken: EmbeddedCluster, source: HttpSource) -> None:
    now = broken.clock.now()
    ports = broken.telemetry().logs
    assert ports
    own = ports.tail(NS, service="search", start=now - 60, end=now - 1, limit=500)
    served = LokiLogs(source).tail(NS, service="search", start=now - 60, end=now - 1, limit=500)
    assert [(line.text, line.pod) for line in served] == [(line.text, line.pod) for line in own]
    assert own


# Prometheus


def test_queries_have_the_form_of_prometheus(api: TelemetryApi, broken: EmbeddedCluster) -> None:
    now = broken.clock.now()
    vector = good(api, "/api/v1/query", query="sum(up)")
    assert vector == {"resultType": "vector", "result": [{"metric": {}, "value": [now, "6"]}]}
    assert good(api, "/api/v1/query", query="1.5", time="2026-01-05T09:05:00Z") == {
        "resultType": "scalar",
        "result": [1767603900, "1.5"],
    }
    assert good(api, "/api/v1/query", query="'x'")["result"][1] == "x"
    (row,) = good(api, "/api/v1/query", query='up{instance="node1"}[1m]')["result"]
    assert [v for _, v in row["values"]] == ["1"] * len(row["values"])
    assert len(row["values"]) in (4, 5)
    matrix = good(api, "/api/v1/query_range", query="sum(up)", start=now - 60, end=now, step="15s")
    assert [at for at, _ in matrix["result"][0]["values"]] == [now - 60 + 15 * n for n in range(5)]


def test_queries_may_come_as_forms(api: TelemetryApi) -> None:
    reply = api.handle("POST", "/api/v1/query", b"query=sum(up)", "application/x-www-form-urlencoded")
    assert json.loads(reply.body)["data"]["result"][0]["value"][1] == "6"


@pytest.mark.parametrize(
    ("path", "query", "status", "kind", "said"),
    [
        ("query", {"query": "sum("}, 400, "bad_data", 'invalid parameter "query": 1:5: parse error'),
        ("query", {"query": ""}, 400, "bad_data", "no expression found in input"),
        ("query", {"query": "up", "time": "soon"}, 400, "bad_data", 'cannot parse "soon" to a valid timestamp'),
        ("query", {"query": "up + on() up"}, 422, "execution", "many-to-many matching not allowed"),
        ("query_range", {"query": "up", "start": 1, "end": 2}, 400, "bad_data", 'invalid parameter "step"'),
        ("query_range", {"query": "up", "start": 2, "end": 1, "step": 1}, 400, "bad_data", "must not be before start"),
        ("query_range", {"query": "up", "start": 1, "end": 2, "step": 0}, 400, "bad_data", "zero or negative"),
        ("query_range", {"query": "up", "start": 0, "end": 99999, "step": 1}, 400, "bad_data", "maximum resolution"),
        ("query_range", {"query": "up[1m]", "start": 1, "end": 2, "step": 1}, 400, "bad_data", 'type "range vector"'),
        ("series", {}, 400, "bad_data", "no match[] parameter provided"),
        ("series", {"match[]": "{}"}, 400, "bad_data", 'invalid parameter "match[]"'),
        ("rules", {"type": "odd"}, 400, "bad_data", 'not supported value "odd"'),
    ],
)
def test_what_is_wrong_is_told_as_prometheus_does(
    api: TelemetryApi, path: str, query: dict[str, Any], status: int, kind: str, said: str
) -> None:
    reply = api.handle("GET", f"/api/v1/{path}?{urlencode(query)}")
    found = json.loads(reply.body)
    assert (reply.status, found["status"], found["errorType"]) == (status, "error", kind)
    assert said in found["error"]


def test_names_and_labels(api: TelemetryApi) -> None:
    names = good(api, "/api/v1/label/__name__/values")
    assert {"up", "ALERTS", "kube_pod_info", "traces_span_metrics_calls_total"} <= set(names)
    assert names == sorted(names)
    assert {"service_name", "le", "namespace", "__name__"} <= set(good(api, "/api/v1/labels"))
    assert good(api, "/api/v1/label/job/values", **{"match[]": "up"}) == [
        "apiserver",
        "kube-state-metrics",
        "kubelet",
        "otel-collector",
    ]
    series = good(api, "/api/v1/series", **{"match[]": ['up{job="kubelet"}', "up"]})
    assert len(series) == 6
    assert good(api, "/api/v1/series", **{"match[]": "up", "start": 1, "end": 2}) == []
    described = good(api, "/api/v1/metadata")
    assert described["traces_span_metrics_duration_milliseconds"][0]["type"] == "histogram"
    assert described["container_cpu_usage_seconds_total"][0]["type"] == "counter"
    assert "ALERTS" not in described
    assert list(good(api, "/api/v1/metadata", metric="up")) == ["up"]


def test_rules_and_alerts_and_the_rest(api: TelemetryApi) -> None:
    groups = good(api, "/api/v1/rules")["groups"]
    states = {rule["name"]: rule["state"] for group in groups for rule in group["rules"]}
    assert states["HighRequestErrorRate"] == "firing"
    assert states["KubeNodeNotReady"] == "inactive"
    assert all(rule["health"] == "ok" for group in groups for rule in group["rules"])
    alerts = good(api, "/api/v1/alerts")["alerts"]
    firing = {(a["labels"]["alertname"], a["labels"].get("service")) for a in alerts if a["state"] == "firing"}
    series = good(api, "/api/v1/query", query='ALERTS{alertstate="firing"}')["result"]
    assert {(r["metric"]["alertname"], r["metric"].get("service")) for r in series} == firing
    since = good(api, "/api/v1/query", query='ALERTS_FOR_STATE{service="search"}')["result"]
    assert all(float(row["value"][1]) < row["value"][0] - 60 for row in since)
    assert {t["health"] for t in good(api, "/api/v1/targets")["activeTargets"]} == {"up"}
    assert good(api, "/api/v1/status/buildinfo")["version"] == "2.42.0"
    assert api.handle("GET", "/-/ready").status == 200
    assert api.handle("GET", "/api/v1/nothing").status == 404
    assert api.handle("PUT", "/api/v1/query").status == 405


def test_a_scrape_passes_promtools_check_and_changes_nothing(broken: EmbeddedCluster, api: TelemetryApi) -> None:
    needed("promtool")
    text = api.handle("GET", "/metrics").body
    assert api.handle("GET", "/metrics").body == text
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    problems = [line for line in done.stderr.decode().splitlines() if "error" in line.lower()]
    assert not problems, problems[:5]
    lines = text.decode().splitlines()
    assert len(lines) > 1500
    assert any(line.startswith("kube_deployment_status_replicas_available{") for line in lines)
    from stratus.sim.api import Request, Response

    answer = broken.api.handle(Request("GET", "/metrics", {}))
    assert isinstance(answer, Response)
    assert answer.body == text
    federated = api.handle("GET", "/federate?match[]=up").body.decode()
    assert federated.startswith("# TYPE up untyped\nup{")


# Alertmanager


def test_alerts_are_grouped_filtered_and_silenced(broken: EmbeddedCluster) -> None:
    api = broken.telemetry_api()
    everything = ask(api, "/api/v2/alerts")
    assert {a["status"]["state"] for a in everything} == {"active"}
    assert all(a["fingerprint"] == fingerprint(a["labels"]) for a in everything)
    search = ask(api, "/api/v2/alerts", filter=['service="search"', 'alertname=~"High.*"'])
    assert {a["labels"]["service"] for a in search} == {"search"}
    groups = ask(api, "/api/v2/alerts/groups")
    assert sum(len(g["alerts"]) for g in groups) == len(everything)
    assert api.handle("GET", "/api/v2/alerts?filter=(").status == 400
    silence = {
        "matchers": [{"name": "service", "value": "sea.*", "isRegex": True}],
        "startsAt": "2026-01-05T09:00:00Z",
        "endsAt": "2026-01-06T09:00:00.000Z",
        "createdBy": "me",
        "comment": "known",
    }
    made = json.loads(api.handle("POST", "/api/v2/silences", json.dumps(silence).encode()).body)["silenceID"]
    states = {a["labels"].get("service"): a["status"] for a in ask(api, "/api/v2/alerts")}
    assert states["search"] == {"inhibitedBy": [], "silencedBy": [made], "state": "suppressed"}
    assert states["frontend"]["state"] == "active"
    left = {a["labels"]["service"] for a in ask(api, "/api/v2/alerts", silenced="false")}
    assert "frontend" in left
    assert "search" not in left
    assert [s["id"] for s in ask(api, "/api/v2/silences")] == [made]
    assert api.handle("DELETE", f"/api/v2/silence/{made}").status == 200
    assert ask(api, f"/api/v2/silence/{made}")["status"]["state"] == "expired"
    assert ask(api, "/api/v2/alerts") == everything
    assert api.handle("POST", "/api/v2/silences", b"{}").status == 400
    assert api.handle("GET", "/api/v2/silence/none").status == 404
    assert ask(api, "/api/v2/status")["cluster"]["status"] == "disabled"


def test_a_fingerprint_is_that_of_alertmanager() -> None:
    # FNV-1a, 64 bits, over "a\xff1\xffb\xff2\xff".
    assert fingerprint({"b": "2", "a": "1"}) == fingerprint({"a": "1", "b": "2"})
    assert fingerprint({}) == "cbf29ce484222325"


# Jaeger


def test_traces_are_found_searched_and_told_again(api: TelemetryApi, broken: EmbeddedCluster) -> None:
    assert {"frontend", "search", "reservation"} <= set(ask(api, "/api/services")["data"])
    assert "Nearby" in ask(api, "/api/services/search/operations")["data"]
    kinds = ask(api, "/api/operations", service="search")["data"]
    assert {"name": "Nearby", "spanKind": "server"} in kinds
    found = ask(api, "/api/traces", service="search", limit=5, operation="Nearby")["data"]
    assert len(found) == 5
    first = found[0]
    assert ask(api, f"/api/traces/{first['traceID']}")["data"] == [first]
    spans = {s["spanID"]: s for s in first["spans"]}
    assert len(spans) == len(first["spans"])
    for span in first["spans"]:
        for reference in span["references"]:
            parent = spans[reference["spanID"]]
            assert parent["startTime"] <= span["startTime"]
            assert span["startTime"] + span["duration"] <= parent["startTime"] + parent["duration"] + 2
    failed = ask(api, "/api/traces", service="search", tags='{"error":"true"}', limit=3)["data"]
    assert len(failed) == 3
    assert ask(api, "/api/traces", service="search", minDuration="10s")["data"] == []
    end = round((broken.clock.now() - 245) * 1e6)
    before = ask(api, "/api/traces", service="search", end=end, start=end - 60_000_000, limit=50)["data"]
    tags = [t for trace in before for span in trace["spans"] for t in span["tags"]]
    assert before
    assert not any(t["key"] == "error" for t in tags)
    assert ask(api, "/api/dependencies", endTs=round(broken.clock.now() * 1000), lookback=60_000)["data"]
    assert api.handle("GET", "/api/traces").status == 400
    assert api.handle("GET", "/api/traces/0000").status == 404
    assert api.handle("GET", "/api/traces?service=search&tags=x").status == 400


# Loki


def test_lines_are_selected_filtered_and_counted(api: TelemetryApi, broken: EmbeddedCluster) -> None:
    path = "/loki/api/v1/query_range"
    assert {"namespace", "pod", "container", "app"} <= set(good(api, "/loki/api/v1/labels"))
    assert "search" in good(api, "/loki/api/v1/label/app/values")
    newest = good(api, path, query='{app="search"}', limit=4)
    assert newest["resultType"] == "streams"
    stamps = [int(v[0]) for s in newest["result"] for v in s["values"]]
    assert stamps == sorted(stamps, reverse=True)
    assert len(stamps) == 4
    oldest = good(api, path, query='{app="search"}', limit=4, direction="forward")
    assert int(oldest["result"][0]["values"][0][0]) < min(stamps)
    refused = good(api, path, query='{app="search"} |= "refused" !~ "Nea.by" ', limit=10)
    assert refused["result"] == []
    lines = good(api, path, query='{namespace="hotel-reservation"} |~ "conn.* refused" | app != "frontend"', limit=9)
    assert {s["stream"]["app"] for s in lines["result"]} == {"search"}
    counted = good(
        api, "/loki/api/v1/query", query='sum by (app) (count_over_time({namespace=~".+"} |= "refused" [2m]))'
    )
    by_app = {row["metric"]["app"]: float(row["value"][1]) for row in counted["result"]}
    rated = good(api, "/loki/api/v1/query", query='sum by (app) (rate({namespace=~".+"} |= "refused" [2m])) > 0')
    assert {r["metric"]["app"]: float(r["value"][1]) * 120 for r in rated["result"]} == pytest.approx(by_app)
    assert by_app["search"] > 10
    now = broken.clock.now()
    matrix = good(api, path, query='count_over_time({app="search"}[1m])', start=now - 300, end=now, step="60")
    assert matrix["resultType"] == "matrix"


@pytest.mark.parametrize(
    "query",
    [
        '{app="x"',
        "{}",
        '{app=~".*"}',
        "up",
        'rate({app="x"})',
        '{app="x"} |= x',
        '{app="x"} | nonsense',
        '{app="x"} |~ "("',
    ],
)
def test_log_queries_that_are_none(api: TelemetryApi, query: str) -> None:
    reply = api.handle("GET", f"/loki/api/v1/query_range?{urlencode({'query': query})}")
    assert reply.status == 400
    assert b"parse error" in reply.body


# the front


def test_the_front_answers_over_http_and_ends(broken: EmbeddedCluster) -> None:
    with broken.serve_telemetry() as front, urllib3.PoolManager(retries=False) as pool:
        assert b"/loki" in pool.request("GET", front.url).data
        assert pool.request("HEAD", f"{front.url}/metrics").data == b""
        assert pool.request("GET", f"{front.url}/%ff%00/../x").status == 404
        assert pool.request("POST", f"{front.url}/api/v1/query", body=b"x" * 2_000_000).status == 413
        odd = {"Content-Length": "many"}
        assert pool.request("GET", f"{front.url}/metrics", headers=odd).status == 400
        address = front.url
    with urllib3.PoolManager(retries=False) as pool, pytest.raises(urllib3.exceptions.HTTPError):
        pool.request("GET", address)


def test_the_front_serves_loopback_only_and_says_when_a_port_is_taken(broken: EmbeddedCluster) -> None:
    with pytest.raises(TelemetryFrontError, match="loopback only"):
        broken.serve_telemetry(host="0.0.0.0").start()
    with broken.serve_telemetry() as front, pytest.raises(TelemetryFrontError, match="choose another port"):
        broken.serve_telemetry(port=front.port).start()
