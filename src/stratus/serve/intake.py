"""The queue between webhooks and incidents: what is already being worked on is not begun twice."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Literal

from stratus.errors import StratusError
from stratus.model.alerts import Alert
from stratus.model.base import Noun
from stratus.model.reports import Report

log = logging.getLogger(__name__)

Work = Callable[[str, tuple[Alert, ...]], Report]
"""Runs one incident: (id, alerts) to its report."""


class Ticketed(Noun):
    """An incident as the server knows it."""

    id: str
    status: Literal["queued", "working", "ended", "failed"]
    alerts: tuple[str, ...]
    error: str = ""
    report: Report | None = None


class Intake:
    """Takes alerts, groups them by namespace, and works on one incident at a time in a thread of its own.

    Args:
        work: runs one incident.
        limit: incidents that may wait; more are refused, and Alertmanager sends them again.
    """

    def __init__(self, work: Work, *, limit: int = 100) -> None:
        self._work = work
        self._queue: queue.Queue[tuple[str, tuple[Alert, ...]] | None] = queue.Queue(maxsize=limit)
        self._lock = threading.Lock()
        self._known: dict[str, Ticketed] = {}
        self._busy: dict[str, str] = {}
        self._thread = threading.Thread(target=self._loop, name="stratus-intake", daemon=True)

    def start(self) -> None:
        """Begin working."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the incident under way, drop the waiting ones, and end."""
        while True:
            try:
                self._queue.get_nowait()
            except queue.Empty:
                break
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def take(self, alerts: tuple[Alert, ...]) -> list[str]:
        """Queue firing alerts, one incident a namespace; return the ids of the incidents they belong to.

        Raises:
            queue.Full: too many incidents wait.
        """
        groups: dict[str, list[Alert]] = {}
        for alert in alerts:
            if alert.status == "firing":
                groups.setdefault(alert.namespace, []).append(alert)
        ids = []
        for namespace, group in sorted(groups.items()):
            with self._lock:
                running = self._busy.get(namespace)
                if running is not None:
                    ids.append(running)
                    continue
                name = f"inc-{group[0].fingerprint[:8]}-{len(self._known)}"
                self._queue.put_nowait((name, tuple(group)))
                self._busy[namespace] = name
                self._known[name] = Ticketed(id=name, status="queued", alerts=tuple(a.name for a in group))
                ids.append(name)
        return ids

    def incidents(self) -> list[Ticketed]:
        """Return all incidents of this process, oldest first."""
        with self._lock:
            return list(self._known.values())

    def _loop(self) -> None:
        while (item := self._queue.get()) is not None:
            name, alerts = item
            self._set(name, status="working")
            try:
                report = self._work(name, alerts)
                self._set(name, status="ended", report=report)
            except StratusError as error:
                log.error("incident %s failed: %s", name, error)
                self._set(name, status="failed", error=str(error))
            finally:
                with self._lock:
                    self._busy = {space: busy for space, busy in self._busy.items() if busy != name}

    def _set(self, name: str, **changes: object) -> None:
        with self._lock:
            self._known[name] = self._known[name].model_copy(update=changes)
