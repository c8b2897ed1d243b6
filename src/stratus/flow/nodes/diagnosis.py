"""Diagnosis: LogAnalysis, RootCauseAnalysis, ActionPlanning."""

from __future__ import annotations

from stratus.detection.collection import collect
from stratus.diagnosis.logs import mine
from stratus.flow.nodes.detection import namespaces_of
from stratus.flow.nodes.story import case_of, spent, told
from stratus.flow.rooms import Rooms, RoomsFor
from stratus.flow.state import State
from stratus.mitigation.foresight import PREDICTED
from stratus.model.actions import ActionPlan
from stratus.model.diagnosis import Diagnosis, Hypothesis
from stratus.model.evidence import Observation
from stratus.model.reports import IncidentState


class DiagnosisNodes:
    """The three agents that reason from symptoms to a cause and a plan."""

    def __init__(self, rooms_for: RoomsFor) -> None:
        self.rooms_for = rooms_for

    def log_analysis(self, state: State) -> State:
        """Look again, mine the logs, and retrieve what is known of such symptoms."""
        rooms = self.rooms_for(state)
        watch = rooms.stopwatch()
        first = state.get("round", 0) == 0
        observation = state["observation"] if first else look(state, rooms)
        detection = state["detection"]
        templates = mine(observation, detection.onset)
        query = " ".join(
            [*(a.name for a in detection.alerts), *(a.summary for a in detection.anomalies[:6])]
            + [t.template for t in templates[:3] if t.severity == "error"]
        )
        citations = rooms.knowledge().search(query[:2000]) if query.strip() else ()
        lines = [f"{len(observation.logs)} log lines in {len(templates)} templates"]
        if citations:
            lines.append("knowledge: " + "; ".join(f"{c.kind} {c.id} ({c.score:.2f})" for c in citations[:3]))
        return {
            "state": IncidentState.DIAGNOSING,
            "round": state.get("round", 0) + 1,
            "observation": observation,
            "missing": {**state.get("missing", {}), **observation.missing},
            "templates": templates,
            "citations": citations,
            "timeline": told(state, rooms, "LogAnalysis", *lines),
            "spent": spent(state, "diagnose", watch()),
        }

    def root_cause_analysis(self, state: State) -> State:
        """Rank hypotheses; earlier failed attempts are evidence."""
        rooms = self.rooms_for(state)
        watch = rooms.stopwatch()
        hint = state.get("hint")
        diagnosis = (
            hint if hint is not None and state.get("round") == 1 else rooms.brain.diagnose(case_of(state, rooms))
        )
        chosen = diagnosis.hypothesis(diagnosis.chosen) if diagnosis.chosen else None
        lines = [
            f"{h.id} {h.confidence:.0%} {h.fault} {h.object}: {h.summary}"
            for h in sorted(diagnosis.hypotheses, key=lambda h: -h.confidence)[:3]
            if h.status == "open"
        ]
        lines.append(f"most plausible: {chosen.id}" if chosen else "no explanation left worth acting on")
        return {
            "diagnosis": diagnosis,
            "ledger": diagnosis.hypotheses,
            "timeline": told(state, rooms, "RootCauseAnalysis", *lines),
            "spent": spent(state, "diagnose", watch()),
        }

    def action_planning(self, state: State) -> State:
        """Plan for the chosen hypothesis; one without a known safe action passes on to the next."""
        rooms = self.rooms_for(state)
        watch = rooms.stopwatch()
        diagnosis = state["diagnosis"]
        plan, chosen, ledger = plan_first(rooms, state, diagnosis)
        news: State = {
            "plan": plan,
            "candidates": others(rooms, state, diagnosis, plan),
            "prediction": None,
            "mitigation": None,
            "commands": (),
            "refusals": (),
            "repairs": 0,
            "approval": "",
            "transaction": "",
            "verdict": None,
            "ledger": ledger,
            "diagnosis": diagnosis.model_copy(update={"hypotheses": ledger, "chosen": chosen.id if chosen else ""}),
            "usage": rooms.brain.usage().model_dump(),
        }
        mode = state.get("mode", rooms.settings.mode)
        if plan is None:
            tried = any(a.executed for a in state.get("attempts", ()))
            news["ending"] = "no safe action is left to try" if tried else "no safe action is known for what was found"
            news["state"] = IncidentState.UNRESOLVED if ledger else IncidentState.NEEDS_HUMAN
            if kept_back := held_back(state):
                news["ending"] += f"; not executed on its own: {kept_back}"
                news["state"] = IncidentState.NEEDS_HUMAN
            news["timeline"] = told(state, rooms, "ActionPlanning", news["ending"], severity="warning")
        else:
            lines = [plan.summary, *(step.text for step in plan.steps)]
            if mode == "observe":
                news["ending"] = "mode observe: nothing is changed"
                news["state"] = IncidentState.UNRESOLVED
            news["timeline"] = told(state, rooms, "ActionPlanning", *lines)
        news["spent"] = spent(state, "diagnose", watch())
        return news


