"""`stratus demo`: a whole incident on the embedded cluster, with a first explanation that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stratus.cli.options import Config, Json, Reasoner, ReportDir
from stratus.cli.output import Progress, console, finish
from stratus.wiring.config import load_settings

APP = "hotel-reservation"
FAULT = "misleading-rollout"


def demo(
    fault: Annotated[str, typer.Option("--fault", help="Another fault of the embedded application.")] = FAULT,
    app: Annotated[str, typer.Option("--app", help="Another embedded application.")] = APP,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same incident.")] = 0,
    reasoner: Reasoner = None,
    as_json: Json = False,
    report_dir: ReportDir = None,
    state_dir: Annotated[Path, typer.Option("--state-dir", help="Where the demo keeps its state.")] = Path(
        ".stratus/demo"
    ),
    config: Config = None,
) -> int:
    """Watch an incident be detected, misdiagnosed, undone, and healed; no key and no network are needed.

    Kill it at any moment and start it again: it goes on where it was.
    """
    settings = load_settings({"reasoner": reasoner, "mode": "auto", "state_dir": state_dir, "seed": seed}, config)
    from stratus.wiring.incidents import Incidents
    from stratus.wiring.respond import respond as go
    from stratus.wiring.respond import resume

    out = console(machine=as_json)
    for old in Incidents(settings.state_dir).unfinished("demo"):
        out.print(f"going on with the unfinished demo {old.id}", style="yellow")
        report = resume(old.id, settings=settings, on_event=Progress(out))
        return finish(report, as_json=as_json, report_dir=report_dir or settings.state_dir / "report")
    out.print(
        f"An embedded Kubernetes cluster runs [bold]{app}[/]; a fault is injected, alerts will fire.", style="dim"
    )
    report = go(embedded=app, fault=fault, settings=settings, kind="demo", on_event=Progress(out))
    return finish(report, as_json=as_json, report_dir=report_dir or settings.state_dir / "report")
