"""One sample of a metric, and how exporters put them together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stratus.kit.clock import parse_iso
from stratus.sim.store import Obj

LabelKey = tuple[tuple[str, str], ...]
Sample = tuple[str, LabelKey, float]
"""(name, labels sorted by name, value)."""


class Emitter:
    """Collects samples that share labels."""

    def __init__(self, **labels: str) -> None:
        self.labels = labels
        self.samples: list[Sample] = []

    def __call__(self, metric: str, value: Any, /, **more: Any) -> None:
        """Add a sample; a value of None is none, and an empty label is left out."""
        if value is None:
            return
        labels = {**self.labels, **more} if more else self.labels
        key = tuple(sorted((k, str(v)) for k, v in labels.items() if v != "" and v is not None))
        self.samples.append((metric, key, float(value)))

    def info(self, metric: str, /, **more: Any) -> None:
        """Add a sample of value 1."""
        self(metric, 1, **more)

    def choices(self, metric: str, label: str, chosen: str, among: tuple[str, ...], **more: Any) -> None:
        """Add one sample per possible value of a label: 1 for the chosen one, 0 for the others."""
        for one in among:
            self(metric, one == chosen, **{label: one}, **more)

    def moment(self, metric: str, text: Any, **more: Any) -> None:
        """Add a time given in RFC 3339, in epoch seconds."""
        if text:
            self(metric, parse_iso(str(text)), **more)


def created(emit: Emitter, kind: str, obj: Obj) -> None:
    """Tell when an object was made."""
    emit.moment(f"kube_{kind}_created", obj["metadata"].get("creationTimestamp"))


def conditions(obj: Obj) -> Iterator[tuple[str, str]]:
    """Return (type, status in lower case) of an object's conditions."""
    for one in (obj.get("status") or {}).get("conditions") or ():
        yield str(one["type"]), str(one.get("status", "Unknown")).lower()
