"""Port to a chat model that answers in typed schemas, within a budget."""

from __future__ import annotations

from typing import Protocol, TypeVar

from pydantic import BaseModel

from stratus.model.reports import ModelUsage

Answer = TypeVar("Answer", bound=BaseModel)


class Thinker(Protocol):
    """A chat model behind typed answers."""

    def ask(self, schema: type[Answer], *, system: str, prompt: str) -> Answer:
        """Return an answer that validates against the schema, repairing malformed answers a bounded number of times.

        Raises:
            ReasoningError: no valid answer after repair.
            ModelUnreachable: the model does not answer.
            BudgetSpent: the call, token or money budget is used up.
        """
        ...

    def usage(self) -> ModelUsage:
        """Return what has been spent so far."""
        ...
