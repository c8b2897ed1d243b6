"""Ranking plans by what a rehearsal foretold of them; the port through which plans are rehearsed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from stratus.model.actions import MitigationPlan
from stratus.model.health import Verdict
from stratus.model.rehearsals import Prediction

PREDICTED = "predicted_regression"
"""Code of the refusal of a plan that was foretold to make things worse."""
UNREHEARSED = "not_rehearsed"
"""Code of the refusal of a plan that could not be rehearsed although it has to be."""
_RANK: dict[Verdict, int] = {"RESOLVED": 0, "IMPROVED": 1, "UNKNOWN": 2, "UNCHANGED": 3, "REGRESSED": 4}


class Rehearsal(Protocol):
    """Runs plans where nothing can be harmed; never touches the cluster but to read it."""

    def foretell(
        self,
        plans: Sequence[MitigationPlan],
        *,
        namespaces: tuple[str, ...],
        services: tuple[str, ...],
        served: Mapping[str, float],
    ) -> tuple[Prediction, ...]:
        """Return a prediction for each plan, in order; one that cannot be rehearsed says so and why. Never raises.

        Args:
            plans: linted, executable ones.
            namespaces: those whose health counts.
            services: those of the incident, as `namespace/name`.
            served: when the trouble began, epoch seconds, by the name of each service that was well until then.
        """
        ...


def cost_key(prediction: Prediction) -> tuple[float, ...]:
    """Return what taking a plan back costs, the dearer the greater: inexact, lossy, rollouts, time, requests."""
    inexact = 1.0 if prediction.undo_exact is False else 0.0
    return (
        inexact,
        float(prediction.undo_losses),
        float(prediction.undo_rollouts),
        round(prediction.undo_seconds, -1),
        float(prediction.undo_requests),
    )


def ranked(candidates: Sequence[tuple[float, Prediction]]) -> list[int]:
    """Return the candidates' numbers, the one to take first.

    What was foretold comes first, then what an undo would cost, then the planner's own confidence. Where nothing is
    foretold, the planner's order stands, but for plans whose undo was seen not to be exact: a cheap undo is no reason
    to believe in a plan.

    Args:
        candidates: confidence and prediction of each, in the planner's order.
    """

    def key(number: int) -> tuple[int, tuple[float, ...], float, int]:
        confidence, prediction = candidates[number]
        cost = cost_key(prediction)
        if prediction.verdict == "UNKNOWN":
            return _RANK[prediction.verdict], cost[:1], 0.0, number
        return _RANK[prediction.verdict], cost, -confidence, number

    return sorted(range(len(candidates)), key=key)


def harmful(prediction: Prediction) -> bool:
    """Tell whether a plan must not be executed without a person: it makes things worse whatever is not known.

    What gets worse by itself is not the plan's doing.
    """
    return prediction.rehearsed and prediction.verdict == "REGRESSED" and not prediction.by_itself
