"""Taking the changes of one injection back: what it changed and nothing else, whatever else happened meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stratus.errors import UsageError
from stratus.sim.faults.hands import Before, Hands
from stratus.sim.faults.inner import delete_pods, run_undo
from stratus.sim.faults.restoring import undo
from stratus.sim.store import Obj

_OWN = ("resourceVersion", "uid", "creationTimestamp", "generation", "managedFields", "selfLink", "deletionTimestamp")
Place = tuple[str, ...]


def take_back(hands: Hands, changes: list[Before], others: Iterable[Before]) -> list[str]:
    """Take changes back, the last first; each object is written once.

    Args:
        hands: what to work with.
        changes: what one injection changed, in order.
        others: the changes of the injections that stay: those made later on top of one of these forget it, so that
            taking them back does not bring it back.

    Returns:
        What could not be taken back, as sentences.
    """
    problems: list[str] = []
    objects: dict[Place, Any] = {}
    rest = list(others)
    for change in reversed(changes):
        try:
            if change.what == "object":
                if change.place not in objects:
                    objects[change.place] = hands.find(*change.place)
                current = objects[change.place]
                if current is not None:
                    objects[change.place] = _without(change, current)
            else:
                _other(hands, change, rest)
        except UsageError as error:
            problems.append(str(error))
        for other in rest:
            if other.what == change.what and other.place == change.place and change.what in ("object", "store"):
                other.was = undo(_plain(change, change.was), _plain(change, change.after), _plain(change, other.was))
                other.after = undo(
                    _plain(change, change.was), _plain(change, change.after), _plain(change, other.after)
                )
    for place, wanted in objects.items():
        try:
            _write(hands, place, wanted)
        except UsageError as error:
            problems.append(str(error))
    for change in changes:
        if change.what == "pods":
            delete_pods(hands, change.place[0], change.was)
        elif change.what == "field":
            _put_back(hands, change)
    return problems


def _plain(change: Before, value: Any) -> Any:
    """Return a value that may be changed: objects in the store are shared, stores are changed in place."""
    if change.what == "store" or value is None:
        return value
    return {k: v for k, v in value.items() if k != "status"}


def _without(change: Before, current: Obj) -> Obj:
    merged: Obj = undo(decided(change.was), decided(change.after), decided(current))
    return {**current, **merged, "metadata": {**current["metadata"], **merged["metadata"]}, "_decided": merged}


def decided(obj: Obj) -> Obj:
    """Return what somebody decided about an object: no status, and nothing that the server keeps itself."""
    found = {k: v for k, v in obj.items() if k not in ("status", "_decided")}
    found["metadata"] = {k: v for k, v in obj["metadata"].items() if k not in _OWN}
    return found


def _write(hands: Hands, place: Place, wanted: Obj | None) -> None:
    if wanted is None or "_decided" not in wanted:
        return
    kind, space, name = place
    current = hands.find(kind, space, name)
    body = wanted["_decided"]
    if current is None or decided(current) == body:
        return
    body["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"]
    hands.send("PUT", hands.path(hands.resource(kind), space, name), body)


def _put_back(hands: Hands, change: Before) -> None:
    kind, space, name = change.place
    patch: Any = change.was
    for part in reversed(change.after.split(".")):
        patch = {part: patch}
    if hands.find(kind, space, name) is not None:
        hands.patch(kind, space, name, patch)


def _other(hands: Hands, change: Before, rest: list[Before]) -> None:
    cluster = hands.cluster
    if change.what == "store":
        current = cluster.runtime.databases.get((change.place[0], change.place[1]))
        if current is not None and change.was is not None:
            undo(change.was, change.after, current)
    elif change.what == "kubelet":
        if not any(o.what == "kubelet" and o.place == change.place for o in rest):
            cluster.control.kubelet.start_node(change.place[0])
    elif change.what == "image":
        cluster.registry.remove_rule(change.place[0], error=change.place[1])
    elif change.what == "exec":
        run_undo(hands, change)
    elif change.what == "created":
        kind, group, space, name = change.place
        resource = hands.resource(kind, group)
        found = cluster.store.get(resource.stored, space, name)
        if found is not None and found["metadata"].get("uid") == change.after:
            hands.send("DELETE", hands.path(resource, space, name))
    elif change.what == "deleted":
        kind, space, name = change.place
        if hands.find(kind, space, name) is None:
            hands.send("POST", hands.path(hands.resource(kind), space), decided(change.was))
