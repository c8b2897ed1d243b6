"""Settings to rooms: the ports of one incident, wired."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stratus.errors import UsageError
from stratus.kit.clock import Clock, SystemClock
from stratus.settings import Settings
from stratus.wiring.sources import Source

if TYPE_CHECKING:
    from stratus.flow.rooms import Brain, Rooms
    from stratus.telemetry.base import Telemetry


@contextmanager
def rooms(
    settings: Settings,
    source: Source,
    *,
    telemetry: Telemetry | None = None,
    model: Any = None,
    clock: Clock | None = None,
) -> Iterator[Rooms]:
    """Wire the rooms of one incident and close what was opened.

    Args:
        source: the cluster, real or embedded.
        telemetry: sources that replace those of the settings or of the embedded cluster.
        model: a LangChain chat model that replaces the one named by `settings.reasoner`.
        clock: another clock than the source's.

    Raises:
        UsageError: a setting cannot be used; UnreachableError: a service does not answer.
    """
    from stratus.flow.rooms import Rooms
    from stratus.knowledge.store import KnowledgeLoader
    from stratus.transaction.engine import TransactionEngine
    from stratus.transaction.sampling import HealthProbe
    from stratus.transaction.sqlite import SqliteJournal

    loader = KnowledgeLoader(settings)
    loader.start()
    cluster = source.cluster
    ticking = clock or source.clock or SystemClock()
    brain = think(settings, model, SystemClock())  # a call to a model takes real time on any cluster
    told = telemetry if telemetry is not None else source.telemetry(settings)
    journal = SqliteJournal(settings.state_dir / "journal.sqlite")
    try:
        engine = TransactionEngine(
            reader=cluster.reader,
            writer=cluster.writer,
            journal=journal,
            clock=ticking,
            probe=HealthProbe(reader=cluster.reader, telemetry=told, clock=ticking, settings=settings.health),
            settings=settings,
            identity=settings.identity or f"{socket.gethostname()}-{os.getpid()}",
        )
        yield Rooms(
            settings=settings,
            clock=ticking,
            reader=cluster.reader,
            rehearser=cluster.rehearser,
            telemetry=told,
            knowledge=loader.get,
            brain=brain,
            engine=engine,
            emulated=source.emulated,
            virtual_time=source.clock is not None,
        )
    finally:
        journal.close()
        loader.close()


def think(settings: Settings, model: Any = None, clock: Clock | None = None) -> Brain:
    """Return the reasoner that the settings name, or one over the given chat model.

    Raises:
        UsageError: the reasoner is unknown or cannot be used as configured.
    """
    from stratus.diagnosis.rules import RulesReasoner

    rules = RulesReasoner(settings)
    if model is None and settings.reasoner in ("", "rules"):
        return rules
    from stratus.diagnosis.model import ModelReasoner
    from stratus.llm.providers import chat_model
    from stratus.llm.thinker import ChatThinker

    name = settings.reasoner if model is None else getattr(model, "model_name", "") or type(model).__name__
    if model is None and ":" not in name:
        raise UsageError(
            f"unknown reasoner {name!r}: use `rules`, or PROVIDER:MODEL such as `openai:gpt-4o` or `ollama:qwen2.5`"
        )
    chat = chat_model(name, settings.model) if model is None else model
    return ModelReasoner(
        ChatThinker(chat, settings=settings.model, limits=settings.limits, clock=clock or SystemClock(), name=name),
        rules,
        name,
    )
