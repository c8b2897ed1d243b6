"""The graph as Mermaid text; drawn without any port, since drawing runs nothing."""

from __future__ import annotations

from typing import NoReturn

from stratus.flow.graph import incident_graph, stage_graph
from stratus.flow.state import State


def mermaid(stage: str = "incident", *, expand: bool = True) -> str:
    """Return the Mermaid flowchart of the incident graph or of one stage.

    Args:
        stage: `incident`, or the name of a stage.
        expand: show the nodes inside the stages.
    """
    graph = incident_graph(_nothing) if stage == "incident" else stage_graph(stage, _nothing)
    return graph.get_graph(xray=expand).draw_mermaid()


def _nothing(_state: State) -> NoReturn:
    raise AssertionError("a graph that is only drawn must not run")
