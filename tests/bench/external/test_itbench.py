"""ITBench: bundles in, `agent_output.json` out; recorded incidents without a cluster."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from handed import hypothesis, report

from stratus.bench.external import itbench, snapshots
from stratus.errors import UsageError
from stratus.kit.clock import iso
from stratus.model.refs import ObjectRef
from stratus.model.reports import Report

KEYS = {"entities", "propagations", "alerts_explained"}


def test_the_answer_for_a_cause():
    found = itbench.output_of(report(hypothesis()))
    assert set(found) == KEYS
    first, *rest = found["entities"]
    assert (first["name"], first["contributing_factor"]) == ("hotel/Deployment/geo", True)
    assert first["evidence"] == "0 of 0 pods ready"
    assert [(e["name"], e["contributing_factor"]) for e in rest] == [
        ("hotel/Service/search", False), ("hotel/Service/geo", False)]  # fmt: skip
    assert {(p["source"], p["target"]) for p in found["propagations"]} == {
        ("hotel/Deployment/geo", "hotel/Service/search"), ("hotel/Deployment/geo", "hotel/Service/geo")}  # fmt: skip
    assert [(a["alert"], a["explained"]) for a in found["alerts_explained"]] == [("HighErrors", True)]


def test_a_second_cause_is_named_when_it_stands_by_itself():
    sure = hypothesis("Service", "rate", id="H2", confidence=0.8)
    doubted = hypothesis("Service", "user", id="H3", confidence=0.4)
    same = hypothesis("Deployment", "geo2", id="H4", service="geo", confidence=0.9)
    refuted = hypothesis("Service", "cart", id="H5", confidence=0.9, status="refuted")
    found = itbench.output_of(report(hypothesis(), sure, doubted, same, refuted))
    causes = [e["name"] for e in found["entities"] if e["contributing_factor"]]
    assert causes == ["hotel/Deployment/geo", "hotel/Service/rate"]


def test_no_cause_explains_nothing():
    found = itbench.output_of(report())
    assert all(not e["contributing_factor"] for e in found["entities"])
    assert found["propagations"] == []
    assert found["alerts_explained"][0]["explained"] is False


def test_cluster_wide_objects_have_no_empty_namespace():
    node = ObjectRef(api_version="v1", kind="Node", name="n1", namespace="")
    assert itbench.output_of(report(hypothesis(object=node)))["entities"][0]["name"] == "Node/n1"


def test_live(tmp_path, monkeypatch):
    asked: list[Any] = []

    def solve(self: Any, mode: str, namespaces: Any = (), on_event: Any = None) -> Report:
        asked.append((mode, self.settings.prometheus, self.settings.kubeconfig))
        return report(hypothesis())

    monkeypatch.setattr("stratus.bench.external.itbench.Bench.solve", solve)
    bundle = tmp_path / "bundle.json"
    bundle.write_text(json.dumps({"kubeconfig": "apiVersion: v1\nkind: Config\n", "prometheus_url": "http://p:9090"}))
    itbench.live(bundle, tmp_path / "out")
    kubeconfig = tmp_path / "out" / "kubeconfig"
    assert asked == [("auto", "http://p:9090", kubeconfig)]
    assert kubeconfig.stat().st_mode & 0o077 == 0
    assert set(json.loads((tmp_path / "out" / "agent_output.json").read_text())) == KEYS
    bundle.write_text(json.dumps({"kubeconfig": "/some/where", "prometheus_url": ""}))
    itbench.live(bundle, tmp_path / "out", mitigate=False)
    assert asked[-1] == ("observe", "", Path("/some/where"))


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_bad_bundles(tmp_path, text):
    path = tmp_path / "bundle.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match="the bundle"):
        itbench.read_bundle(path)


# ── recorded incidents ──


def table(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def incident():
    """What a cluster looks like in which an image cannot be pulled."""
    from stratus.sim.cluster import EmbeddedCluster

    with EmbeddedCluster(app="hotel-reservation", seed=0) as cluster:
        cluster.inject("image-pull-user")
        cluster.advance(300.0)
        kinds = (
            "pods",
            "deployments.apps",
            "replicasets.apps",
            "services",
            "configmaps",
            "endpointslices.discovery.k8s.io",
        )
        objects = [o for kind in kinds for o in cluster.store.list(kind)]
        events = cluster.store.list("events")
        alerts = list(cluster.telemetry().alerts.firing())
        return cluster.clock.now(), objects, events, alerts


@pytest.mark.parametrize("raw", [True, False], ids=["as-collected", "processed"])
def test_a_recorded_incident_is_diagnosed(tmp_path, incident, raw):
    now, objects, events, alerts = incident
    at = iso(now)
    if raw:
        rows = [{"Timestamp": at.replace("T", " ").rstrip("Z") + ".123456789", "Body": json.dumps(o)} for o in objects]
        table(tmp_path / "k8s_events_raw.tsv", [
            {"Timestamp": at, "Body": json.dumps({"type": "ADDED", "object": e})} for e in events])  # fmt: skip
    else:
        rows = [
            {"timestamp": at, "object_kind": o["kind"], "object_name": o["metadata"]["name"],
             "namespace": o["metadata"].get("namespace", ""), "body": json.dumps(json.dumps(o))}
            for o in objects
        ]  # fmt: skip
        table(tmp_path / "k8s_events.tsv", [
            {"event_time": e.get("lastTimestamp") or at, "object_kind": e["involvedObject"]["kind"],
             "object_name": e["involvedObject"]["name"], "namespace": e["metadata"]["namespace"],
             "reason": e["reason"], "message": e["message"], "event_kind": e["type"], "count": e.get("count", 1)}
            for e in events])  # fmt: skip
    table(tmp_path / "k8s_objects_raw.tsv", rows)
    (tmp_path / "alerts").mkdir()
    document = {"status": "success", "data": {"alerts": [
        {"labels": {**a.labels, "alertname": a.name}, "state": "firing", "activeAt": iso(a.starts_at)}
        for a in alerts]}}  # fmt: skip
    (tmp_path / "alerts" / "alerts_at_1.json").write_text(json.dumps(document))
    (tmp_path / "alerts" / "broken.json").write_text("{")
    (tmp_path / "ground_truth.yaml").write_text("do not look")
    detection, diagnosis = snapshots.diagnose((tmp_path,))
    assert detection.anomalous
    best = diagnosis.hypotheses[0]
    assert (best.fault, best.object.kind, best.object.name) == ("image_pull", "Deployment", "user")
    found = itbench.answer(diagnosis.hypotheses, detection.services, detection.alerts, best)
    assert found["entities"][0]["name"].endswith("/Deployment/user")
    assert json.dumps(found)


def test_traces_and_logs_are_read_in_both_forms(tmp_path):
    table(tmp_path / "otel_traces_raw.tsv", [
        {"Timestamp": "2026-01-01 00:00:00.5", "TraceId": "t", "SpanId": "a", "ParentSpanId": "", "ServiceName": "web",
         "SpanName": "GET /", "SpanKind": "SPAN_KIND_SERVER", "Duration": "200000000", "StatusCode": "Error",
         "StatusMessage": "boom"},
    ])  # fmt: skip
    table(tmp_path / "otel_traces_processed.tsv", [
        {"timestamp": "2026-01-01T00:00:00.6Z", "trace_id": "t", "span_id": "b", "parent_span_id": "a",
         "service_name": "db", "span_name": "query", "span_kind": "Server", "duration_ms": "50", "status_code": "Ok",
         "status_message": ""},
    ])  # fmt: skip
    table(tmp_path / "otel_logs.tsv", [
        {"Timestamp": "2026-01-01T00:00:01Z", "Body": "out of memory",
         "ResourceAttributes": json.dumps({"k8s.pod.name": "web-1", "k8s.namespace.name": "shop"})},
    ])  # fmt: skip
    traces, end = snapshots.read_spans((tmp_path,))
    by_id = {s.id: s for s in traces["t"]}
    assert (by_id["a"].duration, by_id["b"].duration) == (pytest.approx(0.2), pytest.approx(0.05))
    assert (by_id["a"].failed, by_id["a"].message, by_id["b"].failed) == (True, "boom", False)
    assert by_id["a"].kind == by_id["b"].kind == "server"
    assert end == pytest.approx(by_id["a"].start + 0.2)
    (entry,) = snapshots.read_logs((tmp_path,))
    assert (entry.pod, entry.namespace, entry.text) == ("web-1", "shop", "out of memory")


def test_the_newest_version_of_an_object_counts_and_deletions_do_not(tmp_path):
    def row(at, replicas, name="web", **wrap):
        obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "shop"},
               "spec": {"replicas": replicas}}  # fmt: skip
        return {
            "Timestamp": f"2026-01-01T00:00:{at:02d}Z",
            "Body": json.dumps({**wrap, "object": obj} if wrap else obj),
        }

    rows = [row(1, 1), row(9, 3), row(5, 2), row(9, 1, "gone", type="DELETED"), {"Timestamp": "x", "Body": "{"}]
    table(tmp_path / "k8s_objects_raw.tsv", rows)
    look, alerts = snapshots.observed((tmp_path,))
    assert [(o["metadata"]["name"], o["spec"]["replicas"]) for o in look.of("Deployment")] == [("web", 3)]
    assert alerts == ()
    assert "Pod" in look.missing


def test_as_a_program(tmp_path, monkeypatch, incident):
    """`SNAPSHOT_DIRS` in, `WORKSPACE_DIR/agent_output.json` out."""
    now, objects, events, _ = incident
    table(tmp_path / "k8s_objects_raw.tsv", [{"Timestamp": iso(now), "Body": json.dumps(o)} for o in objects])
    table(tmp_path / "k8s_events_raw.tsv", [{"Timestamp": iso(now), "Body": json.dumps({"object": e})} for e in events])
    monkeypatch.setenv("SNAPSHOT_DIRS", f"{tmp_path},{tmp_path / 'absent'}")
    monkeypatch.setenv("WORKSPACE_DIR", str(tmp_path / "work"))
    assert itbench.main([]) == 0
    found = json.loads((tmp_path / "work" / "agent_output.json").read_text())
    assert found["entities"][0]["name"].endswith("/Deployment/user")
    monkeypatch.delenv("SNAPSHOT_DIRS")
    with pytest.raises(UsageError, match="SNAPSHOT_DIRS"):
        itbench.main([])


def test_nothing_to_look_at(tmp_path):
    with pytest.raises(UsageError, match="nothing to look at"):
        snapshots.observed((tmp_path,))
