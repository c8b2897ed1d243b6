"""`stratus cluster`: serve an embedded cluster for kubectl, clients and experiments."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from stratus.cli.output import console
from stratus.errors import UsageError

app = typer.Typer(help="The embedded Kubernetes cluster.", no_args_is_help=True)

#: Seconds of normal life an application has behind it when it is served.
WARMUP = 600.0


@app.command("up")
def up(
    app_name: Annotated[str, typer.Option("--app", help="Application name or file; `none` for an empty cluster.")] = (
        "hotel-reservation"
    ),
    fault: Annotated[list[str] | None, typer.Option("--fault", help="Fault to inject; repeatable.")] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")] = 0,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    kubeconfig_out: Annotated[Path | None, typer.Option("--kubeconfig-out", help="Write a kubeconfig here.")] = None,
    viewer_kubeconfig_out: Annotated[
        Path | None, typer.Option("--viewer-kubeconfig-out", help="Write one here for a user who may only read.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    nodes: Annotated[int, typer.Option("--nodes", min=1, max=500)] = 3,
    speed: Annotated[float, typer.Option("--speed", min=0.1, help="Cluster seconds per wall second.")] = 1.0,
) -> int:
    """Serve a cluster over HTTPS until interrupted, and print how to reach it."""
    from stratus.sim.cluster import EmbeddedCluster

    out = console()
    application = None if app_name in ("none", "") else app_name
    with _stopping() as stop:
        # Clients in other processes compare the cluster's timestamps with their own clock: it has to be the same one.
        begun = math.floor(time.time()) - (WARMUP if application is not None else 0.0)
        cluster = EmbeddedCluster(app=application, seed=seed, nodes=nodes, warmup=WARMUP, epoch=begun)
        try:
            cluster.advance(max(0.0, time.time() - cluster.clock.now()))
            for name in fault or []:
                cluster.inject(name)
            with cluster.serve(host=host, port=port, speed=speed) as front:
                path = kubeconfig_out or Path(f"stratus-{front.port}.kubeconfig")
                if viewer_kubeconfig_out is not None:
                    _write(viewer_kubeconfig_out, front.kubeconfig(user="viewer"))
                _write(path, front.kubeconfig())
                out.print(f"serving {front.url}", markup=False)
                out.print(f"  export KUBECONFIG={path.resolve()}", markup=False)
                out.print("  kubectl get pods -A", markup=False)
                out.print(f"  stratus respond --kubeconfig {path} --mode auto", markup=False)
                out.print("Ctrl-C ends it.", style="dim")
                stop.wait()
        finally:
            cluster.close()
    return 0


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Turn the signals that end a server into an event, from the first moment on."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {n: signal.signal(n, lambda *_: stop.set()) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write(path: Path, text: str) -> None:
    """Put a kubeconfig in place whole: who waits for the file may use it as soon as it is there."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"the kubeconfig cannot be written to {path} ({error.strerror})") from error


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
