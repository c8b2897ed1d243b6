"""Logs and events from the cluster, recorded bundles, and composing sources from settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stratus.errors import ClusterUnreachable, Forbidden, NotFound, TelemetryUnreachable, UsageError
from stratus.kit.clock import VirtualClock, iso
from stratus.model.alerts import Alert
from stratus.model.evidence import CallEdge, LogLine, SeriesPoint, ServiceSeries
from stratus.settings import Settings
from stratus.telemetry.cluster_events import ClusterEvents
from stratus.telemetry.cluster_logs import ClusterLogs
from stratus.telemetry.compose import telemetry_from_settings
from stratus.telemetry.recorded import Bundle, Recorded, TimedEdges

NOW = 1_700_000_100.0


def pod(name: str, *, restarts: int = 0, **labels: str) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {"containers": [{"name": "main"}]},
        "status": {"containerStatuses": [{"name": "main", "restartCount": restarts}]},
    }


class FakeReader:
    """A cluster reader with a few objects and logs."""

    def __init__(self) -> None:
        self.objects: dict[str, list[dict[str, Any]]] = {"v1/Pod": [], "v1/Service": [], "v1/Event": []}
        self.texts: dict[tuple[str, bool], Any] = {}
        self.asked: list[dict[str, Any]] = []
        self.fail: Exception | None = None

    def list(self, kind: str, namespace: str | None = None, **more: str) -> list[dict[str, Any]]:
        if self.fail:
            raise self.fail
        wanted = more.get("field_selector", "").removeprefix("metadata.name=")
        return [o for o in self.objects[kind] if not wanted or o["metadata"]["name"] == wanted]

    def logs(self, namespace: str, pod: str, **more: Any) -> str:
        self.asked.append({"pod": pod, **more})
        text = self.texts.get((pod, more["previous"]), "")
        if isinstance(text, Exception):
            raise text
        return str(text)


@pytest.fixture
def reader() -> FakeReader:
    made = FakeReader()
    made.objects["v1/Pod"] = [pod("cart-1", app="cart"), pod("cart-2", restarts=3, app="cart"), pod("web-1", tier="x")]
    made.texts = {
        ("cart-1", False): f"{iso(NOW - 50)[:-1]}.123456789Z one\n{iso(NOW - 20)} three\n",
        ("cart-2", True): f"{iso(NOW - 40)} panic\n",
        ("cart-2", False): f"{iso(NOW - 30)} two\nwithout a time\n",
        ("web-1", False): f"{iso(NOW - 10)} web\n",
    }
    return made


def texts(lines: tuple[LogLine, ...]) -> list[str]:
    return [line.text for line in lines]


def test_container_logs_are_merged_by_time_with_the_run_before_a_restart(reader: FakeReader) -> None:
    logs = ClusterLogs(reader, VirtualClock(NOW))
    found = logs.tail("shop", service="cart", start=NOW - 60)
    assert texts(found) == ["one", "panic", "two", "three"]
    assert (found[0].at, found[0].pod, found[0].container) == (NOW - 50 + 0.123456, "cart-1", "main")
    assert texts(logs.tail("shop", service="cart", start=NOW - 60, limit=2)) == ["two", "three"]
    assert texts(logs.tail("shop", service="cart", start=NOW - 45, end=NOW - 25)) == ["panic", "two"]
    assert texts(logs.tail("shop", pod="web-1")) == ["web"]
    assert {q["since_seconds"] for q in reader.asked if q["pod"] == "cart-1"} >= {61}


def test_a_service_finds_its_pods_by_selector_then_label_then_name(reader: FakeReader) -> None:
    logs = ClusterLogs(reader, VirtualClock(NOW))
    assert texts(logs.tail("shop", service="web")) == ["web"]
    reader.objects["v1/Service"] = [{"metadata": {"name": "front"}, "spec": {"selector": {"tier": "x"}}}]
    assert texts(logs.tail("shop", service="front")) == ["web"]
    assert logs.tail("shop", service="nobody") == ()


def test_pods_that_vanish_are_passed_over_and_refusals_told(reader: FakeReader) -> None:
    logs = ClusterLogs(reader, VirtualClock(NOW))
    reader.texts["cart-1", False] = NotFound("gone")
    assert texts(logs.tail("shop", service="cart", start=NOW - 60)) == ["panic", "two"]
    reader.texts["cart-1", False] = Forbidden("pods/log is forbidden")
    with pytest.raises(TelemetryUnreachable, match="pods/log is forbidden"):
        logs.tail("shop", service="cart")
    reader.fail = ClusterUnreachable("no route")
    for source in (logs, ClusterEvents(reader)):
        with pytest.raises(TelemetryUnreachable, match="no route"):
            source.tail("shop")


def test_few_pods_are_read_and_those_that_restarted_first(reader: FakeReader) -> None:
    ClusterLogs(reader, VirtualClock(NOW), pods=1).tail("shop")
    assert {q["pod"] for q in reader.asked} == {"cart-2"}


def test_events_as_lines(reader: FakeReader) -> None:
    def event(name: str, at: float, count: int = 1) -> dict[str, Any]:
        about = {"kind": "Pod", "namespace": "shop", "name": name}
        return {
            "metadata": {"name": f"e{at}"}, "involvedObject": about, "reason": "BackOff", "message": "Back-off",
            "type": "Warning", "lastTimestamp": iso(at), "count": count,
        }  # fmt: skip

    reader.objects["v1/Event"] = [event("cart-1", NOW - 5, 4), event("cart-2", NOW - 50), event("web-1", NOW - 9)]
    events = ClusterEvents(reader)
    found = events.tail("shop", service="cart")
    assert texts(found) == ["Warning BackOff: Back-off", "Warning BackOff: Back-off (x4)"]
    assert (found[0].pod, found[0].container) == ("cart-2", "Pod")
    assert texts(events.tail("shop", pod="cart-2", start=NOW - 20)) == []
    assert len(events.tail("shop", end=NOW - 8)) == 2


def series(space: str) -> ServiceSeries:
    return ServiceSeries(
        namespace=space, service="cart", points=tuple(SeriesPoint(at=t, rate=t) for t in (1.0, 2.0, 3.0))
    )


BUNDLE = Bundle(
    series=(series("shop"), series("other")),
    logs=(LogLine(at=2, namespace="shop", pod="cart-1", container="c", text="b"),
          LogLine(at=1, namespace="shop", pod="cart-1", container="c", text="a")),
    alerts=(Alert(name="A", labels={"namespace": "shop"}), Alert(name="B", status="resolved")),
    traces=(TimedEdges(start=0, end=10, edges=(CallEdge(caller="", callee="old"),)),
            TimedEdges(start=10, end=20, edges=(CallEdge(caller="", callee="new"),))),
)  # fmt: skip


def test_recorded_telemetry_comes_back_from_json(tmp_path: Path) -> None:
    path = tmp_path / "bundle.json"
    path.write_text(BUNDLE.model_dump_json())
    recorded = Recorded(Bundle.load(path))
    (found,) = recorded.service_series(("shop",), 2.0, 9.0, 1.0)
    assert [p.at for p in found.points] == [2.0, 3.0]
    assert texts(recorded.tail("shop", service="cart")) == ["a", "b"]
    assert texts(recorded.tail("shop", pod="cart-1", limit=1)) == ["b"]
    assert [a.name for a in recorded.firing()] == ["A"]
    assert [e.callee for e in recorded.edges((), 8.0, 19.0)] == ["new"]
    assert recorded.edges((), 50.0, 60.0) == ()
    assert recorded.usage((), 0.0) == ()
    telemetry = recorded.telemetry("tape")
    assert telemetry.names == {"metrics": "tape", "logs": "tape", "traces": "tape", "alerts": "tape"}


def test_a_source_that_a_bundle_lacks_does_not_answer() -> None:
    empty = Recorded(Bundle())
    for question in (
        lambda: empty.service_series((), 0, 1, 1), lambda: empty.tail("x"), lambda: empty.edges((), 0, 1), empty.firing,
    ):  # fmt: skip
        with pytest.raises(TelemetryUnreachable):
            question()
    assert empty.telemetry().metrics is None


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"series": 1}), json.dumps({"bogus": 1})])
def test_bundles_that_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "b.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"b\.json"):
        Bundle.load(path)
    with pytest.raises(UsageError, match="cannot be read"):
        Bundle.load(tmp_path / "none.json")


def test_settings_name_the_sources(reader: FakeReader) -> None:
    bare = telemetry_from_settings(Settings(), reader)
    assert (bare.metrics, bare.traces, bare.alerts) == (None, None, None)
    assert bare.names == {"logs": "container logs of the cluster"}
    full = telemetry_from_settings(
        Settings(prometheus="prom:9090", alertmanager="http://am:9093/", jaeger="http://j:16686", loki="http://l:3100"),
        reader,
    )
    assert full.names == {
        "metrics": "Prometheus http://prom:9090",
        "alerts": "Alertmanager http://am:9093",
        "traces": "Jaeger http://j:16686",
        "logs": "Loki http://l:3100",
    }
    only = telemetry_from_settings(Settings(prometheus="prom:9090"), reader)
    assert only.names["alerts"] == "Prometheus http://prom:9090"
    with pytest.raises(UsageError, match="Jaeger"):
        telemetry_from_settings(Settings(jaeger="ftp://x"), reader)
