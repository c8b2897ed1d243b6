"""Series worked out of the past: their names and labels, when they change and end, and counters that only grow."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from stratus.sim.api import Request, Response
from stratus.sim.apps.figures import SpanFigures, Tick
from stratus.sim.cluster import EmbeddedCluster
from stratus.sim.telemetry import history, objectlog, recorder
from stratus.sim.telemetry.counters import BOUNDS, Counters, _normal
from stratus.sim.telemetry.recorder import SCRAPE, Steps
from stratus.sim.telemetry.samples import Emitter

NS = "hotel-reservation"


def values(cluster: EmbeddedCluster, query: str) -> dict[tuple[str, ...], float]:
    """Return the values of a query by its labels' values, in order of their names."""
    found = cluster.observatory.engine.instant(query, cluster.clock.now()).values()
    return {tuple(v for k, v in sorted(labels.items()) if k != "__name__"): value for labels, value in found}


def create(cluster: EmbeddedCluster, path: str, obj: dict[str, object]) -> None:
    answer = cluster.api.handle(Request("POST", path, {}, obj=obj))
    assert isinstance(answer, Response)
    assert answer.status == 201, answer.obj


def test_the_names_are_those_of_the_exporters(hotel: EmbeddedCluster) -> None:
    container = {"name": "c", "image": "busybox", "command": ["sleep", "1"]}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
    job = {"template": {"spec": {**template["spec"], "restartPolicy": "Never"}}}
    selector = {"matchLabels": {"a": "b"}}
    meta = {"name": "x"}
    for path, kind, spec in (
        ("/apis/apps/v1", "StatefulSet", {"serviceName": "x", "selector": selector, "template": template}),
        ("/apis/apps/v1", "DaemonSet", {"selector": selector, "template": template}),
        ("/apis/batch/v1", "Job", job),
        ("/apis/batch/v1", "CronJob", {"schedule": "* * * * *", "jobTemplate": {"spec": job}}),
        ("/apis/policy/v1", "PodDisruptionBudget", {"minAvailable": 1, "selector": selector}),
        ("/api/v1", "ResourceQuota", {"hard": {"pods": "50"}}),
        (
            "/apis/autoscaling/v2",
            "HorizontalPodAutoscaler",
            {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}, "maxReplicas": 3},
        ),
    ):
        version = path.removeprefix("/apis/").removeprefix("/api/")
        obj = {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}
        plural = f"{kind.lower()}s"
        create(hotel, f"{path}/namespaces/default/{plural}", obj)
    hotel.advance(90)
    names = set(hotel.observatory.recorder.names())
    for part in (
        "deployment_spec_replicas", "deployment_status_condition", "replicaset_spec_replicas",
        "statefulset_status_replicas_ready", "daemonset_status_number_ready", "job_status_succeeded",
        "cronjob_status_active", "poddisruptionbudget_status_desired_healthy", "resourcequota",
        "horizontalpodautoscaler_spec_max_replicas", "persistentvolumeclaim_status_phase", "node_status_capacity",
        "node_status_condition", "namespace_labels", "service_info", "endpoint_address", "configmap_info",
        "pod_container_status_restarts_total", "pod_container_resource_limits", "pod_status_scheduled", "job_complete",
        "job_owner", "pod_owner", "pod_container_status_terminated_reason",
    ):  # fmt: skip
        assert f"kube_{part}" in names, part
    assert {
        "container_cpu_usage_seconds_total", "container_cpu_cfs_throttled_periods_total", "container_memory_rss",
        "container_spec_memory_limit_bytes", "locust_requests_num_failures", "probe_success", "up",
        "traces_span_metrics_duration_milliseconds_sum",
    } <= names  # fmt: skip
    assert not [n for n in names if n.startswith("istio_")]


def test_samples_tell_what_the_objects_say(hotel: EmbeddedCluster) -> None:
    assert values(hotel, f'kube_deployment_spec_replicas{{namespace="{NS}",deployment="geo"}}') == {
        ("geo", "kube-state-metrics:8080", "kube-state-metrics", NS): 1.0
    }
    phases = values(hotel, f'sum by (phase) (kube_pod_status_phase{{namespace="{NS}"}})')
    assert phases == {("Failed",): 0, ("Pending",): 0, ("Running",): 19, ("Succeeded",): 0, ("Unknown",): 0}
    assert set(values(hotel, 'kube_node_status_capacity{resource="cpu"}').values()) == {4.0}
    ready = values(hotel, 'sum by (status) (kube_node_status_condition{condition="Ready"})')
    assert ready == {("false",): 0.0, ("true",): 3.0, ("unknown",): 0.0}
    per_pod = values(hotel, 'count by (pod) (kube_pod_container_resource_limits{resource="cpu",unit="core"})')
    assert len(per_pod) == 19


def test_series_follow_a_fault_and_end_with_their_object(hotel: EmbeddedCluster) -> None:
    before = values(hotel, 'kube_pod_info{created_by_name=~"geo.*"}')
    hotel.inject("geo-wrong-image")
    hotel.advance(120)
    waiting = values(hotel, "sum by (reason) (max_over_time(kube_pod_container_status_waiting_reason[2m]))")
    assert set(waiting) & {("ErrImagePull",), ("ImagePullBackOff",), ("CrashLoopBackOff",)}
    after = values(hotel, 'kube_pod_info{created_by_name=~"geo.*"}')
    assert after
    assert not set(before) & set(after)
    pods = values(hotel, f'count(count by (pod) (kube_pod_info{{namespace="{NS}"}}))')
    assert list(pods.values()) == [float(len(hotel.store.list("pods", NS)))]


