"""The table of API types: fields with JSON name, protobuf number, merge rules; and the table of served resources."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
TIME, MICRO_TIME, DURATION = _META + "Time", _META + "MicroTime", _META + "Duration"
OBJECT_META, FIELDS_V1 = _META + "ObjectMeta", _META + "FieldsV1"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
RAW_EXTENSION = "io.k8s.apimachinery.pkg.runtime.RawExtension"
_GO_SCALARS = {"s": "string", "b": "bool", "i": "int32", "l": "int64", "f": "float64", "y": "[]uint8"}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a type.

    Attributes:
        name: JSON name; empty for a protobuf message whose fields are inlined in JSON.
        number: protobuf field number, 0 when the field is not in the protobuf form.
        containers: `[]` and `{}` (list of, map from string to) from outside in; `[m]` is a list wrapped in a message.
        base: `s` string, `b` bool, `i` int32, `l` int64, `f` float, `y` bytes, or the name of a type.
        flags: `o` omitted when empty, `z` omitted when zero, `p` pointer, `r` required.
        strategy: strategic-merge strategies: `merge`, `replace`, `retainKeys`.
        merge_key: the key strategic merge matches list items by.
        list_type: server-side apply's `map`, `set`, `atomic` or "".
        map_keys: the keys server-side apply matches list items by.
    """

    name: str
    number: int
    containers: tuple[str, ...]
    base: str
    flags: str
    strategy: frozenset[str]
    merge_key: str
    list_type: str
    map_keys: tuple[str, ...]

    @property
    def is_list(self) -> bool:
        """Tell whether the outermost container is a list."""
        return bool(self.containers) and self.containers[0] != "{}"

    @property
    def go_type(self) -> str:
        """Return the Go name of the field's type, as decoding errors spell it."""
        return "".join({"{}": "map[string]"}.get(c, "[]") for c in self.containers) + go_name(self.base)


@cache
def go_name(base: str) -> str:
    """Return how Go names a scalar code or type: `int32`, `v1.PodSpec`."""
    return _GO_SCALARS.get(base) or ".".join(base.split(".")[-2:])


class Type:
    """One struct type."""

    def __init__(self, name: str, entry: dict[str, Any]) -> None:
        self.name = name
        self.struct = name.rsplit(".", 1)[-1]
        self.kinds: list[list[str]] = entry.get("kinds", [])
        self.map_type: str = entry.get("map", "")
        self.scalar: list[str] | None = entry.get("scalar")
        self.rows = [_field(row) for row in entry["fields"]]
        self.fields = {field.name: field for field in self.rows if field.name}

    @cached_property
    def by_number(self) -> dict[int, Field]:
        """Map protobuf numbers to fields."""
        return {field.number: field for field in self.rows if field.number}

    @cached_property
    def always(self) -> list[tuple[str, Any]]:
        """List (JSON name, zero value) of what is served even when it was not given."""
        out: list[tuple[str, Any]] = []
        for field in self.fields.values():
            flags, is_struct = field.flags, not field.containers and "." in field.base
            if "o" in flags and (not is_struct or "p" in flags or "z" in flags):
                continue
            if "z" in flags or ("p" in flags and "o" in flags):
                continue
            out.append((field.name, _zero(field)))
        return out

    @property
    def opaque(self) -> bool:
        """Tell whether the type is no plain struct in JSON (time, quantity, raw JSON ...)."""
        return not self.fields


def _zero(field: Field) -> Any:
    if field.containers or "p" in field.flags:
        return None
    if "." in field.base:
        if field.base == QUANTITY:
            return "0"
        if field.base == INT_OR_STRING:
            return 0
        if named(field.base).opaque:
            return None
        return {}
    return {"s": "", "b": False, "i": 0, "l": 0, "f": 0}.get(field.base)


_PREFIX = re.compile(r"\[m\]|\[\]|\{\}")


def _field(row: list[Any]) -> Field:
    name, number, kind, flags, *rest = row
    strategy, key, list_type, keys = rest + [""] * (4 - len(rest))
    containers = tuple(_PREFIX.findall(kind))
    return Field(
        name,
        number,
        containers,
        kind[sum(map(len, containers)) :],
        flags,
        frozenset(strategy.split(",")) if strategy else frozenset(),
        key,
        list_type,
        tuple(keys.split(",")) if keys else (),
    )


@cache
def _table() -> dict[str, dict[str, Any]]:
    data = files(__package__).joinpath("types.json.gz").read_bytes()
    table: dict[str, dict[str, Any]] = json.loads(gzip.decompress(data))
    return table


@cache
def named(name: str) -> Type:
    """Return a type by its OpenAPI name."""
    return Type(name, _table()[name])


def names() -> list[str]:
    """Return the names of all types."""
    return sorted(_table())


@cache
def _kinds() -> dict[tuple[str, str, str], str]:
    out: dict[tuple[str, str, str], str] = {}
    for name, entry in _table().items():
        for group, version, kind in entry.get("kinds", ()):
            out.setdefault((group, version, kind), name)
    return out


def of_kind(group: str, version: str, kind: str) -> Type | None:
    """Return the type of a kind, or None when the table does not have it (custom resources)."""
    name = _kinds().get((group, version, kind))
    return named(name) if name else None


@cache
def resources() -> list[dict[str, Any]]:
    """Return the built-in API groups with their resources, in the order discovery lists them."""
    listed: list[dict[str, Any]] = json.loads(files(__package__).joinpath("resources.json").read_text("utf-8"))
    return listed
