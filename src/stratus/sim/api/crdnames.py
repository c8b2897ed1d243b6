"""Names of custom resources: accepted when no other definition of the group has them, and established then."""

from __future__ import annotations

from typing import Any

from stratus.kit.clock import Clock, iso
from stratus.sim.api import managed, nodes
from stratus.sim.api.crds import CRDS
from stratus.sim.schema import types
from stratus.sim.store import Change, Store

Obj = dict[str, Any]
_TYPE = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition"
_REASONS = {
    "plural": "PluralConflict",
    "singular": "SingularConflict",
    "shortNames": "ShortNamesConflict",
    "kind": "KindConflict",
    "listKind": "ListKindConflict",
}


def accepted(names: Obj, taken: list[Obj], before: Obj) -> tuple[Obj, str, str]:
    """Return which of the names asked for are accepted, and why others are not (reason, message).

    Args:
        names: what the definition asks for.
        taken: the accepted names of the group's other definitions.
        before: what was accepted before; it is kept where the new name is taken.
    """
    resources = {n for t in taken for n in (t.get("plural"), t.get("singular"), *(t.get("shortNames") or ())) if n}
    kinds = {n for t in taken for n in (t.get("kind"), t.get("listKind")) if n}
    out: Obj = {}
    reason, messages = "", []
    for field in ("plural", "singular", "shortNames", "kind", "listKind"):
        wanted = names.get(field)
        pool = kinds if field in ("kind", "listKind") else resources
        hits = [n for n in (wanted if isinstance(wanted, list) else [wanted]) if n and n in pool]
        if not hits:
            if wanted:
                out[field] = wanted
            continue
        reason = reason or _REASONS[field]
        messages += [f'"{hit}" is already in use' for hit in hits]
        if field == "shortNames" or before.get(field):
            out[field] = before.get(field) or []
    if names.get("categories"):
        out["categories"] = names["categories"]
    out.setdefault("plural", "")
    out.setdefault("kind", "")
    return {k: v for k, v in out.items() if v or k in ("plural", "kind")}, reason, ", ".join(messages)


class Naming:
    """Looks at definitions as they come and change, accepts their names and establishes them."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._end = store.subscribe(self._on_change, CRDS)

    def close(self) -> None:
        """Stop following the store."""
        self._end()

    def _on_change(self, change: Change) -> None:
        if change.resource != CRDS:
            return
        if change.type == "DELETED":
            self._look_at_group(change.object["spec"].get("group", ""))
        elif (
            change.type == "ADDED"
            or change.previous is None
            or (change.object["spec"].get("names") != change.previous["spec"].get("names"))
        ):
            self._look(change.object["metadata"]["name"])

    def _look_at_group(self, group: str) -> None:
        """Names that have become free may be what others wait for."""
        for crd in self._store.list(CRDS):
            conditions = (crd.get("status") or {}).get("conditions") or []
            waits = any(c["type"] == "NamesAccepted" and c["status"] == "False" for c in conditions)
            if waits and crd["spec"].get("group") == group:
                self._look(crd["metadata"]["name"])

    def _look(self, name: str) -> None:
        crd = self._store.get(CRDS, "", name)
        if crd is None:
            return
        group, status = crd["spec"].get("group"), crd.get("status") or {}
        taken = [
            (other.get("status") or {}).get("acceptedNames") or {}
            for other in self._store.list(CRDS)
            if other["spec"].get("group") == group and other["metadata"]["name"] != name
        ]
        names, reason, message = accepted(crd["spec"].get("names") or {}, taken, status.get("acceptedNames") or {})
        now = iso(self._clock.now())
        conditions = list(status.get("conditions") or ())
        established = any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
        if reason:
            _set(conditions, "NamesAccepted", "False", reason, message, now)
            if not established:
                _set(conditions, "Established", "False", "NotAccepted", "not all names are accepted", now)
        else:
            _set(conditions, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now)
            if not established:
                text = "the initial names have been accepted"
                _set(conditions, "Established", "True", "InitialNamesAccepted", text, now)
        new = {**crd, "status": {**status, "conditions": conditions, "acceptedNames": names}}
        if new == crd:
            return
        meta = dict(crd["metadata"])
        if meta.get("managedFields"):
            meta["managedFields"] = managed.track_update(
                nodes.of_type(types.named(_TYPE)),
                crd,
                new,
                manager="kube-apiserver",
                api_version="apiextensions.k8s.io/v1",
                now=now,
                subresource="status",
                has_status=True,
            )
        self._store.update(CRDS, {**new, "metadata": meta})


def _set(conditions: list[Obj], kind: str, status: str, reason: str, message: str, now: str) -> None:
    new = {"type": kind, "status": status, "lastTransitionTime": now, "reason": reason, "message": message}
    for index, old in enumerate(conditions):
        if old["type"] == kind:
            if old["status"] == status:
                new["lastTransitionTime"] = old["lastTransitionTime"]
            conditions[index] = new
            return
    conditions.append(new)
