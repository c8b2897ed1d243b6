"""The reading verbs: which objects to show, and how; nothing is read here but names resolved."""

from __future__ import annotations

from collections.abc import Sequence

from stratus.cluster.kubectl.context import Context, Outcome, refuse
from stratus.cluster.kubectl.manifests import objects_of
from stratus.cluster.kubectl.targets import names_of, types_of
from stratus.model.actions import ApiRead
from stratus.model.refs import ObjectRef

_WITHOUT_OBJECTS = frozenset({"events", "version", "api-resources", "can-i", "explain", "top"})


def compile_read(ctx: Context) -> Outcome:
    """Compile a reading verb.

    The read's options are the command's flags by name, and `words` for what a verb without objects was given.
    A target without a name means all objects of its kind.
    """
    verb = ctx.parsed.read
    _check_output(ctx, verb)
    if verb in _WITHOUT_OBJECTS:
        return _plain(ctx, verb)
    if verb == "diff":
        outcome = _outcome(ctx, verb, tuple(f.ref for f in objects_of(ctx)))
        read = outcome.reads[0]
        return Outcome(reads=(read.model_copy(update={"options": {**read.options, "manifest": ctx.manifest}}),))
    if "filename" in ctx.parsed:
        if ctx.parsed.words or "selector" in ctx.parsed:
            raise refuse("ambiguous_objects", "-f cannot be combined with names or selectors", "name objects one way")
        return _outcome(ctx, verb, tuple(f.ref for f in objects_of(ctx)))
    if verb == "logs":
        return read_of(ctx, verb, [w if "/" in w else f"pod/{w}" for w in ctx.parsed.words[:1]], ctx.parsed.words[1:])
    return read_of(ctx, verb, ctx.parsed.words)


def _check_output(ctx: Context, verb: str) -> None:
    """Refuse an output format that is not offered."""
    text = ctx.parsed.one("output")
    name = text.partition("=")[0]
    known = _FORMATS.get(verb, ())
    if text and name not in known:
        raise refuse(
            "bad_value",
            f"-o {name} is not offered by `{ctx.parsed.verb}`",
            f"use one of: {', '.join(known)}" if known else "leave -o out",
        )
    if name in _WITH_TEMPLATE and not (text.partition("=")[2] or ctx.parsed.one("template")):
        raise refuse("missing_value", f"-o {name} needs a template", f"write -o {_WITH_TEMPLATE[name]}")


_FORMATS = {
    "get": ("wide", "yaml", "json", "name", "jsonpath", "jsonpath-as-json", "custom-columns"),
    "events": ("yaml", "json"),
    "rollout-history": ("yaml", "json"),
    "api-resources": ("wide", "name"),
    "version": ("yaml", "json"),
}
_WITH_TEMPLATE = {
    "jsonpath": "jsonpath='{.items[*].metadata.name}'",
    "jsonpath-as-json": "jsonpath-as-json='{.items[*].metadata.name}'",
    "custom-columns": "custom-columns=NAME:.metadata.name",
}


def read_of(ctx: Context, verb: str, words: Sequence[str], more: Sequence[str] = ()) -> Outcome:
    """Return a read of the objects that words name."""
    if not words and "selector" in ctx.parsed and verb == "logs":
        words = ["pods"]
    named = names_of(ctx, words)
    if named:
        targets = tuple(f.ref for f in named)
    else:
        targets = tuple(ctx.ref(r, "") for r in types_of(ctx, words))
    return _outcome(ctx, verb, targets, more)


def _plain(ctx: Context, verb: str) -> Outcome:
    words = ctx.parsed.words
    targets: tuple[ObjectRef, ...] = ()
    if verb == "top":
        resource = ctx.resource("v1/Node" if ctx.parsed.verb == "top node" else "v1/Pod")
        targets = tuple(ctx.ref(resource, name) for name in words or ("",))
        words = ()
    elif verb == "can-i" and len(words) < 2 and not ctx.parsed.on("list"):
        raise refuse(
            "missing_argument", "can-i needs a verb and a resource", "write `kubectl auth can-i VERB RESOURCE`"
        )
    elif verb == "explain" and len(words) != 1:
        raise refuse("missing_argument", "explain needs one resource or field", "write `kubectl explain pods.spec`")
    return _outcome(ctx, verb, targets, words)


def _outcome(ctx: Context, verb: str, targets: tuple[ObjectRef, ...], words: Sequence[str] = ()) -> Outcome:
    options = {name: ",".join(values) for name, values in ctx.parsed.flags.items() if name != "filename"}
    if words:
        options["words"] = " ".join(words)
    return Outcome(reads=(ApiRead(verb=verb, targets=targets, namespace=ctx.namespace, options=options),))
