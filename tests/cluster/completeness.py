"""Whether compiled writes do to recorded objects what the real kubectl did to them.

Every recorded session of kubectl that changes something is compiled against the objects as they were before it; the
compiled writes are sent to an API server that holds these objects and nobody else; the objects that result are compared
with the recorded ones, whole but for `status` (which controllers write) and what differs from run to run.

python tests/cluster/completeness.py > docs/reference/kubectl-compiler.md
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stratus.cluster.kube import KubeCluster
from stratus.cluster.kubectl import compile_command, parse_command
from stratus.cluster.kubectl.grammar import grammar
from stratus.cluster.kubectl.reference import grammar_table
from stratus.conformance.golden import Golden
from stratus.conformance.normal import TIME, difference, neutral, without_allocation
from stratus.conformance.suites.sessions import evident
from stratus.conformance.timeline import Key, Timeline, key_of
from stratus.conformance.world import ADMIN, EmbeddedSide, EmbeddedWorld, users
from stratus.errors import ClusterError, CommandRefused
from stratus.sim.transport import in_process_api_client

Json = dict[str, Any]
SCOPE: dict[str, list[Json]] = yaml.safe_load((Path(__file__).parent / "data" / "scope.yaml").read_text())
READS: dict[str, list[Json]] = yaml.safe_load((Path(__file__).parent / "data" / "reads_scope.yaml").read_text())
#: Kinds that no command of the recordings is about.
_BESIDES = frozenset({"Event", "Endpoints", "EndpointSlice"})
_KINDS = ("same", "refused", "nothing", "different")
_NO_CHANGE = ("selfsubject", "/attach", "tokenreviews")


@dataclass(frozen=True)
class Outcome:
    """What became of a session.

    `kind` is `same`, `refused` as kubectl was, `nothing` (neither changes anything), `declined` or `different`.
    """

    id: int
    command: str
    verb: str
    kind: str
    detail: str = ""
    code: str = ""
    objects: int = 0


@dataclass
class Expected:
    """What the recording says about the objects after a session."""

    after: dict[Key, Json | None] = field(default_factory=dict)
    replicas: dict[Key, int] = field(default_factory=dict)
    refusals: list[int] = field(default_factory=list)


def writes_of(session: Json) -> list[Json]:
    """Return the recorded requests that change something, or would have if the server had not refused them."""
    return [
        r
        for r in session["requests"]
        if r["method"] != "GET"
        and not any(part in r["path"] for part in _NO_CHANGE)
        and "dryRun" not in r["path"]
        and not (isinstance(r.get("body"), dict) and r["body"].get("dryRun"))
    ]


def adapted(session: Json) -> tuple[list[str], str]:
    """Return the command with its files handed over as the compiler takes them: `-f -` and `-p`."""
    argv, files, manifests, words = session["argv"], session.get("files") or {}, [session["stdin"] or ""], []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "-f" and rest and (found := [t for n, t in sorted(files.items()) if _under(n, rest[0])]):
            manifests += found
            rest.pop(0)
            words += [] if "-" in words else ["-f", "-"]
        elif word.startswith("--patch-file="):
            words += ["-p", files[word.partition("=")[2]]]
        else:
            words.append(word)
    return words, "\n---\n".join(m for m in manifests if m)


def verb_of(argv: list[str]) -> str:
    """Return the verb of a command by the grammar; `others` when it has none of its verbs."""
    known = grammar()
    name = known.aliases.get(argv[1], argv[1])
    for word in argv[2:]:
        longer = known.aliases.get(f"{name} {word}", f"{name} {word}")
        if name in known.verbs or not any(v == longer or v.startswith(f"{longer} ") for v in known.verbs):
            break
        name = longer
    return name if any(v.startswith(name) for v in known.verbs) else "others"


def _under(name: str, given: str) -> bool:
    return name == given or name.startswith(given.rstrip("/") + "/")


def expected(session: Json, old: dict[Key, Json]) -> Expected:
    """Read from the recording what the objects were afterwards.

    The answer to a write shows the object before controllers went on; where there is none (deletions, scale), the look
    at the cluster some seconds later does.
    """
    found = Expected()
    for request in writes_of(session):
        answer = request.get("response") or {}
        if request["status"] == 404 and "--ignore-not-found" in session["argv"]:
            continue
        if request["status"] >= 400:
            found.refusals.append(request["status"])
        elif answer.get("kind") == "Scale":
            meta, path = answer["metadata"], request["path"]
            key = next(k for k in old if k[2:] == (meta["namespace"], meta["name"]) and f"/{k[1].lower()}s/" in path)
            found.replicas[key] = answer["spec"].get("replicas", 0)
        elif request["method"] != "DELETE" and answer.get("kind") not in (None, "Status", "Eviction"):
            found.after[key_of(answer)] = answer
    for change in session.get("changes") or ():
        key = key_of(change["after"] or change["before"])
        if change["direct"] and change["after"] is None:
            found.after[key] = None
        elif change["direct"]:
            found.after.setdefault(key, change["after"])
    return found


def comparable(obj: Json, real: Json, *, replicas: int | None = None) -> Json:
    """Return an object as it is compared; `replicas` stands for what controllers did after a scale."""
    asked = {} if real["kind"] == "Service" else real.get("spec") or {}
    text = TIME.sub("T", json.dumps(without_allocation(neutral(obj, managed=False), asked)))
    out: Json = json.loads(text)
    out.pop("status", None)
    if replicas is not None:
        out["metadata"].pop("generation", None)
    return out


def judge(session: Json, world: EmbeddedWorld, old: dict[Key, Json]) -> Outcome:
    """Compile and apply one session's command to the world that holds its objects, and compare."""
    line = " ".join(session["argv"])
    client = in_process_api_client(world.api, user=users()[session.get("user") or ADMIN])
    cluster = KubeCluster(client)
    argv, manifest = adapted(session)
    made = {"id": session["id"], "command": line, "verb": verb_of(session["argv"])}
    try:
        compiled = compile_command(argv, namespace="default", reader=cluster.reader, manifest=manifest)
    except CommandRefused as refused:
        return _declined(session, refused)
    except ClusterError as refused:
        kind = "refused" if session["exit_code"] != 0 and not _done(session) else "different"
        return Outcome(**made, kind=kind, detail=str(refused))
    made["verb"] = compiled.verb
    refusals = []
    for write in compiled.writes:
        try:
            cluster.writer.write(write)
        except ClusterError as refused:
            refusals.append(refused.status)
    want = expected(session, old)
    problems = [*differences(want, old, stored(world))]
    if refusals != want.refusals:
        problems.insert(0, f"the server refused {refusals}, recorded {want.refusals}")
    kind = "different" if problems else "refused" if refusals else "same" if compiled.writes else "nothing"
    return Outcome(**made, kind=kind, detail="; ".join(problems), objects=len(want.after | want.replicas))


