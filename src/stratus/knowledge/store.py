"""The door to the knowledge: open it now, or let it open beside other work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from stratus.knowledge.base import Embedder, KnowledgeBase
from stratus.knowledge.passages import KINDS
from stratus.model.diagnosis import Citation, FaultClass
from stratus.model.knowledge import Runbook, Ticket
from stratus.settings import Settings

if TYPE_CHECKING:
    from stratus.knowledge.chroma import ChromaKnowledge


def open_knowledge(settings: Settings, *, embedder: Embedder | None = None) -> ChromaKnowledge:
    """Open the knowledge under `settings.state_dir`: read runbooks and tickets and bring the index up to date.

    Only what is new or changed is embedded; the shipped runbooks' vectors come with the package. The model itself is
    loaded at the first search.

    Args:
        settings: `state_dir`, `runbooks_dir`, `embedder`.
        embedder: used instead of the one that `settings.embedder` names.

    Raises:
        KnowledgeError: when a runbook is wrong, or the folder or the index cannot be used.
        UnknownNameError: when there is no such embedder.
    """
    from stratus.knowledge.chroma import ChromaKnowledge
    from stratus.knowledge.embedding import embedder as named

    return ChromaKnowledge(settings, embedder or named(settings.embedder))


class KnowledgeLoader:
    """A `KnowledgeBase` that is opened by a thread of its own and waited for when it is first used.

    What goes wrong while opening is raised at the first use, and at every later one.

    Args:
        settings: given to the factory.
        factory: opens the knowledge base.
        warm: search once in the background, so that the embedding model is loaded as well.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        factory: Callable[[Settings], KnowledgeBase] = open_knowledge,
        warm: bool = True,
    ) -> None:
        self._settings = settings
        self._factory = factory
        self._warm = warm
        self._knowledge: KnowledgeBase | None = None
        self._error: Exception | None = None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to open in the background; once is enough, and the first use does it too."""
        with self._lock:
            if self._thread is None:
                # Not a daemon: the interpreter must not go away under a thread that is inside native code.
                self._thread = threading.Thread(target=self._load, name="stratus-knowledge")
                self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether `get` would return or raise at once."""
        return self._thread is not None and not self._thread.is_alive()

    def get(self) -> KnowledgeBase:
        """Wait until the knowledge base is open and return it.

        Raises:
            StratusError: what the factory raised.
        """
        self._wait()
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
        """Wait for the thread and close what it opened; harmless when nothing was started."""
        if self._thread is not None:
            self._thread.join()
        close = getattr(self._knowledge, "close", None)
        if close is not None:
            close()

    def _wait(self) -> None:
        self.start()
        if self._thread is not None:
            self._thread.join()

    def _load(self) -> None:
        try:
            self._knowledge = self._factory(self._settings)
            if self._warm:
                self._knowledge.search("warm up", limit=1)
        # Kept for whoever uses the knowledge: a thread has nobody to raise it to.
        except Exception as error:
            self._error = error
