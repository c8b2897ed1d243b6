"""Plots of a run as SVG drawn from numbers: bars with intervals, cost against success, an episode's health."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from stratus.bench.intervals import Rate
from stratus.bench.record import Record
from stratus.model.base import Noun

WIDTH = 1000
COLOURS = ("#4f46e5", "#0ea5e9", "#f59e0b", "#ef4444", "#10b981", "#a855f7", "#64748b", "#ec4899", "#84cc16", "#14b8a6")
BAR, GAP, LABEL, RIGHT = 11, 12, 190, 74


class Spot(Noun):
    """An agent in the picture of cost against success."""

    name: str
    cost: float
    success: Rate


def colour_of(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each name, the same for the same list."""
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}


def bars(rows: Sequence[tuple[str, Sequence[tuple[str, Rate]]]], colours: dict[str, str], label: str) -> str:
    """Return groups of horizontal bars with intervals; a group is a label with (agent, rate) pairs.

    Rates of which there is nothing are left out, and groups of nothing else, too.
    """
    kept = [(name, [(agent, r) for agent, r in group if r.value is not None]) for name, group in rows]
    kept = [(name, group) for name, group in kept if group]
    if not kept:
        return ""
    plot = WIDTH - LABEL - RIGHT
    height = sum(len(group) * BAR + GAP for _, group in kept) + 24
    parts = [_open(height, label)]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = LABEL + share * plot
        parts.append(_rule(x, 4, x, height - 20))
        parts.append(_text(x, height - 6, f"{share:.0%}", anchor="middle"))
    y = 6.0
    for name, group in kept:
        parts.append(_text(LABEL - 8, y + len(group) * BAR / 2 + 4, name, anchor="end", clip=28))
        for agent, r in group:
            value, low, high = r.value or 0.0, r.low or 0.0, r.high or 0.0
            middle = y + (BAR - 2) / 2
            parts.append(
                f'<rect x="{LABEL}" y="{y:.1f}" width="{max(value * plot, 1):.1f}" height="{BAR - 2}" rx="2" '
                f'fill="{colours[agent]}"><title>{escape(agent)}: {escape(r.text())}, n {r.n}</title></rect>'
            )
            parts.append(_whisker(LABEL + low * plot, LABEL + high * plot, middle))
            parts.append(_text(LABEL + plot + 6, middle + 4, f"{value:.0%} of {r.n}", small=True))
            y += BAR
        y += GAP
    return "".join([*parts, "</svg>"])


def scatter(spots: Sequence[Spot], colours: dict[str, str], axis: str) -> str:
    """Return cost (logarithmic) against success with intervals."""
    known = [s for s in spots if s.success.value is not None]
    if not known:
        return ""
    height, left, bottom = 330, 60, 44
    least = min(max(s.cost, 1e-3) for s in known) / 1.6
    most = max(max(s.cost, 1e-3) for s in known) * 1.6
    span = math.log(most / least)

    def x(cost: float) -> float:
        return left + math.log(max(cost, 1e-3) / least) / span * (WIDTH - left - 150)

    def y(share: float) -> float:
        return 14 + (1 - share) * (height - 14 - bottom)

    parts = [_open(height, f"success against {axis}")]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts += [_rule(left, y(share), WIDTH - 150, y(share)), _text(left - 8, y(share) + 4, f"{share:.0%}", "end")]
    for cost in _ticks(least, most):
        parts.append(_rule(x(cost), y(0) - 4, x(cost), y(0) + 4))
        parts.append(_text(x(cost), y(0) + 18, f"{cost:g}", "middle"))
    parts.append(_text(left, height - 6, axis))
    ordered = sorted(known, key=lambda s: -(s.success.value or 0.0))
    places = _apart([y(s.success.value or 0.0) + 4 for s in ordered], 14.0, height - 8.0)
    for spot, line in zip(ordered, places, strict=True):
        r, colour = spot.success, colours[spot.name]
        at, up = x(spot.cost), y(r.value or 0.0)
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y(r.low or 0.0):.1f}" y2="{y(r.high or 0.0):.1f}" '
            f'stroke="{colour}" stroke-opacity=".45" stroke-width="2"/>'
            f'<circle cx="{at:.1f}" cy="{up:.1f}" r="6" fill="{colour}"><title>{escape(spot.name)}: '
            f"{escape(r.text())}, {spot.cost:.3g}</title></circle>"
            # Names are written at the right, each on a line of its own, and led to.
            f'<path d="M{at + 7:.1f} {up:.1f} L{WIDTH - 146} {line - 4:.1f}" stroke="var(--line)" fill="none"/>'
        )
        parts.append(_text(WIDTH - 142, line, spot.name, clip=24))
    return "".join([*parts, "</svg>"])


