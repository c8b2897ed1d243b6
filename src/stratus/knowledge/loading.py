"""Opening the knowledge beside other work."""

from __future__ import annotations

import threading
from collections.abc import Callable

from stratus.knowledge.base import KnowledgeBase
from stratus.knowledge.passages import KINDS
from stratus.model.diagnosis import Citation, FaultClass
from stratus.model.knowledge import Runbook, Ticket
from stratus.settings import Settings


class KnowledgeLoader:
    """A `KnowledgeBase` that is opened by a thread of its own and waited for when it is first used.

    What goes wrong while opening is raised at the first use, and at every later one.

    Args:
        factory: opens the knowledge base.
        warm: search once in the background, so that the embedding model is loaded as well.
    """

    def __init__(self, factory: Callable[[], KnowledgeBase], *, warm: bool = True) -> None:
        self._factory = factory
        self._warm = warm
        self._knowledge: KnowledgeBase | None = None
        self._error: Exception | None = None
        # Not a daemon: the interpreter must not go away under a thread that is inside native code.
        self._thread = threading.Thread(target=self._load, name="stratus-knowledge")
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether `get` would return or raise at once."""
        return not self._thread.is_alive()

    def get(self) -> KnowledgeBase:
        """Wait until the knowledge base is open and return it.

        Raises:
            StratusError: what the factory raised.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        if self._knowledge is None:
            raise RuntimeError("the thread that opens the knowledge base ended without a result")
        return self._knowledge

    def search(self, query: str, *, limit: int = 5, kinds: tuple[str, ...] = KINDS) -> tuple[Citation, ...]:
        """See `KnowledgeBase.search`."""
        return self.get().search(query, limit=limit, kinds=kinds)

    def runbooks(self, fault: FaultClass | None = None) -> tuple[Runbook, ...]:
        """See `KnowledgeBase.runbooks`."""
        return self.get().runbooks(fault)

    def add_ticket(self, ticket: Ticket) -> None:
        """See `KnowledgeBase.add_ticket`."""
        self.get().add_ticket(ticket)

    def close(self) -> None:
        """Wait for the thread and close the knowledge base, if it was opened and can be closed."""
        self._thread.join()
        close = getattr(self._knowledge, "close", None)
        if close is not None:
            close()

    def _load(self) -> None:
        try:
            knowledge = self._factory()
            self._knowledge = knowledge
            if self._warm:
                knowledge.search("warm up", limit=1)
        except Exception as error:
            self._error = error


def load_knowledge(settings: Settings) -> KnowledgeLoader:
    """Begin to open the knowledge of `settings` in the background; importing and opening Chroma takes a second."""

    def factory() -> KnowledgeBase:
        from stratus.knowledge.chroma import open_knowledge

        return open_knowledge(settings)

    return KnowledgeLoader(factory)
