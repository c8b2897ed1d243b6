"""`stratus capsule`: an incident in one signed file, thought over again or made into a scenario."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from stratus.cli.options import Config, Json, StateDir
from stratus.cli.output import console
from stratus.wiring.config import load_settings

app = typer.Typer(help="Keep an incident in one file: evidence, reasoning, journal.", no_args_is_help=True)

KEY = "capsule.key"
"""File of a state directory with the private key that signs its capsules."""

File = Annotated[Path, typer.Argument(help="The capsule.")]
By = Annotated[str, typer.Option("--by", help="Public key (hex) that must have signed it.")]


@app.command("save")
def save(
    incident: Annotated[str, typer.Argument(help="Id of the incident.")],
    out: Annotated[Path | None, typer.Option("--out", help="File to write; else INCIDENT.capsule.")] = None,
    as_json: Json = False,
    state_dir: StateDir = None,
    config: Config = None,
) -> int:
    """Write an incident into a capsule: redacted, and signed with the key of the state directory."""
    from stratus.bench.capsules.packing import pack
    from stratus.bench.capsules.sealing import write

    settings = load_settings({"state_dir": state_dir}, config)
    path = out or Path(f"{incident}.capsule")
    capsule = pack(incident, settings)
    seal = write(capsule, path, settings.state_dir / KEY)
    told = {
        "file": str(path), "key": seal.key, "sha256": seal.sha256, "rounds": len(capsule.rounds),
        "turns": len(capsule.turns), "journal": len(capsule.journal), "hidden": capsule.hidden,
    }  # fmt: skip
    if as_json:
        sys.stdout.write(json.dumps(told) + "\n")
        return 0
    console().print(
        f"{path}: {told['rounds']} round(s) of thinking, {told['turns']} turn(s) of a model, {told['journal']} row(s) "
        f"of the journal; {told['hidden']} value(s) taken out. Signed by {seal.key}. Look at it before you hand it on.",
        soft_wrap=True,
    )
    return 0


@app.command("replay")
def replay(file: File, by: By = "", as_json: Json = False) -> int:
    """Think the incident over again, offline; exit 1 when today's code comes to something else."""
    from stratus.bench.capsules.replaying import replay as again
    from stratus.bench.capsules.sealing import read

    capsule, _ = read(file, by=by)
    rounds = again(capsule)
    if as_json:
        sys.stdout.write(json.dumps([{**r.model_dump(), "same": r.same} for r in rounds]) + "\n")
    else:
        table = Table("round", "then", "now", "same", "commands now", box=None)
        for r in rounds:
            table.add_row(str(r.round), r.then, r.error or r.now, "yes" if r.same else "no", "; ".join(r.plan_now))
        console().print(table)
    return 0 if all(r.same for r in rounds) else 1


@app.command("to-scenario")
def to_scenario(
    file: File,
    folder: Annotated[Path, typer.Option("--into", help="Folder of the suite; made when there is none.")] = Path(
        "incidents"
    ),
    by: By = "",
) -> int:
    """Make a scenario of it: `stratus bench run --suite FOLDER` runs it."""
    from stratus.bench.capsules.scenarios import to_scenario as make
    from stratus.bench.capsules.sealing import read

    capsule, _ = read(file, by=by)
    path = make(capsule, folder, suite=folder.name or "incidents")
    console().print(f"{path}; run it with `stratus bench run --suite {folder}`", soft_wrap=True)
    return 0
