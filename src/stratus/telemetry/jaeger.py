"""The call graph from Jaeger's query API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stratus.model.base import Json
from stratus.model.evidence import CallEdge
from stratus.telemetry.http import HttpSource
from stratus.telemetry.spans import Span, edges_of

_NAMESPACE = ("k8s.namespace.name", "service.namespace", "kubernetes.namespace", "namespace")
_PEER = ("peer.service", "db.system", "messaging.system", "server.address", "net.peer.name", "rpc.service")
_MESSAGE = ("otel.status_description", "error.message", "exception.message", "grpc.error_message", "message", "event")


class JaegerTraces:
    """The `Traces` port.

    Attributes:
        limit: traces taken of each service.
    """

    def __init__(self, source: HttpSource, *, limit: int = 200) -> None:
        self._source = source
        self.limit = limit

    def edges(self, namespaces: tuple[str, ...], start: float, end: float) -> tuple[CallEdge, ...]:
        """Return aggregated calls between services in the window; the entry's caller is empty.

        Raises:
            TelemetryUnreachable: Jaeger does not answer, or not as one.
        """
        traces: dict[str, list[Span]] = {}
        for service in self._services():
            query = {
                "service": service,
                "start": str(round(start * 1e6)),
                "end": str(round(end * 1e6)),
                "limit": str(self.limit),
            }
            path = "/api/traces"
            try:
                for trace in _data(self._source.get(path, query)):
                    traces.setdefault(trace["traceID"], _spans(trace, namespaces))
            except (KeyError, TypeError, ValueError, AttributeError) as problem:
                raise self._source.odd(path) from problem
        return edges_of(traces.values(), namespaces)

    def _services(self) -> list[str]:
        path = "/api/services"
        try:
            names = [str(name) for name in _data(self._source.get(path))]
        except (TypeError, AttributeError) as problem:
            raise self._source.odd(path) from problem
        return sorted(n for n in names if not n.startswith("jaeger"))


def _data(answer: Any) -> list[Any]:
    found = answer["data"] if isinstance(answer, dict) and "data" in answer else 0
    if found is None:
        return []  # Jaeger's way of saying none
    if not isinstance(found, list):
        raise TypeError("no data")
    return found


def _spans(trace: Json, namespaces: tuple[str, ...]) -> list[Span]:
    return [_span(row, trace["processes"][row["processID"]], namespaces) for row in trace["spans"]]


def _span(row: Json, process: Json, namespaces: tuple[str, ...]) -> Span:
    tags = _tags(row.get("tags"))
    service, namespace = _place(process, namespaces)
    failed = _failed(tags)
    return Span(
        id=row["spanID"],
        parent=_parent(row),
        service=service,
        namespace=namespace,
        operation=row.get("operationName") or "",
        start=row["startTime"] / 1e6,
        duration=row["duration"] / 1e6,
        kind=str(tags.get("span.kind", "")),
        failed=failed,
        message=_message(row, tags) if failed else "",
        peer=_peer(tags),
    )


def _place(process: Json, namespaces: tuple[str, ...]) -> tuple[str, str]:
    """Return service and namespace; meshes call a service `name.namespace`."""
    tags = _tags(process.get("tags"))
    name = str(process["serviceName"])
    namespace = next((str(tags[key]) for key in _NAMESPACE if tags.get(key)), "")
    head, _, tail = name.rpartition(".")
    if head and tail in (namespace, *namespaces):
        return head, tail
    return name, namespace


def _peer(tags: Mapping[str, Any]) -> str:
    """Return the service an exit says it calls: an explicit name, else the host without its domain."""
    for key in _PEER:
        value = str(tags.get(key) or "")
        if value:
            host = value.partition(":")[0]
            return value if key == "peer.service" or host.replace(".", "").isdigit() else host.partition(".")[0]
    return ""


def _parent(row: Json) -> str:
    references = row.get("references") or ()
    chosen = [r for r in references if r.get("refType") == "CHILD_OF"] or list(references)
    same = [r for r in chosen if r.get("traceID") in (None, row.get("traceID"))]
    return str(same[0]["spanID"]) if same else str(row.get("parentSpanID") or "")


def _tags(rows: Any) -> dict[str, Any]:
    return {row["key"]: row.get("value") for row in rows or ()}


def _failed(tags: Mapping[str, Any]) -> bool:
    if str(tags.get("error", "")).lower() == "true" or str(tags.get("otel.status_code", "")).upper() == "ERROR":
        return True
    code = str(tags.get("http.status_code") or tags.get("http.response.status_code") or "")
    return code.isdigit() and int(code) >= 500


def _message(row: Json, tags: Mapping[str, Any]) -> str:
    told = [tags, *(_tags(entry.get("fields")) for entry in row.get("logs") or ())]
    for key in _MESSAGE:
        for fields in told:
            value = fields.get(key)
            if value and str(value).lower() not in ("exception", "error"):
                return " ".join(str(value).split())[:300]
    code = tags.get("http.status_code") or tags.get("http.response.status_code")
    return f"HTTP {code}" if code else ""
