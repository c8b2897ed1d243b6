"""Objects as protobuf messages, by the field numbers of the type table, for clients that take nothing else."""

from __future__ import annotations

import base64
import json
import struct
from datetime import UTC, datetime
from typing import Any

from stratus.sim.schema import types
from stratus.sim.schema.protobuf import MAGIC
from stratus.sim.schema.types import Field, Type

Obj = dict[str, Any]
_LIST_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"


def wrapped(api_version: str, kind: str, raw: bytes) -> bytes:
    """Return a message in the envelope that says what it is."""
    meta = _text(1, api_version) + _text(2, kind)
    return MAGIC + _chunk(1, meta) + _chunk(2, raw) + _chunk(3, b"") + _chunk(4, b"")


def document(obj: Obj, *, item_type: Type | None = None) -> bytes | None:
    """Return an object, or a list of objects of `item_type`, as a document; None when its type is not known."""
    version, kind = obj.get("apiVersion", ""), obj.get("kind", "")
    group, _, bare = version.rpartition("/")
    if "items" in obj and item_type is not None:
        raw = _chunk(1, message(types.named(_LIST_META), obj.get("metadata") or {}))
        raw += b"".join(_chunk(2, message(item_type, item)) for item in obj["items"] or ())
        return wrapped(version, kind, raw)
    found = types.of_kind(group, bare, kind)
    return None if found is None else wrapped(version, kind, message(found, obj))


def message(kind: Type, obj: Obj) -> bytes:
    """Return an object of a type as a message; fields the protobuf form does not have are left out."""
    out = b""
    for field in kind.rows:
        if not field.number:
            continue
        if not field.name:
            inlined = types.named(field.base)
            inner = message(inlined, {k: obj[k] for k in inlined.fields if k in obj})
            out += _chunk(field.number, inner)
        elif obj.get(field.name) is not None:
            out += _field(field, obj[field.name])
    return out


def _field(field: Field, value: Any) -> bytes:
    number = field.number
    if not field.containers:
        return _scalar(number, field.base, value)
    if field.containers[0] == "{}":
        return b"".join(_chunk(number, _text(1, key) + _entry(field, item)) for key, item in sorted(value.items()))
    return b"".join(_scalar(number, field.base, item) for item in value)


def _entry(field: Field, value: Any) -> bytes:
    if "[m]" in field.containers:
        return _chunk(2, b"".join(_text(1, item) for item in value))
    return _scalar(2, field.base, value)


def _scalar(number: int, base: str, value: Any) -> bytes:
    if base == "s":
        return _text(number, value)
    if base in "ilb":
        return _varint(number << 3) + _varint(int(value))
    if base == "y":
        return _chunk(number, base64.b64decode(value))
    if base == "f":
        return _varint(number << 3 | 1) + struct.pack("<d", value)
    return _chunk(number, _special(base, value))


def _special(base: str, value: Any) -> bytes:
    if base == types.QUANTITY:
        return _text(1, str(value))
    if base in (types.TIME, types.MICRO_TIME):
        moment = datetime.fromisoformat(value).astimezone(UTC)
        out = _varint(1 << 3) + _varint(int(moment.timestamp() // 1))
        return out + (_varint(2 << 3) + _varint(moment.microsecond * 1000) if moment.microsecond else b"")
    if base == types.INT_OR_STRING:
        if isinstance(value, str):
            return _varint(1 << 3) + _varint(1) + _text(3, value)
        return _varint(1 << 3) + _varint(0) + _varint(2 << 3) + _varint(value)
    if base in (types.RAW_EXTENSION, types.FIELDS_V1):
        return _chunk(1, json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())
    kind = types.named(base)
    return message(kind, value) if isinstance(value, dict) else b""


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _chunk(number: int, raw: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _text(number: int, value: str) -> bytes:
    return _chunk(number, value.encode())
