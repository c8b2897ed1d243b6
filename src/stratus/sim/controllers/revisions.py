"""ControllerRevisions: the history of templates that StatefulSets and DaemonSets keep."""

from __future__ import annotations

from stratus.sim.controllers.common import content_hash, key_of, owner_reference
from stratus.sim.store import Obj, Store

RESOURCE = "controllerrevisions.apps"
HASH_LABEL = "controller.kubernetes.io/hash"
#: Revisions of DaemonSets carry the label of their pods instead.
DAEMON_LABEL = "controller-revision-hash"


def revisions_of(store: Store, owner: Obj) -> list[Obj]:
    """Return an owner's revisions, oldest first."""
    found = [o for r, o in store.owned_by(owner["metadata"]["uid"]) if r == RESOURCE]
    return sorted(found, key=lambda o: (o["revision"], o["metadata"]["name"]))


def current_revision(store: Store, owner: Obj) -> Obj:
    """Return the revision of the owner's present template: the stored one, raised to the newest, or a new one."""
    template = owner["spec"]["template"]
    data = {"spec": {"template": {"$patch": "replace", **template}}}
    history = revisions_of(store, owner)
    newest = history[-1]["revision"] if history else 0
    for revision in reversed(history):
        if revision["data"] == data:
            if revision["revision"] < newest:
                return store.update(RESOURCE, {**revision, "revision": newest + 1})
            return revision
    meta = owner["metadata"]
    label = DAEMON_LABEL if owner["kind"] == "DaemonSet" else HASH_LABEL
    collisions = 0
    while True:
        digest = content_hash(data, collisions)
        name = f"{meta['name']}-{digest}"
        if store.get(RESOURCE, meta["namespace"], name) is None:
            break
        collisions += 1
    body: Obj = {
        "kind": "ControllerRevision",
        "apiVersion": "apps/v1",
        "metadata": {
            "name": name,
            "namespace": meta["namespace"],
            "labels": {**((template.get("metadata") or {}).get("labels") or {}), label: digest},
            "ownerReferences": [owner_reference(owner)],
        },
        "data": data,
        "revision": newest + 1,
    }
    if meta.get("annotations"):
        body["metadata"]["annotations"] = dict(meta["annotations"])
    return store.create(RESOURCE, body)


def trim(store: Store, owner: Obj, used: set[str]) -> None:
    """Drop old revisions beyond the history limit that no pod uses."""
    spare = [r for r in revisions_of(store, owner) if r["metadata"]["name"] not in used]
    for revision in spare[: max(0, len(spare) - owner["spec"].get("revisionHistoryLimit", 10))]:
        store.delete(RESOURCE, *key_of(revision))
