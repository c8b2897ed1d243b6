"""Two equal clusters: on one the real kubectl works, on the other what we compile; afterwards they should be equal."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from completeness import comparable, stored

from stratus.cluster.kube import KubeCluster
from stratus.cluster.kubectl import compile_command
from stratus.conformance.golden import Golden
from stratus.conformance.kubectl import Kubectl, Ran
from stratus.conformance.normal import difference
from stratus.conformance.served import Desk, served
from stratus.conformance.timeline import Key
from stratus.conformance.world import EmbeddedSide, EmbeddedWorld
from stratus.errors import ClusterError, CommandRefused
from stratus.sim.transport import in_process_api_client

Json = dict[str, Any]
DATA = Path(__file__).parent / "data"
EXCERPT = Path(__file__).parents[1] / "golden"
_OBJECTS = (DATA / "twin_objects.yaml").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Case:
    """One command line; `ours` is how ours is known to differ (see `twin_cases.yaml`)."""

    group: str
    line: str
    stdin: str = ""
    ours: str = ""

    def __str__(self) -> str:
        return self.line


@dataclass(frozen=True)
class Compared:
    """What both sides did: kubectl's exit, our refusal (None when there was none), and how the clusters differ."""

    ran: Ran
    refused: CommandRefused | ClusterError | None
    changed: bool
    differs: str


def cases() -> list[Case]:
    """Return the cases of `twin_cases.yaml`."""
    found = []
    for group, rows in yaml.safe_load((DATA / "twin_cases.yaml").read_text(encoding="utf-8")).items():
        for row in rows:
            row = {"run": row} if isinstance(row, str) else row
            found.append(Case(group, row["run"], row.get("stdin", ""), row.get("ours", "")))
    return found


class Twins:
    """A pair of embedded clusters without controllers, so that what a command leaves stays as it is."""

    def __init__(self, real: EmbeddedWorld, ours: EmbeddedWorld, desk: Desk) -> None:
        self._real, self._ours, self._desk = real, ours, desk
        self._cluster = KubeCluster(in_process_api_client(ours.api))
        self._count = 0

    def compare(self, case: Case) -> Compared:
        """Give both the same objects in a namespace of their own, run the command on both, and compare them whole."""
        self._count += 1
        space = f"t{self._count}"
        self._furnish(space)
        argv = [word.replace("NS", space) for word in shlex.split(case.line)]
        stdin = case.stdin.replace("NS", space)
        old = mine(self._ours, space)
        ran = self._desk.run(
            {"argv": ["kubectl", "-n", space, *argv], "stdin": stdin or None, "seconds": 1.0, "exit_code": 0}
        )
        refused: CommandRefused | ClusterError | None = None
        try:
            command = compile_command(argv, namespace=space, reader=self._cluster.reader, manifest=stdin)
            for write in command.writes:
                self._cluster.rehearser.dry_run(write)
            for write in command.writes:
                self._cluster.writer.write(write)
        except (CommandRefused, ClusterError) as problem:
            refused = problem
        got, want = mine(self._ours, space), mine(self._real, space)
        changed = got != old
        if "--from=" in case.line:  # kubectl goes through the keys of a map in any order
            got, want = (in_order(side) for side in (got, want))
        for world in (self._real, self._ours):
            cleared(world, space)
        return Compared(ran, refused, changed, difference(got, want))

    def _furnish(self, space: str) -> None:
        self._real.namespace(space)
        made: dict[str, str] = {}
        text = _OBJECTS.replace("NS", space)
        for document in yaml.safe_load_all(text):
            for owner in document["metadata"].get("ownerReferences") or ():
                owner["uid"] = made[owner["uid"]]
            meta = document["metadata"]
            resource = self._cluster.reader.resource(f"{document['apiVersion']}/{document['kind']}")
            answer = self._real.send(
                "POST", resource.path(meta.get("namespace", "")), document, media="application/json", agent="somebody"
            )
            assert answer.status == 201, answer.text
            made[f"UID-{document['kind']}-{meta['name']}"] = answer.obj["metadata"]["uid"]
        self._ours.namespace(space)
        for key, obj in stored(self._real).items():
            if key[2] == space or key[3].startswith(f"{space}-") or key[1:] == ("Namespace", "", space):
                self._ours.place(obj)


def mine(world: EmbeddedWorld, space: str) -> Json:
    """Return the objects of a namespace, and those of the cluster that bear its name, as they are compared."""
    with world.lock:
        found: dict[Key, Json] = stored(world)
    return {
        "/".join(key[1:]): whole(obj) for key, obj in found.items() if key[2] == space or key[3].startswith(f"{space}-")
    }


def cleared(world: EmbeddedWorld, space: str) -> None:
    """Remove what `mine` returns, so that many cases on one pair of clusters stay quick."""
    with world.lock:
        for resource in world.store.resources():
            for obj in list(world.store.list(resource)):
                meta = obj["metadata"]
                if meta.get("namespace") == space or meta["name"].startswith(f"{space}-"):
                    world.store.delete(resource, meta.get("namespace", ""), meta["name"])


def in_order(value: Any) -> Any:
    """Return JSON with every list of named things in the order of their names."""
    if isinstance(value, dict):
        return {k: in_order(v) for k, v in value.items()}
    if isinstance(value, list):
        return sorted((in_order(v) for v in value), key=lambda v: v.get("name", "") if isinstance(v, dict) else "")
    return value


def whole(obj: Json) -> Json:
    """Return an object with its status, as it is compared."""
    out = comparable(obj, obj)
    text = json.dumps({**out, "status": obj.get("status")})
    return json.loads(text)  # type: ignore[no-any-return]


@contextmanager
def twins() -> Iterator[Twins]:
    """Serve the one over HTTPS to the real kubectl, hold the other in process."""
    side = EmbeddedSide(Golden(EXCERPT))
    with ExitStack() as stack:
        real, ours = side.world(), side.world()
        stack.callback(real.close)
        stack.callback(ours.close)
        kubectl = stack.enter_context(Kubectl())
        desk, _ = stack.enter_context(served(real, kubectl))
        yield Twins(real, ours, desk)
