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
    if verb in _WITHOUT_OBJECTS:
        return _plain(ctx, verb)
    if verb == "diff":
        return _outcome(ctx, verb, tuple(f.ref for f in objects_of(ctx)))
    if verb == "logs":
        return read_of(ctx, verb, [w if "/" in w else f"pod/{w}" for w in ctx.parsed.words[:1]], ctx.parsed.words[1:])
    return read_of(ctx, verb, ctx.parsed.words)


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
