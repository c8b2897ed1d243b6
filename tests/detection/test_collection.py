"""Collection: a part that fails costs only itself and is named; secrets stay in the cluster."""

from __future__ import annotations

import pytest
from builders import NOW, Obj, app, edge, node, service

from stratus.detection.collection import collect, parse_log, slimmed
from stratus.errors import ClusterUnreachable, Forbidden, TelemetryUnreachable, UnknownNameError
from stratus.model.base import Json
from stratus.model.evidence import CallEdge, LogLine, ServiceSeries, Usage
from stratus.model.refs import ApiResource
from stratus.telemetry.base import Telemetry


class Reader:
    """A cluster of given objects, some kinds of which fail."""

    def __init__(self, *objects: Obj, failing: dict[str, Exception] | None = None, down: bool = False) -> None:
        self.objects = objects
        self.failing = failing or {}
        self.down = down
        self.asked: list[tuple[str, str | None]] = []
        self.read: list[tuple[str, bool]] = []
        self.served: tuple[ApiResource, ...] = ()

    def list(self, kind: str, namespace: str | None = None, **_: str) -> list[Json]:
        self.asked.append((kind, namespace))
        if self.down:
            raise ClusterUnreachable("no route")
        if kind in self.failing:
            raise self.failing[kind]
        kinds = {kind} | {r.kind for r in self.served if r.full_name == kind}
        return [
            o for o in self.objects if o["kind"] in kinds and namespace in (None, o["metadata"].get("namespace", ""))
        ]

    def resources(self) -> tuple[ApiResource, ...]:
        if "discovery" in self.failing:
            raise self.failing["discovery"]
        return self.served

    def logs(self, namespace: str, pod: str, *, previous: bool = False, **_: object) -> str:
        self.read.append((pod, previous))
        return "2026-03-01T11:59:00.123456789Z ERROR first\ncontinued\n"


class Figures:
    """A metrics, trace and log source that answers, or does not."""

    def __init__(self, *, down: bool = False) -> None:
        self.down = down
        self.tailed: list[str] = []

    def service_series(self, namespaces: object, start: float, end: float, step: float) -> tuple[ServiceSeries, ...]:
        if self.down:
            raise TelemetryUnreachable("prometheus does not answer: token=abc123secret")
        assert (start, end, step) == (NOW - 900, NOW, 15)
        return ()

    def usage(self, namespaces: object, at: float) -> tuple[Usage, ...]:
        return ()

    def edges(self, namespaces: object, start: float, end: float) -> tuple[CallEdge, ...]:
        return (edge("front", "web", errors=5),) if end == NOW else (edge("front", "web"),)

    def tail(self, namespace: str, *, service: str = "", **_: object) -> tuple[LogLine, ...]:
        self.tailed.append(service)
        return (LogLine(at=NOW - 5, namespace=namespace, pod="web-1-0", container="app", text="ERROR from the store"),)


def look(reader: Reader, telemetry: Telemetry | None = None, namespaces: tuple[str, ...] = ("shop",)):  # type: ignore[no-untyped-def]
    return collect(reader, telemetry or Telemetry(), namespaces, now=NOW, window=300, step=15, baseline=600,  # type: ignore[arg-type]
                   protected=("kube-system",))  # fmt: skip


def served(kind: str, plural: str, group: str, *verbs: str) -> ApiResource:
    return ApiResource(api_version=f"{group}/v1alpha1", kind=kind, plural=plural, verbs=verbs or ("get", "list"))


def test_experiments_are_looked_for_where_they_are_served_and_in_all_namespaces() -> None:
    slow = {"apiVersion": "chaos-mesh.org/v1alpha1", "kind": "NetworkChaos",
            "metadata": {"name": "slow", "namespace": "experiments"}}  # fmt: skip
    reader = Reader(*app("web"), slow)
    assert look(reader).of("NetworkChaos") == []
    reader.served = (
        served("NetworkChaos", "networkchaos", "chaos-mesh.org"),
        served("Write", "writes", "chaos-mesh.org", "create"),
        served("Widget", "widgets", "example.com"),
    )
    seen = look(reader)
    assert [o["metadata"]["name"] for o in seen.of("NetworkChaos")] == ["slow"]
    assert ("networkchaos.chaos-mesh.org", None) in reader.asked
    assert not {kind for kind, _ in reader.asked} & {"Write", "writes.chaos-mesh.org", "Widget", "widgets.example.com"}


