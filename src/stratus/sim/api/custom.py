"""Custom resources: pruned, defaulted and validated by the OpenAPI schema of their CRD."""

from __future__ import annotations

import copy
import ipaddress
import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from stratus.sim.api import cel
from stratus.sim.api.status import Problems, show

Obj = dict[str, Any]
_ROOT = ("apiVersion", "kind", "metadata")


def prune_and_default(schema: Obj | None, obj: Obj) -> list[str]:
    """Drop unknown fields of a (fresh, owned) object and fill in defaults, in place; return the dropped paths."""
    unknown: list[str] = []
    if schema:
        _prune(schema, obj, "", unknown, root=True)
        _default(schema, obj)
    return unknown


def _prune(schema: Obj, value: Any, path: str, unknown: list[str], *, root: bool = False) -> None:
    if isinstance(value, list):
        if isinstance(schema.get("items"), dict):
            for index, item in enumerate(value):
                _prune(schema["items"], item, f"{path}[{index}]", unknown)
        return
    if not isinstance(value, dict) or schema.get("x-kubernetes-embedded-resource"):
        return
    properties, more = schema.get("properties") or {}, schema.get("additionalProperties")
    for key in list(value):
        if root and key in _ROOT:
            continue
        here = f"{path}.{key}" if path else key
        if key in properties:
            _prune(properties[key], value[key], here, unknown)
        elif isinstance(more, dict):
            _prune(more, value[key], here, unknown)
        elif not more and not schema.get("x-kubernetes-preserve-unknown-fields"):
            unknown.append(here)
            del value[key]


def _default(schema: Obj, value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            if isinstance(schema.get("items"), dict):
                _default(schema["items"], item)
    elif isinstance(value, dict):
        for key, part in (schema.get("properties") or {}).items():
            if "default" in part and (key not in value or (value[key] is None and not part.get("nullable"))):
                value[key] = copy.deepcopy(part["default"])
            if key in value:
                _default(part, value[key])
        more = schema.get("additionalProperties")
        if isinstance(more, dict):
            for key, item in value.items():
                if key not in (schema.get("properties") or {}):
                    _default(more, item)


def validate(schema: Obj | None, obj: Obj, problems: Problems, old: Obj | None = None) -> None:
    """Check an object against the schema of its version, and what it has become against what it was."""
    if not schema:
        return
    before = len(problems.causes)
    _check(schema, {k: v for k, v in obj.items() if k not in _ROOT}, "", problems)
    _lists(schema, obj, "", problems)
    if not _has_rules(schema):
        return
    if any(c["reason"] in _STOPPING for c in problems.causes[before:]):
        text = "some validation rules were not checked because the object was invalid; correct the existing errors"
        problems.raw("FieldValueInvalid", "<nil>", f"Invalid value: null: {text} to complete validation")
    else:
        _rules(schema, obj, old, "", problems)


#: Complaints after which the rules of a schema are not looked at.
_STOPPING = frozenset(
    {
        "FieldValueRequired", "FieldValueNotSupported", "FieldValueTypeInvalid", "FieldValueTooLong",
        "FieldValueTooMany",
    }
)  # fmt: skip


def _has_rules(schema: Any) -> bool:
    """Tell whether a schema has validation rules anywhere."""
    if isinstance(schema, dict):
        return "x-kubernetes-validations" in schema or any(_has_rules(part) for part in schema.values())
    return isinstance(schema, list) and any(_has_rules(part) for part in schema)


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


_WORDS = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}
_COMBINATIONS = {
    "allOf": "must validate all the schemas (allOf)",
    "anyOf": "must validate at least one schema (anyOf)",
    "oneOf": "must validate one and only one schema (oneOf)",
}


def _fits(schema: Obj, value: Any) -> bool:
    found = Problems()
    _check(schema, value, "", found)
    return not found


