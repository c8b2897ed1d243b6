"""`kubectl describe`: what an object is, what hangs on it, and its events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stratus.cluster.kubectl.reads import (
    describing_network,
    describing_nodes,
    describing_services,
    describing_space,
    describing_workloads,
)
from stratus.cluster.kubectl.reads.base import Failed, Look, ReadAnswer, not_found, said_by_server, without_secrets
from stratus.cluster.kubectl.reads.columns import tabbed
from stratus.cluster.kubectl.reads.events import event_table
from stratus.cluster.kubectl.reads.podtext import Lines, indent, notes, several
from stratus.errors import ClusterError
from stratus.model.base import Json
from stratus.model.refs import ObjectRef

Describer = Callable[[Look, Json], Lines]
_KINDS: dict[tuple[str, str], Describer] = {
    **describing_workloads.DESCRIBERS,
    **describing_services.DESCRIBERS,
    **describing_nodes.DESCRIBERS,
    **describing_network.DESCRIBERS,
    **describing_space.DESCRIBERS,
}
_WITHOUT_EVENTS = frozenset({"Secret", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Event",
                             "NetworkPolicy", "ResourceQuota", "LimitRange", "Namespace"})  # fmt: skip


def run(look: Look) -> ReadAnswer:
    """Run `describe`."""
    meant: list[Json] = []
    complaints: list[str] = []
    for target in look.read.targets:
        try:
            found = _meant(look, target)
        except Failed as failed:
            complaints.append(str(failed))
            continue
        except ClusterError as error:
            complaints.append(said_by_server(error))
            continue
        meant += found
    blocks = [describe(look, obj, events=len(meant) == 1) for obj in meant]
    none = ""
    if len(meant) > 1 and look.on("show-events", True):
        none = "(events are shown when one object is described)"
    elif not blocks and not complaints:
        none = f"No resources found in {look.read.namespace} namespace."
    return ReadAnswer(
        text="\n\n".join(blocks), complaint="\n".join(complaints) or none, exit_code=1 if complaints else 0
    )


def _meant(look: Look, target: ObjectRef) -> list[Json]:
    """Return the objects of a target; a name that is none may be the beginning of some."""
    try:
        return look.objects(target)
    except Failed:
        every = look.objects(target.model_copy(update={"name": ""}))
        found = [o for o in every if o["metadata"]["name"].startswith(target.name)]
        if not found:
            raise Failed(not_found(look.resource(target), target.name)) from None
        return found


def describe(look: Look, obj: Json, *, events: bool = True) -> str:
    """Return the description of one object."""
    group = obj["apiVersion"].rpartition("/")[0]
    known = _KINDS.get((group, obj["kind"]))
    lines = known(look, obj) if known else generic(obj)
    if events and look.on("show-events", True) and obj["kind"] not in _WITHOUT_EVENTS:
        lines += event_lines(look, obj)
    return tabbed("\n".join(lines)).rstrip("\n") + "\n"


def event_lines(look: Look, obj: Json) -> Lines:
    """Return the events about an object."""
    meta = obj["metadata"]
    about = f"involvedObject.name={meta['name']},involvedObject.kind={obj['kind']}"
    try:
        events = look.reader.list("v1/Event", meta.get("namespace") or None, field_selector=about)
    except ClusterError as error:
        return [f"Events:\t<unknown: {error}>"]
    mine = [
        e for e in events if (e.get("involvedObject") or {}).get("uid") in (None, "", meta.get("uid"), meta["name"])
    ]
    return event_table(mine, look.clock.now()) if mine else ["Events:\t<none>"]


def generic(obj: Json) -> Lines:
    """Return any object as a tree of its fields."""
    meta = obj["metadata"]
    rest = {k: v for k, v in without_secrets(obj).items() if k not in ("apiVersion", "kind", "metadata")}
    hidden = ("name", "namespace", "labels", "annotations", "managedFields")
    lines = [f"Name:\t{meta['name']}", f"Namespace:\t{meta.get('namespace', '')}"]
    lines += [*several("Labels", meta.get("labels")), *notes(meta.get("annotations"))]
    lines += [f"API Version:\t{obj['apiVersion']}", f"Kind:\t{obj['kind']}", "Metadata:"]
    lines += indent(_tree({k: v for k, v in meta.items() if k not in hidden}))
    return [*lines, *_tree(rest)]


def _tree(value: Any) -> Lines:
    lines: Lines = []
    for key, held in sorted(value.items()) if isinstance(value, dict) else ():
        title = _title(key)
        if isinstance(held, dict):
            lines += [f"{title}:", *indent(_tree(held))]
        elif isinstance(held, list):
            lines.append(f"{title}:")
            for one in held:
                lines += indent(_tree(one)) if isinstance(one, dict) else [f"  {one}"]
        else:
            text = "<nil>" if held is None else str(held).lower() if isinstance(held, bool) else str(held)
            lines.append(f"{title}:\t{text}")
    return lines


def _title(key: str) -> str:
    """Return `creationTimestamp` as `Creation Timestamp`; a key that is no field name stays."""
    if not key[:1].islower() or not key.isalnum():
        return key
    words = ""
    for at, char in enumerate(key):
        new = char.isupper() and at and (not key[at - 1].isupper() or (at + 1 < len(key) and key[at + 1].islower()))
        words += f" {char}" if new else char
    words = words[0].upper() + words[1:]
    return " ".join(_ACRONYMS.get(word, word) for word in words.split(" "))


_ACRONYMS = {"Uid": "UID", "Api": "API", "Url": "URL", "Uids": "UIDs"}
