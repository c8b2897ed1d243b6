"""What expressions come to on a grid of moments: rows of values, each with a mask of the moments at which it exists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stratus.sim.telemetry.promql.lexer import PromQLError
from stratus.sim.telemetry.promql.series import Bools, Floats

Labels = dict[str, str]
LabelKey = tuple[tuple[str, str], ...]


@dataclass
class Vector:
    """Rows over a grid of T moments.

    Attributes:
        labels: of each of the n rows.
        values, present: (n, T); values where nothing is present mean nothing.
    """

    labels: list[Labels]
    values: Floats
    present: Bools

    def __len__(self) -> int:
        return len(self.labels)

    def named(self, change: Callable[[Labels], Labels]) -> Vector:
        """Return the rows under other labels; rows that become the same are joined where they never coincide."""
        return joined([change(one) for one in self.labels], self.values, self.present)

    def unnamed(self) -> Vector:
        """Return the rows without their metric names."""
        return self.named(without_name)

    def mapped(self, values: Floats, present: Bools | None = None) -> Vector:
        """Return rows of other values without names."""
        return Vector(self.labels, values, self.present if present is None else present).unnamed()


def empty(moments: int) -> Vector:
    """Return a vector without rows."""
    return Vector([], np.zeros((0, moments)), np.zeros((0, moments), dtype=bool))


def stacked(labels: list[Labels], values: Sequence[Floats], present: Sequence[Any], moments: int) -> Vector:
    """Return a vector of rows given one by one."""
    if not labels:
        return empty(moments)
    return Vector(labels, np.stack(values), np.stack(present))


def without_name(labels: Labels) -> Labels:
    """Return labels without the metric's name."""
    if "__name__" not in labels:
        return labels
    return {k: v for k, v in labels.items() if k != "__name__"}


def key_of(labels: Labels) -> LabelKey:
    """Return labels as something that can be compared."""
    return tuple(sorted(labels.items()))


def grouped(keys: Iterable[LabelKey]) -> dict[LabelKey, list[int]]:
    """Return the places of each key, in order of first appearance."""
    found: dict[LabelKey, list[int]] = {}
    for place, key in enumerate(keys):
        found.setdefault(key, []).append(place)
    return found


def joined(labels: list[Labels], values: Floats, present: Bools) -> Vector:
    """Return rows, those of the same labels joined.

    Raises:
        PromQLError: two of them exist at the same moment.
    """
    groups = grouped(key_of(one) for one in labels)
    if len(groups) == len(labels):
        return Vector(labels, values, present)
    rows, masks, names = [], [], []
    for places in groups.values():
        mask = present[places]
        if (mask.sum(axis=0) > 1).any():
            raise PromQLError("vector cannot contain metrics with the same labelset")
        rows.append(np.where(mask, values[places], 0.0).sum(axis=0))
        masks.append(mask.any(axis=0))
        names.append(labels[places[0]])
    return Vector(names, np.stack(rows), np.stack(masks))