def others(rooms: Rooms, state: State, diagnosis: Diagnosis, plan: ActionPlan | None) -> tuple[ActionPlan, ...]:
    """Return plans to compare with the one made: for the same cause, then for the next most plausible ones."""
    most = rooms.settings.limits.candidates
    if plan is None or rooms.rehearsal is None or most < 2:
        return ()
    case = case_of({**state, "ledger": diagnosis.hypotheses}, rooms)
    first = diagnosis.hypothesis(plan.hypothesis)
    open_ones = [h for h in diagnosis.hypotheses if h.status == "open" and h is not first]
    likely = [h for h in open_ones if first is not None and h.confidence >= RIVAL * first.confidence]
    found: list[ActionPlan] = []
    for hypothesis in [*([first] if first is not None else []), *likely]:
        found += [p for p in rooms.brain.alternatives(case, hypothesis, most) if p.steps and p not in found]
        if len(found) > most:
            break
    return tuple(found[: most + 1])


def held_back(state: State) -> str:
    """Return what was foretold of plans that were not executed for it, empty when there is none."""
    refusals = (r for a in state.get("attempts", ()) if not a.executed for r in a.refusals if r.code == PREDICTED)
    return "; ".join(dict.fromkeys(f"{r.command}: {r.message}" for r in refusals))


RIVAL = 0.5
"""Share of the chosen cause's confidence from which another cause's plan is worth comparing."""


def look(state: State, rooms: Rooms) -> Observation:
    """Look at the cluster anew, as after an undo or a partial success."""
    settings = rooms.settings
    observation = collect(
        rooms.reader,
        rooms.telemetry,
        namespaces_of(state),
        now=rooms.clock.now(),
        window=settings.window,
        step=settings.step,
        baseline=settings.baseline,
        protected=settings.policy.protected_namespaces,
    )
    return observation.model_copy(update={"alerts": tuple(state.get("verified", ()))})


def plan_first(
    rooms: Rooms, state: State, diagnosis: Diagnosis
) -> tuple[ActionPlan | None, Hypothesis | None, tuple[Hypothesis, ...]]:
    """Return the first plan along the ranking, its hypothesis, and the ledger with the passed-over marked."""
    case = case_of({**state, "ledger": diagnosis.hypotheses}, rooms)
    ledger = {h.id: h for h in diagnosis.hypotheses}
    first = [diagnosis.chosen] if diagnosis.chosen else []
    others = [h.id for h in diagnosis.hypotheses if h.status == "open" and h.id != diagnosis.chosen]
    for number in [*first, *others] if first else []:
        hypothesis = ledger[number]
        plan = rooms.brain.plan(case, hypothesis)
        if plan is not None and plan.steps:
            return plan, hypothesis, tuple(ledger.values())
    return None, None, tuple(ledger.values())
