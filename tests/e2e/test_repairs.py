"""Ten faults injected with plain kubectl into an ordinary workload are repaired, over HTTPS and with no Prometheus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from target import Target
from workload import FAULTS, Fault

from stratus.cli.main import main

pytestmark = pytest.mark.e2e


def respond(
    target: Target, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *more: str
) -> tuple[int, dict[str, Any]]:
    """Run `stratus respond` as a user would, on the cluster's own time when that is virtual."""
    if target.clock is not None:
        monkeypatch.setattr("stratus.wiring.compose.SystemClock", lambda: target.clock)
    capsys.readouterr()
    arguments = ["respond", "--kubeconfig", str(target.kubeconfig), "--json", "--state-dir", str(tmp_path / "state")]
    code = main([*arguments, *more])
    out = capsys.readouterr().out
    return code, json.loads(out)


def others(target: Target, namespace: str) -> dict[str, Any]:
    """Everything of the namespace that a repair of `web` has no business with, without what controllers write."""
    found = {}
    for kind in ("deployments", "services", "configmaps", "secrets", "serviceaccounts", "networkpolicies"):
        for obj in target.json("get", kind, "-n", namespace)["items"]:
            meta = obj["metadata"]
            if not meta["name"].startswith("web"):
                found[f"{kind}/{meta['name']}"] = (meta["uid"], meta.get("labels"), obj.get("spec"), obj.get("data"))
    return found


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_repair(
    fault: Fault,
    target: Target,
    namespace: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    before = others(target, namespace)
    for command in fault.commands:
        target.kubectl(*command, "-n", namespace)
    target.wait(45.0)

    code, report = respond(target, capsys, monkeypatch, tmp_path, "-n", namespace, "--mode", "auto")

    assert report["state"] == "resolved", report["timeline"][-6:]
    assert code == 0
    assert target.serves(namespace, "web", 2)
    assert report["root_cause"]["class"] in fault.faults
    assert report["root_cause"]["object"] in {f"{namespace}/{name}" for name in fault.objects}
    assert report["root_cause"]["evidence"]
    assert any("objects alone" in note for note in report["notes"]), "it must say that health came from objects"
    assert others(target, namespace) == before, "nothing else was touched"
    for attempt in report["attempts"]:
        assert not attempt["undone"] or attempt["undo_proof"]["proved"]
        assert attempt["undone"] or attempt["verdict"] in ("RESOLVED", "IMPROVED")
    assert main(["txn", "verify", "--state-dir", str(tmp_path / "state")]) == 0


def test_a_healthy_workload_is_left_alone(
    target: Target,
    namespace: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    before = (
        others(target, namespace),
        target.json("get", "deployment", "web", "-n", namespace)["metadata"]["generation"],
    )
    code, report = respond(target, capsys, monkeypatch, tmp_path, "-n", namespace, "--mode", "auto")
    assert (code, report["state"], report["attempts"]) == (0, "healthy", [])
    after = (
        others(target, namespace),
        target.json("get", "deployment", "web", "-n", namespace)["metadata"]["generation"],
    )
    assert before == after


def test_suggest_proposes_and_changes_nothing(
    target: Target,
    namespace: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    target.kubectl("scale", "deployment/web", "--replicas=0", "-n", namespace)
    target.wait(30.0)
    code, report = respond(target, capsys, monkeypatch, tmp_path, "-n", namespace)
    assert (code, report["state"], report["mode"]) == (3, "unresolved", "suggest")
    assert report["suggestion"]
    assert report["attempts"] == []
    assert target.json("get", "deployment", "web", "-n", namespace)["spec"]["replicas"] == 0


def test_an_undone_change_of_a_person_stays(
    target: Target,
    namespace: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """`stratus txn undo` weeks later takes back what Stratus did, and nothing that somebody did since."""
    target.kubectl("scale", "deployment/web", "--replicas=0", "-n", namespace)
    target.wait(30.0)
    _, report = respond(target, capsys, monkeypatch, tmp_path, "-n", namespace, "--mode", "auto")
    assert report["state"] == "resolved"
    target.kubectl("annotate", "deployment/web", "note=ours", "-n", namespace)
    transaction = report["attempts"][-1]["transaction"]
    arguments = ["--kubeconfig", str(target.kubeconfig), "--state-dir", str(tmp_path / "state")]
    monkeypatch.setattr("stratus.wiring.journals.SystemClock", lambda: target.clock) if target.clock else None
    assert main(["txn", "undo", transaction, *arguments]) == 0
    deployment = target.json("get", "deployment", "web", "-n", namespace)
    assert deployment["spec"]["replicas"] == 0
    assert deployment["metadata"]["annotations"]["note"] == "ours"