def _combined(schema: Obj, value: Any, path: str, problems: Problems) -> None:
    """Check the combinations of schemas; what the parts complain of is not told."""
    for word, text in _COMBINATIONS.items():
        parts = schema.get(word)
        if not parts:
            continue
        fitting = sum(_fits(part, value) for part in parts)
        if not {"allOf": fitting == len(parts), "anyOf": fitting > 0, "oneOf": fitting == 1}[word]:
            problems.invalid(path, value, f"{path} in body {text}".strip())
    if isinstance(schema.get("not"), dict) and _fits(schema["not"], value):
        problems.invalid(path, value, f"{path} in body must not validate the schema (not)")


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _check(schema: Obj, value: Any, path: str, problems: Problems) -> None:
    kind = schema.get("type")
    if value is None and schema.get("nullable"):
        return
    if kind in _TYPES and not schema.get("x-kubernetes-int-or-string"):
        whole = kind == "integer" and isinstance(value, float) and value.is_integer()
        if not (isinstance(value, _TYPES[kind]) or whole) or (isinstance(value, bool) and kind != "boolean"):
            shown = json.dumps(_WORDS.get(type(value), "null"))
            text = f"Invalid value: {shown}: {path} in body must be of type {kind}: {shown}"
            problems.raw("FieldValueTypeInvalid", path, text)
            return
    if schema.get("enum") and value not in schema["enum"]:
        problems.unsupported(path, value, schema["enum"])
        return
    _combined(schema, value, path, problems)
    if isinstance(value, bool):
        return
    if schema.get("x-kubernetes-int-or-string") and not isinstance(value, int | str):
        shown = json.dumps(_WORDS.get(type(value), "null"))
        text = f"Invalid value: {shown}: {path} in body must be of type integer,string: {shown}"
        problems.raw("FieldValueTypeInvalid", path, text)
        return
    if isinstance(value, int | float):
        _number(schema, value, path, problems)
    elif isinstance(value, str):
        _string(schema, value, path, problems)
    elif isinstance(value, list):
        _too_many(path, len(value), schema.get("maxItems"), problems)
        if len(value) < schema.get("minItems", 0):
            problems.invalid(path, value, f"{path} in body should have at least {schema['minItems']} items")
        if schema.get("uniqueItems") and any(item in value[:at] for at, item in enumerate(value)):
            problems.invalid(path, value, f"{path} in body shouldn't contain duplicates")
        for index, item in enumerate(value):
            if isinstance(schema.get("items"), dict):
                _check(schema["items"], item, f"{path}[{index}]", problems)
    elif isinstance(value, dict):
        for key in schema.get("required") or ():
            if key not in value:
                problems.required(_join(path, key))
        _too_many(path, len(value), schema.get("maxProperties"), problems)
        if len(value) < schema.get("minProperties", 0):
            text = f"{path} in body should have at least {schema['minProperties']} properties"
            problems.invalid(path, value, text)
        properties, more = schema.get("properties") or {}, schema.get("additionalProperties")
        for key, item in value.items():
            part = properties.get(key) or (more if isinstance(more, dict) else None)
            if part:
                _check(part, item, _join(path, key), problems)


def _too_many(path: str, count: int, most: int | None, problems: Problems) -> None:
    if most is not None and count > most:
        text = f"Too many: {count}: must have at most {most} item{'' if most == 1 else 's'}"
        problems.raw("FieldValueTooMany", path, text)


def _number(schema: Obj, value: float, path: str, problems: Problems) -> None:
    for limit, bad, word in (
        ("maximum", value > schema.get("maximum", value), "less than or equal to"),
        ("minimum", value < schema.get("minimum", value), "greater than or equal to"),
    ):
        if bad:
            problems.invalid(path, value, f"{path} in body should be {word} {show(schema[limit])}")
        elif schema.get(f"exclusive{limit.capitalize()}") is True and value == schema.get(limit):
            strict = word.partition(" or ")[0]
            problems.invalid(path, value, f"{path} in body should be {strict} {show(schema[limit])}")
    step = schema.get("multipleOf")
    if step and abs(value / step - round(value / step)) > 1e-9:
        problems.invalid(path, value, f"{path} in body should be a multiple of {show(step)}")


def _string(schema: Obj, value: str, path: str, problems: Problems) -> None:
    if len(value) > schema.get("maxLength", 1 << 60):
        problems.too_long(path, schema["maxLength"])
    if len(value) < schema.get("minLength", 0):
        problems.invalid(path, value, f"{path} in body should be at least {schema['minLength']} chars long")
    pattern = schema.get("pattern")
    if pattern:
        try:
            good = re.search(pattern, value) is not None
        except re.error:
            good = True
        if not good:
            problems.invalid(path, value, f"{path} in body should match '{pattern}'")
    form = schema.get("format")
    check = _FORMATS.get(form or "")
    if check is not None and not check(value):
        shown = json.dumps(value)
        text = f"Invalid value: {shown}: {path} in body must be of type {form}: {shown}"
        problems.raw("FieldValueInvalid", path, text)


def _is_time(text: str) -> bool:
    try:
        return bool(re.fullmatch(r"\d{4}-\d\d-\d\d[Tt]\d\d:.*", text)) and datetime.fromisoformat(text) is not None
    except ValueError:
        return False


