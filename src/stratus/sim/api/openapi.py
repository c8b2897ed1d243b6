"""OpenAPI v3 documents, made from the type table: enough for apply, create, explain and their validation."""

from __future__ import annotations

import hashlib
from typing import Any

from stratus.sim.api.messages import Response, dump
from stratus.sim.api.resources import GroupVersion, Registry, Resource
from stratus.sim.schema import types
from stratus.sim.schema.types import Field, Type

Obj = dict[str, Any]
_REF = "#/components/schemas/"
_SCALARS: dict[str, Obj] = {
    "s": {"type": "string"},
    "b": {"type": "boolean"},
    "i": {"type": "integer", "format": "int32"},
    "l": {"type": "integer", "format": "int64"},
    "f": {"type": "number", "format": "double"},
    "y": {"type": "string", "format": "byte"},
}
_OPAQUE: dict[str, Obj] = {
    types.TIME: {"type": "string", "format": "date-time"},
    types.MICRO_TIME: {"type": "string", "format": "date-time"},
    types.DURATION: {"type": "string"},
    types.QUANTITY: {"oneOf": [{"type": "string"}, {"type": "number"}]},
    types.INT_OR_STRING: {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
}


def _ref(name: str) -> Obj:
    return {"allOf": [{"$ref": _REF + name}], "default": {}}


def _schema_of(field: Field, depth: int = 0) -> Obj:
    if depth < len(field.containers):
        inner = _schema_of(field, depth + 1)
        if field.containers[depth] == "{}":
            return {"type": "object", "additionalProperties": inner}
        return {"type": "array", "items": inner}
    if "." in field.base:
        return _ref(field.base)
    return dict(_SCALARS.get(field.base, {}))


def _property(field: Field) -> Obj:
    out = _schema_of(field)
    if field.is_list or field.list_type:
        if field.list_type and field.is_list:
            out["x-kubernetes-list-type"] = field.list_type
        elif field.list_type:
            out["x-kubernetes-map-type"] = field.list_type
        if field.map_keys:
            out["x-kubernetes-list-map-keys"] = list(field.map_keys)
    if field.strategy:
        out["x-kubernetes-patch-strategy"] = ",".join(sorted(field.strategy))
    if field.merge_key:
        out["x-kubernetes-patch-merge-key"] = field.merge_key
    return out


def component(kind: Type) -> Obj:
    """Return the schema of a type."""
    if kind.opaque:
        return dict(_OPAQUE.get(kind.name, {"type": "object"} if kind.scalar is None else {}))
    out: Obj = {
        "type": "object",
        "properties": {f.name: _property(f) for f in kind.fields.values()},
        "description": f"{kind.struct} ({'.'.join(kind.name.split('.')[-2:-1])})",
    }
    required = [f.name for f in kind.fields.values() if "r" in f.flags]
    if required:
        out["required"] = sorted(required)
    if kind.kinds:
        out["x-kubernetes-group-version-kind"] = [
            dict(zip(("group", "version", "kind"), k, strict=True)) for k in kind.kinds
        ]
    if kind.map_type:
        out["x-kubernetes-map-type"] = kind.map_type
    return out


def _closure(roots: list[str]) -> dict[str, Obj]:
    out: dict[str, Obj] = {}
    stack = list(roots)
    while stack:
        name = stack.pop()
        if name in out:
            continue
        kind = types.named(name)
        out[name] = component(kind)
        stack += [f.base for f in kind.fields.values() if "." in f.base]
    return dict(sorted(out.items()))


def _parameter(name: str, kind: str = "string") -> Obj:
    return {"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": True}}


_WRITE = [_parameter("dryRun"), _parameter("fieldManager"), _parameter("fieldValidation")]
_PATCH = [*_WRITE, _parameter("force", "boolean")]
_PATCH_TYPES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
_VERBS = {"get": "get", "put": "update", "patch": "patch", "delete": "delete"}


