"""`stratus bench`: run the embedded fault catalogue and count, violations of TNR above all."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer
from rich.table import Table

from stratus.cli.options import Json
from stratus.cli.output import console

app = typer.Typer(help="Measure on the embedded cluster (figures are emulated).", no_args_is_help=True)


@app.command("run")
def run(
    application: Annotated[
        str, typer.Option("--app", help="Application of the embedded cluster.")
    ] = "hotel-reservation",
    fault: Annotated[list[str] | None, typer.Option("--fault", help="Only these faults; repeatable.")] = None,
    solver: Annotated[str, typer.Option("--solver", help="stratus, noop or restart-pods.")] = "stratus",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Episodes a fault, seeds 0, 1, ...")] = 1,
    as_json: Json = False,
) -> int:
    """Run episodes and print one row each; exit 1 when any violates TNR."""
    from stratus.bench.episode import play
    from stratus.bench.solvers import solver as solver_of
    from stratus.sim.cluster import EmbeddedCluster

    agent = solver_of(solver)
    with EmbeddedCluster(app=application, warmup=0.0) as cluster:
        names = [f.id for f in cluster.faults() if all(v is not None for v in f.arguments.values())]
    out = console(machine=as_json)
    table = Table("fault", "seed", "state", "resolved", "cause", "attempts", "undone", "proved", "MTTR s", "violations")
    episodes = []
    for name in fault or names:
        for seed in range(seeds):
            e = play(application, name, seed, agent, wall=time.monotonic)
            episodes.append(e)
            out.print(f"{name} {seed}: {e.state}{', resolved' if e.resolved else ''}", style="dim")
            cause = "-" if e.cause is None else str(e.cause)
            row = (e.attempts, e.undone, e.proved, round(e.mttr))
            told = (name, str(seed), e.state, str(e.resolved), cause)
            table.add_row(*told, *map(str, row), "; ".join(e.violations))
    if as_json:
        sys.stdout.write("[" + ",\n".join(e.model_dump_json() for e in episodes) + "]\n")
    else:
        out.print(table)
    faults = [e for e in episodes if e.cause is not None]
    seen = sum(bool(e.detected) for e in episodes)
    out.print(
        f"{solver}: resolved {sum(e.resolved for e in faults)}/{len(faults)}, cause right "
        f"{sum(bool(e.cause) for e in faults)}/{len(faults)}, detection right {seen}/{len(episodes)}, "
        f"undone {sum(e.undone for e in episodes)} of which proved {sum(e.proved for e in episodes)}, "
        f"TNR violations {sum(bool(e.violations) for e in episodes)} (emulated)"
    )
    return 1 if any(e.violations for e in episodes) else 0
