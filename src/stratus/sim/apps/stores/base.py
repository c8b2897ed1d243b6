"""What all servers that keep state have in common: how a caller's request fares with them, and how they begin anew."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar

from stratus.sim.apps.schema import Datastore


@dataclass(frozen=True, slots=True)
class Boot:
    """What a server's process is started with.

    Attributes:
        at: the moment; `argv` and `env`: its command line and environment.
        durable: what it wrote to its disk before is there again.
        name: the pod it runs in.
    """

    at: float
    argv: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    durable: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """A program of an application that asks a server for something.

    Attributes:
        user, password: what it logs in with; `database` and `role`: what it needs there.
        operation: what it asks for.
        logs_in: whether it logs in at all; `tables`: those it is known to use.
    """

    user: str = ""
    password: str = ""
    database: str = ""
    role: str = "readWrite"
    operation: str = ""
    logs_in: bool = False
    tables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that keeps connections open: how many, and as whom, where and for what.

    `hit` is the share of its look-ups that find something in a warm cache.
    """

    connections: float = 1.0
    user: str = ""
    database: str = ""
    name: str = ""
    operation: str = ""
    tables: tuple[str, ...] = ()
    hit: float = 0.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """How requests fare that do not simply succeed.

    Attributes:
        text: what the caller is told; empty when it hears nothing.
        share: of the requests.
        waits: seconds until it is told; infinite: nobody answers.
    """

    text: str = ""
    share: float = 1.0
    waits: float = 0.0


@dataclass(slots=True)
class State:
    """What a server holds. All of it is plain data; `clone` gives an independent copy.

    Counters and what a process is told at its start are no part of comparisons: two servers are the same when they
    hold the same and let the same people do the same.

    Attributes:
        cost: factor on the CPU of every operation (a lost index makes it grow).
        emptied: when it last lost what makes it useful as a cache.
        callers: programs that keep connections open, by address.
        work: requests of programs that it has served since its process began; `found`: those that found something.
    """

    kind: ClassVar[str] = ""

    cost: float = 1.0
    emptied: float = field(default=0.0, repr=False, compare=False)
    callers: dict[str, Peer] = field(default_factory=dict, repr=False, compare=False)
    work: float = field(default=0.0, repr=False, compare=False)
    found: float = field(default=0.0, repr=False, compare=False)

    @classmethod
    def fresh(cls, datastore: Datastore) -> State:
        """Return the state a datastore has at first."""
        raise NotImplementedError

    def clone(self) -> Any:
        """Return an independent copy."""
        return copy.deepcopy(self)

    def boot(self, datastore: Datastore, boot: Boot) -> None:
        """Begin anew with a new process."""

    def trouble(self, caller: Caller, now: float) -> Trouble | None:
        """Return what is the matter with a caller's requests, None when nothing is."""
        return None

    def crowd(self) -> Trouble | None:
        """Return what becomes of connections when there are more than the server takes."""
        return None

    def memory(self, now: float) -> float:
        """Return the bytes that what it holds takes beyond what its program is said to need."""
        return 0.0

    def drop_user(self, name: str) -> None:
        """Remove a user."""

    def revoke(self, name: str, roles: tuple[str, ...]) -> None:
        """Take roles from a user."""

    def talk(self, request: dict[str, Any], now: float, peer: str) -> Any:
        """Answer a client's session; request and answer are plain data."""
        raise NotImplementedError
