"""The product as processes on real time: a served cluster, an incident in it, an interrupt in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from target import Target
from workload import FAULTS, manifests

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

STRATUS = [sys.executable, "-m", "stratus.cli.main"]
#: Fewer and closer samples than by default, so that the test is short; the way is the same.
QUICK = {
    "STRATUS_HEALTH__SAMPLES": "2",
    "STRATUS_HEALTH__SAMPLE_INTERVAL": "0.5",
    "STRATUS_HEALTH__SETTLE_MIN": "1",
    "STRATUS_HEALTH__QUIET": "1",
}


def eventually(holds: Callable[[], Any], what: str, seconds: float = 30.0) -> None:
    """Poll until a condition holds."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"after {seconds} s still not: {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A cluster served by a process of its own, with a workload in `shop`."""
    folder = tmp_path_factory.mktemp("served")
    path = folder / "kubeconfig"
    command = [*STRATUS, "cluster", "up", "--app", "none", "--kubeconfig-out", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            eventually(path.exists, "the kubeconfig is there")
            target = Target(path, folder / "cache", time.sleep)
            target.kubectl("create", "namespace", "shop")
            target.kubectl("apply", "-f", "-", stdin=manifests("shop"))
            target.kubectl("rollout", "status", "deployment/web", "-n", "shop", "--timeout=30s")
            assert server.stdout.readline().startswith("serving https://127.0.0.1:")
            assert server.stdout.readline() == f"  export KUBECONFIG={path}\n"
            yield target
        finally:
            server.send_signal(signal.SIGTERM)
            _, complaint = server.communicate(timeout=10)
        assert server.returncode == 0, complaint
        assert complaint == ""


def respond(target: Target, state: Path) -> subprocess.Popen[str]:
    """Start `stratus respond` as a user would."""
    command = [*STRATUS, "respond", "--kubeconfig", str(target.kubeconfig), "-n", "shop", "--mode", "auto", "--json"]
    return subprocess.Popen(
        [*command, "--state-dir", str(state)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **QUICK},
    )


@pytest.mark.skipif(not os.environ.get("STRATUS_LONG"), reason="half a minute: set STRATUS_LONG=1 (`make long`)")
def test_an_incident_is_interrupted_and_then_repaired(served: Target, tmp_path: Path) -> None:
    fault = next(f for f in FAULTS if f.name == "wrong-selector")
    for command in fault.commands:
        served.kubectl(*command, "-n", "shop")
    broken = served.json("get", "service", "web", "-n", "shop")["spec"]

    with respond(served, tmp_path) as first:
        assert first.stderr is not None
        for line in first.stderr:
            if ": applied" in line:
                break
        first.send_signal(signal.SIGINT)
        sent = time.monotonic()
        out, err = first.communicate(timeout=30)
    assert (first.returncode, out) == (130, "")
    assert "taken back" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert time.monotonic() - sent < 8, "an interrupt does not wait for the sleeps of the work"
    assert served.json("get", "service", "web", "-n", "shop")["spec"] == broken, "nothing is half done"

    with respond(served, tmp_path) as second:
        out, err = second.communicate(timeout=60)
    report = json.loads(out)
    assert second.returncode == 0, err
    assert report["state"] == "resolved"
    assert report["root_cause"]["object"] in {f"shop/{name}" for name in fault.objects}
    assert 0 <= report["mttr"]["total"] < 120, "both clocks are the same"
    assert "Commit" in err
    assert served.serves("shop", "web", 2)
