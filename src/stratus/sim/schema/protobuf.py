"""Protobuf request bodies of typed clients, read with the field numbers of the type table into plain JSON."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from stratus.sim.schema import types
from stratus.sim.schema.types import Field, Type

MAGIC = b"k8s\x00"


class ProtobufError(ValueError):
    """The body is not a protobuf message of the expected form."""


def envelope(body: bytes) -> tuple[str, str, bytes]:
    """Open the outer message; return apiVersion, kind and the object's own bytes.

    Raises:
        ProtobufError: when it does not start as Kubernetes protobuf does, or is cut short.
    """
    if not body.startswith(MAGIC):
        raise ProtobufError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    version = kind = ""
    raw = b""
    for number, value in _fields(body[4:]):
        if number == 1 and isinstance(value, bytes):
            for inner, text in _fields(value):
                if isinstance(text, bytes):
                    if inner == 1:
                        version = text.decode()
                    elif inner == 2:
                        kind = text.decode()
        elif number == 2 and isinstance(value, bytes):
            raw = value
    return version, kind, raw


def decode(kind: Type, data: bytes) -> dict[str, Any]:
    """Return a message as the JSON document it stands for (zero values still in it)."""
    out: dict[str, Any] = {}
    for number, value in _fields(data):
        field = kind.by_number.get(number)
        if field is None:
            continue
        if not field.name:
            out.update(decode(types.named(field.base), value))
        elif not field.containers:
            out[field.name] = _scalar(field.base, value)
        elif field.containers[0] == "{}":
            key, item = _entry(field, value)
            out.setdefault(field.name, {})[key] = item
        elif field.base in "bilf" and isinstance(value, bytes):
            out.setdefault(field.name, []).extend(_packed(field.base, value))
        else:
            out.setdefault(field.name, []).append(_scalar(field.base, value))
    return out


def _entry(field: Field, data: Any) -> tuple[str, Any]:
    key: str = ""
    value: Any = b"" if field.base in "sy" or "." in field.base else 0
    for number, part in _fields(data):
        if number == 1:
            key = part.decode()
        elif number == 2:
            value = part
    if "[m]" in field.containers:
        return key, [part.decode() for number, part in _fields(value) if number == 1]
    return key, _scalar(field.base, value)


def _scalar(base: str, value: Any) -> Any:
    if base == "s":
        return value.decode()
    if base in "il":
        return value - (1 << 64) if value >> 63 else value
    if base == "b":
        return bool(value)
    if base == "y":
        return base64.b64encode(value).decode()
    if base == "f":
        return struct.unpack("<d" if len(value) == 8 else "<f", value)[0]
    if base == types.QUANTITY:
        return next((part.decode() for number, part in _fields(value) if number == 1), "0")
    if base in (types.TIME, types.MICRO_TIME):
        parts = dict(_fields(value))
        seconds, nanos = _scalar("l", parts.get(1, 0)), parts.get(2, 0)
        if not seconds and not nanos:
            return None
        moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{moment}.{nanos // 1000:06}Z" if base == types.MICRO_TIME else f"{moment}Z"
    if base == types.INT_OR_STRING:
        parts = dict(_fields(value))
        return parts.get(3, b"").decode() if parts.get(1) else _scalar("l", parts.get(2, 0))
    if base in (types.RAW_EXTENSION, types.FIELDS_V1):
        raw = dict(_fields(value)).get(1, b"")
        return json.loads(raw) if raw else None
    return decode(types.named(base), value)


def _packed(base: str, data: bytes) -> list[Any]:
    out, at = [], 0
    while at < len(data):
        number, at = _varint(data, at)
        out.append(_scalar(base, number))
    return out


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ProtobufError("unexpected EOF")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & ((1 << 64) - 1), at
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        value: Any
        if wire == 0:
            value, at = _varint(data, at)
        else:
            if wire == 2:
                size, at = _varint(data, at)
            elif wire in (1, 5):
                size = 8 if wire == 1 else 4
            else:
                raise ProtobufError(f"illegal wireType {wire}")
            if at + size > len(data):
                raise ProtobufError("unexpected EOF")
            value = data[at : at + size]
            at += size
        yield number, value
