"""Lets others act on the cluster while a call to the outside is under way, in an order that can be played again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Turnstile:
    """Gives the cluster's lock away during a call.

    A webhook may ask the API something before it answers: with the lock held, it would wait until its time is up.
    What happens meanwhile nests: whoever went out last comes back first, so that the log of inputs tells it all.

    Args:
        lock: the cluster's lock; held, however often, by whoever goes out.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock: Any = lock
        self._changed = threading.Condition(lock)
        self._out: list[object] = []

    @property
    def busy(self) -> bool:
        """Tell whether a call is under way."""
        return bool(self._out)

    @contextmanager
    def out(self) -> Iterator[None]:
        """Leave the lock to others within."""
        token = object()
        self._out.append(token)
        held = self._lock._release_save()
        try:
            yield
        finally:
            self._lock._acquire_restore(held)
            while self._out[-1] is not token:
                self._changed.wait()
            self._out.pop()
            self._changed.notify_all()

    def settle(self) -> None:
        """Wait, with the lock held once, until no call is under way: time and faults do not come in between."""
        while self._out:
            self._changed.wait()
