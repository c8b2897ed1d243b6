"""lifecycles/: scenarios over time, and the states, reasons and events that pods go through."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import ClassVar

from stratus.conformance.golden import Golden
from stratus.conformance.lab import Lab
from stratus.conformance.matrix import Outcome
from stratus.conformance.pace import RecordedPace
from stratus.conformance.stories import Step, Story, agreeing, compare, recorded, steps
from stratus.conformance.suites.base import Chosen, Json, attempt
from stratus.conformance.words import LETTERS
from stratus.conformance.world import IMAGES, Side
from stratus.kit.clock import parse_iso
from stratus.sim.furniture import node_object

INDEX = "index.json"


class Lifecycles:
    """The recorded commands, at their moments on a virtual clock, lead to the recorded states and events."""

    name: ClassVar[str] = "lifecycles"
    about: ClassVar[str] = (
        "per pod the sequence of phases and container states with reasons and messages, per object the sequence of "
        "event types, reasons and texts; nodes work at the recorded pace, and once more, told apart, at their own"
    )
    least: ClassVar[float | None] = 0.95
    measures: ClassVar[Mapping[str, float | None]] = {"pods": None, "events": None, "own_pace": None}
    live: ClassVar[bool] = False
    slow: ClassVar[bool] = False

    def replay(self, golden: Golden, side: Side, chosen: Chosen) -> Iterator[Outcome]:
        """Replay each scenario in two clusters of its own."""
        known = known_steps(golden)
        for entry in golden.document(f"{self.name}/{INDEX}"):
            name = entry["scenario"]
            if not chosen(name):
                continue

            def run(name: str = name, file: str = entry["file"]) -> Outcome:
                records = golden.records(_path(file))
                theirs = recorded(records)
                ours, own = told(records, recorded_pace=True), told(records)
                problems = compare(ours, theirs, known)
                measures = {
                    "pods": not any(p.startswith("pod") for p in problems),
                    "events": not any(p.startswith("events") for p in problems),
                    "own_pace": not compare(own, theirs),
                }
                parts = {"sequences": agreeing(ours, theirs), "sequences_own_pace": agreeing(own, theirs)}
                why = problems or [f"at its own pace: {p}" for p in compare(own, theirs)]
                return Outcome(
                    case=name,
                    kind=name,
                    passed=not problems,
                    reason="; ".join(why)[:900],
                    measures=measures,
                    parts=parts,
                )

            yield attempt(name, name, run, self.measures)


def known_steps(golden: Golden) -> set[Step]:
    """Return the steps from state to state that pods made in any of the recorded scenarios."""
    entries = golden.document(f"{Lifecycles.name}/{INDEX}")
    return set().union(*(steps(golden.records(_path(entry["file"]))) for entry in entries))


def told(records: list[Json], *, recorded_pace: bool = False, seed: int = 0) -> Story:
    """Replay a scenario in a cluster made for it, and tell what happened."""
    lab = Lab(seed=seed, nodes=0)
    try:
        return replay(lab, records, recorded_pace=recorded_pace)
    finally:
        lab.close()


def _path(file: str) -> str:
    return f"{Lifecycles.name}/{file.rpartition('/')[2]}"


def replay(lab: Lab, records: list[Json], *, recorded_pace: bool = False) -> Story:
    """Do what the recording did, at its moments, and tell what happened.

    Args:
        lab: a cluster without nodes.
        records: the recorded scenario.
        recorded_pace: nodes take as long for what they do as the recorded ones did; otherwise they have their own
            pace.
    """
    namespace = records[0]["namespace"]
    store = lab.store
    store.delete("storageclasses.storage.k8s.io", "", "standard")
    for number in range(1, 5):
        taints = [{"key": "dedicated", "value": "lab", "effect": "NoSchedule"}] if number > 2 else None
        store.create("nodes", node_object(f"node{number}", number, lab.clock.now(), cpu="2", pods=60, taints=taints))
    for image in IMAGES:
        lab.control.kubelet.images.preload(image, ["node1", "node2"])
    lab.control.kubelet.images.preload("registry.local/demo/app:v1", ["node4"])
    lab.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    lab.advance(0.5)
    lab.clock.advance_to(_alike(lab.clock.now(), records))
    lab.history.clear()
    begin = lab.clock.now()
    pace = RecordedPace(records, begin) if recorded_pace else None
    if pace is not None:
        lab.control.kubelet.pace = pace
    names: dict[str, str] = {}
    end = max(r.get("t", 0) for r in records if r["type"] in ("ADDED", "MODIFIED", "DELETED"))
    for record in records:
        if record["type"] == "COMMAND":
            lab.clock.advance_to(begin + (took_effect(record) if recorded_pace else record["t"]))
            argv = [here(lab, namespace, names, word) for word in record["argv"][3:]]
            if record["rc"] == 0 or argv[0] == "drain":
                lab.kubectl(argv, namespace, record["stdin"] or "")
            elif argv[0] == "apply":
                lab.apply(record["stdin"], namespace, ok=False)
        elif record["type"] == "REQUEST":
            lab.clock.advance_to(begin + record["t"])
            body = json.loads(here(lab, namespace, names, json.dumps(record["body"])))
            lab.request(record["method"], here(lab, namespace, names, record["path"]), body, ok=False)
        elif record["type"] == "MARK" and record["mark"].startswith("kubelet of"):
            lab.clock.advance_to(begin + record["t"])
            stop = record["mark"].endswith("stops")
            (lab.control.kubelet.stop_node if stop else lab.control.kubelet.start_node)(record["mark"].split()[2])
            lab.control.drain()
    lab.clock.advance_to(begin + end + 1.0)
    story = Story()
    if pace is not None:
        story.unseen = pace.unseen
    for _, change in lab.history:
        involved = change.object.get("involvedObject") or {}
        if change.object["metadata"].get("namespace") == namespace or involved.get("kind") == "Node":
            story.add(change.object["kind"], change.type, change.object)
    return story


def took_effect(command: Json) -> float:
    """Return when a recorded command had reached the server: when it returned, unless it waited for what follows."""
    argv = command["argv"]
    waits = tuple(argv[3:5]) == ("rollout", "status") or argv[3] in ("drain", "wait")
    waits = waits or (argv[3] == "delete" and "--wait=false" not in argv)
    return float(command["t"] if waits else command["t_end"])


def _alike(now: float, records: list[Json]) -> float:
    """Return the next moment at which a minute is as old as when the recording began.

    Controllers act on whole seconds and minutes of the clock (schedules, timestamps cut to seconds), so the replay
    begins at the same point of a minute. Events written with microseconds tell it: less their time in the recording
    they give its beginning, but for how long they were on their way.
    """
    begins = [
        parse_iso(record["object"]["eventTime"]) - record["t"]
        for record in records
        if record.get("kind") == "Event" and record["object"].get("eventTime")
    ]
    return now + (max(begins) - now) % 60.0 if begins else now


def here(lab: Lab, namespace: str, names: dict[str, str], word: str) -> str:
    """Put one of our pods where the recording names one of its own."""
    for found in re.findall(rf"web-{LETTERS}+-{LETTERS}{{5}}", word):
        word = word.replace(found, names.setdefault(found, lab.pods(namespace)[0]["metadata"]["name"]))
    return word
