"""Ports to stored knowledge: embedding texts, and retrieving runbooks and past incidents with citations."""

from __future__ import annotations

from typing import Protocol

from stratus.model.diagnosis import Citation, FaultClass
from stratus.model.knowledge import Runbook, Ticket


class Embedder(Protocol):
    """Texts to unit vectors of all-MiniLM-L6-v2."""

    dimensions: int
    """384."""

    def embed(self, texts: list[str]) -> list[list[float]]:
        """Return one L2-normalised vector a text."""
        ...


class KnowledgeBase(Protocol):
    """Runbooks, tickets and log templates of past incidents."""

    def search(
        self, query: str, *, limit: int = 5, kinds: tuple[str, ...] = ("runbook", "ticket", "log")
    ) -> tuple[Citation, ...]:
        """Return the best passages, best first, each with a similarity in [0, 1]; weak matches are left out."""
        ...

    def runbooks(self, fault: FaultClass | None = None) -> tuple[Runbook, ...]:
        """Return all runbooks, or those that treat a class of cause."""
        ...

    def add_ticket(self, ticket: Ticket) -> None:
        """Remember a resolved incident; the same id replaces."""
        ...
