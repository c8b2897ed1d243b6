"""Whoever is refused by a server names it; then the server's own log is read, which says who was refused."""

from __future__ import annotations

from typing import Any

import pytest

from stratus.detection.collection import _of_pod, _refusing
from stratus.errors import ClusterError, Forbidden
from stratus.model.evidence import LogLine


def said(*texts: str) -> list[LogLine]:
    return [LogLine(at=1.0, namespace="shop", pod="front-1", container="app", text=text) for text in texts]


OBJECTS: Any = {"Service": tuple({"metadata": {"name": n, "namespace": "shop"}} for n in ("orders-db", "db", "cache"))}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("call to orders-db failed: (Unauthorized) not authorized on x", {"orders-db"}),
        ("orders-db.shop.svc:27017: Authentication failed", {"orders-db"}),
        ("FATAL: permission denied for table t at db:5432, not cache", {"db", "cache"}),
        ("NOAUTH Authentication required (cache:6379)", {"cache"}),
        ("call to orders-db failed: connection refused", set()),
        ("my-orders-db-2 says permission denied", set()),
        ("permission denied", set()),
    ],
)
def test_services_that_a_refusal_names(text: str, named: set[str]) -> None:
    assert _refusing(said(text, "all is well with db"), OBJECTS) == named


class Logs:
    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), []  # type: ignore[var-annotated]

    def logs(self, namespace: str, pod: str, **options: Any) -> str:
        self.asked.append((pod, options["container"], options["previous"]))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)


def pod(*statuses: dict[str, Any]) -> dict[str, Any]:
    names = [{"name": s["name"]} for s in statuses]
    return {
        "metadata": {"name": "db-0", "namespace": "shop"}, "spec": {"containers": names},
        "status": {"containerStatuses": list(statuses)},
    }  # fmt: skip


def test_the_logs_of_what_runs_or_ran() -> None:
    running = {"name": "db", "state": {"running": {"startedAt": "2026-01-05T09:00:00Z"}}, "restartCount": 1}
    waiting = {"name": "side", "state": {"waiting": {"reason": "ImagePullBackOff"}}, "restartCount": 0}
    reader: Any = Logs("2026-01-05T09:01:00Z now\n", "2026-01-05T08:59:00Z then\n")
    lines = _of_pod(reader, pod(running, waiting), {})
    assert [entry.text for entry in lines] == ["now", "then"]
    assert reader.asked == [("db-0", "db", False), ("db-0", "db", True)]


def test_only_a_log_that_may_not_be_read_is_missing() -> None:
    running = {"name": "db", "state": {"running": {"startedAt": "2026-01-05T09:00:00Z"}}, "restartCount": 0}
    missing: dict[str, str] = {}
    quiet: Any = Logs(ClusterError("no log", status=400))
    assert _of_pod(quiet, pod(running), missing) == []
    assert missing == {}
    barred: Any = Logs(Forbidden("not yours", status=403))
    assert _of_pod(barred, pod(running), missing) == []
    assert "not yours" in missing["container logs"]
