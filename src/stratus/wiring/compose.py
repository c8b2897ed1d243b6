"""Settings to rooms: the ports of one incident, wired."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stratus.errors import KnowledgeError, UsageError
from stratus.kit.clock import Clock, SystemClock
from stratus.settings import Settings
from stratus.wiring.interrupts import WakefulClock
from stratus.wiring.journals import open_journal
from stratus.wiring.policyfile import with_policy
from stratus.wiring.sources import Source

if TYPE_CHECKING:
    from stratus.cluster.base import ClusterReader
    from stratus.diagnosis.looking import LookingGlass
    from stratus.flow.rooms import Brain, Rooms
    from stratus.knowledge.base import KnowledgeBase
    from stratus.mitigation.foresight import Rehearsal
    from stratus.model.evidence import Usage
    from stratus.model.reports import ModelUsage
    from stratus.telemetry.base import Telemetry

log = logging.getLogger(__name__)


@contextmanager
def rooms(
    settings: Settings,
    source: Source,
    *,
    telemetry: Telemetry | None = None,
    model: Any = None,
    clock: Clock | None = None,
    spent: ModelUsage | None = None,
    knowledge: KnowledgeBase | None = None,
) -> Iterator[Rooms]:
    """Wire the rooms of one incident and close what was opened.

    Args:
        source: the cluster, real or embedded.
        telemetry: sources that replace those of the settings or of the embedded cluster.
        model: a LangChain chat model, or a whole brain, that replaces the one named by `settings.reasoner`.
        clock: another clock than the source's.
        spent: what the incident has cost so far, when it goes on after a restart; budgets count on from there.
        knowledge: runbooks and tickets that are open already, in place of those in `settings.state_dir`; not closed.

    Raises:
        UsageError: a setting cannot be used; UnreachableError: a service does not answer.
    """
    from stratus.flow.rooms import Rooms
    from stratus.transaction.sampling import HealthProbe
    from stratus.wiring.ablation import Ignorant, checked, engine_class

    settings = with_policy(settings)
    off = checked(settings)
    if off and not source.emulated:
        raise UsageError("ablate switches safety off: it is for measuring on embedded clusters only")
    given = Ignorant() if "rag" in off else knowledge
    knowing = Knowing(settings) if given is None else Known(given)
    cluster = source.cluster
    ticking = clock or source.clock or SystemClock()
    if type(ticking) is SystemClock:
        ticking = WakefulClock()
    told = telemetry if telemetry is not None else source.telemetry(settings)
    brain = think(settings, model, spent, glass=glass(settings, cluster.reader, told, ticking))
    journal = open_journal(settings)
    try:
        engine = engine_class(off)(
            reader=cluster.reader,
            writer=cluster.writer,
            executor=cluster.executor,
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
            knowledge=knowing.get,
            brain=brain,
            engine=engine,
            rehearsal=rehearsal(settings, off, source, ticking),
            emulated=source.emulated,
            virtual_time=source.clock is not None,
        )
    finally:
        journal.close()
        knowing.close()


def rehearsal(settings: Settings, off: frozenset[str], source: Source, clock: Clock) -> Rehearsal | None:
    """Return what runs plans on a twin of the cluster; None when that is switched off."""
    if settings.rehearsal == "off" or "rehearsal" in off:
        return None
    from stratus.wiring.rehearsing import TwinRehearsal

    return TwinRehearsal(settings, source.cluster.reader, clock)


def glass(settings: Settings, reader: ClusterReader, told: Telemetry, clock: Clock) -> LookingGlass | None:
    """Return what lets a model look at the cluster; None when it is not to look."""
    if not settings.limits.looks:
        return None
    from stratus.diagnosis.looking import LookingGlass

    metrics = told.metrics

    def usage(spaces: tuple[str, ...]) -> tuple[Usage, ...] | None:
        return None if metrics is None else metrics.usage(spaces, clock.now())

    return LookingGlass(reader=reader, clock=clock, usage=usage if metrics else None, times=settings.limits.looks)


def think(
    settings: Settings, model: Any = None, spent: ModelUsage | None = None, *, glass: LookingGlass | None = None
) -> Brain:
    """Return the reasoner that the settings name, or one over the given chat model.

    Args:
        settings: names it.
        model: a chat model, or a whole brain, instead.
        spent: what thinking has cost so far.
        glass: lets a model look at the cluster.

    Raises:
        UsageError: the reasoner is unknown or cannot be used as configured.
    """
    from stratus.diagnosis.rules import RulesReasoner

    off = frozenset(settings.ablate)
    rules: Any = RulesReasoner(settings)
    if hasattr(model, "diagnose"):
        return _settled(model, off)
    if (model is None and settings.reasoner in ("", "rules")) or "model" in off:
        if "rules" in off:
            raise UsageError("to ablate the rules, name a model as reasoner, such as `openai:gpt-4o`")
        return _settled(rules, off)
    if "rules" in off:
        from stratus.wiring.ablation import Speechless

        rules = Speechless()
    from stratus.diagnosis.model import ModelReasoner
    from stratus.llm.providers import chat_model
    from stratus.llm.recorded import TurnRecorder
    from stratus.llm.thinker import ChatThinker

    name = settings.reasoner if model is None else getattr(model, "model_name", "") or type(model).__name__
    if model is None and ":" not in name:
        raise UsageError(
            f"unknown reasoner {name!r}: use `rules`, or PROVIDER:MODEL such as `openai:gpt-4o` or `ollama:qwen2.5`"
        )
    chat = chat_model(name, settings.model) if model is None else model
    # A call to a model takes real time, whatever clock the cluster runs on.
    thinker = ChatThinker(
        chat,
        name=name,
        settings=settings.model,
        limits=settings.limits,
        clock=SystemClock(),
        spent=spent,
        recorder=TurnRecorder(settings.state_dir / "turns.jsonl") if settings.model.record else None,
    )
    return _settled(ModelReasoner(thinker, rules, name, glass=glass), off)


def _settled(brain: Brain, off: frozenset[str]) -> Brain:
    from stratus.wiring.ablation import Settled

    return Settled(brain) if "rediagnosis" in off else brain


class Known:
    """Knowledge that is open already, and stays so."""

    def __init__(self, knowledge: KnowledgeBase) -> None:
        self._knowledge = knowledge

    def get(self) -> KnowledgeBase:
        """Return it."""
        return self._knowledge

    def close(self) -> None:
        """Leave it open: it is not ours."""


class Knowing:
    """Gives the knowledge base at first use; without its model or its store, the runbooks by words alone."""

    def __init__(self, settings: Settings) -> None:
        from stratus.knowledge.store import KnowledgeLoader

        self._settings = settings
        self._loader = KnowledgeLoader(settings)
        self._loader.start()
        self._plain: KnowledgeBase | None = None
        self.note = ""

    def get(self) -> KnowledgeBase:
        """Return the knowledge base, waiting for it to be loaded."""
        if self._plain is not None:
            return self._plain
        try:
            return self._loader.get()
        except KnowledgeError as error:
            from stratus.knowledge.memory import InMemoryKnowledge

            log.warning("knowledge is searched by words alone: %s", error)
            self.note = f"Knowledge was searched by words alone: {error}"
            self._plain = InMemoryKnowledge.shipped(self._settings)
            return self._plain

    def close(self) -> None:
        """Let go of the store."""
        self._loader.close()
