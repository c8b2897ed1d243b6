"""What people and programs see: lines that stay whole, tables that name their rows, a cluster served and ended."""

from __future__ import annotations

import json
import os
import signal
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from stratus.cli.main import main
from stratus.cli.output import console
from stratus.sim.cluster import EmbeddedCluster


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("KUBECONFIG", "STRATUS_CONFIG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


def test_a_line_into_a_pipe_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    line = "  export KUBECONFIG=" + "/a/rather/long/folder" * 12
    console().print(line, markup=False)
    assert capsys.readouterr().out == line + "\n"


def test_progress_of_a_machine_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    console(machine=True).print("x" * 300)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "x" * 300 + "\n")


def test_the_table_of_transactions_names_them_whole(capsys: pytest.CaptureFixture[str]) -> None:
    incident = "an-incident-with-a-rather-long-id-of-its-own"
    common = ["--embedded", "hotel-reservation", "--fault", "scaled-to-zero", "--mode", "auto", "--json"]
    assert main(["respond", *common, "--incident", incident]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "resolved"
    assert main(["txn", "list"]) == 0
    assert f"{incident}-1 " in capsys.readouterr().out


def test_cluster_up_until_it_is_told_to_end(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path, viewer = tmp_path / "new" / "kubeconfig", tmp_path / "viewer"
    seen: dict[str, Any] = {}

    def watch() -> None:
        until = time.monotonic() + 30
        while not path.exists() and time.monotonic() < until:
            pass
        try:
            seen["admin"] = json.loads(path.read_text(encoding="utf-8"))
            seen["viewer"] = json.loads(viewer.read_text(encoding="utf-8"))
            seen["answer"] = _get(path)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    watcher = threading.Thread(target=watch)
    before = signal.getsignal(signal.SIGTERM)
    watcher.start()
    code = main(
        ["cluster", "up", "--app", "none", "--kubeconfig-out", str(path), "--viewer-kubeconfig-out", str(viewer)]
    )
    watcher.join()
    assert code == 0
    assert signal.getsignal(signal.SIGTERM) is before
    out = capsys.readouterr().out
    assert out.startswith(f"serving {seen['admin']['clusters'][0]['cluster']['server']}\n")
    assert f"KUBECONFIG={path}\n" in out
    assert seen["viewer"]["users"][0]["name"] == "viewer"
    assert abs(seen["answer"] - time.time()) < 60, "the served cluster lives in the present"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["kubeconfig"], "no draft is left behind"


def _get(path: Path) -> float:
    """Return when the nodes of a cluster were made."""
    from kubernetes import client, config

    with config.new_client_from_config(str(path)) as api:
        nodes = client.CoreV1Api(api).list_node().items
        return max(float(n.metadata.creation_timestamp.timestamp()) for n in nodes)


def test_a_kubeconfig_that_cannot_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("", encoding="utf-8")
    code = main(["cluster", "up", "--app", "none", "--kubeconfig-out", str(blocker / "kubeconfig")])
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    assert "kubeconfig cannot be written" in captured.err


SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}


def _workload(cluster: EmbeddedCluster) -> Any:
    """Make a Deployment and a Service of plain objects and let them become ready; returns the apps API."""
    from kubernetes import client

    labels = {"app": "web"}
    container = {"name": "c", "image": "nginx:1.27", "ports": [{"containerPort": 80}]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    }
    api = cluster.api_client()
    apps = client.AppsV1Api(api)
    apps.create_namespaced_deployment("default", deployment)
    service = {**SERVICE, "spec": {"selector": labels, "ports": [{"port": 80}]}}
    client.CoreV1Api(api).create_namespaced_service("default", service)
    cluster.advance(120)
    return apps


@pytest.mark.parametrize("mode", ["suggest", "dry-run", "auto"])
def test_who_may_only_read_gets_one_reason_and_nothing_is_done(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, mode: str
) -> None:
    with EmbeddedCluster(app=None) as cluster:
        apps = _workload(cluster)
        apps.patch_namespaced_deployment_scale("web", "default", {"spec": {"replicas": 0}})
        cluster.advance(60)
        with cluster.serve(follow_wall_clock=False) as front:
            path = tmp_path / "viewer"
            path.write_text(front.kubeconfig(user="viewer"), encoding="utf-8")
            version = cluster.store.rv
            code = main(["respond", "--kubeconfig", str(path), "-n", "default", "--mode", mode, "--json"])
            assert cluster.store.rv == version, "nothing was written"
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert (code, report["state"]) == (4, "needs_human")
    assert 'User "viewer" cannot patch resource "deployments' in captured.err
    assert "Traceback" not in captured.err
    assert report["suggestion"]
    assert not report["attempts"]
    assert main(["txn", "list"]) == 0
    assert "no transactions" in capsys.readouterr().out


def test_a_rollout_under_way_is_not_called_healthy() -> None:
    from stratus import respond

    with EmbeddedCluster(app=None) as cluster:
        apps = _workload(cluster)
        probe = {"httpGet": {"path": "/", "port": 8081}}
        change = {"spec": {"template": {"spec": {"containers": [{"name": "c", "readinessProbe": probe}]}}}}
        apps.patch_namespaced_deployment("web", "default", change)
        cluster.advance(1)  # the old pods serve, and what the new ones lack has not shown yet
        report = respond(cluster=cluster, namespaces=["default"], mode="auto")
    assert report.state == "resolved"
    assert report.root_cause is not None
    assert report.root_cause.fault == "probe_failing"


def test_a_rollout_that_goes_well_is_waited_for_and_left_alone() -> None:
    from stratus import respond

    with EmbeddedCluster(app=None) as cluster:
        apps = _workload(cluster)
        change = {"spec": {"template": {"metadata": {"annotations": {"again": "yes"}}}}}
        apps.patch_namespaced_deployment("web", "default", change)
        cluster.advance(0.2)
        report = respond(cluster=cluster, namespaces=["default"], mode="auto")
    assert report.state == "healthy"
    assert not report.attempts
