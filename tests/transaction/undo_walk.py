"""Do random commands through lint and engine, undo them, and compare all there is with what was there before."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import resources
from typing import Any

import undo_objects as objects
from hypothesis import strategies as st
from txn_kit import MemoryJournal
from undo_commands import NEEDS, Entry, World, command
from undo_objects import CUSTOM, Draw, Json

from stratus.cluster.kubectl import compile_command
from stratus.kit.clock import Clock, SystemClock
from stratus.mitigation.linting import lint
from stratus.model.actions import ActionPlan, ActionStep, ApiWrite, MitigationPlan
from stratus.model.cases import Case
from stratus.model.diagnosis import Detection
from stratus.model.evidence import Observation
from stratus.model.health import HealthVector
from stratus.model.refs import ObjectRef
from stratus.settings import HealthSettings, LimitSettings, PolicySettings, Settings
from stratus.transaction.engine import TransactionEngine
from stratus.transaction.essence import managed_paths
from stratus.transaction.journal import Journal
from stratus.wiring.sources import Source

SETTINGS = Settings(
    health=HealthSettings(samples=2, sample_interval=0.01, settle_min=0.0),
    limits=LimitSettings(commands=200, objects=200, unavailable_pods=500),
    policy=PolicySettings(kinds=(*PolicySettings().kinds, f"{CUSTOM[1]}.{CUSTOM[0].partition('/')[0]}")),
    lease_seconds=300.0,
)
MARK = "undo.example.org/made-by-test"
"""Annotation of a namespace that a test has made; in any other, nothing is touched."""
EMPTY = json.loads(resources.files("stratus.transaction").joinpath("essence.json").read_text())["empty_is_absent"]


Snapshot = dict[tuple[str, str], Json]


class NoHealth:
    """Health is not what is tested here."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def sample(self, namespaces: tuple[str, ...] = ()) -> HealthVector:
        return HealthVector(at=self.clock.now())

    def settled(self, namespaces: tuple[str, ...] = ()) -> bool:
        return True

    def patience(self, namespaces: tuple[str, ...] = ()) -> float:
        return 0.0


class StrangersNamespace(Exception):
    """The namespace is not one that this test has made."""


