"""The same alerts from our evaluator and from Prometheus, for faults injected into an application."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from realprometheus import Asked, backfill, free_port, needed, prometheus, started
from ruleworld import FILES, public_rules, rendered, together, world

from stratus.sim.cluster import EmbeddedCluster
from stratus.sim.telemetry.exposition import open_metrics
from stratus.sim.telemetry.promql.nodes import Matcher
from stratus.sim.telemetry.promql.series import Series
from stratus.sim.telemetry.promql.text import compact
from stratus.sim.telemetry.rules import Rules, parse_rules, rule_file, shipped_rules

pytestmark = pytest.mark.slow

#: Faults, with alerts that each must raise (among others).
FAULTS = {
    "geo-wrong-image": {"PodStatusError", "KubeContainerWaiting", "HighRequestErrorRate"},
    "bad-build-errors": {"HighRequestErrorRate"},
    "bad-build-slow": {"HighRequestLatency"},
    "scaled-to-zero": {"NoRequestsReceived", "DeploymentNotReady", "HighRequestErrorRate"},
    "unschedulable-request": {"PendingPodsDetected", "PodSchedulingFailure"},
    "wrong-target-port": {"ServiceEndpointDown", "HighRequestErrorRate"},
    "readiness-probe": {"KubePodNotReady"},
    "bad-env-value": {"KubePodCrashLooping", "PodStatusError"},
    "cpu-limit-cut": {"ContainerCPUThrottling"},
    "memory-limit-cut": {"KubeContainerOOMKilled"},
    "node-not-ready": {"KubeNodeNotReady"},
}

#: Faults left to the long run.
LATER = ("bad-build-errors", "node-not-ready", "bad-env-value")


def test_the_public_files_are_read_whole() -> None:
    found = {rules.source: rules for rules in public_rules()}
    assert [len(found[name].alerts) for name in FILES] == [6, 10, 17]
    times = {a.alert: a.wait for a in found["sregym_rules.yaml"].alerts}
    assert times["PodSchedulingFailure"] == 30.0
    assert times["ContainerCPUThrottling"] == 120.0


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    with world(tmp_path_factory.mktemp("rules") / "rules.yaml") as cluster:
        yield cluster


def fired(cluster: EmbeddedCluster) -> list[Any]:
    return [a for a in cluster.observatory.alerting.active(cluster.clock.now()) if a.fired is not None]


def test_a_healthy_application_raises_nothing(base: EmbeddedCluster) -> None:
    with base.fork() as cluster:
        cluster.advance(300)
        # The public threshold for floods, 50 spans per second, is below the load that the application has here.
        assert {a.rule.alert for a in fired(cluster) if a.group != "app.goldensignal"} == set()
        assert {a.rule.alert for a in fired(cluster)} <= {"HighRequestRate"}
        assert cluster.observatory.alerting.errors == {}


def used_names(cluster: EmbeddedCluster) -> set[str]:
    text = "\n".join(rule.expr for rule in cluster.observatory.rules.alerts)
    return {name for name in cluster.observatory.recorder.names() if name in text}


def every(cluster: EmbeddedCluster, names: set[str]) -> list[Series]:
    found: list[Series] = []
    for name in sorted(names):
        found += cluster.observatory.recorder.select((Matcher("__name__", "=", name),))
    return found


def written(series: Series, grid: list[float]) -> dict[str, Any]:
    """Return a series as promtool takes it: a value per moment, `_` for none, `stale` for an end."""
    labels = ",".join(f"{k}={json.dumps(v)}" for k, v in series.labels.items() if k != "__name__")
    at = {round(t): (v, s) for t, v, s in zip(series.times, series.values, series_stale(series), strict=True)}
    name, shift = series.labels["__name__"], grid[0] if series.labels["__name__"].endswith("_timestamp") else 0.0
    values = []
    for moment in grid:
        value, stale = at.get(round(moment), (None, False))
        values.append("_" if value is None else "stale" if stale else compact(float(value) - shift))
    return {"series": f"{name}{{{labels}}}", "values": " ".join(values)}


def series_stale(series: Series) -> list[bool]:
    return series.stale.tolist() if series.stale is not None else [False] * len(series.times)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            fault,
            marks=pytest.mark.skipif(
                fault in LATER and not os.environ.get("STRATUS_LONG"), reason="set STRATUS_LONG=1 for all faults"
            ),
        )
        for fault in sorted(FAULTS)
    ],
)
def test_promtool_says_the_same(base: EmbeddedCluster, tmp_path: Path, fault: str) -> None:
    needed("promtool")
    with base.fork() as cluster:
        cluster.inject(fault)
        cluster.advance(420)
        found = fired(cluster)
        assert FAULTS[fault] <= {a.rule.alert for a in found}
        grid = cluster.observatory.recorder.grid.tolist()
        series = [written(one, grid) for one in every(cluster, used_names(cluster))]
        paths = [
            unit_test(tmp_path / f"{number}", rules, grid, series, found)
            for number, rules in enumerate([shipped_rules(), *public_rules()])
        ]
    done = subprocess.run(["promtool", "test", "rules", *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def unit_test(base: Path, rules: Rules, grid: list[float], series: list[dict[str, Any]], found: list[Any]) -> str:
    """Write one file of rules, and the test that exactly these alerts of its groups fire at the end."""
    expected: dict[str, list[Any]] = {rule.alert: [] for rule in rules.alerts}
    groups = {group.name for group in rules.groups}
    for alert in found:
        if alert.group in groups:
            labels = {k: v for k, v in alert.labels if k != "alertname"}
            expected[alert.rule.alert].append({"exp_labels": labels, "exp_annotations": alert.annotations()})
    own, unit = base.with_suffix(".rules.yaml"), base.with_suffix(".test.yaml")
    own.write_text(rule_file(rules))
    names = "\n".join(rule.expr for rule in rules.alerts)
    data = {
        "rule_files": [str(own)],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [one for one in series if one["series"].partition("{")[0] in names],
                "alert_rule_test": [
                    {"eval_time": f"{round(grid[-1] - grid[0])}s", "alertname": name, "exp_alerts": alerts}
                    for name, alerts in expected.items()
                ],
            }
        ],
    }
    unit.write_text(json.dumps(data))
    return str(unit)


#: Faults that can be there at the same time and whose alerts then stand still.
COMBINED = ("database-down", "scaled-to-zero", "unschedulable-request", "readiness-probe", "image-pull-user",
            "cpu-limit-cut", "bad-build-slow", "wrong-target-port")  # fmt: skip


def labels_of(rows: list[dict[str, Any]]) -> list[list[tuple[str, str]]]:
    return sorted(sorted(row["labels"].items()) for row in rows)


def test_a_real_prometheus_and_alertmanager_scrape_the_cluster_and_tell_the_same(tmp_path: Path) -> None:
    needed("prometheus", "promtool", "prometheus-alertmanager")
    passed = 300.0 + 60.0 + 600.0
    rules = tmp_path / "rules.yaml"
    with world(rules, at_once=True, shipped=False, epoch=float(int(time.time())) - passed) as cluster:
        for fault in COMBINED:
            cluster.inject(fault)
        cluster.advance(max(600.0, time.time() - cluster.clock.now()))
        # What counts up needs a past; what only stands for now comes from the scrapes.
        counted = {n for n in used_names(cluster) if n.endswith(("_total", "_bucket"))}
        backfill(tmp_path, open_metrics(every(cluster, counted)))
        with cluster.serve(tls=False), cluster.serve_telemetry() as front:
            port, own = free_port(), Asked(front.url)
            (tmp_path / "alertmanager.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
            manager = f"http://127.0.0.1:{port}"
            arguments = [
                "prometheus-alertmanager", "--config.file=alertmanager.yml", f"--storage.path={tmp_path / 'am'}",
                f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
            ]  # fmt: skip
            config = {
                "global": {"scrape_interval": "3s", "scrape_timeout": "3s", "evaluation_interval": "1s"},
                "rule_files": [str(rules)],
                "scrape_configs": [
                    {
                        "job_name": "cluster",
                        "honor_labels": True,
                        "static_configs": [{"targets": [front.url.removeprefix("http://")]}],
                    }
                ],
                "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}]},
            }
            text = rules.read_text().replace("interval: 15000ms", "interval: 1s")
            rules.write_text(text)
            with started(arguments, tmp_path, manager), prometheus(tmp_path, yaml.safe_dump(config)) as url:
                real, alerts = Asked(url), Asked(manager)
                try:
                    _agree(own, real, alerts)
                finally:
                    for client in (own, real, alerts):
                        client.close()


def _agree(own: Asked, real: Asked, alerts: Asked) -> None:
    """Ask until all say the same; they ask the cluster at different moments, so that takes a few scrapes."""
    deadline = time.monotonic() + 90.0
    while True:
        mine = labels_of(own.get("/api/v2/alerts"))
        theirs = labels_of(alerts.get("/api/v2/alerts"))
        told = [a for a in real.get("/api/v1/alerts")["data"]["alerts"] if a["state"] == "firing"]
        firing = [list(one) for one in sorted({tuple(sorted(a["labels"].items())) for a in told})]
        if mine and mine == theirs == firing:
            names = {dict(labels)["alertname"] for labels in mine}
            assert len(names) >= 8, names
            return
        if time.monotonic() > deadline:
            extra = [a for a in firing if a not in mine], [a for a in mine if a not in firing]
            pytest.fail(f"only Prometheus: {extra[0]}\nonly ours: {extra[1]}\nAlertmanager has {len(theirs)}")
        # A query that waits for nothing but the next evaluation.
        real.get("/api/v1/query", query="sum(count_over_time(up[1m]))")


def test_public_rules_see_the_astronomy_shop_as_they_were_meant_to(tmp_path: Path) -> None:
    space = "astronomy-shop"
    path = tmp_path / "rules.yaml"
    rules = [parse_rules(rendered(name, space), name) for name in FILES[1:]]
    path.write_text(rule_file(together(*rules)), encoding="utf-8")
    with EmbeddedCluster(app=space, rules=path, warmup=900) as cluster:
        assert fired(cluster) == []
        assert cluster.observatory.alerting.errors == {}
        cluster.inject("flag-product-catalog-failure")
        cluster.inject("scaled-to-zero")
        cluster.advance(660)
        found = {
            (a.rule.alert, dict(a.labels).get("name") or dict(a.labels).get("service_name")) for a in fired(cluster)
        }
        assert ("HighRequestErrorRate", "/api/products/OLJCESPC7Z") in found
        assert ("HighRequestErrorRate", "checkout") in found
        assert ("NoDatabaseOperations", "accounting") in found
        assert {"KafkaConsumerGroupInactive", "HighKafkaConsumerLag", "MessageConsumerLag"} <= {
            name for name, _ in found
        }
