"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path | None, typer.Option("--config", help="TOML file with settings (else $STRATUS_CONFIG, ./stratus.toml).")
]
StateDir = Annotated[Path | None, typer.Option("--state-dir", help="Journal, checkpoints, knowledge, reports.")]
PolicyFile = Annotated[
    Path | None, typer.Option("--policy", help="Policy file: what may be changed, when, and what counts as worse.")
]
Kubeconfig = Annotated[Path | None, typer.Option("--kubeconfig", help="kubeconfig file of the cluster.")]
Context = Annotated[str | None, typer.Option("--context", help="kubeconfig context.")]
Reasoner = Annotated[str | None, typer.Option("--reasoner", help="`rules`, or PROVIDER:MODEL such as `openai:gpt-4o`.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")]
ReportDir = Annotated[
    Path | None, typer.Option("--report-dir", help="Write report.json, report.md and report.html here.")
]
