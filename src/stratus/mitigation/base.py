"""The port through which a step in words becomes a kubectl command."""

from __future__ import annotations

from typing import Protocol

from stratus.model.actions import ActionStep, Refusal
from stratus.model.cases import Case


class CommandWriter(Protocol):
    """NL2Kubectl's brain: the same object as the `Reasoner` of diagnosis, seen through this smaller door."""

    def command(self, step: ActionStep, case: Case, refusals: tuple[Refusal, ...]) -> str:
        """Return one kubectl command line for the step, repaired in the light of earlier refusals; empty to give up."""
        ...
