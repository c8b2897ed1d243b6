"""What a reader shows of a cluster at one moment: the objects of some namespaces, and what around them counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from stratus.cluster.base import ClusterReader
from stratus.errors import ClusterError, StratusError, UnknownNameError
from stratus.sim.store import Obj


class NoTwin(StratusError):
    """No twin can be made of what is to be seen; the message says why."""


@cache
def kinds() -> dict[str, Any]:
    """Return which kinds are read, under which names the store keeps them, and without which there is no twin."""
    table: dict[str, Any] = json.loads(resources.files(__package__).joinpath("kinds.json").read_text(encoding="utf-8"))
    return table


@dataclass(frozen=True)
class Snapshot:
    """Objects as read, by the name of their resource in a store.

    Attributes:
        at: epoch seconds of the look.
        namespaces: those read whole.
        around: pods of other namespaces: they take room on the nodes and are not followed.
        unseen: kinds that could not be read, and why.
        blind: what of the cluster a twin cannot play, in words.
    """

    at: float
    namespaces: tuple[str, ...]
    objects: dict[str, list[Obj]] = field(default_factory=dict)
    around: list[Obj] = field(default_factory=list)
    unseen: dict[str, str] = field(default_factory=dict)
    blind: tuple[str, ...] = ()

    def count(self) -> int:
        """Return how many objects there are in all."""
        return len(self.around) + sum(map(len, self.objects.values()))

    def kind(self, kind: str) -> list[Obj]:
        """Return the objects of a kind."""
        return self.objects.get(stored_as(kind), [])


def stored_as(kind: str) -> str:
    """Return a store's name for a kind that is read."""
    table = kinds()
    return str(table["namespaced"].get(kind) or table["cluster"][kind])


def take(reader: ClusterReader, namespaces: Iterable[str], *, now: float, most: int) -> Snapshot:
    """Read what a twin of some namespaces needs.

    Args:
        reader: the cluster, as anybody may read it.
        namespaces: those whose objects are to live in the twin.
        now: epoch seconds.
        most: objects that may be read; pods elsewhere are left out before that is too many.

    Raises:
        NoTwin: something essential may not be read, or there is too much of it.
        ClusterUnreachable: the API does not answer.
    """
    spaces = tuple(sorted(set(namespaces) - {""}))
    if not spaces:
        raise NoTwin("no namespace is named whose objects a twin could be made of")
    table = kinds()
    shot = Snapshot(now, spaces)
    for kind, resource in table["cluster"].items():
        shot.objects[resource] = _read(reader, kind, (None,), shot.unseen)
    for kind, resource in table["namespaced"].items():
        shot.objects[resource] = _read(reader, kind, spaces, shot.unseen)
        if shot.count() > most:
            raise NoTwin(f"more than {most} objects to copy (limits.rehearsal_objects)")
    for kind in table["essential"]:
        if kind in shot.unseen:
            raise NoTwin(f"{kind} objects cannot be read: {shot.unseen[kind]}")
    around = [p for p in _read(reader, "Pod", (None,), shot.unseen) if p["metadata"].get("namespace") not in spaces]
    blind = list(_webhooks(reader, shot.unseen))
    if "Pod" in shot.unseen or shot.count() + len(around) > most:
        blind.append("how much room is left on the nodes: pods of other namespaces were not looked at")
        around = []
    if "Secret" in shot.unseen:
        blind.append("what is in Secrets: they may not be read")
    if "ResourceQuota" in shot.unseen or "LimitRange" in shot.unseen:
        blind.append("quotas and limits: they may not be read")
    return Snapshot(now, spaces, shot.objects, around, shot.unseen, tuple(blind))


def _read(reader: ClusterReader, kind: str, spaces: tuple[str | None, ...], unseen: dict[str, str]) -> list[Obj]:
    found: list[Obj] = []
    for space in spaces:
        try:
            found += reader.list(kind, space)
        except UnknownNameError:
            unseen[kind] = "the cluster does not serve this kind"
        except ClusterError as error:
            unseen[kind] = str(error)
    return found


def _webhooks(reader: ClusterReader, unseen: dict[str, str]) -> Iterator[str]:
    """Say which webhooks judge or change pods: a twin does not call them."""
    for kind in kinds()["asked"]:
        for config in _read(reader, kind, (None,), unseen):
            for hook in config.get("webhooks") or ():
                if any(_catches_pods(rule) for rule in hook.get("rules") or ()):
                    yield f"what webhook {hook.get('name', '')} says of new pods: it is not asked"


def _catches_pods(rule: Obj) -> bool:
    return bool({"pods", "*", "*/*"} & set(rule.get("resources") or ())) and bool(
        {"CREATE", "*"} & set(rule.get("operations") or ())
    )
