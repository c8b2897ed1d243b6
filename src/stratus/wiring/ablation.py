"""Parts of Stratus switched off one at a time, so that what each brings can be measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stratus.errors import UsageError
from stratus.model.actions import ActionPlan, ActionStep, Refusal
from stratus.model.cases import Case
from stratus.model.diagnosis import Citation, Diagnosis, FaultClass, Hypothesis
from stratus.model.health import HealthVector, VerdictReport
from stratus.model.knowledge import Runbook, Ticket
from stratus.model.reports import ModelUsage
from stratus.settings import Settings
from stratus.transaction.engine import TransactionEngine

if TYPE_CHECKING:
    from stratus.flow.rooms import Brain
    from stratus.transaction.carrier import Carrier
    from stratus.transaction.verdict import Conditions

PARTS = {
    "tnr": "no look at health after a change: what was executed counts as the cure and stays",
    "undo": "health is looked at, and a change that did not help stays all the same",
    "rag": "no runbooks and nothing retrieved; only built-in remedies",
    "rehearsal": "plans are not rehearsed on a copy of the cluster",
    "rules": "the model alone, without the findings and plans of the rules",
    "model": "the rules alone, whatever reasoner is named",
    "rediagnosis": "one diagnosis; later attempts go down its list",
}
"""What can be switched off, and what is then different."""


def checked(settings: Settings) -> frozenset[str]:
    """Return the parts that are switched off.

    Raises:
        UsageError: one is unknown, or the rules are switched off where there is no model.
    """
    off = frozenset(settings.ablate)
    if unknown := sorted(off - PARTS.keys()):
        raise UsageError(f"cannot ablate {', '.join(unknown)}: parts are {', '.join(PARTS)}")
    if {"rules", "model"} <= off:
        raise UsageError("without rules and without a model nothing is left to think with")
    return off


class Ungated(TransactionEngine):
    """An engine for which every executed change is the cure; for measuring only."""

    def _judged(self, carrier: Carrier, conditions: Conditions) -> tuple[tuple[HealthVector, ...], VerdictReport]:
        after, report = super()._judged(carrier, conditions)
        reason = f"not looked at (it would have been {report.verdict})"
        return after, report.model_copy(update={"verdict": "RESOLVED", "reason": reason})


class Unforgiving(TransactionEngine):
    """An engine that keeps what did not help; for measuring only."""

    def _judged(self, carrier: Carrier, conditions: Conditions) -> tuple[tuple[HealthVector, ...], VerdictReport]:
        after, report = super()._judged(carrier, conditions)
        if report.verdict in ("RESOLVED", "IMPROVED"):
            return after, report
        reason = f"kept although {report.verdict}: {report.reason}"
        return after, report.model_copy(update={"verdict": "IMPROVED", "reason": reason})


def engine_class(off: frozenset[str]) -> type[TransactionEngine]:
    """Return the engine to use."""
    return Ungated if "tnr" in off else Unforgiving if "undo" in off else TransactionEngine


class Ignorant:
    """A `KnowledgeBase` that knows nothing and learns nothing."""

    def search(
        self, query: str, *, limit: int = 5, kinds: tuple[str, ...] = ("runbook", "ticket", "log")
    ) -> tuple[Citation, ...]:
        """Return nothing."""
        return ()

    def runbooks(self, fault: FaultClass | None = None) -> tuple[Runbook, ...]:
        """Return none."""
        return ()

    def add_ticket(self, ticket: Ticket) -> None:
        """Forget it."""


class Speechless:
    """Rules that find nothing, so that a model has to think alone."""

    name = "none"

    def diagnose(self, case: Case) -> Diagnosis:
        """Return an empty ledger, or what the model wrote into it earlier."""
        return Diagnosis(hypotheses=case.ledger, templates=case.templates, citations=case.citations)

    def plan(self, case: Case, hypothesis: Hypothesis) -> ActionPlan | None:
        """Know no action."""
        return None

    def alternatives(self, case: Case, hypothesis: Hypothesis, most: int) -> tuple[ActionPlan, ...]:
        """Know none."""
        return ()

    def command(self, step: ActionStep, case: Case, refusals: tuple[Refusal, ...]) -> str:
        """Return the step's own command, unless it was refused."""
        return "" if any(r.command == step.command for r in refusals) else step.command

    def usage(self) -> ModelUsage:
        """Return zero."""
        return ModelUsage()


class Settled:
    """A brain that diagnoses once; later rounds go down the list of the first."""

    def __init__(self, brain: Brain) -> None:
        self._brain = brain
        self.name = brain.name
        self._first: Diagnosis | None = None

    def diagnose(self, case: Case) -> Diagnosis:
        """Return the first diagnosis with what has become of its hypotheses since."""
        if self._first is None:
            self._first = self._brain.diagnose(case)
            return self._first
        status = {h.id: h.status for h in case.ledger}
        known = tuple(h.model_copy(update={"status": status.get(h.id, h.status)}) for h in self._first.hypotheses)
        left = (h for h in known if h.status == "open" and self._brain.plan(case, h) is not None)
        chosen = next(left, None)
        return self._first.model_copy(update={"hypotheses": known, "chosen": chosen.id if chosen else ""})

    def plan(self, case: Case, hypothesis: Hypothesis) -> ActionPlan | None:
        """Plan as the brain does."""
        return self._brain.plan(case, hypothesis)

    def alternatives(self, case: Case, hypothesis: Hypothesis, most: int) -> tuple[ActionPlan, ...]:
        """Offer what the brain does."""
        return self._brain.alternatives(case, hypothesis, most)

    def command(self, step: ActionStep, case: Case, refusals: tuple[Refusal, ...]) -> str:
        """Write as the brain does."""
        return self._brain.command(step, case, refusals)

    def usage(self) -> ModelUsage:
        """Return what the brain has cost."""
        return self._brain.usage()
