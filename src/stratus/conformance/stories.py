"""What happened in a cluster, told by pods and events, and how two such stories differ.

The states that a pod goes through (phase, and per container waiting, running or terminated with its reason) are taken
in order of first appearance, and per object the events in order of first appearance, with names, uids, durations and
addresses made alike.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from stratus.conformance.words import LETTERS

#: Two states of a pod, one after the other.
Step = tuple[str, str]


def alike(text: str) -> str:
    """Make names, uids, durations and addresses the same everywhere."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID", text)
    text = re.sub(rf"\b([a-z]+)-{LETTERS}{{6,10}}-{LETTERS}{{5}}(?![a-z0-9])", r"\1-H-P", text)
    text = re.sub(rf"\b(web|big|small|db|ds)-{LETTERS}{{6,10}}(?=-(?:\W|$)|\W|$)", r"\1-H", text)
    text = re.sub(rf"\b(j|cj-\d+|ds)-{LETTERS}{{5}}(?![a-z0-9])", r"\1-P", text)
    text = re.sub(r"\bcj-\d{8}\b", "cj-N", text)
    text = re.sub(
        r"\bin [\d.]+m?s \([\d.]+m?s including waiting\). Image size: \d+",
        "in T (T including waiting). Image size: N",
        text,
    )
    text = re.sub(rf"kube-api-access-{LETTERS}{{5}}", "kube-api-access-X", text)
    text = re.sub(r"10\.244\.\d+\.\d+", "IP", text)
    text = re.sub(r"\bnode\d\b", "NODE", text)
    return re.sub(r"back-off (\S+) restarting", r"back-off T restarting", text)


def pod_state(pod: dict[str, Any]) -> str:
    status = pod.get("status", {})
    parts = [status.get("phase", "?") + (f"/{status['reason']}" if status.get("reason") else "")]
    if "deletionTimestamp" in pod["metadata"]:
        parts.append("deleting")
    for found in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        state, detail = next(iter(found["state"].items()))
        text = f"{found['name']}:{state}"
        if state == "waiting":
            text += f"/{detail['reason']}/{alike(detail.get('message', ''))}"
        elif state == "terminated":
            text += f"/{detail['reason']}/{detail['exitCode']}"
        parts.append(text + ("+ready" if found["ready"] else ""))
    return " ".join(parts)


def outline(pod: dict[str, Any]) -> str:
    """Return the state of a pod without names and texts: phase, reasons and exit codes."""
    status = pod.get("status", {})
    parts = [status.get("phase", "?"), *(["deleting"] if "deletionTimestamp" in pod["metadata"] else [])]
    for found in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        state, detail = next(iter(found["state"].items()))
        words = [state, *(str(detail[key]) for key in ("reason", "exitCode") if key in detail)]
        parts.append("/".join(words) + ("+ready" if found["ready"] else ""))
    return " ".join(parts)


def steps(records: Iterable[dict[str, Any]]) -> set[Step]:
    """Return the steps from one state to the next, in outline, that recorded pods made."""
    last: dict[str, str] = {}
    found = set()
    for record in records:
        if record["type"] in ("ADDED", "MODIFIED") and record["kind"] == "Pod":
            uid, now = record["object"]["metadata"]["uid"], outline(record["object"])
            if uid in last and last[uid] != now:
                found.add((last[uid], now))
            last[uid] = now
    return found


def first_seen(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


def settled(path: tuple[str, ...]) -> tuple[str, ...]:
    """Drop the mark for deletion that a removal at once leaves in the same instant."""
    if len(path) > 2 and path[-1] == "GONE" and path[-2].replace(" deleting", "") == path[-3]:
        return (*path[:-2], "GONE")
    return path


class Story:
    """What happened, from changes of pods and events."""

    def __init__(self) -> None:
        self.pods: dict[str, list[str]] = {}
        self.events: dict[tuple[str, str], list[str]] = {}
        #: Steps that pods made and nobody could see.
        self.unseen: set[Step] = set()

    def add(self, kind: str, change: str, obj: dict[str, Any]) -> None:
        if kind == "Pod":
            states = self.pods.setdefault(obj["metadata"]["uid"], [])
            states.append("GONE" if change == "DELETED" else pod_state(obj))
        elif kind == "Event" and change != "DELETED":
            involved = obj["involvedObject"]
            where = re.sub(r".*\{(.*)\}", r"{\1}", involved.get("fieldPath", ""))
            line = f"{obj['type']} {obj['reason']} {where} {alike(obj['message'])}"
            self.events.setdefault((involved["kind"], involved["name"]), []).append(line)

    def pod_paths(self) -> set[tuple[str, ...]]:
        return {settled(first_seen(states)) for states in self.pods.values()}

    def event_paths(self) -> dict[str, set[tuple[str, ...]]]:
        found: dict[str, set[tuple[str, ...]]] = {}
        for (kind, name), lines in self.events.items():
            found.setdefault(f"{kind} {alike(name)}", set()).add(first_seen(lines))
        return found


def recorded(records: list[dict[str, Any]]) -> Story:
    story = Story()
    for record in records:
        if record["type"] in ("ADDED", "MODIFIED", "DELETED") and record["kind"] in ("Pod", "Event"):
            story.add(record["kind"], record["type"], record["object"])
    return story


def agreeing(ours: Story, theirs: Story) -> tuple[int, int]:
    """Return how many of the recorded sequences, of pods and of events, came about here, and how many there are."""
    pods, events = theirs.pod_paths(), theirs.event_paths()
    here = ours.event_paths()
    same = len(pods & ours.pod_paths()) + sum(len(paths & here.get(kind, set())) for kind, paths in events.items())
    return same, len(pods) + sum(map(len, events.values()))


def compare(ours: Story, theirs: Story, known: Collection[Step] = ()) -> list[str]:
    """Return the differences.

    Args:
        ours: what happened here.
        theirs: what was recorded.
        known: steps that pods made in any recording; what nobody could see here must be one of them.
    """
    problems = [
        f"pod step in no recording: {a} -> {b}" for a, b in sorted(ours.unseen) if a != b and (a, b) not in known
    ]
    mine, real = ours.pod_paths(), theirs.pod_paths()
    problems += [f"pod path not in the recording: {' -> '.join(p)}" for p in sorted(mine - real)]
    problems += [f"pod path missing: {' -> '.join(p)}" for p in sorted(real - mine)]
    my_events, real_events = ours.event_paths(), theirs.event_paths()
    for kind in sorted(my_events.keys() | real_events.keys()):
        a, b = my_events.get(kind, set()), real_events.get(kind, set())
        problems += [f"events of {kind} not in the recording: {' | '.join(p)}" for p in sorted(a - b)]
        problems += [f"events of {kind} missing: {' | '.join(p)}" for p in sorted(b - a)]
    return problems
