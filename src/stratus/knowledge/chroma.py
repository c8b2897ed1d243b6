"""The knowledge base: files are the truth, Chroma is their index, meaning and words rank together."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from stratus.errors import KnowledgeError
from stratus.knowledge import frontmatter
from stratus.knowledge import vectors as shipped
from stratus.knowledge.base import Embedder
from stratus.knowledge.embedding import MODEL_NAME
from stratus.knowledge.index import Damaged, VectorStore, open_store
from stratus.knowledge.lexical import Bm25
from stratus.knowledge.memory import check_kinds, treating
from stratus.knowledge.passages import KINDS, Kind, Passage, of_runbook, of_ticket
from stratus.knowledge.retrieval import Floors, cite
from stratus.knowledge.runbooks import copy_runbook, load_runbooks, own_folder, read_runbook, runbook_files
from stratus.knowledge.tickets import read_ticket, read_tickets, ticket_files, tickets_folder, write_ticket
from stratus.model.base import Noun
from stratus.model.diagnosis import Citation, FaultClass
from stratus.model.knowledge import Runbook, Ticket
from stratus.settings import Settings

LOG = logging.getLogger(__name__)

CANDIDATES = 60
"""Passages asked of each collection; a runbook has about seven, so this reaches well over the best ten documents."""

Stamp = tuple[tuple[str, int, int], ...]


class IndexReport(Noun):
    """What the last look at the files changed in the index.

    Attributes:
        passages: pieces in the index now.
        added: pieces written; removed: pieces whose file has changed or gone.
        embedded: pieces for which the model was run; the others' vectors were shipped or known.
    """

    passages: int = 0
    added: int = 0
    removed: int = 0
    embedded: int = 0


class ChromaKnowledge:
    """A `KnowledgeBase` on disk. Made by `stratus.knowledge.store.open_knowledge`; safe to share between threads.

    Before each search the files' times are looked at; what another process has added is taken in.
    """

    def __init__(self, settings: Settings, model: Embedder) -> None:
        self._settings = settings
        self._embedder = model
        self._lock = threading.RLock()
        self._floors = Floors()
        self._vectors = _shipped_vectors(model)
        self._books: tuple[Runbook, ...] = ()
        self._tickets: dict[Path, Ticket] = {}
        self._passages: dict[str, Passage] = {}
        self._known: dict[Kind, set[str]] = {}
        self._bm25 = Bm25({})
        self._embedded = 0
        self.report = IndexReport()
        self._stamp = self._look()
        self._read()
        self._store = self._open()

    def search(self, query: str, *, limit: int = 5, kinds: tuple[str, ...] = KINDS) -> tuple[Citation, ...]:
        """Return the best passages by meaning and words, best first; weak matches are left out.

        The score is the cosine of query and passage in [0, 1].

        Raises:
            KnowledgeError: for an unknown kind, or when model or index cannot be used.
        """
        check_kinds(kinds)
        if not query.strip() or limit <= 0:
            return ()
        vector = self._embedder.embed([query])[0]
        with self._lock:
            self._refresh()
            try:
                return self._search(query, vector, limit, kinds)
            except Damaged as error:
                LOG.warning("the knowledge index failed (%s): it is opened again", error)
            self._store.close()
            self._store = self._open()
            try:
                return self._search(query, vector, limit, kinds)
            except Damaged as error:
                raise KnowledgeError(
                    f"the knowledge index in {self._store.folder} cannot be searched: {error}; "
                    f"remove {self._store.folder.parent} and start again"
                ) from error

    def runbooks(self, fault: FaultClass | None = None) -> tuple[Runbook, ...]:
        """Return all runbooks, or those that treat a class of cause."""
        return treating(self._books, fault)

    def tickets(self) -> tuple[Ticket, ...]:
        """Return the remembered incidents, oldest first."""
        with self._lock:
            return tuple(sorted(self._tickets.values(), key=lambda ticket: (ticket.opened_at, ticket.id)))

    def add_ticket(self, ticket: Ticket) -> None:
        """Write the ticket to its file and take it into the index; the same id replaces.

        Raises:
            KnowledgeError: when it cannot be written.
        """
        with self._lock:
            folder = tickets_folder(self._settings)
            path = write_ticket(folder, ticket)
            for other, known in self._tickets.items():
                if known.id == ticket.id and other != path:
                    # Written by hand under another name: two files with one id would both be found.
                    other.unlink(missing_ok=True)
            self._refresh(force=True)

    def add_file(self, path: Path) -> str:
        """Add a runbook or a ticket from a file and return what was added, such as `ticket INC-7`.

        Markdown whose front matter has `faults` is a runbook; it is copied to `state_dir/runbooks`. Everything else is
        a ticket. A document of the same id replaces the earlier one.

        Raises:
            KnowledgeError: naming the file and the field that is wrong.
        """
        if path.suffix == ".md" and "faults" in frontmatter.read(path)[0]:
            book = read_runbook(path)
            with self._lock:
                copy_runbook(path, own_folder(self._settings), book.id)
                self._refresh(force=True)
            return f"runbook {book.id}"
        ticket = read_ticket(path)
        self.add_ticket(ticket)
        return f"ticket {ticket.id}"

    def close(self) -> None:
        """Release the index; harmless when done twice."""
        with self._lock:
            self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _search(self, query: str, vector: list[float], limit: int, kinds: tuple[str, ...]) -> tuple[Citation, ...]:
        chosen = [kind for kind in KINDS if kind in kinds]
        hits = {key: hit for key, hit in self._bm25.search(query).items() if self._passages[key].kind in chosen}
        cosines: dict[str, float] = {}
        for kind in chosen:
            cosines |= self._store.query(kind, vector, min(CANDIDATES, len(self._known.get(kind, ()))))
            # Found by words alone: how near it is must be known as well, for it is the score that is shown.
            strays = sorted(
                (key for key in hits if key not in cosines and self._passages[key].kind == kind),
                key=lambda key: (-hits[key].score, key),
            )[:CANDIDATES]
            for key, stored in self._store.vectors(kind, strays).items():
                cosines[key] = sum(a * b for a, b in zip(vector, stored, strict=True))
        return cite(self._passages, cosines, hits, limit=limit, floors=self._floors)

    def _look(self) -> Stamp:
        """Return names, times and sizes of all files that may change while we run."""
        files = ticket_files(tickets_folder(self._settings))
        for folder in (own_folder(self._settings), self._settings.runbooks_dir):
            if folder is not None and folder.is_dir():
                files += runbook_files(folder)
        found = []
        for path in files:
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            found.append((str(path), status.st_mtime_ns, status.st_size))
        return tuple(found)

    def _refresh(self, *, force: bool = False) -> None:
        """Take in what has changed in the files; a runbook that has become wrong leaves everything as it was."""
        stamp = self._look()
        if stamp == self._stamp and not force:
            return
        self._stamp = stamp
        try:
            self._read()
        except KnowledgeError as error:
            LOG.warning("the knowledge stays as it was: %s", error)
            return
        try:
            self._fill(self._store)
        except Damaged as error:
            LOG.warning("the knowledge index failed (%s): it is opened again", error)
            self._store.close()
            self._store = self._open()

    def _read(self) -> None:
        books = load_runbooks(self._settings)
        tickets = read_tickets(tickets_folder(self._settings))
        cut = [passage for book in books for passage in of_runbook(book)]
        # One id, one ticket: the file that sorts last wins, wherever the ticket was written twice.
        by_id = {ticket.id: (path, ticket) for path, ticket in tickets.items()}
        for path, ticket in by_id.values():
            cut += of_ticket(ticket, str(path))
        self._books = books
        self._tickets = dict(by_id.values())
        self._passages = {passage.key: passage for passage in cut}
        self._bm25 = Bm25({key: passage.indexed for key, passage in self._passages.items()})

    def _open(self) -> VectorStore:
        self._known = {}
        return open_store(self._settings.state_dir / "knowledge", _model_name(self._embedder), self._fill_anew)

    def _fill_anew(self, store: VectorStore) -> None:
        self._known = {kind: store.stored(kind) for kind in KINDS}
        self._fill(store)

    def _fill(self, store: VectorStore) -> None:
        self._embedded = added = removed = 0
        for kind in KINDS:
            passages = {key: passage for key, passage in self._passages.items() if passage.kind == kind}
            more, fewer = store.sync(kind, passages, self._fresh, known=self._known.get(kind, set()))
            self._known[kind] = set(passages)
            added, removed = added + more, removed + fewer
        self.report = IndexReport(passages=len(self._passages), added=added, removed=removed, embedded=self._embedded)

    def _fresh(self, passages: list[Passage]) -> list[list[float]]:
        unknown = {passage.content: passage.indexed for passage in passages if passage.content not in self._vectors}
        found = dict(zip(unknown, self._embedder.embed(list(unknown.values())), strict=True))
        self._embedded += len(unknown)
        return [found.get(passage.content) or self._vectors[passage.content] for passage in passages]


def _shipped_vectors(model: Embedder) -> dict[str, list[float]]:
    if _model_name(model) != MODEL_NAME:
        return {}
    try:
        return shipped.load()
    except KnowledgeError as error:
        LOG.warning("the runbooks are embedded anew: %s", error)
        return {}


def _model_name(model: Any) -> str:
    """Vectors of one model must not meet those of another; the two MiniLMs share a name because they agree."""
    return str(getattr(model, "model", type(model).__qualname__))
