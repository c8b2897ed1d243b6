"""Detections, hypotheses and diagnoses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stratus.model.alerts import Alert
from stratus.model.base import Json, Noun
from stratus.model.evidence import Evidence, LogTemplate
from stratus.model.refs import ObjectRef

FaultClass = Literal[
    "image_pull", "crash_loop", "bad_command", "bad_env", "oom_killed", "unschedulable_resources",
    "unschedulable_selector", "unschedulable_taint", "probe_failing", "missing_config", "missing_config_key",
    "selector_mismatch", "wrong_target_port", "no_endpoints", "scaled_to_zero", "bad_change", "resource_saturation",
    "memory_pressure", "overload", "dependency_failure", "dependency_address", "network_blocked", "network_degraded",
    "auth_failure", "quota_exceeded", "volume_unbound", "node_not_ready", "admission_refused", "rbac_denied",
    "service_account_missing", "autoscaler_misconfigured", "dns_failure", "feature_flag", "rollout_stuck",
    "job_failing", "unknown",
]  # fmt: skip
"""Kinds of root cause, in the field's terms; a benchmark's or an application's own names never appear here."""


class Anomaly(Noun):
    """Something that is not as it should be, found by a detector."""

    detector: str
    summary: str
    namespace: str
    service: str = ""
    object: ObjectRef | None = None
    severity: Literal["critical", "warning", "info"] = "warning"
    since: float = 0.0
    """Epoch seconds of its first sign; 0.0 when unknown."""
    evidence: tuple[Evidence, ...] = ()


class Detection(Noun):
    """What detection concluded.

    Attributes:
        anomalous: whether there is an incident at all; None when telemetry and objects cannot tell.
        alerts: verified and deduplicated.
        services: affected services as `namespace/name`, worst first.
        onset: epoch seconds of the first sign.
        detected_at: epoch seconds of this conclusion.
    """

    anomalous: bool | None
    alerts: tuple[Alert, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()
    namespaces: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    onset: float = 0.0
    detected_at: float = 0.0
    missing: dict[str, str] = Field(default_factory=dict)


class Hypothesis(Noun):
    """One explanation, with the evidence for and against it.

    Attributes:
        id: `H1` ...; stable across rounds for the same cause (class + object).
        fault: kind of cause.
        object: the object to blame.
        confidence: 0..1.
        facts: what the analyzer found and an action needs, such as `{"container": "web", "good_image": "nginx:1.27"}`.
        status: `open`, `tried` (an action on it failed and was undone), `confirmed`, `refuted`.
    """

    id: str
    fault: FaultClass
    summary: str
    object: ObjectRef
    service: str = ""
    confidence: float = Field(ge=0.0, le=1.0)
    evidence_for: tuple[Evidence, ...] = ()
    evidence_against: tuple[Evidence, ...] = ()
    facts: Json = Field(default_factory=dict)
    analyzer: str = ""
    status: Literal["open", "tried", "confirmed", "refuted"] = "open"


class Citation(Noun):
    """A passage of stored knowledge that was retrieved."""

    kind: Literal["runbook", "ticket", "log"]
    id: str
    title: str
    passage: str
    score: float
    """Similarity in [0, 1]."""
    path: str = ""


class Diagnosis(Noun):
    """The ranked ledger of hypotheses after one round of diagnosis."""

    hypotheses: tuple[Hypothesis, ...] = ()
    chosen: str = ""
    """Id of the hypothesis to act on; empty when there is none left worth acting on."""
    templates: tuple[LogTemplate, ...] = ()
    citations: tuple[Citation, ...] = ()
    reasoning: str = ""
    """Short explanation for people."""

    def hypothesis(self, id: str) -> Hypothesis | None:
        """Return a hypothesis by id, or None."""
        return next((h for h in self.hypotheses if h.id == id), None)
