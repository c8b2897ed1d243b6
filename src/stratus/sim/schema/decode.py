"""JSON bodies into objects as a typed server keeps them: types checked, zero values dropped or filled in.

A body goes through the type table once; what comes out has no unknown fields, canonical quantities and times,
and exactly the fields the Go types would serialise.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from datetime import UTC, datetime
from typing import Any

from stratus.sim.schema import types
from stratus.sim.schema.quantity import QuantityError, canonical, whole_milli
from stratus.sim.schema.types import Field, Type

#: Where we are: (where the parent is, key or list index); None at the top.
Path = tuple[Any, Any] | None


class DecodeError(ValueError):
    """The body cannot be read as the type; the text is the one the API answers."""


class Parsed:
    """A JSON document with the keys each object gave twice."""

    __slots__ = ("duplicates", "keep", "value")

    def __init__(self, value: Any, duplicates: dict[int, list[str]], keep: list[Any]) -> None:
        self.value = value
        self.duplicates = duplicates
        self.keep = keep


def parse_json(text: str | bytes) -> Parsed:
    """Parse JSON and remember duplicate keys.

    Raises:
        ValueError: when the text is not JSON.
    """
    duplicates: dict[int, list[str]] = {}
    keep: list[Any] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(items)
        if len(out) != len(items):
            seen: set[str] = set()
            twice = []
            for key, _ in items:
                if key in seen and key not in twice:
                    twice.append(key)
                seen.add(key)
            duplicates[id(out)] = twice
            keep.append(out)
        return out

    return Parsed(json.loads(text, object_pairs_hook=pairs), duplicates, keep)


class Decoder:
    """Reads one document; afterwards `problems` lists unknown and duplicate fields in the order met."""

    def __init__(self, duplicates: dict[int, list[str]] | None = None) -> None:
        self.problems: list[str] = []
        #: Lists given empty that are kept as none; who gave one owns the field all the same.
        self.emptied: list[tuple[dict[str, Any], str]] = []
        self._duplicates = duplicates or {}

    def decode(self, kind: Type, value: Any) -> dict[str, Any]:
        """Return the document as an object of the type.

        Raises:
            DecodeError: when a value has the wrong type.
        """
        out = self._struct(kind, value, None, kind.struct, "")
        return out if out is not None else {}

    def _struct(self, kind: Type, value: Any, path: Path, owner: str, go_type: str) -> dict[str, Any] | None:
        if value is None:
            return None
        if type(value) is not dict:
            raise _mismatch(value, owner, path, go_type or f"v1.{kind.struct}")
        fields = kind.fields
        out: dict[str, Any] = {}
        twice = self._duplicates.get(id(value)) if self._duplicates else None
        if twice:
            self.problems += [f'duplicate field "{dotted((path, key))}"' for key in twice]
        for key, item in value.items():
            field = fields.get(key)
            if field is None:
                self.problems.append(f'unknown field "{dotted((path, key))}"')
                continue
            if field.base == "s" and type(item) is str and not field.containers:
                result: Any = item
            else:
                result = self._value(field, 0, item, (path, key), kind.struct)
            flags = field.flags
            if result is None:
                if "o" in flags:
                    continue
            elif "o" in flags and "p" not in flags and not result and (result != {} or field.containers):
                # omitempty drops empty scalars, lists and maps; an empty struct stays unless omitzero says otherwise
                if field.base != types.INT_OR_STRING:
                    continue
            elif "z" in flags and "p" not in flags and result == {}:
                continue
            elif result == [] and field.number and "p" not in flags:
                # The server's own encoding does not tell an empty list from none.
                self.emptied.append((out, key))
                result = None
            out[key] = result
        for key, zero in kind.always:
            if out.get(key) is None:
                out[key] = self._struct(types.named(fields[key].base), {}, (path, key), "", "") if zero == {} else zero
        return out

    def _value(self, field: Field, depth: int, value: Any, path: Path, owner: str) -> Any:
        containers = field.containers
        if depth < len(containers):
            if value is None:
                return None
            if containers[depth] == "{}":
                if type(value) is not dict:
                    raise _mismatch(value, owner, path, _rest(field, depth))
                twice = self._duplicates.get(id(value)) if self._duplicates else None
                if twice:
                    self.problems += [f'duplicate field "{dotted((path, key))}"' for key in twice]
                if depth + 1 == len(containers) and field.base == "s":
                    for item in value.values():
                        if type(item) is not str:
                            if item is None:
                                return {k: v if v is not None else "" for k, v in value.items()}
                            raise _mismatch(item, owner, path, "string")
                    return dict(value)
                out = {k: self._value(field, depth + 1, v, (path, k), owner) for k, v in value.items()}
                if field.base == types.QUANTITY:
                    # Lists of resources know nothing smaller than a thousandth.
                    return {k: whole_milli(v) for k, v in out.items()}
                return out
            if type(value) is not list:
                raise _mismatch(value, owner, path, _rest(field, depth))
            return [self._item(field, depth + 1, v, (path, i), owner) for i, v in enumerate(value)]
        base = field.base
        if "." in base:
            special = _SPECIAL.get(base)
            if special is not None:
                return None if value is None and base != types.QUANTITY else special(value, owner, path)
            kind = types.named(base)
            if kind.opaque:
                return value
            return self._struct(kind, value, path, owner, types.go_name(base))
        if value is None:
            return None
        got = type(value)
        if base == "s":
            if got is str:
                return value
        elif base in "il":
            if got is int:
                limit = 31 if base == "i" else 63
                if -(1 << limit) <= value < 1 << limit:
                    return value
            elif got is float and value.is_integer() and abs(value) < 1 << 53:
                return int(value)
        elif base == "b":
            if got is bool:
                return value
        elif base == "f":
            if got in (int, float):
                return value
        elif base == "y":
            return _bytes(value, owner, path)
        else:
            return value
        raise _mismatch(value, owner, path, types.go_name(base))

    def _item(self, field: Field, depth: int, value: Any, path: Path, owner: str) -> Any:
        result = self._value(field, depth, value, path, owner)
        if result is None and depth == len(field.containers):
            if field.base == "s":
                return ""
            if "." in field.base and not types.named(field.base).opaque:
                return self._struct(types.named(field.base), {}, path, owner, "")
        return result


def _rest(field: Field, depth: int) -> str:
    return "".join({"{}": "map[string]"}.get(c, "[]") for c in field.containers[depth:]) + types.go_name(field.base)


def dotted(path: Path) -> str:
    """Write a path as errors do: `spec.containers[0].image`."""
    parts: list[str] = []
    while path is not None:
        path, key = path
        parts.append(f"[{key}]" if isinstance(key, int) else f".{key}")
    return "".join(reversed(parts)).removeprefix(".")


def _mismatch(value: Any, owner: str, path: Path, go_type: str) -> DecodeError:
    keys: list[str] = []
    while path is not None:
        path, key = path
        if not isinstance(key, int):
            keys.append(key)
    word = {dict: "object", list: "array", str: "string", bool: "bool"}.get(type(value), "number")
    if word == "number" and go_type in ("int32", "int64"):
        word = f"number {json.dumps(value)}"
    # encoding/json names the key of a map by the map's field, so the last key of a map value is left out there
    if (
        go_type == "string"
        and word != "string"
        and owner in ("ConfigMap", "Secret")
        and len(keys) > 1
        and "data" in keys[-1].lower()
    ):
        keys = keys[1:]
    where = ".".join(reversed(keys))
    if not where:
        return DecodeError(f"json: cannot unmarshal {word} into Go value of type {go_type}")
    return DecodeError(f"json: cannot unmarshal {word} into Go struct field {owner}.{where} of type {go_type}")


def _quantity(value: Any, owner: str, path: Path) -> str:
    if value is None:
        return "0"
    if type(value) in (int, float):
        value = repr(value)
    if type(value) is not str:
        raise DecodeError(str(QuantityError()))
    try:
        return canonical(value) if value else "0"
    except QuantityError as error:
        raise DecodeError(str(error)) from None


def _int_or_string(value: Any, owner: str, path: Path) -> Any:
    if type(value) is str or (type(value) is int and -(1 << 31) <= value < 1 << 31):
        return value
    raise _mismatch(value, owner, path, "int32")


_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def _moment(value: Any, owner: str, path: Path) -> datetime:
    if type(value) is not str:
        raise _mismatch(value, owner, path, "string")
    if not _TIME.fullmatch(value):
        raise DecodeError(f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00": cannot parse "{value}" as "2006"')
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except ValueError:
        raise DecodeError(f'parsing time "{value}": value out of range') from None


def _time(value: Any, owner: str, path: Path) -> Any:
    if value == "":
        return None
    return _moment(value, owner, path).strftime("%Y-%m-%dT%H:%M:%SZ")


def _micro_time(value: Any, owner: str, path: Path) -> Any:
    moment = _moment(value, owner, path)
    if not re.search(r"\.\d{6}(Z|[+-])", value):
        tail = value[19:]
        raise DecodeError(
            f'parsing time "{value}" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "{tail}" as ".000000"'
        )
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _bytes(value: Any, owner: str, path: Path) -> str:
    if type(value) is not str:
        raise _mismatch(value, owner, path, "[]uint8")
    text = value.replace("\n", "").replace("\r", "")
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        good = re.match(r"[A-Za-z0-9+/]*", text)
        offset = good.end() if good and good.end() < len(text) else len(text) // 4 * 4
        raise DecodeError(f"illegal base64 data at input byte {offset}") from None
    return text


_SPECIAL: dict[str, Any] = {
    types.QUANTITY: _quantity,
    types.INT_OR_STRING: _int_or_string,
    types.TIME: _time,
    types.MICRO_TIME: _micro_time,
}
