"""Lists as they were: the objects of a resource at an earlier version, from the log of changes."""

from __future__ import annotations

import base64
import json
from typing import Any

from stratus.sim.api.status import ApiError, bad_request
from stratus.sim.store import Store, StoreExpired

Obj = dict[str, Any]
Key = tuple[str, str]

_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


def key_of(obj: Obj) -> Key:
    """Return by what lists are ordered."""
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]


def objects_at(store: Store, resource: str, namespace: str | None, version: int) -> list[Obj]:
    """Return the objects of a resource as they were at a version, in order.

    Raises:
        StoreExpired: that is further back than the log of changes reaches.
    """
    now = store.list(resource, namespace)
    if version >= store.rv:
        return now
    changes = store.changes_since(version, resource)
    if not changes:
        return now
    found = {key_of(obj): obj for obj in now}
    for change in reversed(changes):
        key = key_of(change.object)
        if namespace is not None and key[0] != namespace:
            continue
        if change.previous is None:
            found.pop(key, None)
        else:
            found[key] = change.previous
    return [found[key] for key in sorted(found)]


def exactly(store: Store, resource: str, namespace: str | None, version: int) -> list[Obj]:
    """Return the objects of a resource at a version a client asked for.

    Raises:
        ApiError: 410.
    """
    try:
        return objects_at(store, resource, namespace, version)
    except StoreExpired:
        raise ApiError(410, "Expired", "The resourceVersion for the provided list is too old.") from None


def write_continue(key: Key, version: str) -> str:
    """Return the token that goes on after a key in the list of a version."""
    start = "/".join(part for part in key if part) + "\u0000"
    token = {"v": "meta.k8s.io/v1", "rv": int(version), "start": start}
    return base64.urlsafe_b64encode(json.dumps(token, separators=(",", ":")).encode()).decode().rstrip("=")


def read_continue(text: str) -> tuple[Key, int]:
    """Return after which key a token goes on, and in the list of which version; -1 is the present one.

    Raises:
        ApiError: 400.
    """
    why = "illegal base64 data at input byte 0"
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        why = "invalid character 'i' looking for beginning of value"
        token = json.loads(decoded)
        namespace, _, name = token["start"].rstrip("\u0000").rpartition("/")
        return (namespace, name), int(token["rv"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise bad_request(f"invalid continue token: continue key is not valid: {why}") from None


def continued(store: Store, resource: str, namespace: str | None, text: str) -> tuple[list[Obj], str]:
    """Return what is left of a list a token goes on with, and the version of that list.

    Raises:
        ApiError: 400, or 410 with a token that goes on in the present.
    """
    start, version = read_continue(text)
    try:
        found = store.list(resource, namespace) if version < 0 else objects_at(store, resource, namespace, version)
    except StoreExpired:
        error = ApiError(410, "Expired", _TOO_OLD)
        error.status["metadata"] = {"continue": write_continue(start, "-1")}
        raise error from None
    return [obj for obj in found if key_of(obj) > start], str(store.rv if version < 0 else version)
