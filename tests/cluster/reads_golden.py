"""Recorded reads of a real kubectl, run here over the ports against the objects that the recording shows."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stratus.cluster.kube import KubeCluster
from stratus.cluster.kubectl.reads import run_command
from stratus.conformance.golden import Golden
from stratus.conformance.suites.reads import Pool, _present, furnish
from stratus.conformance.words import alike
from stratus.conformance.world import ADMIN, EmbeddedSide, users
from stratus.errors import StratusError
from stratus.kit.text import redact
from stratus.sim.transport import in_process_api_client

Json = dict[str, Any]
SCOPE: dict[str, list[Json]] = yaml.safe_load((Path(__file__).parent / "data" / "reads_scope.yaml").read_text())
ELSEWHERE = ("wait", "misc")
SERVER = "https://10.199.0.1:6443"
LONG = bool(os.environ.get("STRATUS_LONG"))


@dataclass(frozen=True)
class Shown:
    """How a read went: `same`, `order` (same lines, another order), `refused`, `differs`, `code` (exit code)."""

    id: int
    command: str
    kind: str
    detail: str = ""


def lines_of(text: str) -> list[str]:
    """Return the lines as they are compared: what differs by run made alike, blanks as one, redacted."""
    return [" ".join(line.split()) for line in redact(alike(text, SERVER)).splitlines() if line.strip()]


def evaluate(folder: Path, every: int = 1) -> list[Shown]:
    """Run recorded reads, each `every`-th one."""
    golden = Golden(folder)
    records = golden.records("reads.jsonl.gz")
    pool = Pool(records, golden.records("tables.jsonl.gz") if golden.has("tables.jsonl.gz") else [])
    chosen = [(i, r) for i, r in enumerate(records) if r["group"] not in ELSEWHERE]
    return [_one(EmbeddedSide(golden), pool, index, record) for index, record in chosen[::every]]


def _one(side: EmbeddedSide, pool: Pool, index: int, record: Json) -> Shown:
    objects = pool.at(index)
    world = side.world("demo", "demo-b", moment=_present(objects))
    argv, manifest = list(record["argv"]), record.get("stdin") or ""
    for name, text in (record.get("files") or {}).items():
        if name in argv:
            argv[argv.index(name)], manifest = "-", text
    line = " ".join(argv)
    try:
        furnish(world, objects, record, pool)
        cluster = KubeCluster(in_process_api_client(world.api, user=users()[record.get("user") or ADMIN]))
        answer = run_command(
            argv,
            namespace="default",
            reader=cluster.reader,
            manifest=manifest,
            clock=world.cluster.clock,
            rehearser=cluster.rehearser,
            most=10_000_000,
        )
    except StratusError as error:
        return Shown(record["id"], line, "refused", f"{getattr(error, 'code', '')}: {error}")
    finally:
        world.close()
    got, want = lines_of(answer.text), lines_of(record["stdout"])
    if answer.exit_code != record["exit_code"]:
        said = f"exit code {answer.exit_code}, recorded {record['exit_code']}: {answer.complaint}"
        return Shown(record["id"], line, "code", said)
    kind = "same" if got == want else "order" if Counter(got) == Counter(want) else "differs"
    missing = [w for w in want if w not in got][:3]
    return Shown(record["id"], line, kind, f"missing {missing}, more {[g for g in got if g not in want][:3]}")


def listed(*parts: str) -> set[int]:
    """Return the reads that the scope lists."""
    return {number for part in parts for row in SCOPE[part] for number in row["reads"]}


def failing(record: Shown, known: Iterable[int], failed: set[int]) -> bool:
    """Tell whether a read is neither as recorded nor listed; a refusal of what failed for kubectl, too, is fine."""
    if record.kind in ("same", "order"):
        return False
    return record.id not in known and not (record.kind == "refused" and record.id in failed)
