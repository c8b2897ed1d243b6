"""Several plans for one cause: each is what a planner would do if those before it had failed."""

from __future__ import annotations

from collections.abc import Callable

from stratus.model.actions import ActionPlan
from stratus.model.cases import Case
from stratus.model.diagnosis import Hypothesis
from stratus.model.reports import Attempt

Planner = Callable[[Case, Hypothesis], ActionPlan | None]


def plans_of(planner: Planner, case: Case, hypothesis: Hypothesis, most: int) -> list[ActionPlan]:
    """Return a planner's plans for a hypothesis, best first, `most` at most."""
    plans: list[ActionPlan] = []
    while len(plans) < most:
        plan = planner(case, hypothesis)
        if plan is None or not plan.steps or commands_of(plan) in map(commands_of, plans):
            break
        plans.append(plan)
        supposed = Attempt(
            number=len(case.attempts) + 1,
            hypothesis=hypothesis.id,
            summary=plan.summary,
            commands=commands_of(plan),
            executed=True,
            verdict="UNCHANGED",
            undone=True,
        )
        case = case.model_copy(update={"attempts": (*case.attempts, supposed)})
    return plans


def commands_of(plan: ActionPlan) -> tuple[str, ...]:
    """Return the commands of a plan; the sentence of a step that has none yet."""
    return tuple(step.command or step.text for step in plan.steps)
