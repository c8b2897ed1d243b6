"""The pace at which a recorded machine worked: when its kubelets did something, and never what."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from stratus.conformance.stories import Step, outline
from stratus.sim.kubelet.pace import Pace
from stratus.sim.kubelet.timing import STARTED
from stratus.sim.store import Obj

Json = dict[str, Any]
#: A step is held back by so many seconds at most: what differs by more is not the pace of the machine.
MOST = 2.0
#: Writes that follow each other within so many seconds are about one status after the other, none left out.
BURST = 0.05
#: A status tells of what happened in the same moment: it is written so many seconds later.
AFTER = 0.001


@dataclass(slots=True)
class Moments:
    """When a kubelet did what for a recorded pod, seconds from the beginning of the recording."""

    #: The first event about a container: its sandbox was up.
    sandbox: list[float] = field(default_factory=list)
    starts: dict[str, list[float]] = field(default_factory=dict)
    stops: list[float] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)
    #: All of these, and other events.
    acts: list[float] = field(default_factory=list)
    #: How many of the writes have had their counterpart.
    written: int = 0

    def note(self, event: Json, moment: float) -> None:
        """Note the moment of an event that a kubelet recorded."""
        self.acts.append(moment)
        path = event["involvedObject"].get("fieldPath", "")
        if path and not self.sandbox:
            self.sandbox.append(moment)
        if event["reason"] == "Started":
            self.starts.setdefault(path.partition("{")[2].rstrip("}"), []).append(moment)
        elif event["reason"] == "Killing":
            self.stops.append(moment)


class RecordedPace(Pace):
    """Holds steps back until the moment at which a recorded kubelet did the like.

    Recorded pods and pods here are brought together by their names, or, where names are generated, by who owns them
    and what they run: in order of appearance, and once more in order of deletion, for which of several like pods goes
    first is open. A step that is later here than it was in the recording is not held back.

    Args:
        records: a recorded scenario, in order.
        begin: the moment here at which the recording begins, epoch seconds.
    """

    def __init__(self, records: Iterable[Json], begin: float) -> None:
        self._begin = begin
        #: By likeness, and whether the pods were marked for deletion.
        self._waiting: dict[tuple[str, bool], list[Moments]] = {}
        self._known: dict[tuple[str, bool], Moments] = {}
        #: What pods went through without anybody seeing it: their last status, and the one that was never written.
        self.unseen: set[Step] = set()
        self._read(records)

    def _read(self, records: Iterable[Json]) -> None:
        present: dict[str, Moments] = {}
        statuses: dict[str, Any] = {}
        marked: set[str] = set()
        for record in records:
            if record["type"] not in ("ADDED", "MODIFIED"):
                continue
            obj = record["object"]
            if record["kind"] == "Event" and (obj.get("source") or {}).get("component") == "kubelet":
                moments = present.get(obj["involvedObject"].get("uid", ""))
                if moments is not None:
                    moments.note(obj, record["t"])
            elif record["kind"] == "Pod":
                uid, status = obj["metadata"]["uid"], obj.get("status") or {}
                ends = "deletionTimestamp" in obj["metadata"]
                if uid not in present or (ends and uid not in marked):
                    present[uid] = Moments()
                    self._waiting.setdefault((likeness(obj), ends), []).append(present[uid])
                if ends:
                    marked.add(uid)
                # Only a kubelet says when a pod began; marks for deletion leave the status as it is.
                if uid in statuses and status.get("startTime") and status != statuses[uid]:
                    present[uid].writes.append(record["t"])
                    present[uid].acts.append(record["t"])
                statuses[uid] = status

    def _of(self, pod: Obj) -> Moments:
        ends = "deletionTimestamp" in pod["metadata"]
        key = (pod["metadata"]["uid"], ends)
        if key not in self._known:
            waiting = self._waiting.get((likeness(pod), ends))
            self._known[key] = waiting.pop(0) if waiting else Moments()
        return self._known[key]

    def _next(self, moments: list[float], at: float) -> float:
        """Return the first of some recorded moments from `at` on, or `at` when it is too far off or there is none."""
        return self._between(moments, at, at, at + MOST)

    def _between(self, moments: list[float], at: float, least: float, most: float) -> float:
        """Return the first of some recorded moments from `least` to `most`, or `at` when there is none."""
        found = bisect_left(moments, least - self._begin)
        there = self._begin + moments[found] if found < len(moments) else most
        return there if there < most else at

    def sandbox(self, pod: Obj, at: float, least: float) -> float:
        """Wait for the first recorded event about a container."""
        return self._between(self._of(pod).sandbox, at, least, least + MOST)

    def start(self, pod: Obj, container: str, at: float) -> float:
        """Wait for the next recorded start of the container; word of it came when it was seen to run."""
        return self._next(self._of(pod).starts.get(container, []), at + STARTED) - STARTED

    def stop(self, pod: Obj, at: float) -> float:
        """Wait until the recorded kubelet said that it stops a container."""
        return self._next(self._of(pod).stops, at)

    def retry(self, pod: Obj, at: float, least: float, most: float) -> float:
        """Take the recorded moment at which something was done next, if it is one that chance allows for."""
        return self._between(self._of(pod).acts, at, least, most)

    def notice(self, pod: Obj, at: float, least: float, waiting: int = 0) -> float:
        """Wait for the next recorded write that has had no counterpart yet."""
        moments = self._of(pod)
        return self._between(moments.writes[moments.written + waiting :][:1], at, least, least + MOST)

    def write(self, pod: Obj, at: float) -> float:
        """Wait for the next recorded write that has had no counterpart yet."""
        moments, here = self._of(pod), at - self._begin
        left = moments.writes[moments.written :]
        return self._begin + left[0] + AFTER if left and here < left[0] <= here + MOST else at

    def passed_over(self, pod: Obj, status: Obj) -> None:
        """Keep what the machine's pace hides, so that it can be judged as well."""
        self.unseen.add((outline(pod), outline({**pod, "status": status})))

    def wrote(self, pod: Obj, at: float) -> int:
        """Count a write, and tell how many recorded ones are due besides, or follow at once."""
        moments, here = self._of(pod), at - self._begin + 1e-6
        moments.written += bisect_right(moments.writes, here) > moments.written
        return bisect_right(moments.writes, here + BURST) - moments.written


def likeness(pod: Obj) -> str:
    """Return what a pod has in common with its counterpart in another run: its name, or owner and images."""
    meta = pod["metadata"]
    if not meta.get("generateName"):
        return str(meta["name"])
    owners = [owner["kind"] for owner in meta.get("ownerReferences") or ()]
    return json.dumps([owners, [[c["name"], c.get("image")] for c in pod["spec"]["containers"]]])
