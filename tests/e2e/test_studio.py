"""LangGraph's own server runs an incident from its HTTP API to its end, without an account or a key."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LANGGRAPH = Path(sys.executable).with_name("langgraph")
STARTUP = 60.0
RUN = 120.0
STAGES = ("incident", "detection", "diagnosis", "mitigation")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.studio,
    pytest.mark.skipif(
        not LANGGRAPH.exists(), reason="langgraph-cli is not installed: pip install 'stratus-sre[studio]'"
    ),
]


class Server:
    """A `langgraph dev` of our own, and its HTTP API."""

    def __init__(self, url: str, state: Path) -> None:
        self.url = url
        self.state = state

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=RUN) as answer:
            return json.load(answer)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=RUN) as answer:
            return json.load(answer)

    def run(self, graph: str, given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run a graph on a thread of its own to its end; return what it answers, and the thread's state."""
        thread = self.post("/threads", {})["thread_id"]
        output = self.post(f"/threads/{thread}/runs/wait", {"assistant_id": graph, "input": given})
        assert "__error__" not in output, output
        return output, self.get(f"/threads/{thread}/state")


def a_free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Ask until the server answers; a server that has ended is not waited for."""
    deadline = time.monotonic() + STARTUP
    while time.monotonic() < deadline:
        assert process.poll() is None, f"langgraph dev ended:\n{log.read_text(errors='replace')[-3000:]}"
        try:
            with urllib.request.urlopen(url + "/ok", timeout=2) as answer:
                assert json.load(answer)["ok"]
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
    pytest.fail(f"no answer within {STARTUP:.0f} s:\n{log.read_text(errors='replace')[-3000:]}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve copies of `langgraph.json` and `graphs/`: the server leaves files in the folder where it is started."""
    home = tmp_path_factory.mktemp("studio")
    shutil.copytree(ROOT / "graphs", home / "graphs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "langgraph.json", home)
    keys = ("LANGSMITH_API_KEY", "LANGCHAIN_API_KEY", "LANGGRAPH_CLOUD_LICENSE_KEY", "OPENAI_API_KEY")
    env = {k: v for k, v in os.environ.items() if k not in keys and not k.startswith("STRATUS_")}
    env |= {"STRATUS_STATE_DIR": str(home / "state"), "LANGGRAPH_CLI_NO_ANALYTICS": "1", "LANGSMITH_TRACING": "false"}
    port = a_free_port()
    command = [str(LANGGRAPH), "dev", "--no-browser", "--no-reload", "--port", str(port)]
    log = home / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=home, env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_until_up(f"http://127.0.0.1:{port}", process, log)
        yield Server(f"http://127.0.0.1:{port}", home / "state")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(15)


def test_it_serves_the_incident_and_each_stage(server: Server) -> None:
    found = server.post("/assistants/search", {"limit": 50})
    assert {a["graph_id"] for a in found} == set(STAGES)
    assert server.get("/info")["flags"].get("langsmith") in (False, None)


def test_an_incident_ends_resolved(server: Server) -> None:
    output, state = server.run("incident", {"mode": "auto"})
    assert output["state"] == "resolved"
    report = output["report"]
    assert report["root_cause"]["object"] == "hotel-reservation/Deployment/mongodb-rate"
    assert [(a["verdict"], a["undone"]) for a in report["attempts"]] == [("REGRESSED", True), ("RESOLVED", False)]
    assert set(output) == {"state", "report"}
    assert state["next"] == []
    assert state["values"]["report"]["state"] == "resolved"
    assert state["values"]["incident"] in {a["incident"] for a in journal(server)}
    # what the server keeps is data that a client can read, not a representation of objects
    assert isinstance(state["values"]["detection"], dict)
    assert isinstance(state["values"]["timeline"][0], dict)


def test_the_scenario_of_the_form_is_taken(server: Server) -> None:
    output, _state = server.run("incident", {"mode": "auto", "scenario": "scaled-to-zero", "incident": "inc-form"})
    assert output["state"] == "resolved"
    assert output["report"]["incident"]["id"] == "inc-form"
    assert output["report"]["root_cause"]["object"] == "hotel-reservation/Deployment/recommendation"


def test_without_a_mode_nothing_is_executed(server: Server) -> None:
    before = journal(server)
    output, _state = server.run("incident", {"scenario": "scaled-to-zero"})
    assert output["state"] == "unresolved"
    assert output["report"]["suggestion"]
    assert journal(server) == before


def test_a_person_approves(server: Server) -> None:
    thread = server.post("/threads", {})["thread_id"]
    path = f"/threads/{thread}/runs/wait"
    given = {"mode": "approve", "scenario": "scaled-to-zero", "incident": "inc-approve"}
    server.post(path, {"assistant_id": "incident", "input": given})
    waiting = server.get(f"/threads/{thread}/state")
    asked = [i["value"] for t in waiting["tasks"] for i in t["interrupts"]]
    assert asked[0]["commands"]
    assert "inc-approve" not in {t["incident"] for t in journal(server)}
    output = server.post(path, {"assistant_id": "incident", "command": {"resume": "approved"}})
    assert output["state"] == "resolved"


def test_the_diagnosis_stage_ends_with_a_plan(server: Server) -> None:
    before = journal(server)
    _output, state = server.run("diagnosis", {"mode": "auto"})
    values = state["values"]
    assert values["diagnosis"]["hypotheses"][0]["fault"]
    assert values["plan"]["steps"]
    assert "mitigation" not in values or values["mitigation"] is None
    assert journal(server) == before


@pytest.mark.parametrize("mode", ["auto", "approve"])
def test_the_mitigation_stage_rehearses_and_never_executes(server: Server, mode: str) -> None:
    before = journal(server)
    _output, state = server.run("mitigation", {"mode": mode})
    assert state["values"]["mode"] == "dry-run"
    assert state["values"]["mitigation"]["commands"]
    assert not state["values"].get("transaction")
    assert state["next"] == []
    assert journal(server) == before


@pytest.mark.parametrize("graph", STAGES)
def test_the_drawing_has_names_that_a_person_understands(server: Server, graph: str) -> None:
    drawn = server.get(f"/assistants/{assistant(server, graph)}/graph?xray=true")
    names = {node["id"].split(":")[-1] for node in drawn["nodes"]}
    expected = {"Intake", "AlertMonitor", "TelemetryCollection", "AnomalyDetection"}
    if graph != "detection":
        expected |= {"LogAnalysis", "RootCauseAnalysis", "ActionPlanning"}
    if graph in ("mitigation", "incident"):
        expected |= {"NL2Kubectl", "Linting", "Execution"}
    if graph == "incident":
        expected |= {"Validation", "Commit", "Undo", "Report"}
    assert expected <= names
    assert all(name[0].isupper() or name.startswith("__") for name in names)


@pytest.mark.parametrize("graph", STAGES)
def test_the_form_asks_for_little(server: Server, graph: str) -> None:
    form = server.get(f"/assistants/{assistant(server, graph)}/schemas")["input_schema"]
    assert set(form["properties"]) == {"incident", "alerts", "namespaces", "mode", "scenario", "hint"}
    assert not form.get("required")


def assistant(server: Server, graph: str) -> str:
    return str(server.post("/assistants/search", {"graph_id": graph})[0]["assistant_id"])


def journal(server: Server) -> list[dict[str, Any]]:
    """Return all transactions that this server has made."""
    from stratus.settings import Settings
    from stratus.wiring.journals import read_journal, told

    if not (server.state / "journal.sqlite").exists():
        return []
    with read_journal(Settings(state_dir=server.state)) as opened:
        return [told(opened, name).model_dump(mode="json") for name in opened.list()]
