"""`kubectl label` and `annotate`: merge patches of what really changes."""

from __future__ import annotations

import re

from stratus.cluster.kubectl.context import MERGE, Context, Found, Outcome, pairs, refuse
from stratus.cluster.kubectl.targets import find
from stratus.cluster.kubectl.verbs.reading import read_of
from stratus.model.actions import ApiWrite

_NAME = re.compile(r"^[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
_PREFIX = re.compile(r"^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$")
_CHANGE_CAUSE = "kubernetes.io/change-cause"


def compile_verb(ctx: Context) -> Outcome:
    """Compile `label` and `annotate`."""
    field = "labels" if ctx.parsed.verb == "label" else "annotations"
    words = ctx.parsed.words
    at = next((i for i, w in enumerate(words) if "=" in w or (w.endswith("-") and i)), len(words))
    names, arguments = words[:at], words[at:]
    if ctx.parsed.on("list"):
        return read_of(ctx, "get", names)
    stray = [w for w in arguments if "=" not in w and not w.endswith("-")]
    if stray:
        raise refuse("bad_value", f"{stray[0]!r} is neither KEY=VALUE nor KEY-", "put all objects before the keys")
    sets = pairs(tuple(w for w in arguments if "=" in w), f"one of the {field}")
    removed = tuple(w[:-1] for w in arguments if "=" not in w)
    if not sets and not removed:
        raise refuse("missing_argument", f"No {field} are given", "write KEY=VALUE to set and KEY- to remove")
    if set(sets) & set(removed):
        raise refuse("bad_value", "A key is both set and removed", "do one of them")
    for key in (*sets, *removed):
        _check_key(key)
    if field == "labels":
        for key, value in sets.items():
            if value and not _NAME.match(value):
                raise refuse("bad_value", f"{value!r} is not a value for the label {key}", "at most 63 of A-Za-z0-9-_.")
    if ctx.parsed.on("all") and "field-selector" in ctx.parsed:
        raise refuse("ambiguous_objects", "--all and --field-selector contradict each other", "drop one of them")
    writes: list[ApiWrite] = []
    for found in find(ctx, names):
        writes += _write(ctx, found, field, sets, removed)
    return Outcome(writes=tuple(writes))


def _write(ctx: Context, found: Found, field: str, sets: dict[str, str], removed: tuple[str, ...]) -> list[ApiWrite]:
    now = found.obj["metadata"].get(field) or {}
    if not ctx.parsed.on("overwrite"):
        clash = [k for k, v in sets.items() if now.get(k, v) != v and not (k == _CHANGE_CAUSE and field != "labels")]
        if clash:
            raise refuse(
                "would_overwrite", f"{found} has {clash[0]}={now[clash[0]]} already", "add --overwrite to replace it"
            )
    change: dict[str, str | None] = {k: v for k, v in sorted(sets.items()) if now.get(k) != v}
    change.update({k: None for k in removed if k in now})
    if not change:
        return []
    body = {"metadata": {field: change}}
    return [ctx.patch(found, MERGE, body, expect_version=ctx.parsed.one("resource-version"))]


def _check_key(key: str) -> None:
    prefix, slash, name = key.rpartition("/")
    if not _NAME.match(name) or (slash and not _PREFIX.match(prefix)):
        raise refuse("bad_value", f"{key!r} is not a key", "write [PREFIX/]NAME of A-Za-z0-9-_.")
