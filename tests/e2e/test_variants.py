"""Faults in workloads of many shapes end repaired or honestly given up, and nothing else is ever touched."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from target import KUBECONFIG, Target
from test_repairs import respond
from variants import NAME, VARIANTS, Variant

from stratus.cli.main import main

pytestmark = pytest.mark.e2e
KINDS = ("deployments", "statefulsets", "daemonsets", "services", "configmaps", "secrets", "serviceaccounts")


@pytest.fixture
def space(target: Target) -> Iterator[str]:
    """An empty namespace, gone before the next test looks at the whole cluster."""
    name = f"stratus-e2e-{uuid.uuid4().hex[:6]}"
    target.kubectl("create", "namespace", name)
    yield name
    target.kubectl("delete", "namespace", name, "--wait=false")
    target.wait(35.0)


def written(target: Target, namespace: str) -> dict[str, Any]:
    """What people and tools decide on every object of the namespace."""
    found = {}
    for obj in target.json("get", ",".join(KINDS), "-n", namespace)["items"]:
        meta = obj["metadata"]
        notes = {k: v for k, v in meta.get("annotations", {}).items() if not k.startswith("deployment.kubernetes")}
        name = f"{obj['kind'].lower()}s/{meta['name']}"
        found[name] = (meta.get("labels"), notes, obj.get("spec"), obj.get("data"))
    return found


def healthy(target: Target, namespace: str, variant: Variant) -> bool:
    """Whether all wanted pods are of the newest revision, ready, and behind the Service."""
    status = target.json("get", variant.kind.lower(), NAME, "-n", namespace)["status"]
    if variant.kind == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        ready = wanted and status.get("updatedNumberScheduled", 0) == status.get("numberReady", 0) == wanted
    else:
        wanted = variant.replicas
        ready = (
            status.get("updatedReplicas", 0) == status.get("readyReplicas", 0) == status.get("replicas", 0) == wanted
        )
    slices = target.json("get", "endpointslices", "-n", namespace, "-l", f"kubernetes.io/service-name={NAME}")["items"]
    doors = [
        e
        for piece in slices
        if any(p.get("port") == 80 for p in piece.get("ports") or ())
        for e in piece.get("endpoints") or ()
        if e["conditions"].get("ready")
    ]
    return bool(ready) and len(doors) == wanted


#: Every third by default, all of them with STRATUS_LONG=1 (`make long`, part of CI) and on a cluster of one's own.
TRIED = VARIANTS if os.environ.get("STRATUS_LONG") or KUBECONFIG else VARIANTS[::3]


@pytest.mark.parametrize("variant", TRIED, ids=lambda v: v.name)
def test_variant(
    variant: Variant,
    target: Target,
    space: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    if variant.scope == "cluster" and KUBECONFIG:
        pytest.skip("looks at the whole cluster, and this one is not ours alone")
    target.kubectl("apply", "-n", space, "-f", "-", stdin=variant.manifests())
    if variant.setup is not None:
        variant.setup(target, space)
    if variant.faults:
        target.until(lambda: healthy(target, space, variant), "the workload serves")
        target.wait(30.0)
    for fault in variant.faults:
        fault(target, space)
    target.wait(60.0)
    before = written(target, space)
    scope = ["-n", space] if variant.scope == "namespace" else []
    if variant.scope == "alert":
        labels = {"alertname": "ServiceDown", "namespace": space, "service": NAME, "severity": "critical"}
        document = tmp_path / "alert.json"
        document.write_text(json.dumps({"status": "firing", "labels": labels}), encoding="utf-8")
        scope = ["--alert", str(document)]

    code, report = respond(target, capsys, monkeypatch, tmp_path, *scope, "--mode", "auto")

    assert report["state"] in variant.states, report["timeline"][-8:]
    assert code == (0 if report["state"] == "resolved" else 3)
    cause = report["root_cause"]
    assert cause["class"] in variant.classes
    assert cause["object"].startswith(tuple(f"{space}/{kind}/{NAME}" for kind in variant.kinds))
    after = written(target, space)
    touched = {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)}
    mine = {f"{variant.kind.lower()}s/{NAME}", f"services/{NAME}", f"configmaps/{NAME}-conf"}
    if report["state"] == "resolved":
        assert healthy(target, space, variant)
        assert touched <= mine, "nothing else was touched"
    else:
        assert not touched, "what could not be healed is as it was"
    for attempt in report["attempts"]:
        assert not attempt["undone"] or attempt["undo_proof"]["proved"]
        assert attempt["undone"] or not attempt["executed"] or attempt["verdict"] in ("RESOLVED", "IMPROVED")
    assert main(["txn", "verify", "--state-dir", str(tmp_path / "state")]) == 0
