"""Alert intake: reading the documents that Alertmanager and Prometheus send, and merging what is the same."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from stratus.errors import AlertError
from stratus.kit.clock import parse_iso
from stratus.kit.text import trim
from stratus.model.alerts import Alert, Severity
from stratus.telemetry.alertmanager import SUPPRESSED

_SEVERITIES: dict[str, Severity] = {
    "critical": "critical", "page": "critical", "emergency": "critical", "error": "critical", "high": "critical",
    "fatal": "critical", "p1": "critical", "sev1": "critical",
    "warning": "warning", "warn": "warning", "major": "warning", "medium": "warning", "minor": "warning",
    "p2": "warning", "sev2": "warning",
    "info": "info", "informational": "info", "information": "info", "low": "info", "notice": "info",
    "none": "none",
}  # fmt: skip
_NEVER = 62_135_596_800.0
"""Go's zero time, 0001-01-01, lies this many seconds before the epoch; it means `not said`."""


def parse_alerts(document: object) -> tuple[Alert, ...]:
    """Read alerts from text or an already decoded document.

    Understood are an Alertmanager webhook (version 4), the answer of Alertmanager's API v2 (`/api/v2/alerts`), of
    Prometheus (`/api/v1/alerts`), one bare alert (`labels` with `alertname`), our own `Alert` as JSON, and lists of
    those. Pending alerts of Prometheus and silenced ones of Alertmanager are left out.

    Raises:
        AlertError: when the document cannot be read; the message is one line and says what was expected.
    """
    if isinstance(document, bytes):
        try:
            document = document.decode("utf-8")
        except UnicodeDecodeError as error:
            raise AlertError(f"the alert document is not UTF-8 text: {error.reason} at byte {error.start}") from None
    if isinstance(document, str):
        if not document.strip():
            raise AlertError("the alert document is empty; expected JSON from Alertmanager or Prometheus")
        try:
            document = json.loads(document)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "it cannot be decoded"
            where = f" at line {error.lineno} column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            raise AlertError(f"the alert document is not JSON: {reason}{where}") from None
    return merge_alerts(_read(document, "the document"))


def merge_alerts(*groups: Iterable[Alert]) -> tuple[Alert, ...]:
    """Return each condition once, in order of first appearance; firing beats resolved, the earliest start is kept."""
    merged: dict[str, Alert] = {}
    for group in groups:
        for alert in group:
            known = merged.get(alert.fingerprint)
            if known is None:
                merged[alert.fingerprint] = alert
                continue
            keep = alert if (alert.status == "firing" and known.status != "firing") else known
            starts = [a.starts_at for a in (known, alert) if a.starts_at > 0]
            notes = {**alert.annotations, **known.annotations}
            if not (silenced(known) and silenced(alert)):
                notes.pop(SUPPRESSED, None)  # handed in by somebody who wants it looked at, whoever silenced it
            verified = known.verified if known.verified is not None else alert.verified
            merged[alert.fingerprint] = keep.model_copy(
                update={
                    "starts_at": min(starts, default=0.0),
                    "annotations": notes,
                    "verified": verified,
                }
            )
    return tuple(merged.values())


def silenced(alert: Alert) -> bool:
    """Whether somebody has silenced the alert: it fires, and nobody is to be called for it."""
    return bool(alert.annotations.get(SUPPRESSED))


def _read(document: object, where: str) -> list[Alert]:
    if isinstance(document, Alert):
        return [document]
    if isinstance(document, list | tuple):
        found: list[Alert] = []
        for number, item in enumerate(document):
            found += _read(item, f"alert {number + 1}")
        return found
    if not isinstance(document, Mapping):
        raise AlertError(
            f"{where} is {_kind(document)}; expected an Alertmanager webhook, an alert list, "
            "a Prometheus /api/v1/alerts answer or one alert"
        )
    if document.get("status") == "error":
        raise AlertError(
            f"{where} is an error answer of Prometheus: {trim(str(document.get('error', 'no reason given')), 150)}"
        )
    if isinstance(document.get("data"), Mapping) and "alerts" in document["data"]:
        return _read(_listed(document["data"]["alerts"], where), where)
    if "alerts" in document:
        return _read(_listed(document["alerts"], where), where)
    return _one(document, where)


def _listed(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise AlertError(f"`alerts` in {where} is {_kind(value)}; expected a list")
    return value


def _one(item: Mapping[str, Any], where: str) -> list[Alert]:
    labels = _strings(item.get("labels", {}), f"`labels` of {where}")
    name = labels.pop("alertname", "") or str(item.get("name") or item.get("alertname") or "")
    if not name:
        keys = ", ".join(sorted(str(k) for k in item)[:6]) or "nothing"
        raise AlertError(f"{where} has no `alertname` label (found: {trim(keys, 80)}); it does not look like an alert")
    state = item.get("state", "")
    if state == "pending" or state == "inactive":
        return []
    status = item.get("status", "firing")
    if isinstance(status, Mapping):
        if status.get("state") == "suppressed":
            return []
        status = "firing"
    severity = str(item.get("severity") or labels.get("severity", "warning")).lower()
    ended = item.get("endsAt") if status == "resolved" else None
    source = item.get("source")
    return [
        Alert(
            name=name,
            severity=_SEVERITIES.get(severity, "warning"),
            labels=labels,
            annotations=_strings(item.get("annotations", {}), f"`annotations` of {where}"),
            starts_at=_time(item.get("startsAt", item.get("activeAt", item.get("starts_at", 0.0))), where),
            status="resolved" if status == "resolved" or ended else "firing",
            source=source if isinstance(source, str) and source else ("prometheus" if state else "alertmanager"),
        )
    ]


def _strings(value: object, where: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise AlertError(f"{where} is {_kind(value)}; expected an object of strings")
    return {str(k): v if isinstance(v, str) else json.dumps(v) for k, v in value.items()}


def _time(value: object, where: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return max(0.0, float(value))
    if not value:
        return 0.0
    try:
        at = parse_iso(_micro(str(value)))
    except ValueError:
        raise AlertError(f"the start of {where}, {trim(str(value), 40)!r}, is not an RFC 3339 timestamp") from None
    return 0.0 if at <= -_NEVER + 86_400 else max(0.0, at)


def _micro(text: str) -> str:
    """Cut Go's nanoseconds to the microseconds that Python reads."""
    head, dot, rest = text.partition(".")
    if not dot:
        return text
    digits = len(rest) - len(rest.lstrip("0123456789"))
    return f"{head}.{rest[: min(digits, 6)]}{rest[digits:]}"


def _kind(value: object) -> str:
    names = {
        dict: "an object", list: "a list", str: "a string", int: "a number", float: "a number", bool: "a boolean",
        type(None): "null",
    }  # fmt: skip
    return names.get(type(value), "not JSON")