class Documents:
    """The documents per group version, made when asked for and kept while the resources stay the same."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._made: dict[tuple[str, str], tuple[int, bytes, str]] = {}

    def index(self) -> Response:
        """Return the list of documents, each with a hash of its content."""
        paths = {}
        for gv in self._registry.group_versions():
            name = f"apis/{gv.group}/{gv.version}" if gv.group else f"api/{gv.version}"
            _, digest = self._document(gv)
            paths[name] = {"serverRelativeURL": f"/openapi/v3/{name}?hash={digest}"}
        return Response(200, {"paths": paths})

    def document(self, name: str) -> Response | None:
        """Return one document by its path below `/openapi/v3/`."""
        parts = name.strip("/").split("/")
        group, version = ("", parts[1]) if parts[0] == "api" and len(parts) == 2 else ("", "")
        if parts[0] == "apis" and len(parts) == 3:
            group, version = parts[1], parts[2]
        gv = self._registry.version(group, version)
        if gv is None:
            return None
        body, digest = self._document(gv)
        return Response(200, body=body, headers={"Etag": f'"{digest}"'})

    def _document(self, gv: GroupVersion) -> tuple[bytes, str]:
        key, generation = (gv.group, gv.version), self._registry.generation
        custom = any(r.custom for r in gv.resources.values())
        made = self._made.get(key)
        if made is None or (custom and made[0] != generation):
            body = dump(_document(gv))
            made = self._made[key] = (generation, body, hashlib.sha512(body).hexdigest().upper())
        return made[1], made[2]


def _document(gv: GroupVersion) -> Obj:
    roots: list[str] = []
    schemas: dict[str, Obj] = {}
    paths: Obj = {}
    for resource in gv.resources.values():
        if resource.type is not None:
            name = resource.type.name
            roots.append(name)
        else:
            name = _custom_name(resource)
            schemas[name] = _custom_schema(resource)
            roots.append(types.OBJECT_META)
        for sub in resource.subresources.values():
            found = types.of_kind(sub.group, sub.version, sub.kind)
            if found is not None:
                roots.append(found.name)
        _paths(gv, resource, name, paths)
    schemas = {**_closure(list(dict.fromkeys(roots))), **schemas}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.36.2"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _custom_name(resource: Resource) -> str:
    return ".".join([*reversed(resource.group.split(".")), resource.version, resource.kind])


def _custom_schema(resource: Resource) -> Obj:
    schema = dict(resource.schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    properties = dict(schema.get("properties") or {})
    properties.update(apiVersion={"type": "string"}, kind={"type": "string"}, metadata=_ref(types.OBJECT_META))
    gvk = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    return {**schema, "properties": properties, "x-kubernetes-group-version-kind": [gvk]}


def _paths(gv: GroupVersion, resource: Resource, schema: str, paths: Obj) -> None:
    prefix = f"/apis/{gv.group}/{gv.version}" if gv.group else f"/api/{gv.version}"
    base = f"{prefix}/namespaces/{{namespace}}/{resource.name}" if resource.namespaced else f"{prefix}/{resource.name}"
    gvk = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    body = {"content": {"*/*": {"schema": {"$ref": _REF + schema}}}, "required": True}
    answer = {"200": {"description": "OK", "content": {"application/json": {"schema": {"$ref": _REF + schema}}}}}
    collection: Obj = {}
    if "list" in resource.verbs:
        collection["get"] = _operation("list", gvk, [], answer)
    if "create" in resource.verbs:
        collection["post"] = {**_operation("post", gvk, _WRITE, answer), "requestBody": body}
    if collection:
        paths[base] = collection
    item: Obj = {}
    for method, verb in _VERBS.items():
        if verb not in resource.verbs:
            continue
        if method == "patch":
            patch = {"content": {t: {"schema": {"type": "object"}} for t in _PATCH_TYPES}, "required": True}
            item[method] = {**_operation("patch", gvk, _PATCH, answer), "requestBody": patch}
        elif method == "put":
            item[method] = {**_operation("put", gvk, _WRITE, answer), "requestBody": body}
        elif method == "delete":
            item[method] = _operation("delete", gvk, [_parameter("dryRun")], answer)
        else:
            item[method] = _operation("get", gvk, [], answer)
    if item:
        paths[f"{base}/{{name}}"] = item


def _operation(action: str, gvk: Obj, parameters: list[Obj], answer: Obj) -> Obj:
    return {
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": gvk,
        "parameters": parameters,
        "responses": answer,
    }
