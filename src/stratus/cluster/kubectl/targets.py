"""Which objects a command means: TYPE NAME..., TYPE/NAME..., selectors, --all, or those of a manifest."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from stratus.cluster.kubectl.context import Context, Found, refuse
from stratus.cluster.kubectl.manifests import objects_of
from stratus.errors import ClusterError, UnknownNameError
from stratus.model.refs import ApiResource


def find(
    ctx: Context, words: Sequence[str], *, bare: bool = False, missing_ok: bool = False, by_name: bool = False
) -> tuple[Found, ...]:
    """Look up the objects that words and flags name.

    Args:
        ctx: the command.
        words: the words that are neither verb nor arguments of it.
        bare: whether a type alone means all of them (as for `rollout restart`).
        missing_ok: whether an object that does not exist is left out instead of refused.
        by_name: whether objects are only ever named, because --selector means something else to the verb.

    Raises:
        CommandRefused: `no_object`, `unknown_kind`, `not_found`, `ambiguous_objects`.
    """
    flags = ctx.parsed
    selecting = not by_name and ("selector" in flags or "field-selector" in flags)
    if "filename" in flags:
        if words or selecting or flags.on("all"):
            raise refuse("ambiguous_objects", "-f cannot be combined with names or selectors", "name objects one way")
        return _existing(ctx, objects_of(ctx), missing_ok)
    named = _named(ctx, words)
    if named:
        if selecting or flags.on("all"):
            raise refuse("ambiguous_objects", "A name cannot be combined with a selector or --all", "drop one of them")
        if flags.on("all-namespaces"):
            raise refuse("ambiguous_objects", "A name cannot be combined with --all-namespaces", "use --namespace")
        return _existing(ctx, named, missing_ok)
    types = _types(ctx, words)
    if flags.on("all") and selecting:
        raise refuse("ambiguous_objects", "--all and a selector contradict each other", "drop one of them")
    if not (selecting or flags.on("all") or bare):
        raise refuse("no_object", "A resource type is given, but no name", "add a name, a selector (-l) or --all")
    if "selector" in flags and not flags.one("selector"):
        raise refuse("bad_value", "The selector is empty", "write -l KEY=VALUE, or --all")
    return tuple(found for resource in types for found in _listed(ctx, resource))


def names_of(ctx: Context, words: Sequence[str]) -> tuple[Found, ...]:
    """Return the objects named by words without looking them up; empty when only types are named."""
    return tuple(_named(ctx, words))


def types_of(ctx: Context, words: Sequence[str]) -> tuple[ApiResource, ...]:
    """Return the resource types of a first word such as `deploy,sts` or the category `all`."""
    return tuple(_types(ctx, words))


def _named(ctx: Context, words: Sequence[str]) -> list[Found]:
    slashed = [w for w in words if "/" in w]
    if slashed and len(slashed) < len(words):
        raise refuse(
            "ambiguous_objects",
            "TYPE/NAME and TYPE NAME are mixed",
            "write every object as TYPE/NAME, or the type once and then names",
        )
    if slashed:
        found = []
        for word in slashed:
            kind, _, name = word.partition("/")
            if not kind or not name or "/" in name or "," in kind:
                raise refuse("no_object", f"{word!r} is not TYPE/NAME", "write for example deployment/web")
            found.append(_found(ctx, ctx.resource(kind), name))
        return found
    return [_found(ctx, resource, name) for resource in _types(ctx, words) for name in words[1:]] if words[1:] else []


def _types(ctx: Context, words: Sequence[str]) -> list[ApiResource]:
    if not words:
        raise refuse("no_object", "The command names no object", "name one as TYPE/NAME, such as deployment/web")
    if len(words) == 1 and "/" in words[0]:
        words = (words[0].partition("/")[0],)
    found: list[ApiResource] = []
    for word in words[0].split(","):
        members = [r for r in ctx.reader.resources() if word in r.categories]
        found += members or [ctx.resource(word)]
    return found


def _found(ctx: Context, resource: ApiResource, name: str) -> Found:
    return Found(resource, ctx.ref(resource, name))


def _existing(ctx: Context, wanted: Sequence[Found], missing_ok: bool) -> tuple[Found, ...]:
    found = []
    for want in wanted:
        obj = ctx.reader.get(want.ref)
        if obj is not None:
            obj = {"apiVersion": want.ref.api_version, "kind": want.ref.kind, **obj}
            found.append(Found(want.resource, want.ref, obj))
        elif not missing_ok:
            raise refuse(
                "not_found",
                f"{want} does not exist" + (f" in namespace {want.ref.namespace}" if want.ref.namespace else ""),
                _like(ctx, want),
            )
    if len({(*f.ref.key, f.ref.api_version) for f in found}) < len(found):
        raise refuse("ambiguous_objects", "An object is named twice", "name each object once")
    return tuple(found)


def _like(ctx: Context, want: Found) -> str:
    """Say which objects of a kind there are where one was not found, the most alike first."""
    kind = f"{want.resource.api_version}/{want.resource.kind}"
    try:
        there = [o["metadata"]["name"] for o in ctx.reader.list(kind, want.ref.namespace or None)]
    except (ClusterError, UnknownNameError):
        return "check name and namespace"
    if not there:
        return "check name and namespace: there is none of that kind"
    near = get_close_matches(want.ref.name, there, _MOST_NAMES, 0.6)
    names = [*near, *sorted(set(there) - set(near))][:_MOST_NAMES]
    return f"check name and namespace; there {'is' if len(there) == 1 else 'are'}: {', '.join(names)}"


_MOST_NAMES = 6


def _listed(ctx: Context, resource: ApiResource) -> list[Found]:
    everywhere = ctx.parsed.on("all-namespaces") or not resource.namespaced
    objects = ctx.reader.list(
        f"{resource.api_version}/{resource.kind}",
        None if everywhere else ctx.namespace,
        label_selector=ctx.parsed.one("selector"),
        field_selector=ctx.parsed.one("field-selector"),
    )
    found = []
    for obj in objects:
        obj = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        meta = obj["metadata"]
        found.append(Found(resource, ctx.ref(resource, meta["name"], meta.get("namespace") or ""), obj))
    return sorted(found, key=lambda f: (f.ref.namespace, f.ref.name))
