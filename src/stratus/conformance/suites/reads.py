"""reads.jsonl.gz: commands that only look, run by the real kubectl, and what they print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from stratus.conformance.adoption import adopt
from stratus.conformance.golden import Golden
from stratus.conformance.kubectl import Kubectl
from stratus.conformance.matrix import Outcome
from stratus.conformance.rows import as_printed, rebuilt
from stratus.conformance.served import served
from stratus.conformance.suites.base import RESOURCE, Chosen, Json, attempt
from stratus.conformance.suites.sessions import printed
from stratus.conformance.timeline import Key, key_of
from stratus.conformance.world import EmbeddedWorld, Side
from stratus.kit.clock import parse_iso

#: Parameters that choose a page of a list, not its members.
_PAGING = ("limit", "continue", "timeout", "watch", "resourceVersion", "resourceVersionMatch", "allowWatchBookmarks")


class Reads:
    """The objects that the recorded answers hold are placed, the real kubectl is run, and its output is compared."""

    name: ClassVar[str] = "reads.jsonl.gz"
    about: ClassVar[str] = "standard output, standard error and exit code"
    least: ClassVar[float | None] = 0.95
    measures: ClassVar[Mapping[str, float | None]] = {}
    live: ClassVar[bool] = False
    slow: ClassVar[bool] = True

    def replay(self, golden: Golden, side: Side, chosen: Chosen) -> Iterator[Outcome]:
        """Run each command in front of a cluster of its own in which nothing moves."""
        records = golden.records(self.name)
        pool = Pool(records, golden.records("tables.jsonl.gz") if golden.has("tables.jsonl.gz") else [])
        port = 0
        with Kubectl() as kubectl:
            for index, record in enumerate(records):
                case = f"{record['id']}/{' '.join(record['argv'][1:])}"[:120]
                if not chosen(case):
                    continue

                def run(case: str = case, index: int = index, record: Json = record) -> Outcome:
                    nonlocal port
                    objects = pool.at(index)
                    world = side.world("demo", "demo-b", moment=_present(objects))
                    assert isinstance(world, EmbeddedWorld)
                    try:
                        furnish(world, objects, record, pool)
                        with served(world, kubectl, port=port) as (desk, port):
                            ran = desk.run(record)
                            server = desk.server
                        problems = [printed(record, ran, server)]
                        if ran.exit_code != record["exit_code"]:
                            problems.insert(0, f"exit code {ran.exit_code}, recorded {record['exit_code']}")
                        found = [p for p in problems if p]
                        return Outcome(case=case, kind=record["group"], passed=not found, reason="; ".join(found)[:900])
                    finally:
                        world.close()

                yield attempt(case, record["group"], run)


class Pool:
    """Every object that recorded answers show in full, with the moment (record) at which they do.

    Args:
        records: of reads.
        tables: of server-side printing, where whole lists are recorded.
    """

    def __init__(self, records: list[Json], tables: list[Json]) -> None:
        self._seen: dict[Key, list[tuple[int, Json]]] = {}
        self.logs: dict[tuple[str, str, bool], str] = {}
        for record in tables:
            for obj in whole(record["path"], record.get("list") or record.get("object"), record["kind"]):
                self._note(-1, obj)
        for index, record in enumerate(records):
            for request in record["requests"]:
                if request["method"] == "GET" and request["status"] == 200:
                    for obj in whole(request["path"], request.get("response")):
                        self._note(index, obj)
                self._log(request)

    def _note(self, index: int, obj: Json) -> None:
        if obj["apiVersion"] == "events.k8s.io/v1":
            return  # the same events as the core group's, which are recorded more often
        self._seen.setdefault(pool_key(obj), []).append((index, obj))

    def _log(self, request: Json) -> None:
        parts = urlsplit(request["path"])
        steps = parts.path.split("/")
        asked = parse_qs(parts.query)
        plain = set(asked) <= {"container", "previous"}
        if steps[-1] == "log" and request["status"] == 200:
            key = (steps[-2], asked.get("container", [""])[0], "previous" in asked)
            text = request.get("response_raw") or request.get("response") or ""
            if plain or key not in self.logs:
                self.logs[key] = text

    def at(self, index: int) -> dict[Key, Json]:
        """Return each object as the nearest record shows it."""
        found = {}
        for key, seen in self._seen.items():
            found[key] = min(seen, key=lambda s: abs(s[0] - index))[1]
        return found

    def version(self, key: Key, version: str) -> Json | None:
        """Return an object in one version, when some record shows it."""
        return next((o for _, o in self._seen.get(key, ()) if o["metadata"].get("resourceVersion") == version), None)


def pool_key(obj: Json) -> Key:
    """Return what names an object, the same for events of either group."""
    key = key_of(obj)
    return ("", *key[1:]) if key[:2] == ("events.k8s.io", "Event") else key


def whole(path: str, answer: Any, kind: str = "") -> list[Json]:
    """Return the objects that an answer shows in full."""
    if not isinstance(answer, dict):
        return []
    if answer.get("kind") == "Table":
        rows = [row.get("object") or {} for row in answer.get("rows") or ()]
        return [o for o in rows if o.get("kind") not in (None, "PartialObjectMetadata")]
    found = RESOURCE.match(path.partition("?")[0])
    if found is None:
        return []
    core, group, version, *_ = found.groups()
    if "items" in answer:
        named = kind or answer["kind"].removesuffix("List")
        return [{"apiVersion": core or f"{group}/{version}", "kind": named, **item} for item in answer["items"] or ()]
    if answer.get("kind") in ("Status", "Scale") or not (answer.get("metadata") or {}).get("name"):
        return []
    return [{"apiVersion": core or f"{group}/{version}", "kind": kind, **answer}]


def _present(objects: dict[Key, Json]) -> float:
    stamps = [o["metadata"].get("creationTimestamp") for o in objects.values()]
    stamps += [o.get("lastTimestamp") for o in objects.values()]
    return max((parse_iso(s) for s in stamps if s), default=parse_iso("2026-11-22T09:41:00Z")) + 5.0


def furnish(world: EmbeddedWorld, objects: dict[Key, Json], record: Json, pool: Pool) -> None:
    """Make the cluster hold what the recorded answers of a command show, and nothing else of what it looks for."""
    shown = dict(objects)
    for request in record["requests"]:
        answer = request.get("response")
        if request["method"] == "GET" and request["status"] == 200:
            shown |= {pool_key(o): o for o in whole(request["path"], answer)}
            shown |= {pool_key(o): o for o in _printed(world, request["path"], answer, shown, pool)}
    events = any("/events" in r["path"] for r in record["requests"])
    world.namespace(*sorted({key[2] for key in shown} - {""}))
    for key, obj in shown.items():
        if key[1] == "Event" and not events:
            continue
        world.place(obj)
    for request in record["requests"]:
        if request["method"] == "GET" and request["status"] == 404:
            _take_away(world, request["path"], [])
    for path, names in _lists(record).items():
        _take_away(world, path, names)
    own = Pool([record], []).logs
    world.api.read_lines = None
    world.api.log_backend = lambda ns, pod, container, previous, tail, since, stamps: _log(
        pool.logs.get((pod, container, previous), ""), own.get((pod, container, previous), ""), tail, since
    )
    if record["argv"][1] == "exec":
        for obj in shown.values():
            if obj["kind"] == "Pod" and obj["metadata"]["namespace"] == "demo":
                adopt(world.cluster.control, obj)


def _printed(world: EmbeddedWorld, path: str, answer: Any, shown: dict[Key, Json], pool: Pool) -> list[Json]:
    """Return the objects behind the rows of a table: in the version it names, or as like to the row as can be."""
    match = RESOURCE.match(path.partition("?")[0])
    if not isinstance(answer, dict) or answer.get("kind") != "Table" or match is None:
        return []
    core, group, version, _, plural, _ = match.groups()
    resource = world.api.registry.find(group or "", core or version, plural)
    if resource is None:
        return []
    columns, found = [c["name"] for c in answer.get("columnDefinitions") or ()], []
    now = world.cluster.clock.now()
    for row in answer.get("rows") or ():
        meta = (row.get("object") or {}).get("metadata") or {}
        key: Key = (group or "", resource.kind, meta.get("namespace", ""), meta.get("name", ""))
        exact = pool.version(key, meta.get("resourceVersion", ""))
        near = shown.get(key)
        if exact is not None:
            found.append(exact)
        elif near is not None and resource.kind == "Pod":
            cells = dict(zip(columns, row["cells"], strict=False))
            found.append({**as_printed(near, cells, now), "metadata": meta})
        elif near is not None and resource.kind == "Event":
            count = dict(zip(columns, row["cells"], strict=False)).get("Count")
            found.append({**near, "metadata": meta, **({"count": count} if count else {})})
        elif near is None:
            made = rebuilt(resource.kind, columns, row, now)
            found += [made] if made is not None else []
    return found


def _lists(record: Json) -> dict[str, list[tuple[str, str]]]:
    """Return what each list that was asked for held: (namespace, name), pages put together."""
    found: dict[str, list[tuple[str, str]]] = {}
    for request in record["requests"]:
        answer = request.get("response")
        if request["method"] != "GET" or request["status"] != 200 or not isinstance(answer, dict):
            continue
        parts = urlsplit(request["path"])
        asked = {k: v for k, v in parse_qs(parts.query).items() if k not in _PAGING}
        match = RESOURCE.fullmatch(parts.path)
        if match is None or match[6] or "watch" in parts.query:
            continue
        items = answer.get("items") if "items" in answer else [r.get("object") or {} for r in answer.get("rows") or ()]
        query = "&".join(f"{k}={v[0]}" for k, v in asked.items() if k.endswith("Selector"))
        path = f"{parts.path}?{query}" if query else parts.path
        names = [(o["metadata"].get("namespace", ""), o["metadata"]["name"]) for o in items or () if "metadata" in o]
        found.setdefault(path, []).extend(names)
    return found


def _take_away(world: EmbeddedWorld, path: str, kept: list[tuple[str, str]]) -> None:
    """Remove what a list shows besides what it should, or the one object that a path names."""
    match = RESOURCE.match(path.partition("?")[0])
    if match is None:
        return
    core, group, version, namespace, plural, name = match.groups()
    resource = world.api.registry.find(group or "", core or version, plural)
    if resource is None:
        return
    if name:
        world.store.delete(resource.stored, namespace or "", name)
        return
    answer = world.send("GET", path)
    for item in (answer.obj or {}).get("items") or ():
        meta = item["metadata"]
        if (meta.get("namespace", ""), meta["name"]) not in kept:
            world.store.delete(resource.stored, meta.get("namespace", ""), meta["name"])


def _log(text: str, own: str, tail: int | None, since: float | None) -> str:
    """Return what a container wrote; what a command itself was shown counts more than what others were."""
    if own:
        text = text[: text.index(own) + len(own)] if own in text else own
    lines = text.splitlines(keepends=True)
    if since is not None:
        return ""
    return "".join(lines if tail is None else lines[max(0, len(lines) - tail) :])