def test_without_discovery_no_experiments_are_looked_for() -> None:
    reader = Reader(*app("web"), failing={"discovery": ClusterUnreachable("no route")})
    assert len(look(reader).of("Deployment")) == 1


def test_objects_are_read_by_namespace_and_nodes_once() -> None:
    reader = Reader(*app("web"), node())
    seen = look(reader)
    assert {("Pod", "shop"), ("Node", None)} <= set(reader.asked)
    assert len(seen.of("Deployment")) == 1
    assert len(seen.of("Node")) == 1


def test_no_namespace_means_all_but_the_protected() -> None:
    system = service("dns")
    system["metadata"]["namespace"] = "kube-system"
    seen = look(Reader(*app("web"), system), namespaces=())
    assert seen.namespaces == ("shop",)
    assert seen.find("Service", "kube-system", "dns") is None


def test_a_kind_that_may_not_be_read_or_does_not_exist_is_missing() -> None:
    failing: dict[str, Exception] = {
        "Secret": Forbidden("secrets is forbidden", status=403),
        "HorizontalPodAutoscaler": UnknownNameError("no such resource"),
    }
    seen = look(Reader(*app("web"), failing=failing))
    assert "forbidden" in seen.missing["Secret"]
    assert "does not serve" in seen.missing["HorizontalPodAutoscaler"]
    assert seen.of("Pod")


def test_a_cluster_that_does_not_answer_at_all_is_an_error() -> None:
    with pytest.raises(ClusterUnreachable):
        look(Reader(down=True))


def test_one_listing_that_breaks_off_is_only_missing() -> None:
    seen = look(Reader(*app("web"), failing={"Event": ClusterUnreachable("connection reset")}))
    assert "reset" in seen.missing["Event"]
    assert seen.of("Pod")


def test_telemetry_that_fails_is_missing_and_redacted() -> None:
    seen = look(Reader(*app("web")), Telemetry(metrics=Figures(down=True)))
    assert "does not answer" in seen.missing["metrics"]
    assert "abc123secret" not in seen.missing["metrics"]
    assert seen.missing["traces"] == "no trace source is configured"


def test_window_and_baseline_are_asked_for_apart() -> None:
    figures = Figures()
    seen = look(Reader(*app("web")), Telemetry(metrics=figures, traces=figures, logs=figures))
    assert seen.edges[0].errors == 5
    assert seen.baseline_edges[0].errors == 0
    assert set(figures.tailed) == {"front", "web"}
    assert any(entry.text == "ERROR from the store" for entry in seen.logs)


def test_with_no_telemetry_logs_of_every_workload_are_read_once() -> None:
    reader = Reader(*app("web"), *app("api"))
    seen = look(reader)
    assert sorted(pod for pod, _ in reader.read) == ["api-1-0", "web-1-0"]
    assert {e.text for e in seen.logs} == {"ERROR first", "continued"}


def test_log_lines_without_a_time_belong_to_the_line_before() -> None:
    first, second = parse_log("2026-03-01T11:59:00.123456789Z a b\n  at x.y\n", "n", "p", "c")
    assert first.text == "a b"
    assert first.at == pytest.approx(NOW - 60 + 0.123456)
    assert second.at == first.at


def test_secrets_lose_their_values_even_in_annotations() -> None:
    secret = {
        "kind": "Secret", "data": {"a": "c2VjcmV0"}, "stringData": {"b": "x"},
        "metadata": {"name": "s", "managedFields": [1], "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": '{"data":{"a":"c2VjcmV0"}}', "team": "a"}},
    }  # fmt: skip
    slim = slimmed(secret)
    assert slim["data"] == {"a": ""}
    assert "c2VjcmV0" not in str(slim)
    assert slim["metadata"]["annotations"] == {"team": "a"}
    assert secret["data"] == {"a": "c2VjcmV0"}
