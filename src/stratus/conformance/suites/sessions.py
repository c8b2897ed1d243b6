"""kubectl.jsonl.gz: commands that change something, run by the real kubectl, and the objects that result."""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from stratus.conformance.adoption import adopt, with_pods, with_replica_sets
from stratus.conformance.golden import Golden
from stratus.conformance.kubectl import Kubectl, Ran
from stratus.conformance.matrix import Outcome
from stratus.conformance.normal import TIME, difference, neutral, text_difference, without_allocation
from stratus.conformance.served import served
from stratus.conformance.suites.base import RESOURCE, Chosen, Json, attempt, namespace_of
from stratus.conformance.timeline import Key, Timeline, key_of, transplanted
from stratus.conformance.words import LETTERS, alike
from stratus.conformance.world import ADMIN, BEGIN, EmbeddedWorld, Side
from stratus.kit.clock import parse_iso

#: Kinds that are written by the cluster itself all the time.
_RESTLESS = frozenset({"Event", "Lease", "Endpoints", "EndpointSlice", "ControllerRevision", "Node"})
#: Other recorded namespaces that hold the same pods at the same time.
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----")
GENERATED = re.compile(rf"(?<=[a-z0-9])-{LETTERS}{{5}}(?![a-z0-9])")
ELSEWHERE = frozenset({"conc", "demo"})
COMMON_PODS = frozenset({"solo"})


class Sessions:
    """The recorded objects are placed, the real kubectl is run, and the objects it named are compared."""

    name: ClassVar[str] = "kubectl.jsonl.gz"
    about: ClassVar[str] = (
        "objects that the command named (spec, metadata, managedFields; nothing else may change), exit code and output."
        " Told besides: requests: what the recorded requests, sent without kubectl, answer and leave; indirect: which "
        "kinds controllers made and deleted because of it"
    )
    least: ClassVar[float | None] = None
    measures: ClassVar[Mapping[str, float | None]] = {
        "objects": 0.98,
        "exit_code": None,
        "output": None,
        "requests": None,
        "indirect": None,
    }
    live: ClassVar[bool] = False
    slow: ClassVar[bool] = True

    def replay(self, golden: Golden, side: Side, chosen: Chosen) -> Iterator[Outcome]:
        """Run each command in front of a cluster of its own, whose controllers work."""
        sessions = golden.records(self.name)
        timeline = Timeline(sessions)
        port = 0
        with Kubectl() as kubectl:
            for index, session in enumerate(sessions):
                case = case_of(session)
                if not chosen(case):
                    continue

                def run(case: str = case, index: int = index, session: Json = session) -> Outcome:
                    nonlocal port
                    before = evident(timeline, index, session)
                    moment = (timeline.seconds(index) or parse_iso(BEGIN)) + 0.5
                    world = prepared(side, before, session, moment)
                    try:
                        started = world.cluster.clock.now()
                        old = snapshot(world, session)
                        with served(world, kubectl, port=port) as (desk, port):
                            ran = desk.run(session)
                            server = desk.server
                        with world.lock:
                            world.reach(started + length(session))
                        outcome = judge(case, session, ran, server, old, snapshot(world, session))
                    finally:
                        world.close()
                    sent = straight(side, before, session, moment)
                    told = "; ".join([outcome.reason, *(f"requests: {p}" for p in sent)]).strip("; ")
                    measures = {**outcome.measures, "requests": not sent}
                    return outcome.model_copy(update={"measures": measures, "reason": told[:900]})

                yield attempt(case, session["group"], run, self.measures)


def case_of(session: Json) -> str:
    """Return the id of a session's case."""
    return f"{session['id']}/{' '.join(session['argv'][1:])}"[:120]


def length(session: Json) -> float:
    """Return how long a session was followed, in seconds."""
    return float(session.get("seconds") or 0) + float(session.get("settle_seconds") or 0)


