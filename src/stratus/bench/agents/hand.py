"""kubectl in a baseline's hand: commands go straight to the cluster, without lint, rehearsal, gate or journal."""

from __future__ import annotations

import json
from typing import Any

import yaml

from stratus.bench.outcome import Line
from stratus.cluster.kubectl import compile_command
from stratus.errors import ClusterError, CommandRefused, StratusError
from stratus.kit.clock import Clock
from stratus.model.actions import ApiRead
from stratus.model.base import Json
from stratus.model.refs import ObjectRef

LONGEST = 6000
"""Characters of output that are shown: a chat model's context is small."""
HIDDEN = ("managedFields", "uid", "resourceVersion", "generation", "selfLink")


class Hand:
    """Runs kubectl lines and remembers what came of them.

    Args:
        cluster: a `KubeCluster`: reading and writing as the agent's identity may.
        clock: the cluster's.
        namespace: for lines that name none.
    """

    def __init__(self, cluster: Any, clock: Clock, namespace: str) -> None:
        self._cluster, self._clock, self.namespace = cluster, clock, namespace
        self.commands: list[str] = []
        self.touched: set[str] = set()
        self.refused = 0
        self.steps = 0
        self.transcript: list[Line] = []

    def run(self, line: str, manifest: str = "") -> tuple[bool, str]:
        """Run one line; return whether it worked, and its output."""
        self.steps += 1
        try:
            worked, text = True, self._run(line, manifest)
        except (CommandRefused, ClusterError) as error:
            self.refused += 1
            worked, text = False, f"error: {error}"
        self.say("kubectl", f"{line}\n{text[:400]}")
        return worked, text[:LONGEST]

    def say(self, who: str, text: str) -> None:
        """Add a line to the transcript."""
        self.transcript.append(Line(at=self._clock.now(), who=who, text=text))

    def _run(self, line: str, manifest: str) -> str:
        reader = self._cluster.reader
        done = compile_command(line, namespace=self.namespace, reader=reader, manifest=manifest, clock=self._clock)
        if not done.mutating:
            shown = [_shown(reader, read, self.namespace) for read in done.reads]
            return "\n".join(shown) or "nothing to do"
        told = []
        for write in done.writes:
            self._cluster.writer.write(write)
            target = write.target
            self.touched.add(f"{target.namespace}/{target.kind}/{target.name}")
            told.append(f"{target.kind.lower()}/{target.name} {done.verb} done")
        self.commands.append(line)
        return "\n".join(told)


def _shown(reader: Any, read: ApiRead, namespace: str) -> str:
    if read.verb == "logs":
        return "\n".join(_logs(reader, target, read) for target in read.targets)
    if read.verb == "events":
        return _table(reader.list("events", read.namespace or namespace)[-40:])
    if read.verb not in ("get", "describe", "rollout-status", "rollout-history"):
        return f"{read.verb} is not to be had here; use get, describe, logs or events"
    objects: list[Json] = []
    for target in read.targets:
        if target.name:
            objects += [found] if (found := reader.get(target)) is not None else []
        else:
            everywhere = read.options.get("all-namespaces") == "true"
            selector = read.options.get("selector", "")
            space = None if everywhere else (target.namespace or read.namespace or namespace)
            objects += reader.list(target.kind, space, label_selector=selector)
    output = read.options.get("output", "")
    if read.verb == "describe" or output in ("yaml", "json"):
        cleaned = [_clean(obj) for obj in objects]
        text = json.dumps(cleaned) if output == "json" else yaml.safe_dump_all(cleaned, sort_keys=False)
        return text + (_table(_events_of(reader, objects)) if read.verb == "describe" else "")
    return _table(objects)


def _logs(reader: Any, target: ObjectRef, read: ApiRead) -> str:
    pods = [target.name]
    if target.kind != "Pod" or not target.name:
        pods = [
            p["metadata"]["name"]
            for p in reader.list("pods", target.namespace)
            if p["metadata"]["name"].startswith(target.name)
        ][:2]
    previous = read.options.get("previous") == "true"
    container = read.options.get("container", "")
    found = []
    for pod in pods:
        try:
            found.append(reader.logs(target.namespace, pod, container=container, previous=previous, tail_lines=40))
        except StratusError as error:
            found.append(f"error: {error}")
    return "\n".join(found)


def _events_of(reader: Any, objects: list[Json]) -> list[Json]:
    names = {obj["metadata"]["name"] for obj in objects}
    space = objects[0]["metadata"].get("namespace") if objects else None
    return [e for e in reader.list("events", space) if e.get("involvedObject", {}).get("name") in names][-20:]


def _clean(obj: Json) -> Json:
    meta = {k: v for k, v in obj.get("metadata", {}).items() if k not in HIDDEN}
    return {**obj, "metadata": meta}


def _table(objects: list[Json]) -> str:
    return "\n".join(_row(obj) for obj in objects) or "No resources found."


def _row(obj: Json) -> str:
    meta, status, spec = obj.get("metadata", {}), obj.get("status", {}), obj.get("spec", {})
    kind = obj.get("kind", "")
    if kind == "Event":
        about = obj.get("involvedObject", {})
        return f"{obj.get('type')} {obj.get('reason')} {about.get('kind')}/{about.get('name')}: {obj.get('message')}"
    words = [f"{kind}/{meta.get('name')}"]
    if kind == "Pod":
        states = status.get("containerStatuses", [])
        waiting = [s["state"]["waiting"].get("reason") for s in states if "waiting" in s.get("state", {})]
        ready = sum(bool(s.get("ready")) for s in states)
        restarts = sum(int(s.get("restartCount", 0)) for s in states)
        words += [f"{ready}/{len(states)}", *(waiting or [status.get("phase", "")]), f"restarts={restarts}"]
    elif "replicas" in spec or "readyReplicas" in status:
        words.append(f"ready={status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}")
    elif kind == "Service":
        ports = ",".join(f"{p.get('port')}->{p.get('targetPort')}" for p in spec.get("ports", []))
        words += [f"ports={ports}", f"selector={json.dumps(spec.get('selector', {}))}"]
    elif kind == "Node":
        up = next((c.get("status") for c in status.get("conditions", []) if c.get("type") == "Ready"), "Unknown")
        words += [f"Ready={up}", *(["SchedulingDisabled"] if spec.get("unschedulable") else [])]
    return " ".join(words)
