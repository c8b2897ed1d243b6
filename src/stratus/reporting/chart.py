"""Health over time as an SVG drawn from numbers alone."""

from __future__ import annotations

from stratus.kit.clock import iso
from stratus.model.reports import Report

WIDTH, HEIGHT = 1000, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 28
BEST, WORST = 0.5, -0.5


def health_chart(report: Report) -> str:
    """Return an SVG of the mean health score with the attempts as bands; empty with fewer than two samples."""
    points = sorted((v.at, mean) for v in report.health if (mean := v.mean()) is not None)
    if len(points) < 2:
        return ""
    start = min(points[0][0], *(a.started_at for a in report.attempts if a.executed), report.incident.started_at)
    end = max(points[-1][0], report.incident.ended_at)
    span = max(end - start, 1.0)

    def x(at: float) -> float:
        return round(LEFT + (at - start) / span * (WIDTH - LEFT - RIGHT), 1)

    def y(score: float) -> float:
        return round(TOP + (BEST - score) / (BEST - WORST) * (HEIGHT - TOP - BOTTOM), 1)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="health over time">']
    for attempt in report.attempts:
        if attempt.executed:
            colour = "var(--warnbg)" if attempt.undone else "var(--goodbg)"
            left, right = x(attempt.started_at), x(max(attempt.ended_at, attempt.started_at))
            parts.append(
                f'<rect x="{left}" y="{TOP}" width="{max(right - left, 3):.1f}" height="{HEIGHT - TOP - BOTTOM}" '
                f'fill="{colour}"/><text x="{left + 4}" y="{TOP + 14}">{attempt.number}</text>'
            )
    for score in (-0.5, 0.0, 0.5):
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(score)}" y2="{y(score)}" stroke="var(--line)"/>'
            f'<text x="6" y="{y(score) + 4}">{score:+.1f}</text>'
        )
    path = " ".join(f"{'M' if i == 0 else 'L'}{x(at)} {y(score)}" for i, (at, score) in enumerate(points))
    parts.append(f'<path d="{path}" fill="none" stroke="var(--blue)" stroke-width="2" stroke-linejoin="round"/>')
    parts += [f'<circle cx="{x(at)}" cy="{y(score)}" r="2.6" fill="var(--blue)"/>' for at, score in points]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        at = start + share * span
        parts.append(f'<text x="{x(at)}" y="{HEIGHT - 8}" text-anchor="{anchor}">{iso(at)[11:19]}</text>')
    return "".join([*parts, "</svg>"])
