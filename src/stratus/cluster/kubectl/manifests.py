"""Manifests as kubectl reads them: YAML or JSON, several documents, Lists; nothing without a name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from stratus.cluster.kubectl.context import Context, Found, refuse
from stratus.model.base import Json
from stratus.model.refs import ApiResource

_NUMBER = re.compile(r"^[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0o?[0-7]+|[0-9]+)$")
_FLOAT = re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$")


class _Loader(yaml.SafeLoader):
    """YAML as the Go libraries read it: no dates, no base-60 numbers, no key twice."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, expr) for tag, expr in rows if tag.rpartition(":")[2] not in ("timestamp", "int", "float")]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _NUMBER, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> Json:
    loader.flatten_mapping(node)
    result: Json = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        name = key if isinstance(key, str) else json.dumps(key)
        if name in result:
            raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} stands twice", key_node.start_mark)
        result[name] = loader.construct_object(value_node, deep=True)
    return result


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = str(node.value).replace("_", "")
    digits = text.lstrip("+-")
    base = 8 if re.fullmatch(r"0[0-7]+", digits) else 0
    return int(text, base) if base else int(text, 0)


def _text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    """Join what JSON writes as two escapes: `\\ud83d\\ude00` is one character, half of it is none."""
    found = str(loader.construct_scalar(node))
    try:
        return found.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise yaml.constructor.ConstructorError(None, None, "an escape is half a character", node.start_mark) from None


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_constructor("tag:yaml.org,2002:str", _text)
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


def parse_documents(text: str, *, what: str = "manifest") -> list[Any]:
    """Read all documents of a YAML or JSON text; empty ones are left out.

    Raises:
        CommandRefused: with code `bad_manifest` (`bad_patch` for a patch).
    """
    try:
        return [d for d in yaml.load_all(text, Loader=_Loader) if d is not None]
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        said = " ".join(str(problem).split())
        raise refuse(f"bad_{what}", f"The {what} is not YAML or JSON: {said}", "give valid JSON or YAML") from problem


def objects_of(ctx: Context, *, need_version: bool = True) -> list[Found]:
    """Return the objects of the manifest given as `-f -`, each with its place; `obj` is the manifest, not the cluster.

    Raises:
        CommandRefused: `no_manifest`, `file_not_allowed`, `bad_manifest`, `generate_name`, `namespace_mismatch`,
            `unknown_kind`.
    """
    for path in ctx.parsed.many("filename"):
        if path != "-":
            raise refuse(
                "file_not_allowed",
                f"-f {path} names a file or URL",
                "give the manifest's text itself and write `-f -`",
            )
    if not ctx.manifest.strip():
        raise refuse("no_manifest", "`-f -` needs a manifest, and none is given", "give the manifest's text")
    found = [_located(ctx, document) for document in _flattened(parse_documents(ctx.manifest))]
    if not found:
        raise refuse("bad_manifest", "The manifest holds no objects", "give at least one object")
    names = [(f.resource.full_name, f.ref.namespace, f.ref.name) for f in found]
    if len(set(names)) < len(names):
        raise refuse("bad_manifest", "The manifest names an object twice", "give each object once")
    return found


def _flattened(documents: list[Any]) -> Iterator[Json]:
    for document in documents:
        if not isinstance(document, dict):
            raise refuse("bad_manifest", "The manifest holds something that is no object", "give objects")
        if isinstance(document.get("items"), list) and str(document.get("kind", "")).endswith("List"):
            yield from _flattened(document["items"])
        else:
            yield document


def _located(ctx: Context, obj: Json) -> Found:
    for key in ("apiVersion", "kind"):
        if not isinstance(obj.get(key), str) or not obj[key]:
            raise refuse("bad_manifest", f"An object of the manifest has no {key}", f"give every object its {key}")
    meta = obj.get("metadata")
    if not isinstance(meta, dict):
        raise refuse("bad_manifest", f"The {obj['kind']} has no metadata", "give metadata with a name")
    if meta.get("generateName"):
        raise refuse(
            "generate_name",
            f"The {obj['kind']} asks for a generated name, which nobody could undo",
            "give metadata.name",
        )
    name = meta.get("name")
    if not isinstance(name, str) or not name:
        raise refuse("bad_manifest", f"The {obj['kind']} has no name", "give metadata.name as a string")
    resource = ctx.resource(f"{obj['apiVersion']}/{obj['kind']}")
    if resource.kind != obj["kind"]:
        raise refuse("unknown_kind", f"There is no kind {obj['kind']} in {obj['apiVersion']}", f"write {resource.kind}")
    return Found(resource, ctx.ref(resource, name), {**obj, "metadata": _placed(ctx, resource, meta)})


def _placed(ctx: Context, resource: ApiResource, meta: Json) -> Json:
    said = meta.get("namespace")
    if not resource.namespaced:
        return {k: v for k, v in meta.items() if k != "namespace"}
    if said and said != ctx.namespace:
        raise refuse(
            "namespace_mismatch",
            f"The manifest says namespace {said!r}, the command {ctx.namespace!r}",
            f"write --namespace={said}, or leave the namespace out of the manifest",
        )
    return {**meta, "namespace": ctx.namespace}
