"""The graph as Mermaid text and as SVG; drawn without any port, since drawing runs nothing."""

from __future__ import annotations

from html import escape
from typing import Any, NoReturn

from stratus.flow.graph import incident_graph, stage_graph
from stratus.flow.state import State

BOX, GAP, HEIGHT, LANE = 128, 46, 40, 26
"""Pixels: width of a box, space between two, height of a box, height of a lane for an arc."""


def mermaid(stage: str = "incident", *, expand: bool = True) -> str:
    """Return the Mermaid flowchart of the incident graph or of one stage.

    Args:
        stage: `incident`, or the name of a stage.
        expand: show the nodes inside the stages.
    """
    return str(_graph(stage).get_graph(xray=expand).draw_mermaid())


def svg(stage: str = "incident") -> str:
    """Return an SVG drawing that needs no renderer: boxes in order, forward arrows above, arrows back below."""
    drawn = _graph(stage).get_graph()
    names = _order(drawn)
    at = {name: 10 + i * (BOX + GAP) for i, name in enumerate(names)}
    place = {name: i for i, name in enumerate(names)}
    forward = [e for e in drawn.edges if place[e.target] > place[e.source]]
    back = [e for e in drawn.edges if place[e.target] <= place[e.source]]
    above = max((place[e.target] - place[e.source] for e in forward), default=1)
    below = max((place[e.source] - place[e.target] for e in back), default=0)
    middle = 20 + LANE * above
    width, height = len(names) * (BOX + GAP), middle + HEIGHT + LANE * (below + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="14">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#64748b"/></marker></defs>',
    ]
    for edge in drawn.edges:
        steps = place[edge.target] - place[edge.source]
        dash = ' stroke-dasharray="5 4"' if edge.conditional else ""
        if steps == 1:
            y = middle + HEIGHT / 2
            path = f"M{at[edge.source] + BOX} {y} H{at[edge.target]}"
        elif steps > 1:
            x1, x2 = at[edge.source] + BOX * 0.6, at[edge.target] + BOX * 0.4
            lift = middle - LANE * steps
            path = f"M{x1} {middle} C{x1} {lift} {x2} {lift} {x2} {middle}"
        else:
            x1, x2 = at[edge.source] + BOX * 0.4, at[edge.target] + BOX * 0.6
            floor = middle + HEIGHT
            drop = floor + LANE * (1 - steps)
            path = f"M{x1} {floor} C{x1} {drop} {x2} {drop} {x2} {floor}"
        parts.append(f'<path d="{path}" fill="none" stroke="#64748b"{dash} marker-end="url(#tip)"/>')
    for name in names:
        label = {"__start__": "start", "__end__": "end"}.get(name, name)
        fill = "#f1f5f9" if name.startswith("__") else "#dbeafe"
        parts.append(
            f'<rect x="{at[name]}" y="{middle}" width="{BOX}" height="{HEIGHT}" rx="9" fill="{fill}" stroke="#64748b"/>'
            f'<text x="{at[name] + BOX / 2}" y="{middle + HEIGHT / 2 + 5}" text-anchor="middle" fill="#0f172a">'
            f"{escape(label)}</text>"
        )
    return "".join([*parts, "</svg>"])


def _order(drawn: Any) -> list[str]:
    """Return the node names along the way: start first, end last, else as they were added."""
    names = list(drawn.nodes)
    ends = ("__start__", "__end__")
    return [
        *(n for n in names if n == ends[0]),
        *(n for n in names if n not in ends),
        *(n for n in names if n == ends[1]),
    ]


def _graph(stage: str) -> Any:
    return incident_graph(_nothing) if stage == "incident" else stage_graph(stage, _nothing)


def _nothing(_state: State) -> NoReturn:
    raise AssertionError("a graph that is only drawn must not run")
