"""The journal by itself: reading it needs no cluster, undoing needs no model."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stratus.errors import UnknownNameError, UsageError
from stratus.kit.clock import SystemClock
from stratus.settings import Settings
from stratus.wiring.incidents import Incidents
from stratus.wiring.sources import Source, open_embedded, open_kubernetes

if TYPE_CHECKING:
    from stratus.model.transactions import Transaction
    from stratus.transaction.engine import TransactionEngine
    from stratus.transaction.sqljournal import SqlJournal


def open_journal(settings: Settings) -> SqlJournal:
    """Open the journal that the settings name; a file is made when there is none.

    Raises:
        JournalError: it cannot be opened; UsageError: its address cannot be used.
    """
    if settings.journal:
        from stratus.transaction.postgres import PostgresJournal

        return PostgresJournal(settings.journal)
    from stratus.transaction.sqlite import SqliteJournal

    return SqliteJournal(settings.state_dir / "journal.sqlite")


@contextmanager
def read_journal(settings: Settings) -> Iterator[SqlJournal]:
    """Open the journal of a state directory, or the one that the settings name.

    Raises:
        UsageError: there is none.
    """
    path = settings.state_dir / "journal.sqlite"
    if not settings.journal and not path.is_file():
        raise UsageError(f"no journal at {path}: nothing has been executed from this state directory (see --state-dir)")
    journal = open_journal(settings)
    try:
        yield journal
    finally:
        journal.close()


def told(journal: SqlJournal, transaction: str) -> Transaction:
    """Return one transaction as the journal tells it.

    Raises:
        UnknownNameError: it is not in the journal.
    """
    from stratus.transaction.journal import tell

    story = tell(journal.entries(transaction))
    if story is None:
        known = ", ".join(journal.list()[-8:]) or "none"
        raise UnknownNameError(f"no transaction {transaction!r} in the journal; the latest: {known}")
    return story.transaction


@contextmanager
def open_engine(settings: Settings, transaction: str = "") -> Iterator[TransactionEngine]:
    """Open the engine on the cluster that a transaction was made on (an embedded one is rebuilt from its log)."""
    from stratus.transaction.engine import TransactionEngine
    from stratus.transaction.sampling import HealthProbe

    with ExitStack() as stack:
        journal = stack.enter_context(read_journal(settings))
        source = stack.enter_context(_source(settings, told(journal, transaction).incident if transaction else ""))
        clock = source.clock or SystemClock()
        reader = source.cluster.reader
        yield TransactionEngine(
            reader=reader,
            writer=source.cluster.writer,
            journal=journal,
            clock=clock,
            probe=HealthProbe(
                reader=reader, telemetry=source.telemetry(settings), clock=clock, settings=settings.health
            ),
            settings=settings,
            identity=settings.identity or f"{socket.gethostname()}-{os.getpid()}",
        )


@contextmanager
def _source(settings: Settings, incident: str) -> Iterator[Source]:
    entry = next((e for e in Incidents(settings.state_dir).all() if e.id == incident), None)
    if entry is not None and entry.embedded is not None:
        e = entry.embedded
        with open_embedded(e.app, seed=e.seed, state_file=Path(e.state_file)) as source:
            yield source
    else:
        known = settings
        if entry is not None and settings.kubeconfig is None:
            known = settings.model_copy(
                update={"kubeconfig": entry.settings.kubeconfig, "context": entry.settings.context}
            )
        with open_kubernetes(known) as source:
            yield source
