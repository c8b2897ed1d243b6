"""The client against a conductor that behaves as SREGym's, over HTTP; metrics through tools instead of HTTP."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from handed import Handed, hypothesis, report

from stratus.bench.external.mcp import McpSource, caller, prometheus_over_mcp
from stratus.bench.external.sregym import Conductor, work
from stratus.errors import StratusError, TelemetryUnreachable, UnreachableError, UsageError
from stratus.telemetry.http import HttpSource
from stratus.telemetry.prometheus import PrometheusAlerts, PrometheusMetrics


class Stage:
    """A conductor's stages: each accepted submission leads to the next; a few answers are `busy` first."""

    def __init__(self, *stages: str, busy: int = 0, setup: int = 1) -> None:
        self.stages, self.busy, self.setup = list(stages), busy, setup
        self.submitted: list[str] = []

    def get(self, path):
        if path == "/status":
            if self.setup:
                self.setup -= 1
                return 200, {"stage": "setup"}
            return 200, {"stage": self.stages[0]}
        if path == "/get_app":
            return 200, {"app_name": "Any", "namespace": "any", "namespaces": ["any", "any-db"], "descriptions": "x"}
        return 404, {"detail": "Not Found"}

    def post(self, body):
        if self.stages[0] not in ("diagnosis", "mitigation"):
            return 400, {"detail": f"Cannot submit at stage: {self.stages[0]!r}"}
        if self.busy:
            self.busy -= 1
            return 503, {"detail": "still judging"}
        self.submitted.append(body["solution"])
        self.stages.pop(0)
        return 200, {"status": "200", "message": "Submission received"}


@pytest.fixture
def conductor():
    """Serve a stage, and note how long the client would have slept."""
    servers = []

    def serve(stage, **options):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.told(*stage.get(self.path))

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.told(*(stage.post(body) if self.path == "/submit" else (404, {})))

            def told(self, status, body):
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        slept = []
        client = Conductor(f"http://127.0.0.1:{server.server_port}/", sleep=slept.append, **options)
        servers.append((server, thread, client))
        return client, slept

    yield serve
    for server, thread, client in servers:
        client.close()
        server.shutdown()
        server.server_close()
        thread.join()


def test_both_stages(conductor):
    stage = Stage("diagnosis", "mitigation", "tearing_down")
    client, slept = conductor(stage)
    bench = Handed(report(hypothesis()), report(hypothesis(), state="resolved"))
    assert [r.state.value for r in work(client, bench)] == ["unresolved", "resolved"]
    assert bench.asked == [("observe", ("any", "any-db")), ("auto", ("any", "any-db"))]
    diagnosis, mitigation = stage.submitted
    assert "Deployment/geo in namespace hotel" in diagnosis
    assert mitigation == ""
    assert slept == [5.0]


@pytest.mark.parametrize(
    ("stages", "asked"), [(("mitigation", "done"), ["auto"]), (("diagnosis", "done"), ["observe"])]
)
def test_one_stage_only(conductor, stages, asked):
    client, _ = conductor(Stage(*stages))
    bench = Handed(report(hypothesis()))
    work(client, bench)
    assert [mode for mode, _ in bench.asked] == asked


def test_a_busy_judge_is_waited_for(conductor):
    stage = Stage("diagnosis", "done", busy=2)
    client, slept = conductor(stage)
    work(client, Handed(report(hypothesis())))
    assert len(stage.submitted) == 1
    assert slept == [5.0, 60.0, 60.0]


def test_patience_ends(conductor):
    client, _ = conductor(Stage("diagnosis", "done", busy=99), patience=180.0)
    with pytest.raises(StratusError, match="has been judging"):
        client.submit("x")
    client, _ = conductor(Stage("setup", "done", setup=0), patience=20.0)
    with pytest.raises(StratusError, match="still in stage 'setup'"):
        client.wait_for("diagnosis")


def test_what_the_conductor_refuses_is_told(conductor):
    client, _ = conductor(Stage("done", setup=0))
    with pytest.raises(StratusError, match="HTTP 400"):
        client.submit("x")
    with pytest.raises(UnreachableError, match="API_PORT"):
        Conductor("http://127.0.0.1:9").stage()


def test_metrics_over_tools_are_those_over_http():
    """The same questions through `get_metrics` and `get_alerts`, answered by a server of Prometheus' protocol."""
    from stratus.sim.cluster import EmbeddedCluster

    with EmbeddedCluster(app="hotel-reservation", seed=0) as cluster:
        cluster.inject("scaled-to-zero")
        cluster.advance(240.0)
        now = cluster.clock.now()
        with cluster.serve_telemetry() as front:
            direct = HttpSource(front.url, name="Prometheus")

            def call(tool, arguments):
                if tool == "get_metrics":
                    return str(direct.get("/api/v1/query", arguments)["data"])
                firing = [a for a in direct.get("/api/v1/alerts")["data"]["alerts"] if a["state"] == "firing"]
                return str(firing) if firing else "No firing alerts"

            told = prometheus_over_mcp("http://mcp.example/sse", call)
            assert told.metrics is not None
            assert told.alerts is not None
            series = told.metrics.service_series((), now - 120.0, now, 15.0)
            assert series == PrometheusMetrics(direct).service_series((), now - 120.0, now, 15.0)
            assert len(series) > 5
            usage = told.metrics.usage((), now)
            assert usage == PrometheusMetrics(direct).usage((), now)
            assert len(usage) > 10
            firing = told.alerts.firing()
            assert firing == PrometheusAlerts(direct).firing()
            assert firing
            direct.close()


def source(answer: str) -> McpSource:
    return McpSource(lambda tool, arguments: answer, "http://mcp.example/sse")


def test_no_alerts():
    assert PrometheusAlerts(source("No firing alerts")).firing() == ()


@pytest.mark.parametrize("answer", ["[prom_mcp] Error querying get_metrics: refused", "None", "[1, 2]", ""])
def test_an_answer_that_is_none_is_an_error(answer):
    with pytest.raises(TelemetryUnreachable, match="answered"):
        source(answer).get("/api/v1/query", {"query": "up"})
    with pytest.raises(TelemetryUnreachable, match="no tool"):
        source(answer).get("/api/v1/labels")


def test_the_package_is_asked_for(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mcp", None)
    with pytest.raises(UsageError, match="extra `sregym`"):
        caller("http://mcp.example/sse")
