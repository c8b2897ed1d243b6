"""`kubectl patch`: the given document as it is, with its media type."""

from __future__ import annotations

from stratus.cluster.kubectl.context import (
    JSON_PATCH,
    MERGE,
    STRATEGIC,
    Context,
    Outcome,
    refuse,
    strategic_type,
)
from stratus.cluster.kubectl.manifests import parse_documents
from stratus.cluster.kubectl.targets import find

_TYPES = {"json": JSON_PATCH, "merge": MERGE, "strategic": STRATEGIC}
_OPS = frozenset({"add", "remove", "replace", "move", "copy", "test"})


def compile_verb(ctx: Context) -> Outcome:
    """Compile `patch`."""
    kind = ctx.parsed.one("type", "strategic").lower()
    if kind not in _TYPES:
        raise refuse("bad_value", f"--type={kind} is not a kind of patch", "use json, merge or strategic")
    text = ctx.parsed.one("patch")
    if not text.strip():
        raise refuse("missing_argument", "No patch is given", "write -p '{...}'")
    documents = parse_documents(text, what="patch")
    body = documents[0] if len(documents) == 1 else None
    if kind == "json":
        if not isinstance(body, list) or any(
            not isinstance(op, dict) or op.get("op") not in _OPS or not isinstance(op.get("path"), str) for op in body
        ):
            raise refuse(
                "bad_patch",
                "A patch of --type=json is a list of operations",
                """write [{"op": "replace", "path": "/spec/replicas", "value": 1}]""",
            )
    elif not isinstance(body, dict):
        raise refuse("bad_patch", f"A patch of --type={kind} is an object", "write -p '{\"spec\": {...}}'")
    found = find(ctx, ctx.parsed.words)
    subresource = ctx.parsed.one("subresource")
    writes = []
    for one in found:
        if kind == "strategic" and not strategic_type(one.ref):
            raise refuse("bad_patch", f"{one} knows no strategic patches", "add --type=merge")
        _keeps_identity(body, one.ref.name)
        writes.append(ctx.patch(one, _TYPES[kind], body, subresource=subresource))
    return Outcome(writes=tuple(writes))


def _keeps_identity(body: object, name: str) -> None:
    meta = body.get("metadata") if isinstance(body, dict) else None
    if isinstance(meta, dict) and meta.get("name", name) != name:
        raise refuse("bad_patch", "A patch cannot rename an object", "leave metadata.name out")
