"""Run one `stratus` command line and kill it with SIGKILL at its n-th durable step, or only count the steps.

Usage: dying.py MOMENT COUNT_FILE ARGUMENTS...; moment 0 never dies. A moment is the instant before or after something
becomes durable: an input of the embedded cluster, an entry of the journal, a write to the cluster, a checkpoint.
Unlike a moment on the clock it is the same one on every machine.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any


class Moments:
    """Counts moments, and dies at the chosen one."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.names: list[str] = []

    def __call__(self, name: str) -> None:
        self.names.append(name)
        if len(self.names) == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, thing: Any, method: str, label: str) -> None:
        """Make the moments before and after every call of a method count."""
        inner: Callable[..., Any] = getattr(thing, method)

        @wraps(inner)
        def watched(*args: Any, **kwargs: Any) -> Any:
            self(f"{label}:before")
            result = inner(*args, **kwargs)
            self(f"{label}:after")
            return result

        setattr(thing, method, watched)


def main() -> int:
    """Run the command line with its moments counted."""
    from langgraph.checkpoint.sqlite import SqliteSaver

    import stratus.transaction.engine as engines
    from stratus.cli.main import main as stratus
    from stratus.sim.persist import InputLog
    from stratus.wiring.incidents import Incidents

    moments = Moments(int(sys.argv[1]))
    moments.around(InputLog, "append", "input")
    moments.around(SqliteSaver, "put", "checkpoint")
    moments.around(Incidents, "save", "register")
    engine = engines.TransactionEngine

    class Watched(engine):  # type: ignore[misc, valid-type]
        def __init__(self, **parts: Any) -> None:
            super().__init__(**parts, tripwire=moments)

    engines.TransactionEngine = Watched  # type: ignore[misc]
    code = stratus(sys.argv[3:])
    Path(sys.argv[2]).write_text("\n".join(moments.names), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
