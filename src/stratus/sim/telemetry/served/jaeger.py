"""The query API of Jaeger: services, operations, traces, dependencies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from stratus.sim.telemetry.observatory import Observatory
from stratus.sim.telemetry.promql.lexer import PromQLError, seconds_of
from stratus.sim.telemetry.served.requests import Asked, BadRequest, Reply, told
from stratus.sim.telemetry.served.traces import Played, Trace, moment_of, traces_of

#: Traces looked through for one search at most.
MOST = 6000
_SYSTEMS = {"mongodb": "mongodb", "memcached": "memcached", "redis": "redis", "postgresql": "postgresql"}


class JaegerApi:
    """Answers under `/api/services`, `/api/operations`, `/api/traces` and `/api/dependencies`."""

    def __init__(self, observatory: Observatory) -> None:
        self._seen = observatory

    def answer(self, asked: Asked) -> Reply | None:
        """Return the answer, None for a path of others."""
        parts = asked.path.strip("/").split("/")
        if parts[0] != "api" or len(parts) < 2:
            return None
        try:
            return self._api(asked, parts[1:])
        except BadRequest as error:
            return _told(None, [{"code": error.status, "msg": str(error)}], error.status)

    def _api(self, asked: Asked, parts: list[str]) -> Reply | None:
        if parts == ["services"]:
            return _told(sorted(self._operations()))
        if parts[0] == "services" and len(parts) == 3 and parts[2] == "operations":
            return _told(sorted({name for name, _ in self._operations().get(parts[1], ())}))
        if parts == ["operations"]:
            wanted = asked.one("spanKind")
            found = sorted(self._operations().get(asked.one("service"), ()))
            return _told([{"name": n, "spanKind": k} for n, k in found if not wanted or k == wanted])
        if parts == ["traces"]:
            return _told(self._search(asked))
        if parts[0] == "traces" and len(parts) == 2:
            return self._one(parts[1])
        if parts == ["dependencies"]:
            return _told(self._dependencies(asked))
        return None

    def _operations(self) -> dict[str, set[tuple[str, str]]]:
        found: dict[str, set[tuple[str, str]]] = {}
        for tick in self._seen.history.between(-1.0, self._seen.now()):
            for _, service, operation in tick.spans:
                found.setdefault(service, set()).add((operation, "server"))
            for _, caller, _, _, operation, protocol in tick.links:
                if caller:
                    kind = "producer" if protocol == "kafka" else "client"
                    found.setdefault(caller, set()).add((operation, kind))
        return found

    def _dependencies(self, asked: Asked) -> list[dict[str, Any]]:
        end = asked.whole("endTs", round(self._seen.now() * 1000)) / 1000.0
        start = end - asked.whole("lookback", 3_600_000) / 1000.0
        calls: dict[tuple[str, str], float] = {}
        for tick in self._seen.history.between(start, end):
            for (_, caller, callee, _), edge in tick.edges.items():
                if caller:
                    calls[caller, callee] = calls.get((caller, callee), 0.0) + edge.calls * tick.seconds
        return [
            {"parent": caller, "child": callee, "callCount": round(count)}
            for (caller, callee), count in sorted(calls.items())
            if round(count)
        ]

    def _search(self, asked: Asked) -> list[dict[str, Any]]:
        if asked.many("traceID"):
            found = [self._find(name) for name in asked.many("traceID")]
            return [_trace(one) for one in found if one is not None]
        service = asked.one("service")
        if not service:
            raise BadRequest("parameter 'service' is required")
        limit = asked.whole("limit", 20)
        chosen = []
        for trace in self._traces(asked):
            if service in trace.services and self._fits(trace, asked, service):
                chosen.append(_trace(trace))
                if len(chosen) >= limit:
                    break
        return chosen

    def _traces(self, asked: Asked) -> Iterator[Trace]:
        """Return traces, the newest first."""
        end = asked.whole("end", round(self._seen.now() * 1e6)) / 1e6
        start = asked.whole("start", round((end - 3600.0) * 1e6)) / 1e6
        looked = 0
        for tick in reversed(self._seen.history.between(start, min(end, self._seen.now()) + 5.0)):
            for trace in reversed(list(traces_of(tick))):
                looked += 1
                if looked > MOST:
                    return
                if start <= trace.start <= end:
                    yield trace

    def _fits(self, trace: Trace, asked: Asked, service: str) -> bool:
        mine = [s for s in trace.spans if s.service == service]
        operation = asked.one("operation")
        if operation and operation != "all":
            mine = [s for s in mine if s.operation == operation]
        tags = _tags_of(asked)
        if tags:
            mine = [s for s in mine if all(tags[k] == _text(v) for k, v in _tags(s).items() if k in tags)
                    and set(tags) <= set(_tags(s))]  # fmt: skip
        least, most = _duration(asked, "minDuration", 0.0), _duration(asked, "maxDuration", 1e12)
        return any(least <= s.duration <= most for s in mine)

    def _one(self, name: str) -> Reply:
        found = self._find(name)
        if found is None:
            raise BadRequest("trace not found", 404)
        return _told([_trace(found)])

    def _find(self, name: str) -> Trace | None:
        at = moment_of(name)
        ticks = self._seen.history.between(at - 1.0, at + 1.0) if at is not None else ()
        return next((t for tick in ticks for t in traces_of(tick) if t.id == name.lower()), None)


def _told(data: Any, errors: Any = None, status: int = 200) -> Reply:
    count = len(data) if isinstance(data, list) else 0
    return told({"data": data, "total": count, "limit": 0, "offset": 0, "errors": errors}, status)


def _tags_of(asked: Asked) -> dict[str, str]:
    raw = asked.one("tags")
    if not raw:
        return dict(t.split(":", 1) for t in asked.many("tag") if ":" in t)
    try:
        found = json.loads(raw)
        return {str(k): _text(v) for k, v in found.items()}
    except (ValueError, AttributeError):
        raise BadRequest("malformed 'tags' parameter, expecting a JSON object of strings") from None


def _duration(asked: Asked, name: str, default: float) -> float:
    raw = asked.one(name)
    if not raw:
        return default
    if raw.endswith("us") and raw[:-2].replace(".", "", 1).isdigit():
        return float(raw[:-2]) / 1e6
    try:
        return seconds_of(raw)
    except PromQLError:
        raise BadRequest(f"cannot parse {name}: {raw!r} is not a duration such as 100ms") from None


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _tags(span: Played) -> dict[str, Any]:
    tags: dict[str, Any] = {"span.kind": span.kind}
    if span.protocol == "grpc":
        tags |= {"rpc.system": "grpc", "rpc.method": span.operation}
    elif span.protocol == "http":
        tags |= {"http.method": "GET", "http.status_code": 500 if span.failed else 200}
    elif span.protocol in _SYSTEMS:
        tags |= {"db.system": _SYSTEMS[span.protocol], "db.operation": span.operation}
    elif span.protocol == "kafka":
        tags |= {"messaging.system": "kafka"}
    if span.peer:
        tags["peer.service"] = span.peer
    if span.failed:
        tags |= {"error": True, "otel.status_code": "ERROR", "otel.status_description": span.message}
    return tags


def _trace(trace: Trace) -> dict[str, Any]:
    processes: dict[tuple[str, str], str] = {}
    spans = []
    for span in trace.spans:
        owner = processes.setdefault((span.service, span.namespace), f"p{len(processes) + 1}")
        references = [{"refType": "CHILD_OF", "traceID": trace.id, "spanID": span.parent}] if span.parent else []
        start = round(span.start * 1e6)
        logs = []
        if span.failed and span.message:
            fields = [_tag("event", "error"), _tag("message", span.message)]
            logs.append({"timestamp": start + round(span.duration * 1e6), "fields": fields})
        spans.append(
            {
                "traceID": trace.id,
                "spanID": span.id,
                "flags": 1,
                "operationName": span.operation,
                "references": references,
                "startTime": start,
                "duration": max(round(span.duration * 1e6), 1),
                "tags": [_tag(k, v) for k, v in _tags(span).items()],
                "logs": logs,
                "processID": owner,
                "warnings": None,
            }
        )
    named = {
        name: {
            "serviceName": service,
            "tags": [_tag("service.namespace", namespace), _tag("k8s.namespace.name", namespace)],
        }
        for (service, namespace), name in processes.items()
    }
    return {"traceID": trace.id, "spans": spans, "processes": named, "warnings": None}


def _tag(key: str, value: Any) -> dict[str, Any]:
    kind = "bool" if isinstance(value, bool) else "int64" if isinstance(value, int) else "string"
    return {"key": key, "type": kind, "value": value}