def episode(record: Record) -> str:
    """Return an episode: worst error rate and requests served over time, the fault, the agent, and what it changed."""
    points = [p for p in record.health if p.errors is not None or p.rate is not None]
    if len(points) < 2:
        return ""
    height, left, bottom, top = 240, 52, 30, 22
    start, end = points[0].at, max(points[-1].at, record.ended_at)
    most = max((p.rate or 0.0 for p in points), default=0.0) or 1.0

    def x(at: float) -> float:
        return left + (at - start) / max(end - start, 1.0) * (WIDTH - left - 12)

    def y(share: float) -> float:
        return top + (1 - share) * (height - top - bottom)

    parts = [_open(height, f"health over time of {record.job.scenario}")]
    for number, one in enumerate(record.outcome.attempts if record.outcome else (), 1):
        colour = "var(--warnbg)" if one.undone else "var(--goodbg)"
        wide = max(x(one.ended_at) - x(one.started_at), 3.0)
        how = "undone" if one.undone else "kept"
        parts.append(
            f'<rect x="{x(one.started_at):.1f}" y="{top}" width="{wide:.1f}" height="{height - top - bottom}" '
            f'fill="{colour}"><title>{escape(one.summary)}: {escape(one.verdict)}, {how}</title></rect>'
        )
        parts.append(_text(x(one.started_at) + 3, height - bottom - 6, f"{number} {how}", small=True))
    for share in (0.0, 0.5, 1.0):
        parts += [_rule(left, y(share), WIDTH - 12, y(share)), _text(left - 8, y(share) + 4, f"{share:.0%}", "end")]
    marks = ((record.injected_at, "fault"), (record.began_at, "agent begins"), (record.ended_at, "agent ends"))
    for place, (at, name) in enumerate(marks):
        parts.append(
            f'<line x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{top - 4}" y2="{y(0):.1f}" stroke="var(--soft)" '
            f'stroke-dasharray="3 4"/>'
        )
        parts.append(_text(x(at) + (-4 if place == 0 else 4), top - 8, name, "end" if place == 0 else "start"))
    parts.append(_path([(x(p.at), y((p.rate or 0.0) / most)) for p in points if p.rate is not None], "var(--blue)"))
    parts.append(_path([(x(p.at), y(p.errors)) for p in points if p.errors is not None], "var(--bad)"))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        at = start + share * (end - start)
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        parts.append(_text(x(at), height - 8, f"{at - record.injected_at:+.0f} s", anchor))
    return "".join([*parts, "</svg>"])


def _apart(wanted: Sequence[float], gap: float, last: float) -> list[float]:
    """Return ascending places at least `gap` apart and not beyond `last`, near to those wanted (ascending, too)."""
    placed: list[float] = []
    for place in wanted:
        placed.append(max(place, placed[-1] + gap) if placed else place)
    for i in range(len(placed) - 1, -1, -1):
        placed[i] = min(placed[i], last if i == len(placed) - 1 else placed[i + 1] - gap)
    return placed


def _ticks(least: float, most: float) -> list[float]:
    decade = 10.0 ** math.floor(math.log10(least))
    found = []
    while decade <= most:
        found += [f * decade for f in (1, 2, 5) if least <= f * decade <= most]
        decade *= 10
    return found if len(found) <= 9 else [t for t in found if f"{t:e}"[0] == "1"]


def _open(height: float, label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(label, quote=True)}">'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="var(--line)"/>'


def _whisker(low: float, high: float, y: float) -> str:
    ends = "".join(f"M{at:.1f} {y - 3:.1f} V{y + 3:.1f} " for at in (low, high))
    return f'<path d="M{low:.1f} {y:.1f} H{high:.1f} {ends}" stroke="var(--ink)" stroke-opacity=".6" fill="none"/>'


def _path(points: Sequence[tuple[float, float]], colour: str) -> str:
    steps = " ".join(f"{'M' if i == 0 else 'L'}{a:.1f} {b:.1f}" for i, (a, b) in enumerate(points))
    return f'<path d="{steps}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>'


def _text(x: float, y: float, words: str, anchor: str = "start", *, small: bool = False, clip: int = 60) -> str:
    shown = words if len(words) <= clip else words[: clip - 1] + "…"
    size = ' style="font-size:9px"' if small else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{size}>{escape(shown)}</text>'
