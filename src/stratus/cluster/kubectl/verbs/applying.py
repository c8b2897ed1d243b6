"""`kubectl apply -f -` (client-side three-way merge, or server-side) and `kubectl replace -f -`."""

from __future__ import annotations

import copy
import json
from typing import Any

from stratus.cluster.kubectl.context import (
    APPLY,
    MERGE,
    STRATEGIC,
    Context,
    Found,
    Outcome,
    refuse,
    rules,
    strategic_type,
)
from stratus.cluster.kubectl.manifests import objects_of
from stratus.kit.patches import merge_three_way, strategic_three_way
from stratus.model.actions import ApiWrite
from stratus.model.base import Json

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_CLIENT_SIDE = "kubectl-client-side-apply"


def compile_verb(ctx: Context) -> Outcome:
    """Compile `apply` and `replace`."""
    if ctx.parsed.words:
        raise refuse(
            "unknown_verb", f"`{ctx.parsed.verb} {ctx.parsed.words[0]}` is not understood here", "write `-f -` only"
        )
    if "filename" not in ctx.parsed:
        raise refuse("no_manifest", f"`{ctx.parsed.verb}` needs a manifest", "give the manifest's text and `-f -`")
    if "selector" in ctx.parsed or not ctx.parsed.on("overwrite", True):
        raise refuse("unknown_flag", "A selector and --overwrite=false are not supported here", "leave them out")
    writes: list[ApiWrite] = []
    for wanted in objects_of(ctx):
        if ctx.parsed.verb == "replace":
            writes.append(_replaced(ctx, wanted))
        elif ctx.parsed.on("server-side"):
            writes.append(_server_side(ctx, wanted))
        else:
            writes += _applied(ctx, wanted)
    return Outcome(writes=tuple(writes))


def go_json(value: Any) -> str:
    """Write JSON as Go does: keys sorted, no blanks, `<`, `>`, `&` and the line separators escaped."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def noted(obj: Json) -> Json:
    """Return the object with a record of itself in its annotations, as `apply` keeps it for the next time."""
    meta = obj["metadata"]
    annotations = {k: v for k, v in (meta.get("annotations") or {}).items() if k != LAST_APPLIED}
    bare = {**obj, "metadata": {**meta, "annotations": annotations}}
    noted = {**annotations, LAST_APPLIED: go_json(bare) + "\n"}
    return {**obj, "metadata": {**meta, "annotations": noted}}


def _applied(ctx: Context, wanted: Found) -> tuple[ApiWrite, ...]:
    modified = noted(wanted.obj)
    current = ctx.reader.get(wanted.ref)
    if current is None:
        return (ctx.write("POST", wanted.resource, wanted.ref, modified),)
    current = {"apiVersion": wanted.ref.api_version, "kind": wanted.ref.kind, **current}
    original = _original(wanted, current)
    kind = strategic_type(wanted.ref)
    if kind:
        body = strategic_three_way(original, modified, current, rules(), kind)
    else:
        body = merge_three_way(original, modified, current)
    return (ctx.patch(wanted, STRATEGIC if kind else MERGE, body),) if body else ()


def _original(wanted: Found, current: Json) -> Json:
    text = (current["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    if not text:
        return {}
    try:
        original = json.loads(text)
    except ValueError as problem:
        raise refuse(
            "bad_manifest", f"The last-applied record of {wanted} is damaged", "use `kubectl patch`"
        ) from problem
    return original if isinstance(original, dict) else {}


def _server_side(ctx: Context, wanted: Found) -> ApiWrite:
    current = ctx.reader.get(wanted.ref)
    managers = [m.get("manager") for m in (current or {}).get("metadata", {}).get("managedFields") or ()]
    annotations = (current or {}).get("metadata", {}).get("annotations") or {}
    if _CLIENT_SIDE in managers or LAST_APPLIED in annotations:
        raise refuse(
            "not_applicable",
            f"{wanted} was made by a client-side apply; changing over to server-side takes several steps",
            "leave --server-side out",
        )
    manager = ctx.parsed.one("field-manager", "kubectl")  # the owner of what kubectl applied before
    return ctx.patch(wanted, APPLY, wanted.obj, force=ctx.parsed.on("force-conflicts"), field_manager=manager)


def _replaced(ctx: Context, wanted: Found) -> ApiWrite:
    current = ctx.reader.get(wanted.ref)
    if current is None:
        raise refuse("not_found", f"{wanted} does not exist, so it cannot be replaced", "use `kubectl apply -f -`")
    body = noted(wanted.obj) if ctx.parsed.on("save-config") else copy.deepcopy(wanted.obj)
    version = body["metadata"].get("resourceVersion") or current["metadata"].get("resourceVersion", "")
    body["metadata"]["resourceVersion"] = version
    return ctx.write("PUT", wanted.resource, wanted.ref, body, expect_version=version)