def _is_date(text: str) -> bool:
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text)) and _is_time(f"{text}T00:00:00+00:00")


def _is_network(text: str, version: int | None) -> bool:
    try:
        found = ipaddress.ip_network(text, strict=False) if "/" in text else ipaddress.ip_address(text)
    except ValueError:
        return False
    return version is None or found.version == version


_FORMATS: dict[str, Callable[[str], bool]] = {
    "date-time": _is_time,
    "date": _is_date,
    "ipv4": lambda text: "/" not in text and _is_network(text, 4),
    "ipv6": lambda text: "/" not in text and _is_network(text, 6),
    "cidr": lambda text: "/" in text and _is_network(text, None),
    "uuid": lambda text: bool(
        re.fullmatch(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", text)
    ),
    "email": lambda text: bool(re.fullmatch(r"[^@\s]+@[^@\s]+", text)),
    "byte": lambda text: bool(re.fullmatch(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", text)),
}


def _lists(schema: Obj, value: Any, path: str, problems: Problems) -> None:
    if isinstance(value, list):
        kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys") or ()
        seen: list[Any] = []
        for index, item in enumerate(value):
            identity = item if kind == "set" else {k: item.get(k) for k in keys} if kind == "map" else None
            if identity is not None:
                if identity in seen:
                    problems.duplicate(f"{path}[{index}]", identity)
                seen.append(identity)
            _lists(schema.get("items") or {}, item, f"{path}[{index}]", problems)
    elif isinstance(value, dict):
        for key, part in (schema.get("properties") or {}).items():
            if key in value:
                _lists(part, value[key], _join(path, key), problems)


def _rules(schema: Obj, value: Any, old: Any, path: str, problems: Problems) -> None:
    """Check the validation rules of a value and of all below it."""
    for rule in schema.get("x-kubernetes-validations") or ():
        _rule(rule, value, old, path, problems)
    if isinstance(value, dict):
        before = old if isinstance(old, dict) else {}
        properties, more = schema.get("properties") or {}, schema.get("additionalProperties")
        for key, item in value.items():
            part = properties.get(key) or (more if isinstance(more, dict) else None)
            if part:
                inner = _join(path, key) if key in properties else f"{path}[{key}]"
                _rules(part, item, before.get(key), inner, problems)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        earlier = _by_keys(schema, old)
        for index, item in enumerate(value):
            was = earlier.get(_keys_of(schema, item)) if earlier else None
            _rules(schema["items"], item, was, f"{path}[{index}]", problems)


def _keys_of(schema: Obj, item: Any) -> str:
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    return json.dumps([item.get(k) for k in keys]) if isinstance(item, dict) else ""


def _by_keys(schema: Obj, items: Any) -> dict[str, Any]:
    """Return the items of a list before, by the keys that tell them apart; none can be told where there are no keys."""
    if schema.get("x-kubernetes-list-type") != "map" or not isinstance(items, list):
        return {}
    return {_keys_of(schema, item): item for item in items}


_REASONS = {
    "FieldValueRequired": "Required value: ",
    "FieldValueForbidden": "Forbidden: ",
    "FieldValueDuplicate": "Duplicate value: ",
    "FieldValueInvalid": "Invalid value: ",
}


def _rule(rule: Obj, value: Any, old: Any, path: str, problems: Problems) -> None:
    """Check one rule; one in a part of the language not known here is taken as satisfied."""
    text = rule.get("rule", "")
    try:
        node, names = cel.compiled(text)
    except cel.CelSyntaxError:
        return
    if "oldSelf" in names and old is None:
        return  # a rule about changes, and nothing has changed
    scope = {"self": value, "oldSelf": old}
    told = rule.get("message") or f"failed rule: {text}"
    reason = rule.get("reason") or "FieldValueInvalid"
    place = path + rule.get("fieldPath", "")
    try:
        if node(scope) is True:
            return
        if rule.get("messageExpression"):
            told = _worded(rule["messageExpression"], scope, told)
    except cel.CelError as error:
        problems.raw("FieldValueInvalid", path or "<nil>", f"Invalid value: {error} evaluating rule: {told}")
        return
    problems.raw(reason, place.removeprefix(".") or "<nil>", _REASONS.get(reason, "Invalid value: ") + told)


def _worded(expression: str, scope: Obj, otherwise: str) -> str:
    try:
        text = cel.compiled(expression)[0](scope)
    except (cel.CelSyntaxError, cel.CelError):
        return otherwise
    return text if isinstance(text, str) and text.strip() else otherwise
