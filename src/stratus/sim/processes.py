"""Processes of containers: what they were started with, what they wrote, and what will become of them."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from stratus.sim.filesystem import Tree
from stratus.sim.runtime import Run
from stratus.sim.shell import Outcome

#: Rounds of an endless loop whose output is kept.
ROUNDS = 400


@dataclass(slots=True)
class HttpReply:
    """An answer to a request; status 0 when the process does not speak HTTP."""

    status: int
    body: str = ""


@dataclass(slots=True)
class Process:
    """One start of a container's process: what it was given and what has become of it so far."""

    argv: list[str]
    env: dict[str, str]
    started_at: float
    restart: int
    outcome: Outcome = field(default_factory=Outcome)
    journal: list[Any] = field(default_factory=list)
    files: Tree = field(default_factory=Tree)
    #: What exec wrote, over the process's own files.
    visited: Tree = field(default_factory=Tree)
    ended_at: float | None = None
    #: The image's own server is what runs (and not a shell or tool).
    app: bool = False
    #: Since when what it holds as a server is that of this process.
    server_at: float = -1.0


def copied(process: Process) -> Process:
    """Return an independent copy."""
    twin = copy.copy(process)
    twin.journal = list(process.journal)
    twin.files = process.files.clone()
    twin.visited = process.visited.clone()
    return twin


def fate(process: Process, horizon: float = 0.0) -> Run:
    """Return what will become of a process, as far as is known `horizon` seconds after its start."""
    outcome = process.outcome
    if outcome.exit_code is not None:
        reason = "OOMKilled" if outcome.oom else None
        return Run(
            exit_after=max(0.0, outcome.elapsed - horizon),
            exit_code=outcome.exit_code,
            reason=reason,
            stops_after=0.0 if outcome.term_code is not None else None,
            stop_code=outcome.term_code or 0,
        )
    graceful = process.app or outcome.term_code is not None or outcome.program == "python"
    poll = max(0.05, outcome.elapsed - horizon) if outcome.waits else None
    return Run(
        stops_after=0.0 if graceful and not outcome.ignores_term else None,
        stop_code=outcome.term_code or 0,
        poll_after=poll,
    )


def written(process: Process, until: float) -> Iterator[tuple[float, str, str]]:
    """Return what a process has written up to so many seconds after its start: (seconds, stream, text)."""
    outcome = process.outcome
    yield from (entry for entry in outcome.lines if entry[0] <= until + 1e-9)
    if outcome.repeat is None:
        return
    begin, period, lines = outcome.repeat
    if not lines or period <= 0:
        return
    last = int((until - begin) / period)
    for number in range(max(1, last - ROUNDS), last + 1):
        for at, stream, text in lines:
            moment = begin + number * period + at
            if moment <= until + 1e-9:
                yield moment, stream, text


def joined(pieces: Iterable[tuple[float, str]]) -> list[tuple[float, str]]:
    """Join pieces of output into lines; a line's moment is that of its first piece."""
    lines: list[tuple[float, str]] = []
    rest, began = "", 0.0
    for at, text in pieces:
        if not rest:
            began = at
        rest += text
        while "\n" in rest:
            line, _, rest = rest.partition("\n")
            lines.append((began, line))
            began = at
    if rest:
        lines.append((began, rest))
    return lines
