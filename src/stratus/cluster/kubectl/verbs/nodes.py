"""`kubectl taint`, `cordon`, `uncordon`, `drain`."""

from __future__ import annotations

import re

from stratus.cluster.kubectl.context import STRATEGIC, Context, Found, Outcome, refuse
from stratus.cluster.kubectl.targets import find
from stratus.kit.kube import controller, dig, pod_finished
from stratus.model.actions import ApiWrite
from stratus.model.base import Json

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_TAINT = re.compile(r"^(?P<key>[^=:]+)(?:=(?P<value>[^:=]*))?(?::(?P<effect>[^:=]+))?$")
_MIRROR = "kubernetes.io/config.mirror"


def compile_verb(ctx: Context) -> Outcome:
    """Compile the verbs about nodes."""
    if ctx.parsed.verb == "taint":
        return _taint(ctx)
    words = ctx.parsed.words
    if not words and "selector" not in ctx.parsed:
        raise refuse("no_object", "No node is named", f"write `kubectl {ctx.parsed.verb} NODE`")
    nodes = find(ctx, [w if "/" in w else f"node/{w}" for w in words] or ["nodes"])
    for node in nodes:
        _is_node(node)
    writes: list[ApiWrite] = []
    for node in nodes:
        writes += _cordon(ctx, node, off=ctx.parsed.verb == "uncordon")
    if ctx.parsed.verb == "drain":
        for node in nodes:
            writes += _evictions(ctx, node)
    return Outcome(writes=tuple(writes))


def _is_node(found: Found) -> None:
    if found.resource.kind != "Node":
        raise refuse("not_applicable", f"{found} is not a node", "name a node")


def _cordon(ctx: Context, node: Found, *, off: bool) -> list[ApiWrite]:
    if bool(dig(node.obj, "spec", "unschedulable")) is not off:
        return []
    return [ctx.patch(node, STRATEGIC, {"spec": {"unschedulable": None if off else True}})]


def _taint(ctx: Context) -> Outcome:
    words = ctx.parsed.words
    at = next((i for i, w in enumerate(words) if "=" in w or ":" in w or w.endswith("-")), len(words))
    names, arguments = words[:at], words[at:]
    if not arguments:
        raise refuse("missing_argument", "No taint is given", "write KEY=VALUE:NoSchedule to set and KEY- to remove")
    added: list[dict[str, str]] = []
    removed: list[dict[str, str]] = []
    for word in arguments:
        (removed if word.endswith("-") else added).append(_parse_taint(word))
    writes = []
    for node in find(ctx, names):
        _is_node(node)
        wanted = _tainted(ctx, node, added, removed)
        if wanted != (dig(node.obj, "spec", "taints", default=[])):
            writes.append(ctx.patch(node, STRATEGIC, {"spec": {"taints": wanted or None}}))
    return Outcome(writes=tuple(writes))


def _parse_taint(word: str) -> dict[str, str]:
    remove = word.endswith("-")
    match = _TAINT.match(word.removesuffix("-"))
    effect = match["effect"] if match else None
    if match is None or (effect is None and not remove) or (effect is not None and effect not in _EFFECTS):
        raise refuse("bad_value", f"{word!r} is not a taint", f"write KEY=VALUE:EFFECT with {', '.join(_EFFECTS)}")
    return {k: v for k, v in match.groupdict().items() if v}


def _tainted(ctx: Context, node: Found, added: list[dict[str, str]], removed: list[dict[str, str]]) -> list[Json]:
    kept: list[Json] = list(dig(node.obj, "spec", "taints", default=[]))
    for gone in removed:
        left = [t for t in kept if t["key"] != gone["key"] or gone.get("effect", t["effect"]) != t["effect"]]
        if len(left) == len(kept):
            raise refuse("not_found", f"{node} has no taint {gone['key']}", "leave its removal out")
        kept = left
    for new in added:
        left = [t for t in kept if (t["key"], t["effect"]) != (new["key"], new["effect"])]
        if len(left) < len(kept) and not ctx.parsed.on("overwrite"):
            raise refuse(
                "would_overwrite", f"{node} has the taint {new['key']}:{new['effect']} already", "add --overwrite"
            )
        kept = left
    return [*added, *kept]


def _evictions(ctx: Context, node: Found) -> list[ApiWrite]:
    """Evict the node's pods as `drain` does, refusing what it refuses."""
    pods = ctx.reader.list(
        "v1/Pod",
        None,
        label_selector=ctx.parsed.one("pod-selector"),
        field_selector=f"spec.nodeName={node.ref.name}",
    )
    resource = ctx.resource("v1/Pod")
    grace = ctx.number("grace-period", default=-1)
    writes = []
    for pod in pods:
        meta = pod["metadata"]
        name = f"{meta.get('namespace')}/{meta['name']}"
        owner = controller(pod)
        if _MIRROR in (meta.get("annotations") or {}):
            continue
        if owner and owner[0] == "DaemonSet":
            if not ctx.parsed.on("ignore-daemonsets"):
                raise refuse("drain_blocked", f"{name} belongs to a DaemonSet", "add --ignore-daemonsets")
            continue
        if owner is None and not pod_finished(pod):
            raise refuse("drain_blocked", f"{name} has no controller; nothing would bring it back", "move it by hand")
        volumes = dig(pod, "spec", "volumes", default=[])
        loses = any("emptyDir" in v for v in volumes) and not pod_finished(pod)
        if loses and not ctx.parsed.on("delete-emptydir-data"):
            raise refuse("drain_blocked", f"{name} keeps data in an emptyDir", "add --delete-emptydir-data")
        body: Json = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
        }
        if grace >= 0:
            body["deleteOptions"] = {"gracePeriodSeconds": grace}
        target = ctx.ref(resource, meta["name"], meta["namespace"])
        writes.append(ctx.write("POST", resource, target, body, subresource="eviction"))
    return writes
