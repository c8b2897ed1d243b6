"""What a container does once it is started: the port between the kubelet and whatever plays the process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

Obj = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """What will become of a container that is started now, if nobody touches it.

    Attributes:
        exit_after: seconds until the process ends by itself; None when it runs until it is killed.
        exit_code: the exit code it then ends with.
        reason: terminated reason; None lets the kubelet say `Completed` (0) or `Error`. `OOMKilled` and `StartError`
            are given here; with `StartError` the container never runs and `exit_after` is ignored.
        message: terminated message, such as the runtime's own error text for `StartError`.
        stops_after: seconds the process needs to end after SIGTERM; None when it ignores the signal (it is then
            killed when the grace period is over).
        stop_code: the exit code it ends with after SIGTERM.
        poll_after: seconds after which the kubelet asks `poll` how it goes on, because what becomes of the process
            depends on what happens around it (`until nslookup db; do sleep 2; done`); None when nothing does.
    """

    exit_after: float | None = None
    exit_code: int = 0
    reason: str | None = None
    message: str = ""
    stops_after: float | None = 0.0
    stop_code: int = 0
    poll_after: float | None = None


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One answer to a probe: whether it succeeded, and the text the Unhealthy event shows otherwise.

    `errored` says that the probe could not be made at all (its command does not exist): that counts neither way.
    """

    ok: bool
    message: str = ""
    errored: bool = False


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command run inside a container wrote, and its exit code.

    Bytes that are no UTF-8 are lone surrogates in the texts; `out` and `err` are the bytes to send.
    """

    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0

    @property
    def out(self) -> bytes:
        """Return the bytes of standard output."""
        return self.stdout.encode("utf-8", "surrogateescape")

    @property
    def err(self) -> bytes:
        """Return the bytes of standard error."""
        return self.stderr.encode("utf-8", "surrogateescape")


class ContainerRuntime(Protocol):
    """Plays the processes of containers.

    `pod` and `container` are the stored pod and one entry of its `spec.containers` or `spec.initContainers`; both are
    read only. Nothing here may read a wall clock or an unseeded generator. `listens`, `probe`, `logs`, `exec` and
    `usage` are reads: the same state gives the same answer, and `exec` changes nothing but what the command itself
    changes inside the container.
    """

    def start(self, pod: Obj, container: Obj, env: dict[str, str], restart: int) -> Run:
        """Start the process with the resolved environment; `restart` counts earlier starts in this pod."""
        ...

    def poll(self, pod: Obj, container: Obj) -> Run:
        """Look again at a process whose last `Run` had `poll_after`; times of the answer count from now."""
        ...

    def stop(self, pod: Obj, container: Obj) -> None:
        """The process has ended (by itself, killed, or with its pod): forget what belongs to the running instance."""
        ...

    def listens(self, pod: Obj, container: Obj) -> frozenset[int]:
        """Return the TCP ports the process serves right now; empty when it does not run."""
        ...

    def probe(self, pod: Obj, container: Obj, probe: Obj) -> ProbeResult:
        """Answer one liveness, readiness or startup probe (its httpGet, tcpSocket, exec or grpc part) now."""
        ...

    def logs(
        self, pod: Obj, container: Obj, *, previous: bool, since: float | None, limit: int
    ) -> list[tuple[float, str]]:
        """Return (moment, line), oldest first: the last `limit` lines at or after `since` (epoch seconds)."""
        ...

    def exec(self, pod: Obj, container: Obj, argv: list[str], stdin: str) -> ExecResult:
        """Run a command inside the running container."""
        ...

    def usage(self, pod: Obj, container: Obj) -> tuple[float, float]:
        """Return (CPU cores, memory bytes) used now."""
        ...
