"""Discovery documents: the version, the groups, their resources, in the old form and the aggregated one."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from stratus.sim.api import health
from stratus.sim.api.messages import Response
from stratus.sim.api.resources import GroupVersion, Registry, Resource

Obj = dict[str, Any]
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

VERSION = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2",
    "gitCommit": "0" * 40,
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "go1.26.6",
    "compiler": "gc",
    "platform": "linux/amd64",
}


def wants_aggregated(accept: str) -> bool:
    """Tell whether the first form a client accepts is the aggregated one."""
    for part in accept.split(","):
        media, *options = [p.strip() for p in part.split(";")]
        if media == "application/json":
            return "as=APIGroupDiscoveryList" in options and "v=v2" in options
    return False


def roots(registry: Registry, accept: str, core: bool) -> Response:
    """Answer `/api` (core) or `/apis`."""
    groups = {g: v for g, v in registry.groups().items() if (g == "") == core}
    if wants_aggregated(accept):
        items = [_aggregated_group(group, versions) for group, versions in groups.items()]
        body = {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}
        return Response(200, body, content_type=AGGREGATED)
    if core:
        server = [{"clientCIDR": "0.0.0.0/0", "serverAddress": "10.199.0.1:6443"}]
        return Response(200, {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": server})
    listed = [_group(group, versions) for group, versions in groups.items()]
    return Response(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed})


def group(registry: Registry, name: str) -> Response | None:
    """Answer `/apis/GROUP`."""
    versions = registry.groups().get(name)
    if not versions or not name:
        return None
    return Response(200, {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)})


def resource_list(gv: GroupVersion) -> Response:
    """Answer `/api/v1` or `/apis/GROUP/VERSION`."""
    listed: list[Obj] = []
    for resource in gv.resources.values():
        listed.append(_legacy(resource))
        subresources = sorted(resource.subresources.values(), key=lambda s: s.name)
        if resource.custom:
            subresources = list(resource.subresources.values())
        for sub in subresources:
            entry: Obj = {"name": f"{resource.name}/{sub.name}", "singularName": "", "namespaced": resource.namespaced}
            if (sub.group, sub.version) != (gv.group, gv.version):
                entry.update(group=sub.group, version=sub.version)
            listed.append({**entry, "kind": sub.kind, "verbs": list(sub.verbs)})
    if not any(r.custom for r in gv.resources.values()):
        listed.sort(key=lambda r: r["name"])
    if not gv.group:
        return Response(200, {"kind": "APIResourceList", "groupVersion": gv.version, "resources": listed})
    name = f"{gv.group}/{gv.version}"
    return Response(200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": listed})


def all_paths(registry: Registry) -> list[str]:
    """Return every path the server answers on that is no resource."""
    paths = ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/", "/flagz", "/metrics",
             "/metrics/slis", "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/openid/v1/jwks", "/statusz",
             "/version"]  # fmt: skip
    for group, versions in registry.groups().items():
        if group:
            paths += [f"/apis/{group}", *(f"/apis/{group}/{gv.version}" for gv in versions)]
    return sorted(paths + health.paths())


def _legacy(resource: Resource) -> Obj:
    entry: Obj = {
        "name": resource.name,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short:
        entry["shortNames"] = list(resource.short)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.hash:
        entry["storageVersionHash"] = resource.hash
    elif resource.custom:
        entry["storageVersionHash"] = _hash(f"{resource.group}/{resource.storage_version}/{resource.kind}")
    return entry


def _hash(kind: str) -> str:
    return base64.b64encode(hashlib.sha256(kind.encode()).digest()[:8]).decode()


def _group(name: str, versions: list[GroupVersion]) -> Obj:
    listed = [{"groupVersion": f"{name}/{gv.version}", "version": gv.version} for gv in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _aggregated_group(name: str, versions: list[GroupVersion]) -> Obj:
    listed = []
    for gv in versions:
        resources = [_aggregated(gv, resource) for resource in gv.resources.values()]
        listed.append({"version": gv.version, "resources": resources, "freshness": "Current"})
    return {"metadata": {"name": name} if name else {}, "versions": listed}


def _aggregated(gv: GroupVersion, resource: Resource) -> Obj:
    def kind(group: str, version: str, name: str) -> Obj:
        # An empty group and version mean those of the document; kubectl needs the real ones where they differ.
        same = (group, version) == (gv.group, gv.version) and not resource.custom
        return {"group": "" if same else group, "version": "" if same else version, "kind": name}

    entry: Obj = {
        "resource": resource.name,
        "responseKind": kind(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short:
        entry["shortNames"] = list(resource.short)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [
            {"subresource": s.name, "responseKind": kind(s.group, s.version, s.kind), "verbs": list(s.verbs)}
            for s in resource.subresources.values()
        ]
    return entry
