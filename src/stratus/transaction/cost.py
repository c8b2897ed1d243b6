"""What taking a transaction back would cost: requests, rollouts and their time, and what would not come back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from stratus.kit.kube import moment
from stratus.model.actions import ApiWrite, PlannedWrite
from stratus.model.base import Json, Noun
from stratus.model.refs import ObjectRef
from stratus.model.transactions import Transaction
from stratus.transaction.inverse import creates, removes, restored_by_controller

START = 15.0
"""Seconds that a pod is taken to need until it is ready, where none is there to be looked at."""
ROLLED = ("Deployment", "StatefulSet", "DaemonSet")


class UndoCost(Noun):
    """The price of an undo.

    Attributes:
        patches, creates, deletes: requests by what they do.
        rollouts: workloads whose pods would be replaced.
        pods: pods that would be started.
        seconds: estimated time until all of them are ready; workloads roll side by side.
        runs: what is run in containers, in words.
        loses: what comes back only in kind, or not at all.
    """

    patches: int = 0
    creates: int = 0
    deletes: int = 0
    rollouts: int = 0
    pods: int = 0
    seconds: float = 0.0
    runs: tuple[str, ...] = ()
    loses: tuple[str, ...] = ()

    def text(self) -> str:
        """Say it in a line, such as `2 patches, 1 rollout of about 40 s, loses nothing`."""
        parts = [
            f"{count} {word if count == 1 else plural}"
            for count, word, plural in (
                (self.patches, "patch", "patches"),
                (self.creates, "create", "creates"),
                (self.deletes, "delete", "deletes"),
            )
            if count
        ]
        if self.rollouts:
            word = "rollout" if self.rollouts == 1 else "rollouts"
            parts.append(f"{self.rollouts} {word} of about {_round(self.seconds)} s")
        elif self.pods:
            parts.append(f"{self.pods} pod{'' if self.pods == 1 else 's'} to start, about {_round(self.seconds)} s")
        parts += self.runs
        if not parts:
            parts.append("nothing to send")
        return ", ".join(parts) + ", loses " + ("; ".join(self.loses) or "nothing")


def undo_cost(
    writes: Iterable[tuple[ApiWrite, Json | None, Json | None, str]], start: Callable[[ObjectRef], float | None]
) -> UndoCost:
    """Add up what taking back these writes would take.

    Args:
        writes: each with its object before and after, and a note of what an undo does not give back.
        start: seconds that a pod of a workload needs until it is ready, or None when not known.
    """
    patched: set[tuple[str, str, str]] = set()
    count = {"creates": 0, "deletes": 0}
    rolled: dict[tuple[str, str, str], float] = {}
    grown: dict[tuple[str, str, str], float] = {}
    pods, loses = 0, []
    runs: list[str] = []
    for write, before, after, note in writes:
        if note:
            loses.append(note.rstrip("."))
        if write.subresource == "exec":
            container = write.body.get("container", "") if isinstance(write.body, dict) else ""
            runs.append(f"runs the compensation in container {container} of a pod of {write.target}")
            continue
        if restored_by_controller(write):
            continue
        if creates(write):
            count["deletes"] += 1
            continue
        if removes(write):
            count["creates"] += 1
            continue
        patched.add(write.target.key)
        if write.target.kind not in ROLLED or before is None or after is None:
            continue
        one = start(write.target)
        one = START if one is None else one
        replicas, now = _replicas(before), _replicas(after)
        if _template(before) != _template(after):
            rolled[write.target.key] = _waves(before, replicas) * (one + _settle(before))
            pods += replicas
        elif replicas > now:
            grown[write.target.key] = one + _settle(before)
            pods += replicas - now
    if rolled:
        loses.append("names and addresses of the pods that are replaced")
    return UndoCost(
        patches=len(patched),
        rollouts=len(rolled),
        pods=pods,
        seconds=max([*rolled.values(), *grown.values()], default=0.0),
        runs=tuple(runs),
        loses=tuple(dict.fromkeys(loses)),
        **count,
    )


def cost_of_plan(writes: Sequence[PlannedWrite], start: Callable[[ObjectRef], float | None]) -> UndoCost:
    """Return what undoing a plan would cost if it were executed as rehearsed."""
    return undo_cost(((p.write, p.pre_image, p.dry_run, p.note) for p in writes), start)


def cost_of(transaction: Transaction, start: Callable[[ObjectRef], float | None]) -> UndoCost:
    """Return what undoing a transaction would cost, of what of it is still there."""
    done = [w for w in transaction.writes if w.state in ("done", "conflict", "undo_failed", "in_doubt")]
    return undo_cost(((w.write, w.before, w.after, "") for w in done), start)


def start_seconds(pods: Iterable[Json]) -> float | None:
    """Return the median of the seconds that ready pods needed from their creation; None when none tells."""
    found = []
    for pod in pods:
        status = pod.get("status") or {}
        ready: Json = next((c for c in status.get("conditions") or () if c.get("type") == "Ready"), {})
        restarted = any(c.get("restartCount") for c in status.get("containerStatuses") or ())
        if ready.get("status") == "True" and not restarted:
            took = moment(ready.get("lastTransitionTime")) - moment(pod["metadata"].get("creationTimestamp"))
            if took >= 0:
                found.append(took)
    return median(found) if found else None


def _round(seconds: float) -> int:
    """Round up to what such an estimate is worth: 5 s, above a minute 10 s."""
    step = 5 if seconds <= 60 else 10
    return max(step, math.ceil(seconds / step) * step)


def _template(obj: Json) -> Json:
    return dict((obj.get("spec") or {}).get("template") or {})


def _replicas(obj: Json) -> int:
    if obj.get("kind") == "DaemonSet":
        return int((obj.get("status") or {}).get("desiredNumberScheduled") or 0)
    count = (obj.get("spec") or {}).get("replicas", 1)
    return int(1 if count is None else count)


def _settle(obj: Json) -> float:
    return float((obj.get("spec") or {}).get("minReadySeconds") or 0)


def _waves(obj: Json, replicas: int) -> int:
    """Return how many times a rollout waits for pods to get ready, one batch after the other."""
    if not replicas:
        return 0
    spec = obj.get("spec") or {}
    strategy = spec.get("strategy") or spec.get("updateStrategy") or {}
    if strategy.get("type") in ("Recreate", "OnDelete"):
        return 1
    rolling = strategy.get("rollingUpdate") or {}
    if obj.get("kind") == "Deployment":
        surge = _share(rolling.get("maxSurge", "25%"), replicas, up=True)
        batch = surge + _share(rolling.get("maxUnavailable", "25%"), replicas, up=False)
    else:
        batch = _share(rolling.get("maxUnavailable", 1), replicas, up=False)
    return math.ceil(replicas / max(1, batch))


def _share(value: object, total: int, *, up: bool) -> int:
    text = str(value)
    if text.endswith("%"):
        exact = int(text[:-1]) * total / 100
        return math.ceil(exact) if up else math.floor(exact)
    return int(text) if text.isdigit() else 1
