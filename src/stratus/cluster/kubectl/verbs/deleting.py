"""`kubectl delete`: one DELETE for each object, with kubectl's options in the body."""

from __future__ import annotations

from stratus.cluster.kubectl.context import Context, Outcome, refuse
from stratus.cluster.kubectl.targets import find
from stratus.model.base import Json

_CASCADE = {
    "": "Background",
    "true": "Background",
    "background": "Background",
    "foreground": "Foreground",
    "orphan": "Orphan",
    "false": "Orphan",
}


def compile_verb(ctx: Context) -> Outcome:
    """Compile `delete`."""
    options = _options(ctx)
    chosen = find(ctx, ctx.parsed.words, missing_ok=ctx.parsed.on("ignore-not-found"))
    return Outcome(writes=tuple(ctx.write("DELETE", f.resource, f.ref, dict(options)) for f in chosen))


def _options(ctx: Context) -> Json:
    flags = ctx.parsed
    cascade = flags.one("cascade", "background")
    if cascade not in _CASCADE:
        raise refuse("bad_value", f"--cascade={cascade} is not known", "use background, foreground or orphan")
    grace = ctx.number("grace-period", default=-1)
    if flags.on("now"):
        if grace != -1:
            raise refuse("bad_value", "--now and --grace-period contradict each other", "drop one of them")
        grace = 1
    if flags.on("force"):
        if grace > 0:
            raise refuse("bad_value", "--force and a --grace-period above 0 contradict each other", "drop one of them")
        grace = 0
    elif grace == 0:
        grace = 1  # as kubectl: an immediate deletion has to be forced
    options: Json = {"propagationPolicy": _CASCADE[cascade]}
    if grace >= 0:
        options["gracePeriodSeconds"] = grace
    return options
