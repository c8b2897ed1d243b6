"""One incident, worked on for a harness: what all adapters share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from stratus.model.base import Json
from stratus.model.reports import IncidentState, Report
from stratus.settings import Settings
from stratus.telemetry.base import Telemetry

Mode = Literal["observe", "auto"]


@dataclass(frozen=True)
class Bench:
    """How Stratus reaches what a harness has set up.

    Attributes:
        settings: kubeconfig, Prometheus, reasoner and so on; the mode is the task's.
        cluster: an official `ApiClient`, a `KubeCluster` or an `EmbeddedCluster`; None: the kubeconfig of the settings.
        telemetry: in place of what the settings name.
        reasoner: a chat model, in place of what the settings name.
    """

    settings: Settings
    cluster: Any = None
    telemetry: Telemetry | None = None
    reasoner: Any = None

    def solve(
        self, mode: Mode, namespaces: tuple[str, ...] = (), on_event: Callable[[Any], None] | None = None
    ) -> Report:
        """Work on whatever is wrong.

        Args:
            mode: `observe` to find out only, `auto` to repair as well.
            namespaces: where to look; empty: everywhere allowed.

        Raises:
            StratusError: the cluster cannot be reached, or the settings cannot be used.
        """
        from stratus.wiring.respond import respond

        return respond(
            cluster=self.cluster,
            settings=self.settings,
            mode=mode,
            namespaces=namespaces,
            telemetry=self.telemetry,
            reasoner=self.reasoner,
            on_event=on_event,
        )


def anomalous(report: Report) -> bool:
    """Whether there is an incident; what cannot be known is not called healthy."""
    return report.state is not IncidentState.HEALTHY


def blamed(report: Report) -> str:
    """Return the name of the service to blame: that of the workload or Service at fault, else of who suffers first."""
    cause = report.root_cause
    if cause is None:
        services = report.incident.services
        return services[0].rpartition("/")[2] if services else ""
    kind, _, name = cause.object.partition("/")[2].partition("/")
    if kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Service", "Job", "CronJob"):
        return name
    told = next((h for h in report.hypotheses if str(h.object) == cause.object and h.fault == cause.fault), None)
    return told.service if told is not None and told.service else name


def category(report: Report) -> tuple[str, str] | None:
    """Return (system level, fault type) in AIOpsLab's words; None when no cause is known."""
    if report.root_cause is None:
        return None
    level, kind = classes()[report.root_cause.fault]
    return level, kind


def narrative(report: Report) -> str:
    """Tell in a few sentences what is wrong, where, why it is believed, and what else is possible."""
    cause = report.root_cause
    if cause is None:
        return "No incident was found." if not anomalous(report) else "Something is wrong; no cause could be named."
    where = cause.object.partition("/")
    parts = [f"Root cause: {where[2]} in namespace {where[0] or '(none)'}: {cause.summary} (class {cause.fault})."]
    if cause.evidence:
        parts.append("Evidence: " + "; ".join(e.summary for e in cause.evidence[:5]) + ".")
    if report.incident.services:
        parts.append("Affected: " + ", ".join(report.incident.services[:8]) + ".")
    others = [h for h in report.hypotheses if str(h.object) != cause.object and h.status == "open"][:2]
    if others:
        parts.append("Less likely: " + "; ".join(h.summary for h in others) + ".")
    return " ".join(parts)


@cache
def classes() -> Json:
    """Return AIOpsLab's two categories of each class of fault; read once."""
    import yaml

    text = resources.files("stratus.bench.external").joinpath("classes.yaml").read_text(encoding="utf-8")
    found: Json = yaml.safe_load(text)
    return found
