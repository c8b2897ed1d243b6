"""Starts a real Prometheus (and Alertmanager) for tests, over series that are written for it beforehand."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3

PROGRAMS = ("prometheus", "promtool")


def needed(*programs: str) -> None:
    """Skip where a program is missing; under CI that is a failure."""
    missing = [p for p in programs if not shutil.which(p)]
    if missing:
        text = f"no {', '.join(missing)} here; install the Debian packages prometheus and prometheus-alertmanager"
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def backfill(folder: Path, text: str) -> None:
    """Write OpenMetrics text with timestamps into `folder/data` as blocks."""
    (folder / "series.txt").write_text(text)
    done = subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "series.txt", "data"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def started(arguments: list[str], folder: Path, url: str, ready: str = "/-/ready") -> Iterator[None]:
    """Run a program until it says that it is ready."""
    log = (folder / f"{Path(arguments[0]).name}.log").open("wb")
    process = subprocess.Popen(arguments, cwd=folder, stdout=log, stderr=log)
    try:
        again = urllib3.Retry(total=200, backoff_factor=0.05, backoff_max=0.3, status_forcelist=[503])
        with urllib3.PoolManager(retries=again) as pool:
            assert pool.request("GET", f"{url}{ready}").status == 200
        yield
    finally:
        process.terminate()
        process.wait(30)
        log.close()


@contextlib.contextmanager
def prometheus(folder: Path, config: str = "global: {evaluation_interval: 1m}\n") -> Iterator[str]:
    """Run Prometheus over what was backfilled; gives its URL."""
    (folder / "prometheus.yml").write_text(config)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = [
        "prometheus",
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
        # Where Alertmanager is becomes known seconds after the first alerts; they are told again at once.
        "--rules.alert.resend-delay=1s",
    ]
    with started(arguments, folder, url):
        yield url


class Asked:
    """A client of a Prometheus API."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.pool = urllib3.PoolManager()

    def get(self, path: str, **query: Any) -> Any:
        answer = self.pool.request("GET", f"{self.url}{path}?{urlencode(query, doseq=True)}", retries=False)
        return json.loads(answer.data)

    def close(self) -> None:
        self.pool.clear()


def rows_of(answer: Mapping[str, Any]) -> dict[tuple[tuple[str, str], ...], list[tuple[float, float]]]:
    """Return a result as {labels: [(moment, value)]}."""
    data = answer["data"]
    if data["resultType"] in ("scalar", "string"):
        at, value = data["result"]
        return {(): [(float(at), float(value))]}
    return {
        tuple(sorted(row["metric"].items())): [
            (float(at), float(v)) for at, v in (row["values"] if "values" in row else [row["value"]])
        ]
        for row in data["result"]
    }


def families(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n# EOF\n"