class Room:
    """A cluster, embedded or real, and one namespace in it that the test has made.

    Args:
        nodes: whether nodes may be cordoned, drained, tainted and labelled, too.
    """

    def __init__(self, cluster: Any, clock: Clock, journal: Journal, *, nodes: bool = True) -> None:
        self.cluster, self.clock, self.journal, self.nodes = cluster, clock, journal, nodes
        self.reader, self.writer = cluster.reader, cluster.writer
        self.namespace = ""
        self.kinds = tuple(objects.VERSIONS)
        """Kinds that the cluster serves and the test may use."""
        self.cordoned: list[str] = []
        """Nodes that were cordoned for a test, and are not to stay so."""
        self.engine = TransactionEngine(
            reader=self.reader,
            writer=self.writer,
            journal=journal,
            clock=clock,
            probe=NoHealth(clock),
            settings=SETTINGS,
            identity=f"undo-test-{os.getpid()}",
        )

    @classmethod
    def on(cls, source: Source, journal: Journal, *, nodes: bool = True) -> Room:
        """Make a room on a cluster with its own clock."""
        return cls(source.cluster, source.clock or SystemClock(), journal, nodes=nodes)

    @contextmanager
    def in_namespace(self) -> Iterator[str]:
        """Make a namespace with a random name, and delete it afterwards; an existing one is never taken."""
        name = f"stratus-undo-{os.urandom(4).hex()}"
        meta = {"name": name, "annotations": {MARK: name}}
        self.send("POST", {"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        self.namespace = name
        try:
            self.until(lambda: self.reader.list("ServiceAccount", name) and self.reader.list("ConfigMap", name))
            yield name
        finally:
            while self.cordoned:
                self.do(f"uncordon {self.cordoned.pop()}")
            self.check_ours()
            self.namespace = ""
            self.send("DELETE", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def check_ours(self) -> None:
        """Refuse to touch a namespace that somebody else has made."""
        found = self.reader.get(ObjectRef(api_version="v1", kind="Namespace", name=self.namespace or "default"))
        marks = ((found or {}).get("metadata") or {}).get("annotations") or {}
        if not self.namespace or marks.get(MARK) != self.namespace:
            raise StrangersNamespace(f"namespace {self.namespace or 'default'} was not made by this test")

    def until(self, holds: Callable[[], Any], seconds: float = 60.0) -> bool:
        """Wait until something holds, and say whether it does."""
        end = self.clock.now() + seconds
        while not holds():
            if self.clock.now() >= end:
                return False
            self.clock.sleep(1.0)
        return True

    def send(self, method: str, obj: Json) -> Json:
        """Write past the engine, as somebody does before the incident."""
        row = self.reader.resource(f"{obj['apiVersion']}/{obj['kind']}")
        meta = obj["metadata"]
        target = ObjectRef(
            api_version=obj["apiVersion"],
            kind=obj["kind"],
            name=meta["name"],
            namespace=self.namespace if row.namespaced else "",
        )
        body = {**obj, "metadata": {**meta, **({"namespace": self.namespace} if row.namespaced else {})}}
        write = ApiWrite(
            method=method,
            target=target,
            plural=row.plural,
            namespaced=row.namespaced,
            body=body if method == "POST" else {},
        )
        answer: Json = self.writer.write(write)
        return answer

    def plan(self, line: str, stdin: str = "") -> MitigationPlan:
        """Lint a command line as a person's own."""
        self.check_ours()
        step = ActionStep(text=line, command=f"kubectl {line}")
        spaces = (self.namespace,)
        seen = Observation(at=self.clock.now(), window=0.0, namespaces=spaces)
        return lint(
            ActionPlan(hypothesis="", summary=line, steps=(step,)),
            Case(incident="i", detection=Detection(anomalous=None), observation=seen),
            reader=self.reader,
            rehearser=self.cluster.rehearser,
            settings=SETTINGS,
            allowed_namespaces=spaces,
            compile_command=partial(compile_command, manifest=stdin, clock=self.clock),
            author="person",
        )

    def do(self, line: str, stdin: str = "") -> None:
        """Run a command past the engine."""
        found = self.plan(line, stdin)
        assert not found.refusals, (line, found.refusals)
        for planned in found.writes:
            self.writer.write(planned.write)

    def snapshot(self) -> Snapshot:
        """Return what no controller owns in the namespace, and nodes, without what the engine's list names."""
        found = {}
        kinds = [*self.kinds, "PersistentVolumeClaim", *(["Node"] if self.nodes else [])]
        for kind in kinds:
            version = objects.VERSIONS.get(kind, "v1")
            for obj in self.reader.list(f"{version}/{kind}", None if kind == "Node" else self.namespace):
                if not any(owner.get("controller") for owner in obj["metadata"].get("ownerReferences") or ()):
                    found[(kind, obj["metadata"]["name"])] = bare({**obj, "kind": kind})
        return found

    def world(self, draw: Draw, names: dict[str, list[str]]) -> World:
        """Return what commands are drawn for."""

        def get(kind: str, name: str) -> Json:
            version = objects.VERSIONS.get(kind, "v1")
            space = "" if kind == "Node" else self.namespace
            found = self.reader.get(ObjectRef(api_version=version, kind=kind, name=name, namespace=space))
            return found or {"metadata": {}, "spec": {"template": {"spec": {"containers": [{"name": "gone"}]}}}}

        def pods(owner: str) -> list[Json]:
            listed = self.reader.list("v1/Pod", self.namespace, label_selector=f"app={owner}")
            return [p for p in listed if "deletionTimestamp" not in p["metadata"]]

        return World(draw, names, get, pods)


def bare(obj: Json) -> Json:
    """Return an object without what the server manages; the list is the engine's data, the removal is not its code."""
    out = copy.deepcopy(obj)
    for *way, last in managed_paths(out["kind"]):
        holder: Any = out
        for part in way:
            holder = holder.get(part) if isinstance(holder, dict) else None
        if isinstance(holder, dict):
            holder.pop(last, None)
    for *way, last in EMPTY:
        holder = out
        for part in way:
            holder = holder.get(part) or {}
        if last in holder and not holder[last]:
            del holder[last]
    return out


NEEDS_A_STATE = ("rollout undo", "rollout resume", "uncordon")
"""Verbs that are for objects in a state which has to be made first."""


def furnish(room: Room, draw: Draw, wanted: Sequence[Entry]) -> World:
    """Make random objects for the commands that are to come."""
    names: dict[str, list[str]] = {}
    kinds = {e.kind for e in wanted if e.form not in ("new", "owned")}
    for entry in wanted:
        kinds |= {*NEEDS.get(entry.verb, ()), *NEEDS.get(f"{entry.verb}/{entry.form}", ())}
    verbs = {(e.verb, e.kind) for e in wanted}
    if "Node" in kinds:
        names["Node"] = [room.reader.list("v1/Node")[0]["metadata"]["name"]]
    for kind in sorted(kinds - {"Node"}):
        name = f"{kind.lower()}-{room.namespace[-8:]}"
        names[kind] = [name]
        made = objects.manifest(draw, kind, name)
        if ("rollout restart", kind) in verbs or (kind == "Deployment" and any(map(_takes_pods, wanted))):
            # Pods that serve nobody: to take down those that do is refused, whether or not it could be taken back.
            made["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.invalid/none:1"
        if kind == "Deployment" and any(map(_takes_pods, wanted)):
            made["spec"]["replicas"] = 2
        room.send("POST", made)
        if ("rollout undo", kind) in verbs:
            room.do(f"set image {kind}/{name} {made['spec']['template']['spec']['containers'][0]['name']}=nginx:1.26")
        if ("rollout resume", kind) in verbs:
            room.do(f"rollout pause {kind}/{name}")
    if ("uncordon", "Node") in verbs:
        room.do(f"cordon {names['Node'][0]}")
        room.cordoned.append(names["Node"][0])
    room.clock.sleep(1.0)
    return room.world(draw, names)


def _takes_pods(entry: Entry) -> bool:
    return entry.form == "owned" or entry.verb == "drain"


@dataclass(frozen=True)
class Walked:
    """What came of a sequence of commands.

    Attributes:
        done: those that were executed and changed something.
        refused: those that lint has refused, with the code.
        snapshot: what there was before and is there again.
    """

    done: tuple[Entry, ...]
    refused: tuple[tuple[str, str, str], ...]
    snapshot: Snapshot


def sequence(draw: Draw, focus: Entry, among: Sequence[Entry], length: int) -> tuple[Entry, ...]:
    """Draw which commands are to come: the one in focus, and others on its kind and on two more."""
    kinds = {focus.kind, *draw(st.lists(st.sampled_from(sorted({e.kind for e in among})), max_size=2))}
    rest = [e for e in among if e.kind in kinds and e.verb not in NEEDS_A_STATE]
    others = draw(st.lists(st.sampled_from(rest), min_size=length - 1, max_size=length - 1)) if rest else []
    at = draw(st.integers(0, len(others)))
    return (*others[:at], focus, *others[at:])


def walk(room: Room, draw: Draw, wanted: Sequence[Entry]) -> Walked:
    """Make random objects, then execute random commands on them, undo them, and compare everything."""
    return attempt(room, furnish(room, draw, wanted), wanted)


def attempt(room: Room, world: World, wanted: Sequence[Entry], before: Snapshot | None = None) -> Walked:
    """Execute random commands as one transaction, undo it, and compare everything.

    Args:
        before: what there is, where that is known.

    Raises:
        AssertionError: something is not as it was before.
    """
    before = room.snapshot() if before is None else before
    name = f"undo-{os.urandom(6).hex()}"
    room.engine.open(name, (room.namespace,), wide=room.nodes)
    done: list[Entry] = []
    refused: list[tuple[str, str, str]] = []
    said: list[str] = []
    for entry in wanted:
        line, stdin = command(entry, world)
        plan = room.plan(line, stdin)
        if plan.refusals:
            refused += [(str(entry), r.code, f"{line} {stdin}: {r.message}") for r in plan.refusals[:1]]
            continue
        txn = room.engine.extend(name, plan.writes)
        said.append(f"{line} {stdin}")
        assert txn.state in ("applying", "applied"), (said, txn.reason)
        done.append(entry)
    txn = room.engine.undo(name, "test")
    assert txn.state == "undone", (said, txn.reason, txn.undo_proof)
    now = room.snapshot()
    if now != before and room.until(lambda: room.snapshot() == before, 30.0):
        now = before
    assert now == before, said
    return Walked(tuple(done), tuple(refused), before)


def groups(among: Sequence[Entry]) -> dict[str, tuple[Entry, ...]]:
    """Sort entries into groups that can share their objects: by kind, and alone where a state has to be made first."""
    found: dict[str, tuple[Entry, ...]] = {}
    for entry in among:
        alone = entry.verb in (*NEEDS_A_STATE, "rollout restart", "drain") or entry.form == "owned"
        name = str(entry) if alone else entry.kind
        found[name] = (*found.get(name, ()), entry)
    return found


@contextmanager
def embedded_source() -> Iterator[Source]:
    """An embedded cluster that serves widgets, too."""
    from stratus.sim.cluster import EmbeddedCluster
    from stratus.wiring.sources import embedded_source as reached

    with EmbeddedCluster(app=None, seed=5) as cluster:
        source = reached(cluster)
        Room.on(source, MemoryJournal()).send("POST", objects.WIDGETS)
        yield source
        source.cluster.close()
