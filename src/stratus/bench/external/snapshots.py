"""ITBench's offline mode: folders of a recorded incident in, a diagnosis out; no cluster anywhere."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stratus.detection.alerts import merge_alerts, parse_alerts
from stratus.detection.anomaly import detect
from stratus.detection.changes import change_records
from stratus.detection.collection import slimmed
from stratus.diagnosis.base import Reasoner
from stratus.errors import AlertError, UsageError
from stratus.kit.clock import parse_iso
from stratus.model.alerts import Alert
from stratus.model.base import Json
from stratus.model.cases import Case
from stratus.model.diagnosis import Detection, Diagnosis
from stratus.model.evidence import CallEdge, LogLine, Observation
from stratus.settings import HealthSettings
from stratus.telemetry.spans import Span, edges_of

_LARGE = 64 * 1024 * 1024
_SPARE_LOGS = 20_000
"""Log lines kept at most, the newest."""


def diagnose(folders: tuple[Path, ...], reasoner: Reasoner | None = None) -> tuple[Detection, Diagnosis]:
    """Find the cause of a recorded incident.

    Args:
        folders: snapshot directories: `k8s_objects*.tsv`, `k8s_events*.tsv`, `otel_traces*.tsv`, `*logs*.tsv` and
            `alerts/*.json`, whichever there are; `ground_truth.yaml` is never opened.
        reasoner: who thinks; None: rules.

    Raises:
        UsageError: there is nothing to look at.
    """
    from stratus.diagnosis.logs import mine
    from stratus.diagnosis.rules import RulesReasoner

    look, alerts = observed(folders)
    found = detect(look, alerts, health=HealthSettings(), now=look.at)
    case = Case(incident="snapshot", detection=found, observation=look, templates=mine(look, found.onset))
    return found, (reasoner or RulesReasoner()).diagnose(case)


def observed(folders: tuple[Path, ...]) -> tuple[Observation, tuple[Alert, ...]]:
    """Read folders into one look at the cluster, and the alerts.

    Raises:
        UsageError: none of them has objects or alerts.
    """
    alerts = read_alerts(folders)
    raw = list(_objects(folders))
    if not raw and not alerts:
        places = ", ".join(str(f) for f in folders) or "no folder"
        raise UsageError(f"nothing to look at in {places}: expected k8s_objects*.tsv or alerts/*.json")
    newest: dict[tuple[str, str, str], tuple[float, Json]] = {}
    for at, obj in raw:
        meta = obj["metadata"]
        key = (str(obj["kind"]), str(meta.get("namespace", "")), str(meta["name"]))
        if key not in newest or at >= newest[key][0]:
            newest[key] = (at, obj)
    objects: dict[str, list[Json]] = {}
    for (kind, _, _), (_, obj) in sorted(newest.items()):
        objects.setdefault(kind, []).append(slimmed(obj))
    objects.setdefault("Event", []).extend(_events(folders))
    spans, end = read_spans(folders)
    logs = read_logs(folders)
    ats = [at for at, _ in raw] + [a.starts_at for a in alerts] + [entry.at for entry in logs] + [end]
    now = max(ats)
    begun = min((a.starts_at for a in alerts if a.starts_at), default=now)
    window = min(max(now - begun, 300.0), 3600.0)
    kinds = {k: tuple(v) for k, v in objects.items()} | {"Change": change_records(obj for _, obj in newest.values())}
    spaces = sorted({space for kind, space, _ in newest if kind == "Pod" and not space.startswith("kube-")})
    missing = {kind: "not in the snapshot" for kind in ("Pod", "Service", "Deployment") if kind not in kinds}
    look = Observation(
        at=now,
        window=window,
        namespaces=tuple(spaces),
        objects=kinds,
        edges=_edges(spans, now - window, now),
        baseline_edges=_edges(spans, 0.0, now - window),
        logs=logs,
        missing=missing,
    )
    return look, alerts


def read_alerts(folders: tuple[Path, ...]) -> tuple[Alert, ...]:
    """Return the alerts of all `*.json` in `alerts` folders, each condition once; files that hold none are left out."""
    groups = []
    for folder in folders:
        for path in sorted([*folder.glob("alerts/*.json"), *folder.glob("alerts_*.json")]):
            try:
                groups.append(parse_alerts(path.read_text(encoding="utf-8")))
            except (AlertError, OSError):
                continue
    return merge_alerts(*groups)


def read_spans(folders: tuple[Path, ...]) -> tuple[dict[str, list[Span]], float]:
    """Return the spans by trace, and when the last of them ended."""
    traces: dict[str, list[Span]] = {}
    end = 0.0
    for row in _rows(folders, "otel_traces*.tsv"):
        at = _time(_of(row, "timestamp", "Timestamp"))
        if not at:
            continue
        millis = _of(row, "duration_ms")
        took = _number(millis) / 1e3 if millis else _number(_of(row, "duration", "Duration")) / 1e9
        span = Span(
            id=_of(row, "span_id", "SpanId"),
            parent=_of(row, "parent_span_id", "ParentSpanId"),
            service=_of(row, "service_name", "ServiceName"),
            operation=_of(row, "span_name", "SpanName"),
            start=at,
            duration=took,
            kind=_of(row, "span_kind", "SpanKind").lower().rpartition("_")[2],
            failed=_of(row, "status_code", "StatusCode").lower().endswith("error"),
            message=_of(row, "status_message", "StatusMessage"),
        )
        traces.setdefault(_of(row, "trace_id", "TraceId"), []).append(span)
        end = max(end, at + took)
    return traces, end


def read_logs(folders: tuple[Path, ...]) -> tuple[LogLine, ...]:
    """Return log lines, oldest first."""
    found = []
    for row in _rows(folders, "*logs*.tsv"):
        at = _time(_of(row, "timestamp", "Timestamp", "TimestampTime"))
        attributes = _json(_of(row, "ResourceAttributes"))
        pod = _of(row, "k8s_pod_name", "pod_name") or str(attributes.get("k8s.pod.name", ""))
        space = _of(row, "k8s_namespace", "namespace") or str(attributes.get("k8s.namespace.name", ""))
        text = _of(row, "Body", "body", "message")
        if at and pod and text:
            container = str(attributes.get("k8s.container.name", ""))
            found.append(LogLine(at=at, namespace=space, pod=pod, container=container, text=text[:2000]))
    return tuple(sorted(found, key=lambda entry: (entry.at, entry.pod))[-_SPARE_LOGS:])


def _edges(traces: dict[str, list[Span]], start: float, end: float) -> tuple[CallEdge, ...]:
    chosen = [spans for spans in traces.values() if start <= min(s.start for s in spans) < end + 1e-6]
    return edges_of(chosen)


def _objects(folders: tuple[Path, ...]) -> Iterator[tuple[float, Json]]:
    """Yield (when seen, object); rows that hold none are left out."""
    for row in _rows(folders, "k8s_objects*.tsv"):
        body = _json(_of(row, "body", "Body"))
        obj = body.get("object") if isinstance(body.get("object"), dict) else body
        if body.get("type") == "DELETED" or not isinstance(obj, dict) or not isinstance(obj.get("metadata"), dict):
            continue
        if obj.get("kind") and obj["metadata"].get("name"):
            yield _time(_of(row, "timestamp", "Timestamp", "TimestampTime")), obj


def _events(folders: tuple[Path, ...]) -> Iterator[Json]:
    for number, row in enumerate(_rows(folders, "k8s_events*.tsv")):
        body = _json(_of(row, "Body", "body"))
        event = body.get("object", body)
        if isinstance(event, dict) and isinstance(event.get("metadata"), dict) and event.get("reason"):
            yield {**event, "kind": "Event", "apiVersion": event.get("apiVersion") or "v1"}
        elif _of(row, "object_name") and _of(row, "reason"):
            space, at = _of(row, "namespace"), _of(row, "event_time", "timestamp")
            about = {"kind": _of(row, "object_kind"), "name": _of(row, "object_name"), "namespace": space}
            yield {
                "apiVersion": "v1", "kind": "Event", "type": _of(row, "event_kind") or "Normal",
                "metadata": {"name": f"event-{number}", "namespace": space},
                "involvedObject": about,
                "reason": _of(row, "reason"), "message": _of(row, "message"), "lastTimestamp": at,
                "count": int(_number(_of(row, "count")) or 1),
            }  # fmt: skip


def _rows(folders: tuple[Path, ...], pattern: str) -> Iterator[dict[str, str]]:
    csv.field_size_limit(_LARGE)
    for folder in folders:
        for path in sorted(folder.glob(pattern)):
            with path.open(encoding="utf-8", errors="replace", newline="") as file:
                yield from csv.DictReader((text.replace("\0", "") for text in file), delimiter="\t")


def _of(row: dict[str, str], *names: str) -> str:
    return next((str(row[n]) for n in names if row.get(n)), "")


def _json(text: str) -> dict[str, Any]:
    """Read a JSON object, also one that was encoded twice; empty when it is none."""
    found: Any = text
    for _ in range(2):
        if isinstance(found, str) and found:
            try:
                found = json.loads(found)
            except ValueError:
                return {}
    return found if isinstance(found, dict) else {}


def _time(text: str) -> float:
    if not text:
        return 0.0
    shaped = text.strip().replace(" ", "T", 1)
    if "." in shaped:
        head, _, rest = shaped.partition(".")
        digits = len(rest) - len(rest.lstrip("0123456789"))
        shaped = f"{head}.{rest[: min(digits, 6)]}{rest[digits:]}"
    try:
        return parse_iso(shaped if shaped.endswith("Z") or "+" in shaped else shaped + "Z")
    except ValueError:
        return 0.0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
