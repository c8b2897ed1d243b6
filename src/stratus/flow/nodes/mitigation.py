"""Mitigation: NL2Kubectl, Linting, Approval, Execution."""

from __future__ import annotations

from stratus.flow.rooms import RoomsFor


class MitigationNodes:
    """From steps in words to an executed transaction; only Execution changes anything."""

    def __init__(self, rooms_for: RoomsFor) -> None:
        self.rooms_for = rooms_for
