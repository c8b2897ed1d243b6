"""PATCH: reads the patch, makes the new object of the old one, hands it on as an update (or, for apply, a create)."""

from __future__ import annotations

import json
from typing import Any

from stratus.kit.clock import iso
from stratus.sim.api import managed
from stratus.sim.api.bodies import decode_object, load_yaml, media_type, unsupported_media
from stratus.sim.api.convert import outward
from stratus.sim.api.goerrors import json_error
from stratus.sim.api.messages import Request
from stratus.sim.api.patches import json_patch, merge_patch
from stratus.sim.api.resources import Resource
from stratus.sim.api.rest import Options, Rest, node_of
from stratus.sim.api.routing import Path, Query
from stratus.sim.api.status import ApiError, Problems, bad_request, invalid, not_found
from stratus.sim.api.strategic import strategic_merge
from stratus.sim.schema import types
from stratus.sim.schema.decode import DecodeError, Decoder, Parsed
from stratus.sim.schema.types import Type

Obj = dict[str, Any]
JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC, APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"
_CUSTOM_ACCEPTED = ", ".join((JSON_PATCH, MERGE_PATCH, APPLY))


def read_patch(request: Request) -> Any:
    """Parse a JSON patch document.

    Raises:
        ApiError: 400.
    """
    if request.obj is not None:
        return request.obj
    try:
        return json.loads(request.body)
    except ValueError as error:
        prefix = "" if media_type(request) == STRATEGIC else "error decoding patch: "
        raise bad_request(prefix + json_error(request.body, error)) from None


class Patcher:
    """Applies patches of all four kinds."""

    def __init__(self, rest: Rest) -> None:
        self.rest = rest

    def patch(
        self,
        request: Request,
        resource: Resource,
        path: Path,
        options: Options,
        validation: str,
        query: Query,
        subresource: str = "",
    ) -> tuple[Obj, bool]:
        """Patch an object; return it in storage form and whether it is new.

        Raises:
            ApiError: whatever speaks against it.
        """
        media = media_type(request)
        if media not in (JSON_PATCH, MERGE_PATCH, STRATEGIC, APPLY):
            raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", details={})
        if media == STRATEGIC and resource.custom:
            raise unsupported_media(_CUSTOM_ACCEPTED)
        if media == APPLY:
            return self._apply(request, resource, path, options, validation, subresource)
        live = self.rest.store.get(resource.stored, path.namespace, path.name)
        patch = read_patch(request)
        if live is None:
            raise not_found(resource.name, resource.group, path.name)
        old = outward(resource, live)
        new = self.change(resource, old, patch, media)
        obj = self._decoded(resource, old, new, patch, media, validation, options)
        return self.rest.update(resource, path.namespace, path.name, obj, options, subresource=subresource)

    def change(self, resource: Resource, old: Obj, patch: Any, media: str) -> Obj:
        """Return the patched object, not yet decoded."""
        if media == JSON_PATCH:
            new = json_patch(old, patch)
        elif media == MERGE_PATCH:
            if not isinstance(patch, dict):
                raise bad_request(
                    "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
                )
            new = merge_patch(old, patch)
        else:
            new = strategic_merge(resource.type, old, patch)
        if not isinstance(new, dict):
            raise bad_request("the patch leaves no object")
        return new

    def _decoded(
        self, resource: Resource, old: Obj, new: Obj, patch: Any, media: str, validation: str, options: Options
    ) -> Obj:
        try:
            return decode_object(resource, Parsed(new, {}, []), validation, options.warnings)
        except ApiError as error:
            if error.code != 400 or "cannot be handled as" not in error.message:
                raise
            problems = Problems()
            reason = _misread(new) or error.message.partition(f"cannot be handled as a {resource.kind}: ")[2]
            if media == STRATEGIC:
                problems.raw("FieldValueInvalid", "patch", f"Invalid value: {json.dumps(_go_map(patch))}: {reason}")
            else:
                shown = _as_patched(resource.type, new, _touched(patch, media))
                text = json.dumps(shown, separators=(",", ":"), ensure_ascii=False)
                problems.raw("FieldValueInvalid", "patch", f"Invalid value: {json.dumps(text)}: {reason}")
            raise invalid("", "", "", problems) from None

    def _apply(
        self,
        request: Request,
        resource: Resource,
        path: Path,
        options: Options,
        validation: str,
        subresource: str,
    ) -> tuple[Obj, bool]:
        config = self.configuration(request, resource, path)
        node = node_of(resource)
        managed.check_config(node, config, resource.group_version)
        live = self.rest.store.get(resource.stored, path.namespace, path.name)
        shown = outward(resource, live) if live is not None else None
        result = managed.apply(
            node,
            shown,
            config,
            manager=options.manager,
            api_version=resource.group_version,
            now=iso(self.rest.clock.now()),
            force=options.force,
            subresource=subresource,
            has_status="status" in resource.subresources,
        )
        obj = decode_object(resource, Parsed(result.obj, {}, []), "Ignore", options.warnings)
        if validation != "Ignore":
            decode_object(resource, Parsed(config, {}, []), validation, options.warnings)

        def finish(new: Obj) -> list[Obj]:
            return result.entries

        if live is None:
            if subresource:
                raise not_found(resource.name, resource.group, path.name)
            obj["metadata"].pop("resourceVersion", None)
            return self.rest.create(resource, path.namespace, obj, options, apply=finish), True
        return self.rest.update(
            resource, path.namespace, path.name, obj, options, subresource=subresource, apply=finish
        )

    @staticmethod
    def configuration(request: Request, resource: Resource, path: Path) -> Obj:
        """Return the apply configuration a request carries.

        Raises:
            ApiError: 400 for what is none, or one of another object.
        """
        if request.obj is not None:
            config = request.obj
        else:
            import yaml

            text = request.body.lstrip()
            try:
                config = json.loads(text) if text.startswith(b"{") else load_yaml(text)
            except (ValueError, yaml.YAMLError) as error:
                raise bad_request(f"error decoding YAML: {error}") from None
        if not isinstance(config, dict):
            raise bad_request("error decoding YAML: cannot unmarshal into Go value of type map[string]interface {}")
        version, kind = config.get("apiVersion") or "", config.get("kind") or ""
        if not (isinstance(version, str) and isinstance(kind, str) and isinstance(config.get("metadata", {}), dict)):
            raise bad_request("error decoding YAML: apiVersion and kind must be strings, metadata an object")
        if not version or not kind:
            group, _, bare = version.rpartition("/")
            raise bad_request(f"invalid object type: {group}/{bare}, Kind={kind}")
        meta = config.setdefault("metadata", {})
        if meta.get("managedFields") is not None:
            raise bad_request("metadata.managedFields must be nil")
        if meta.get("name") and meta["name"] != path.name:
            raise bad_request(
                f"the name of the object ({meta['name']}) does not match the name on the URL ({path.name})"
            )
        meta.setdefault("name", path.name)
        if resource.namespaced and meta.get("namespace", path.namespace) != path.namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        return config


