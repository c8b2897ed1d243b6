"""Health over time as an SVG drawn from numbers alone."""

from __future__ import annotations

import math

from stratus.kit.clock import iso
from stratus.model.health import HealthVector
from stratus.model.reports import Report

WIDTH, HEIGHT = 1000, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 28
BEST = 0.5
"""The best score there is; the axis ends here and begins a little below the worst one seen."""


def health_chart(report: Report) -> str:
    """Return an SVG of the mean and the worst health score with the attempts as bands; empty below two samples."""
    samples = sorted((v.at, mean, _worst(v)) for v in report.health if (mean := v.mean()) is not None)
    if len(samples) < 2:
        return ""
    start = min(samples[0][0], *(a.started_at for a in report.attempts if a.executed), report.incident.started_at)
    end = max(samples[-1][0], report.incident.ended_at)
    span = max(end - start, 1.0)
    bottom = math.floor((min(worst for _, _, worst in samples) - 0.05) * 10) / 10

    def x(at: float) -> float:
        return round(LEFT + (at - start) / span * (WIDTH - LEFT - RIGHT), 1)

    def y(score: float) -> float:
        return round(TOP + (BEST - score) / (BEST - bottom) * (HEIGHT - TOP - BOTTOM), 1)

    def line(points: list[tuple[float, float]], colour: str) -> list[str]:
        path = " ".join(f"{'M' if i == 0 else 'L'}{x(at)} {y(score)}" for i, (at, score) in enumerate(points))
        drawn = [f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>']
        return drawn + [f'<circle cx="{x(at)}" cy="{y(score)}" r="2.6" fill="{colour}"/>' for at, score in points]

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="health over time">']
    for attempt in report.attempts:
        if attempt.executed:
            colour = "var(--warnbg,#fef3c7)" if attempt.undone else "var(--goodbg,#dcfce7)"
            left, right = x(attempt.started_at), x(max(attempt.ended_at, attempt.started_at))
            parts.append(
                f'<rect x="{left}" y="{TOP}" width="{max(right - left, 3):.1f}" height="{HEIGHT - TOP - BOTTOM}" '
                f'fill="{colour}"/><text x="{left + 4}" y="{HEIGHT - BOTTOM - 6}">attempt {attempt.number}</text>'
            )
    for score in (bottom, (bottom + BEST) / 2, BEST):
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(score)}" y2="{y(score)}" stroke="var(--line,#e1e5ec)"/>'
            f'<text x="4" y="{y(score) + 4}">{score:+.2f}</text>'
        )
    parts += line([(at, worst) for at, _, worst in samples], "var(--bad,#b91c1c)")
    parts += line([(at, mean) for at, mean, _ in samples], "var(--blue,#1d4ed8)")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        at = start + share * span
        parts.append(f'<text x="{x(at)}" y="{HEIGHT - 8}" text-anchor="{anchor}">{iso(at)[11:19]}</text>')
    return "".join([*parts, "</svg>"])


def _worst(vector: HealthVector) -> float:
    return min(s.score for s in vector.services if s.score is not None)
