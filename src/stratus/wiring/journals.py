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
    from stratus.model.base import Json
    from stratus.model.refs import ObjectRef
    from stratus.model.transactions import Transaction
    from stratus.transaction.cost import UndoCost
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
            executor=source.cluster.executor,
            journal=journal,
            clock=clock,
            probe=HealthProbe(
                reader=reader, telemetry=source.telemetry(settings), clock=clock, settings=settings.health
            ),
            settings=settings,
            identity=settings.identity or f"{socket.gethostname()}-{os.getpid()}",
        )


def changes(settings: Settings, transaction: str, *, live: bool = False) -> dict[str, list[str]]:
    """Return what a transaction changed, as readable lines by object; of a command in a container, by what it did.

    What is in a container is not looked at again: that takes a command in it.

    Args:
        live: compare the objects before it with those in the cluster now, not with those it left behind.
    """
    from stratus.mitigation.diffing import differences
    from stratus.transaction.inside import output_changes

    with ExitStack() as stack:
        journal = stack.enter_context(read_journal(settings))
        found = told(journal, transaction)
        reader = stack.enter_context(_source(settings, found.incident)).cluster.reader if live else None
        first: dict[str, Json | None] = {}
        last: dict[str, Json | None] = {}
        inner: dict[str, list[str]] = {}
        for write in found.writes:
            if write.state == "failed":
                continue
            name = str(write.write.target)
            if write.compensable is not None:
                name = f"{name}, container {write.compensable.change.container}: {write.compensable.text}"
                inner[name] = output_changes(write.before, write.after)
                continue
            first.setdefault(name, write.before)
            last[name] = write.after if reader is None else reader.get(write.write.target)
        return {**{name: list(differences(before, last[name])) for name, before in first.items()}, **inner}


def undo_preview(settings: Settings, transaction: str) -> tuple[UndoCost, tuple[str, ...]]:
    """Return what undoing a transaction would cost now, and which fields would be left alone as others' own."""
    from stratus.transaction.cost import cost_of, start_seconds
    from stratus.transaction.inverse import invert

    with ExitStack() as stack:
        journal = stack.enter_context(read_journal(settings))
        found = told(journal, transaction)
        reader = stack.enter_context(_source(settings, found.incident)).cluster.reader

        def start(workload: ObjectRef) -> float | None:
            obj = reader.get(workload)
            labels = ((obj or {}).get("spec", {}).get("selector") or {}).get("matchLabels") or {}
            chosen = ",".join(f"{k}={v}" for k, v in labels.items())
            return start_seconds(reader.list("Pod", workload.namespace, label_selector=chosen)) if chosen else None

        conflicts: list[str] = []
        for record in found.writes:
            if record.state in ("done", "conflict", "undo_failed") and record.compensable is None:
                now = reader.get(record.write.target.model_copy(update={"uid": ""}))
                conflicts += invert(record, now, key="preview", owners={}).conflicts
        return cost_of(found, start), tuple(dict.fromkeys(conflicts))


def redo(settings: Settings, transaction: str) -> Transaction:
    """Do an undone transaction once more, keep it when nothing gets worse, and take it back otherwise.

    Raises:
        TransactionError: it cannot be done again; nothing was sent.
    """
    from stratus.transaction.protocol import HARMLESS
    from stratus.transaction.verdict import Conditions

    with open_engine(settings, transaction) as engine:
        name = f"{transaction}-redo-{os.urandom(2).hex()}"
        done = engine.redo(transaction, name)
        if done.state not in ("applied", "verifying"):
            return done
        report = engine.validate(name, Conditions())
        if report.verdict in HARMLESS:
            return engine.commit(name)
        return engine.undo(name, f"{report.verdict}: {report.reason}")


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
