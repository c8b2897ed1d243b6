"""Health as numbers: the mission's formula, per service and as a vector."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from stratus.model.base import Noun

Verdict = Literal["RESOLVED", "IMPROVED", "UNCHANGED", "REGRESSED", "UNKNOWN"]


@dataclass(frozen=True)
class SystemHealth:
    """Health of a service or system at a moment; higher is better.

    Built as `SystemHealth(error_rate, latency_p99, availability)`, by position or by name.

    Attributes:
        error_rate: share of failed requests, 0..1.
        latency_p99: seconds.
        availability: share of what should serve that serves, 0..1.
        latency_slo: seconds at which the latency term reaches one half.
    """

    error_rate: float = Field(ge=0.0, le=1.0)
    latency_p99: float = Field(ge=0.0)
    availability: float = Field(ge=0.0, le=1.0)
    latency_slo: float = Field(default=1.0, gt=0.0)

    def score(self) -> float:
        """Return `0.5*availability - 0.3*error_rate - 0.2*L` with `L = p99 / (p99 + SLO)`, in [-0.5, 0.5].

        L maps latency to [0, 1): 0 at once, 0.5 at the SLO, towards 1 beyond it.
        """
        latency = self.latency_p99 / (self.latency_p99 + self.latency_slo)
        return 0.5 * self.availability - 0.3 * self.error_rate - 0.2 * latency


class ServiceHealth(Noun):
    """One service's part of the health vector; None means unknown, never healthy.

    Attributes:
        availability: ready replicas over wanted replicas (wanted before the incident's repair, so that
            scaling down to zero is not full availability).
        request_rate: requests per second served.
        ready: pods ready; desired: pods wanted; endpoints: ready endpoints behind the Service.
        crashing: containers in a waiting or terminated error state.
        source: where request figures came from: `telemetry` or `objects`.
    """

    service: str
    namespace: str
    availability: float | None = None
    error_rate: float | None = None
    latency_p99: float | None = None
    request_rate: float | None = None
    ready: int = 0
    desired: int = 0
    endpoints: int | None = None
    crashing: int = 0
    restarts: int = 0
    score: float | None = None
    source: Literal["telemetry", "objects"] = "objects"


class HealthVector(Noun):
    """Health of all services in scope at one moment.

    Attributes:
        at: epoch seconds.
        alerts: firing alerts by fingerprint -> severity; None when the alert source does not answer.
        alert_starts: epoch seconds at which the condition of a firing alert first held, by fingerprint; one whose
            source does not say is absent.
        ignored: firing alerts that policy does not count, by fingerprint: name and reason.
        missing: sources that gave nothing, and why.
    """

    at: float
    services: tuple[ServiceHealth, ...] = ()
    alerts: dict[str, str] | None = None
    alert_starts: dict[str, float] = Field(default_factory=dict)
    ignored: dict[str, str] = Field(default_factory=dict)
    missing: dict[str, str] = Field(default_factory=dict)

    def service(self, namespace: str, name: str) -> ServiceHealth | None:
        """Return one service's health, or None when it is not in the vector."""
        return next((s for s in self.services if s.namespace == namespace and s.service == name), None)

    def mean(self) -> float | None:
        """Return the mean score of services with a known score, or None."""
        known = [s.score for s in self.services if s.score is not None]
        return sum(known) / len(known) if known else None


class ComponentChange(Noun):
    """How one component of the vector moved, with the numbers that decided.

    Attributes:
        component: such as `shop/cart error_rate`.
        before, after: means of the samples; None when unknown.
        noise: smallest difference that counts as worse, from the spread of the samples.
        noise_better: smallest difference that counts as better; None: the same, or no figure with noise.
        samples_before, samples_after: figures compared; 0 for states of objects, which carry no measuring noise.
        spread_before, spread_after: their standard deviations.
        scale: `term`: noise is on the scale of the latency term `p99 / (p99 + objective)`, not in seconds.
        decided: whether the verdict rests on it.
    """

    component: str
    before: float | None
    after: float | None
    noise: float
    direction: Literal["better", "worse", "same", "unknown"]
    noise_better: float | None = None
    samples_before: int = 0
    samples_after: int = 0
    spread_before: float | None = None
    spread_after: float | None = None
    scale: Literal["", "term"] = ""
    decided: bool = False


class ServiceVerdict(Noun):
    """What became of the health of one service.

    Attributes:
        service: `namespace/name`.
        before, after: mean score H; None when it could not be scored.
        spread_before, spread_after: standard deviation of the score.
        samples_before, samples_after: samples with a score.
        direction: worse when any component is, unknown when any cannot be told, better when any is, else the same.
        decided: components on which the verdict rests.
    """

    service: str
    before: float | None = None
    after: float | None = None
    spread_before: float | None = None
    spread_after: float | None = None
    samples_before: int = 0
    samples_after: int = 0
    direction: Literal["better", "worse", "same", "unknown"] = "same"
    decided: tuple[str, ...] = ()


class VerdictReport(Noun):
    """The decision after a transaction and why."""

    verdict: Verdict
    reason: str
    changes: tuple[ComponentChange, ...] = ()
    before: float | None = None
    """Mean score before."""
    after: float | None = None
    samples_before: int = 0
    samples_after: int = 0
    from_objects_only: bool = False
    """True when no request telemetry existed and health came from objects."""
    services: tuple[ServiceVerdict, ...] = ()
    """Each service, the one that decided first."""
    policy: str = ""
    """The rule by which figures counted, in words."""
    ignored: tuple[str, ...] = ()
    """Alerts that policy did not count, each with its reason."""