def prepared(side: Side, before: dict[Key, Json], session: Json, moment: float) -> EmbeddedWorld:
    """Return a cluster that holds the objects of a session."""
    world = side.world(running=True, moment=moment)
    assert isinstance(world, EmbeddedWorld)
    try:
        settle(world, before, session)
    except BaseException:
        world.close()
        raise
    return world


def straight(side: Side, before: dict[Key, Json], session: Json, moment: float) -> list[str]:
    """Send the recorded requests of a session without kubectl; return how answers and resulting objects differ."""
    world = prepared(side, before, session, moment)
    try:
        started, old, problems = world.cluster.clock.now(), snapshot(world, session), []
        for request in session["requests"]:
            body = request.get("body", request.get("body_raw"))
            if request.get("body_protobuf_base64"):
                body = base64.b64decode(request["body_protobuf_base64"])
            if request["status"] == 101 or "watch=true" in request["path"]:
                # A stream: the time it took passes.
                world.reach(started + float(session.get("seconds") or 0))
                continue
            answer = world.send(
                request["method"],
                request["path"],
                body,
                media=request.get("content_type"),
                accept=request.get("accept"),
                user=session.get("user") or ADMIN,
                agent="kubectl",
            )
            # 304 was the answer to a kubectl that had the same document already.
            if answer.status != request["status"] and (answer.status, request["status"]) != (200, 304):
                problems.append(f"{request['method']} {request['path']}: {answer.status}, recorded {request['status']}")
        world.reach(started + length(session))
        changes = session.get("changes") or []
        return problems + objects(changes, old, snapshot(world, session), in_order=not unordered(session["argv"]))
    finally:
        world.close()


def relevant(objects: dict[Key, Json], session: Json) -> dict[Key, Json]:
    """Return the objects of the namespaces that a session can see, and those of the cluster."""
    mine = session["namespace"]
    return {
        key: obj
        for key, obj in objects.items()
        if not key[2] or key[2] == "default" or key[2] == mine or key[2].startswith(f"{mine}-")
    }


def evident(timeline: Timeline, index: int, session: Json) -> dict[Key, Json]:
    """Return the objects that a session found, corrected by what the server answered in it."""
    before = relevant(timeline.at(index), session)
    _elsewhere(before, session)
    changed = {key_of(c["after"] or c["before"]) for c in session.get("changes") or ()}
    seen: set[str] = set()
    for request in session["requests"]:
        path = request["path"].partition("?")[0]
        status, method = request["status"], request["method"]
        details = (request.get("response") or {}).get("details") or {} if status >= 400 else {}
        if status == 404 and path not in seen and method in ("GET", "DELETE", "PATCH"):
            # It was not there; a 404 after a deletion says nothing about before.
            for key in [k for k in before if k[3] == details.get("name") and plural_of(k[1]) == details.get("kind")]:
                del before[key]
        seen.add(path)
        answer = request.get("response")
        if (
            method in ("PUT", "PATCH")
            and status == 200
            and isinstance(answer, dict)
            and "dryRun" not in request["path"]
        ):
            _unchanged(before, changed, answer)
        body = request.get("body") or request.get("body_decoded")
        if status == 409 and method == "POST" and isinstance(body, dict):
            known = _existing(body, request["path"])
            before.setdefault(key_of(known), known)
    if "--all" in session["argv"] and session["exit_code"] == 0:
        _only_named(before, session)
    return before


def _unchanged(before: dict[Key, Json], changed: set[Key], answer: Json) -> None:
    """Correct an object that a write answered with and that did not change: it was like that before."""
    meta = answer.get("metadata") or {}
    if answer.get("kind") == "Scale":
        for key, obj in list(before.items()):
            if (
                key not in changed
                and key[2:] == (meta.get("namespace"), meta.get("name"))
                and "replicas" in obj.get("spec", {})
                and obj["metadata"].get("uid") == meta.get("uid")
            ):
                before[key] = {**obj, "spec": {**obj["spec"], "replicas": answer["spec"].get("replicas", 0)}}
    elif "apiVersion" in answer and meta.get("name") and key_of(answer) not in changed:
        before[key_of(answer)] = answer


