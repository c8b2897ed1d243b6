"""The transaction room: every change to a cluster is journalled first, judged after, and kept or taken back exactly.

The package can be called: `stratus.transaction(cluster, scope=...)` is the door for changes of a user's own, see
`stratus.wiring.wrapping.transaction`. The door has the name of the room, so the room has to answer to it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

DOOR = "stratus.wiring.wrapping"


class _Room(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Any:
        """Open a wrapped transaction; the arguments are those of `stratus.wiring.wrapping.transaction`."""
        return import_module(DOOR).transaction(*args, **options)


sys.modules[__name__].__class__ = _Room
