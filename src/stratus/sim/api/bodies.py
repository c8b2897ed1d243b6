"""Request bodies into objects: JSON, YAML or protobuf, checked against the resource and its type."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from stratus.sim.api.custom import prune_and_default
from stratus.sim.api.defaults import apply_defaults
from stratus.sim.api.messages import Request
from stratus.sim.api.resources import Resource
from stratus.sim.api.status import ApiError, bad_request
from stratus.sim.schema import protobuf, types
from stratus.sim.schema.decode import DecodeError, Decoder, Parsed, parse_json
from stratus.sim.schema.types import Type

Obj = dict[str, Any]
#: Values in a YAML document whose aliases are written out.
UNFOLDED_LIMIT = 1_000_000
_ACCEPTED = "application/json, application/yaml, application/vnd.kubernetes.protobuf"


def media_type(request: Request) -> str:
    """Return the Content-Type without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def unsupported_media(accepted: str = _ACCEPTED) -> ApiError:
    """415 that names what is accepted."""
    text = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
    return ApiError(415, "UnsupportedMediaType", text)


def read_document(request: Request, kind: str, group: str, version: str) -> Parsed:
    """Parse the body of a write; `kind` and its version are what the path expects.

    Raises:
        ApiError: 400 or 415.
    """
    if request.obj is not None:
        return Parsed(request.obj, {}, [])
    media = media_type(request)
    if media == "application/vnd.kubernetes.protobuf":
        return Parsed(_protobuf(request.body, kind, group, version), {}, [])
    if media in ("application/yaml", "application/x-yaml"):
        parsed = Parsed(read_yaml(request.body, kind), {}, [])
    elif media in ("", "application/json"):
        try:
            parsed = parse_json(request.body)
        except ValueError as error:
            raise _unreadable(
                kind,
                f"couldn't get version/kind; json parse error: {_json_error(request.body, error)}",
                request.body.decode("utf-8", "replace") or "<empty>",
            ) from None
    else:
        raise unsupported_media()
    if not isinstance(parsed.value, dict):
        word = {list: "array", str: "string", bool: "bool"}.get(type(parsed.value), "number")
        struct = (
            'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
        )
        text = (
            f"couldn't get version/kind; json parse error: json: cannot unmarshal {word} into Go value of type {struct}"
        )
        raise _unreadable(kind, text, request.body.hex())
    return parsed


def _unreadable(kind: str, why: str, body: str) -> ApiError:
    return bad_request(f"the object provided is unrecognized (must be of type {kind}): {why} ({body})")


def _json_error(body: bytes, error: ValueError) -> str:
    text = body.decode("utf-8", "replace").strip()
    at = getattr(error, "pos", len(text))
    if not text or at >= len(text):
        return "unexpected end of JSON input"
    if text.endswith((",", ":", "{", "[")) and at >= len(text) - 1:
        return "unexpected end of JSON input"
    return f"invalid character '{text[at]}' looking for beginning of value"


@cache
def _loader() -> Any:
    import re

    import yaml

    class Loader(yaml.SafeLoader):
        """YAML 1.1 as the server reads it: a bare y or n is a boolean too."""

    Loader.yaml_implicit_resolvers = {k: list(v) for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), list("yYnN"))
    words = {**yaml.SafeLoader.bool_values, "y": True, "n": False}
    Loader.bool_values = words
    return Loader


def load_yaml(body: bytes) -> Any:
    """Parse YAML into what JSON can say.

    Raises:
        yaml.YAMLError: it is not YAML.
    """
    import yaml

    found = yaml.load(body, Loader=_loader())  # noqa: S506 - a SafeLoader
    if _unfolded(found, {}) > UNFOLDED_LIMIT:
        raise yaml.MarkedYAMLError(problem="document contains excessive aliasing")
    return json.loads(json.dumps(found, default=str))


def _unfolded(value: Any, known: dict[int, int]) -> int:
    """Return how many values there are once all aliases are written out; an alias to what holds it is endless."""
    if not isinstance(value, dict | list):
        return 1
    seen = known.get(id(value))
    if seen is not None:
        return seen
    known[id(value)] = UNFOLDED_LIMIT + 1
    size = 1 + sum(_unfolded(item, known) for item in (value.values() if isinstance(value, dict) else value))
    known[id(value)] = size
    return size


def read_yaml(body: bytes, kind: str) -> Any:
    """Parse a YAML body.

    Raises:
        ApiError: 400.
    """
    import yaml

    try:
        return load_yaml(body)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", "") or "cannot be read"
        problem = problem.replace(
            "mapping values are not allowed here", "mapping values are not allowed in this context"
        )
        raise _unreadable(kind, f"yaml: {problem}", body.hex()) from None


