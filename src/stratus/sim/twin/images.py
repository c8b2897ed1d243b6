"""The images of a twin: those seen running can be pulled, those seen failing cannot, of all others nobody knows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stratus.sim.registry import ImageRegistry, Pull
from stratus.sim.twin.doubts import Doubts

#: Seconds that a pull is taken to need, and its size; what counts is only whether it succeeds.
SECONDS, SIZE = 3.0, 50_000_000


class SeenImages(ImageRegistry):
    """A registry that knows what has been seen, and asks its doubts about the rest."""

    def __init__(self, doubts: Doubts) -> None:
        super().__init__({})
        self.doubts = doubts
        self.good: set[str] = set()
        self.bad: dict[str, tuple[frozenset[str], str]] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> SeenImages:
        twin = SeenImages(self.doubts)
        twin.good, twin.bad = self.good, self.bad
        return twin

    def seen(self, image: str) -> None:
        """Note that an image was pulled."""
        self.good.add(self.canonical(image))

    def failed(self, image: str, credentials: frozenset[str], error: str) -> None:
        """Note what a pull with credentials for some hosts was answered."""
        self.bad.setdefault(self.canonical(image), (credentials, error))

    def is_described(self, image: str) -> bool:
        """Nothing is known of the inside of an image."""
        return False

    def exists(self, image: str) -> bool:
        """Tell whether an image is known to be there."""
        return self.canonical(image) in self.good

    def pull(self, image: str, *, credentials: Iterable[str] = ()) -> Pull:
        """Return what a pull comes to, as seen or as guessed."""
        name = self.canonical(image)
        if name in self.good:
            return Pull(SECONDS, SIZE)
        used, error = self.bad.get(name, (frozenset(), ""))
        if error and used == frozenset(credentials):
            return Pull(0.05, error=error)
        if self.doubts.well(f"whether image {image} can be pulled"):
            return Pull(SECONDS, SIZE)
        return Pull(0.05, error=error or f"{name}: not known to exist")