def test_counters_of_requests_agree_with_the_ticks(hotel: EmbeddedCluster) -> None:
    hotel.inject("bad-build-errors")
    hotel.advance(300)
    now = hotel.clock.now()
    ticks = hotel.history.between(now - 120, now)
    wanted: dict[str, float] = {}
    for tick in ticks:
        for (_, service, _), span in tick.spans.items():
            wanted[service] = wanted.get(service, 0.0) + span.rate * tick.seconds
    server = 'span_kind="SPAN_KIND_SERVER"'
    calls = values(hotel, f"sum by (service_name) (increase(traces_span_metrics_calls_total{{{server}}}[2m]))")
    for service, count in wanted.items():
        assert calls[service,] == pytest.approx(count, rel=0.03, abs=2)
    counted = values(hotel, f"sum by (service_name) (traces_span_metrics_duration_milliseconds_count{{{server}}})")
    total = values(hotel, f"sum by (service_name) (traces_span_metrics_calls_total{{{server}}})")
    infinite = values(
        hotel, f'sum by (service_name) (traces_span_metrics_duration_milliseconds_bucket{{{server},le="+Inf"}})'
    )
    assert counted == total == infinite
    for name in ("traces_span_metrics_calls_total", "traces_span_metrics_duration_milliseconds_bucket"):
        assert set(values(hotel, f"max(resets({name}[10m]))").values()) == {0.0}


def test_buckets_are_monotone_and_hold_the_share_they_should() -> None:
    counters = Counters()
    part = (100.0, (0.1, 0.0025))
    counters.add([Tick(5.0, 5.0, {}, {}, (), spans={("n", "s", "o"): SpanFigures(100.0, 10.0, (part,))})])
    told = [(name, dict(labels), value) for name, labels, value in counters.samples({}, frozenset())]
    made = {(name, labels.get("le"), labels["status_code"]): value for name, labels, value in told}
    name = "traces_span_metrics_duration_milliseconds_bucket"
    row = [made[name, f"{bound:g}", "STATUS_CODE_UNSET"] for bound in BOUNDS]
    assert row == sorted(row)
    assert made[name, "+Inf", "STATUS_CODE_UNSET"] == 450
    assert made["traces_span_metrics_calls_total", None, "STATUS_CODE_ERROR"] == 50
    # Log-normal of mean 100 ms and deviation 50 ms: its median is 89.4 ms, and 59.4 per cent are below 100 ms.
    assert made[name, "100", "STATUS_CODE_UNSET"] / 450 == pytest.approx(0.594, abs=0.01)


def test_the_normal_distribution_function() -> None:
    from statistics import NormalDist

    z = np.array([-8.0, -2.5, -1.0, 0.0, 0.5, 1.96, 6.0, 1e9, -1e9])
    wanted = [NormalDist().cdf(max(min(v, 40.0), -40.0)) for v in z]
    assert _normal(z) == pytest.approx(wanted, abs=1e-7)


def test_steps_become_samples_and_ends() -> None:
    grid = np.arange(0.0, 90.0, 15.0)
    steps = Steps()
    for at, value in ((15.0, 1.0), (30.0, 2.0), (45.0, None), (75.0, 3.0)):
        steps.add(at, value)
    series = steps.series({"a": "b"}, grid)
    assert series is not None
    assert series.times.tolist() == [15.0, 30.0, 45.0, 75.0]
    assert series.stale is not None
    assert series.stale.tolist() == [False, False, True, False]
    assert series.samples[1].tolist() == [1.0, 2.0, 3.0]
    assert steps.trim(20.0) is not False
    assert steps.at[0] == 15.0
    gone = Steps()
    gone.add(0.0, 1.0)
    gone.add(15.0, None)
    assert gone.trim(30.0) is False


def test_empty_labels_are_left_out() -> None:
    emit = Emitter(namespace="n")
    emit("x", None)
    emit("y", True, node="", pod="p")
    assert emit.samples == [("y", (("namespace", "n"), ("pod", "p")), 1.0)]


def test_a_mesh_has_its_own_metrics(hotel: EmbeddedCluster) -> None:
    body = json.dumps({"metadata": {"labels": {"istio-injection": "enabled"}}}).encode()
    headers = {"content-type": "application/merge-patch+json"}
    answer = hotel.api.handle(Request("PATCH", f"/api/v1/namespaces/{NS}", headers, body=body))
    assert isinstance(answer, Response)
    assert answer.status == 200
    hotel.inject("wrong-target-port")
    hotel.advance(200)
    codes = values(
        hotel, 'sum by (response_code) (rate(istio_requests_total{destination_canonical_service="geo"}[1m])) > 0'
    )
    assert set(codes) == {("503",)}


def test_the_past_that_is_kept_has_an_end_and_nothing_depends_on_who_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = 600.0
    for module in (history, objectlog, recorder):
        monkeypatch.setattr(module, "KEPT", kept)
    with EmbeddedCluster(warmup=60.0) as asked, EmbeddedCluster(warmup=60.0) as silent:
        for step in range(7):
            asked.advance(kept / 4)
            silent.advance(kept / 4)
            if step % 2:
                asked.observatory.catch_up()
        asked.observatory.recorder.catch_up()
        assert kept / SCRAPE <= len(asked.observatory.recorder.grid) <= 1.3 * kept / SCRAPE
        assert asked.observatory.scrape() == silent.observatory.scrape()
        query = "sum by (__name__) ({__name__=~'traces_.*total|container_cpu.*|kube_pod_.*'})"
        assert values(asked, query) == values(silent, query)


def test_importing_a_cluster_and_letting_it_live_loads_no_numbers_library() -> None:
    code = (
        "import sys; from stratus.sim.cluster import EmbeddedCluster\n"
        "with EmbeddedCluster(warmup=30.0) as c: c.advance(60)\n"
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
