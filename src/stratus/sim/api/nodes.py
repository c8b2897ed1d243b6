"""One view of a schema for merging: what a value's children are, and how lists and maps combine.

Built-in types come from the type table, custom resources from the CRD's OpenAPI schema.
"""

from __future__ import annotations

import json
from typing import Any

from stratus.sim.schema import types
from stratus.sim.schema.types import Field, Type

Obj = dict[str, Any]


class Node:
    """What is known of a value at one place of an object.

    Attributes:
        kind: `struct`, `map`, `list` or `scalar`.
        atomic: the value is owned and replaced as a whole.
        set_list: a list whose items are their own keys.
        keys: a list whose items are matched by these fields.
        name: the Go-like name of a scalar's type, for error texts.
    """

    __slots__ = ("_children", "_source", "atomic", "keys", "kind", "name", "set_list")

    def __init__(
        self,
        kind: str,
        source: Any = None,
        *,
        atomic: bool = False,
        set_list: bool = False,
        keys: tuple[str, ...] = (),
        name: str = "",
    ) -> None:
        self.kind = kind
        self.atomic = atomic
        self.set_list = set_list
        self.keys = keys
        self.name = name
        self._source = source
        self._children: dict[str, Node] = {}

    def child(self, key: str) -> Node | None:
        """Return the node of a field, map value or (for a list) item; None when the schema has no such field."""
        if self.kind != "struct":
            key = ""
        found = self._children.get(key)
        if found is None:
            found = self._make(key)
            if found is not None:
                self._children[key] = found
        return found

    def default(self, key: str) -> Any:
        """Return the default of a list item's key field, which may be left out."""
        return "TCP" if key == "protocol" else None

    def _make(self, key: str) -> Node | None:
        source = self._source
        if isinstance(source, Type):
            field = source.fields.get(key)
            return _of_field(field, 0) if field else None
        if isinstance(source, tuple):
            field, depth = source
            return _of_field(field, depth + 1)
        if self.kind == "struct":
            properties = (source or {}).get("properties") or {}
            if key in properties:
                return of_schema(properties[key])
            if (source or {}).get("x-kubernetes-preserve-unknown-fields") or (source or {}).get("additionalProperties"):
                return ANY
            return None
        if self.kind == "map":
            return of_schema(source.get("additionalProperties") if isinstance(source, dict) else None)
        return of_schema(source.get("items") if isinstance(source, dict) else None)


ANY = Node("any")
_SCALAR = Node("scalar")
_TYPES: dict[str, Node] = {}


def of_type(kind: Type) -> Node:
    """Return the node of a type of the table."""
    found = _TYPES.get(kind.name)
    if found is None:
        found = _TYPES[kind.name] = Node("struct", kind, atomic=kind.map_type == "atomic")
    return found


def _of_field(field: Field, depth: int) -> Node:
    if depth < len(field.containers):
        if field.containers[depth] == "{}":
            return Node("map", (field, depth), atomic=depth == 0 and field.list_type == "atomic")
        list_type = field.list_type if depth == 0 else "atomic"
        if list_type == "map" and field.map_keys:
            return Node("list", (field, depth), keys=field.map_keys)
        if list_type == "set":
            return Node("list", (field, depth), set_list=True)
        return Node("list", (field, depth), atomic=True)
    if "." in field.base:
        kind = types.named(field.base)
        if kind.opaque:
            return _SCALAR
        if field.list_type == "atomic" and not field.containers:
            return Node("struct", kind, atomic=True)
        if field.list_type == "granular" and kind.map_type == "atomic":
            return Node("struct", kind)
        return of_type(kind)
    return Node("scalar", name={"s": "string", "b": "boolean", "i": "numeric", "l": "numeric"}.get(field.base, ""))


def of_schema(schema: Obj | None) -> Node:
    """Return the node of a CRD's OpenAPI schema; None means that anything goes."""
    if not isinstance(schema, dict):
        return ANY
    kind = schema.get("type")
    if kind == "array":
        list_type = schema.get("x-kubernetes-list-type", "atomic")
        keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
        return Node("list", schema, atomic=list_type == "atomic", set_list=list_type == "set", keys=keys)
    if kind == "object":
        atomic = schema.get("x-kubernetes-map-type") == "atomic"
        if schema.get("properties"):
            return Node("struct", schema, atomic=atomic)
        if "additionalProperties" in schema and isinstance(schema["additionalProperties"], dict):
            return Node("map", schema, atomic=atomic)
        return ANY
    name = {"integer": "numeric", "number": "numeric"}.get(str(kind), str(kind or ""))
    return Node("scalar", name=name)


def of_custom(schema: Obj | None) -> Node:
    """Return the node of a custom resource's root, with the usual metadata."""
    meta = of_type(types.named(types.OBJECT_META))
    root = Node("struct", schema or {"x-kubernetes-preserve-unknown-fields": True})
    root._children = {"metadata": meta, "apiVersion": _SCALAR, "kind": _SCALAR}
    return root


_text = json.JSONEncoder(separators=(",", ":")).encode


def item_key(node: Node, item: Any) -> str | None:
    """Return the path element of a list item: `k:{...}` or `v:...`; None when it cannot be told."""
    if node.set_list:
        return "v:" + _text(item)
    if not isinstance(item, dict):
        return None
    found = {}
    for key in node.keys:
        value = item.get(key)
        if value is None:
            value = node.default(key)
        if value is not None:
            found[key] = value
    return "k:" + _text(dict(sorted(found.items())) if len(found) > 1 else found)
