"""`kubectl events`, and events below a description."""

from __future__ import annotations

from stratus.cluster.kubectl.reads.base import Failed, Look, ReadAnswer, bare
from stratus.cluster.kubectl.reads.columns import table
from stratus.cluster.kubectl.reads.podtext import Lines
from stratus.cluster.kubectl.reads.spans import short
from stratus.errors import UnknownNameError
from stratus.kit.kube import dig, event_count, event_first, event_message, event_time
from stratus.model.base import Json


def run(look: Look) -> ReadAnswer:
    """Run `events`."""
    space = None if look.everywhere else look.read.namespace
    chosen = ""
    if look.option("for"):
        word, slash, name = look.option("for").partition("/")
        try:
            kind = look.reader.resource(word).kind
        except UnknownNameError:
            raise Failed(f'error: the server doesn\'t have a resource type "{word}"') from None
        if not slash or not name:
            raise Failed("error: --for must be in resource/name form")
        chosen = f"involvedObject.kind={kind},involvedObject.name={name}"
    events = look.reader.list("v1/Event", space, field_selector=chosen)
    wanted = {word.strip().lower() for word in look.option("types").split(",") if word.strip()}
    if wanted:
        events = [e for e in events if str(e.get("type", "")).lower() in wanted]
    events = sorted(events, key=event_time)
    if not events:
        where = "." if look.everywhere else f" in {look.read.namespace} namespace."
        return ReadAnswer(complaint=f"No events found{where}")
    if look.option("output") in ("json", "yaml"):
        from stratus.cluster.kubectl.reads.getting import as_json, as_yaml

        whole = {"apiVersion": "v1", "items": [bare(e) for e in events], "kind": "List", "metadata": {}}
        return ReadAnswer(text=as_json(whole) if look.option("output") == "json" else as_yaml(whole))
    now = look.clock.now()
    header = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    rows = []
    for event in events:
        about = event.get("involvedObject") or {}
        cells = [
            seen(event, now),
            str(event.get("type", "")),
            str(event.get("reason", "")),
            f"{about.get('kind', '')}/{about.get('name', '')}",
            event_message(event).strip(),
        ]
        rows.append([event["metadata"].get("namespace", ""), *cells] if look.everywhere else cells)
    header = ["NAMESPACE", *header] if look.everywhere else header
    return ReadAnswer(text=table(header, rows, headers=not look.on("no-headers")))


def seen(event: Json, now: float) -> str:
    """Return how long ago an event was last seen, with how often and since when if more than once."""
    last = short(now - event_time(event))
    count = event_count(event)
    return f"{last} (x{count} over {short(now - event_first(event))})" if count > 1 else last


def event_table(events: list[Json], now: float) -> Lines:
    """Return events as the last part of a description."""
    lines = ["Events:", "  Type\tReason\tAge\tFrom\tMessage", "  ----\t------\t----\t----\t-------"]
    for event in sorted(events, key=event_time):
        source = dig(event, "source", "component") or event.get("reportingComponent") or ""
        host = dig(event, "source", "host")
        source = f"{source}, {host}" if host and source != "kubelet" else source
        field = dig(event, "involvedObject", "fieldPath")
        message = (f"{field}: " if field else "") + event_message(event).strip()
        lines.append(f"  {event.get('type', '')}\t{event.get('reason', '')}\t{seen(event, now)}\t{source}\t{message}")
    return lines
