"""`kubectl diff`: what applying a manifest would change; exit code 1 says that it would change something."""

from __future__ import annotations

import copy
import difflib

from stratus.cluster.kubectl.context import APPLY, JSON_PATCH, STRATEGIC, rules, strategic_type
from stratus.cluster.kubectl.reads.base import Failed, Look, ReadAnswer, said_by_server, without_secrets
from stratus.cluster.kubectl.reads.getting import as_yaml
from stratus.cluster.kubectl.verbs.applying import LAST_APPLIED
from stratus.errors import ClusterError
from stratus.kit.patches import merge_apply, strategic_apply
from stratus.model.actions import ApiWrite
from stratus.model.base import Json


def run(look: Look) -> ReadAnswer:
    """Run `diff`, by a dry run on the server where there is a rehearser, else by merging here."""
    from stratus.cluster.kubectl.compiler import compile_command

    words = ["apply", "-f", "-", *(f"--{name}={look.option(name)}" for name in _PASSED if name in look.read.options)]
    compiled = compile_command(
        words, namespace=look.read.namespace, reader=look.reader, manifest=look.option("manifest"), clock=look.clock
    )
    parts: list[str] = []
    for write in map(_unnoted, compiled.writes):
        live = look.reader.get(write.target) or {}
        try:
            merged = _merged(live, write) if look.rehearser is None else look.rehearser.dry_run(write)
        except ClusterError as error:
            raise Failed(said_by_server(error), 2) from error
        parts += _difference(write, live, merged)
    said = "" if look.rehearser is not None or not parts else "(merged here; the server's defaults are not filled in)"
    return ReadAnswer(text="".join(parts), complaint=said, exit_code=1 if parts else 0)


_PASSED = ("server-side", "force-conflicts", "field-manager")


def _unnoted(write: ApiWrite) -> ApiWrite:
    """Return a write without the record that an apply keeps of itself: a diff does not show it."""
    body = copy.deepcopy(write.body)
    meta = body.get("metadata")
    notes = (meta or {}).get("annotations")
    if isinstance(meta, dict) and isinstance(notes, dict) and LAST_APPLIED in notes:
        del notes[LAST_APPLIED]
        if not notes:
            del meta["annotations"]
        if not meta:
            del body["metadata"]
    return write.model_copy(update={"body": body})


def _merged(live: Json, write: ApiWrite) -> Json:
    """Return the object that a write would give, as far as that is known without the server."""
    body = copy.deepcopy(write.body)
    if write.method == "POST" or not live:
        return dict(body)
    if write.patch_type in (STRATEGIC, APPLY) and strategic_type(write.target):
        return strategic_apply(live, body, rules(), strategic_type(write.target))
    assert write.patch_type != JSON_PATCH, "apply sends no JSON patch"
    return dict(merge_apply(live, body))


def _difference(write: ApiWrite, live: Json, merged: Json) -> list[str]:
    group, _, version = write.target.api_version.rpartition("/")
    name = ".".join(p for p in (group, version, write.target.kind, write.target.namespace, write.target.name) if p)
    before, after = (as_yaml(_plain(o)).splitlines(keepends=True) if o else [] for o in (live, merged))
    return list(difflib.unified_diff(before, after, f"LIVE/{name}", f"MERGED/{name}"))


def _plain(obj: Json) -> Json:
    """Return an object without who owns which field, its version, and the values of secrets."""
    meta = {k: v for k, v in obj["metadata"].items() if k not in ("managedFields", "resourceVersion")}
    return dict(without_secrets({**obj, "metadata": meta}))
