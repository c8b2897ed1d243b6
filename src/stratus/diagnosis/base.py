"""The port through which diagnosis thinks."""

from __future__ import annotations

from typing import Protocol

from stratus.model.actions import ActionPlan
from stratus.model.cases import Case
from stratus.model.diagnosis import Diagnosis, Hypothesis
from stratus.model.reports import ModelUsage


class Reasoner(Protocol):
    """Thinks about a case; never touches the cluster.

    Implementations: rules (offline, deterministic) and model (any chat model). Both pass one conformance suite.
    """

    name: str
    """As given to `--reasoner`: `rules`, `openai:MODEL` ..."""

    def diagnose(self, case: Case) -> Diagnosis:
        """Return the ranked ledger; `chosen` is the hypothesis to act on next, empty when none is worth acting on.

        A hypothesis whose action failed (status `tried`) is not chosen again with the same action.
        """
        ...

    def plan(self, case: Case, hypothesis: Hypothesis) -> ActionPlan | None:
        """Return steps that would repair the cause, or None when no safe action is known."""
        ...

    def alternatives(self, case: Case, hypothesis: Hypothesis, most: int) -> tuple[ActionPlan, ...]:
        """Return up to `most` plans for a cause, best first, as far as they are known without further thought.

        They are compared with what `plan` returns; no model is asked for them.
        """
        ...

    def usage(self) -> ModelUsage:
        """Return what thinking has cost so far."""
        ...
