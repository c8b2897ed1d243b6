"""`stratus serve`: take Alertmanager webhooks and work on what they bring."""

from __future__ import annotations

from typing import Annotated

import typer

from stratus.cli.options import Config, Context, Kubeconfig, Reasoner, StateDir
from stratus.cli.output import console
from stratus.model.alerts import Alert
from stratus.model.reports import Report
from stratus.wiring.config import load_settings


def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on.")] = 8711,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    reasoner: Reasoner = None,
    mode: Annotated[str | None, typer.Option("--mode", help="observe, suggest, dry-run or auto.")] = None,
    state_dir: StateDir = None,
    config: Config = None,
) -> int:
    """Listen for Alertmanager webhooks on POST /webhook; reports on GET /incidents/ID/report, metrics on /metrics."""
    from aiohttp import web

    from stratus.serve.app import make_app
    from stratus.serve.intake import Intake
    from stratus.wiring.respond import respond

    settings = load_settings(
        {"kubeconfig": kubeconfig, "context": context, "reasoner": reasoner, "mode": mode, "state_dir": state_dir},
        config,
    )

    def work(name: str, alerts: tuple[Alert, ...]) -> Report:
        return respond(list(alerts), settings=settings, incident=name)

    intake = Intake(work)
    intake.start()
    console().print(f"listening on http://{host}:{port}, mode {settings.mode}; Ctrl-C ends it", markup=False)
    try:
        web.run_app(make_app(intake), host=host, port=port, print=None, handle_signals=True)
    finally:
        intake.stop()
    return 0
