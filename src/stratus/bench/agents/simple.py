"""Agents that do not think."""

from __future__ import annotations

from stratus.bench.outcome import Attempted, Budget, Doors, Moments, Outcome
from stratus.errors import ClusterError
from stratus.model.actions import ApiWrite
from stratus.model.refs import ObjectRef

ROUNDS = 3
"""Times that all pods are deleted at most."""
PATIENCE = 120.0
"""Seconds of cluster time between two rounds."""


class Noop:
    """Does nothing and says nothing."""

    name, about = "noop", "does nothing and says nothing"

    def solve(self, doors: Doors, budget: Budget) -> Outcome:
        """Return at once."""
        del doors, budget
        return Outcome(state="none")


class AlwaysHealthy:
    """Says that nothing is wrong: right on every false alarm, and nowhere else."""

    name, about = "always-healthy", "says that nothing is wrong"

    def solve(self, doors: Doors, budget: Budget) -> Outcome:
        """Return at once."""
        del doors, budget
        return Outcome(state="healthy", detected=False)


class RestartPods:
    """Deletes every pod of the application's namespaces while an alert fires: it solves some published scenarios."""

    name, about = "restart-pods", "deletes all pods of the application until no alert fires"

    def solve(self, doors: Doors, budget: Budget) -> Outcome:
        """Delete, wait, look at the alerts; a few times."""
        cluster, clock = doors.source.cluster, doors.source.clock
        assert clock is not None, "episodes are played on embedded clusters"
        alerts = doors.source.telemetry(doors.settings).alerts
        began, real = clock.now(), doors.wall()
        deleted: list[str] = []
        tries = []
        seen = bool(alerts and alerts.firing())
        firing = seen
        rounds = min(ROUNDS, budget.attempts) if seen else 0
        for number in range(rounds):
            started = clock.now()
            for pod in cluster.reader.list("pods"):
                ref = ObjectRef.of(pod, kind="Pod", api_version="v1")
                if ref.namespace in doors.settings.policy.protected_namespaces:
                    continue
                try:
                    cluster.writer.write(ApiWrite(method="DELETE", target=ref, plural="pods"))
                except ClusterError:
                    continue
                deleted.append(f"{ref.namespace}/Pod/{ref.name}")
            clock.sleep(PATIENCE)
            firing = bool(alerts and alerts.firing())
            verdict = "UNCHANGED" if firing else "RESOLVED"
            tries.append(
                Attempted(
                    started_at=started, ended_at=clock.now(), summary=f"round {number + 1}: delete all", verdict=verdict
                )
            )
            if not firing:
                break
        resolved = seen and not firing
        done = {"mitigated": clock.now() - began} if resolved else {}
        return Outcome(
            state="resolved" if resolved else "unresolved" if seen else "healthy",
            detected=seen,
            steps=len(deleted),
            commands=tuple(f"kubectl delete pod {name}" for name in deleted),
            touched=tuple(sorted(set(deleted))),
            simulated=Moments(detected=0.0 if seen else None, **done),
            real=Moments(mitigated=round(doors.wall() - real, 3) if resolved else None),
            attempts=tuple(tries),
        )