def _protobuf(body: bytes, kind: str, group: str, version: str) -> Obj:
    try:
        api_version, name, raw = protobuf.envelope(body)
        found_group, _, found_version = api_version.rpartition("/")
        found = types.of_kind(found_group, found_version, name) or types.of_kind(group, version, kind)
        if found is None:
            raise _unreadable(kind, f'no kind "{name}" is registered for version "{api_version}"', "")
        return {**protobuf.decode(found, raw), "apiVersion": api_version, "kind": name}
    except (protobuf.ProtobufError, UnicodeDecodeError, ValueError) as error:
        raise bad_request(f"the object provided is unrecognized (must be of type {kind}): {error}") from None


def check_kind(resource_kind: str, group_version: str, obj: Obj) -> None:
    """Refuse an object of another kind or version than the path serves.

    Raises:
        ApiError: 400.
    """
    version, kind = obj.get("apiVersion"), obj.get("kind")
    if isinstance(version, str) and version and version != group_version:
        text = f"the API version in the data ({version}) does not match the expected API version ({group_version})"
        raise bad_request(text)
    if isinstance(kind, str) and kind and kind != resource_kind:
        group, _, bare = group_version.rpartition("/")
        found = f"{group}/{bare}" if group else bare
        raise bad_request(
            f'{kind} in version "{bare}" cannot be handled as a {resource_kind}: converting ({kind} {found}) to '
            f"({resource_kind} {found}): unknown conversion"
        )


def decode_object(
    resource: Resource,
    parsed: Parsed,
    validation: str,
    warnings: list[str],
    *,
    drop_status: bool = False,
    emptied: list[tuple[Obj, str]] | None = None,
) -> Obj:
    """Return the body as a complete object of the resource: typed, defaulted, in the served version.

    `validation` is the request's fieldValidation; unknown fields become an error (Strict) or a warning (Warn).
    `emptied` receives (holder, field) of lists that were given empty.

    Raises:
        ApiError: 400.
    """
    obj = parsed.value
    check_kind(resource.kind, resource.group_version, obj)
    if resource.custom:
        out = _decode_custom(resource, obj, validation, warnings)
    else:
        out = decode_typed(
            resource.type,
            resource.kind,
            resource.group,
            resource.version,
            parsed,
            validation,
            warnings,
            drop_status,
            emptied,
        )
    meta = obj.get("metadata")
    if isinstance(meta, dict) and meta.get("managedFields") == []:
        out["metadata"]["managedFields"] = []  # asks for everybody's fields to be forgotten
    return out


def decode_typed(
    kind_type: Type | None,
    kind: str,
    group: str,
    version: str,
    parsed: Parsed,
    validation: str,
    warnings: list[str],
    drop_status: bool = False,
    emptied: list[tuple[Obj, str]] | None = None,
) -> Obj:
    """Decode an object of a built-in kind and fill in its defaults.

    Raises:
        ApiError: 400.
    """
    value = parsed.value
    if kind_type is None:
        out: Obj = json.loads(json.dumps(value))
    else:
        decoder = Decoder(parsed.duplicates)
        try:
            if drop_status and "status" in value:
                given = {k: v for k, v in value.items() if k != "status"}
                parsed.duplicates.setdefault(id(given), parsed.duplicates.get(id(value), []))
                value = given
            out = decoder.decode(kind_type, value)
        except DecodeError as error:
            raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {error}') from None
        report(decoder.problems, kind, version, validation, warnings)
        if emptied is not None:
            emptied += decoder.emptied
    out["apiVersion"] = f"{group}/{version}" if group else version
    out["kind"] = kind
    out.setdefault("metadata", {})
    apply_defaults(group, version, kind, out)
    return out


def report(problems: list[str], kind: str, version: str, validation: str, warnings: list[str]) -> None:
    """Turn unknown and duplicate fields into what fieldValidation asks for.

    Raises:
        ApiError: 400 under Strict.
    """
    if not problems or validation == "Ignore":
        return
    if validation == "Strict":
        text = f"strict decoding error: {', '.join(problems)}"
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {text}')
    warnings += problems


def _decode_custom(resource: Resource, obj: Obj, validation: str, warnings: list[str]) -> Obj:
    obj = json.loads(json.dumps(obj))
    decoder = Decoder()
    meta = obj.get("metadata")
    try:
        meta = decoder.decode(types.named(types.OBJECT_META), meta or {})
    except DecodeError as error:
        raise bad_request(f"{resource.kind} in version cannot be handled: {error}") from None
    decoder.problems = [p.replace('field "', 'field "metadata.', 1) for p in decoder.problems]
    unknown = prune_and_default(resource.schema, obj)
    decoder.problems += [f'unknown field "{path}"' for path in unknown]
    report(decoder.problems, resource.kind, resource.version, validation, warnings)
    return {**obj, "apiVersion": resource.group_version, "kind": resource.kind, "metadata": meta}
