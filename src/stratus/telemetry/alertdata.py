"""Alerts as Prometheus and Alertmanager serve them, read into our noun; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stratus.kit.kube import moment
from stratus.model.alerts import Alert, Severity

_SEVERITIES: dict[str, Severity] = {
    "critical": "critical",
    "page": "critical",
    "error": "critical",
    "emergency": "critical",
    "high": "critical",
    "warning": "warning",
    "warn": "warning",
    "ticket": "warning",
    "info": "info",
    "informational": "info",
    "none": "none",
}


def alert_of(
    labels: Mapping[str, Any],
    annotations: Mapping[str, Any] | None,
    starts_at: object,
    source: str,
) -> Alert:
    """Make an alert; its name is taken out of the labels, so that its fingerprint is the same from every source.

    Raises:
        KeyError: there is no alertname.
    """
    rest = {str(k): str(v) for k, v in labels.items()}
    name = rest.pop("alertname")
    return Alert(
        name=name,
        severity=_SEVERITIES.get(rest.get("severity", "").lower(), "warning"),
        labels=rest,
        annotations={str(k): str(v) for k, v in (annotations or {}).items()},
        starts_at=moment(starts_at),
        source=source,
    )


def in_namespaces(alerts: Iterable[Alert], namespaces: tuple[str, ...]) -> tuple[Alert, ...]:
    """Keep the alerts of the namespaces and those without a namespace; one of each fingerprint, in order of name."""
    kept = {a.fingerprint: a for a in alerts if not namespaces or a.namespace in ("", *namespaces)}
    return tuple(sorted(kept.values(), key=lambda a: (a.name, sorted(a.labels.items()))))