def refused_by_grammar(session: Json) -> Outcome | None:
    """Return the outcome of a command that is refused whatever objects there are, None when it depends on them."""
    try:
        parse_command(adapted(session)[0])
    except CommandRefused as refused:
        return _declined(session, refused)
    return None


def _declined(session: Json, refused: CommandRefused) -> Outcome:
    """What kubectl refuses, or the server because of the objects, may be refused before anything is sent."""
    as_kubectl = session["exit_code"] != 0 and not _done(session)
    kind = "refused" if as_kubectl else "declined" if writes_of(session) else "nothing"
    line = " ".join(session["argv"])
    return Outcome(session["id"], line, verb_of(session["argv"]), kind, code=refused.code, detail=str(refused))


def _done(session: Json) -> bool:
    return any(r["status"] < 300 for r in writes_of(session))


def differences(want: Expected, old: dict[Key, Json], new: dict[Key, Json]) -> Iterator[str]:
    """Tell where the objects are not as recorded, and which others changed."""
    for key, replicas in want.replicas.items():
        found = ((new.get(key) or {}).get("spec") or {}).get("replicas")
        if found != replicas:
            yield f"{key[1]} {key[3]}: {found} replicas, recorded {replicas}"
    for key, after in want.after.items():
        got = new.get(key)
        if after is None:
            if got is not None and "deletionTimestamp" not in got["metadata"]:
                yield f"{key[1]} {key[3]}: still there"
        elif got is None:
            yield f"{key[1]} {key[3]}: not there"
        else:
            scaled = want.replicas.get(key)
            mine, real = (comparable(o, after, replicas=scaled) for o in (got, after))
            if scaled is not None:
                real["spec"]["replicas"] = scaled
            if problem := difference(mine, real):
                yield f"{key[1]} {key[3]}: {problem}"
    for key in old.keys() - want.after.keys() - want.replicas.keys():
        if key not in new:
            yield f"{key[1]} {key[3]}: gone, and not in the recording"
        elif new[key] is not old[key] and (comparable(new[key], new[key]) != comparable(old[key], old[key])):
            yield f"{key[1]} {key[3]}: changed, and not in the recording"
    for key in new.keys() - old.keys() - want.after.keys():
        yield f"{key[1]} {key[3]}: made, and not in the recording"


def stored(world: EmbeddedWorld) -> dict[Key, Json]:
    """Return every object of a world by its key."""
    return {
        key_of(o): o
        for resource in world.store.resources()
        for o in world.store.list(resource)
        if "apiVersion" in o and "kind" in o and o["kind"] != "Event"
    }


