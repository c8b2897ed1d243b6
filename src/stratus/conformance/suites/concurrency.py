"""concurrency.jsonl: several writers, preconditions, deletion, and ways to take a change back, step by step."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from stratus.conformance.golden import Golden
from stratus.conformance.matrix import Outcome
from stratus.conformance.normal import TIME, UID, difference, neutral
from stratus.conformance.suites.base import RESOURCE, Chosen, Json, attempt
from stratus.conformance.suites.evidence import COLLECTORS, begin, existing, id_of, sightings
from stratus.conformance.timeline import Key, written
from stratus.conformance.words import LETTERS
from stratus.conformance.world import AGENT, Answer, EmbeddedWorld, Side
from stratus.kit.clock import parse_iso

PODS = re.compile(
    rf"(?<=[a-z0-9])-{LETTERS}{{8,10}}-{LETTERS}{{5}}(?![a-z0-9])|(?<=[a-z0-9])-{LETTERS}{{5}}(?![a-z0-9])"
)
_HASHES = re.compile(rf"(?<=[a-z0-9])-{LETTERS}{{6,10}}(?![a-z0-9])")
_HASH_LABEL = re.compile(r'"(pod-template-hash|controller-revision-hash|controller.kubernetes.io/hash)": "[\w-]+"')
_TYPE = ("apiVersion", "kind")
_ADDRESS = re.compile(r"\b10\.(96|244)\.\d+\.\d+\b")
_PORT = re.compile(r'("nodePort": |: )3[0-2]\d{3}\b')
_VERSIONS = re.compile(
    r'(too old resource version: \d+ \()\d+|(\\?"resourceVersion\\?": ?\\?")\d+'
    r"|(current: |ResourceVersion in metadata: |record \()\d+"
)
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----")
#: A word of a name that was generated: it stands for one of ours.
_NAME = re.compile(rf"\b[a-z0-9][a-z0-9-]*-{LETTERS}{{5,10}}\b")


class Concurrency:
    """The steps of each case, one after the other, get the recorded answers."""

    name: ClassVar[str] = "concurrency.jsonl"
    about: ClassVar[str] = (
        "per step the status and the whole answer (of objects without the status that controllers write), watch "
        "events, and the objects that are there at the moments at which the recording looked"
    )
    least: ClassVar[float | None] = None
    measures: ClassVar[Mapping[str, float | None]] = {"statuses": None}
    live: ClassVar[bool] = False
    slow: ClassVar[bool] = False

    def replay(self, golden: Golden, side: Side, chosen: Chosen) -> Iterator[Outcome]:
        """Play each case in a cluster of its own in which controllers work."""
        earlier: dict[Key, Json] = {}
        for index, record in enumerate(golden.records(self.name)):
            case = f"{index}/{record['case']}"
            known = dict(earlier)
            earlier |= sightings(record["steps"])
            if not chosen(case):
                continue

            def run(case: str = case, record: Json = record, known: dict[Key, Json] = known) -> Outcome:
                world = side.world("conc", "conc2", "conc3", running=True, moment=begin(record["steps"]))
                assert isinstance(world, EmbeddedWorld)
                try:
                    found = existing(world, record["steps"], known)
                    return Play(world, found).case(case, record)
                finally:
                    world.close()

            yield attempt(case, _kind(record), run, self.measures)


def _kind(record: Json) -> str:
    for step in record["steps"]:
        for document in (step.get("body"), step.get("response")):
            if isinstance(document, dict) and document.get("kind") not in (None, "Status", "DeleteOptions"):
                return str(document["kind"]).removesuffix("List")
    return "(other)"


class Play:
    """One case on its way: what is recorded under other uids, versions and names is translated into ours."""

    def __init__(self, world: EmbeddedWorld, found: dict[Key, Json]) -> None:
        self._world = world
        self._found = found
        self._ours: dict[str, str] = {}
        self._versions: dict[str, str] = {}
        #: Paths at which the recording has nothing any more.
        self._gone: set[str] = set()

    def case(self, case: str, record: Json) -> Outcome:
        """Play all steps."""
        problems, statuses = [], True
        for step in record["steps"]:
            found, same = self._step(step)
            statuses &= same
            if found:
                problems.append(f"{step['what']}: {found}")
        return Outcome(
            case=case,
            kind=_kind(record),
            passed=not problems,
            reason="; ".join(problems)[:900],
            measures={"statuses": statuses},
        )

    def _step(self, step: Json) -> tuple[str, bool]:
        if "seconds" in step:
            self._world.reach(self._world.cluster.clock.now() + float(step["seconds"]))
            return "", True
        if "objects" in step:
            return self._observe(step["objects"]), True
        if "results" in step:
            return self._race(step["results"])
        if "requests" in step:
            problems, same = [], True
            for request in step["requests"]:
                found, good = self._request(request, agent="kubectl")
                same &= good
                if found:
                    problems.append(f"{request['method']} {request['path'].partition('?')[0]}: {found}")
            return "; ".join(problems), same
        if "method" in step:
            return self._request(step)
        return "", True

    def _request(self, step: Json, agent: str = "") -> tuple[str, bool]:
        body = step.get("body")
        if body is None:
            body = step.get("body_raw")
        media = step.get("content_type")
        self._mend(step)
        if "lines" in step:
            self._happen(step["path"], step["lines"])
        path = self._translate(step["path"])
        text: Any = None if body is None else self._translate(body if isinstance(body, str) else json.dumps(body))
        if step.get("body_protobuf_base64"):
            text, media = base64.b64decode(step["body_protobuf_base64"]), step["content_type"]
        answer = self._world.send(
            step["method"], path, text, media=media, accept="application/json", agent=agent or AGENT
        )
        same = answer.status == step["status"]
        if not same:
            message = (answer.obj or {}).get("message", "") if isinstance(answer.obj, dict) else ""
            return f"status {answer.status}, recorded {step['status']} {message[:200]}", False
        if "lines" in step and "watch=" in path:
            return self._watched(answer, step["lines"]), True
        wanted = step.get("response")
        if wanted is None and step.get("lines"):
            wanted = step["lines"][0]
        if wanted is None:
            return "", True
        wanted = self._found.get(id_of(step), wanted)
        self._learn(wanted, answer.obj)
        keep = "/status" in step["path"]
        got = answer.text if isinstance(wanted, str) else answer.obj
        return difference(shape(got, keep=keep), shape(wanted, keep=keep)), True

    def _mend(self, step: Json) -> None:
        """Make anew what the recording deleted and made again between its steps."""
        path = step["path"].partition("?")[0]
        match = RESOURCE.fullmatch(path)
        status, method = step["status"], step["method"]
        response = step.get("response")
        body = step.get("body")
        if match is not None and method == "POST" and status == 201 and isinstance(body, dict):
            self._owners(path, (body.get("metadata") or {}).get("ownerReferences") or ())
        if match is None or not match[6]:
            if method == "POST" and status == 201 and isinstance(response, dict):
                self._gone.discard(f"{path}/{(response.get('metadata') or {}).get('name')}")
            return
        if path in self._gone and status in (200, 409, 422):
            self._gone.discard(path)
            known = (isinstance(response, dict) and (response.get("details") or response.get("metadata"))) or {}
            group, version = match[2] or "", match[1] or match[3]
            resource = self._world.api.registry.find(group, version, match[5])
            if resource is not None and self._world.store.get(resource.stored, match[4] or "", match[6]) is None:
                meta = {"name": match[6], **({"namespace": match[4]} if match[4] else {})}
                meta |= {"uid": known["uid"]} if known.get("uid") else {}
                self._world.place({"apiVersion": resource.group_version, "kind": resource.kind, "metadata": meta})
        held = ((response or {}).get("metadata") or {}).get("finalizers") if isinstance(response, dict) else None
        if status == 404 or (method == "DELETE" and status == 200 and set(held or ()) <= COLLECTORS):
            self._gone.add(path)

    def _owners(self, path: str, references: Iterable[Json]) -> None:
        """Make anew the owners that a new object names and that the steps have deleted."""
        for ref in references:
            where = f"{path}/{ref['name']}"
            match = RESOURCE.fullmatch(where)
            if where in self._gone and match is not None and ref["uid"] not in self._ours:
                self._gone.discard(where)
                meta = {"name": ref["name"], "uid": ref["uid"], **({"namespace": match[4]} if match[4] else {})}
                self._world.place({"apiVersion": ref["apiVersion"], "kind": ref["kind"], "metadata": meta})

    def _watched(self, answer: Answer, lines: list[Any]) -> str:
        got = [json.loads(line) for line in answer.text.splitlines() if line]
        want = [json.loads(line) if isinstance(line, str) else line for line in lines]
        return difference([_event(e) for e in got], [_event(e) for e in want])

    def _happen(self, path: str, lines: list[Any]) -> None:
        """Make the changes that a recorded watch saw, which are not among the steps, unless they were made."""
        version = re.search(r"resourceVersion=(\d{4,6})(?!\d)", path)
        if version is None or version[1] in self._versions:
            return
        # Controllers had done their part, and the server had forgotten what came long before.
        self._world.cluster.control.drain()
        self._world.store.expire()
        self._versions[version[1]] = str(self._world.store.rv)
        base = path.partition("?")[0]
        for line in lines:
            event = json.loads(line) if isinstance(line, str) else line
            name = event["object"]["metadata"]["name"]
            meta = {k: v for k, v in event["object"]["metadata"].items() if k in ("name", "labels", "annotations")}
            body = {**event["object"], "metadata": meta}
            if event["type"] == "DELETED":
                self._world.send("DELETE", f"{base}/{name}")
            elif event["type"] == "ADDED":
                self._world.send("POST", base, body, media="application/json")
            else:
                self._world.send("PUT", f"{base}/{name}", body, media="application/json")

    def _race(self, results: list[Json]) -> tuple[str, bool]:
        """Let several writers write what was read last."""
        found = self._world.store.list("leases.coordination.k8s.io", "conc")
        lease = next((o for o in found if o["metadata"]["name"] == "race"), None)
        if lease is None:
            return "nothing to race for", False
        path = "/apis/coordination.k8s.io/v1/namespaces/conc/leases/race"
        statuses = []
        # Who comes first is chance; here it is who came first in the recording.
        for result in sorted(results, key=lambda r: r["status"]):
            body = {**lease, "spec": {**lease["spec"], "holderIdentity": f"w{result['writer']}"}}
            statuses.append(self._world.send("PUT", path, body, media="application/json").status)
        wanted = sorted(r["status"] for r in results)
        return ("" if sorted(statuses) == wanted else f"statuses {sorted(statuses)}, recorded {wanted}"), True

    def _observe(self, objects: list[Any]) -> str:
        problems = []
        looked = [o for o in objects if isinstance(o, dict) and "kind" in o]
        # A look is not taken before the latest write that it shows.
        self._world.reach(max((_latest(o) for d in looked for o in d.get("items") or [d]), default=0.0) + 1.0)
        for wanted in looked:
            found = self._look(wanted)
            self._learn(wanted, found)
            problem = difference(shape(found), shape(wanted))
            if problem:
                problems.append(f"{wanted['kind']}: {problem}")
        return "; ".join(problems)

    def _look(self, wanted: Json) -> Json | None:
        group, _, version = wanted["apiVersion"].rpartition("/")
        kind = wanted["kind"].removesuffix("List")
        resource = self._world.api.registry.of_kind(group, version, kind)
        if resource is None:
            return None
        if "items" not in wanted:
            meta = wanted["metadata"]
            return self._world.store.get(resource.stored, meta.get("namespace", ""), self._translate(meta["name"]))
        spaces = {o["metadata"].get("namespace", "") for o in wanted["items"]}
        listed = [o for space in sorted(spaces) for o in self._world.store.list(resource.stored, space)]
        # A list that was asked for with a selector shows only some.
        common = _common_labels(wanted["items"])
        picked = [o for o in listed if common.items() <= (o["metadata"].get("labels") or {}).items()]
        return {**wanted, "items": picked}

    def _learn(self, recorded: Any, ours: Any) -> None:
        """Note which of our uids, versions and names stand for recorded ones."""
        if not isinstance(recorded, dict) or not isinstance(ours, dict):
            return
        if "items" in recorded:
            was, now = ((o.get("metadata") or {}).get("continue") for o in (recorded, ours))
            if was and now:
                self._ours[was] = now
            mine = {_plain(o): o for o in ours.get("items") or ()}
            for item in recorded["items"] or ():
                self._learn(item, mine.get(_plain(item)))
            return
        theirs, here = recorded.get("metadata") or {}, ours.get("metadata") or {}
        if theirs.get("uid") and here.get("uid"):
            self._ours[theirs["uid"]] = here["uid"]
        if theirs.get("resourceVersion") and here.get("resourceVersion"):
            self._versions[theirs["resourceVersion"]] = here["resourceVersion"]
        for field in ("clusterIP",):
            was, now = (recorded.get("spec") or {}).get(field), (ours.get("spec") or {}).get(field)
            if isinstance(was, str) and isinstance(now, str) and _ADDRESS.fullmatch(was):
                self._ours[was] = now
        if theirs.get("generateName") and theirs.get("name") and here.get("name"):
            self._ours[theirs["name"]] = here["name"]

    def _translate(self, text: str) -> str:
        text = UID.sub(lambda m: self._ours.get(m[0], m[0]), text)
        text = _NAME.sub(lambda m: self._ours.get(m[0], m[0]), text)
        text = _ADDRESS.sub(lambda m: self._ours.get(m[0], m[0]), text)
        text = re.sub(r"(?<=continue=)[\w-]+", lambda m: self._ours.get(m[0], m[0]), text)
        return re.sub(
            r'((?:resourceVersion"(?:: ?|, "value": ?)"|resourceVersion=|resourceVersion", "value": "))(\d+)',
            lambda m: m[1] + self._versions.get(m[2], m[2]),
            text,
        )


def _latest(obj: Json) -> float:
    """Return the latest moment that an object tells of: its last write, or the last change of a condition."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    stamps = [c.get(field) for c in conditions for field in ("lastUpdateTime", "lastTransitionTime")]
    return max([written(obj), *(parse_iso(s) for s in stamps if s)])


