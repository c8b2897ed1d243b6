"""ITBench: a live scenario by its bundle, or a recorded one by its folders; the answer is `agent_output.json`."""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path
from typing import Any

from stratus.bench.external.solving import Bench, anomalous
from stratus.errors import UsageError
from stratus.kit.text import line
from stratus.model.alerts import Alert
from stratus.model.base import Json
from stratus.model.diagnosis import Hypothesis
from stratus.model.reports import Report
from stratus.settings import Settings

OUTPUT = "agent_output.json"
_LONG = 400
"""Characters of an explanation, about two sentences."""
SURE = 0.6
"""Confidence from which on a second, independent cause is named as well."""


def live(bundle: Path, workspace: Path, *, settings: Settings | None = None, mitigate: bool = True) -> Report:
    """Work on a live scenario and write the diagnosis.

    Args:
        bundle: JSON with `kubeconfig` (a path, or its text) and `prometheus_url`.
        workspace: folder for `agent_output.json`.
        mitigate: repair as well; else only find out.

    Raises:
        UsageError: the bundle cannot be read.
        StratusError: the cluster cannot be reached.
    """
    given = read_bundle(bundle)
    base = settings or Settings()
    kubeconfig = str(given.get("kubeconfig") or "")
    workspace.mkdir(parents=True, exist_ok=True)
    if "\n" in kubeconfig:
        path = workspace / "kubeconfig"
        path.touch(mode=0o600)
        path.write_text(kubeconfig, encoding="utf-8")
        kubeconfig = str(path)
    changes: dict[str, Any] = {"prometheus": str(given.get("prometheus_url") or "")}
    if kubeconfig:
        changes["kubeconfig"] = kubeconfig
    told = Settings.model_validate({**base.model_dump(), **changes})
    report = Bench(told).solve("auto" if mitigate else "observe")
    write_output(workspace, output_of(report))
    return report


def read_bundle(path: Path) -> Json:
    """Read a bundle.

    Raises:
        UsageError: there is none, or it is no JSON object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the bundle {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"the bundle {path} is not JSON: {line(str(error))}") from None
    if not isinstance(found, dict):
        raise UsageError(f"the bundle {path} is no object with `kubeconfig` and `prometheus_url`")
    return found


def output_of(report: Report) -> Json:
    """Return the answer for a report."""
    return answer(report.hypotheses, report.incident.services, report.incident.alerts, _first(report))


def _first(report: Report) -> Hypothesis | None:
    cause = report.root_cause
    if cause is None or not anomalous(report):
        return None
    same = (h for h in report.hypotheses if str(h.object) == cause.object and h.fault == cause.fault)
    return next(same, None)


def answer(
    hypotheses: tuple[Hypothesis, ...], services: tuple[str, ...], alerts: tuple[Alert, ...], first: Hypothesis | None
) -> Json:
    """Put a diagnosis into ITBench's form.

    Args:
        hypotheses: the ledger.
        services: affected ones, `namespace/name`, worst first.
        alerts: those of the incident.
        first: the cause; None: none is known.

    Returns:
        `entities` (causes first: only those that nothing else explains, then who suffers), `propagations` from the
        cause to each that suffers, and `alerts_explained`.
    """
    causes = [first] if first is not None else []
    causes += [
        h for h in hypotheses
        if h is not first and first is not None and h.status in ("open", "confirmed") and h.confidence >= SURE
        and h.service != first.service and h.object != first.object
    ]  # fmt: skip
    named = [entity(str(h.object)) for h in causes]
    entities: list[Json] = [
        {"name": name, "contributing_factor": True, "reasoning": line(h.summary, _LONG),
         "evidence": line("; ".join(e.summary for e in h.evidence_for), _LONG)}
        for name, h in zip(named, causes, strict=True)
    ]  # fmt: skip
    suffering = [f"{space}/Service/{name}" for space, _, name in (s.partition("/") for s in services)]
    entities += [
        {"name": name, "contributing_factor": False, "reasoning": "suffers from the cause; nothing of its own changed",
         "evidence": ""}
        for name in suffering if name not in named
    ]  # fmt: skip
    propagations = [
        {"source": source, "target": target, "condition": line(h.summary, _LONG),
         "effect": f"{target.rpartition('/')[2]} no longer serves as before"}
        for source, h in zip(named[:1], causes[:1], strict=True) for target in suffering if target != source
    ]  # fmt: skip
    return {
        "entities": entities,
        "propagations": propagations,
        "alerts_explained": [
            {"alert": a.name, "explained": first is not None,
             "explanation": line(f"follows from {named[0]}: {causes[0].summary}", _LONG) if causes else ""}
            for a in {a.name: a for a in alerts}.values()
        ],
    }  # fmt: skip


def entity(name: str) -> str:
    """Return `namespace/Kind/name`; cluster-wide objects have no namespace to name, and get `/Kind/name` cut to it."""
    return name.lstrip("/")


def write_output(workspace: Path, output: Json) -> Path:
    """Write the answer into a workspace, whole or not at all."""
    workspace.mkdir(parents=True, exist_ok=True)
    path, draft = workspace / OUTPUT, workspace / f".{OUTPUT}"
    draft.write_text(json.dumps(output, indent=2) + "\n", encoding="utf-8")
    draft.replace(path)
    return path


def offline(folders: tuple[Path, ...], workspace: Path) -> Path:
    """Diagnose a recorded incident and write the answer.

    Raises:
        UsageError: there is nothing to look at.
    """
    from stratus.bench.external.snapshots import diagnose

    detection, diagnosis = diagnose(folders)
    alive = [h for h in diagnosis.hypotheses if h.status != "refuted"]
    first = alive[0] if alive and detection.anomalous else None
    return write_output(workspace, answer(diagnosis.hypotheses, detection.services, detection.alerts, first))


def main(arguments: list[str] | None = None) -> int:
    """Run as a program: `--bundle FILE` works live; else the folders in SNAPSHOT_DIRS are read.

    Raises:
        UsageError: neither is given, or one cannot be used.
    """
    parser = argparse.ArgumentParser(prog="python -m stratus.bench.external.itbench", description=__doc__)
    parser.add_argument("--bundle", type=Path, help="JSON with kubeconfig and prometheus_url: work on a live scenario")
    parser.add_argument("--observe", action="store_true", help="with --bundle: find out only, repair nothing")
    told = parser.parse_args(arguments)
    workspace = Path(os.environ.get("WORKSPACE_DIR") or ".")
    if told.bundle is not None:
        return live(told.bundle, workspace, mitigate=not told.observe).exit_code
    folders = tuple(Path(f) for f in re.split(r"[,:\s]+", os.environ.get("SNAPSHOT_DIRS", "")) if f)
    if not folders:
        raise UsageError(
            "give --bundle FILE for a live scenario, or set SNAPSHOT_DIRS to the folders of a recorded one"
        )
    offline(folders, workspace)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
