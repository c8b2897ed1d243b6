"""Rehearsal: plans are run on a twin of the cluster, compared, and the best is taken; the cluster is only read."""

from __future__ import annotations

from collections.abc import Iterable

from stratus.flow.nodes.mitigation import affected, linted
from stratus.flow.nodes.story import Mood, case_of, spent, told
from stratus.flow.rooms import Rooms, RoomsFor
from stratus.flow.state import State
from stratus.mitigation.foresight import PREDICTED, UNREHEARSED, Rehearsal, harmful, ranked
from stratus.model.actions import ActionPlan, MitigationPlan, Refusal
from stratus.model.cases import Case
from stratus.model.rehearsals import GOOD, Prediction, Rehearsed
from stratus.model.reports import IncidentState


class RehearsalNodes:
    """Between lint and the first write."""

    def __init__(self, rooms_for: RoomsFor) -> None:
        self.rooms_for = rooms_for

    def rehearse(self, state: State) -> State:
        """Foretell what the plan at hand and its rivals would do, and go on with the best of them.

        A plan that is foretold to make things worse is not executed without a person: the next one is taken, and
        where there is none the plan is refused, so that the round ends as any other in vain.
        """
        rooms = self.rooms_for(state)
        mitigation = state["mitigation"]
        assert mitigation is not None, "the edge to Rehearsal needs a linted plan"
        if rooms.rehearsal is None:
            return {"prediction": None}
        watch = rooms.stopwatch()
        case = case_of(state, rooms)
        plans = [mitigation, *rivals(rooms, state, case, mitigation)]
        predictions = self._foretold(rooms.rehearsal, state, plans)
        waited: list[str] = []
        if state.get("mode") == "auto" and all(f.verdict == "REGRESSED" for f in predictions) and moving(predictions):
            # Whatever is done now would be blamed for what comes by itself: let that come first.
            rooms.clock.sleep(rooms.settings.health.settle_max)
            waited = [f"it gets worse by itself; looked again after {rooms.settings.health.settle_max:.0f} s"]
            predictions = self._foretold(rooms.rehearsal, state, plans)
        order = ranked([(confidence(state, p), f) for p, f in zip(plans, predictions, strict=True)])
        best = next((i for i in order if not self._barred(rooms, state, predictions[i])), None)
        taken = order[0] if best is None else best
        plan, prediction = plans[taken], predictions[taken]
        news: State = {
            "prediction": prediction,
            "rehearsals": (
                *state.get("rehearsals", ()),
                *(
                    _row(state, p, f, chosen=i == best, held_back=self._barred(rooms, state, f))
                    for i, (p, f) in enumerate(zip(plans, predictions, strict=True))
                ),
            ),
        }
        lines = [*waited, f"{plan.plan.summary}: {prediction.text()}"]
        lines += [f"passed over: {plans[i].plan.summary}: {predictions[i].text()}" for i in order if i != taken]
        mood: Mood = "good" if prediction.verdict in GOOD else "info"
        if taken:
            news |= {"mitigation": plan, "plan": plan.plan, "commands": plan.commands}
            news["diagnosis"] = state["diagnosis"].model_copy(update={"chosen": plan.plan.hypothesis})
        if best is None:
            mood = "warning"
            refusal = refused(plan, prediction)
            news["refusals"] = (*state.get("refusals", ()), refusal)
            news["mitigation"] = plan.model_copy(update={"refusals": (*plan.refusals, refusal)})
            lines.append(f"not executed: {refusal.message}")
            if refusal.code == UNREHEARSED:
                news["state"], news["ending"] = IncidentState.NEEDS_HUMAN, refusal.message
        news["timeline"] = told(state, rooms, "Rehearsal", *lines, severity=mood)
        news["spent"] = spent(state, "mitigate", watch())
        return news

    @staticmethod
    def _foretold(rehearsal: Rehearsal, state: State, plans: list[MitigationPlan]) -> tuple[Prediction, ...]:
        services = state["detection"].services
        return rehearsal.foretell(plans, namespaces=affected(state), services=services, served=served(state))

    @staticmethod
    def _barred(rooms: Rooms, state: State, prediction: Prediction) -> bool:
        """Tell whether a plan may not be executed on its own; a person who is asked sees what is foretold."""
        if state.get("mode") != "auto":
            return False
        return harmful(prediction) or (rooms.settings.rehearsal == "on" and not prediction.rehearsed)


def moving(predictions: Iterable[Prediction]) -> bool:
    """Tell whether some of what was foretold would happen anyway."""
    return any(prediction.by_itself for prediction in predictions)


def rivals(rooms: Rooms, state: State, case: Case, mitigation: MitigationPlan) -> list[MitigationPlan]:
    """Return the other plans of this round that lint lets through; those whose commands are not written yet are not."""
    found: list[MitigationPlan] = []
    for plan in state.get("candidates", ()):
        if len(found) + 1 >= rooms.settings.limits.candidates:
            break
        if plan.hypothesis == mitigation.plan.hypothesis and _same(plan, mitigation.plan):
            continue
        if not all(step.command for step in plan.steps):
            continue
        result = linted(rooms, state, plan, case)
        written = [w.write.model_dump() for w in result.writes]
        if result.executable and written not in (
            [w.write.model_dump() for w in p.writes] for p in (mitigation, *found)
        ):
            found.append(result)
    return found


def served(state: State) -> dict[str, float]:
    """Return when the trouble began, by the name of each service whose requests were answered well until then."""
    detection, conditions = state.get("detection"), state.get("conditions")
    if detection is None or conditions is None or not detection.onset:
        return {}
    return {
        name: detection.onset
        for name, normal in conditions.baseline.items()
        if normal.request_rate and normal.error_rate is not None and normal.error_rate < WELL
    }


def confidence(state: State, mitigation: MitigationPlan) -> float:
    """Return the planner's confidence in the cause that a plan treats."""
    found = next((h for h in state.get("ledger", ()) if h.id == mitigation.plan.hypothesis), None)
    return found.confidence if found is not None else 0.0


def refused(plan: MitigationPlan, prediction: Prediction) -> Refusal:
    """Return why a plan is not executed, for the next round and for people."""
    first = plan.commands[0].command if plan.commands else ""
    if not prediction.rehearsed:
        message = f"it could not be rehearsed, and `rehearsal` is `on`: {prediction.reason}"
        return Refusal(command=first, code=UNREHEARSED, message=message, hint="a person may approve it")
    message = f"a rehearsal foretells {prediction.verdict} ({prediction.reason})"
    return Refusal(command=first, code=PREDICTED, message=message, hint="find another way, or ask a person")


def _row(state: State, plan: MitigationPlan, prediction: Prediction, *, chosen: bool, held_back: bool) -> Rehearsed:
    return Rehearsed(
        attempt=len(state.get("attempts", ())) + 1,
        hypothesis=plan.plan.hypothesis,
        summary=plan.plan.summary,
        commands=tuple(c.command for c in plan.commands),
        confidence=confidence(state, plan),
        prediction=prediction,
        chosen=chosen,
        held_back=held_back,
    )


def _same(one: ActionPlan, other: ActionPlan) -> bool:
    return [s.command for s in one.steps] == [s.command for s in other.steps]


WELL = 0.05
"""Error rate below which a service was well before the trouble began."""
