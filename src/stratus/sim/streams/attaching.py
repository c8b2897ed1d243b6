"""Attaching to a container: what it writes from now on, and, where it reads its input, keys for its shell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stratus.sim.streams.channels import STDOUT
from stratus.sim.streams.conversation import Conversation, Interactive, Interpreter
from stratus.sim.streams.following import Follower

Obj = dict[str, Any]


class Attached(Conversation):
    """One client attached to a container.

    Args:
        follower: gives what the container writes.
        alive: tells whether the container still runs.
        shell: takes the client's input; None when the container reads none.
        tty: the container has a terminal.
        once: the container's input ends with this client.
    """

    def __init__(
        self,
        follower: Follower,
        alive: Callable[[], bool],
        shell: Interpreter | None,
        *,
        tty: bool,
        once: bool,
    ) -> None:
        super().__init__(tty=tty)
        self._follower = follower
        self._alive = alive
        self._inner = Interactive(shell, tty=tty) if shell is not None else None
        self._once = once
        self.on_close: Callable[[], None] = lambda: None
        follower.skip()

    def begin(self) -> None:
        """Show what there is, and the prompt of a shell."""
        self._told()
        if self._inner is not None:
            self._inner.begin()

    def _told(self) -> None:
        for _, text in self._follower.new():
            self.say(STDOUT, text + "\n")

    def _typed(self, act: Callable[[Interactive], None]) -> None:
        if self._inner is None or self.status is not None:
            return
        self._told()
        act(self._inner)
        self._out += self._inner.take()
        # What the shell wrote stands in the container's log too; it was shown just now.
        self._follower.skip()
        if self._inner.status is not None:
            self.status = {"metadata": {}, "status": "Success"}

    def feed(self, data: bytes) -> None:
        """Give input to the container's shell."""
        self._typed(lambda inner: inner.feed(data))

    def end(self) -> None:
        """The client sends no more."""
        if self._once:
            self._typed(lambda inner: inner.end())

    def take(self) -> list[tuple[int, bytes]]:
        """Return what is to be sent; notice the container's end."""
        if self.status is None:
            alive = self._alive()
            if self._inner is not None:
                self._out += self._inner.take()
            self._told()
            if not alive:
                self.status = {"metadata": {}, "status": "Success"}
        return super().take()

    def close(self) -> None:
        """Stop following."""
        self.on_close()
