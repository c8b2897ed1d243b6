"""Watches: a stream of changes that passes selectors, resumes at a version, and sends bookmarks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from stratus.sim.api.messages import dump
from stratus.sim.store import Change, Store, StoreExpired

Obj = dict[str, Any]
#: Events that may wait for a reader who does not keep up; then the watch ends.
BACKLOG = 1000


class Watch:
    """One watch of one resource; see `messages.Stream` for how it is read.

    `select` tells whether an object is watched, `render` turns a stored object into what the client asked for
    (its version, a Table, metadata only).
    """

    status = 200
    content_type = "application/json"

    def __init__(
        self,
        store: Store,
        resource: str,
        *,
        select: Callable[[Obj], bool],
        render: Callable[[Obj], Obj],
        render_bookmark: Callable[[str, bool], Obj],
        timeout: float | None = None,
        bookmarks: bool = False,
    ) -> None:
        self.timeout = timeout
        self.on_ready: Callable[[], None] | None = None
        self._store = store
        self._resource = resource
        self._select = select
        self._render = render
        self._bookmark = render_bookmark
        self._bookmarks = bookmarks
        self._events: deque[Obj] = deque()
        self._end: Callable[[], None] | None = None
        self._done = False
        #: The reader does not take what it is sent; set by who sends it.
        self.slow = False
        #: The watch was ended because the reader was too slow.
        self.overrun = False

    def start(self, version: int | None, initial: list[Obj] | None, annotate: bool) -> None:
        """Begin: with the objects of `initial` as ADDED, or with what has changed since `version`."""
        if initial is not None:
            for obj in initial:
                self._push("ADDED", self._render(obj))
            if annotate:
                self._push("BOOKMARK", self._bookmark(str(self._store.rv), True))
        elif version is not None:
            try:
                for change in self._store.changes_since(version, self._resource):
                    self._on_change(change)
            except StoreExpired as error:
                self.fail(f"too old resource version: {version} ({error.oldest})")
                return
        self._end = self._store.subscribe(self._on_change)

    def fail(self, message: str) -> None:
        """End the stream with an expiry error."""
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": "Expired",
            "code": 410,
        }
        self._push("ERROR", status)
        self.finish()

    def _push(self, kind: str, obj: Obj) -> None:
        self._events.append({"type": kind, "object": obj})

    def _on_change(self, change: Change) -> None:
        if change.resource != self._resource:
            return
        now = change.type != "DELETED" and self._select(change.object)
        before = change.previous is not None and self._select(change.previous)
        if now:
            self._push("MODIFIED" if before else "ADDED", self._render(change.object))
        elif before:
            last = change.object
            if change.type != "DELETED":
                # An object that left the selection is shown as it last was in it, at the new version.
                old = change.previous or change.object
                last = {**old, "metadata": {**old["metadata"], "resourceVersion": str(change.rv)}}
            self._push("DELETED", self._render(last))
        else:
            return
        if self.slow and len(self._events) > BACKLOG:
            self.overrun = True
            self._events.clear()
            self.finish()
        elif self.on_ready is not None:
            self.on_ready()

    def events(self) -> list[Obj]:
        """Return the events that wait, as objects."""
        out = list(self._events)
        self._events.clear()
        return out

    def take(self) -> bytes:
        """Return the events that wait, one JSON line each."""
        return b"".join(dump(event) + b"\n" for event in self.events())

    def expire(self) -> None:
        """End as a timeout does: with a bookmark for those who asked for them."""
        if self._bookmarks and not self._done:
            self._push("BOOKMARK", self._bookmark(str(self._store.rv), False))
        self.finish()

    def finish(self) -> None:
        """Take no more changes; what waits can still be read."""
        self._done = True
        if self._end is not None:
            self._end()
            self._end = None
        if self.on_ready is not None:
            self.on_ready()

    @property
    def done(self) -> bool:
        """Tell whether nothing more will come."""
        return self._done and not self._events

    def close(self) -> None:
        """Stop watching and forget what waits."""
        self._events.clear()
        self.on_ready = None
        self.finish()
