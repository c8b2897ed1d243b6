"""OpenAPI v3 documents, made from the type table and the served resources when somebody asks for them."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

from stratus.sim.api import openapipaths, openapiv2
from stratus.sim.api.messages import Response, dump
from stratus.sim.api.openapischemas import closure, custom_list, custom_name, custom_schema, list_name, list_of
from stratus.sim.api.resources import GroupVersion, Registry
from stratus.sim.schema import types

Obj = dict[str, Any]
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_PLAIN = (".well-known/openid-configuration", "openid/v1/jwks", "version")


def _names(registry: Registry) -> list[str]:
    """Return the paths of all documents below `/openapi/v3/`, in order."""
    found = {"api", "apis", *_PLAIN}
    for gv in registry.group_versions():
        if not gv.resources:
            continue
        custom = all(r.custom for r in gv.resources.values())
        found.add(f"apis/{gv.group}/{gv.version}" if gv.group else f"api/{gv.version}")
        if gv.group and not custom:
            found.add(f"apis/{gv.group}")
    return sorted(found)


class Documents:
    """The documents per group version, made when asked for and kept while the resources stay the same."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._made: dict[str, tuple[int, bytes, str]] = {}

    def index(self) -> Response:
        """Return the list of documents, each with a hash of what it is made from."""
        paths = {}
        for name in _names(self._registry):
            paths[name] = {"serverRelativeURL": f"/openapi/v3/{name}?hash={self._digest(name)}"}
        return Response(200, {"paths": paths}, content_type="text/plain; charset=utf-8")

    def document(self, name: str) -> Response | None:
        """Return one document by its path below `/openapi/v3/`."""
        name = name.strip("/")
        if name not in _names(self._registry):
            return None
        digest = self._digest(name)
        made = self._made.get(name)
        if made is None or made[2] != digest:
            made = self._made[name] = (0, dump(self._make(name)), digest)
        return Response(200, body=made[1], headers={"Etag": f'"{digest}"'})

    def version_2(self, accept: str) -> Response:
        """Return the document of version 2, in the form asked for."""
        key = "v2 in protobuf" if openapiv2.PROTOBUF in accept else "v2"
        digest = hashlib.sha512("".join(self._digest(n) for n in _names(self._registry)).encode()).hexdigest().upper()
        made = self._made.get(key)
        if made is None or made[2] != digest:
            whole = openapiv2.document([self._make(name) for name in _names(self._registry)])
            body = dump(whole) if key == "v2" else openapiv2.protobuf(whole)
            made = self._made[key] = (0, body, digest)
        kind = "application/json" if key == "v2" else openapiv2.PROTOBUF_SENT
        return Response(200, body=made[1], content_type=kind, headers={"Etag": f'"{digest}"'})

    def _group_version(self, name: str) -> GroupVersion | None:
        parts = name.split("/")
        if parts[0] == "api" and len(parts) == 2:
            return self._registry.version("", parts[1])
        if parts[0] == "apis" and len(parts) == 3:
            return self._registry.version(parts[1], parts[2])
        return None

    def _digest(self, name: str) -> str:
        # Built-in documents follow from the shipped tables alone, custom ones from their definitions.
        gv = self._group_version(name)
        custom = [r for r in gv.resources.values() if r.custom] if gv else []
        if not custom:
            return _builtin_digest(name)
        shown = [[r.name, r.kind, r.list_kind, r.namespaced, r.schema, sorted(r.subresources)] for r in custom]
        return hashlib.sha512(f"{name}/{dump(shown).decode()}".encode()).hexdigest().upper()

    def _make(self, name: str) -> Obj:
        gv = self._group_version(name)
        if gv is None:
            return _plain_document(name)
        return _document(gv)


@lru_cache(maxsize=256)
def _builtin_digest(name: str) -> str:
    return hashlib.sha512(f"stratus/2/{name}".encode()).hexdigest().upper()


def _whole(paths: Obj, schemas: Obj, *, custom: bool = False) -> Obj:
    if custom:
        info = {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"}
        return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}
    token = {
        "type": "apiKey",
        "description": "Bearer Token authentication",
        "name": "authorization",
        "in": "header",
    }
    components: Obj = {"schemas": schemas} if schemas else {}
    components["securitySchemes"] = {"BearerToken": token}
    info = {"title": "Kubernetes", "version": "1.36"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": components}


def _plain_document(name: str) -> Obj:
    """Return a document of one path that answers about the server or a group."""
    paths, answer = openapipaths.plain(name)
    return _whole(paths, closure([answer]) if answer else {})


def _document(gv: GroupVersion) -> Obj:
    custom = all(r.custom for r in gv.resources.values())
    roots: list[str] = [] if custom else [_META + "APIResourceList"]
    schemas: dict[str, Obj] = {}
    paths = {} if custom else openapipaths.available(gv)
    for resource in gv.resources.values():
        listed = ""
        if resource.type is not None:
            name = resource.type.name
            roots.append(name)
            if "list" in resource.verbs:
                listed = list_name(resource)
                schemas[listed] = list_of(resource, listed)
                roots.append(_META + "ListMeta")
        else:
            name, listed = custom_name(resource), custom_name(resource, resource.list_kind)
            schemas[name] = custom_schema(resource)
            schemas[listed] = custom_list(resource, name)
            roots += [types.OBJECT_META, _META + "ListMeta"]
        used = openapipaths.add(gv, resource, name, listed, paths)
        roots += [u for u in used if u not in schemas]
    schemas = {**closure(list(dict.fromkeys(roots)), None if custom else gv.group, gv.version), **schemas}
    return _whole(dict(sorted(paths.items())), dict(sorted(schemas.items())), custom=custom)
