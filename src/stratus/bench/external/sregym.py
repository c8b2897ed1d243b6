"""A client for SREGym: asks the conductor what there is, submits a diagnosis in words, repairs, and submits that."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any, Literal

from stratus.bench.external.solving import Bench, narrative
from stratus.errors import StratusError, UnreachableError
from stratus.kit.text import line
from stratus.model.base import Noun
from stratus.model.reports import Report
from stratus.settings import Settings

Stage = Literal["setup", "diagnosis", "mitigation", "tearing_down", "done"]

BUSY = 60.0
"""Seconds after which a submission is repeated while the one before is still being judged."""
POLL = 5.0
"""Seconds between two looks at the stage."""


class Application(Noun):
    """What the conductor says of the application."""

    name: str = ""
    namespace: str = ""
    namespaces: tuple[str, ...] = ()
    description: str = ""


class Conductor:
    """The conductor's HTTP API.

    Args:
        url: where it listens, such as `http://127.0.0.1:8000`.
        sleep: waits between two questions.
        patience: seconds to wait for a stage or a judgement.
    """

    def __init__(self, url: str, *, sleep: Callable[[float], None] = time.sleep, patience: float = 3600.0) -> None:
        self.url, self._sleep, self._patience = url.rstrip("/"), sleep, patience
        self._pool: Any = None

    def stage(self) -> str:
        """Return the stage: setup, diagnosis, mitigation, tearing_down or done."""
        return str(self._ask("GET", "/status")[1].get("stage", ""))

    def application(self) -> Application:
        """Return what is deployed."""
        found = self._ask("GET", "/get_app")[1]
        spaces = found.get("namespaces")
        return Application(
            name=str(found.get("app_name") or ""),
            namespace=str(found.get("namespace") or ""),
            namespaces=tuple(map(str, spaces)) if isinstance(spaces, list) else (),
            description=str(found.get("descriptions") or ""),
        )

    def wait_for(self, *stages: Stage) -> str:
        """Wait until the conductor is in one of these stages, and return it.

        Raises:
            StratusError: it takes longer than there is patience.
        """
        waited = 0.0
        while True:
            found = self.stage()
            if found in stages:
                return found
            if waited >= self._patience:
                raise StratusError(f"the conductor at {self.url} is still in stage {found!r} after {waited:.0f} s")
            self._sleep(POLL)
            waited += POLL

    def submit(self, solution: str) -> None:
        """Submit, waiting while an earlier submission is being judged.

        Raises:
            StratusError: it is not the time for a submission, or judging takes longer than there is patience.
        """
        waited = 0.0
        while True:
            status, said = self._ask("POST", "/submit", {"solution": solution}, accept=(200, 503))
            if status == 200:
                return
            if waited >= self._patience:
                raise StratusError(
                    f"the conductor at {self.url} has been judging for {waited:.0f} s: {line(str(said))}"
                )
            self._sleep(BUSY)
            waited += BUSY

    def _ask(
        self, method: str, path: str, body: Any = None, accept: tuple[int, ...] = (200,)
    ) -> tuple[int, dict[str, Any]]:
        import urllib3
        from urllib3.exceptions import HTTPError

        if self._pool is None:
            self._pool = urllib3.PoolManager(retries=False, maxsize=1)
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        timeout = urllib3.Timeout(connect=5.0, read=1800.0 if method == "POST" else 30.0)
        try:
            answer = self._pool.request(method, self.url + path, body=data, headers=headers, timeout=timeout)
        except (HTTPError, OSError) as error:
            raise UnreachableError(
                f"the conductor at {self.url} does not answer: {line(str(error))}; set API_HOSTNAME and API_PORT"
            ) from error
        try:
            said = json.loads(answer.data)
        except ValueError:
            said = {"detail": answer.data.decode("utf-8", "replace")}
        said = said if isinstance(said, dict) else {"detail": said}
        if answer.status not in accept:
            raise StratusError(f"the conductor answered {method} {path} with HTTP {answer.status}: {line(str(said))}")
        return answer.status, said

    def close(self) -> None:
        """Close the connection."""
        if self._pool is not None:
            self._pool.clear()


def work(conductor: Conductor, bench: Bench) -> list[Report]:
    """Go through the stages of one problem, as many as it has, and return the report of each.

    Raises:
        StratusError: the conductor or the cluster cannot be reached.
    """
    reports: list[Report] = []
    stage = conductor.wait_for("diagnosis", "mitigation")
    app = conductor.application()
    spaces = app.namespaces or ((app.namespace,) if app.namespace else ())
    if stage == "diagnosis":
        reports.append(bench.solve("observe", spaces))
        conductor.submit(narrative(reports[-1]))
        stage = conductor.wait_for("mitigation", "tearing_down", "done")
    if stage == "mitigation":
        reports.append(bench.solve("auto", spaces))
        conductor.submit("")
    return reports


def main() -> int:
    """Run as SREGym starts an agent: everything is in the environment.

    API_HOSTNAME and API_PORT say where the conductor is, KUBECONFIG which cluster, MCP_SERVER_URL (or MCP_SERVER_PORT)
    where metrics and alerts are asked for; AGENT_MODEL_ID, when it is `PROVIDER:MODEL`, which model thinks.
    """
    from stratus.bench.external.mcp import prometheus_over_mcp

    env = os.environ
    conductor = Conductor(f"http://{env.get('API_HOSTNAME', 'localhost')}:{env.get('API_PORT', '8000')}")
    changes: dict[str, Any] = {}
    if env.get("KUBECONFIG"):
        changes["kubeconfig"] = env["KUBECONFIG"]
    if ":" in env.get("AGENT_MODEL_ID", ""):
        changes["reasoner"] = env["AGENT_MODEL_ID"]
    if env.get("AGENT_LOGS_DIR"):
        changes["state_dir"] = env["AGENT_LOGS_DIR"]
    base = env.get("MCP_SERVER_URL") or (
        f"http://{env.get('API_HOSTNAME', 'localhost')}:{env['MCP_SERVER_PORT']}" if env.get("MCP_SERVER_PORT") else ""
    )
    telemetry = prometheus_over_mcp(f"{base.rstrip('/')}/prometheus/sse") if base else None
    try:
        work(conductor, Bench(Settings.model_validate({**Settings().model_dump(), **changes}), telemetry=telemetry))
    finally:
        conductor.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
