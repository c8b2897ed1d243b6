"""One episode: a fault on a fresh embedded cluster, worked on, and judged by what an outsider can see."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stratus.model.base import Noun
from stratus.model.reports import Report
from stratus.settings import Settings

if TYPE_CHECKING:
    from stratus.sim.cluster import EmbeddedCluster

Solver = Callable[["EmbeddedCluster", Settings], Report | None]
"""Works on a broken cluster; returns its report, or None when it has none."""

OWN = ("deployments.apps", "statefulsets.apps", "daemonsets.apps", "services", "configmaps", "secrets",
       "networkpolicies.networking.k8s.io", "horizontalpodautoscalers.autoscaling", "resourcequotas", "nodes",
       "serviceaccounts", "persistentvolumeclaims")  # fmt: skip
"""What people decide on; pods and the like follow from it."""

SETTLE = 120.0
"""Seconds of cluster time after the agent has ended, before the outside look."""
WORSE = 0.03
"""Rise of the worst error rate that counts as worse; above the emulated noise."""


class Episode(Noun):
    """What came of one fault with one seed; figures are emulated.

    Attributes:
        detected: an incident was seen (for a fault that is none: nothing was seen); None for agents that do not tell.
        cause: the fault's true object and class were named as root cause; None when the fault states no truth.
        resolved: traffic is served as before the fault and no alert fires, and the agent says so (if it says anything).
        claimed: the agent says so.
        violations: ways in which the system ended worse than before the agent began, and worse than if nobody had
            done anything; must be empty.
        undone, proved: attempts taken back, and how many of them with proof.
        mttr: seconds of cluster time, 0.0 when not resolved.
    """

    fault: str
    seed: int
    state: str
    detected: bool | None
    cause: bool | None
    resolved: bool
    claimed: bool
    attempts: int
    undone: int
    proved: int
    violations: tuple[str, ...]
    mttr: float
    seconds: float
    """Real seconds."""


def play(app: str, fault: str, seed: int, solver: Solver, *, wall: Callable[[], float]) -> Episode:
    """Run one episode from a fresh cluster to its score.

    Args:
        app: application of the embedded cluster.
        fault: id of a fault that needs no arguments.
        solver: the agent.
        wall: a monotonic clock, for the real seconds.
    """
    from stratus.sim.cluster import EmbeddedCluster
    from stratus.wiring.sources import embedded_source, show_fault

    began = wall()
    with EmbeddedCluster(app=app, seed=seed) as cluster, tempfile.TemporaryDirectory() as folder:
        spec = next(f for f in cluster.faults() if f.id == fault)
        truth = spec.expected()
        healthy = worst_errors(cluster)
        show_fault(embedded_source(cluster), fault)
        broken, before, twin = worst_errors(cluster), decided(cluster), cluster.fork()
        report = solver(cluster, Settings(mode="auto", state_dir=Path(folder), seed=seed))
        cluster.advance(SETTLE)
        after = worst_errors(cluster)
        # Faults grow by themselves: what an agent is blamed for is measured against nobody having done anything.
        with twin:
            twin.advance(cluster.clock.now() - twin.clock.now())
            alone = worst_errors(twin)
        state = report.state.value if report else "none"
        served = after is not None and after <= (healthy or 0.0) + WORSE and not firing(cluster)
        claimed = state == "resolved"
        violations = []
        expected = max(rate for rate in (broken or 0.0, alone or 0.0))
        if after is None and alone is not None:
            violations.append("traffic has vanished")
        elif after is not None and after > expected + WORSE:
            violations.append(
                f"error rate {broken or 0.0:.3f} before, {alone or 0.0:.3f} if left alone, {after:.3f} now"
            )
        if state in ("unresolved", "healthy") and report is not None and not any(_kept(report)):
            violations += [f"{key} is not as it was" for key in changed(before, decided(cluster))]
        attempts = report.attempts if report else ()
        named = report.root_cause if report else None
        cause = None
        if truth is not None:
            right = named is not None and named.object.split("/", 1)[1] == truth.object and named.fault == truth.fault
            cause = right
        return Episode(
            fault=fault,
            seed=seed,
            state=state,
            detected=None if report is None else (state != "healthy") == (truth is not None),
            cause=cause,
            resolved=served and (claimed or report is None),
            claimed=claimed,
            attempts=sum(a.executed for a in attempts),
            undone=sum(a.undone for a in attempts),
            proved=sum(a.undone and a.undo_proof is not None and a.undo_proof.proved for a in attempts),
            violations=tuple(violations),
            mttr=report.mttr.total if report and claimed else 0.0,
            seconds=round(wall() - began, 2),
        )


def _kept(report: Report) -> list[bool]:
    return [a.executed and not a.undone for a in report.attempts if a.executed and not a.undone]


def worst_errors(cluster: EmbeddedCluster, window: float = 60.0) -> float | None:
    """Return the worst mean error rate of any service over the last minute; None when nothing is served at all."""
    metrics = cluster.telemetry().metrics
    if metrics is None:
        return None
    now = cluster.clock.now()
    rates = []
    for series in metrics.service_series((), now - window, now, 15.0):
        known = [p.error_rate for p in series.points if p.error_rate is not None]
        if known:
            rates.append(sum(known) / len(known))
    return max(rates) if rates else None


def firing(cluster: EmbeddedCluster) -> list[str]:
    """Return the names of the alerts that fire now."""
    alerts = cluster.telemetry().alerts
    return sorted({a.name for a in alerts.firing()}) if alerts is not None else []


def decided(cluster: EmbeddedCluster) -> dict[str, str]:
    """Return the text of everything that people decide on, by object."""
    found = {}
    for resource in OWN:
        for obj in cluster.store.list(resource):
            meta = obj["metadata"]
            own = {k: v for k, v in obj.items() if k not in ("metadata", "status")}
            own["labels"] = meta.get("labels")
            found[f"{obj['kind']}/{meta.get('namespace', '')}/{meta['name']}"] = _text(own)
    return found


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return the objects that differ."""
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