def _elsewhere(before: dict[Key, Json], session: Json) -> None:
    """Add the pods of other namespaces that a command for the whole cluster named, on the node it was about."""
    nodes = [word for word in session["argv"] if re.fullmatch(r"node\d", word)]
    for line in f"{session['stdout'] or ''}\n{session['stderr'] or ''}".splitlines():
        told = re.search(r'node "(node\d)"', line)
        node = told[1] if told else nodes[0] if nodes else ""
        for space, name in re.findall(r"(?<![\w/.-])([a-z][a-z0-9-]*)/([a-z][a-z0-9-]*)(?![\w/.-])", line):
            stem = name if name in COMMON_PODS else name.partition("-")[0]
            if space not in ELSEWHERE or ("", "Pod", space, name) in before:
                continue
            for key, obj in list(before.items()):
                if key[1] == "Pod" and key[2] not in ELSEWHERE and key[3].partition("-")[0] == stem:
                    moved = transplanted(obj, space)
                    spec = {**moved["spec"], **({"nodeName": node} if node else {})}
                    meta = {**moved["metadata"], "name": name}
                    before["", "Pod", space, name] = {**moved, "metadata": meta, "spec": spec}
                    break
            for key, obj in list(before.items()):
                if key[1] == "DaemonSet" and key[3] == stem and key[2] not in ELSEWHERE:
                    before[key[0], key[1], space, stem] = transplanted(obj, space)


def _existing(body: Json, path: str) -> Json:
    """Return the object that stood in the way of a create, as far as the create tells."""
    meta = dict(body.get("metadata") or {})
    space = meta.get("namespace") or namespace_of(path)
    if space:
        meta["namespace"] = space
    meta["uid"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{path} {meta.get('name')}"))
    return {**body, "metadata": meta}


def _only_named(before: dict[Key, Json], session: Json) -> None:
    """Drop objects of a listed resource that a command for all of them did not name: they were not there."""
    for request in session["requests"]:
        found = RESOURCE.fullmatch(request["path"].partition("?")[0])
        listed = found is not None and not found[6] and request["method"] == "GET" and request["status"] == 200
        if not listed or found is None or "Selector=" in request["path"]:
            continue
        start = found[0] + "/"
        names = {
            r["path"].removeprefix(start).partition("?")[0].partition("/")[0]
            for r in session["requests"]
            if r["path"].startswith(start)
        }
        for key in list(before):
            if key[2] == (found[4] or "") and plural_of(key[1]) == found[5] and key[3] not in names:
                del before[key]


def plural_of(kind: str) -> str:
    """Return the plural of a kind, as paths have it."""
    word = kind.lower()
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}es" if word.endswith("s") else f"{word}s"


def settle(world: EmbeddedWorld, before: dict[Key, Json], session: Json) -> None:
    """Place the objects of a session, and let controllers and kubelets take them over as they are."""
    spaces = {key[2] for key in before} | {session["namespace"], f"{session['namespace']}-b"}
    names = {key[3] for key in before if key[1] == "Namespace"}
    world.namespace(*sorted(spaces - {"", "default"} - names))
    # Owners first, so that nobody takes what they own for orphans.
    order = {
        "Namespace": 0,
        "Node": 0,
        "Deployment": 1,
        "StatefulSet": 1,
        "DaemonSet": 1,
        "Service": 1,
        "ReplicaSet": 2,
    }
    whole = with_replica_sets(before.values())
    if "--all" not in session["argv"]:
        # A command for all has named all there were.
        whole = with_pods(whole, world.cluster.clock.now())
    for obj in sorted(whole, key=lambda o: order.get(o["kind"], 3 + (o["kind"] == "Pod"))):
        world.place(obj)
    for obj in whole:
        if obj["kind"] == "Pod":
            adopt(world.cluster.control, obj)