def _misread(new: Obj) -> str:
    """Return what keeps a document from being read as the kind it says it is; "" when nothing does."""
    version, kind = new.get("apiVersion"), new.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str):
        return ""
    group, _, bare = version.rpartition("/")
    found = types.of_kind(group, bare, kind)
    try:
        if found is not None:
            Decoder().decode(found, new)
    except DecodeError as error:
        return str(error)
    return ""


def _touched(patch: Any, media: str) -> Obj:
    """Return which maps of the document a patch looked into, as nested dicts."""
    if media == MERGE_PATCH:
        return {k: _touched(v, media) for k, v in patch.items() if isinstance(v, dict)}
    out: Obj = {}
    for operation in patch:
        for field in ("path", "from"):
            at = out
            for part in str(operation.get(field) or "").split("/")[1:-1]:
                at = at.setdefault(part.replace("~1", "/").replace("~0", "~"), {})
    return out


def _as_patched(kind: Type | None, value: Any, touched: Obj | None) -> Any:
    """Order a document as it is after a patch: sorted where the patch looked, as its types have it elsewhere."""
    if not isinstance(value, dict):
        return value
    fields = list(kind.fields) if kind is not None else []
    order = sorted(value) if touched is not None else [k for k in fields if k in value]
    out: Obj = {}
    for key in (*order, *(k for k in value if k not in order)):
        field = kind.fields.get(key) if kind is not None else None
        below = types.named(field.base) if field is not None and "." in field.base else None
        below = None if below is not None and below.opaque else below
        item, inner = value[key], (touched or {}).get(key)
        if isinstance(item, list):
            out[key] = [_as_patched(below, i, None) for i in item]
        elif field is not None and "{}" in field.containers:
            out[key] = dict(sorted(item.items())) if isinstance(item, dict) else item
        else:
            out[key] = _as_patched(below, item, inner)
    return out


def _go_map(value: Any) -> str:
    """Write a value as Go prints it."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{_go_map(v)}" for k, v in sorted(value.items())) + "]"
    if isinstance(value, list):
        return "[" + " ".join(_go_map(v) for v in value) + "]"
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
