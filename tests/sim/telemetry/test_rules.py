"""Alert rules are data, and mistakes in them are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from stratus.errors import UsageError
from stratus.sim.telemetry.rules import load_rules, parse_rules, shipped_rules

GOOD = """
interval: 15
rules:
  - {alert: A, over: requests, figure: rate, above: 1, for: 60, severity: critical}
  - {alert: B, over: pods, condition: pending}
"""


def test_the_shipped_rules_hold_the_usual_alerts() -> None:
    names = {r.alert for r in shipped_rules().rules}
    assert {
        "HighRequestErrorRate", "HighRequestLatency", "NoRequestsReceived", "FailedPodsDetected", "KubePodNotReady",
        "KubePodCrashLooping", "KubeContainerWaiting", "KubeDeploymentReplicasMismatch", "ContainerCPUThrottling",
    } <= names  # fmt: skip


def test_rules_are_read() -> None:
    rules = parse_rules(GOOD, "x")
    assert [r.wait for r in rules.rules] == [60, 0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("figure: rate, ", ""), "needs `figure` and one of `above` and `below`"),
        (("above: 1", "above: 1, below: 2"), "needs `figure` and one of"),
        (("condition: pending", "condition: waiting"), "needs `condition`: one of failed, not-ready, pending"),
        (("for: 60", "for: -1"), "rules.0.for"),
        (("severity: critical", "severity: awful"), "rules.0.severity"),
        (("over: pods", "on: pods"), "rules.1"),
        (("rules:", "rulez:"), "rulez: unknown field"),
        (("interval: 15", "interval: 0"), "interval"),
    ],
)
def test_a_mistake_is_named(change: tuple[str, str], said: str) -> None:
    assert change[0] in GOOD
    with pytest.raises(UsageError) as caught:
        parse_rules(GOOD.replace(*change), "rules.yaml")
    assert said in str(caught.value)


def test_a_file_that_cannot_be_read_or_is_no_mapping(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_rules(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(UsageError, match="one YAML mapping"):
        load_rules(tmp_path / "list.yaml")
