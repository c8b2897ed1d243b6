"""Alerts as Alertmanager and Prometheus tell them, and as our own detectors raise them."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import Field

from stratus.model.base import Noun

Severity = Literal["critical", "warning", "info", "none"]


class Alert(Noun):
    """One alert.

    Attributes:
        name: `alertname`.
        labels: all labels, among them usually `namespace`, `service`, `pod`, `severity`.
        annotations: summary, description, runbook_url ...
        starts_at: epoch seconds at which the condition first held, 0.0 when not said.
        status: `firing` or `resolved`.
        source: `alertmanager`, `prometheus`, `detector` (our own) or `user`.
        verified: whether telemetry or objects confirm it; None when nobody looked yet.
    """

    name: str
    severity: Severity = "warning"
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    starts_at: float = 0.0
    status: Literal["firing", "resolved"] = "firing"
    source: str = "alertmanager"
    verified: bool | None = None

    @property
    def namespace(self) -> str:
        """The namespace label, or empty."""
        return self.labels.get("namespace", "")

    @property
    def service(self) -> str:
        """The best label for a service or workload name, or empty."""
        for label in ("service", "service_name", "deployment", "workload", "statefulset", "app", "container", "job"):
            if self.labels.get(label):
                return self.labels[label]
        return ""

    @property
    def fingerprint(self) -> str:
        """Identity of the condition: name and labels without severity, as 16 hex digits."""
        text = "\n".join([self.name, *(f"{k}={v}" for k, v in sorted(self.labels.items()) if k != "severity")])
        return hashlib.sha256(text.encode()).hexdigest()[:16]
