"""The rules reasoner, offline and deterministic: analyzers rank causes, runbooks and remedies supply actions."""

from __future__ import annotations

from stratus.diagnosis.alternatives import plans_of
from stratus.diagnosis.analyzers import findings
from stratus.diagnosis.planning import make_plan
from stratus.diagnosis.ranking import rank
from stratus.diagnosis.world import World
from stratus.diagnosis.writing import command_for
from stratus.kit.text import line
from stratus.model.actions import ActionPlan, ActionStep, Refusal
from stratus.model.cases import Case
from stratus.model.diagnosis import Diagnosis, Hypothesis
from stratus.model.reports import ModelUsage
from stratus.settings import Settings

WORTH = 0.2
"""Confidence below which a hypothesis is not acted upon."""
SHOWN = 12
"""Hypotheses that are kept in the ledger at most."""


class RulesReasoner:
    """Thinks in rules; implements `diagnosis.base.Reasoner` and `mitigation.base.CommandWriter`."""

    name = "rules"

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    def diagnose(self, case: Case) -> Diagnosis:
        """Return the ranked ledger; chosen is the most plausible hypothesis for which something untried can be done."""
        world = World(case)
        ranked = rank(world, findings(world), case.ledger)
        kept = [h for i, h in enumerate(ranked) if i < SHOWN or h.status != "open"]
        chosen = next((h for h in kept if h.confidence >= WORTH and self.plan(case, h) is not None), None)
        return Diagnosis(
            hypotheses=tuple(kept),
            chosen=chosen.id if chosen else "",
            templates=case.templates,
            citations=case.citations,
            reasoning=explain(case, kept, chosen),
        )

    def plan(self, case: Case, hypothesis: Hypothesis) -> ActionPlan | None:
        """Return steps that would repair the cause, or None when no safe untried action is known."""
        return make_plan(case, hypothesis)

    def alternatives(self, case: Case, hypothesis: Hypothesis, most: int) -> tuple[ActionPlan, ...]:
        """Return the plans known for a cause, best first."""
        return tuple(plans_of(self.plan, case, hypothesis, most))

    def command(self, step: ActionStep, case: Case, refusals: tuple[Refusal, ...]) -> str:
        """Return the step's own command, else the one its sentence says; empty to give up.

        Rules cannot rewrite: a command that was refused already is given up.
        """
        del case
        written = step.command or command_for(step)
        return "" if any(r.command == written for r in refusals) else written

    def usage(self) -> ModelUsage:
        """Return zero: rules cost no model calls."""
        return ModelUsage()


def explain(case: Case, ranked: list[Hypothesis], chosen: Hypothesis | None) -> str:
    """Say in a few sentences what is thought and why."""
    alive = [h for h in ranked if h.status in ("open", "tried")]
    if not alive:
        return "No object, event, log or request figure points to a cause."
    top = alive[0]
    parts = [f"Most plausible ({top.confidence:.0%}): {top.summary}."]
    if top.evidence_for:
        parts.append("For it: " + "; ".join(f"{e.summary} [{e.id}]" for e in top.evidence_for[:3]) + ".")
    if top.evidence_against:
        parts.append("Against it: " + "; ".join(f"{e.summary} [{e.id}]" for e in top.evidence_against[:2]) + ".")
    if chosen is not None and chosen.id != top.id:
        parts.append(f"Nothing untried is known for it; {chosen.id} is acted on: {chosen.summary}.")
    elif chosen is None:
        parts.append("No safe untried action is known for it.")
    others = [h for h in alive[1:4] if h is not chosen]
    if others:
        parts.append("Also possible: " + "; ".join(f"{h.id} {h.summary} ({h.confidence:.0%})" for h in others) + ".")
    failed = [h for h in ranked if h.status == "tried"]
    if failed and case.attempts:
        parts.append("Tried without success: " + "; ".join(f"{h.id} {h.fault}" for h in failed) + ".")
    return line(" ".join(parts), 2000)
