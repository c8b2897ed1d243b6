"""`kubectl create`: from a manifest, or from flags by a generator."""

from __future__ import annotations

from stratus.cluster.kubectl.context import Context, Found, Outcome, refuse
from stratus.cluster.kubectl.manifests import objects_of
from stratus.cluster.kubectl.verbs import accessing, generating
from stratus.cluster.kubectl.verbs.applying import noted
from stratus.model.actions import ApiWrite
from stratus.model.base import Json


def compile_verb(ctx: Context) -> Outcome:
    """Compile `create`."""
    what = ctx.parsed.verb.removeprefix("create").strip()
    if not what:
        if ctx.parsed.words or "filename" not in ctx.parsed:
            raise refuse("missing_argument", "`create` needs a kind or a manifest", "write `kubectl create KIND NAME`")
        return Outcome(writes=tuple(post(ctx, f) for f in objects_of(ctx)))
    if len(ctx.parsed.words) != 1 or not ctx.parsed.words[0]:
        raise refuse(
            "missing_argument", f"`create {what}` needs exactly one name", f"write `kubectl create {what} NAME`"
        )
    name = ctx.parsed.words[0]
    takes_command = what in ("deployment", "job", "cronjob")
    if ctx.parsed.tail is not None and not takes_command:
        raise refuse("bad_value", f"`create {what}` takes no command after --", "leave it out")
    generator = {**generating.GENERATORS, **accessing.GENERATORS}[what]
    body = generator(ctx, name)
    resource = ctx.resource(f"{body['apiVersion']}/{body['kind']}")
    return Outcome(
        writes=(post(ctx, Found(resource, ctx.ref(resource, name), _placed(ctx, resource.namespaced, body))),)
    )


def _placed(ctx: Context, namespaced: bool, body: Json) -> Json:
    if namespaced:
        body["metadata"]["namespace"] = ctx.namespace
    return body


def post(ctx: Context, wanted: Found) -> ApiWrite:
    """Return the POST of an object that is not there yet."""
    if ctx.reader.get(wanted.ref) is not None:
        raise refuse("already_exists", f"{wanted} exists already", "use `kubectl apply -f -`, `patch` or `set`")
    body = noted(wanted.obj) if ctx.parsed.on("save-config") else wanted.obj
    return ctx.write("POST", wanted.resource, wanted.ref, body)
