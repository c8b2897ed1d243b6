"""Measures what rehearsal foretells against what happens, what it costs, and what it spares.

    python benchmarks/rehearsal.py [--app NAME] [--fault ID ...] [--seeds N] [--json FILE]

Every fault is worked on twice from the same state, with rehearsal and without. Knowledge is searched by words, so that
an episode's time is not that of a model of embeddings. CPU times are those of the thread that rehearses, as reported.
Figures are emulated.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stratus.knowledge.memory import InMemoryKnowledge
from stratus.model.rehearsals import Agreement
from stratus.model.reports import Report
from stratus.settings import Settings
from stratus.sim.cluster import EmbeddedCluster
from stratus.wiring.respond import respond
from stratus.wiring.sources import embedded_source, show_fault

FAULTS = {
    "hotel-reservation": (
        "anti-affinity", "bad-build-errors", "bad-env-value", "claim-missing", "geo-wrong-image", "image-pull-user",
        "liveness-probe", "memory-limit-cut", "memory-limit-database", "misleading-rollout", "missing-config-key",
        "missing-config-map", "network-policy-block", "node-not-ready", "quota-exceeded", "readiness-probe",
        "scaled-to-zero", "unschedulable-request", "webhook-without-backend", "wrong-binary", "wrong-database-address",
        "wrong-selector", "wrong-target-port",
    ),
    "social-network": (
        "bad-build-crash", "bad-build-errors", "config-map-missing", "extra-selector-label", "image-pull-text",
        "init-container-hangs", "liveness-probe", "memory-leak", "memory-limit-cut", "readiness-probe",
        "scaled-to-zero", "service-missing", "target-port-text", "wrong-address", "wrong-binary",
    ),
    "astronomy-shop": (
        "bad-build-crash", "claim-missing", "flag-failed-readiness-probe", "init-container-crashes",
        "init-container-waits", "invalid-quote-address", "liveness-probe", "missing-address", "quota-memory",
        "readiness-probe", "scaled-to-zero", "wrong-command", "wrong-image", "wrong-listening-port",
        "wrong-port-in-address",
    ),
}  # fmt: skip


def episode(app: str, fault: str, seed: int, rehearsal: str) -> Report:
    """Let Stratus work on one fault of a fresh cluster."""
    with EmbeddedCluster(app=app, seed=seed) as cluster, tempfile.TemporaryDirectory() as folder:
        show_fault(embedded_source(cluster), fault)
        settings = Settings.model_validate(
            {"mode": "auto", "state_dir": Path(folder), "seed": seed, "rehearsal": rehearsal}
        )
        return respond(cluster=cluster, settings=settings, knowledge=InMemoryKnowledge.shipped(settings))


def row(app: str, fault: str, seed: int) -> dict[str, Any]:
    """Work on a fault with rehearsal and without, and put both ends side by side."""
    reports = {name: episode(app, fault, seed, setting) for name, setting in (("with", "auto"), ("without", "off"))}
    told: dict[str, Any] = {"app": app, "fault": fault, "seed": seed}
    for name, report in reports.items():
        told[name] = {
            "state": report.state.value,
            "executed": sum(a.executed for a in report.attempts),
            "undone": sum(a.undone for a in report.attempts),
            "mttr": report.mttr.total,
        }
    whole = reports["with"]
    told["agreement"] = whole.agreement.counts
    told["held back"] = sum(r.held_back for r in whole.rehearsals)
    told["rehearsals"] = [
        {
            "foretold": r.prediction.foretold,
            "cpu": r.prediction.cpu,
            "taken": r.chosen,
            "why": r.prediction.reason[:120],
        }
        for r in whole.rehearsals
    ]
    return told


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Add up."""
    agreement = Agreement()
    for one in rows:
        agreement += Agreement(counts=one["agreement"])
    cpu = sorted(r["cpu"] for one in rows for r in one["rehearsals"] if r["foretold"] != "not rehearsed")
    both = {
        name: {
            "resolved": sum(one[name]["state"] == "resolved" for one in rows),
            "executed": sum(one[name]["executed"] for one in rows),
            "undone": sum(one[name]["undone"] for one in rows),
        }
        for name in ("with", "without")
    }
    return {
        "episodes": len(rows),
        **both,
        "agreement": agreement.counts,
        "foretold": agreement.text(),
        "held back": sum(one["held back"] for one in rows),
        "not rehearsed": sum(r["foretold"] == "not rehearsed" for one in rows for r in one["rehearsals"]),
        "cpu seconds": {
            "rehearsals": len(cpu),
            "median": round(statistics.median(cpu), 3) if cpu else None,
            "p95": cpu[int(0.95 * (len(cpu) - 1))] if cpu else None,
            "most": cpu[-1] if cpu else None,
        },
    }


def table(rows: Iterable[tuple[str, ...]]) -> str:
    """Lay out rows in columns."""
    shown = list(rows)
    widths = [max(len(cells[i]) for cells in shown) for i in range(len(shown[0]))] if shown else []
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)).rstrip() for cells in shown)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--app", choices=sorted(FAULTS), help="only this application")
    parser.add_argument("--fault", action="append", help="only these faults; repeatable")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where the figures go")
    asked = parser.parse_args()
    rows = []
    for app in [asked.app] if asked.app else FAULTS:
        for fault in asked.fault or FAULTS[app]:
            for seed in range(asked.seeds):
                began = time.monotonic()
                rows.append(row(app, fault, seed))
                one = rows[-1]
                ends = "  ".join(f"{n}: {one[n]['state']}, {one[n]['undone']} undone" for n in ("with", "without"))
                print(f"{app} {fault} {seed}: {ends}  ({time.monotonic() - began:.0f} s)", flush=True)
                if asked.json is not None:
                    text = json.dumps({"emulated": True, "summary": summary(rows), "rows": rows}, indent=1)
                    asked.json.write_text(text + "\n", encoding="utf-8")
    whole = summary(rows)
    print(json.dumps({k: v for k, v in whole.items() if k != "agreement"}, indent=1))
    print(table(Agreement(counts=whole["agreement"]).rows()))


if __name__ == "__main__":
    main()
