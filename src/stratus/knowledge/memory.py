"""Knowledge held in memory and searched by words only: no index, no model, nothing on disk."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from stratus.errors import KnowledgeError
from stratus.knowledge.lexical import Bm25
from stratus.knowledge.passages import KINDS, Passage, of_runbook, of_ticket
from stratus.knowledge.retrieval import Floors, cite
from stratus.knowledge.runbooks import load_runbooks
from stratus.model.diagnosis import Citation, FaultClass
from stratus.model.knowledge import Runbook, Ticket
from stratus.settings import Settings

FLOORS = Floors(similarity=1.1, coverage=0.36, least=0.0)
"""Without vectors only the words count."""


class InMemoryKnowledge:
    """A `KnowledgeBase` over given runbooks and tickets; tickets added are forgotten with the process."""

    def __init__(self, runbooks: Iterable[Runbook] = (), tickets: Iterable[Ticket] = ()) -> None:
        self._runbooks = tuple(runbooks)
        self._tickets = {ticket.id: ticket for ticket in tickets}
        self._lock = threading.Lock()
        self._index()

    @classmethod
    def shipped(cls, settings: Settings | None = None) -> InMemoryKnowledge:
        """Hold the shipped runbooks and those of `settings.runbooks_dir`.

        Raises:
            KnowledgeError: when a runbook is wrong.
        """
        return cls(load_runbooks(settings or Settings()))

    def search(self, query: str, *, limit: int = 5, kinds: tuple[str, ...] = KINDS) -> tuple[Citation, ...]:
        """Return the best passages by words, best first; the score is the share of the query's information found."""
        check_kinds(kinds)
        with self._lock:
            passages, bm25 = self._passages, self._bm25
        hits = {key: hit for key, hit in bm25.search(query).items() if passages[key].kind in kinds}
        return cite(passages, {}, hits, limit=limit, floors=FLOORS)

    def runbooks(self, fault: FaultClass | None = None) -> tuple[Runbook, ...]:
        """Return all runbooks, or those that treat a class of cause."""
        return treating(self._runbooks, fault)

    def add_ticket(self, ticket: Ticket) -> None:
        """Remember a resolved incident; the same id replaces."""
        if not ticket.id.strip():
            raise KnowledgeError("a ticket needs an id")
        with self._lock:
            self._tickets[ticket.id] = ticket
            self._index()

    def _index(self) -> None:
        cut: list[Passage] = [passage for book in self._runbooks for passage in of_runbook(book)]
        cut += [passage for ticket in self._tickets.values() for passage in of_ticket(ticket)]
        self._passages = {passage.key: passage for passage in cut}
        self._bm25 = Bm25({key: passage.indexed for key, passage in self._passages.items()})


def treating(books: tuple[Runbook, ...], fault: FaultClass | None) -> tuple[Runbook, ...]:
    """Return the runbooks that treat a class; those that treat it before all else first."""
    if fault is None:
        return books
    return tuple(sorted((book for book in books if fault in book.faults), key=lambda book: book.faults.index(fault)))


def check_kinds(kinds: tuple[str, ...]) -> None:
    """Refuse kinds of knowledge that do not exist.

    Raises:
        KnowledgeError: naming the first.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise KnowledgeError(f"there is no kind of knowledge `{kind}`; known: {', '.join(KINDS)}")
