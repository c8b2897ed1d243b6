"""The OpenAPI v2 document, made from those of version 3: in JSON, and in the protobuf form kubectl asks for."""

from __future__ import annotations

import json
from typing import Any

from stratus.sim.api.openapischemas import every_group

Obj = dict[str, Any]
_V3, _V2 = "#/components/schemas/", "#/definitions/"
_JSON, _YAML, _PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
PROTOBUF_SENT = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


def document(parts: list[Obj]) -> Obj:
    """Return the one document that says what all documents of version 3 say."""
    definitions: Obj = {}
    paths: Obj = {}
    for part in parts:
        for name, schema in (part["components"].get("schemas") or {}).items():
            definitions[name] = new = _definition(schema)
            if len(new.get("x-kubernetes-group-version-kind") or ()) > 1:
                new["x-kubernetes-group-version-kind"] = every_group(name.rpartition(".")[2])
        for path, item in part["paths"].items():
            paths[path] = _path(path, item)
    token = {"description": "Bearer Token authentication", "type": "apiKey", "name": "authorization", "in": "header"}
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "1.36"},
        "paths": dict(sorted(paths.items())),
        "definitions": dict(sorted(definitions.items())),
        "securityDefinitions": {"BearerToken": token},
        "security": [{"BearerToken": []}],
    }


def _definition(schema: Obj) -> Obj:
    out: Obj = {}
    for key, value in schema.items():
        if key in ("default", "nullable", "anyOf", "not"):
            continue
        if key == "oneOf":
            out["type"] = "string"
        elif key == "allOf" and len(value) == 1 and "$ref" in value[0]:
            out["$ref"] = value[0]["$ref"].replace(_V3, _V2)
        elif key == "$ref":
            out["$ref"] = value.replace(_V3, _V2)
        elif key == "properties":
            out[key] = {name: _definition(v) for name, v in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            out[key] = _definition(value)
        elif key != "allOf":
            out[key] = value
    if out.get("x-kubernetes-preserve-unknown-fields") and not out.get("properties"):
        # Version 2 cannot say that more than what is named may be there.
        out = {k: v for k, v in out.items() if k in ("description", "x-kubernetes-preserve-unknown-fields")}
    return out


def _path(path: str, item: Obj) -> Obj:
    out: Obj = {k: _operation(v) for k, v in item.items() if k != "parameters"}
    for operation in out.values():
        made = operation["produces"]
        # Documents about the API itself say what they are written in for both ways.
        if path == "/version/":
            operation["consumes"] = [_JSON]
        elif path.startswith(("/api/", "/apis/")) and path.endswith("/"):
            operation["consumes"] = [_JSON, _YAML, _PROTOBUF]
        elif path.endswith("/"):
            del operation["consumes"]
        elif operation["consumes"] == ["*/*"] and _YAML in made and _PROTOBUF not in made:
            operation["consumes"] = [_JSON, _YAML]
    if "parameters" in item:
        out["parameters"] = [_parameter(p) for p in item["parameters"]]
    return out


def _parameter(parameter: Obj) -> Obj:
    return {**{k: v for k, v in parameter.items() if k != "schema"}, **parameter["schema"]}


def _operation(operation: Obj) -> Obj:
    body, responses = operation.get("requestBody"), operation["responses"]
    parameters = [_parameter(p) for p in operation.get("parameters") or ()]
    out: Obj = {k: v for k, v in operation.items() if k not in ("parameters", "requestBody", "responses")}
    out["consumes"] = ["*/*"]
    if body is not None:
        kinds = list(body["content"])
        out["consumes"] = kinds
        schema = {"$ref": body["content"][kinds[0]]["schema"]["$ref"].replace(_V3, _V2)}
        needed = {"required": True} if body.get("required") else {}
        parameters.insert(0, {"name": "body", "in": "body", **needed, "schema": schema})
    content = responses["200"].get("content") or {}
    out["produces"] = list(content)
    out["schemes"] = ["https"]
    if parameters:
        out["parameters"] = parameters
    out["responses"] = {code: _response(r) for code, r in responses.items()}
    return out


def _response(response: Obj) -> Obj:
    content = response.get("content") or {}
    if not content:
        return {"description": response["description"]}
    schema = next(iter(content.values()))["schema"]
    return {"description": response["description"], "schema": _definition(schema)}


# protobuf: the messages of the OpenAPI description, by field number


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _bytes(number: int, value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _extensions(number: int, schema: Obj) -> bytes:
    out = b""
    for key, value in schema.items():
        if key.startswith("x-"):
            text = json.dumps(value, separators=(",", ":"))
            out += _bytes(number, _bytes(1, key) + _bytes(2, _bytes(2, text + "\n")))
    return out


def _schema(schema: Obj) -> bytes:
    out = b""
    for key, number in (("$ref", 1), ("format", 2), ("description", 4), ("pattern", 13)):
        if schema.get(key):
            out += _bytes(number, schema[key])
    for name in schema.get("required") or ():
        out += _bytes(19, name)
    for value in schema.get("enum") or ():
        out += _bytes(20, _bytes(2, json.dumps(value) + "\n"))
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        out += _bytes(21, _bytes(1, _schema(more)))
    elif more is not None:
        out += _bytes(21, _varint(2 << 3) + _varint(int(more)))
    if schema.get("type"):
        out += _bytes(22, _bytes(1, schema["type"]))
    if isinstance(schema.get("items"), dict):
        out += _bytes(23, _bytes(1, _schema(schema["items"])))
    if schema.get("properties"):
        named = b"".join(_bytes(1, _bytes(1, n) + _bytes(2, _schema(s))) for n, s in schema["properties"].items())
        out += _bytes(25, named)
    return out + _extensions(31, schema)


def protobuf(whole: Obj) -> bytes:
    """Return the document in protobuf: what types there are, which is what kubectl reads it for."""
    info = _bytes(1, whole["info"]["title"]) + _bytes(2, whole["info"]["version"])
    named = b"".join(_bytes(1, _bytes(1, n) + _bytes(2, _schema(s))) for n, s in whole["definitions"].items())
    return _bytes(1, whole["swagger"]) + _bytes(2, info) + _bytes(8, b"") + _bytes(9, named)
