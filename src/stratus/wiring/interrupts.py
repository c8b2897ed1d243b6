"""Being interrupted: a signal ends the waiting at once, so that taking back begins without delay."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from stratus.kit.clock import SystemClock

_STOP = threading.Event()


class WakefulClock(SystemClock):
    """The system's clock; who sleeps on it, in whatever thread, is woken by an interrupt."""

    def sleep(self, seconds: float) -> None:
        """Sleep, unless interrupted.

        Raises:
            KeyboardInterrupt: a person or the system asked for an end.
        """
        if _STOP.wait(max(0.0, seconds)):
            raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """Within, SIGINT and SIGTERM raise KeyboardInterrupt here and wake every sleeper of a `WakefulClock`.

    The nodes of a graph run in threads that the interrupted main thread has to wait for: without the waking, it would
    wait as long as they had meant to sleep. Where signals are handled by somebody else, nothing is changed.
    """
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        _STOP.set()
        raise KeyboardInterrupt

    numbers = [signal.SIGINT]
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        numbers.append(signal.SIGTERM)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _STOP.clear()
