"""Twins of a real cluster: made amid recorded lifecycles, and compared with how these went on for a minute."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from twin_kit import Shown, health

from stratus.kit.clock import parse_iso
from stratus.settings import HealthSettings
from stratus.sim.furniture import node_object
from stratus.sim.twin.cluster import TwinCluster
from stratus.sim.twin.snapshot import kinds, take
from stratus.transaction.health import assess
from stratus.transaction.sampling import KINDS
from stratus.wiring.rehearsing import unlike

Objects = dict[str, list[dict[str, Any]]]
CHANGES = ("ADDED", "MODIFIED", "DELETED")
LATER = 60.0
ALIKE = 56
"""Recordings that go on as their twin does, of 63; in the others something is not recorded, or seconds old."""


def objects_at(lines: list[dict[str, Any]], moment: float) -> Objects:
    current: dict[tuple[str, str, str], dict[str, Any]] = {}
    for line in lines:
        if line["type"] in CHANGES and line["t"] <= moment:
            meta = line["object"]["metadata"]
            key = (line["kind"], meta.get("namespace", ""), meta["name"])
            current.pop(key, None)
            if line["type"] != "DELETED":
                current[key] = {"kind": line["kind"], **line["object"]}
    found: Objects = defaultdict(list)
    for (kind, _, _), obj in current.items():
        found[kind].append(obj)
    return found


def began(lines: list[dict[str, Any]]) -> float:
    """Return the wall time at which a recording began: nothing is seen before it is made."""
    added = [line for line in lines if line["type"] == "ADDED" and "creationTimestamp" in line["object"]["metadata"]]
    fresh = [line for line in added if line["kind"] in ("Pod", "ReplicaSet", "Deployment", "Event")]
    return max(parse_iso(line["object"]["metadata"]["creationTimestamp"]) - line["t"] for line in fresh)


def with_nodes(objects: Objects, at: float) -> Objects:
    """Add the nodes that a recording only names."""
    table = kinds()
    shown: Objects = {kind: [] for kind in (*table["namespaced"], *table["cluster"], *table["asked"])}
    shown |= {kind: found for kind, found in objects.items() if kind in shown}
    named = {"node1", "node2", "node3"} | {p["spec"].get("nodeName") or "node1" for p in shown["Pod"]}
    for number, name in enumerate(sorted(named - {n["metadata"]["name"] for n in shown["Node"]}), start=1):
        node = node_object(name, number, at)
        node["metadata"] |= {"uid": name, "creationTimestamp": "2026-01-01T00:00:00Z", "resourceVersion": "1"}
        shown["Node"].append(node)
    return shown


def vitals(objects: Objects, now: float) -> dict[str, tuple[Any, ...]]:
    rows = assess({kind: objects.get(kind, []) for kind in KINDS}, {}, now=now, settings=HealthSettings())
    return {r.service: (r.availability, r.ready, r.desired, r.endpoints, r.crashing) for r in rows}


def test_twins_of_recorded_states_go_on_as_the_real_cluster_did(golden: Path) -> None:
    index = json.loads((golden / "lifecycles" / "index.json").read_text(encoding="utf-8"))
    alike, unnoticed = 0, []
    for entry in index:
        with gzip.open(golden / "lifecycles" / entry["file"], "rt", encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        space, start = lines[0]["namespace"], began(lines)
        last = max(line.get("t_end", line["t"]) for line in lines if line["type"] in ("COMMAND", "REQUEST", "MARK"))
        end = max(line["t"] for line in lines if line["type"] in CHANGES)
        moment = min(last + 5, end) if end - last > 8 else last + 1
        now = start + moment
        shot = take(Shown(with_nodes(objects_at(lines, moment), start)), [space], now=now, most=5000)
        with TwinCluster(shot) as twin:
            strange = unlike(shot, twin, HealthSettings())
            twin.advance(LATER)
            same = health(twin, space) == vitals(objects_at(lines, moment + LATER), now + LATER)
            alike += same and not strange
            if not same and not strange and not twin.doubts.met:
                unnoticed.append(entry["scenario"])
    assert unnoticed == [], "what goes on otherwise was doubted, or the twin was not believed in the first place"
    assert alike >= ALIKE
