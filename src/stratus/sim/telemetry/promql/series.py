"""Stored series, and where selectors find them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stratus.sim.telemetry.promql.nodes import Matcher

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Series:
    """One series.

    Attributes:
        labels: all labels, `__name__` among them.
        times: moments of its samples, ascending, epoch seconds.
        values: their values.
        stale: which samples are markers that the series has ended there; None: none is.
    """

    labels: dict[str, str]
    times: Floats
    values: Floats
    stale: Bools | None = None

    @cached_property
    def samples(self) -> tuple[Floats, Floats]:
        """Return times and values without the markers."""
        if self.stale is None or not self.stale.any():
            return self.times, self.values
        keep = ~self.stale
        return self.times[keep], self.values[keep]

    @cached_property
    def corrected(self) -> Floats:
        """Return the values of a counter with its resets added up."""
        values = self.samples[1]
        if len(values) < 2:
            return values
        fell = values[1:] < values[:-1]
        if not fell.any():
            return values
        mended: Floats = values + np.concatenate([[0.0], np.cumsum(np.where(fell, values[:-1], 0.0))])
        return mended

    def since(self, start: float) -> Series:
        """Return the part of the series that is not older than a moment."""
        place = int(np.searchsorted(self.times, start))
        if not place:
            return self
        stale = None if self.stale is None else self.stale[place:]
        return Series(self.labels, self.times[place:], self.values[place:], stale)


class Source(Protocol):
    """Where series are."""

    def select(self, matchers: Sequence[Matcher]) -> Iterable[Series]:
        """Return the series that fit all matchers."""
        ...


class Database:
    """Series kept in memory, by name."""

    def __init__(self, series: Iterable[Series] = ()) -> None:
        self._by_name: dict[str, list[Series]] = {}
        for one in series:
            self._by_name.setdefault(one.labels.get("__name__", ""), []).append(one)

    def select(self, matchers: Sequence[Matcher]) -> Iterable[Series]:
        """Return the series that fit all matchers."""
        return matching(self._by_name, matchers)


def matching(by_name: dict[str, list[Series]], matchers: Sequence[Matcher]) -> list[Series]:
    """Return the series that fit all matchers."""
    named = [m for m in matchers if m.label == "__name__"]
    rest = [m for m in matchers if m.label != "__name__"]
    fixed = next((m.value for m in named if m.op == "="), None)
    names: Iterable[str] = by_name if fixed is None else [fixed] if fixed in by_name else []
    found: list[Series] = []
    for name in names:
        if all(m.matches(name) for m in named):
            found += [s for s in by_name[name] if all(m.matches(s.labels.get(m.label, "")) for m in rest)]
    return found


def array(values: Any) -> Floats:
    """Return values as an array of floats."""
    return np.asarray(values, dtype=np.float64)
