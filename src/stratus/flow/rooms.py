"""What the nodes are handed: the ports and the clock, never an implementation by name."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from stratus.cluster.base import ClusterReader, ClusterRehearser
from stratus.diagnosis.base import Reasoner
from stratus.flow.state import State
from stratus.kit.clock import Clock
from stratus.knowledge.base import KnowledgeBase
from stratus.mitigation.base import CommandWriter
from stratus.mitigation.foresight import Rehearsal
from stratus.settings import Settings
from stratus.telemetry.base import Telemetry
from stratus.transaction.engine import TransactionEngine


class Brain(Reasoner, CommandWriter, Protocol):
    """A reasoner that also writes commands; rules and models are both."""


@dataclass(frozen=True)
class Rooms:
    """The rooms of one incident, wired.

    Attributes:
        knowledge: gives the knowledge base at first use, so that it can load beside the work.
        rehearsal: runs plans where nothing can be harmed; None: they are not rehearsed.
        emulated: the cluster is the embedded one; reports say so.
        virtual_time: the clock is not the wall's; thinking time is then measured besides.
    """

    settings: Settings
    clock: Clock
    reader: ClusterReader
    rehearser: ClusterRehearser
    telemetry: Telemetry
    knowledge: Callable[[], KnowledgeBase]
    brain: Brain
    engine: TransactionEngine
    rehearsal: Rehearsal | None = None
    emulated: bool = False
    virtual_time: bool = False
    notes: tuple[str, ...] = ()
    wall: Callable[[], float] = field(default=time.monotonic)

    def stopwatch(self) -> Callable[[], float]:
        """Start measuring; the returned call gives seconds passed for the incident.

        On a virtual clock, time only passes when something waits; the real time spent thinking is added, so that
        a slow model shows in MTTR there too.
        """
        began, wall = self.clock.now(), self.wall()

        def elapsed() -> float:
            real = self.wall() - wall if self.virtual_time else 0.0
            return max(0.0, self.clock.now() - began) + real

        return elapsed


RoomsFor = Callable[[State], Rooms]
"""Finds the rooms of the incident that a state belongs to."""
