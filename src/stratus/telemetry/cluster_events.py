"""Kubernetes events read as log lines, for stages that look for words."""

from __future__ import annotations

from stratus.errors import ClusterError, ClusterUnreachable, TelemetryUnreachable
from stratus.kit.kube import event_about, event_count, event_message, event_time
from stratus.model.base import Json
from stratus.model.evidence import LogLine
from stratus.telemetry.podreader import PodReader


class ClusterEvents:
    """The `Logs` port over events: `pod` is the name of the object an event is about, `container` its kind."""

    def __init__(self, reader: PodReader) -> None:
        self._reader = reader

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
        """Return the newest events in the window, oldest first; a service means objects named after it.

        Raises:
            TelemetryUnreachable: the API does not answer, or events may not be read.
        """
        try:
            events = self._reader.list("v1/Event", namespace)
        except (ClusterUnreachable, ClusterError) as problem:
            raise TelemetryUnreachable(f"Events cannot be read: {problem}") from problem
        found = []
        for event in events:
            at, (_, _, name) = event_time(event), event_about(event)
            fits = (not pod or name == pod) and (not service or name == service or name.startswith(f"{service}-"))
            if fits and at >= start and (not end or at <= end):
                found.append(_line(event, at, namespace))
        found.sort(key=lambda line: (line.at, line.pod, line.text))
        return tuple(found[-limit:])


def _line(event: Json, at: float, namespace: str) -> LogLine:
    kind, _, name = event_about(event)
    count = event_count(event)
    times = f" (x{count})" if count > 1 else ""
    text = f"{event.get('type', 'Normal')} {event.get('reason', '')}: {event_message(event)}{times}"
    return LogLine(at=at, namespace=namespace, pod=name, container=kind, text=text)
