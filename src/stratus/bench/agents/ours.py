"""Stratus itself as a measured agent, whole or without one of its parts."""

from __future__ import annotations

from typing import Any

from stratus.bench.outcome import Attempted, Budget, Doors, Line, Moments, Outcome
from stratus.model.base import Json
from stratus.model.reports import IncidentState, Report, TimelineEntry

STAGES = {"AnomalyDetection": "detected", "RootCauseAnalysis": "located"}
"""Stage whose first line says that something is known."""
MOST_LINES = 120


class Ours:
    """Stratus, driven through the same function as everybody's.

    Args:
        name, about: as listed.
        without: parts switched off.
        brain: thinks in place of the reasoner of the settings.
    """

    def __init__(self, name: str, about: str, without: tuple[str, ...] = (), brain: Any = None) -> None:
        self.name, self.about, self._without, self._brain = name, about, without, brain

    def solve(self, doors: Doors, budget: Budget) -> Outcome:
        """Respond to the incident and read the outcome off the report."""
        from stratus.wiring.respond import respond

        settings = budget.settings(doors.settings).model_copy(update=self._changes())
        clock = doors.source.clock
        began = clock.now() if clock is not None else 0.0
        watch = Watch(began, doors)
        report = respond(
            cluster=doors.source,
            settings=settings,
            reasoner=self._brain or doors.model,
            knowledge=doors.knowledge,
            incident="inc-bench",
            on_event=watch,
        )
        return outcome_of(report, began, watch)

    def _changes(self) -> dict[str, Any]:
        off = {"rehearsal": "off"} if "rehearsal" in self._without else {}
        return {"ablate": self._without, "mode": "auto", **off}


class Watch:
    """Notes when each stage first said something, on both clocks."""

    def __init__(self, began: float, doors: Doors) -> None:
        self._wall, self._began = doors.wall, began
        self._real = doors.wall()
        self.simulated: dict[str, float] = {}
        self.real: dict[str, float] = {}

    def __call__(self, line: TimelineEntry) -> None:
        """Take in one line of the timeline."""
        key = STAGES.get(line.stage)
        if key is not None and (key != "detected" or line.severity == "bad"):
            self.simulated.setdefault(key, line.at - self._began)
            self.real.setdefault(key, self._wall() - self._real)
        if line.stage == "Commit":
            self.simulated["mitigated"] = line.at - self._began
            self.real["mitigated"] = self._wall() - self._real

    def moments(self, *, resolved: bool) -> tuple[Moments, Moments]:
        """Return the moments on the cluster's clock and on the wall's; a commit that cured nothing does not count."""
        dropped = set() if resolved else {"mitigated"}

        def kept(found: dict[str, float]) -> Moments:
            return Moments(**{k: round(v, 3) for k, v in found.items() if k not in dropped})

        return kept(self.simulated), kept(self.real)


def outcome_of(report: Report, began: float, watch: Watch) -> Outcome:
    """Read an outcome off a report."""
    tries = [a for a in report.attempts if a.executed]
    simulated, real = watch.moments(resolved=report.state is IncidentState.RESOLVED)
    cause = report.root_cause
    blamed = sorted((h for h in report.hypotheses if h.status != "refuted"), key=lambda h: -h.confidence)
    named = [cause.object.rsplit("/", 1)[1]] if cause else []
    undone = [a for a in tries if a.undone]
    return Outcome(
        state=report.state.value,
        detected=report.state is not IncidentState.HEALTHY,
        localization=tuple(dict.fromkeys([*named, *(h.object.name for h in blamed)]))[:5],
        root_cause=cause.object if cause else "",
        fault=cause.fault if cause else None,
        steps=len(report.timeline),
        model_calls=report.usage.model_calls,
        tokens_in=report.usage.tokens_in,
        tokens_out=report.usage.tokens_out,
        money=report.usage.cost,
        transactions=len(tries),
        undos=len(undone),
        proved=sum(a.undo_proof is not None and a.undo_proof.proved for a in undone),
        commands=tuple(command for a in tries for command in a.commands),
        refused=sum(len(a.refusals) for a in report.attempts),
        rewritten=sum(len(a.refusals) for a in tries),
        touched=tuple(sorted({_name(w.target) for a in tries for w in a.writes})),
        simulated=simulated,
        real=real,
        attempts=tuple(
            Attempted(
                started_at=a.started_at,
                ended_at=a.ended_at,
                summary=a.summary,
                verdict=a.verdict or "",
                undone=a.undone,
            )
            for a in tries
        ),
        transcript=tuple(Line(at=t.at, who=t.stage, text=t.text) for t in report.timeline[:MOST_LINES]),
        notes=report.notes,
        report=_short(report),
    )


def _name(target: Any) -> str:
    return f"{target.namespace}/{target.kind}/{target.name}"


def _short(report: Report) -> Json:
    """Return what of a report is worth keeping in a log; the timeline is the transcript already."""
    kept = {"state", "mode", "root_cause", "attempts", "usage", "changes", "missing"}
    # Left out: what is long, and what the speed of the machine decides.
    less: Any = {"writes": True, "verdict_report": True, "prediction": {"cpu": True}}
    left: Any = {"attempts": {"__all__": less}, "root_cause": {"evidence"}}
    short: Json = report.model_dump(mode="json", by_alias=True, include=kept, exclude=left)
    short["hypotheses"] = [
        {"id": h.id, "class": h.fault, "object": str(h.object), "confidence": h.confidence, "status": h.status}
        for h in report.hypotheses
    ]
    return short
