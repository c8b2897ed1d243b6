"""`kubectl explain`: what a field means, from the server's OpenAPI documents."""

from __future__ import annotations

import textwrap
from typing import Any

from stratus.cluster.kubectl.reads.base import Failed, Look, ReadAnswer
from stratus.errors import UnknownNameError
from stratus.model.base import Json

_WIDTH = 76


def run(look: Look) -> ReadAnswer:
    """Run `explain`."""
    printer = look.printer()
    if printer is None:
        raise Failed("error: this cluster tells nothing about its fields")
    word, *fields = look.words[0].split(".")
    try:
        resource = look.reader.resource(word)
        if look.option("api-version"):
            resource = look.reader.resource(f"{look.option('api-version')}/{resource.kind}")
    except UnknownNameError:
        raise Failed(f'error: the server doesn\'t have a resource type "{word}"') from None
    document = printer.openapi(resource.api_version)
    schemas: Json = (document.get("components") or {}).get("schemas") or {}
    group, _, version = resource.api_version.rpartition("/")
    wanted = {"group": group, "version": version, "kind": resource.kind}
    schema = next((s for s in schemas.values() if wanted in (s.get("x-kubernetes-group-version-kind") or ())), None)
    if schema is None:
        raise Failed(f"error: couldn't find resource for {resource.api_version}, Kind={resource.kind}")
    lines = [f"GROUP:      {group}"] if group else []
    lines += [f"KIND:       {resource.kind}", f"VERSION:    {version}", ""]
    described = schema
    for at, field in enumerate(fields):
        properties = _inner(schema, schemas).get("properties") or {}
        if field not in properties:
            raise Failed(f'{chr(10).join(lines)}\nerror: field "{field}" does not exist')
        described, schema = properties[field], properties[field]
        if at == len(fields) - 1:
            lines += [f"FIELD: {field} <{_type(described, schemas)}>", *_enum(described), ""]
    inner = _inner(schema, schemas)
    text = described.get("description") or inner.get("description") or "<empty>"
    lines += ["DESCRIPTION:", *_wrapped(str(text), 4), "    "]
    if inner.get("properties"):
        lines.append("FIELDS:")
        lines += _fields(inner, schemas, deep=look.on("recursive"), indent=2, seen=())
    return ReadAnswer(text="\n".join(lines) + "\n\n")


def _fields(schema: Json, schemas: Json, *, deep: bool, indent: int, seen: tuple[str, ...]) -> list[str]:
    lines: list[str] = []
    needed = set(schema.get("required") or ())
    for name, held in sorted((schema.get("properties") or {}).items()):
        mark = " -required-" if name in needed else ""
        lines.append(f"{' ' * indent}{name}\t<{_type(held, schemas)}>{mark}")
        if deep:
            title = _reference(held)
            inner = _inner(held, schemas)
            if title not in seen and inner.get("properties"):
                lines += _fields(inner, schemas, deep=True, indent=indent + 2, seen=(*seen, title) if title else seen)
            continue
        allowed = [f"{' ' * indent}enum: {', '.join(map(str, held['enum']))}"] if held.get("enum") else []
        lines += [*allowed, *_wrapped(_described(held, schemas), 4), ""]
    return lines


def _described(held: Json, schemas: Json) -> str:
    return str(held.get("description") or _inner(held, schemas).get("description") or "<no description>")


def _enum(held: Json) -> list[str]:
    return ["ENUM:", *(f"    {value}" for value in held["enum"])] if held.get("enum") else []


def _wrapped(text: str, indent: int) -> list[str]:
    lines = []
    for paragraph in text.split("\n"):
        lines += textwrap.wrap(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
    return [" " * indent + line for line in lines]


def _reference(held: Json) -> str:
    found: Any = held.get("$ref") or next((p["$ref"] for p in held.get("allOf") or () if "$ref" in p), "")
    if not found:
        nested = held.get("items") or held.get("additionalProperties")
        return _reference(nested) if isinstance(nested, dict) else ""
    return str(found).rpartition("/")[2]


def _inner(held: Json, schemas: Json) -> Json:
    """Return the schema whose fields a field has: behind references, of the items of a list, of a map's values."""
    if held.get("properties"):
        return held
    name = _reference(held)
    if name:
        return schemas.get(name) or {}
    nested = held.get("items") or held.get("additionalProperties")
    return _inner(nested, schemas) if isinstance(nested, dict) else held


def _type(held: Json, schemas: Json) -> str:
    if isinstance(held.get("items"), dict):
        return f"[]{_type(held['items'], schemas)}"
    if isinstance(held.get("additionalProperties"), dict):
        return f"map[string]{_type(held['additionalProperties'], schemas)}"
    name = _reference(held)
    if name:
        target = schemas.get(name) or {}
        plain = target.get("type") in ("string", "integer", "number", "boolean")
        short = name.rpartition(".")[2]
        return str(target["type"]) if plain and short not in ("Quantity", "IntOrString") else short
    if held.get("x-kubernetes-int-or-string"):
        return "IntOrString"
    return str(held.get("type") or "Object").replace("object", "Object")