def _plain(obj: Json) -> str:
    return PODS.sub("-NAME", obj["metadata"]["name"])


def _common_labels(items: list[Json]) -> dict[str, str]:
    found: dict[str, str] | None = None
    for item in items:
        labels = item["metadata"].get("labels") or {}
        found = dict(labels) if found is None else {k: v for k, v in found.items() if labels.get(k) == v}
    return {k: v for k, v in (found or {}).items() if "hash" not in k}


def shape(obj: Any, *, keep: bool = False) -> Any:
    """Return an answer without what differs from run to run; `keep` keeps the status."""
    if not isinstance(obj, dict):
        return obj
    if "items" in obj:
        items = [shape({k: v for k, v in i.items() if k not in _TYPE}, keep=keep) for i in obj["items"] or ()]
        return {"kind": obj.get("kind"), "items": sorted(items, key=lambda o: json.dumps(o, sort_keys=True))}
    out = obj
    if obj.get("kind") != "Status":
        out = neutral(obj)
        if not keep:
            out.pop("status", None)
        if out["metadata"].get("ownerReferences"):
            # How many steps a controller took is timing.
            out["metadata"].pop("generation", None)
        kept = (
            e for e in out["metadata"].get("managedFields") or () if e["manager"] not in ("kubelet", "kube-apiserver")
        )
        out["metadata"]["managedFields"] = sorted(kept, key=lambda e: json.dumps(e, sort_keys=True))
    text = json.dumps(out, sort_keys=True)
    for pattern, word in (
        (TIME, "T"),
        (UID, "U"),
        (_CERTIFICATE, "C"),
        (_VERSIONS, r"\1\2\3N"),
        (PODS, "-NAME"),
        (_HASHES, "-HASH"),
        (_ADDRESS, "IP"),
        (_PORT, r"\1 PORT"),
    ):
        text = pattern.sub(word, text)
    text = re.sub(r'"nodeName": "node\d"', '"nodeName": "NODE"', text)
    text = re.sub(r'"(nodePort|healthCheckNodePort)": +PORT', r'"\1": 0', text)
    return json.loads(_HASH_LABEL.sub(r'"\1": "H"', text))


def _event(event: Json) -> Json:
    return {"type": event["type"], "object": shape(event["object"])}
