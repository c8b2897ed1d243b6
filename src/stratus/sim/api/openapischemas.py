"""The schemas of OpenAPI documents: built-in types from the table, custom resources from their definitions."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from stratus.sim.api import descriptions
from stratus.sim.api.resources import Resource
from stratus.sim.schema import types
from stratus.sim.schema.types import Field, Type

Obj = dict[str, Any]
REF = "#/components/schemas/"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_PATCH, _INFO = _META + "Patch", "io.k8s.apimachinery.pkg.version.Info"
_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_SCALARS: dict[str, Obj] = {
    "s": {"type": "string"},
    "b": {"type": "boolean"},
    "i": {"type": "integer", "format": "int32"},
    "l": {"type": "integer", "format": "int64"},
    "f": {"type": "number", "format": "double"},
    "y": {"type": "string", "format": "byte"},
}
_ZERO = {"s": "", "b": False, "i": 0, "l": 0}
_OPAQUE: dict[str, Obj] = {
    types.TIME: {"type": "string", "format": "date-time"},
    types.MICRO_TIME: {"type": "string", "format": "date-time"},
    types.DURATION: {"type": "string"},
    types.QUANTITY: {"oneOf": [{"type": "string"}, {"type": "number"}]},
    types.INT_OR_STRING: {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
    types.FIELDS_V1: {"type": "object"},
    types.RAW_EXTENSION: {"type": "object"},
    _PATCH: {"type": "object"},
}


@cache
def _extras() -> dict[str, Any]:
    """Return what the type table does not say: allowed values, defaults other than zero, unions."""
    found: dict[str, Any] = json.loads(files("stratus.sim.schema").joinpath("openapi.json").read_text("utf-8"))
    return found


def allowed_values(type_name: str, field: str) -> list[str]:
    """Return the values a field of an enumerated type may have; empty when it is not enumerated."""
    found: list[str] = _extras()["enums"].get(type_name, {}).get(field, [])
    return found


def _schema_of(field: Field, depth: int, values: list[str]) -> Obj:
    if depth < len(field.containers):
        inner = _schema_of(field, depth + 1, values)
        if field.containers[depth] == "{}":
            return {"type": "object", "additionalProperties": inner}
        return {"type": "array", "items": inner}
    if "." in field.base:
        return {"$ref": REF + field.base}
    out = dict(_SCALARS.get(field.base, {}))
    if values:
        out["enum"] = values
    return out


def _property(owner: str, field: Field, text: str) -> Obj:
    out = _schema_of(field, 0, allowed_values(owner, field.name))
    given = _extras()["defaults"].get(owner, {})
    bare = field.name in _extras()["bare"].get(owner, ())
    text = "" if bare else text
    if field.name in given:
        out["default"] = given[field.name]
    elif not field.containers and "p" not in field.flags:
        if "." in field.base:
            if not types.named(field.base).opaque:
                out["default"] = {}
        elif "o" not in field.flags and field.base in _ZERO:
            out["default"] = _ZERO[field.base]
    if "$ref" in out and not bare:
        out = {**{k: v for k, v in out.items() if k != "$ref"}, "allOf": [{"$ref": out["$ref"]}]}
    if text:
        values = allowed_values(owner, field.name)
        out["description"] = text + _told(values, text) if values else text
    if field.is_list or field.list_type:
        if field.list_type and (field.is_list or field.base == "y"):
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


def _told(values: list[str], text: str) -> str:
    """Return the list of allowed values that follows a field's text."""
    if "Possible enum values:" in text:
        return ""
    listed = "\n".join(f' - `"{value}"`' for value in values)
    return f"\n\nPossible enum values:\n{listed}"


def component(name: str, group: str | None = "", version: str = "v1") -> Obj:
    """Return the schema of a type in the document of a group version; None is that of custom resources."""
    text, texts = descriptions.of_type(name)
    if name in _OPAQUE:
        out = dict(_OPAQUE[name])
        return {"description": text, **out} if text else out
    if name == _INFO:
        return _info()
    kind = types.named(name)
    if kind.opaque:
        out = {} if kind.scalar is not None or name in _extras()["any"] else {"type": "object"}
        return {"description": text, **out} if text else out
    out = {"description": text or f"{kind.struct} of {'.'.join(name.split('.')[-3:-1])}.", "type": "object"}
    needed = _extras()["required"].get(name) or [f.name for f in kind.fields.values() if "r" in f.flags]
    if needed:
        out["required"] = needed
    fields = sorted(kind.fields.values(), key=lambda f: f.name)
    out["properties"] = {f.name: _property(name, f, texts.get(f.name) or _about(f)) for f in fields}
    if kind.kinds:
        out["x-kubernetes-group-version-kind"] = _kinds(kind, group, version)
    if kind.map_type:
        out["x-kubernetes-map-type"] = kind.map_type
    if unions := _extras()["unions"].get(name):
        out["x-kubernetes-unions"] = unions
    return out


