"""`stratus doctor` and `stratus version`: what is there, what is missing, what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated

import typer

from stratus.cli.options import Config, Context, Kubeconfig, StateDir
from stratus.cli.output import console
from stratus.errors import StratusError
from stratus.settings import Settings
from stratus.wiring.config import load_settings

PARTS = ("stratus-sre", "langgraph", "langchain-core", "langchain-openai", "kubernetes", "chromadb", "pydantic")
NEEDED = (("get", "pods"), ("list", "deployments.apps"), ("list", "services"), ("list", "events"), ("get", "pods/log"))
WRITES = (("patch", "deployments.apps"), ("patch", "services"), ("create", "leases.coordination.k8s.io"))


def version() -> int:
    """Print the versions of Stratus and what it stands on."""
    for name in PARTS:
        try:
            console().print(f"{name:<18} {version_of(name)}")
        except PackageNotFoundError:
            console().print(f"{name:<18} not installed")
    return 0


def doctor(
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Check the embedded cluster instead of a real one.")
    ] = False,
    namespace: Annotated[str, typer.Option("--namespace", "-n")] = "default",
    prometheus: Annotated[str | None, typer.Option("--prometheus")] = None,
    alertmanager: Annotated[str | None, typer.Option("--alertmanager")] = None,
    state_dir: StateDir = None,
    config: Config = None,
) -> int:
    """Check settings, state directory, knowledge, reasoner, cluster access and telemetry; exit 5 when one fails."""
    settings = load_settings(
        {"kubeconfig": kubeconfig, "context": context, "state_dir": state_dir, "prometheus": prometheus,
         "alertmanager": alertmanager}, config,
    )  # fmt: skip
    out = console()
    worst = 0
    checks: list[tuple[str, Callable[[], str]]] = [
        ("state directory", lambda: _state(settings.state_dir)),
        ("knowledge", lambda: _knowledge(settings)),
        ("reasoner", lambda: _reasoner(settings)),
        ("cluster", (lambda: _embedded()) if embedded else lambda: _cluster(settings, namespace)),
        *([] if embedded else [("telemetry", lambda: _telemetry(settings))]),
    ]
    for name, check in checks:
        try:
            out.print(f"[green]ok[/]    {name:<16} ", end="")
            out.print(check(), markup=False)
        except StratusError as error:
            out.print()
            out.print(f"[red]fail[/]  {name:<16} ", end="")
            out.print(str(error), markup=False)
            worst = max(worst, 5 if error.exit_code == 5 else 2)
    return worst


def _state(folder: Path) -> str:
    from stratus.wiring.incidents import Incidents

    Incidents(folder).check()
    return str(folder.resolve())


def _knowledge(settings: Settings) -> str:
    from stratus.knowledge.store import open_knowledge

    with open_knowledge(settings) as base:
        return f"{len(base.runbooks())} runbooks indexed"


def _reasoner(settings: Settings) -> str:
    from stratus.wiring.compose import think

    return think(settings).name


def _embedded() -> str:
    from stratus.wiring.sources import open_embedded

    with open_embedded("hotel-reservation") as source:
        return f"embedded, {len(source.cluster.reader.list('pods'))} pods"


def _cluster(settings: Settings, namespace: str) -> str:
    from stratus.wiring.sources import open_kubernetes

    with open_kubernetes(settings) as source:
        reader = source.cluster.reader
        identity = reader.identity()
        missing = [f"{verb} {what}" for verb, what in NEEDED if not reader.can_i(verb, what, namespace)]
        denied = [f"{verb} {what}" for verb, what in WRITES if not reader.can_i(verb, what, namespace)]
        said = f"{identity.server} {identity.version}"
        if missing:
            said += f"; cannot: {', '.join(missing)} in {namespace} (diagnosis will be partly blind)"
        return said + (f"; modes approve and auto need: {', '.join(denied)}" if denied else "; may write")


def _telemetry(settings: Settings) -> str:
    from stratus.wiring.sources import open_kubernetes

    with open_kubernetes(settings) as source:
        telemetry = source.telemetry(settings)
        if telemetry.metrics is None:
            return "no Prometheus given: health will come from objects"
        if telemetry.alerts is not None:
            telemetry.alerts.firing()
        return ", ".join(f"{k}: {v}" for k, v in telemetry.names.items()) or "metrics answer"
