"""The resources a cluster serves: built-in ones from the table, custom ones from CustomResourceDefinitions."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from stratus.sim.schema import types
from stratus.sim.schema.types import Type
from stratus.sim.store import Change, Store

Obj = dict[str, Any]
CRDS = "customresourcedefinitions.apiextensions.k8s.io"

#: Served resources that are views on objects stored under another name.
_STORED_AS = {"events.events.k8s.io": "events"}
#: Resources computed on request, with nothing in the store.
VIRTUAL = frozenset({"componentstatuses", "bindings", "nodes.metrics.k8s.io", "pods.metrics.k8s.io"})


@dataclass(slots=True)
class Subresource:
    """A path under an object, and what it answers with."""

    name: str
    group: str
    version: str
    kind: str
    verbs: tuple[str, ...]


@dataclass(slots=True)
class Resource:
    """One resource of one group version.

    Attributes:
        stored: the store's name of its objects, such as `deployments.apps`.
        type: the entry of the type table; None for custom resources.
        schema: the CRD version's OpenAPI schema, for custom resources.
        columns: the CRD version's additionalPrinterColumns.
        scale: the CRD version's scale paths.
        deprecated: the warning that comes with every answer; empty for what is not deprecated.
    """

    group: str
    version: str
    name: str
    kind: str
    namespaced: bool
    singular: str
    verbs: tuple[str, ...]
    stored: str
    type: Type | None
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    hash: str = ""
    subresources: dict[str, Subresource] = field(default_factory=dict)
    custom: bool = False
    schema: Obj | None = None
    columns: list[Obj] = field(default_factory=list)
    scale: Obj | None = None
    list_kind: str = ""
    storage_version: str = ""
    deprecated: str = ""

    @property
    def group_version(self) -> str:
        """Return `apps/v1` or `v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """Return `deployments.apps` or `pods`."""
        return f"{self.name}.{self.group}" if self.group else self.name


@dataclass(slots=True)
class GroupVersion:
    """One group version with its resources in discovery order."""

    group: str
    version: str
    resources: dict[str, Resource] = field(default_factory=dict)


@cache
def _builtin() -> dict[tuple[str, str], GroupVersion]:
    out: dict[tuple[str, str], GroupVersion] = {}
    for entry in types.resources():
        group, version = entry["group"], entry["version"]
        gv = out.setdefault((group, version), GroupVersion(group, version))
        for r in entry["resources"]:
            qualified = f"{r['name']}.{group}" if group else r["name"]
            subs = {
                s["name"]: Subresource(
                    s["name"], s["kind"][0] or group, s["kind"][1] or version, s["kind"][2], tuple(s["verbs"])
                )
                for s in r.get("sub", ())
            }
            gv.resources[r["name"]] = Resource(
                group,
                version,
                r["name"],
                r["kind"],
                r["namespaced"],
                r["singular"],
                tuple(r["verbs"]),
                _STORED_AS.get(qualified, qualified),
                types.of_kind(group, version, r["kind"]),
                tuple(r.get("short", ())),
                tuple(r.get("categories", ())),
                r.get("hash", ""),
                subs,
                list_kind=f"{r['kind']}List",
                storage_version="v2" if group == "autoscaling" else version,
                deprecated=r.get("deprecated", ""),
            )
    return out


def established(crd: Obj) -> bool:
    """Tell whether a definition's objects are served."""
    conditions = (crd.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions)


def _custom(crd: Obj) -> list[Resource]:
    spec, names = crd["spec"], crd["spec"]["names"]
    storage = next((v["name"] for v in spec["versions"] if v.get("storage")), "")
    out = []
    for v in spec["versions"]:
        if not v.get("served"):
            continue
        declared = v.get("subresources") or {}
        subs = {}
        if "status" in declared:
            subs["status"] = Subresource("status", spec["group"], v["name"], names["kind"], ("get", "patch", "update"))
        if "scale" in declared:
            subs["scale"] = Subresource("scale", "autoscaling", "v1", "Scale", ("get", "patch", "update"))
        out.append(
            Resource(
                spec["group"],
                v["name"],
                names["plural"],
                names["kind"],
                spec["scope"] == "Namespaced",
                names.get("singular") or names["kind"].lower(),
                ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"),
                f"{names['plural']}.{spec['group']}",
                None,
                tuple(names.get("shortNames") or ()),
                tuple(names.get("categories") or ()),
                "",
                subs,
                custom=True,
                schema=(v.get("schema") or {}).get("openAPIV3Schema"),
                columns=v.get("additionalPrinterColumns") or [],
                scale=declared.get("scale"),
                list_kind=names.get("listKind") or f"{names['kind']}List",
                storage_version=storage,
                deprecated=_deprecation(spec, v) if v.get("deprecated") else "",
            )
        )
    return out


def _deprecation(spec: Obj, version: Obj) -> str:
    text = f"{spec['group']}/{version['name']} {spec['names']['kind']} is deprecated"
    return str(version.get("deprecationWarning") or text)


class Registry:
    """Finds resources by group, version and name; follows CRDs as they come and go."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._static = _builtin()
        self.generation = 0
        self._all: dict[tuple[str, str], GroupVersion] = {}
        self._by_stored: dict[str, Resource] = {}
        self._rebuild()
        self._end = store.subscribe(self._on_change, CRDS)

    def close(self) -> None:
        """Stop following CRDs."""
        self._end()

    def withhold(self, *groups: str) -> None:
        """Serve these groups no more, as a cluster without their server (metrics.k8s.io without metrics-server)."""
        self._static = {key: gv for key, gv in self._static.items() if key[0] not in groups}
        self._rebuild()

    def _on_change(self, change: Change) -> None:
        if change.resource == CRDS:
            self._rebuild()

    def _rebuild(self) -> None:
        self.generation += 1
        self._all = dict(self._static)
        for crd in self._store.list(CRDS):
            for resource in _custom(crd) if established(crd) else ():
                key = (resource.group, resource.version)
                gv = self._all.get(key)
                if gv is None or key in self._static:
                    gv = self._all[key] = GroupVersion(
                        resource.group, resource.version, dict(gv.resources) if gv else {}
                    )
                gv.resources[resource.name] = resource
        self._by_stored = {}
        for gv in self._all.values():
            for resource in gv.resources.values():
                if resource.qualified not in VIRTUAL and (
                    resource.version == resource.storage_version and resource.qualified == resource.stored
                ):
                    self._by_stored[resource.stored] = resource

    def find(self, group: str, version: str, name: str) -> Resource | None:
        """Return a resource, or None."""
        gv = self._all.get((group, version))
        return gv.resources.get(name) if gv else None

    def stored(self, name: str) -> Resource | None:
        """Return the resource in its storage version by its store name."""
        return self._by_stored.get(name)

    def of_kind(self, group: str, version: str, kind: str) -> Resource | None:
        """Return the resource that serves a kind."""
        gv = self._all.get((group, version))
        return next((r for r in gv.resources.values() if r.kind == kind), None) if gv else None

    def group_versions(self) -> list[GroupVersion]:
        """Return all group versions in discovery order, the core group first."""
        return list(self._all.values())

    def version(self, group: str, version: str) -> GroupVersion | None:
        """Return one group version, or None."""
        return self._all.get((group, version))

    def groups(self) -> dict[str, list[GroupVersion]]:
        """Return the versions of each group, preferred first."""
        out: dict[str, list[GroupVersion]] = {}
        for gv in self._all.values():
            out.setdefault(gv.group, []).append(gv)
        return out
