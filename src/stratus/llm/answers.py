"""Typed answers out of text: what a chat model writes, read leniently and validated strictly."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from stratus.errors import ReasoningError
from stratus.llm.base import Answer

_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_FENCED = re.compile(r"```[a-zA-Z0-9_-]*\s*\n(.*?)(?:```|\Z)", re.DOTALL)
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_LONGEST = 20_000
"""Characters of an answer that are looked at; a runaway answer is cut here."""
_MOST_TRIES = 50
"""Opening braces that are tried as the start of an answer."""


def read_answer(text: str, schema: type[Answer]) -> Answer:
    """Return the answer found in a model's text.

    Looks for a JSON object in the whole text, in code fences, then anywhere; mends trailing commas, Python literals
    and a missing end; fits values to enums, lengths and bounds of the schema where there is no doubt what was meant.

    Raises:
        ReasoningError: nothing in the text validates; the message says why, in words that can be shown to the model.
    """
    complaint = "there was no JSON object in it"
    best_overlap = -1
    wanted = set(schema.model_fields)
    for found in _candidates(text):
        data = _unwrap(found, wanted)
        try:
            return schema.model_validate(fit(data, schema.model_json_schema()))
        except ValidationError as error:
            overlap = len(wanted & set(data))
            if overlap > best_overlap:
                best_overlap, complaint = overlap, explain(error)
    raise ReasoningError(complaint)


def explain(error: ValidationError) -> str:
    """Return a validation error in one short line a field, without URLs."""
    lines = []
    for item in error.errors(include_url=False, include_context=False)[:5]:
        where = ".".join(str(part) for part in item["loc"]) or "the answer"
        lines.append(f"{where}: {item['msg']}")
    return "; ".join(lines)


def describe(schema: type[BaseModel]) -> str:
    """Return the shape of an answer as one line of annotated JSON, short enough for a small model."""
    root = schema.model_json_schema()
    return _shape(root, root.get("$defs", {}))


def _shape(node: dict[str, Any], defs: dict[str, Any]) -> str:
    node = _resolve(node, defs)
    if "enum" in node:
        return " | ".join(json.dumps(value) for value in node["enum"])
    if "const" in node:
        return json.dumps(node["const"])
    if "anyOf" in node:
        return " | ".join(_shape(part, defs) for part in node["anyOf"])
    kind = node.get("type")
    if kind == "object":
        fields = node.get("properties", {})
        return "{" + ", ".join(f'"{name}": {_shape(part, defs)}' for name, part in fields.items()) + "}"
    if kind == "array":
        return f"[{_shape(node.get('items', {}), defs)}, ...]"
    if kind == "string":
        limit = node.get("maxLength")
        return f"<text, at most {limit} characters>" if limit else "<text>"
    return {"null": "null", "boolean": "true | false"}.get(str(kind), "<number>")


def fit(data: Any, schema: dict[str, Any], defs: dict[str, Any] | None = None) -> Any:
    """Fit a value to a JSON schema where the meaning is plain; what cannot be fitted is returned as it is.

    Enum values are matched without regard to case, or as the only member named in a longer text; a lone value
    becomes a list where a list is wanted; unknown keys are dropped; long texts are cut; numbers are clamped.
    """
    defs = schema.get("$defs", {}) if defs is None else defs
    node = _resolve(schema, defs)
    if "anyOf" in node:
        return _fit_any(data, node["anyOf"], defs)
    if "enum" in node or "const" in node:
        return _fit_enum(data, node.get("enum", [node.get("const")]))
    kind = node.get("type")
    if kind == "object" and isinstance(data, dict) and "properties" in node:
        fields = node["properties"]
        return {name: fit(value, fields[name], defs) for name, value in data.items() if name in fields}
    if kind == "array":
        return _fit_list(data, node, defs)
    if kind == "string" and isinstance(data, (str, int, float)) and not isinstance(data, bool):
        return str(data)[: node.get("maxLength")]
    if kind in ("number", "integer"):
        return _fit_number(data, node)
    return data


def _fit_any(data: Any, options: list[dict[str, Any]], defs: dict[str, Any]) -> Any:
    nullable = any(option.get("type") == "null" for option in options)
    if nullable and (data is None or (isinstance(data, str) and data.strip().lower() in ("", "null", "none"))):
        return None
    for option in options:
        if option.get("type") != "null":
            return fit(data, option, defs)
    return data


def _fit_enum(data: Any, members: list[Any]) -> Any:
    if data in members or not isinstance(data, str):
        return data
    folded = {str(member).casefold(): member for member in members}
    if data.strip().casefold() in folded:
        return folded[data.strip().casefold()]
    named = {folded[w] for w in re.findall(r"[\w./-]+", data.casefold()) if w in folded}
    return named.pop() if len(named) == 1 else data


def _fit_list(data: Any, node: dict[str, Any], defs: dict[str, Any]) -> Any:
    if data is None:
        return []
    if isinstance(data, str):
        data = [part.strip() for part in data.split(",")] if "enum" in _resolve(node.get("items", {}), defs) else [data]
        data = [part for part in data if part and part.lower() not in ("none", "null")]
    if not isinstance(data, list):
        return data
    items = [fit(item, node.get("items", {}), defs) for item in data]
    enum = _resolve(node.get("items", {}), defs).get("enum")
    if enum is not None:
        items = [item for item in dict.fromkeys(i for i in items if isinstance(i, str)) if item in enum]
    return items[: node.get("maxItems")]


def _fit_number(data: Any, node: dict[str, Any]) -> Any:
    if isinstance(data, str):
        try:
            data = float(data.strip().rstrip("%"))
        except ValueError:
            return data
    if isinstance(data, bool) or not isinstance(data, (int, float)):
        return data
    value = min(max(data, node.get("minimum", data)), node.get("maximum", data))
    return int(value) if node.get("type") == "integer" and float(value).is_integer() else value


def _resolve(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = defs[node["$ref"].rpartition("/")[2]]
    if len(node.get("allOf", ())) == 1:
        return _resolve(node["allOf"][0], defs)
    return node


def _unwrap(data: dict[str, Any], wanted: set[str]) -> dict[str, Any]:
    """Take the object out of `{"answer": {...}}`, `{"properties": {...}}` and the like."""
    while not wanted & set(data) and len(inner := [v for v in data.values() if isinstance(v, dict)]) == 1:
        data = inner[0]
    return data


def _candidates(text: str) -> Iterator[dict[str, Any]]:
    text = _THOUGHT.sub("", text)[:_LONGEST]
    pieces = [text.strip(), *(m.strip() for m in _FENCED.findall(text))]
    for piece in pieces:
        if isinstance(found := _loads(piece), dict):
            yield found
    start = 0
    for _ in range(_MOST_TRIES):
        start = text.find("{", start)
        if start < 0:
            return
        end = _closing(text, start)
        piece = text[start:end]
        found = _loads(piece) if end <= len(text) and piece.endswith("}") else _loads(_close(text[start:]))
        if isinstance(found, dict):
            yield found
            start = max(end, start + 1)
        else:
            start += 1


def _loads(piece: str) -> Any:
    if not piece.startswith("{"):
        return None
    for attempt in (piece, _TRAILING_COMMA.sub(r"\1", piece)):
        try:
            return json.loads(attempt, strict=False)
        except (ValueError, RecursionError):
            continue
    try:
        return ast.literal_eval(piece)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _closing(text: str, start: int) -> int:
    """Return the index after the brace that closes the one at `start`, or the end of the text."""
    depth, quoted, escaped = 0, False, False
    for index in range(start, len(text)):
        char = text[index]
        if quoted:
            quoted = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            quoted, escaped = True, False
        elif char in "{[":
            depth += 1
        elif char in "}]":
            depth -= 1
            if depth == 0:
                return index + 1
    return len(text)


def _close(piece: str) -> str:
    """Close what a cut-off answer left open."""
    stack: list[str] = []
    quoted, escaped = False, False
    for char in piece:
        if quoted:
            quoted = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            quoted, escaped = True, False
        elif char in "{[":
            stack.append("}" if char == "{" else "]")
        elif char in "}]" and stack:
            stack.pop()
    mended = piece + ('"' if quoted else "")
    return re.sub(r"[,:]\s*$", "", mended) + "".join(reversed(stack))