def _kinds(kind: Type, group: str | None, version: str) -> list[Obj]:
    found = kind.kinds
    if len(found) > 1 and group is None:
        found = [[g, v, kind.struct] for g, versions in _extras()["groups"].items() for v in versions]
    elif len(found) > 1:
        # A kind of every group: the core one, and that of the document.
        found = [["", "v1", kind.struct], *([[group, version, kind.struct]] if group else [])]
    return [{"group": g, "kind": name, "version": v} for g, v, name in found]


def every_group(struct: str) -> list[Obj]:
    """Return the group versions of a kind every group has, as the document of version 2 lists them."""
    listed = {**_extras()["groups"], **_extras()["groups_v2"]}
    pairs = sorted((g, v) for g, versions in listed.items() for v in versions)
    return [{"group": g, "kind": struct, "version": v} for g, v in pairs]


def _about(field: Field) -> str:
    """Return a text about a field that refers to a type and has none of its own: the one about the type."""
    if field.containers or "." not in field.base or types.named(field.base).opaque:
        return ""
    return descriptions.of_type(field.base)[0]


def _info() -> Obj:
    always = ("buildDate", "compiler", "gitCommit", "gitTreeState", "gitVersion", "goVersion", "major", "minor",
              "platform")  # fmt: skip
    more = ("emulationMajor", "emulationMinor", "minCompatibilityMajor", "minCompatibilityMinor")
    text, texts = descriptions.of_type(_INFO)
    properties: Obj = {}
    for name in sorted((*always, *more)):
        properties[name] = {"type": "string", **({"default": ""} if name in always else {})}
        if name in texts:
            properties[name]["description"] = texts[name]
    out: Obj = {"type": "object", "properties": properties}
    if text:
        out["description"] = text
    out["required"] = ["major", "minor", "gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion",
                       "compiler", "platform"]  # fmt: skip
    return out


def closure(roots: list[str], group: str | None = "", version: str = "v1") -> dict[str, Obj]:
    """Return the schemas of the given types and of all they refer to."""
    out: dict[str, Obj] = {}
    stack = list(roots)
    while stack:
        name = stack.pop()
        if name in out:
            continue
        out[name] = component(name, group, version)
        if name in _OPAQUE or name == _INFO:
            continue
        kind = types.named(name)
        stack += [f.base for f in kind.fields.values() if "." in f.base]
    return dict(sorted(out.items()))


# lists


def list_name(resource: Resource) -> str:
    """Return the name of the type of lists of a built-in resource."""
    assert resource.type is not None
    return resource.type.name + "List"


def _usual() -> Obj:
    """Return the two fields every object has."""
    version, kind = (descriptions.of_type(_META + "Status")[1].get(f, "") for f in ("apiVersion", "kind"))
    return {
        "apiVersion": {**({"description": version} if version else {}), "type": "string"},
        "kind": {**({"description": kind} if kind else {}), "type": "string"},
    }


def list_of(resource: Resource, name: str) -> Obj:
    """Return the schema of a list of a built-in resource."""
    assert resource.type is not None
    text, texts = descriptions.of_type(name)
    meta = {"default": {}, "allOf": [{"$ref": REF + _META + "ListMeta"}]}
    about = texts.get("metadata") or f"Standard list metadata. More info: {_CONVENTIONS}#types-kinds"
    items = {"type": "array", "items": {"$ref": REF + resource.type.name}}
    return {
        "description": text or f"{resource.kind}List is a list of {resource.kind}.",
        "type": "object",
        "required": ["items"],
        "properties": {
            **_usual(),
            "items": {"description": texts.get("items") or f"List of {resource.name}.", **items},
            "metadata": {"description": about, **meta},
        },
        "x-kubernetes-group-version-kind": [
            {"group": resource.group, "kind": resource.list_kind, "version": resource.version}
        ],
    }


# custom resources


def custom_name(resource: Resource, kind: str = "") -> str:
    """Return the name of a custom resource's type: the group reversed, the version, the kind."""
    return ".".join([*reversed(resource.group.split(".")), resource.version, kind or resource.kind])


def custom_schema(resource: Resource) -> Obj:
    """Return the schema of a custom resource, with the fields every object has."""
    schema = dict(resource.schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    properties = dict(schema.get("properties") or {})
    meta: Obj = {"allOf": [{"$ref": REF + types.OBJECT_META}]}
    about = f"Standard object's metadata. More info: {_CONVENTIONS}#metadata"
    properties.update(**_usual(), metadata={"description": about, **meta})
    gvk = {"group": resource.group, "kind": resource.kind, "version": resource.version}
    return {**schema, "properties": dict(sorted(properties.items())), "x-kubernetes-group-version-kind": [gvk]}


def custom_list(resource: Resource, name: str) -> Obj:
    """Return the schema of a list of custom resources."""
    about = f"Standard list metadata. More info: {_CONVENTIONS}#types-kinds"
    return {
        "description": f"{resource.list_kind} is a list of {resource.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {
            **_usual(),
            "items": {
                "description": f"List of {resource.name}. More info: {_CONVENTIONS}",
                "type": "array",
                "items": {"$ref": REF + name},
            },
            "metadata": {"description": about, "allOf": [{"$ref": REF + _META + "ListMeta"}]},
        },
        "x-kubernetes-group-version-kind": [
            {"group": resource.group, "kind": resource.list_kind, "version": resource.version}
        ],
    }
