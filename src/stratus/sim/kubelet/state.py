"""What a kubelet remembers of a pod between two passes, as plain data that a fork can copy."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace

from stratus.sim.runtime import Run
from stratus.sim.store import Obj

#: Container restarts and image pulls wait this long after the first failure, doubled up to the most (seconds).
BACKOFF_FIRST, BACKOFF_MOST = 10.0, 300.0


@dataclass(slots=True)
class Backoff:
    """A delay that doubles with each failure, as client-go's does."""

    delay: float = 0.0
    updated: float = 0.0

    def next(self, now: float) -> None:
        """Note one more failure (or start) at `now`."""
        if not self.delay or now - self.updated > 2 * BACKOFF_MOST:
            self.delay = BACKOFF_FIRST
        else:
            self.delay = min(BACKOFF_MOST, self.delay * 2)
        self.updated = now

    def holds(self, since: float, now: float) -> bool:
        """Tell whether at `now` the delay since an event is not over."""
        if not self.delay or now - self.updated > 2 * BACKOFF_MOST:
            return False
        return now - since < self.delay


@dataclass(slots=True)
class Instance:
    """One start of a container."""

    id: str
    restart: int
    started_at: float
    run: Run
    image: str
    image_id: str
    finished_at: float | None = None
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    killed_for: str = ""
    #: When the process ended after a signal from the kubelet, before that was noticed.
    died_at: float | None = None
    #: The exit code it then ends with.
    end_code: int = 0
    #: Waits for other containers to end before it is sent SIGTERM itself.
    waits_turn: bool = False
    #: A pass has looked at its end.
    seen: bool = False
    #: True once the startup probe passed (or there is none).
    started: bool = False
    #: Result of the readiness probe so far.
    ready: bool = False

    @property
    def running(self) -> bool:
        """Tell whether the process is alive."""
        return self.finished_at is None


@dataclass(slots=True)
class ProbeCount:
    """Equal results of one probe in a row, and the moment its beat counts from."""

    last: bool | None = None
    run: int = 0
    base: float = 0.0
    #: Probing has led to a restart and goes on with the next start.
    held: bool = False


@dataclass(slots=True)
class ContainerState:
    """One container of a pod across restarts."""

    name: str
    init: bool = False
    sidecar: bool = False
    #: Added to the running pod for debugging; never restarted, and no part of what the pod amounts to.
    ephemeral: bool = False
    current: Instance | None = None
    last: Instance | None = None
    #: Why the last start failed (reason, message); shown from the next pass on.
    error: tuple[str, str] | None = None
    backoff: Backoff = field(default_factory=Backoff)
    pull_backoff: Backoff = field(default_factory=Backoff)
    pull_error: tuple[str, str] | None = None
    #: When the container may be started again after it has crashed.
    retry_at: float = 0.0
    #: The image is there and the container is being made: when it will run.
    making: float | None = None
    #: The image being pulled: (reference, started, done).
    pulling: tuple[str, float, float] | None = None
    probes: dict[str, ProbeCount] = field(default_factory=dict)

    @property
    def main(self) -> bool:
        """Tell whether it is one of the pod's `containers`."""
        return not self.init and not self.ephemeral

    @property
    def group(self) -> str:
        """Return the field of a pod's spec it stands in."""
        return "initContainers" if self.init else "ephemeralContainers" if self.ephemeral else "containers"

    @property
    def running(self) -> Instance | None:
        """Return the live instance, if any."""
        return self.current if self.current is not None and self.current.running else None


@dataclass(slots=True)
class PodState:
    """One pod on its node."""

    uid: str
    node: str
    started_at: float
    containers: dict[str, ContainerState]
    ip: str = ""
    sandbox: bool = False
    mount_failures: int = 0
    mounted: bool = False
    terminating: bool = False
    #: Set when the pod may not run any more: (phase, reason, message).
    verdict: tuple[str, str, str] | None = None
    #: All containers have ended for good; the sandbox is being taken down.
    finishing: bool = False
    finished: bool = False
    #: What its status shows of what it asks for and is limited to, and of which spec that was read.
    amounts: tuple[Obj, Obj, Obj] | None = None
    #: When the probe workers began.
    workers_at: float = 0.0
    passes: int = 0
    #: The pod has run longer than its activeDeadlineSeconds.
    overdue: bool = False
    #: Statuses that wait to be written, oldest first, and when the next one will be.
    unwritten: tuple[Obj, ...] = ()
    write_at: float = 0.0
    #: Until when a pass is under way that makes a container.
    busy_until: float = 0.0

    def clone(self) -> PodState:
        """Return an independent copy."""
        containers = {}
        for name, state in self.containers.items():
            containers[name] = replace(
                state,
                current=copy.copy(state.current),
                last=copy.copy(state.last),
                backoff=copy.copy(state.backoff),
                pull_backoff=copy.copy(state.pull_backoff),
                probes={kind: copy.copy(count) for kind, count in state.probes.items()},
            )
        return replace(self, containers=containers)