def snapshot(world: EmbeddedWorld, session: Json) -> dict[Key, Json]:
    """Return what is in the store, as far as a session can see it."""
    found = {}
    with world.lock:
        for resource in world.store.resources():
            for obj in world.store.list(resource):
                if "apiVersion" in obj and "kind" in obj:
                    found[key_of(obj)] = obj
    return relevant(found, session)


def judge(
    case: str,
    session: Json,
    ran: Ran,
    server: str,
    old: dict[Key, Json],
    new: dict[Key, Json],
) -> Outcome:
    """Compare what a command did and said with the recording."""
    changes = session.get("changes") or []
    problems = objects(changes, old, new, in_order=not unordered(session["argv"]))
    code = ran.exit_code == session["exit_code"]
    said = printed(session, ran, server)
    made, recorded = _made(changes, old, new), _kinds_made(changes)
    indirect = made == recorded
    measures = {"objects": not problems, "exit_code": code, "output": not said, "indirect": indirect}
    if not code:
        problems.append(f"exit code {ran.exit_code}, recorded {session['exit_code']}")
    if said:
        problems.append(said)
    if not indirect:
        problems.append(f"controllers: {_told(made)}, recorded {_told(recorded)}")
    passed = measures["objects"] and code and not said
    return Outcome(case=case, kind=session["group"], passed=passed, reason="; ".join(problems)[:900], measures=measures)


def printed(session: Json, ran: Ran, server: str) -> str:
    """Return how the printed texts differ, empty when they do not."""
    found = []
    for name, got in (("stdout", ran.stdout), ("stderr", ran.stderr)):
        mine, real = alike(got, server), alike(session[name] or "")
        if unordered(session["argv"]):
            mine, real = ("\n".join(sorted(text.splitlines())) for text in (mine, real))
        problem = text_difference(mine, real)
        if problem:
            found.append(f"{name} {problem}")
    return "; ".join(found)


def unordered(argv: list[str]) -> bool:
    """Tell whether kubectl goes through a map for this command, so that what it prints has another order each time."""
    verb = argv[1] if len(argv) > 1 else ""
    if "--list" in argv and verb in ("label", "annotate", "set"):
        return True
    if verb == "set" and any(word.startswith("--from=") for word in argv):
        return True
    if verb == "describe" and len(argv) > 2 and argv[2] in ("ns", "limits", "quota"):
        return True
    return verb == "logs" and "--all-containers" in argv


def objects(changes: list[Json], old: dict[Key, Json], new: dict[Key, Json], *, in_order: bool = True) -> list[str]:
    """Return how the resulting objects differ from the recorded ones, and what changed that should not have."""
    problems = []
    # An object that was deleted and made anew has two changes; what is there in the end counts.
    told = {key_of(c["after"] or c["before"]): c for c in sorted(changes, key=lambda c: c["after"] is not None)}
    for key, change in told.items():
        known = change["after"] or change["before"]
        if not change["direct"]:
            continue
        name = f"{known['kind']} {known['metadata']['name']}"
        got = new.get(key)
        if change["after"] is None:
            if got is not None:
                problems.append(f"{name}: still there, recorded gone")
            continue
        if got is None and key[1] == "Pod":
            got = _namesake(change["after"], old, new)
        if got is None:
            problems.append(f"{name}: not there")
            continue
        mine, real = (comparable(o, change["after"], in_order=in_order) for o in (got, change["after"]))
        found = difference(mine, real)
        if found:
            problems.append(f"{name}: {found}")
    for key in sorted(old.keys() | new.keys()):
        if key in told or key[1] in _RESTLESS:
            continue
        problem = _untold(old.get(key), new.get(key))
        if problem:
            problems.append(f"{key[1]} {key[3]}: {problem}")
    return problems


