"""`stratus graph`: the incident's way as a Mermaid drawing."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from stratus.errors import UsageError


def graph(
    stage: Annotated[str, typer.Option("--stage", help="incident, detection, diagnosis or mitigation.")] = "incident",
    flat: Annotated[bool, typer.Option("--flat", help="Draw stages as single boxes.")] = False,
) -> int:
    """Print the graph as Mermaid text (paste it into any Mermaid viewer)."""
    from stratus.flow.drawing import mermaid
    from stratus.flow.graph import STAGES

    if stage not in ("incident", *STAGES):
        raise UsageError(f"no stage {stage!r}: use incident, {', '.join(STAGES)}")
    sys.stdout.write(mermaid(stage, expand=not flat) + "\n")
    return 0
