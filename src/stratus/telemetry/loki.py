"""Logs from Loki."""

from __future__ import annotations

import json

from stratus.model.evidence import LogLine
from stratus.telemetry.http import HttpSource

_NAMESPACE = ("namespace", "k8s_namespace_name", "kubernetes_namespace_name")
_POD = ("pod", "k8s_pod_name", "kubernetes_pod_name", "instance")
_CONTAINER = ("container", "k8s_container_name", "kubernetes_container_name", "container_name")
_SERVICE = ("service_name", "app", "app_kubernetes_io_name", "service", "k8s_deployment_name")


class LokiLogs:
    """The `Logs` port; label names are those that the Loki at hand has."""

    def __init__(self, source: HttpSource) -> None:
        self._source = source

    def tail(
        self,
        namespace: str,
        *,
        pod: str = "",
        service: str = "",
        start: float = 0.0,
        end: float = 0.0,
        limit: int = 200,
    ) -> tuple[LogLine, ...]:
        """Return the newest lines in the window (without start: of the last hour), oldest first.

        Raises:
            TelemetryUnreachable: Loki does not answer, not as one, or labels no namespaces.
        """
        labels = self._labels(start, end)
        by_namespace = _first(_NAMESPACE, labels)
        if not by_namespace:
            raise self._source.odd("/loki/api/v1/labels (no namespace label)")
        by_pod = _first(_POD, labels) or _POD[0]
        select = [f"{by_namespace}={json.dumps(namespace)}"]
        if pod:
            select.append(f"{by_pod}={json.dumps(pod)}")
        if service:
            by_service = _first(_SERVICE, labels)
            pattern = f"{service}-.+"
            select.append(f"{by_service}={json.dumps(service)}" if by_service else f"{by_pod}=~{json.dumps(pattern)}")
        query: dict[str, str] = {
            "query": "{" + ",".join(select) + "}",
            "limit": str(limit),
            "direction": "backward",
        }
        query.update(_window(start, end))
        path = "/loki/api/v1/query_range"
        answer = self._source.get(path, query)
        found: list[tuple[int, LogLine]] = []
        try:
            if answer["data"]["resultType"] != "streams":
                raise self._source.odd(path)
            for stream in answer["data"]["result"]:
                held = stream["stream"]
                for stamp, text, *_ in stream["values"]:
                    nanoseconds = int(stamp)
                    one = LogLine(
                        at=nanoseconds / 1e9,
                        namespace=namespace,
                        pod=next((held[name] for name in _POD if held.get(name)), pod),
                        container=next((held[name] for name in _CONTAINER if held.get(name)), ""),
                        text=str(text).rstrip("\n"),
                    )
                    found.append((nanoseconds, one))
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise self._source.odd(path) from problem
        found.sort(key=lambda pair: pair[0])
        return tuple(one for _, one in found[-limit:])

    def _labels(self, start: float, end: float) -> set[str]:
        path = "/loki/api/v1/labels"
        answer = self._source.get(path, _window(start, end))
        labels = answer.get("data", []) if isinstance(answer, dict) else None
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise self._source.odd(path)
        return set(labels)


def _window(start: float, end: float) -> dict[str, str]:
    """Return the window in nanoseconds; a bound of 0 is left to Loki."""
    window = {}
    if start:
        window["start"] = str(round(start * 1e9))
    if end:
        window["end"] = str(round(end * 1e9))
    return window


def _first(names: tuple[str, ...], labels: set[str]) -> str:
    return next((name for name in names if name in labels), "")
