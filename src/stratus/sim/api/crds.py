"""CustomResourceDefinitions: their rules, the names they are given, and how they go with all they defined."""

from __future__ import annotations

import re
from typing import Any

from stratus.sim.api.fieldrules import maybe_one_of, one_of
from stratus.sim.api.names import subdomain_problems
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

_LABEL_1035 = re.compile("[a-z]([-a-z0-9]*[a-z0-9])?")
_LABEL_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_APPROVED = "api-approved.kubernetes.io"


def _label(path: str, value: str, problems: Problems, prefix: str = "") -> None:
    text = value.lower() if prefix else value
    if len(text) > 63:
        problems.invalid(path, value, f"{prefix}must be no more than 63 characters")
    if not _LABEL_1035.fullmatch(text):
        problems.invalid(path, value, f"{prefix}{_LABEL_TEXT}")


def _shown_versions(versions: list[Obj]) -> list[Obj]:
    return [
        {
            "Name": v.get("name"), "Served": bool(v.get("served")), "Storage": bool(v.get("storage")),
            "Deprecated": bool(v.get("deprecated")), "DeprecationWarning": v.get("deprecationWarning"), "Schema": None,
            "Subresources": None, "AdditionalPrinterColumns": None, "SelectableFields": None,
        }
        for v in versions
    ]  # fmt: skip


def validate(o: Obj, problems: Problems) -> None:
    """Collect what is wrong with a definition."""
    spec = o["spec"]
    names, group = spec.get("names") or {}, spec.get("group", "")
    if o["metadata"].get("name") != f"{names.get('plural', '')}.{group}":
        problems.invalid("metadata.name", o["metadata"].get("name"), 'must be spec.names.plural+"."+spec.group')
    versions = spec.get("versions") or []
    if not group:
        problems.required("spec.group")
    elif found := subdomain_problems(group):
        problems.invalid("spec.group", group, ",".join(found))
    elif "." not in group:
        problems.invalid("spec.group", group, "should be a domain with at least one dot")
    one_of("spec.scope", spec.get("scope"), ("Cluster", "Namespaced"), problems)
    for index, version in enumerate(versions):
        if (version.get("schema") or {}).get("openAPIV3Schema") is None:
            problems.required(f"spec.versions[{index}].schema.openAPIV3Schema", "schemas are required")
    for index, version in enumerate(versions):
        _version(f"spec.versions[{index}]", version, problems)
    listed = [v.get("name") for v in versions]
    if len(set(listed)) != len(listed):
        problems.invalid("spec.versions", _shown_versions(versions), "must contain unique version names")
    unstored = sum(bool(v.get("storage")) for v in versions) != 1
    if unstored:
        text = "must have exactly one version marked as storage version"
        problems.invalid("spec.versions", _shown_versions(versions), text)
    _names("spec.names", names, problems)
    _conversion("spec.conversion", spec.get("conversion") or {}, problems)
    if not any(v.get("storage") for v in versions):
        problems.invalid("status.storedVersions", None, "must have at least one stored version")
    reserved = group.endswith((".k8s.io", ".kubernetes.io")) or group in ("k8s.io", "kubernetes.io")
    if reserved and not (o["metadata"].get("annotations") or {}).get(_APPROVED):
        text = (
            f'protected groups must have approval annotation "{_APPROVED}", '
            "see https://github.com/kubernetes/enhancements/pull/1111"
        )
        problems.required(f"metadata.annotations[{_APPROVED}]", text)


def _version(here: str, version: Obj, problems: Problems) -> None:
    _label(f"{here}.name", version.get("name", ""), problems)
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if schema is not None:
        _structural(f"{here}.schema.openAPIV3Schema", schema, problems)
    _scale(f"{here}.subresources.scale", (version.get("subresources") or {}).get("scale"), problems)
    for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
        place, kind = f"{here}.additionalPrinterColumns[{index}]", column.get("type", "")
        if not column.get("name"):
            problems.required(f"{place}.name")
        text = f"must be one of {','.join(_COLUMN_TYPES)}"
        if not kind:
            problems.required(f"{place}.type", text)
        elif kind not in _COLUMN_TYPES:
            problems.invalid(f"{place}.type", kind, text)
        if not column.get("jsonPath"):
            problems.required(f"{place}.JSONPath")


def _names(path: str, names: Obj, problems: Problems) -> None:
    for field in ("plural", "singular", "kind", "listKind"):
        if not names.get(field):
            problems.required(f"{path}.{field}")
    mixed = "may have mixed case, but should otherwise match: "
    for field, prefix in (("plural", ""), ("singular", ""), ("kind", mixed), ("listKind", mixed)):
        if names.get(field):
            _label(f"{path}.{field}", names[field], problems, prefix)
    for field in ("shortNames", "categories"):
        for index, name in enumerate(names.get(field) or ()):
            _label(f"{path}.{field}[{index}]", name, problems)
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        problems.invalid(f"{path}.listKind", names["listKind"], "kind and listKind may not be the same")


def _conversion(path: str, conversion: Obj, problems: Problems) -> None:
    strategy, hook = conversion.get("strategy", "None"), conversion.get("webhook")
    if strategy not in ("None", "Webhook"):
        problems.unsupported(f"{path}.strategy", strategy, ["None", "Webhook"])
    elif strategy == "Webhook":
        if (hook or {}).get("clientConfig") is None:
            text = "required when strategy is set to Webhook"
            problems.required(f"{path}.webhookClientConfig", text)
    elif hook is not None:
        text = "should not be set when strategy is not set to Webhook"
        problems.forbidden(f"{path}.webhookClientConfig", text)


def _structural(path: str, schema: Obj, problems: Problems) -> None:
    kind = schema.get("type")
    if not kind:
        problems.required(f"{path}.type", "must not be empty at the root")
    elif kind != "object":
        problems.invalid(f"{path}.type", kind, "must be object at the root")
    _below(path, schema, problems)


def _below(path: str, schema: Obj, problems: Problems) -> None:
    kind = schema.get("type")
    if kind and kind not in _TYPES:
        problems.unsupported(f"{path}.type", kind, _TYPES)
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
    list_type = schema.get("x-kubernetes-list-type")
    if list_type is not None:
        maybe_one_of(f"{path}.x-kubernetes-list-type", list_type, ("atomic", "set", "map"), problems)
        if kind != "array":
            problems.invalid(f"{path}.type", kind or "", "must be array if x-kubernetes-list-type is specified")
    map_type = schema.get("x-kubernetes-map-type")
    if map_type is not None:
        maybe_one_of(f"{path}.x-kubernetes-map-type", map_type, ("atomic", "granular"), problems)
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
