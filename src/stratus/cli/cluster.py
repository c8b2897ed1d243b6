"""`stratus cluster`: serve an embedded cluster for kubectl, clients and experiments."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from stratus.cli.output import console
from stratus.errors import UsageError

app = typer.Typer(help="The embedded Kubernetes cluster.", no_args_is_help=True)


@app.command("up")
def up(
    app_name: Annotated[str, typer.Option("--app", help="Application name or file; `none` for an empty cluster.")] = (
        "hotel-reservation"
    ),
    fault: Annotated[list[str] | None, typer.Option("--fault", help="Fault to inject; repeatable.")] = None,
    port: Annotated[int, typer.Option("--port", help="Port; 0 takes a free one.")] = 0,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    kubeconfig_out: Annotated[Path | None, typer.Option("--kubeconfig-out", help="Write a kubeconfig here.")] = None,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    nodes: Annotated[int, typer.Option("--nodes", min=1, max=500)] = 3,
    speed: Annotated[float, typer.Option("--speed", min=0.1, help="Cluster seconds per wall second.")] = 1.0,
) -> int:
    """Serve a cluster over HTTPS until interrupted, and print how to reach it."""
    from stratus.sim.cluster import EmbeddedCluster

    out = console()
    cluster = EmbeddedCluster(app=None if app_name in ("none", "") else app_name, seed=seed, nodes=nodes)
    try:
        for name in fault or []:
            cluster.inject(name)
        with cluster.serve(host=host, port=port, speed=speed) as front:
            path = kubeconfig_out or Path(f"stratus-{front.port}.kubeconfig")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch(mode=0o600)
                path.write_text(front.kubeconfig(), encoding="utf-8")
            except OSError as error:
                raise UsageError(f"the kubeconfig cannot be written to {path} ({error.strerror})") from error
            out.print(f"serving {front.url}", markup=False)
            out.print(f"  export KUBECONFIG={path.resolve()}", markup=False)
            out.print("  kubectl get pods -A", markup=False)
            out.print(f"  stratus respond --kubeconfig {path} --mode auto", markup=False)
            out.print("Ctrl-C ends it.", style="dim")
            stop = threading.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: stop.set())
            stop.wait()
    finally:
        cluster.close()
    return 0


@app.command("faults")
def faults(app_name: Annotated[str, typer.Option("--app")] = "hotel-reservation") -> int:
    """List the faults that can be injected into an application."""
    from stratus.sim.cluster import EmbeddedCluster

    cluster = EmbeddedCluster(app=app_name, warmup=0.0)
    try:
        for spec in cluster.faults():
            console().print(f"[bold]{spec.id:<28}[/] {spec.description}")
    finally:
        cluster.close()
    return 0
