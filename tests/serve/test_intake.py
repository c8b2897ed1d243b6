"""Webhooks become incidents, once each; bad bodies are refused and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from stratus.errors import ClusterUnreachable
from stratus.model.alerts import Alert
from stratus.model.reports import IncidentState, IncidentSummary, Report
from stratus.serve.app import exposition, make_app
from stratus.serve.intake import Intake


def report(name: str) -> Report:
    return Report(state=IncidentState.RESOLVED, mode="auto", incident=IncidentSummary(id=name))


def alert(name: str, namespace: str, status: str = "firing") -> Alert:
    return Alert(name=name, labels={"namespace": namespace}, status=status)


class Worker:
    """Records what it is given and waits until it is let go."""

    def __init__(self, error: Exception | None = None) -> None:
        self.seen: list[tuple[str, tuple[str, ...]]] = []
        self.go = threading.Event()
        self.started = threading.Event()
        self.error = error

    def __call__(self, name: str, alerts: tuple[Alert, ...]) -> Report:
        self.started.set()
        assert self.go.wait(30)
        self.seen.append((name, tuple(a.name for a in alerts)))
        if self.error is not None:
            raise self.error
        return report(name)


def test_alerts_of_one_namespace_are_one_incident_and_repeats_join_it() -> None:
    worker = Worker()
    intake = Intake(worker)
    intake.start()
    first = intake.take((alert("A", "shop"), alert("B", "shop"), alert("C", "pay")))
    assert len(first) == 2
    again = intake.take((alert("A", "shop"),))
    assert set(again) <= set(first), "what is being worked on is not begun twice"
    worker.go.set()
    intake.stop()
    assert ("A", "B") in [names for _, names in worker.seen] or intake.incidents()[0].status == "queued"


def test_resolved_alerts_start_nothing() -> None:
    intake = Intake(Worker())
    assert intake.take((alert("A", "shop", "resolved"),)) == []
    assert intake.incidents() == []


def test_a_namespace_is_free_again_when_its_incident_has_ended() -> None:
    worker = Worker()
    worker.go.set()
    intake = Intake(worker)
    intake.start()
    (first,) = intake.take((alert("A", "shop"),))
    assert worker.started.wait(30)
    intake.stop()
    assert intake.incidents()[0].status == "ended"
    assert intake._busy == {}
    assert first == intake.incidents()[0].id


def test_a_failed_incident_is_told_and_does_not_stop_the_server() -> None:
    worker = Worker(ClusterUnreachable("the API does not answer: check the kubeconfig"))
    worker.go.set()
    intake = Intake(worker)
    intake.start()
    intake.take((alert("A", "shop"),))
    assert worker.started.wait(30)
    intake.stop()
    (ended,) = intake.incidents()
    assert (ended.status, ended.report) == ("failed", None)
    assert "does not answer" in ended.error


def test_a_full_queue_refuses_instead_of_forgetting() -> None:
    intake = Intake(Worker(), limit=1)
    intake.take((alert("A", "one"),))
    with pytest.raises(queue.Full):
        intake.take((alert("A", "two"),))
    assert [i.alerts for i in intake.incidents()] == [("A",)]


def call(intake: Intake, method: str, path: str, body: str = "") -> tuple[int, str]:
    async def go() -> tuple[int, str]:
        async with TestClient(TestServer(make_app(intake))) as client:
            answer = await client.request(method, path, data=body or None)
            return answer.status, await answer.text()

    return asyncio.run(go())


WEBHOOK: dict[str, Any] = {
    "version": "4",
    "status": "firing",
    "alerts": [
        {"status": "firing", "labels": {"alertname": "HighErrorRate", "namespace": "shop"}, "annotations": {},
         "startsAt": "2026-01-05T09:00:00Z"}
    ],
}  # fmt: skip


def test_a_webhook_is_accepted_and_listed() -> None:
    intake = Intake(Worker())
    status, text = call(intake, "POST", "/webhook", json.dumps(WEBHOOK))
    assert status == 202
    (name,) = json.loads(text)["incidents"]
    status, text = call(intake, "GET", f"/incidents/{name}")
    assert (status, json.loads(text)["alerts"]) == (200, ["HighErrorRate"])
    assert json.loads(call(intake, "GET", "/incidents")[1])[0]["status"] == "queued"


@pytest.mark.parametrize("body", ["", "{", "[1]", '"text"'])
def test_a_bad_webhook_is_400_with_one_line(body: str) -> None:
    intake = Intake(Worker())
    status, text = call(intake, "POST", "/webhook", body)
    assert status == 400
    assert json.loads(text)["error"]
    assert intake.incidents() == []


def test_unknown_incidents_are_404_and_health_answers() -> None:
    intake = Intake(Worker())
    assert call(intake, "GET", "/incidents/nope")[0] == 404
    assert call(intake, "GET", "/incidents/nope/report")[0] == 404
    assert call(intake, "GET", "/healthz")[0] == 200


def test_metrics_and_report_pages_after_an_end() -> None:
    worker = Worker()
    worker.go.set()
    intake = Intake(worker)
    intake.start()
    (name,) = intake.take((alert("A", "shop"),))
    assert worker.started.wait(30)
    intake.stop()
    assert 'stratus_reports_total{state="resolved"} 1' in exposition(intake)
    assert 'stratus_incidents{status="ended"} 1' in call(intake, "GET", "/metrics")[1]
    status, page = call(intake, "GET", f"/incidents/{name}/report")
    assert status == 200
    assert "<!doctype html>" in page
