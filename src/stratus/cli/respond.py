"""`stratus respond`, `resume`, `approve`, `reject`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from stratus.cli.options import Config, Context, Json, Kubeconfig, PolicyFile, Reasoner, ReportDir, StateDir
from stratus.cli.output import Progress, console, finish, print_json
from stratus.errors import AlertError, UsageError
from stratus.wiring.config import load_settings


def respond(
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    embedded: Annotated[
        str | None, typer.Option("--embedded", help="Application to run on an embedded cluster.")
    ] = None,
    fault: Annotated[str | None, typer.Option("--fault", help="Fault to inject into the embedded application.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the embedded cluster.")] = None,
    namespace: Annotated[list[str] | None, typer.Option("--namespace", "-n", help="Where to look; repeatable.")] = None,
    alert: Annotated[str | None, typer.Option("--alert", help="File with alert JSON, or - for stdin.")] = None,
    prometheus: Annotated[str | None, typer.Option("--prometheus", help="Base URL.")] = None,
    alertmanager: Annotated[str | None, typer.Option("--alertmanager", help="Base URL.")] = None,
    jaeger: Annotated[str | None, typer.Option("--jaeger", help="Base URL.")] = None,
    loki: Annotated[str | None, typer.Option("--loki", help="Base URL.")] = None,
    reasoner: Reasoner = None,
    mode: Annotated[
        str | None, typer.Option("--mode", help="observe, suggest, dry-run, approve or auto (default suggest).")
    ] = None,
    policy: PolicyFile = None,
    incident: Annotated[str, typer.Option("--incident", help="Id for the incident.")] = "",
    as_json: Json = False,
    report_dir: ReportDir = None,
    state_dir: StateDir = None,
    config: Config = None,
) -> int:
    """Take an incident from alert to verified repair; without --alert, look for what is wrong.

    Exit codes: 0 resolved or nothing wrong, 2 usage, 3 unresolved and restored, 4 needs a human, 5 unreachable.
    """
    if embedded is not None and kubeconfig is not None:
        raise UsageError("give either --kubeconfig or --embedded, not both")
    settings = load_settings(
        {
            "kubeconfig": kubeconfig, "context": context, "seed": seed,
            "namespaces": tuple(namespace) if namespace else None,
            "prometheus": prometheus, "alertmanager": alertmanager, "jaeger": jaeger, "loki": loki,
            "reasoner": reasoner, "mode": mode, "state_dir": state_dir, "fault": fault, "alert": alert,
            "report_dir": report_dir, "policy_file": policy,
            # what stands on the command line wins over an environment that names the other kind of cluster
            "embedded": "" if embedded is None and kubeconfig is not None else embedded,
        },
        config,
    )  # fmt: skip
    from stratus.wiring.respond import respond as go

    out = console(machine=as_json)
    with _told_if_it_waits(as_json):
        report = go(
            _read_alert(settings.alert or None),
            embedded=settings.embedded or None,
            fault=settings.fault,
            settings=settings,
            incident=incident,
            approve=_ask(out) if settings.mode == "approve" and sys.stdin.isatty() else None,
            on_event=Progress(out),
        )
    return finish(report, as_json=as_json, report_dir=settings.report_dir)


def resume(
    incident: Annotated[str, typer.Argument(help="Id of an unfinished incident.")],
    as_json: Json = False,
    report_dir: ReportDir = None,
    state_dir: StateDir = None,
    config: Config = None,
) -> int:
    """Go on with an incident whose process ended before its report."""
    return _go_on(incident, None, as_json=as_json, report_dir=report_dir, state_dir=state_dir, config=config)


def approve(
    incident: Annotated[str, typer.Argument(help="Id of an incident that waits for approval.")],
    as_json: Json = False,
    report_dir: ReportDir = None,
    state_dir: StateDir = None,
    config: Config = None,
) -> int:
    """Approve the plan that an incident waits with, and go on."""
    return _go_on(incident, True, as_json=as_json, report_dir=report_dir, state_dir=state_dir, config=config)


def reject(
    incident: Annotated[str, typer.Argument(help="Id of an incident that waits for approval.")],
    as_json: Json = False,
    report_dir: ReportDir = None,
    state_dir: StateDir = None,
    config: Config = None,
) -> int:
    """Reject the plan that an incident waits with; nothing is changed."""
    return _go_on(incident, False, as_json=as_json, report_dir=report_dir, state_dir=state_dir, config=config)


def _go_on(
    incident: str,
    decision: bool | None,
    *,
    as_json: bool,
    report_dir: Path | None,
    state_dir: Path | None,
    config: Path | None,
) -> int:
    from stratus.wiring.respond import resume as go

    settings = load_settings({"state_dir": state_dir}, config)
    out = console(machine=as_json)
    answers = iter([decision] if decision is not None else [])

    def decide(proposal: dict[str, Any]) -> bool:
        told = next(answers, None)  # a decision is for the plan it was made on, never for a later one
        if told is None:
            raise UsageError(f"incident {incident} has a new plan: {proposal['summary']}; approve or reject it as well")
        return told

    with _told_if_it_waits(as_json):
        report = go(
            incident, settings=settings, approve=decide if decision is not None else None, on_event=Progress(out)
        )
    return finish(report, as_json=as_json, report_dir=report_dir)


@contextmanager
def _told_if_it_waits(as_json: bool) -> Iterator[None]:
    """Print for a machine how an incident stands whose plan waits for approval; the error says how to decide."""
    from stratus.wiring.respond import ApprovalPending

    try:
        yield
    except ApprovalPending as waiting:
        if as_json:
            print_json(waiting.report)
        raise


def _ask(out: Any) -> Callable[[dict[str, Any]], bool]:
    def ask(proposal: dict[str, Any]) -> bool:
        out.print(f"\n[bold yellow]Proposed:[/] {proposal['summary']}")
        for command in proposal["commands"]:
            out.print("  $ " + command, markup=False)
        for line in proposal["diff"]:
            out.print("    " + line, style="dim", markup=False)
        out.print("  undo: " + proposal["undo"], markup=False)
        return typer.confirm("Execute?", default=False, err=True)

    return ask


def _read_alert(given: str | None) -> str | None:
    if given is None:
        return None
    try:
        text = sys.stdin.read() if given == "-" else Path(given).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AlertError(
            f"the alert file {given} cannot be read ({error}): give a JSON file, or - for stdin"
        ) from error
    if not text.strip():
        raise AlertError(f"the alert document {given} is empty: give Alertmanager or Prometheus JSON")
    return text
