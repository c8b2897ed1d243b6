"""CustomResourceDefinitions: their rules, the names they are given, and how they go with all they defined."""

from __future__ import annotations

import re
from typing import Any

from stratus.sim.api.rulebase import IMMUTABLE
from stratus.sim.api.status import Problems
from stratus.sim.store import Change, Store, StoreConflict

Obj = dict[str, Any]
CRDS = "customresourcedefinitions.apiextensions.k8s.io"
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


def stored_name(crd: Obj) -> str:
    """Return under which name the store keeps a definition's objects."""
    return f"{crd['spec']['names']['plural']}.{crd['spec']['group']}"


# rules


def validate(o: Obj, problems: Problems) -> None:
    """Collect what is wrong with a definition."""
    spec = o["spec"]
    names, group = spec.get("names") or {}, spec.get("group", "")
    if o["metadata"].get("name") != f"{names.get('plural')}.{group}":
        problems.invalid("metadata.name", o["metadata"].get("name"), 'must be spec.names.plural+"."+spec.group')
    versions = spec.get("versions") or []
    if sum(bool(v.get("storage")) for v in versions) != 1:
        shown = [
            {
                "Name": v.get("name"), "Served": bool(v.get("served")), "Storage": bool(v.get("storage")),
                "Deprecated": bool(v.get("deprecated")), "DeprecationWarning": None, "Schema": None,
                "Subresources": None, "AdditionalPrinterColumns": None, "SelectableFields": None,
            }
            for v in versions
        ]  # fmt: skip
        problems.invalid("spec.versions", shown, "must have exactly one version marked as storage version")
        problems.invalid("status.storedVersions", None, "must have at least one stored version")
    seen: set[str] = set()
    for index, version in enumerate(versions):
        here, name = f"spec.versions[{index}]", version.get("name", "")
        if name in seen:
            problems.invalid(f"{here}.name", name, "must be unique")
        seen.add(name)
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if schema is None:
            problems.required(f"{here}.schema.openAPIV3Schema", "schemas are required")
        else:
            _structural(f"{here}.schema.openAPIV3Schema", schema, problems)
        _scale(f"{here}.subresources.scale", (version.get("subresources") or {}).get("scale"), problems)
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        problems.unsupported("spec.scope", spec.get("scope", ""), ["Cluster", "Namespaced"])


def _structural(path: str, schema: Obj, problems: Problems) -> None:
    kind = schema.get("type")
    if not kind:
        problems.required(f"{path}.type", "must not be empty at the root")
    elif kind != "object":
        problems.invalid(f"{path}.type", kind, "must be object at the root")
    _below(path, schema, problems)


def _below(path: str, schema: Obj, problems: Problems) -> None:
    for key, part in (schema.get("properties") or {}).items():
        if isinstance(part, dict):
            _typed(f"{path}.properties[{key}]", part, "must not be empty for specified object fields", problems)
    more, items = schema.get("additionalProperties"), schema.get("items")
    if isinstance(more, dict):
        if schema.get("properties"):
            problems.forbidden(
                f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive"
            )
        _typed(f"{path}.additionalProperties", more, "must not be empty for specified object fields", problems)
    if isinstance(items, dict):
        _typed(f"{path}.items", items, "must not be empty for specified array items", problems)
    elif schema.get("type") == "array":
        problems.required(f"{path}.items", "must be specified")
    if schema.get("x-kubernetes-list-type") == "map" and not schema.get("x-kubernetes-list-map-keys"):
        text = "must not be empty if x-kubernetes-list-type is map"
        problems.required(f"{path}.x-kubernetes-list-map-keys", text)


def _typed(path: str, schema: Obj, detail: str, problems: Problems) -> None:
    free = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-int-or-string")
    if not schema.get("type") and not free:
        problems.required(f"{path}.type", detail)
    _below(path, schema, problems)


