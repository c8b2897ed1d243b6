"""Rule files are read in every wrapping, mistakes in them are named, and they can be written again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from realprometheus import needed

from stratus.errors import UsageError
from stratus.sim.cluster import EmbeddedCluster
from stratus.sim.telemetry.rules import load_rules, parse_rules, rule_file, shipped_rules, shipped_text

GOOD = """
groups:
  - name: one
    interval: 30s
    rules:
      - alert: A
        expr: sum(up) > 1
        for: 1m30s
        keep_firing_for: 2m
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.job }}"}
      - record: job:up:sum
        expr: sum by (job) (up)
"""


def indented(text: str, by: int) -> str:
    return "".join(f"{' ' * by}{line}\n" for line in text.strip().splitlines())


def test_the_shipped_rules_hold_the_usual_alerts() -> None:
    names = {r.alert for r in shipped_rules().alerts}
    assert {
        "HighRequestErrorRate", "HighRequestLatency", "NoRequestsReceived", "FailedPodsDetected", "KubePodNotReady",
        "KubePodCrashLooping", "KubeContainerWaiting", "KubeDeploymentReplicasMismatch", "ContainerCPUThrottling",
    } <= names  # fmt: skip
    assert all(r.labels["severity"] in ("critical", "warning") for r in shipped_rules().alerts)


def test_promtool_takes_the_shipped_file_and_what_is_written(tmp_path: Path) -> None:
    needed("promtool")
    for number, text in enumerate((shipped_text(), rule_file(shipped_rules()), rule_file(parse_rules(GOOD, "x")))):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        done = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nspec:\n" + indented(GOOD, 2),
        "other: 1\nserverFiles:\n  alerting_rules.yml:\n" + indented(GOOD, 4),
        "kind: ConfigMap\n---\n" + GOOD,
    ],
)
def test_rules_are_read_from_every_wrapping(text: str) -> None:
    rules = parse_rules(text, "x")
    (group,) = rules.groups
    assert (group.name, group.interval) == ("one", 30.0)
    alert, record = group.rules
    assert (alert.wait, alert.keep_firing_for, alert.labels) == (90.0, 120.0, {"severity": "critical"})
    assert record.record == "job:up:sum"
    assert rules.alerts == (alert,)


def test_what_is_written_is_read_as_the_same() -> None:
    rules = parse_rules(GOOD, "x")
    assert parse_rules(rule_file(rules), "x") == rules


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("sum(up) > 1", "sum(up > 1"), "expr: 1:11: parse error"),
        (("alert: A", "alert: A\n        record: b"), "one of `alert` and `record`"),
        (("alert: A", "labelz: {}"), "groups.0.rules.0"),
        (("for: 1m30s", "for: soon"), "groups.0.rules.0.for: not a valid duration string: 'soon'"),
        (("for: 1m30s", "for: -1"), "groups.0.rules.0.for"),
        (("interval: 30s", "interval: 0"), "groups.0.interval: an interval is longer than 0"),
        (("record: job:up:sum", "record: x\n        for: 1m"), "a recording rule has no `for`"),
        (("groups:", "grups:"), "no `groups` of alert rules"),
        (("groups:", "groups:\n  - {name: one, rules: []}"), "the group 'one' is there twice"),
    ],
)
def test_a_mistake_is_named(change: tuple[str, str], said: str) -> None:
    assert change[0] in GOOD
    with pytest.raises(UsageError) as caught:
        parse_rules(GOOD.replace(*change), "rules.yaml")
    assert said in str(caught.value)


def test_a_file_that_cannot_be_read_or_holds_no_rules(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_rules(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(UsageError, match="no `groups`"):
        load_rules(tmp_path / "list.yaml")


def test_a_cluster_takes_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace("sum(up) > 1", "sum by (job) (up) == 3").replace("for: 1m30s", "for: 30s"))
    with EmbeddedCluster(rules=path, warmup=120.0) as cluster:
        alerts = cluster.telemetry().alerts
        assert alerts
        (one,) = alerts.firing()
        assert (one.name, one.labels["job"], one.annotations) == ("A", "kubelet", {"summary": "kubelet"})
        recorded = cluster.observatory.engine.instant("job:up:sum", cluster.clock.now()).values()
        assert {labels["job"]: value for labels, value in recorded}["kubelet"] == 3