def evaluate(folder: Path, file: str = "kubectl.jsonl.gz", every: int = 1) -> list[Outcome]:
    """Judge every (or each `every`-th) recorded session of kubectl in a file."""
    golden = Golden(folder)
    sessions = golden.records(file)
    timeline, side = Timeline(sessions), EmbeddedSide(golden)
    outcomes = []
    for index, session in enumerate(sessions):
        if index % every:
            continue
        early = refused_by_grammar(session)
        if early is not None:
            outcomes.append(early)
            continue
        world = side.world(session["namespace"], f"{session['namespace']}-b")
        try:
            before = evident(timeline, index, session)
            for obj in before.values():
                if obj["kind"] not in _BESIDES:
                    world.namespace(*filter(None, [obj["metadata"].get("namespace")]))
                    world.place(obj)
            outcomes.append(judge(session, world, stored(world)))
        finally:
            world.close()
    return outcomes


def listed(part: str) -> dict[int, Json]:
    """Return the sessions that `scope.yaml` lists in a part, with their rows."""
    return {number: row for row in SCOPE[part] for number in row["sessions"]}


def page(outcomes: list[Outcome]) -> str:
    """Return the reference page about the compiler."""
    left_out = listed("by_design") | listed("stricter") | listed("unknown")
    scope = [o for o in outcomes if o.id not in left_out]
    lines = [
        "# The kubectl compiler",
        "",
        "<!-- Made by `python tests/cluster/completeness.py`; a test compares. -->",
        "",
        "A kubectl command line is understood by a grammar and compiled to API requests; no shell and no kubectl runs.",
        "What it compiles to is held against a real kubectl in two ways: by recordings of one (this page, first part),",
        "and by running one against a twin of the same cluster (`tests/cluster/test_twins.py`).",
        "",
        "## Against recordings",
        "",
        "Every recorded session is compiled against the objects as they were before it, the compiled writes are",
        "sent to an API server that holds these objects, and what results is compared with what was recorded: whole",
        "objects but for `status`, field managers, and what differs from run to run (uids, versions, times, allocated",
        "addresses). Nothing else may have changed. Where kubectl failed, the command is refused, or its writes are",
        "refused by the server with the same status.",
        "",
        "| verb | sessions | result is the same | refused alike | neither changes anything | differs |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    verbs = Counter(o.verb for o in scope)
    for verb in sorted(verbs):
        kinds = Counter(o.kind for o in scope if o.verb == verb)
        shown = " | ".join(str(kinds[k]) for k in _KINDS)
        lines.append(f"| `{verb}` | {verbs[verb]} | {shown} |")
    kinds = Counter(o.kind for o in scope)
    shown = " | ".join(f"**{kinds[k]}**" for k in _KINDS)
    lines += [f"| **together** | **{len(scope)}** | {shown} |", "", "Left out, each for a reason:", ""]
    lines += ["| sessions | why |", "|--:|---|"]
    named = {o.id: o.command for o in outcomes}
    for part, title in (("by_design", "Not offered"), ("stricter", "Stricter here"), ("unknown", "Not known")):
        for row in SCOPE[part]:
            example = named[row["sessions"][0]].partition(" -n ")[0].replace("|", "\\|")
            lines.append(f"| {len(row['sessions'])} | {title}, such as `{example}`: {row['reason'].strip()} |")
    return "\n".join([*lines, "", *reads_part(), *grammar_table()]).rstrip() + "\n"


def reads_part() -> list[str]:
    """Return what is said about reads; `tests/cluster/test_reads_golden.py` proves it."""
    lines = [
        "## Reads against recordings",
        "",
        "Recorded commands that only look (`get`, `describe`, `logs`, `events`, `explain`, `auth`, `rollout`, `diff`",
        "and so on) are run over a reader that holds the recorded objects. They print the same lines and end with",
        "the same exit code (1 of `diff` and `auth can-i` is an answer), what differs from run to run aside, except:",
        "",
        "| reads | why |",
        "|--:|---|",
    ]
    for part, title in (("not_offered", "Not offered"), ("differs", "Differs")):
        lines += [f"| {len(row['reads'])} | {title}: {row['reason']} |" for row in READS[part]]
    lines += [
        "",
        "Nothing is waited for and nothing is followed: `rollout status` tells the state now, `-w` and `-f` are",
        "refused with a hint. An answer is cut at 20000 characters, a log at 500 lines of a container, and says so.",
        "Values of Secrets are never shown; what looks like a password or a token is taken out of texts.",
        "",
    ]
    return lines


def main() -> None:
    """Print the page."""
    folder = Path(os.environ.get("STRATUS_GOLDEN") or Path(__file__).parents[3] / "shared" / "data" / "golden")
    sys.stdout.write(page(evaluate(folder)))


if __name__ == "__main__":
    main()