def _scale(path: str, scale: Obj | None, problems: Problems) -> None:
    if scale is None:
        return
    for field, roots, detail in (
        ("specReplicasPath", (".spec.",), "should be a json path under .spec"),
        ("statusReplicasPath", (".status.",), "should be a json path under .status"),
        ("labelSelectorPath", (".spec.", ".status."), "should be a json path under either .spec or .status"),
    ):
        value = scale.get(field) or ""
        if not value:
            if field != "labelSelectorPath":
                problems.required(f"{path}.{field}")
        elif not value.startswith(roots) or not re.fullmatch(r"(\.[A-Za-z0-9_-]+)+", value):
            problems.invalid(f"{path}.{field}", value, detail)


def validate_update(o: Obj, old: Obj, problems: Problems) -> None:
    """Collect what a definition may not change of itself."""
    spec, before = o["spec"], old["spec"]
    for path, new, was in (
        ("spec.scope", spec.get("scope"), before.get("scope")),
        ("spec.names.kind", (spec.get("names") or {}).get("kind"), (before.get("names") or {}).get("kind")),
        ("spec.group", spec.get("group"), before.get("group")),
        ("spec.names.plural", (spec.get("names") or {}).get("plural"), (before.get("names") or {}).get("plural")),
    ):
        if new != was:
            problems.invalid(path, new, IMMUTABLE)
    names = [v.get("name") for v in spec.get("versions") or ()]
    for index, version in enumerate((old.get("status") or {}).get("storedVersions") or ()):
        if version not in names:
            text = (
                f"missing from spec.versions; {version} was previously a storage version, and must remain in "
                f"spec.versions until a storage migration ensures no data remains persisted in {version} and removes "
                f"{version} from status.storedVersions"
            )
            problems.invalid(f"status.storedVersions[{index}]", version, text)


# status


def new_status(obj: Obj, before: Obj | None = None) -> Obj:
    """Return the status of a definition as it is written: its names are looked at afterwards."""
    storage = [v["name"] for v in obj["spec"].get("versions") or () if v.get("storage")]
    if before is None:
        return {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": storage}
    kept = list(before.get("storedVersions") or ())
    return {**before, "storedVersions": kept + [v for v in storage if v not in kept]}


# the end


def marked(crd: Obj, now: str) -> Obj:
    """Return a definition as its deletion begins: held until its objects are gone."""
    meta, status = crd["metadata"], crd.get("status") or {}
    finalizers = meta.get("finalizers") or []
    if CLEANUP not in finalizers:
        finalizers = [*finalizers, CLEANUP]
    terminating = {
        "type": "Terminating",
        "status": "True",
        "lastTransitionTime": now,
        "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    }
    conditions = [c for c in status.get("conditions") or () if c["type"] != "Terminating"]
    return {
        **crd,
        "metadata": {**meta, "finalizers": finalizers, "deletionTimestamp": meta.get("deletionTimestamp", now)},
        "status": {**status, "conditions": [*conditions, terminating]},
    }


class Cleanup:
    """Lets a definition under deletion go once the last of its objects has gone."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ending: dict[str, str] = {}
        for crd in store.list(CRDS):
            self._note(crd)
        self._end = store.subscribe(self._on_change)

    def close(self) -> None:
        """Stop following the store."""
        self._end()

    def _note(self, crd: Obj) -> None:
        if crd["metadata"].get("deletionTimestamp"):
            self._ending[stored_name(crd)] = crd["metadata"]["name"]

    def _on_change(self, change: Change) -> None:
        if change.resource == CRDS:
            if change.type == "DELETED":
                self._ending.pop(stored_name(change.object), None)
            else:
                self._note(change.object)
        elif self._ending and change.type == "DELETED" and change.resource in self._ending:
            self.settle(self._ending[change.resource])

    def settle(self, name: str) -> None:
        """Take the hold off a definition under deletion that has no objects left."""
        crd = self._store.get(CRDS, "", name)
        if crd is None or not crd["metadata"].get("deletionTimestamp") or self._store.count(stored_name(crd)):
            return
        meta = dict(crd["metadata"])
        meta["finalizers"] = [f for f in meta.get("finalizers") or () if f != CLEANUP]
        if not meta["finalizers"]:
            del meta["finalizers"]
        try:
            self._store.update(CRDS, {**crd, "metadata": meta})
        except StoreConflict:  # pragma: no cover - another subscriber was quicker
            return
