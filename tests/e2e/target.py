"""A cluster under test: the embedded one over HTTPS on virtual time, or any real one by its kubeconfig."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KUBECONFIG = os.environ.get("STRATUS_E2E_KUBECONFIG", "")


class Target:
    """What the tests ask of a cluster.

    Attributes:
        kubeconfig: file through which everything reaches it.
        wait: lets time pass there.
        clock: its clock when its time is virtual, else None.
    """

    def __init__(self, kubeconfig: Path, cache: Path, wait: Callable[[float], None], clock: Any = None) -> None:
        self.kubeconfig = kubeconfig
        self.cache = cache
        self.wait = wait
        self.clock = clock

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        """Run the real kubectl and return what it printed."""
        beside = Path(sys.executable).parent / "kubectl"
        program = str(beside) if beside.exists() else shutil.which("kubectl") or "kubectl"
        done = subprocess.run(
            [program, f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.cache}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """Run `kubectl get ... -o json`."""
        return json.loads(self.kubectl(*arguments, "-o", "json"))

    def until(self, holds: Callable[[], bool], what: str, seconds: float = 180) -> None:
        """Wait until a condition holds."""
        for _ in range(int(seconds // 2)):
            if holds():
                return
            self.wait(2.0)
        raise AssertionError(f"after {seconds} s still not: {what}")

    def serves(self, namespace: str, name: str, replicas: int) -> bool:
        """Whether a Deployment is rolled out and its Service has as many ready endpoints on a port that answers."""
        deployment = self.json("get", "deployment", name, "-n", namespace)
        status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
        settled = (
            wanted == replicas
            and status.get("observedGeneration") == deployment["metadata"]["generation"]
            and status.get("updatedReplicas", 0) == replicas
            and status.get("replicas", 0) == replicas
            and status.get("availableReplicas", 0) == replicas
        )
        slices = self.json("get", "endpointslices", "-n", namespace, "-l", f"kubernetes.io/service-name={name}")
        ready = [
            address
            for piece in slices["items"]
            if any(p.get("port") == 80 for p in piece.get("ports") or [])
            for endpoint in piece.get("endpoints") or []
            if endpoint.get("conditions", {}).get("ready")
            for address in endpoint["addresses"]
        ]
        return settled and len(ready) == replicas


@contextmanager
def real_target(folder: Path) -> Iterator[Target]:
    """The cluster that STRATUS_E2E_KUBECONFIG names."""
    yield Target(Path(KUBECONFIG), folder / "cache", time.sleep)


@contextmanager
def embedded_target(folder: Path) -> Iterator[Target]:
    """An empty embedded cluster over HTTPS; its time moves only when somebody waits."""
    from stratus.sim.cluster import EmbeddedCluster
    from stratus.wiring.sources import EmbeddedClock

    cluster = EmbeddedCluster(app=None, seed=11)
    try:
        with cluster.serve(follow_wall_clock=False) as front:
            path = folder / "kubeconfig"
            path.write_text(front.kubeconfig(), encoding="utf-8")
            yield Target(path, folder / "cache", cluster.advance, EmbeddedClock(cluster))
    finally:
        cluster.close()