def _namesake(after: Json, old: dict[Key, Json], new: dict[Key, Json]) -> Json | None:
    """Return a new pod of the same generated name's beginning."""
    stem = after["metadata"].get("generateName")
    fresh = [o for k, o in new.items() if k not in old and k[1] == "Pod"]
    return next((o for o in fresh if stem and o["metadata"].get("generateName") == stem), None)


def comparable(obj: Json, real: Json, *, in_order: bool = True) -> Json:
    """Return an object as it is compared: without status, which controllers go on writing, and what differs by run."""
    asked = {} if real["kind"] == "Service" else real.get("spec") or {}
    text = json.dumps(without_allocation(neutral(obj), asked))
    for pattern, word in ((TIME, "T"), (PEM, "CERTIFICATE"), (GENERATED, "-NAME")):
        text = pattern.sub(word, text)
    out: Json = json.loads(text)
    out.pop("status", None)
    if real["kind"] == "Pod" and (real.get("spec") or {}).get("nodeName") and (out.get("spec") or {}).get("nodeName"):
        # Which node has most room depends on pods that were not recorded.
        out["spec"]["nodeName"] = "NODE"
    if not in_order:
        template = ((out.get("spec") or {}).get("template") or {}).get("spec") or {}
        for container in template.get("containers") or ():
            container["env"] = sorted(container.get("env") or (), key=lambda e: e["name"])
    meta = out["metadata"]
    meta.pop("generation", None) if real["kind"] == "Pod" else None
    meta["managedFields"] = sorted(
        (e for e in meta["managedFields"] if e["manager"] not in ("kubelet", "kube-apiserver")),
        key=lambda e: json.dumps(e, sort_keys=True),
    )
    return out


def _untold(old: Json | None, new: Json | None) -> str:
    """Return what happened to an object of which the recording tells no change, empty when nothing did."""
    if old is None and new is not None:
        meta = new["metadata"]
        made_by_cluster = meta.get("ownerReferences") or meta["name"] in ("kube-root-ca.crt", "default")
        return "" if made_by_cluster else "made, and not in the recording"
    if new is None and old is not None:
        return "" if old["metadata"].get("ownerReferences") else "gone, and not in the recording"
    assert old is not None
    assert new is not None
    if old is new or old["metadata"].get("ownerReferences"):
        return ""
    return difference(_lasting(new), _lasting(old))


def _lasting(obj: Json) -> Json:
    out: Json = neutral(obj, managed=False)
    out.pop("status", None)
    for field in ("generation", "annotations"):
        out["metadata"].pop(field, None)
    return out


def _told(made: dict[str, Any]) -> str:
    return ", ".join(f"{number} {what}" for what, number in sorted(made.items())) or "nothing made or deleted"


def _kinds_made(changes: list[Json]) -> dict[str, Any]:
    """Return how many objects of which kind controllers made and deleted."""
    found: dict[str, Any] = {}
    for change in changes:
        if change["direct"] or change["change"] == "modified":
            continue
        kind = (change["after"] or change["before"])["kind"]
        if kind not in _RESTLESS:
            name = f"{change['change']} {kind}"
            found[name] = found.get(name, 0) + 1
    return found


def _made(changes: list[Json], old: dict[Key, Json], new: dict[Key, Json]) -> dict[str, Any]:
    """Return the same of this run, for children of objects that the recording tells of.

    The recording holds what changed, not all that was there, so controllers also mend what was left out.
    """
    known = [key_of(c["after"] or c["before"]) for c in changes]
    touched = {(key[1], key[3]) for key in known}
    direct = {key for key, change in zip(known, changes, strict=True) if change["direct"]}
    found: dict[str, Any] = {}
    for key in old.keys() ^ new.keys():
        owners = (new.get(key) or old[key])["metadata"].get("ownerReferences") or ()
        if key in direct or key[1] in _RESTLESS or not any((o["kind"], o["name"]) in touched for o in owners):
            continue
        name = f"{'created' if key in new else 'deleted'} {key[1]}"
        found[name] = found.get(name, 0) + 1
    return found
