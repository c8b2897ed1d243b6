"""The metrics port against a real Prometheus over series that are written for it beforehand; no time passes."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from stratus.telemetry.http import HttpSource
from stratus.telemetry.prometheus import PrometheusAlerts, PrometheusMetrics

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("prometheus") and shutil.which("promtool")),
        reason="no Prometheus here; install the Debian package `prometheus`",
    ),
]

START, STEP, COUNT = 1_700_000_100, 15, 81
END = START + STEP * (COUNT - 1)


def open_metrics() -> str:
    """Twenty minutes of two services: `cart` fails for half of its requests after ten of them."""
    lines: list[str] = []

    def family(name: str, kind: str, samples: list[tuple[str, list[float]]]) -> None:
        lines.append(f"# TYPE {name} {kind}")
        for labels, values in samples:
            lines.extend(f"{labels} {value} {START + i * STEP}" for i, value in enumerate(values))

    half = COUNT // 2
    ok = [10.0 * STEP * min(i, half) + 5.0 * STEP * max(0, i - half) for i in range(COUNT)]
    bad = [5.0 * STEP * max(0, i - half) for i in range(COUNT)]
    span = 'service_name="cart",k8s_namespace_name="shop",span_kind="SPAN_KIND_SERVER"'
    calls = "traces_span_metrics_calls"
    family(
        calls,
        "counter",
        [
            (f'{calls}_total{{{span},status_code="STATUS_CODE_UNSET"}}', ok),
            (f'{calls}_total{{{span},status_code="STATUS_CODE_ERROR"}}', bad),
        ],
    )
    duration = "traces_span_metrics_duration_milliseconds"
    total = [10.0 * STEP * i for i in range(COUNT)]
    family(
        duration,
        "histogram",
        [(f'{duration}_bucket{{{span},le="{le}"}}', total) for le in ("100.0", "200.0", "+Inf")]
        + [(f"{duration}_count{{{span}}}", total), (f"{duration}_sum{{{span}}}", total)],
    )
    family(
        "http_requests",
        "counter",
        [('http_requests_total{service="web",namespace="shop",code="200"}', [2.0 * STEP * i for i in range(COUNT)])],
    )
    pod = 'namespace="shop",pod="cart-1",container="cart"'
    family(
        "container_cpu_usage_seconds",
        "counter",
        [(f"container_cpu_usage_seconds_total{{{pod}}}", [0.5 * STEP * i for i in range(COUNT)])],
    )
    family(
        "container_memory_working_set_bytes", "gauge", [(f"container_memory_working_set_bytes{{{pod}}}", [1e6] * COUNT)]
    )
    family(
        "kube_pod_container_resource_limits",
        "gauge",
        [(f'kube_pod_container_resource_limits{{{pod},resource="memory"}}', [2e6] * COUNT)],
    )
    return "\n".join(lines) + "\n# EOF\n"


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpSource]:
    folder: Path = tmp_path_factory.mktemp("prometheus")
    (folder / "series.txt").write_text(open_metrics())
    (folder / "prometheus.yml").write_text("global: {evaluation_interval: 1s}\n")
    promtool, binary = shutil.which("promtool"), shutil.which("prometheus")
    assert promtool
    assert binary
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", "series.txt", "data"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [
        binary,
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(arguments, cwd=folder, stdout=log, stderr=log)
    source = HttpSource(f"http://127.0.0.1:{port}", name="Prometheus")
    try:
        ready = urllib3.Retry(total=60, backoff_factor=0.05, backoff_max=0.5, status_forcelist=[503])
        with urllib3.PoolManager(retries=ready) as pool:
            assert pool.request("GET", f"{source.url}/-/ready").status == 200
        yield source
    finally:
        source.close()
        process.terminate()
        process.wait(20)
        log.close()


def test_request_figures(prometheus: HttpSource) -> None:
    series = PrometheusMetrics(prometheus).service_series(("shop",), float(END - 900), float(END), float(STEP))
    cart, web = series
    assert (cart.service, web.service) == ("cart", "web")
    assert len(cart.points) == 61
    assert cart.points[0].rate == pytest.approx(10.0, rel=0.01)
    assert cart.points[0].error_rate == 0.0
    assert cart.points[-1].error_rate == pytest.approx(0.5, rel=0.01)
    assert cart.points[-1].latency_p99 == pytest.approx(0.099, rel=0.02)
    assert (web.points[-1].error_rate, web.points[-1].latency_p99) == (0.0, None)
    assert web.points[-1].rate == pytest.approx(2.0, rel=0.01)


def test_a_namespace_without_series(prometheus: HttpSource) -> None:
    assert PrometheusMetrics(prometheus).service_series(("nowhere",), float(END - 900), float(END), 15.0) == ()


def test_a_step_that_does_not_fit_the_window_and_fractions(prometheus: HttpSource) -> None:
    (cart, _) = PrometheusMetrics(prometheus).service_series(("shop",), END - 100.123, END - 0.5, 7.3)
    assert len(cart.points) == 14
    assert all(p.rate is not None for p in cart.points)


def test_container_use(prometheus: HttpSource) -> None:
    (use,) = PrometheusMetrics(prometheus).usage(("shop",), float(END))
    assert use.cpu_cores == pytest.approx(0.5, rel=0.01)
    assert (use.memory_bytes, use.memory_limit, use.throttled, use.cpu_limit) == (1e6, 2e6, None, None)


def test_no_alerts(prometheus: HttpSource) -> None:
    assert PrometheusAlerts(prometheus).firing() == ()
