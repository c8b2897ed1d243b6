"""Logs and events from the cluster itself: what is there when nobody runs a log store."""

from __future__ import annotations

from stratus.errors import ClusterError, ClusterUnreachable, NotFound, TelemetryUnreachable
from stratus.kit.clock import Clock, SystemClock
from stratus.kit.kube import containers_of, dig, labels_of, moment, name_of, selects
from stratus.model.base import Json
from stratus.model.evidence import LogLine
from stratus.telemetry.podreader import PodReader

_SERVICE_LABELS = (
    "app",
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "k8s-app",
    "io.kompose.service",
    "name",
)


class ClusterLogs:
    """The `Logs` port over the API server's container logs.

    Attributes:
        pods: most pods that are read for one question, those that restarted first.
    """

    def __init__(self, reader: PodReader, clock: Clock | None = None, *, pods: int = 20) -> None:
        self._reader = reader
        self._clock = clock or SystemClock()
        self.pods = pods

    def tail(
        self,
        namespace: str,
        *,
        pod: str = "",
        service: str = "",
        start: float = 0.0,
        end: float = 0.0,
        limit: int = 200,
    ) -> tuple[LogLine, ...]:
        """Return the newest lines in the window, oldest first; after a restart those of the run before it too.

        Raises:
            TelemetryUnreachable: the API does not answer, or logs may not be read.
        """
        try:
            chosen = self._pods(namespace, pod, service)
            lines = [line for one in chosen for line in self._of_pod(namespace, one, start, limit)]
        except (ClusterUnreachable, ClusterError) as problem:
            raise TelemetryUnreachable(f"Container logs cannot be read: {problem}") from problem
        kept = [(n, line) for n, line in enumerate(lines) if line.at >= start and (not end or line.at <= end)]
        kept.sort(key=lambda pair: (pair[1].at, pair[0]))
        return tuple(line for _, line in kept[-limit:])

    def _pods(self, namespace: str, pod: str, service: str) -> list[Json]:
        found = self._reader.list("v1/Pod", namespace)
        if pod:
            return [p for p in found if name_of(p) == pod]
        if service:
            found = self._behind(namespace, service, found)
        found.sort(key=lambda p: (-sum(c.restarts for c in containers_of(p)), name_of(p)))
        return found[: self.pods]

    def _behind(self, namespace: str, service: str, pods: list[Json]) -> list[Json]:
        """Return the pods a Service selects; else those labelled with its name, else those named after it."""
        for known in self._reader.list("v1/Service", namespace, field_selector=f"metadata.name={service}"):
            chosen = [p for p in pods if selects(dig(known, "spec", "selector", default={}), labels_of(p))]
            if chosen:
                return chosen
        labelled = [p for p in pods if any(labels_of(p).get(key) == service for key in _SERVICE_LABELS)]
        return labelled or [p for p in pods if name_of(p).startswith(f"{service}-")]

    def _of_pod(self, namespace: str, pod: Json, start: float, limit: int) -> list[LogLine]:
        since = max(1, int(self._clock.now() - start) + 1) if start else None
        lines: list[LogLine] = []
        for container in containers_of(pod):
            for previous in (True, False) if container.restarts else (False,):
                try:
                    text = self._reader.logs(
                        namespace,
                        name_of(pod),
                        container=container.name,
                        previous=previous,
                        tail_lines=limit,
                        since_seconds=None if previous else since,
                        timestamps=True,
                    )
                except NotFound:
                    continue  # the pod went away while we were reading
                lines += [_line(row, namespace, name_of(pod), container.name) for row in text.splitlines() if row]
        return lines


def _line(row: str, namespace: str, pod: str, container: str) -> LogLine:
    stamp, _, text = row.partition(" ")
    at = moment(_to_microseconds(stamp))
    return LogLine(at=at, namespace=namespace, pod=pod, container=container, text=text if at else row)


def _to_microseconds(stamp: str) -> str:
    """Cut the nanoseconds of a timestamp, which not every reader of dates takes."""
    head, dot, rest = stamp.partition(".")
    digits = rest.rstrip("Zz")
    return f"{head}.{digits[:6]}Z" if dot and rest.endswith(("Z", "z")) and digits.isdigit() else stamp
