"""`stratus knowledge`: add to it, search it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from stratus.cli.options import Config, Json, StateDir
from stratus.cli.output import console
from stratus.wiring.config import load_settings

app = typer.Typer(help="Runbooks and past tickets.", no_args_is_help=True)


@app.command("search")
def search(
    query: Annotated[list[str], typer.Argument(help="What to look for, in words.")],
    limit: Annotated[int, typer.Option("--limit", min=1, max=50)] = 5,
    as_json: Json = False,
    state_dir: StateDir = None,
    config: Config = None,
) -> int:
    """Search runbooks, tickets and log templates; prints passages with their source."""
    from stratus.knowledge.store import open_knowledge

    with open_knowledge(load_settings({"state_dir": state_dir}, config)) as base:
        found = base.search(" ".join(query), limit=limit)
    if as_json:
        sys.stdout.write("[" + ",\n".join(c.model_dump_json() for c in found) + "]\n")
        return 0
    table = Table("score", "kind", "id", "title", "passage", box=None)
    for c in found:
        table.add_row(f"{c.score:.2f}", c.kind, c.id, c.title, c.passage[:160])
    console().print(table if found else "nothing known about that")
    return 0


@app.command("add")
def add(
    files: Annotated[list[Path], typer.Argument(help="Runbooks (.md) or tickets (.json, .md).")],
    state_dir: StateDir = None,
    config: Config = None,
) -> int:
    """Add runbooks or tickets; a document of the same id replaces the earlier one."""
    from stratus.knowledge.store import open_knowledge

    with open_knowledge(load_settings({"state_dir": state_dir}, config)) as base:
        for path in files:
            console().print(f"added {base.add_file(path)}")
    return 0
