"""One running program of an application: what it was started with, and its figures of the moment, as plain data."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from stratus.kit.clock import iso
from stratus.sim.apps.effects import Mods
from stratus.sim.apps.schema import Build, LogStyle, Program

#: Lines kept of one run of a container.
LINES = 600


def _strftime(at: float, form: str) -> str:
    return datetime.fromtimestamp(at, UTC).strftime(form)


#: How a moment is written in log lines.
_MOMENTS: dict[str, Callable[[float], str]] = {
    "{time}": iso,
    "{date}": lambda at: _strftime(at, "%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+00:00",
    "{utc}": lambda at: _strftime(at, "%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
    "{stamp}": lambda at: _strftime(at, "%Y-%b-%d %H:%M:%S.%f"),
    "{slashed}": lambda at: _strftime(at, "%Y/%m/%d %H:%M:%S"),
    "{comma}": lambda at: _strftime(at, "%Y-%m-%d %H:%M:%S,%f")[:-3],
    "{dotted}": lambda at: _strftime(at, "%Y-%m-%d %H:%M:%S.%f")[:-3],
    "{dayfirst}": lambda at: _strftime(at, "%d %b %Y %H:%M:%S.%f")[:-3],
    "{clf}": lambda at: _strftime(at, "%d/%b/%Y:%H:%M:%S +0000"),
    "{millis}": lambda at: str(round(at * 1000)),
}

Key = tuple[str, str]
Phase = Literal["starting", "waiting", "serving", "ending"]


def fill(template: str, **values: object) -> str:
    """Put values into `{name}` places; everything else, other braces included, stays."""
    if "{" in template:
        for name, value in values.items():
            template = template.replace("{" + name + "}", str(value))
    return template


def stamped(style: LogStyle, text: str, at: float) -> str:
    """Return a log line as the program writes it at a moment."""
    whole = style.prefix + text
    if "{" not in whole:
        return whole
    for place, write in _MOMENTS.items():
        if place in whole:
            whole = whole.replace(place, write(at))
    return whole


@dataclass(slots=True)
class Proc:
    """A program in a container.

    Attributes:
        name: the program's name in the application file.
        pod, uid, container: where it runs; `workload` is the name of what manages the pod.
        addresses: (host, port) per target; `logins` (user, password) per target with users.
        capacity: cores it may use; `limit` is the container's CPU limit, 0 without one.
        phase: `waiting` when it looks for what it needs at the start.
        deadline: until when it waits.
        doomed: lines it writes, and exit code, when it cannot start.
        load: requests per second served now, and CPU cores asked for.
        busy: share of its capacity asked for, smoothed; `backlog` is work piled up, in CPU seconds.
        through: calls it makes now for each request that comes in now, as work piles up (below 1) or is caught up.
        silent: share of requests never answered, because too much work has piled up.
        line: requests that wait for a worker; `line_wait`: seconds that takes; `shed`: share turned away.
        pools: by target (seconds until a connection is free, share of calls that get none).
        under_way: requests worked on at this moment, on average.
        leaked: MiB lost since the start.
        ports: where it listens; `users`: by how much the load that it makes is multiplied.
        tls: targets it speaks TLS to; `demands_tls`: it turns away callers that do not.
        switched: numbers of the program's effects that its settings turn on.
        mods: what flags and chaos change just now, None when nothing does.
        ended_at: when it ended, `abrupt` without having been asked to.
    """

    name: str
    program: Program
    build: Build | None
    pod: Key
    uid: str
    container: str
    workload: str
    started_at: float
    restart: int
    addresses: dict[str, tuple[str, int]] = field(default_factory=dict)
    logins: dict[str, tuple[str, str]] = field(default_factory=dict)
    capacity: float = 4.0
    limit: float = 0.0
    memory_limit: float = 0.0
    phase: Phase = "starting"
    ready_at: float = 0.0
    deadline: float = 0.0
    doomed: tuple[tuple[str, ...], int] | None = None
    lines: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=LINES))
    rps: float = 0.0
    demand: float = 0.0
    cpu: float = 0.0
    busy: float = 0.0
    backlog: float = 0.0
    throttled: float = 0.0
    memory: float = 0.0
    through: float = 1.0
    silent: float = 0.0
    line: float = 0.0
    line_wait: float = 0.0
    shed: float = 0.0
    pools: dict[str, tuple[float, float]] = field(default_factory=dict)
    under_way: float = 0.0
    leaked: float = 0.0
    ports: frozenset[int] = frozenset()
    users: float = 1.0
    tls: frozenset[str] = frozenset()
    demands_tls: bool = False
    switched: frozenset[int] = frozenset()
    mods: Mods | None = None
    ended_at: float | None = None
    abrupt: bool = False

    @property
    def namespace(self) -> str:
        """Return the pod's namespace."""
        return self.pod[0]

    @property
    def room(self) -> float:
        """Return the cores left for requests beside what competes with them in the container."""
        if self.mods is None or not self.mods.cores:
            return self.capacity
        return max(self.capacity - self.mods.cores, self.capacity / (1.0 + max(self.mods.threads, 1.0)))

    def serves(self, now: float) -> bool:
        """Tell whether it accepts connections."""
        return self.phase == "serving" and now >= self.ready_at - 1e-9

    def told(self) -> frozenset[str]:
        """Return the messages of failures that are the program's own and worth a line in its log."""
        found = {self.build.message} if self.build is not None and self.build.error_rate else set()
        for errors in self.mods.errors.values() if self.mods is not None else ():
            found.update(message for _, message in errors)
        return frozenset(found)

    def write(self, at: float, *lines: str, **values: object) -> None:
        """Write log lines."""
        for line in lines:
            self.lines.append((at, stamped(self.program.logs, fill(line, **values), at)))

    def clone(self) -> Proc:
        """Return an independent copy (for a fork)."""
        twin = copy.copy(self)
        twin.addresses = dict(self.addresses)
        twin.logins = dict(self.logins)
        twin.pools = dict(self.pools)
        twin.lines = deque(self.lines, maxlen=LINES)
        return twin
