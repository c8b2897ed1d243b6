"""Graphs for LangGraph's own server: wired at their first node, one set of rooms an incident."""

from __future__ import annotations

import atexit
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stratus.errors import UsageError
from stratus.settings import Settings

if TYPE_CHECKING:
    from stratus.flow.rooms import Rooms
    from stratus.flow.state import State

APP = "hotel-reservation"
FAULT = "misleading-rollout"


def studio_graph(stage: str) -> Any:
    """Return the incident graph, or one stage, for `langgraph.json`.

    Settings come from the environment and `stratus.toml`, as for the command line. With a kubeconfig the graph works
    on that cluster; without, every incident gets an embedded cluster of its own, with the fault named by the input's
    `scenario` (default: the one of `stratus demo`). Nothing is opened until the first node runs.
    """
    from stratus.flow.graph import incident_graph, stage_graph

    rooms_for = StudioRooms()
    return incident_graph(rooms_for) if stage == "incident" else stage_graph(stage, rooms_for, studio=True)


class StudioRooms:
    """Finds (or wires) the rooms of the incident that a state belongs to; closed at exit."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._rooms: dict[str, Rooms] = {}
        atexit.register(self.close)

    def __call__(self, state: State) -> Rooms:
        """Return the rooms of an incident; the first call for a new one has no id yet and gets rooms by scenario."""
        name = state.get("incident", "")
        if not name:
            raise UsageError("an incident needs its id before its rooms can be wired: start at the Intake node")
        with self._lock:
            if name not in self._rooms:
                self._rooms[name] = self._wire(name, state.get("scenario") or "")
            return self._rooms[name]

    def settings(self) -> Settings:
        """Return the settings, read at first use."""
        if self._settings is None:
            from stratus.wiring.config import load_settings

            self._settings = load_settings()
        return self._settings

    def _wire(self, name: str, scenario: str) -> Rooms:
        from stratus.wiring.compose import rooms
        from stratus.wiring.sources import open_embedded, open_kubernetes, show_fault

        settings = self.settings()
        if settings.kubeconfig is not None:
            source = self._stack.enter_context(open_kubernetes(settings))
        else:
            file = Path(settings.state_dir) / "clusters" / f"studio-{name}.sqlite"
            source = self._stack.enter_context(open_embedded(APP, seed=settings.seed, state_file=file))
            show_fault(source, scenario or FAULT)
        return self._stack.enter_context(rooms(settings, source))

    def close(self) -> None:
        """Close every cluster and journal that was opened."""
        with self._lock:
            self._rooms.clear()
            self._stack.close()
